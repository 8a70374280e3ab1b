/* Core metrics (metrics.md 7) of random journals against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/brute_force.h"

static int64_t longest_run(int sign, int64_t *ret_last)
{
    int64_t run = 0, longest = 0;

    for (size_t i = 0; i < sel.n; i++) {
        run = (sel.t[i]->net > 0) - (sel.t[i]->net < 0) == sign ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    *ret_last = run;
    return longest;
}

/* Mean of net / size over wins (sign 1) or losses; every size is positive here. */
static long double mean_return(int sign)
{
    long double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < sel.n; i++) {
        if ((sel.t[i]->net > 0) - (sel.t[i]->net < 0) != sign)
            continue;
        sum += 100 * (long double)sel.t[i]->net / (long double)sel.t[i]->size;
        n++;
    }
    return n == 0 ? (long double)NAN : sum / (long double)n;
}

static void check(struct report *report, size_t range, const struct sums *s)
{
    int64_t last_wins, last_losses, wins = longest_run(1, &last_wins), losses = longest_run(-1, &last_losses);
    const struct simple_trade *best = NULL, *worst = NULL;

    look_at(report_write_core, report, range);
    for (size_t i = 0; i < sel.n; i++) {
        if (sel.t[i]->net > 0 && (best == NULL || sel.t[i]->net > best->net))
            best = sel.t[i];
        if (sel.t[i]->net < 0 && (worst == NULL || sel.t[i]->net < worst->net))
            worst = sel.t[i];
    }
    check_exact("total_trades", s->n, 1, 1);
    check_exact("winning_trades", s->wins, 1, 1);
    check_exact("win_rate", 100 * s->wins, s->n, 4);
    check_exact("win_rate_ex_breakeven", 100 * s->wins, s->wins + s->losses, 4);
    check_exact("total_pnl", s->total, MONEY_SCALE, 4);
    check_exact("pnl_before_costs", s->gross, MONEY_SCALE, 4);
    check_exact("gross_loss", -s->loss, MONEY_SCALE, 4);
    check_exact("average_win", s->profit, s->wins * MONEY_SCALE, 4);
    check_float("average_win_percentage", mean_return(1), 4);
    check_float("average_loss_percentage", mean_return(-1), 4);
    check_exact("profit_factor", s->profit, s->loss, 6);
    check_exact("win_loss_ratio", s->profit * s->losses, s->loss * s->wins, 6);
    check_count("max_consecutive_wins", wins);
    check_count("max_consecutive_losses", losses);
    check_count("current_streak", last_wins - last_losses);
    check_exact("biggest_winner", best == NULL ? 0 : best->net, best == NULL ? 0 : MONEY_SCALE, 4);
    if (best != NULL) {
        document = found("biggest_winner_trade");
        check_count("trade_id", best->id);
    }
    if (worst != NULL) {
        document = found("biggest_loser_trade");
        check_count("trade_id", worst->id);
    }
}

int main(void)
{
    struct section_check section = {check};
    const struct CMUnitTest tests[] = {
        BRUTE_FORCE_TESTS(&section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
