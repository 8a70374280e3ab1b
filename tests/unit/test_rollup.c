/* Random journals against a brute-force computation of the same definitions (metrics.md 5-10): one range at a
 * time, one metric at a time, straight from the text, in 128-bit integers and long double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/report.h"
#include "tests/support/journal_csv.h"
#include "tests/support/random_numbers.h"

#define MAX_TRADES 5000
#define MAX_DAYS 60000

/* --- journals -------------------------------------------------------------------------------------- */

struct simple_trade {
    int64_t id, entry_us, exit_us, day;
    int64_t net, gross, size, risk; /* 10^-8; risk 0: none */
    bool option, flawed;
    int previous[3]; /* by enum asset: outcome of the previous close: -1, 0, 1; 2: none */
};

static struct simple_trade trades[MAX_TRADES];
static struct trade_row rows[MAX_TRADES];
static size_t n_trades;
static struct account account;
static struct instant as_of;
static struct date holiday;
static char word_buy[] = "BUY", word_sell[] = "sell", word_long[] = "long", word_short[] = "Short";
static char word_call[] = "CALL", word_closed[] = "closed", word_strategy[] = "Any", word_mistake[] = "; late ,";

static struct text_ref text(char *word)
{
    return (struct text_ref){.bytes = word, .len = strlen(word)};
}

static struct number e8(int64_t value)
{
    return (struct number){.state = NUMBER_FINITE, .e8 = value};
}

static struct instant clocks_back; /* 0: no account of interest */

static int64_t random_exit_us(int64_t span_days)
{
    int64_t t = as_of.us - below(span_days * US_PER_DAY + 1);

    if (clocks_back.us != 0 && below(3) == 0)
        return clocks_back.us - 60 * US_PER_SECOND + below(120 * US_PER_SECOND);
    switch (below(4)) {
    case 0: return t - t % US_PER_DAY;             /* midnight UTC, ties */
    case 1: return t - t % (US_PER_DAY / 24);      /* full hours */
    case 2: return t - t % (US_PER_DAY / 24) + 90; /* near them */
    default: return t;
    }
}

static int64_t random_hold_us(void)
{
    switch (below(5)) {
    case 0: return 0;
    case 1: return below(4) * US_PER_DAY;
    case 2: return below(US_PER_DAY);
    case 3: return below(120) * US_PER_DAY + below(3);
    default: return 7 * US_PER_DAY - 1 + below(2);
    }
}

/* A whole price and a whole quantity keep the products here free of rounding. */
static void make_trade(size_t i, int64_t span_days, int64_t scale)
{
    struct trade_row *row = &rows[i];
    struct simple_trade *t = &trades[i];
    int64_t entry = 50 + below(60), exit = entry + below(7) - 3, quantity = 1 + below(5), stop = below(3) - 1;
    bool is_short = below(3) == 0;

    *t = (struct simple_trade){.id = (int64_t)i + 1, .option = below(3) == 0, .flawed = below(5) == 0};
    t->exit_us = random_exit_us(span_days);
    t->entry_us = t->exit_us - random_hold_us();
    *row = (struct trade_row){.option = t->option, .has_id = true, .has_entry = true, .has_exit = true, .id = t->id};
    row->entry.us = t->entry_us;
    row->exit.us = t->exit_us;
    row->symbol = text(word_strategy);
    row->quantity = e8(quantity * MONEY_SCALE);
    row->entry_price = e8(entry * scale);
    row->exit_price = e8(exit * scale);
    row->commissions = e8(below(2) * scale);
    row->fees = e8((below(3) - 1) * scale);
    if (stop != 0)
        row->stop_loss = e8((entry - stop) * scale);
    if (t->flawed)
        row->mistakes = text(word_mistake);
    row->side = text(t->option ? (is_short ? word_short : word_long) : (is_short ? word_sell : word_buy));
    if (t->option) {
        quantity *= 10;
        row->multiplier = e8(10 * MONEY_SCALE);
        row->strategy = text(word_strategy);
        row->option_type = text(word_call);
        row->status = text(word_closed);
        row->strike_price = e8(MONEY_SCALE);
        row->has_expiration = true;
    }
    t->gross = (is_short ? entry - exit : exit - entry) * quantity * scale;
    t->net = t->gross - row->commissions.e8 - row->fees.e8;
    t->size = entry * quantity * scale;
    if (stop != 0)
        t->risk = (is_short ? -stop : stop) > 0 ? quantity * scale : 0;
    else if (t->option && !is_short)
        t->risk = t->size;
}

