/* Whether what a dataset file's header says goes together: paths and key with the parameters, the collection and the cursor with the list, the
 * computation with its periods. */
#ifndef PNLCACHE_JOBS_DATASET_CHECK_H
#define PNLCACHE_JOBS_DATASET_CHECK_H

#include "jobs/dataset.h"

/* Also marks the parameters that stand in the path. STATUS_INVALID: "FILE:LINE: reason". */
enum status dataset_check(struct dataset *dataset, struct err *err) MUST_CHECK;

#endif
