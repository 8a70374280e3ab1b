/* Speed of JSON writing: the four precomputed sections of one report over all presets, again and again into one buffer,
 * in megabytes per second; beside it the generic library (cJSON) printing the very same values. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/processor_time.h"
#include "jobs/analytics/report.h"

#define TRADES 2000
#define ROUNDS 5
#define MEASURE_US 200000

static void must(enum status status, const struct err *err)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "json_bench: %s\n", err->text);
    exit(1);
}

static struct number cents(int64_t value)
{
    return (struct number){.state = NUMBER_FINITE, .e8 = value * 1000000};
}

/* Two years of stock trades with gains and losses, risk on two of three. */
static void fill(struct journal *journal, const struct account *account)
{
    struct instant as_of = {INT64_C(1749844800) * US_PER_SECOND};
    struct err err = {.text = ""};

    journal_begin(journal, account, as_of);
    for (int64_t i = 0; i < TRADES; i++) {
        int64_t price = 2000 + i * 1103 % 48000;
        struct trade_row row = {.has_id = true, .has_entry = true, .has_exit = true, .id = i + 1};

        row.symbol = (struct text_ref){.bytes = "AAPL", .len = 4};
        row.side = (struct text_ref){.bytes = "BUY", .len = 3};
        row.quantity = cents(100 * (1 + i * 17 % 500));
        row.entry_price = cents(price);
        row.exit_price = cents(price + i * 29 % 400 - 190);
        row.commissions = cents(125);
        if (i % 3 != 0)
            row.stop_loss = cents(price - 150);
        row.exit.us = as_of.us - (TRADES - i) * (730 * US_PER_DAY / TRADES);
        row.entry.us = row.exit.us - (1 + i % 200) * 3600 * US_PER_SECOND;
        must(journal_add(journal, &row, &err), &err);
    }
    journal_finish(journal);
}

typedef void section_writer(const struct report *report, size_t range, struct json_writer *w);

static section_writer *const sections[] = {report_write_summary, report_write_core, report_write_risk,
                                           report_write_performance};

/* One array of every section of every preset. */
static void write_all(const struct report *report, struct buf *out)
{
    struct json_writer w;

    buf_clear(out);
    json_init(&w, out);
    json_array_begin(&w);
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++)
        for (size_t range = 0; range < RANGE_PRESETS; range++)
            sections[s](report, range, &w);
    json_array_end(&w);
}

static void print_with_library(const cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);

    if (text == NULL) {
        fprintf(stderr, "json_bench: cJSON has no memory\n");
        exit(1);
    }
    cJSON_free(text);
}

/* Megabytes per second of our writer, or, with a tree, of the library's: the best of a few rounds. */
static double measure(const struct report *report, struct buf *out, const cJSON *tree)
{
    double best = 0;

    for (int round = 0; round < ROUNDS; round++) {
        int64_t began_us = processor_time_us(), us;
        size_t n = 0;

        do {
            if (tree == NULL)
                write_all(report, out);
            else
                print_with_library(tree);
            n++;
            us = processor_time_us() - began_us;
        } while (us < MEASURE_US);
        if ((double)(n * out->len) / (double)us > best)
            best = (double)(n * out->len) / (double)us;
    }
    return best;
}

int main(void)
{
    struct time_range ranges[RANGE_PRESETS];
    struct account account;
    struct journal journal;
    struct report *report;
    struct buf out = BUF_INIT;
    struct err err = {.text = ""};
    double ours, library;
    cJSON *tree;

    must(account_init_default(&account, &err), &err);
    must(report_new(&report, &err), &err);
    journal_init(&journal);
    fill(&journal, &account);
    for (size_t i = 0; i < RANGE_PRESETS; i++)
        ranges[i] = time_range_resolve(&(struct range_request){.name = (enum range_name)i}, journal.today);
    must(report_compute(report, &journal, ASSET_STOCKS, ranges, RANGE_PRESETS, &err), &err);
    write_all(report, &out);
    must(buf_status(&out), &err);
    tree = cJSON_ParseWithLength(out.data, out.len);
    if (tree == NULL) {
        fprintf(stderr, "json_bench: what we wrote is not JSON\n");
        return 1;
    }
    ours = measure(report, &out, NULL);
    library = measure(report, &out, tree);
    printf("json: %zu bytes of sections; cJSON prints %.1f MB/s of them from a ready tree\n", out.len, library);
    printf("bench: json_mb_per_s = %.1f\n", ours);
    printf("bench: json_vs_cjson = %.2f\n", ours / library);
    cJSON_Delete(tree);
    buf_release(&out);
    journal_release(&journal);
    report_free(&report);
    return 0;
}