static int compare_canonical(const void *a, const void *b)
{
    const struct simple_trade *x = a, *y = b;

    if (x->exit_us != y->exit_us)
        return x->exit_us < y->exit_us ? -1 : 1;
    if (x->option != y->option)
        return x->option ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

static bool is_in(const struct simple_trade *t, enum asset asset)
{
    return asset == ASSET_ALL || t->option == (asset == ASSET_OPTIONS);
}

static void make_journal(size_t n, int64_t span_days, int64_t scale)
{
    n_trades = n;
    for (size_t i = 0; i < n; i++)
        make_trade(i, span_days, scale);
    qsort(trades, n, sizeof trades[0], compare_canonical);
    for (size_t i = 0; i < n; i++) {
        struct instant exit = {trades[i].exit_us};

        trades[i].day = trading_day(account.zone, account.trading_day_start, exit).days;
        for (enum asset asset = ASSET_ALL; asset <= ASSET_OPTIONS; asset++) {
            trades[i].previous[asset] = 2;
            for (size_t j = 0; j < n; j++)
                if (j != i && is_in(&trades[j], asset) && trades[j].exit_us <= trades[i].entry_us)
                    trades[i].previous[asset] = (trades[j].net > 0) - (trades[j].net < 0);
        }
    }
}

static void load(struct journal *j)
{
    journal_begin(j, &account, as_of);
    for (size_t i = 0; i < n_trades; i++)
        assert_int_equal(journal_add(j, &rows[i], NULL), STATUS_OK);
    journal_finish(j);
    assert_int_equal(j->n_closed, n_trades);
}

/* --- comparing ------------------------------------------------------------------------------------- */

static const char *document;
static const char *context;

static const char *found(const char *key)
{
    char wanted[100];
    const char *at;

    (void)snprintf(wanted, sizeof wanted, "\"%s\":", key);
    at = strstr(document, wanted);
    if (at == NULL)
        fail_msg("%s: no %s", context, key);
    return at + strlen(wanted);
}

static bool starts_value(const char *at, const char *expected)
{
    size_t len = strlen(expected);

    return strncmp(at, expected, len) == 0 && strchr(",}]", at[len]) != NULL;
}

/* Digits of num/den rounded half away from zero: class E. den 0: null. */
static void check_exact(const char *key, wide_int num, wide_int den, int decimals)
{
    char digits[64], expected[80];
    wide_uint scaled, power = 1;
    bool negative = (num < 0) != (den < 0);
    const char *at = found(key);
    size_t n;

    if (den == 0) {
        if (!starts_value(at, "null"))
            fail_msg("%s: %s is %.30s, expected null", context, key, at);
        return;
    }
    for (int i = 0; i < decimals; i++)
        power *= 10;
    num = num < 0 ? -num : num;
    den = den < 0 ? -den : den;
    scaled = ((wide_uint)num * power * 2 + (wide_uint)den) / ((wide_uint)den * 2);
    (void)snprintf(digits, sizeof digits, "%llu.%0*llu", (unsigned long long)(scaled / power), decimals,
                   (unsigned long long)(scaled % power));
    n = strlen(digits);
    while (digits[n - 1] == '0')
        n--;
    n -= digits[n - 1] == '.';
    (void)snprintf(expected, sizeof expected, "%s%.*s", negative && scaled != 0 ? "-" : "", (int)n, digits);
    if (!starts_value(at, expected))
        fail_msg("%s: %s is %.30s, expected %s", context, key, at, expected);
}

static void check_count(const char *key, int64_t expected)
{
    check_exact(key, expected, 1, 1);
}

/* Class F: one unit in the last place or 1e-9. NAN: null. */
static void check_float(const char *key, long double expected, int decimals)
{
    const char *at = found(key);
    long double value, allowed = powl(10, -decimals) * 1.001L + fabsl(expected) * 1e-9L;

    if (isnan(expected)) {
        if (!starts_value(at, "null"))
            fail_msg("%s: %s is %.30s, expected null", context, key, at);
        return;
    }
    value = strtold(at, NULL);
    if (starts_value(at, "null") || !(fabsl(value - expected) <= allowed))
        fail_msg("%s: %s is %.30s, expected %.12Lg", context, key, at, expected);
}

static void check_day(const char *key, bool known, int64_t day)
{
    char date[DATE_TEXT_SIZE], expected[20] = "null";
    struct date d = {(int32_t)day};

    if (known) {
        date_format(d, date);
        (void)snprintf(expected, sizeof expected, "\"%s\"", date);
    }
    if (!starts_value(found(key), expected))
        fail_msg("%s: %s is %.30s, expected %s", context, key, found(key), expected);
}

/* --- brute force ----------------------------------------------------------------------------------- */

struct selection {
    const struct simple_trade *t[MAX_TRADES]; /* of the range, canonical order */
    size_t n;
    int64_t obs[MAX_DAYS]; /* observation days */
    wide_int p[MAX_DAYS];
    size_t n_obs;
    bool equity;
    wide_int e0;
    int64_t end;
};

static struct selection sel;

static void select_days(enum asset asset, const struct time_range *range)
{
    int64_t first = INT64_MAX;
    wide_int equity = sel.e0;

    for (size_t i = 0; i < n_trades; i++)
        if (is_in(&trades[i], asset) && trades[i].day < first)
            first = trades[i].day;
    if (first != INT64_MAX && range->has_start && range->start.days > first)
        first = range->start.days;
    sel.n_obs = 0;
    for (int64_t day = first; first != INT64_MAX && day <= range->end.days; day++) {
        struct date d = {(int32_t)day};
        bool traded = false;
        wide_int p = 0;

        for (size_t i = 0; i < sel.n; i++) {
            if (sel.t[i]->day == day) {
                traded = true;
                p += sel.t[i]->net;
            }
        }
        if (!traded && (date_is_weekend(d) || (account.n_holidays != 0 && account.holidays[0].days == day)))
            continue;
        if (equity <= 0)
            sel.equity = false;
        equity += p;
        sel.obs[sel.n_obs] = day;
        sel.p[sel.n_obs++] = p;
    }
}

static void select_range(enum asset asset, const struct time_range *range)
{
    sel.n = 0;
    sel.end = range->end.days;
    sel.e0 = account.starting_equity_e8;
    for (size_t i = 0; i < n_trades; i++) {
        if (!is_in(&trades[i], asset))
            continue;
        if (range->has_start && trades[i].day < range->start.days)
            sel.e0 += trades[i].net;
        else if (trades[i].day <= range->end.days)
            sel.t[sel.n++] = &trades[i];
    }
    sel.equity = asset == ASSET_ALL && account.has_starting_equity && account.starting_equity_e8 > 0 && sel.e0 > 0;
    select_days(asset, range);
}

struct sums {
    wide_int wins, losses, n, total, profit, loss, size, risk, gross, turnover;
    wide_int hold, after[3], n_after[3], flawed, flawed_net, n_risk;
};

static struct sums sum_up(enum asset asset)
{
    struct sums s = {.n = (wide_int)sel.n};

    for (size_t i = 0; i < sel.n; i++) {
        const struct simple_trade *t = sel.t[i];

        s.wins += t->net > 0;
        s.losses += t->net < 0;
        s.total += t->net;
        s.profit += t->net > 0 ? t->net : 0;
        s.loss -= t->net < 0 ? t->net : 0;
        s.size += t->size;
        s.gross += t->gross;
        s.turnover += t->gross < 0 ? -t->gross : t->gross;
        s.risk += t->risk;
        s.n_risk += t->risk != 0;
        s.hold += t->exit_us - t->entry_us;
        s.flawed += t->flawed;
        s.flawed_net += t->flawed ? t->net : 0;
        if (t->previous[asset] != 2) {
            s.after[t->previous[asset] + 1] += t->size;
            s.n_after[t->previous[asset] + 1]++;
        }
    }
    return s;
}

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

static void check_core(const struct sums *s)
{
    int64_t last_wins, last_losses, wins = longest_run(1, &last_wins), losses = longest_run(-1, &last_losses);
    const struct simple_trade *best = NULL, *worst = NULL;

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

/* Drawdown from the list of points, each spell looked at from its peak. */
struct points {
    wide_int value[MAX_TRADES + 1];
    int64_t day[MAX_TRADES + 1];
    size_t n;
};

static struct points points;

static void make_points(void)
{
    wide_int value = 0;

    points.n = 1;
    points.value[0] = 0;
    points.day[0] = sel.n == 0 ? 0 : sel.t[0]->day;
    for (size_t i = 0; i < sel.n; i++) {
        value += sel.t[i]->net;
        if (i + 1 < sel.n && sel.t[i + 1]->exit_us == sel.t[i]->exit_us)
            continue;
        points.value[points.n] = value;
        points.day[points.n++] = sel.t[i]->day;
    }
}

static void check_drawdown(void)
{
    size_t peak = 0, deep_peak = 0, deep = 0, recovery = 0;
    wide_int depth = 0;
    long double percent = 0;
    int64_t longest = 0;

    for (size_t i = 1; i < points.n; i++) {
        if (points.value[i] >= points.value[peak])
            peak = i;
        long double share =
            100 * (long double)(points.value[peak] - points.value[i]) / (long double)(sel.e0 + points.value[peak]);
        int64_t until = i + 1 < points.n ? points.day[i + 1] : sel.end;

        percent = share > percent ? share : percent;
        bool spell_ends = i + 1 == points.n || points.value[i + 1] >= points.value[peak];

        if (peak != i && spell_ends && until - points.day[peak] > longest)
            longest = until - points.day[peak];
        if (points.value[peak] - points.value[i] > depth) {
            depth = points.value[peak] - points.value[i];
            deep_peak = peak;
            deep = i;
        }
    }
    for (size_t i = deep; depth > 0 && recovery == 0 && i < points.n; i++)
        if (points.value[i] >= points.value[deep_peak])
            recovery = i;
    check_exact("maximum_drawdown", depth, MONEY_SCALE, 4);
    check_float("maximum_drawdown_percentage", sel.equity && sel.n != 0 ? percent : (long double)NAN, 4);
    check_day("maximum_drawdown_peak_date", depth > 0, points.day[deep_peak]);
    check_day("maximum_drawdown_trough_date", depth > 0, points.day[deep]);
    check_day("maximum_drawdown_recovery_date", recovery != 0, points.day[recovery]);
    check_count("maximum_drawdown_duration_days", longest);
    check_exact("current_drawdown", points.value[peak] - points.value[points.n - 1], MONEY_SCALE, 4);
    check_count("current_drawdown_duration_days",
                points.value[points.n - 1] < points.value[peak] ? sel.end - points.day[peak] : 0);
}

static int compare_wide(const void *a, const void *b)
{
    wide_int x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int compare_long_double(const void *a, const void *b)
{
    long double x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static long double quantile(const long double *sorted, size_t n, size_t part)
{
    long double h = (long double)((n - 1) * part) / 20;
    size_t at = ((n - 1) * part) / 20;

    return at + 1 < n ? sorted[at] + (h - (long double)at) * (sorted[at + 1] - sorted[at]) : sorted[at];
}

static void check_tails(size_t n)
{
    static wide_int sorted[MAX_DAYS];

    memcpy(sorted, sel.p, n * sizeof sorted[0]);
    qsort(sorted, n, sizeof sorted[0], compare_wide);
    for (int i = 0; i < 2; i++) {
        size_t whole = i == 0 ? 20 : 100, at = n < 2 ? 0 : (n - 1) / whole;
        wide_int rest = n < 2 ? 0 : (wide_int)((n - 1) % whole), sum = 0;

        for (size_t k = 0; n >= 2 && k <= at; k++)
            sum += sorted[k];
        check_exact(i == 0 ? "var_95" : "var_99",
                    n < 2 ? 0 : sorted[at] * ((wide_int)whole - rest) + sorted[at + (rest != 0)] * rest,
                    n < 2 ? 0 : (wide_int)whole * MONEY_SCALE, 4);
        check_exact(i == 0 ? "expected_shortfall_95" : "expected_shortfall_99", sum,
                    n < 2 ? 0 : (wide_int)(at + 1) * MONEY_SCALE, 4);
    }
}

static long double deviation(const long double *x, size_t n)
{
    long double mean = 0, squares = 0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (long double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return n < 2 ? (long double)NAN : sqrtl(squares / (long double)(n - 1));
}

static long double mean_power(const long double *x, size_t n, int power)
{
    long double mean = 0, sum = 0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (long double)n;
    for (size_t i = 0; i < n; i++)
        sum += powl(x[i] - mean, power);
    return sum / (long double)n;
}

static long double downside_of(const long double *x, size_t n)
{
    long double squares = 0;

    for (size_t i = 0; i < n; i++)
        squares += x[i] < 0 ? x[i] * x[i] : 0;
    return n < 2 ? (long double)NAN : sqrtl(squares / (long double)n);
}

static void check_distribution(long double *x, size_t n, long double rate)
{
    long double mean = 0, dd = downside_of(x, n), sd = deviation(x, n), low, high, nn = (long double)n;
    bool flat = true;

    for (size_t i = 0; i < n; i++) {
        mean += x[i] / nn;
        flat = flat && x[i] == x[0];
    }
    check_float("sortino_ratio", dd > 0 ? mean / dd * sqrtl(252) : (long double)NAN, 6);
    check_float("sharpe_ratio", n >= 2 && !flat ? (mean - rate) / sd * sqrtl(252) : (long double)NAN, 6);
    low = mean_power(x, n, 2);
    check_float("skewness",
                n >= 3 && !flat ? mean_power(x, n, 3) / powl(low, 1.5L) * sqrtl(nn * (nn - 1)) / (nn - 2)
                                : (long double)NAN,
                6);
    check_float("kurtosis",
                n >= 4 && !flat
                    ? (nn - 1) / ((nn - 2) * (nn - 3)) * ((nn + 1) * (mean_power(x, n, 4) / (low * low) - 3) + 6)
                    : (long double)NAN,
                6);
    qsort(x, n, sizeof x[0], compare_long_double);
    low = n < 2 ? 0 : quantile(x, n, 1);
    high = n < 2 ? 0 : quantile(x, n, 19);
    check_float("tail_ratio", low < 0 || low > 0 ? fabsl(high) / fabsl(low) : (long double)NAN, 6);
}

/* Mean over calendar years of the largest loss of the peak within the year, percent. */
static long double mean_year_loss(void)
{
    long double sum = 0;
    size_t years = 0;

    for (size_t i = 0; i < sel.n_obs; i++) {
        struct date d = {(int32_t)sel.obs[i]};
        int year = date_to_civil(d).year;
        long double peak, worst = 0;

        d.days = (int32_t)sel.obs[i == 0 ? 0 : i - 1];
        if (i != 0 && date_to_civil(d).year == year)
            continue;
        years++;
        peak = -1;
        for (size_t k = 1; k < points.n; k++) {
            d.days = (int32_t)points.day[k];
            if (date_to_civil(d).year != year)
                continue;
            if (peak < 0)
                peak = (long double)(sel.e0 + points.value[k - 1]);
            peak = fmaxl(peak, (long double)(sel.e0 + points.value[k]));
            worst = fmaxl(worst, 100 * (peak - (long double)(sel.e0 + points.value[k])) / peak);
        }
        sum += worst;
    }
    return sum / (long double)years;
}

static void check_growth(const struct sums *s)
{
    size_t n = sel.n_obs;
    long double growth = NAN, squares = 0, peak = (long double)sel.e0, equity = peak;

    if (n >= 21 && sel.e0 + s->total > 0)
        growth = 100 * powl((long double)(sel.e0 + s->total) / (long double)sel.e0, 252 / (long double)n) - 100;
    for (size_t i = 0; i < n; i++) {
        equity += (long double)sel.p[i];
        peak = fmaxl(peak, equity);
        squares += powl(100 * (peak - equity) / peak, 2);
    }
    check_float("ulcer_index", sqrtl(squares / (long double)n), 6);
    check_float("sterling_ratio", growth / (mean_year_loss() + 10), 6);
}

static long double k_ratio(void)
{
    long double n = (long double)sel.n, sx = 0, sy = 0, sxx = 0, sxy = 0, slope, rss = 0, y = 0;
    bool straight = true;

    for (size_t i = 2; i < sel.n; i++)
        straight = straight && sel.t[i]->net == sel.t[1]->net;
    if (sel.n < 3 || straight)
        return NAN;
    for (size_t i = 0; i < sel.n; i++) {
        y += (long double)sel.t[i]->net;
        sx += (long double)(i + 1);
        sy += y;
    }
    y = 0;
    for (size_t i = 0; i < sel.n; i++) {
        y += (long double)sel.t[i]->net;
        sxx += powl((long double)(i + 1) - sx / n, 2);
        sxy += ((long double)(i + 1) - sx / n) * (y - sy / n);
    }
    slope = sxy / sxx;
    y = 0;
    for (size_t i = 0; i < sel.n; i++) {
        y += (long double)sel.t[i]->net;
        rss += powl(y - sy / n - slope * ((long double)(i + 1) - sx / n), 2);
    }
    return slope / sqrtl(rss / (n - 2) / sxx);
}

static void check_risk(const struct sums *s)
{
    static long double p[MAX_DAYS], x[MAX_DAYS], net[MAX_TRADES];
    long double equity = (long double)sel.e0, rate;
    size_t n = sel.n_obs;
    wide_int losing = 0;
    bool flat = true;

    check_count("observations", (int64_t)n);
    check_drawdown();
    if (sel.n == 0) {
        check_float("sharpe_ratio", NAN, 6);
        check_float("volatility", NAN, 4);
        check_exact("var_95", 0, 0, 4);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        p[i] = (long double)sel.p[i];
        x[i] = sel.equity ? p[i] / equity : p[i];
        equity += p[i];
        losing -= sel.p[i] < 0 ? sel.p[i] : 0;
    }
    for (size_t i = 0; i < sel.n; i++) {
        net[i] = (long double)sel.t[i]->net;
        flat = flat && sel.t[i]->net == sel.t[0]->net;
    }
    rate = sel.equity ? powl(1.02L, 1 / 252.0L) - 1 : 0;
    check_float("volatility", deviation(p, n) / MONEY_SCALE, 4);
    check_float("downside_deviation", downside_of(p, n) / MONEY_SCALE, 4);
    check_float("volatility_annualized_percentage", sel.equity ? 100 * deviation(x, n) * sqrtl(252) : (long double)NAN,
                4);
    check_distribution(x, n, rate);
    check_tails(n);
    if (sel.equity)
        check_growth(s);
    check_exact("gain_to_pain_ratio", s->total, losing, 6);
    check_exact("average_risk_per_trade", s->risk, s->n_risk * MONEY_SCALE, 4);
    check_float("t_statistic",
                sel.n < 2 || flat
                    ? (long double)NAN
                    : (long double)s->total / (long double)sel.n / (deviation(net, sel.n) / sqrtl((long double)sel.n)),
                6);
    check_float("k_ratio", k_ratio(), 6);
}

static void check_median(const char *key, wide_int *v, size_t n, wide_int unit, int decimals)
{
    qsort(v, n, sizeof v[0], compare_wide);
    check_exact(key, n == 0 ? 0 : v[(n - 1) / 2] + v[n / 2], n == 0 ? 0 : 2 * unit, decimals);
}

static void check_r(void)
{
    static long double r[MAX_TRADES];
    size_t k = 0;
    long double mean = 0;
    bool flat = true;

    for (size_t i = 0; i < sel.n; i++)
        if (sel.t[i]->risk != 0)
            r[k++] = (long double)sel.t[i]->net / (long double)sel.t[i]->risk;
    for (size_t i = 0; i < k; i++) {
        mean += r[i] / (long double)k;
        flat = flat && r[i] == r[0];
    }
    check_count("r_trade_count", (int64_t)k);
    check_float("average_r_multiple", k == 0 ? (long double)NAN : mean, 6);
    check_float("r_multiple_standard_deviation", deviation(r, k), 6);
    check_float("system_quality_number",
                k < 2 || flat ? (long double)NAN : sqrtl((long double)k) * mean / deviation(r, k), 6);
    qsort(r, k, sizeof r[0], compare_long_double);
    check_float("median_r_multiple", k == 0 ? (long double)NAN : (r[(k - 1) / 2] + r[k / 2]) / 2, 6);
}

/* Months (divisor 1) or quarters (3) with exits and with profit. */
static void check_periods(const char *key, int months)
{
    wide_int n = 0, winning = 0;
    int last = INT32_MIN;
    wide_int net = 0;

    for (size_t i = 0; i <= sel.n_obs; i++) {
        struct date d = {i < sel.n_obs ? (int32_t)sel.obs[i] : INT32_MAX / 2};
        struct civil c = date_to_civil(d);
        int period = (c.year * 12 + c.month - 1) / months;
        bool traded = false;

        for (size_t k = 0; i < sel.n_obs && k < sel.n && !traded; k++)
            traded = sel.t[k]->day == sel.obs[i];
        if (i < sel.n_obs && !traded)
            continue;
        if (period != last && last != INT32_MIN) {
            n++;
            winning += net > 0;
            net = 0;
        }
        last = period;
        net += i < sel.n_obs ? sel.p[i] : 0;
    }
    check_exact(key, 100 * winning, n, 4);
}

static void check_performance(const struct sums *s)
{
    static wide_int net[MAX_TRADES], hold[MAX_TRADES];
    static long double size[MAX_TRADES];
    wide_int clean = s->n - s->flawed;
    int64_t trading_days = 0;

    for (size_t i = 0; i < sel.n; i++) {
        net[i] = sel.t[i]->net;
        hold[i] = sel.t[i]->exit_us - sel.t[i]->entry_us;
        size[i] = (long double)sel.t[i]->size / MONEY_SCALE;
        bool seen = false;

        for (size_t k = 0; k < i && !seen; k++)
            seen = sel.t[k]->day == sel.t[i]->day;
        trading_days += !seen;
    }
    check_exact("trade_expectancy", s->total, s->n * MONEY_SCALE, 4);
    check_exact("edge", s->total * s->losses, s->n * s->loss, 6);
    check_median("median_trade", net, sel.n, MONEY_SCALE, 4);
    check_median("median_hold_time_days", hold, sel.n, US_PER_DAY, 6);
    check_exact("average_hold_time_days", s->hold, s->n * US_PER_DAY, 6);
    check_float("position_size_standard_deviation", deviation(size, sel.n), 4);
    check_exact("average_position_size_after_win", s->after[2], s->n_after[2] * MONEY_SCALE, 4);
    check_exact("average_position_size_after_loss", s->after[0], s->n_after[0] * MONEY_SCALE, 4);
    check_exact("kelly_criterion", s->wins * (s->profit - s->loss),
                s->losses == 0 ? 0 : (s->wins + s->losses) * s->profit, 6);
    check_r();
    check_exact("consistency_ratio", s->wins * (s->profit - s->loss), s->n * s->profit, 6);
    check_periods("monthly_win_rate", 1);
    check_periods("quarterly_win_rate", 3);
    check_count("trading_days", trading_days);
    check_exact("average_daily_pnl", s->total, (wide_int)trading_days * MONEY_SCALE, 4);
    check_exact("trades_per_week", 7 * s->n, sel.n == 0 ? 0 : sel.end - sel.obs[0] + 1, 6);
    check_exact("commission_impact_percentage", 100 * (s->gross - s->total), s->turnover, 4);
    check_exact("clean_expectancy", s->total - s->flawed_net, clean * MONEY_SCALE, 4);
    check_exact("mistake_cost", (s->total - s->flawed_net) * s->flawed - s->flawed_net * clean,
                s->flawed == 0 ? 0 : clean * MONEY_SCALE, 4);
}

/* --- time series (metrics.md 11) ------------------------------------------------------------------- */

/* All closed trades of the asset, and their observation days up to today. */
struct history {
    const struct simple_trade *t[MAX_TRADES];
    size_t n;
    int64_t obs[MAX_DAYS];
    wide_int p[MAX_DAYS];
    size_t exits[MAX_DAYS];
    size_t n_obs;
};

static struct history history;

static void select_history(enum asset asset, int64_t today)
{
    int64_t first = INT64_MAX;

    history.n = 0;
    history.n_obs = 0;
    for (size_t i = 0; i < n_trades; i++) {
        if (!is_in(&trades[i], asset))
            continue;
        history.t[history.n++] = &trades[i];
        first = trades[i].day < first ? trades[i].day : first;
    }
    for (int64_t day = first; first != INT64_MAX && day <= today; day++) {
        struct date d = {(int32_t)day};
        size_t n = 0;
        wide_int p = 0;

        for (size_t i = 0; i < history.n; i++) {
            n += history.t[i]->day == day;
            p += history.t[i]->day == day ? history.t[i]->net : 0;
        }
        if (n == 0 && (date_is_weekend(d) || holiday.days == day))
            continue;
        history.obs[history.n_obs] = day;
        history.p[history.n_obs] = p;
        history.exits[history.n_obs++] = n;
    }
}

static void date_text(int64_t day, char series[DATE_TEXT_SIZE])
{
    struct date d = {(int32_t)day};

    date_format(d, series);
}

/* Points `document` behind the date of the next point of the series at hand. */
static void enter_point(const char *date)
{
    char wanted[40];

    (void)snprintf(wanted, sizeof wanted, "{\"date\":\"%s\",", date);
    document = strstr(document, "{\"date\":");
    if (document == NULL || strncmp(document, wanted, strlen(wanted)) != 0)
        fail_msg("%s: a point begins with %.30s instead of %s", context, document == NULL ? "?" : document, wanted);
    document += strlen(wanted);
}

static void enter_series(const char *series, const char *key)
{
    document = series;
    document = found(key);
}

/* The series ends here. */
static void leave_series(void)
{
    const char *close = strchr(document, ']');

    if (close == NULL || (strchr(document, '{') != NULL && strchr(document, '{') < close))
        fail_msg("%s: the series has more points: %.60s", context, document);
}

/* The next day after `day` with an exit in the range; INT64_MAX: none. */
static int64_t next_day(int64_t day)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < sel.n; i++)
        if (sel.t[i]->day > day && sel.t[i]->day < next)
            next = sel.t[i]->day;
    return next;
}

static void period_text(int period, int64_t day, char name[40])
{
    struct date d = {(int32_t)day};
    struct civil civil = date_to_civil(d);
    int year, week;

    date_iso_week(d, &year, &week);
    if (period == 0)
        (void)snprintf(name, 40, "%04d-%02d-%02d", civil.year, civil.month, civil.day);
    else if (period == 1)
        (void)snprintf(name, 40, "%04d-W%02d", year, week);
    else
        (void)snprintf(name, 40, "%04d-%02d", civil.year, civil.month);
}

static void check_period_pnl(const char *series, const char *key, int period)
{
    char previous[40] = "", name[40], other[40];

    enter_series(series, key);
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        wide_int value = 0, cumulative = 0;
        int64_t n = 0;

        period_text(period, day, name);
        if (strcmp(name, previous) == 0)
            continue;
        for (size_t i = 0; i < sel.n; i++) {
            period_text(period, sel.t[i]->day, other);
            value += strcmp(other, name) == 0 ? sel.t[i]->net : 0;
            n += strcmp(other, name) == 0;
            cumulative += sel.t[i]->day < day || strcmp(other, name) == 0 ? sel.t[i]->net : 0;
        }
        enter_point(name);
        check_exact("value", value, MONEY_SCALE, 4);
        check_exact("cumulative_value", cumulative, MONEY_SCALE, 4);
        check_count("trade_count", n);
        (void)snprintf(previous, sizeof previous, "%s", name);
    }
    leave_series();
}

static void check_rolling_wins(const char *series, const char *key, size_t k)
{
    char date[DATE_TEXT_SIZE];

    enter_series(series, key);
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        size_t last = 0, wins = 0;

        for (size_t i = 0; i < history.n; i++)
            if (history.t[i]->day == day)
                last = i + 1;
        for (size_t i = last < k ? 0 : last - k; i < last; i++)
            wins += history.t[i]->net > 0;
        date_text(day, date);
        enter_point(date);
        check_exact("value", 100 * (wide_int)wins, last < k ? 0 : (wide_int)k, 4);
        check_exact("cumulative_value", 100 * (wide_int)wins, last < k ? 0 : (wide_int)k, 4);
        check_count("trade_count", (int64_t)(last < k ? last : k));
    }
    leave_series();
}

static long double sharpe_of_window(size_t last, size_t k)
{
    long double x[50], mean = 0, rate = 0, least, most;
    wide_int equity = account.starting_equity_e8;

    if (last + 1 < k)
        return NAN;
    for (size_t i = 0; i <= last; i++) {
        if (i + k > last) {
            x[i + k - last - 1] = (long double)history.p[i];
            if (sel.equity && equity <= 0)
                return NAN;
            if (sel.equity)
                x[i + k - last - 1] /= (long double)equity;
        }
        equity += history.p[i];
    }
    least = most = x[0];
    for (size_t i = 0; i < k; i++) {
        mean += x[i] / (long double)k;
        least = fminl(least, x[i]);
        most = fmaxl(most, x[i]);
    }
    if (most - least <= (sel.equity ? 1e-12L * fmaxl(fabsl(least), fabsl(most)) : 0))
        return NAN;
    if (sel.equity)
        rate = powl(1 + (long double)account.risk_free_rate_e8 / MONEY_SCALE, 1 / 252.0L) - 1;
    return (mean - rate) / deviation(x, k) * sqrtl(252);
}

static void check_rolling_sharpe(const char *series, const char *key, size_t k)
{
    char date[DATE_TEXT_SIZE];

    enter_series(series, key);
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        size_t last = 0;
        int64_t exits = 0;

        while (history.obs[last] != day)
            last++;
        for (size_t i = last + 1 < k ? 0 : last + 1 - k; i <= last; i++)
            exits += (int64_t)history.exits[i];
        date_text(day, date);
        enter_point(date);
        check_float("value", sharpe_of_window(last, k), 6);
        check_float("cumulative_value", sharpe_of_window(last, k), 6);
        check_count("trade_count", exits);
    }
    leave_series();
}

