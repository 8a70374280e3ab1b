/* Grouped analytics (metrics.md 12): the trades partitioned by a key, and each part's own core, risk and
 * performance metrics. */
#ifndef PNLCACHE_JOBS_ANALYTICS_GROUP_H
#define PNLCACHE_JOBS_ANALYTICS_GROUP_H

#include "jobs/analytics/annotations.h"
#include "jobs/analytics/journal.h"
#include "jobs/analytics/time_range.h"
#include "lib/json/json_writer.h"

/* Ascending by name, and so by key in an answer for several. */
enum dimension {
    DIMENSION_ASSET_TYPE,
    DIMENSION_BROKERAGE,
    DIMENSION_DAY_OF_WEEK,
    DIMENSION_DTE,
    DIMENSION_HOLDING_TIME,
    DIMENSION_HOUR,
    DIMENSION_MISTAKE,
    DIMENSION_MONTH,
    DIMENSION_OPTION_TYPE,
    DIMENSION_PLAYBOOK,
    DIMENSION_POSITION_SIZE,
    DIMENSION_SIDE,
    DIMENSION_STRATEGY,
    DIMENSION_SYMBOL,
    DIMENSION_TAG,
    DIMENSION_TIME_PERIOD,
    DIMENSION_TRADE_DIRECTION,
    DIMENSIONS
};

const char *dimension_name(enum dimension dimension); /* "symbol" */
/* A name in any case, with or without underscores, or days_to_expiration. STATUS_INVALID otherwise. */
enum status dimension_parse(const char *text, size_t len, enum dimension *ret_dimension) MUST_CHECK;

/* Sets of dimensions: bit 1 << dimension. */
#define DIMENSION_BIT(dimension) (1U << (dimension))

/* Writes the object `grouped_analytics` of `asset` for the range: keyed by group name when the set holds
 * one dimension, else by "<dimension>:<group name>". The journal must have kept its details. annotations: playbooks
 * and tags; NULL: there are none. Costs one pass over the journal per dimension and one over the trades of each group;
 * memory for one copy of the trades. STATUS_NO_MEMORY. */
enum status group_write(const struct journal *journal, const struct annotations *annotations, enum asset asset,
                        const struct time_range *range, unsigned dimensions, struct json_writer *w,
                        struct err *err) MUST_CHECK;

#endif
