/* The types of a dataset's parameters: what a value may be, and its one canonical spelling. */
#ifndef PNLCACHE_JOBS_DATASET_VALUE_H
#define PNLCACHE_JOBS_DATASET_VALUE_H

#include "jobs/dataset.h"

#define DATASET_ALL "all" /* what a limit may be instead of a number */

const char *dataset_type_name(enum dataset_type type);
/* The type in SQL: "bigint", "text[]", ... */
const char *dataset_param_cast(const struct dataset_param *param);
/* The bounds a type has when the header gives none. */
void dataset_param_set_bounds(struct dataset_param *param);
/* A bound of an integer or decimal parameter. */
enum status dataset_bound_parse(enum dataset_type type, const char *text, int64_t *ret_bound) MUST_CHECK;
/* Appends the canonical spelling: of a list its elements, ascending, without repeats, between commas. STATUS_INVALID: the
 * text says what it must be. */
enum status dataset_value_parse(const struct dataset_param *param, const char *text, struct buf *out,
                                struct err *err) MUST_CHECK;

#endif
