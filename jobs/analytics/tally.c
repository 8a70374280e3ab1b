#include "jobs/analytics/tally.h"

/* Of two trades the better (sign 1) or the worse (sign -1), the earlier of equals. Either may be NULL. */
static const struct trade *extreme(const struct trade *a, const struct trade *b, int sign)
{
    int64_t a_net, b_net;

    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    a_net = trade_net_e8(a);
    b_net = trade_net_e8(b);
    if (a_net == b_net)
        return trade_compare_exit(a, b) <= 0 ? a : b;
    return (a_net > b_net) == (sign > 0) ? a : b;
}

void tally_merge(struct tally *into, const struct tally *later)
{
    for (int b = 0; b < DURATION_BUCKETS; b++) {
        for (int o = 0; o < OUTCOMES; o++) {
            into->cells[b][o].count += later->cells[b][o].count;
            into->cells[b][o].net_e8 += later->cells[b][o].net_e8;
            into->cells[b][o].hold_us += later->cells[b][o].hold_us;
        }
        into->best[b] = extreme(into->best[b], later->best[b], 1);
        into->worst[b] = extreme(into->worst[b], later->worst[b], -1);
    }
}

struct totals tally_totals(const struct tally *tally)
{
    struct totals t = {0};

    for (int b = 0; b < DURATION_BUCKETS; b++) {
        const struct tally_cell *cell = tally->cells[b];

        t.wins += cell[OUTCOME_WIN].count;
        t.losses += cell[OUTCOME_LOSS].count;
        t.break_evens += cell[OUTCOME_BREAK_EVEN].count;
        t.gross_profit_e8 += cell[OUTCOME_WIN].net_e8;
        t.gross_loss_e8 += cell[OUTCOME_LOSS].net_e8;
        t.hold_wins_us += cell[OUTCOME_WIN].hold_us;
        t.hold_losses_us += cell[OUTCOME_LOSS].hold_us;
        t.hold_us += cell[OUTCOME_BREAK_EVEN].hold_us;
        t.best = extreme(t.best, tally->best[b], 1);
        t.worst = extreme(t.worst, tally->worst[b], -1);
    }
    t.n = t.wins + t.losses + t.break_evens;
    t.net_e8 = t.gross_profit_e8 + t.gross_loss_e8;
    t.hold_us += t.hold_wins_us + t.hold_losses_us;
    return t;
}
