#include "worker/report_log.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

#define ROWS_A_LINE 25 /* of at most 47 bytes each, beside a user id of 512: no line is cut (log.h) */

static size_t count_rows(const struct journal *journal)
{
    size_t rows = 0;

    for (size_t i = 0; i < SKIP_REASONS; i++)
        rows += journal->skipped[i];
    return rows;
}

static void log_rows(const char *user_id, size_t rows, const struct skipped_row *row, size_t n)
{
    struct buf ids = BUF_INIT;

    for (size_t i = 0; i < n; i++)
        buf_append_format(&ids, "%s%s %lld %s", i == 0 ? "" : ", ", row[i].option ? "option" : "stock",
                          (long long)row[i].id, skip_reason_text(row[i].reason));
    log_warn("rows left out of the analytics", LOG_STR("user", user_id), LOG_INT("rows", (int64_t)rows),
             LOG_STR("ids", ids.data));
    buf_release(&ids);
}

void skipped_log_user(struct skipped_log *log, const char *user_id, const struct journal *journal)
{
    size_t rows = count_rows(journal), left = SKIPPED_ROWS_NAMED - log->rows_named, n = journal->n_skipped_rows;

    if (n > left)
        n = left;
    for (size_t i = 0; i < n; i += ROWS_A_LINE)
        log_rows(user_id, rows, journal->skipped_rows + i, n - i < ROWS_A_LINE ? n - i : ROWS_A_LINE);
    log->rows_named += n;
    log->rows_unnamed += rows - n;
    log->users_unnamed += rows > n;
}

void skipped_log_end(const struct skipped_log *log)
{
    if (log->rows_unnamed > 0)
        log_warn("more rows left out of the analytics than are named", LOG_INT("named", (int64_t)log->rows_named),
                 LOG_INT("not_named", (int64_t)log->rows_unnamed), LOG_INT("users", (int64_t)log->users_unnamed));
}

void too_large_log_add(struct too_large_log *log, const char *name, const char *user_id)
{
    uint64_t user = user_id != NULL ? text_hash(user_id, strlen(user_id)) : 0;
    struct too_large *entry = log->named;

    while (entry < log->named + log->n && strcmp(entry->name, name) != 0)
        entry++;
    if (entry == log->named + TOO_LARGE_NAMED) {
        log->others++;
        return;
    }
    if (entry == log->named + log->n)
        log->named[log->n++] = (struct too_large){.name = name};
    if (user_id == NULL || entry->users == 0 || entry->last_user != user)
        entry->users++;
    entry->last_user = user;
}

void too_large_log_end(const struct too_large_log *log, const char *unit)
{
    for (size_t i = 0; i < log->n; i++)
        log_warn("too large to be cached", LOG_STR("what", log->named[i].name),
                 LOG_INT(unit, (int64_t)log->named[i].users));
    if (log->others > 0)
        log_warn("more is too large to be cached than is named", LOG_INT("values", (int64_t)log->others));
}

void log_failed_collection(const char *user_id, const struct dataset *dataset, const char *reason)
{
    log_warn("list not computed", LOG_STR("user", user_id), LOG_STR("dataset", dataset->name),
             LOG_STR("reason", reason));
}
