/* Journals for tests, from the CSV form of metrics.md 1.5 (no quoting). */
#ifndef PNLCACHE_TESTS_SUPPORT_JOURNAL_CSV_H
#define PNLCACHE_TESTS_SUPPORT_JOURNAL_CSV_H

#include "jobs/analytics/journal.h"

/* Adds every line after the header; rows with is_deleted are left out. Asserts on anything unreadable. */
void journal_add_csv(struct journal *j, bool options, const char *csv);
/* A whole journal under default settings; equity NULL: unknown. journal_init() is done here. */
void journal_from_csv(struct journal *j, bool options, const char *csv, const char *as_of, const char *equity);
struct instant instant_of(const char *text);
struct date date_of(const char *text);

#endif
