/* What a request says about a dataset: parameters in its query, in the members of a JSON object as its body, or in both. */
#ifndef PNLCACHE_FCGI_DATASET_QUERY_H
#define PNLCACHE_FCGI_DATASET_QUERY_H

#include "fcgi/exchange.h"

/* The parameter user_id. */
struct dataset_user {
    bool named;
    char id[USER_ID_MAX + 2]; /* cut to one byte more than a user id may have */
};

/* Fills x->dataset, whose dataset is set, and *user, which names nobody before (nor after, for a shared dataset, where user_id is no
 * parameter). `path_too`: parameters of the path are given by name as well. What does not fit becomes a problem. STATUS_INVALID: the body is
 * no JSON object; *err may be shown. */
enum status dataset_query_read(struct exchange *x, bool path_too, struct dataset_user *user,
                               struct problem_fields *problems, struct err *err) MUST_CHECK;

#endif
