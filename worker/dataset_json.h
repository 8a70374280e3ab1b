/* Datasets as JSON, for programs: their methods and parameters, and the columns of their rows. */
#ifndef PNLCACHE_WORKER_DATASET_JSON_H
#define PNLCACHE_WORKER_DATASET_JSON_H

#include "jobs/dataset.h"
#include "lib/json/json_writer.h"

/* Writes an array of objects, in the order of the set. The database says which columns each has, and of which type.
 * STATUS_INVALID: it refuses a statement; other statuses: it does not answer. */
enum status dataset_json_write(const struct dataset_set *set, struct db *db, struct json_writer *w,
                               struct err *err) MUST_CHECK;

#endif
