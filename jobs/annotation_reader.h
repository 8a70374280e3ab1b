/* Reads what one user wrote about trades: playbooks and tags with their links to trades (sql/README.md). Apart from the
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

/* Reads the wanted kinds (or-ed) into *ret_annotations, which was initialised and is finished then. Inside the trades'
 * snapshot, while nothing else uses the connection. Statuses as db_copy_next(); STATUS_INTERNAL also when the views are
 * not what sql/README.md asks for. */
enum status annotation_read(struct db *db, const char *user_id, unsigned wanted, struct annotations *ret_annotations,
                            struct err *err) MUST_CHECK;

#endif
