#include "worker/report_log.h"

#include "lib/base/log.h"

void append_skipped_ids(struct buf *out, const struct journal *journal)
{
    for (size_t i = 0; i < journal->n_skipped_ids; i++)
        buf_append_format(out, "%s%s %lld %s", i == 0 ? "" : ", ", journal->skipped_ids[i].option ? "option" : "stock",
                          (long long)journal->skipped_ids[i].id, skip_reason_text(journal->skipped_ids[i].reason));
}

void log_skipped_rows(const char *user_id, const struct journal *journal)
{
    struct buf ids = BUF_INIT;
    size_t rows = 0;

    for (size_t i = 0; i < SKIP_REASONS; i++)
        rows += journal->skipped[i];
    append_skipped_ids(&ids, journal);
    if (rows > journal->n_skipped_ids)
        buf_append_string(&ids, ", ...");
    log_warn("rows left out of the analytics", LOG_STR("user", user_id), LOG_INT("rows", (int64_t)rows),
             LOG_STR("ids", ids.data));
    buf_release(&ids);
}