static void check_drawdown_curve(const char *series)
{
    char date[DATE_TEXT_SIZE];

    enter_series(series, "drawdown_curve");
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        wide_int peak = 0, at_end = 0, deepest = 0, peak_at_end = 0;

        for (size_t i = 1; i < points.n; i++) {
            peak = points.value[i] > peak ? points.value[i] : peak;
            if (points.day[i] != day)
                continue;
            at_end = peak - points.value[i];
            peak_at_end = peak;
            deepest = at_end > deepest ? at_end : deepest;
        }
        date_text(day, date);
        enter_point(date);
        check_exact("value", at_end, MONEY_SCALE, 4);
        check_exact("cumulative_value", at_end, MONEY_SCALE, 4);
        check_exact("max_value", deepest, MONEY_SCALE, 4);
        check_exact("percentage", 100 * at_end, sel.equity ? sel.e0 + peak_at_end : 0, 4);
    }
    leave_series();
}

static int hour_of(int64_t us)
{
    struct instant t = {us};

    return timezone_to_local(account.zone, t).hour;
}

static void check_maps(const char *series)
{
    static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    wide_int by_weekday[7] = {0}, by_month[12] = {0}, by_hour[24] = {0}, by_entry_hour[24] = {0};
    char hour[12];

    for (size_t i = 0; i < sel.n; i++) {
        struct date d = {(int32_t)sel.t[i]->day};

        by_weekday[date_weekday(d)] += sel.t[i]->net;
        by_month[date_to_civil(d).month - 1] += sel.t[i]->net;
        by_hour[hour_of(sel.t[i]->exit_us)] += sel.t[i]->net;
        by_entry_hour[hour_of(sel.t[i]->entry_us)] += sel.t[i]->net;
    }
    enter_series(series, "profit_by_day_of_week");
    for (int i = 0; i < 7; i++)
        check_exact(weekdays[i], by_weekday[i], MONEY_SCALE, 4);
    enter_series(series, "profit_by_month");
    for (int i = 0; i < 12; i++)
        check_exact(months[i], by_month[i], MONEY_SCALE, 4);
    for (int entry = 0; entry < 2; entry++) {
        enter_series(series, entry ? "profit_by_entry_hour" : "profit_by_hour");
        for (int i = 0; i < 24; i++) {
            (void)snprintf(hour, sizeof hour, "%02d", i % 24);
            check_exact(hour, entry ? by_entry_hour[i] : by_hour[i], MONEY_SCALE, 4);
        }
    }
}

