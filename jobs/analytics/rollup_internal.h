/* What the rollup_* files share: one pass, in three steps (rollup.c drives them). Nobody else includes this. */
#ifndef PNLCACHE_JOBS_ANALYTICS_ROLLUP_INTERNAL_H
#define PNLCACHE_JOBS_ANALYTICS_ROLLUP_INTERNAL_H

#include "jobs/analytics/rollup.h"

/* The trades from one range start up to the next. */
struct segment {
    bool unbounded;
    bool has_curve, in_opening_year; /* see below */
    struct date start;
    size_t first, first_r; /* index of its first trade in the columns, of its first R */
    size_t n_stocks;
    wide_int opening_e8; /* P&L of everything before it */
    struct tally tally;
    struct core core;
    struct risk_sums risk;
    struct performance_sums performance;
    struct options_metrics options;
    /* of the curve that begins here and runs to the end of the pass */
    struct drawdown drawdown;
    struct year_loss opening_year;
    double year_loss_sum;
    /* of its own trades */
    struct float_moments r_moments;
    struct integer_moments net_moments, size_moments;
    struct curve curve;
};

struct rollup {
    /* the selection's history */
    int64_t *exits_us;
    unsigned char *outcomes;
    size_t n_history;
    /* the trades in the longest range */
    int64_t *net_e8, *size_e8, *hold_us;
    size_t n;
    double *r;          /* of those with a defined risk */
    uint32_t *r_trades; /* their index in the journal */
    size_t n_r;
    size_t cap;

    struct segment segments[ROLLUP_MAX_RANGES];
    size_t n_segments, present; /* present: number of segments begun */
    struct daily daily;
    struct ranking ranking;

    /* of the pass */
    const struct journal *journal;
    enum asset asset;
    struct date end;
    bool has_starting_equity;
    wide_int curve_e8;     /* cumulative P&L */
    struct date day;       /* of the last trade of the ranges */
    struct year_loss year; /* the present calendar year, from its beginning */
    struct date year_end;
};

/* After the pass, once each: sums up every segment's own columns; then lets each take in the later ones. */
void rollup_reduce_segments(struct rollup *p);
void rollup_merge_segments(struct rollup *p);
/* Everything of the range that begins with the merged segment, but its medians. */
void rollup_finish_range(struct rollup *p, size_t segment, struct range_metrics *m);
/* The medians of all ranges; segments: where each begins. STATUS_NO_MEMORY. */
enum status rollup_set_medians(struct rollup *p, const size_t *segments, size_t n_ranges,
                               struct range_metrics *metrics) MUST_CHECK;

#endif
