/* How a trader's playbooks did (metrics.md 15). */
#ifndef PNLCACHE_JOBS_ANALYTICS_PLAYBOOK_ANALYTICS_H
#define PNLCACHE_JOBS_ANALYTICS_PLAYBOOK_ANALYTICS_H

#include "jobs/analytics/annotations.h"
#include "jobs/analytics/journal.h"
#include "jobs/analytics/time_range.h"
#include "lib/json/json_writer.h"

/* The list of all playbooks, ascending by id, over closed trades and missed ones in the range: one pass over the
 * trades. STATUS_NO_MEMORY. */
enum status playbook_analytics_write_all(const struct journal *journal, const struct annotations *annotations,
                                         const struct time_range *range, struct json_writer *w,
                                         struct err *err) MUST_CHECK;
/* One playbook's object. STATUS_NOT_FOUND: there is no playbook of this id, nothing was written. */
enum status playbook_analytics_write_one(const struct journal *journal, const struct annotations *annotations,
                                         const struct time_range *range, int64_t playbook_id, struct json_writer *w,
                                         struct err *err) MUST_CHECK;

#endif