static void check_time_series(const char *series)
{
    long double growth = NAN;
    wide_int total = 0;

    check_period_pnl(series, "daily_pnl", 0);
    check_period_pnl(series, "weekly_pnl", 1);
    check_period_pnl(series, "monthly_pnl", 2);
    check_rolling_wins(series, "rolling_win_rate_20", 20);
    check_rolling_wins(series, "rolling_win_rate_50", 50);
    check_rolling_wins(series, "rolling_win_rate_100", 100);
    check_rolling_sharpe(series, "rolling_sharpe_ratio_20", 20);
    check_rolling_sharpe(series, "rolling_sharpe_ratio_50", 50);
    check_drawdown_curve(series);
    check_maps(series);
    for (size_t i = 0; i < sel.n; i++)
        total += sel.t[i]->net;
    if (sel.equity && sel.n != 0 && sel.n_obs >= 21 && sel.e0 + total > 0)
        growth = 100 * powl((long double)(sel.e0 + total) / (long double)sel.e0, 252 / (long double)sel.n_obs) - 100;
    document = series;
    check_exact("cumulative_return", total, MONEY_SCALE, 4);
    check_exact("total_return_percentage", 100 * total, sel.equity && sel.n != 0 ? sel.e0 : 0, 4);
    check_float("annualized_return", growth, 4);
    check_count("total_trades", (int64_t)sel.n);
}

