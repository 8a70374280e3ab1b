/* The Redis keys of a dataset's answers: the patterns of its header, taken apart once for all requests. */
#ifndef PNLCACHE_JOBS_DATASET_KEY_H
#define PNLCACHE_JOBS_DATASET_KEY_H

#include "jobs/dataset.h"

/* Sets d->keys, from a header that was checked. */
enum status dataset_keys_init(struct dataset *d, struct err *err) MUST_CHECK;
void dataset_keys_release(struct dataset *d);

#endif
