/* Reads what users wrote about trades: playbooks and tags with their links to trades (sql/README.md). Apart from the
 * trades' stream, so that nobody pays for it who does not ask. */
#ifndef PNLCACHE_JOBS_ANNOTATION_READER_H
#define PNLCACHE_JOBS_ANNOTATION_READER_H

#include "jobs/analytics/annotations.h"
#include "lib/store/db.h"

enum {
    ANNOTATION_PLAYBOOKS = 1, /* names and links */
    ANNOTATION_RULES = 2,     /* with ANNOTATION_PLAYBOOKS: the counts of rules, and missed trades */
    ANNOTATION_TAGS = 4,
};

/* One of many. */
struct annotated_user {
    const char *user_id;            /* borrowed */
    unsigned kinds;                 /* wanted, or-ed */
    struct annotations annotations; /* initialised by the caller, who releases them */
    bool left_out;                  /* true: there was no room for this user's, and nothing was read */
    size_t size;                    /* of what was read, bytes, about */
};

/* Reads what each of the users wants, with at most one query for each kind of rows however many users there are. They ascend by the
 * bytes of their ids, each once. About max_size bytes are held, arrays' spare room not counted; whoever's would go beyond is left out,
 * and the ones after may fit again. Inside the trades' snapshot, while nothing else uses the connection. Statuses as
 * db_copy_next(); STATUS_INTERNAL also when the views are not what sql/README.md asks for. */
enum status annotation_read_many(struct db *db, struct annotated_user *users, size_t n_users, size_t max_size,
                                 struct err *err) MUST_CHECK;
/* The same of one user, whatever the size, into *ret_annotations, which was initialised and is finished then. */
enum status annotation_read(struct db *db, const char *user_id, unsigned wanted, struct annotations *ret_annotations,
                            struct err *err) MUST_CHECK;

#endif