/* --- driving --------------------------------------------------------------------------------------- */

typedef void write_section(const struct report *, size_t, struct json_writer *);

static void write_to(struct buf *out, write_section *write, const struct report *report, size_t range)
{
    struct json_writer w;

    buf_clear(out);
    json_init(&w, out);
    write(report, range, &w);
    assert_false(out->failed);
    document = out->data;
}

static void write_series_to(struct buf *out, struct report *report, size_t range)
{
    struct json_writer w;

    buf_clear(out);
    json_init(&w, out);
    assert_int_equal(report_compute_time_series(report, range, NULL), STATUS_OK);
    report_write_time_series(report, &w);
    assert_false(out->failed);
}

static void check_ranges(struct report *report, enum asset asset, const struct time_range *ranges, size_t n)
{
    struct buf out = BUF_INIT;

    for (size_t i = 0; i < n; i++) {
        char name[160];
        struct sums s;

        (void)snprintf(name, sizeof name, "%s, %zu trades, %s, %s from %d", timezone_name(account.zone), n_trades,
                       asset_text(asset), range_name_text(ranges[i].name), (int)ranges[i].start.days);
        context = name;
        select_range(asset, &ranges[i]);
        make_points();
        s = sum_up(asset);
        write_to(&out, report_write_core, report, i);
        check_core(&s);
        write_to(&out, report_write_risk, report, i);
        check_risk(&s);
        write_to(&out, report_write_performance, report, i);
        check_performance(&s);
        write_series_to(&out, report, i);
        check_time_series(out.data);
    }
    buf_release(&out);
}

