/* `compute: indicators` of a dataset file: its SELECT gives a symbol's daily bars (date, high, low, close), all there are, and the
 * answer is jobs/analytics/indicators.h over them, of the last `days`. The file's parameters are the periods. */
#ifndef PNLCACHE_JOBS_DATASET_INDICATORS_H
#define PNLCACHE_JOBS_DATASET_INDICATORS_H

#include "jobs/dataset.h"

/* Whether the computation reads this parameter. */
bool dataset_indicators_take(const char *param);
/* Whether a header has all of its parameters, of the right kind, always with a value, and no period that makes no sense. STATUS_INVALID: the
 * text names the first that is not. */
enum status dataset_indicators_check(const struct dataset *dataset, struct err *err) MUST_CHECK;
/* What stands before the file's SELECT in the statement that is sent: a bar in each row, the database's clock third. */
#define DATASET_INDICATORS_SELECT                                                                                      \
    "SELECT date::date, close::numeric, statement_timestamp(), high::numeric, low::numeric FROM (\n"
/* A statement with the columns of the answer, and no rows. */
extern const char dataset_indicators_columns[];
/* Appends the array of rows; *ret_count: how many. STATUS_INVALID: the SELECT gave something else than daily bars. */
enum status dataset_indicators_write(const struct dataset_request *request, const struct db_result *bars,
                                     struct buf *out, int64_t *ret_count, struct err *err) MUST_CHECK;

#endif
