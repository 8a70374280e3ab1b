/* Values computed by hand from the definitions in the header, and one published series. tests/integration/test_indicators.py compares
 * whole random series with another implementation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "jobs/analytics/indicators.h"
#include "lib/base/money.h"

#define MAX_BARS 64

static const struct indicator_periods short_periods = {.sma = 3,
                                                       .ema = 3,
                                                       .rsi = 2,
                                                       .macd_fast = 2,
                                                       .macd_slow = 3,
                                                       .macd_signal = 2,
                                                       .bollinger = 3,
                                                       .bollinger_width = 2,
                                                       .atr = 2,
                                                       .volatility = 2};

static void assert_close(const char *what, size_t i, double actual, double expected)
{
    bool same = isnan(expected) ? isnan(actual) : fabs(actual - expected) <= 5e-9 * (1 + fabs(expected));

    if (!same)
        fail_msg("%s[%zu]: %.12g, expected %.12g", what, i, actual, expected);
}

/* Bars with a range of 1 above and below the close. */
static void make_bars(const double *closes, size_t n, struct bar *bars)
{
    for (size_t i = 0; i < n; i++) {
        int64_t close = (int64_t)llround(closes[i] * MONEY_SCALE);
        bars[i] = (struct bar){.date = {(int32_t)i},
                               .has_range = true,
                               .high_e8 = close + MONEY_SCALE,
                               .low_e8 = close - MONEY_SCALE,
                               .close_e8 = close};
    }
}

static void test_compute_of_five_bars_gives_the_values_computed_by_hand(void **state)
{
    static const double closes[] = {2, 4, 6, 8, 4};
    struct bar bars[5];
    struct indicator_row rows[5];
    const double root = sqrt(8.0 / 3), year = 100 * sqrt(252);
    /* EMA(2), a = 2/3: -, 3, 5, 7, 5; EMA(3), a = 1/2: -, -, 4, 6, 5. MACD: 1, 1, 0; signal (2): -, 1, 1/3. */
    const struct indicator_row expected[] = {
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        /* rises 2, 2; true ranges max(2, |5 - 2|, |3 - 2|) = 3, 3 */
        {4, 4, 100, 1, NAN, NAN, 4, 4 + 2 * root, 4 - 2 * root, 3, year * log(4.0 / 3) / sqrt(2)},
        {6, 6, 100, 1, 1, 0, 6, 6 + 2 * root, 6 - 2 * root, 3, year * log(9.0 / 8) / sqrt(2)},
        /* rises (2 + 0) / 2, falls (0 + 4) / 2; true range 8 - 3 = 5, (3 + 5) / 2; returns ln(4/3), ln(1/2) */
        {6, 5, 100.0 / 3, 0, 1.0 / 3, -1.0 / 3, 6, 6 + 2 * root, 6 - 2 * root, 4, year * log(8.0 / 3) / sqrt(2)},
    };

    (void)state;
    make_bars(closes, 5, bars);
    indicators_compute(bars, 5, &short_periods, rows);
    for (size_t i = 0; i < 5; i++) {
        assert_close("sma", i, rows[i].sma, expected[i].sma);
        assert_close("ema", i, rows[i].ema, expected[i].ema);
        assert_close("rsi", i, rows[i].rsi, expected[i].rsi);
        assert_close("macd", i, rows[i].macd, expected[i].macd);
        assert_close("signal", i, rows[i].macd_signal, expected[i].macd_signal);
        assert_close("histogram", i, rows[i].macd_histogram, expected[i].macd_histogram);
        assert_close("middle", i, rows[i].bollinger_middle, expected[i].bollinger_middle);
        assert_close("upper", i, rows[i].bollinger_upper, expected[i].bollinger_upper);
        assert_close("lower", i, rows[i].bollinger_lower, expected[i].bollinger_lower);
        assert_close("atr", i, rows[i].atr, expected[i].atr);
        assert_close("volatility", i, rows[i].volatility, expected[i].volatility);
    }
}