static bool days_went_back;

static void check_journal(struct report *report, struct journal *j)
{
    struct time_range ranges[RANGE_PRESETS], custom;
    struct range_request request = {.name = RANGE_CUSTOM, .has_start = below(4) != 0, .has_end = true};

    load(j);
    days_went_back |= j->days_go_back;
    for (enum asset asset = ASSET_ALL; asset <= ASSET_OPTIONS; asset++) {
        select_history(asset, j->today.days);
        for (size_t i = 0; i < RANGE_PRESETS; i++) {
            struct range_request preset = {.name = (enum range_name)i};

            ranges[i] = time_range_resolve(&preset, j->today);
        }
        assert_int_equal(report_compute(report, j, asset, ranges, RANGE_PRESETS, NULL), STATUS_OK);
        check_ranges(report, asset, ranges, RANGE_PRESETS);
        request.start = date_add_days(j->today, -(int)below(300));
        request.end = date_add_days(request.start, (int)below(200));
        custom = time_range_resolve(&request, j->today);
        assert_int_equal(report_compute(report, j, asset, &custom, 1, NULL), STATUS_OK);
        check_ranges(report, asset, &custom, 1);
    }
}

static void set_account(const char *zone, int day_start, const char *now, int64_t equity)
{
    assert_int_equal(account_init_default(&account, NULL), STATUS_OK);
    assert_int_equal(timezone_open(zone, &account.zone, NULL), STATUS_OK);
    account.trading_day_start = day_start;
    account.has_starting_equity = equity != 0;
    account.starting_equity_e8 = equity * MONEY_SCALE;
    as_of = instant_of(now);
    holiday = date_add_days(trading_day(account.zone, day_start, as_of), -30);
    account.holidays = &holiday;
    account.n_holidays = 1;
    clocks_back.us = strcmp(zone, "America/St_Johns") == 0 ? instant_of("2006-10-29T02:31:00Z").us : 0;
}

