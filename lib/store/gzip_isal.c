/* Of a small body, half of the time goes into making Huffman codes that fit it. Ours are much alike, so small ones share
 * codes, made once from a sample: a quarter of libdeflate's time, 7 % more bytes. Large ones, and those that this packs badly,
 * get codes of their own. */
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/gzip.h"

enum { SMALL = 8192 };

struct gzip {
    struct isal_zstream stream;
    struct isal_hufftables codes;
    uint8_t memory[ISAL_DEF_LVL1_DEFAULT];
};

/* The greater part of a document, and its meta. Others like it pack as well or nearly so. */
static char sample[] =
    "{\"success\":true,\"data\":{\"performance_metrics\":{\"trade_expectancy\":-14.8384,\"edge\":-0.057768,\"median_t"
    "rade\":-1.8325,\"trade_standard_deviation\":323.2748,\"average_hold_time_days\":4.016091,\"average_hold_time_win"
    "ners_days\":4.031079,\"average_hold_time_losers_days\":4.001344,\"median_hold_time_days\":3.729167,\"average_pos"
    "ition_size\":67487.4766,\"position_size_standard_deviation\":54747.8785,\"position_size_variability\":0.81123,\""
    "average_position_size_after_win\":62507.9929,\"average_position_size_after_loss\":72466.9603,\"kelly_criterion\""
    ":-0.064193,\"system_quality_number\":1.550932,\"system_quality_number_capped\":1.550932,\"payoff_ratio\":0.89991"
    ",\"average_r_multiple\":0.146103,\"median_r_multiple\":0.189583,\"r_multiple_standard_deviation\":0.759492,\"pos"
    "itive_r_multiple_count\":36,\"negative_r_multiple_count\":29,\"r_trade_count\":65,\"r_distribution\":[{\"label\""
    ":\"<=-1R\",\"count\":5},{\"label\":\"-1..0R\",\"count\":24},{\"label\":\"0..1R\",\"count\":24},{\"label\":\"1..2"
    "R\",\"count\":12},{\"label\":\">=2R\",\"count\":0}],\"average_planned_risk_reward\":null,\"consistency_ratio\":-"
    "0.064193,\"monthly_win_rate\":25,\"quarterly_win_rate\":50,\"monthly_win_rate_standard_deviation\":12.8067,\"dai"
    "ly_win_rate\":46.6667,\"trading_days\":90,\"winning_days\":42,\"losing_days\":48,\"break_even_days\":0,\"average"
    "_daily_pnl\":-40.5583,\"best_day\":1710.185,\"worst_day\":-1644.635,\"best_day_profit_share\":null,\"average_tra"
    "des_per_day\":2.733333,\"max_trades_per_day\":3,\"trades_per_week\":19.133333,\"average_slippage\":null,\"commis"
    "sion_impact_percentage\":0.5254,\"clean_trade_count\":246,\"flawed_trade_count\":0,\"clean_expectancy\":-14.8384"
    ",\"flawed_expectancy\":null,\"mistake_cost\":null},\"duration_performance\":{\"duration_buckets\":[{\"duration_b"
    "ucket\":\"0-1 days\",\"trade_count\":23,\"winning_trades\":11,\"losing_trades\":12,\"win_rate\":47.8261,\"total_"
    "pnl\":-466.5475,\"avg_pnl\":-20.2847,\"avg_hold_time_days\":0.5,\"best_trade\":454.3475,\"worst_trade\":-575.052"
    "5,\"profit_factor\":0.814884},{\"duration_bucket\":\"1-7 days\",\"trade_count\":190,\"winning_trades\":94,\"losi"
    "ng_trades\":96,\"win_rate\":49.4737,\"total_p,\"meta\":{\"version\":\"1\",\"user_id\":\"bench-0300\",\"computed_"
    "at\":\"2026-11-26T22:57:57.722213Z\",\"as_of\":\"2026-11-26T22:57:57.722123Z\",\"valid_until\":\"2026-11-27T05:0"
    "0:00Z\",\"currency\":\"USD\",\"time_range\":{\"name\":\"90d\",\"start_date\":\"2026-08-29\",\"end_date\":\"2026-"
    "11-26\",\"start\":\"2026-08-29T04:00:00Z\",\"end\":\"2026-11-27T05:00:00Z\",\"timezone\":\"America/New_York\",\""
    "trading_day_start\":0},\"trade_count\":246,\"trade_counts\":{\"closed\":246,\"stocks\":246,\"options\":0,\"open"
    "\":0},\"skipped_trades\":{},\"return_basis\":\"pnl\",\"starting_equity\":null,\"range_opening_equity\":null,\"ri"
    "sk_free_rate\":0.02}}";

static bool make_codes(struct isal_hufftables *ret_codes)
{
    struct isal_huff_histogram histogram;

    memset(&histogram, 0, sizeof histogram);
    isal_update_histogram((uint8_t *)sample, (int)sizeof sample - 1, &histogram);
    return isal_create_hufftables(ret_codes, &histogram) == 0;
}

struct gzip *gzip_new(void)
{
    struct gzip *g = malloc(sizeof *g);

    if (g != NULL && !make_codes(&g->codes)) {
        free(g);
        return NULL;
    }
    return g;
}

void gzip_free(struct gzip *g)
{
    free(g);
}

static size_t compress(struct gzip *g, bool own_codes, const char *bytes, size_t len, char *out, size_t room)
{
    struct isal_zstream *s = &g->stream;
    union {
        const char *borrowed;
        uint8_t *for_isal; /* which only reads it */
    } input = {bytes};

    isal_deflate_stateless_init(s);
    s->level = own_codes ? 1 : 0;
    if (own_codes) {
        s->level_buf = g->memory;
        s->level_buf_size = sizeof g->memory;
    } else if (isal_deflate_set_hufftables(s, &g->codes, IGZIP_HUFFTABLE_CUSTOM) != COMP_OK) {
        return 0;
    }
    s->gzip_flag = IGZIP_GZIP;
    s->next_in = input.for_isal;
    s->avail_in = (uint32_t)len;
    s->next_out = (uint8_t *)out;
    s->avail_out = (uint32_t)room;
    return isal_deflate_stateless(s) == COMP_OK ? s->total_out : 0;
}

size_t gzip_compress(struct gzip *g, const char *bytes, size_t len, char *out, size_t room)
{
    size_t like_ours = len / 8 * 5, n = 0;

    if (len <= SMALL)
        n = compress(g, false, bytes, len, out, room < like_ours ? room : like_ours);
    return n != 0 ? n : compress(g, true, bytes, len, out, room);
}
