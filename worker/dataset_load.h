/* The datasets of the settings, for what computes users' collections or must know the tags. */
#ifndef PNLCACHE_WORKER_DATASET_LOAD_H
#define PNLCACHE_WORKER_DATASET_LOAD_H

#include "jobs/dataset.h"

/* As dataset_set_load(); but without DATASET_DIR there are none, *ret_set becomes NULL. */
enum status load_datasets(const struct settings *settings, struct dataset_set **ret_set, struct err *err) MUST_CHECK;

#endif