static const struct {
    const char *zone;
    int day_start;
    const char *now;
    int64_t equity;
} accounts[] = {
    {"America/New_York", 0, "2025-03-12T20:00:00Z", 100000},
    {"America/New_York", 17, "2024-03-01T04:59:59.999999Z", 0},
    {"Europe/Berlin", 2, "2024-02-29T23:00:00Z", 300},
    {"America/St_Johns", 0, "2006-11-02T12:00:00Z", 50000}, /* clocks went back at 00:01: days come twice */
    {"Pacific/Apia", 0, "2012-01-10T00:00:00Z", 100000},    /* 30 December 2011 did not happen */
    {"UTC", 23, "1975-01-01T00:00:00Z", 2000},
};

static void test_random_journals_agree_with_brute_force(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 5, 17, 60, 300};
    static const int64_t spans[] = {1, 3, 40, 800};
    struct journal j;
    struct report *report;

    (void)state;
    random_state = 20250711;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    for (size_t a = 0; a < sizeof accounts / sizeof accounts[0]; a++) {
        set_account(accounts[a].zone, accounts[a].day_start, accounts[a].now, accounts[a].equity);
        for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
            for (size_t s = 0; s < sizeof spans / sizeof spans[0]; s++) {
                make_journal(sizes[n], spans[s], MONEY_SCALE);
                check_journal(report, &j);
            }
        }
    }
    assert_true(days_went_back);
    report_free(&report);
    journal_release(&j);
}

