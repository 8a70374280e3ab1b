/* Speed of the analytics engine from memory: every section of all eight presets together, journal already
 * valued. Prints million trades per second for many small users and for one user of growing size. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/processor_time.h"
#include "jobs/analytics/report.h"

#define SMALL_USERS 1000
#define SMALL_TRADES 2000

static uint64_t random_state = 88172645463325252U;

static int64_t random_below(int64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int64_t)(random_state % (uint64_t)bound);
}

static void must(enum status status, const struct err *err)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "engine_bench: %s\n", err->text);
    exit(1);
}

static struct number cents(int64_t value)
{
    return (struct number){.state = NUMBER_FINITE, .e8 = value * 1000000};
}

/* n stock trades spread evenly over `days` up to as_of, held for up to three days. */
static void fill(struct journal *j, const struct account *account, size_t n, int days)
{
    struct instant as_of = {INT64_C(1749844800) * US_PER_SECOND};
    struct err err = {.text = ""};
    static const char *const symbols[] = {"AAPL", "MSFT", "TSLA", "NVDA", "SPY", "QQQ", "AMD", "META"};

    journal_begin(j, account, as_of);
    for (size_t i = 0; i < n; i++) {
        const char *symbol = symbols[random_below(8)];
        int64_t price = 1000 + random_below(50000);
        struct trade_row row = {.has_id = true, .has_entry = true, .has_exit = true, .id = (int64_t)i + 1};

        row.symbol = (struct text_ref){.bytes = symbol, .len = 4 - (symbol[3] == '\0')};
        row.side = (struct text_ref){.bytes = i % 3 != 0 ? "BUY" : "SELL", .len = 3 + (i % 3 == 0)};
        row.quantity = cents(100 * (1 + random_below(500)));
        row.entry_price = cents(price);
        row.exit_price = cents(price + random_below(401) - 200);
        row.commissions = cents(random_below(300));
        if (i % 4 != 0)
            row.stop_loss = cents(i % 3 != 0 ? price - 100 : price + 100);
        row.exit.us = as_of.us - (int64_t)((double)(n - 1 - i) / (double)n * days * (double)US_PER_DAY) - 1;
        row.entry.us = row.exit.us - random_below(3 * US_PER_DAY);
        must(journal_add(j, &row, &err), &err);
    }
    journal_finish(j);
}

/* Nanoseconds of processor time per trade, best of `rounds` measurements of `repeat` runs. */
static double measure(struct report *report, const struct journal *j, int repeat, int rounds)
{
    struct time_range ranges[RANGE_PRESETS];
    struct err err = {.text = ""};
    double best = 0;

    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        struct range_request request = {.name = (enum range_name)i};

        ranges[i] = time_range_resolve(&request, j->today);
    }
    for (int round = 0; round < rounds; round++) {
        int64_t start = processor_time_us();
        double ns;

        for (int i = 0; i < repeat; i++)
            must(report_compute(report, j, ASSET_ALL, ranges, RANGE_PRESETS, &err), &err);
        ns = (double)(processor_time_us() - start) * 1000 / ((double)repeat * (double)j->n_closed);
        if (round == 0 || ns < best)
            best = ns;
    }
    return best;
}

int main(void)
{
    static const size_t sizes[] = {10000, 100000, 1000000};
    struct account account;
    struct journal journal;
    struct report *report;
    struct err err = {.text = ""};
    double ns;

    must(account_init_default(&account, &err), &err);
    account.has_starting_equity = true;
    account.starting_equity_e8 = 10000000 * INT64_C(100000000);
    must(report_new(&report, &err), &err);
    journal_init(&journal);
    fill(&journal, &account, SMALL_TRADES, 730);
    ns = measure(report, &journal, SMALL_USERS / 5, 5);
    printf("engine: %d trades per user: %.1f ns per trade\n", SMALL_TRADES, ns);
    printf("bench: engine_mtrades_per_s = %.2f\n", 1000 / ns);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fill(&journal, &account, sizes[i], 730);
        ns = measure(report, &journal, (int)(1000000 / sizes[i]), 3);
        printf("engine: %zu trades per user: %.1f ns per trade, %.2f million/s\n", sizes[i], ns, 1000 / ns);
    }
    journal_release(&journal);
    report_free(&report);
    return 0;
}
