/* The lines of a dataset file's header that declare parameters. What is wrong is said without file and line. */
#ifndef PNLCACHE_JOBS_DATASET_PARAM_H
#define PNLCACHE_JOBS_DATASET_PARAM_H

#include "jobs/dataset.h"

/* A letter, then letters, digits, '_', '-', in lower case, at most `max`. */
bool dataset_is_name(const char *text, size_t len, size_t max);
/* Adds "NAME [list N] TYPE [bounds] [required]" or "... = DEFAULT"; writes into the line. */
enum status dataset_param_take(struct dataset *d, char *line, struct err *err) MUST_CHECK;
/* Adds "COLUMN TYPE" of a cursor, as the parameter after_COLUMN, which no request names; writes into the line. */
enum status dataset_param_take_cursor(struct dataset *d, char *line, struct err *err) MUST_CHECK;
/* Sets what follows from all parameters, the name and the version together. */
enum status dataset_param_settle(struct dataset *d, struct err *err) MUST_CHECK;

#endif
