#include "jobs/analytics/duration.h"

#include "jobs/analytics/metric_writer.h"

static void write_bucket(const struct tally *tally, int bucket, struct json_writer *w)
{
    static const char *const labels[DURATION_BUCKETS] = {"0-1 days", "1-7 days", "1-4 weeks", "1-3 months",
                                                         "3+ months"};
    const struct tally_cell *cells = tally->cells[bucket];
    const struct tally_cell *wins = &cells[OUTCOME_WIN], *losses = &cells[OUTCOME_LOSS];
    size_t n = wins->count + losses->count + cells[OUTCOME_BREAK_EVEN].count;
    wide_int net = wins->net_e8 + losses->net_e8;

    if (n == 0)
        return;
    json_object_begin(w);
    json_key(w, "duration_bucket");
    json_string(w, labels[bucket]);
    write_count(w, "trade_count", n);
    write_count(w, "winning_trades", wins->count);
    write_count(w, "losing_trades", losses->count);
    write_percentage(w, "win_rate", (wide_int)wins->count, (wide_int)n);
    write_money(w, "total_pnl", net);
    write_money_mean(w, "avg_pnl", net, n);
    write_days_mean(w, "avg_hold_time_days", wins->hold_us + losses->hold_us + cells[OUTCOME_BREAK_EVEN].hold_us, n);
    write_money(w, "best_trade", trade_net_e8(tally->best[bucket]));
    write_money(w, "worst_trade", trade_net_e8(tally->worst[bucket]));
    write_ratio(w, "profit_factor", wins->net_e8, -losses->net_e8);
    json_object_end(w);
}

void duration_write(const struct tally *tally, const struct core *core, const struct totals *totals,
                    const struct journal *journal, struct json_writer *w)
{
    json_object_begin(w);
    json_key(w, "duration_buckets");
    json_array_begin(w);
    for (int bucket = 0; bucket < DURATION_BUCKETS; bucket++)
        write_bucket(tally, bucket, w);
    json_array_end(w);
    json_key(w, "overall_metrics");
    core_write(core, totals, journal, w);
    json_object_end(w);
}