static void test_a_large_random_journal_agrees_with_brute_force(void **state)
{
    struct journal j;
    struct report *report;

    (void)state;
    random_state = 7;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 100000);
    make_journal(MAX_TRADES, 500, MONEY_SCALE / 100);
    check_journal(report, &j);
    report_free(&report);
    journal_release(&j);
}

static void all_sections(struct report *report, struct journal *j, struct buf *out)
{
    struct time_range ranges[RANGE_PRESETS];
    struct json_writer w;

    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        struct range_request preset = {.name = (enum range_name)i};

        ranges[i] = time_range_resolve(&preset, j->today);
    }
    assert_int_equal(report_compute(report, j, ASSET_ALL, ranges, RANGE_PRESETS, NULL), STATUS_OK);
    buf_clear(out);
    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        json_init(&w, out);
        report_write_summary(report, i, &w);
        assert_int_equal(report_compute_time_series(report, i, NULL), STATUS_OK);
        report_write_time_series(report, &w);
    }
}

static void test_the_order_of_rows_does_not_matter(void **state)
{
    struct journal j;
    struct report *report;
    struct buf first = BUF_INIT, second = BUF_INIT;

    (void)state;
    random_state = 99;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 100000);
    make_journal(700, 400, MONEY_SCALE);
    load(&j);
    all_sections(report, &j, &first);
    for (size_t i = n_trades; i-- > 1;) {
        size_t other = (size_t)below((int64_t)i + 1);
        struct trade_row row = rows[i];

        rows[i] = rows[other];
        rows[other] = row;
    }
    load(&j);
    all_sections(report, &j, &second);
    assert_string_equal(first.data, second.data);
    buf_release(&first);
    buf_release(&second);
    report_free(&report);
    journal_release(&j);
}

static void test_ratios_do_not_depend_on_the_currency_unit(void **state)
{
    static const char *const ratios[] = {"profit_factor", "sharpe_ratio", "k_ratio",    "kelly_criterion",
                                         "edge",          "skewness",     "tail_ratio", "median_r_multiple"};
    struct journal j;
    struct report *report;
    struct buf first = BUF_INIT, second = BUF_INIT;

    (void)state;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 0);
    for (int round = 0; round < 2; round++) {
        random_state = 1234;
        make_journal(500, 400, round == 0 ? MONEY_SCALE : 10 * MONEY_SCALE);
        load(&j);
        all_sections(report, &j, round == 0 ? &first : &second);
    }
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        const char *a, *b;

        document = first.data;
        a = found(ratios[i]);
        document = second.data;
        b = found(ratios[i]);
        assert_true(strcspn(a, ",}") == strcspn(b, ",}") && strncmp(a, b, strcspn(a, ",}")) == 0);
    }
    buf_release(&first);
    buf_release(&second);
    report_free(&report);
    journal_release(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_journals_agree_with_brute_force),
        cmocka_unit_test(test_a_large_random_journal_agrees_with_brute_force),
        cmocka_unit_test(test_the_order_of_rows_does_not_matter),
        cmocka_unit_test(test_ratios_do_not_depend_on_the_currency_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