/* The worked example of StockCharts' ChartSchool, "Relative Strength Index (RSI)": QQQQ, 14 days, two decimals. */
static void test_compute_of_a_published_series_gives_its_rsi(void **state)
{
    static const double closes[] = {44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433,
                                    46.0826, 45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116,
                                    46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548, 44.0288,
                                    44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314};
    static const double rsi[] = {70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38,
                                 54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30, 33.08, 37.77};
    enum { N = sizeof closes / sizeof closes[0] };
    struct indicator_periods periods = short_periods;
    struct indicator_row rows[N];
    struct bar bars[N];

    (void)state;
    periods.rsi = 14;
    make_bars(closes, N, bars);
    indicators_compute(bars, N, &periods, rows);
    for (size_t i = 0; i < N; i++)
        if (i < 14 ? !isnan(rows[i].rsi) : fabs(rows[i].rsi - rsi[i - 14]) > 0.00501)
            fail_msg("rsi[%zu]: %.4f", i, rows[i].rsi);
}

static void test_compute_of_series_shorter_than_a_period_is_undefined(void **state)
{
    static const double closes[] = {5, 6, 7, 8};
    struct bar bars[4];
    struct indicator_row rows[4];

    (void)state;
    make_bars(closes, 4, bars);
    indicators_compute(bars, 0, &short_periods, rows);
    for (size_t n = 1; n <= 4; n++) {
        indicators_compute(bars, n, &short_periods, rows);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(isnan(rows[i].sma), i + 1 < 3);
            assert_int_equal(isnan(rows[i].ema), i + 1 < 3);
            assert_int_equal(isnan(rows[i].rsi), i < 2);
            assert_int_equal(isnan(rows[i].macd), i + 1 < 3);
            assert_int_equal(isnan(rows[i].macd_signal), i + 1 < 4);
            assert_int_equal(isnan(rows[i].bollinger_upper), i + 1 < 3);
            assert_int_equal(isnan(rows[i].atr), i < 2);
            assert_int_equal(isnan(rows[i].volatility), i < 2);
        }
    }
}

static void test_compute_of_prices_that_do_not_move_has_bands_of_no_width_and_no_rsi(void **state)
{
    static const double closes[] = {7, 7, 7, 7};
    struct bar bars[4];
    struct indicator_row rows[4];

    (void)state;
    make_bars(closes, 4, bars);
    indicators_compute(bars, 4, &short_periods, rows);
    assert_true(isnan(rows[3].rsi));
    assert_close("upper", 3, rows[3].bollinger_upper, 7);
    assert_close("lower", 3, rows[3].bollinger_lower, 7);
    assert_close("volatility", 3, rows[3].volatility, 0);
    assert_close("atr", 3, rows[3].atr, 2);
}

static void test_compute_begins_the_true_range_anew_behind_a_bar_without_range(void **state)
{
    static const double closes[] = {5, 6, 7, 8, 9, 10};
    struct bar bars[6];
    struct indicator_row rows[6];

    (void)state;
    make_bars(closes, 6, bars);
    bars[3].has_range = false;
    indicators_compute(bars, 6, &short_periods, rows);
    assert_close("atr", 2, rows[2].atr, 2);
    assert_true(isnan(rows[3].atr) && isnan(rows[4].atr));
    assert_close("atr", 5, rows[5].atr, 2);
    assert_close("sma", 3, rows[3].sma, 7);
}

static void test_compute_of_gaps_takes_the_previous_close_into_the_true_range(void **state)
{
    static const double closes[] = {50, 10, 50};
    struct bar bars[3];
    struct indicator_row rows[3];

    (void)state;
    make_bars(closes, 3, bars);
    indicators_compute(bars, 3, &short_periods, rows);
    assert_close("atr", 2, rows[2].atr, ((50 - 9) + (51 - 10)) / 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compute_of_five_bars_gives_the_values_computed_by_hand),
        cmocka_unit_test(test_compute_of_a_published_series_gives_its_rsi),
        cmocka_unit_test(test_compute_of_series_shorter_than_a_period_is_undefined),
        cmocka_unit_test(test_compute_of_prices_that_do_not_move_has_bands_of_no_width_and_no_rsi),
        cmocka_unit_test(test_compute_begins_the_true_range_anew_behind_a_bar_without_range),
        cmocka_unit_test(test_compute_of_gaps_takes_the_previous_close_into_the_true_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
