/* Order statistics of a column of values with the positions they came from. Every range of a report is all positions
 * from a first one on, so one arrangement of the longest range serves them all: either sorted whole, or, where each range
 * wants but one place in the order (a median), narrowed down to the values near those places. */
#ifndef PNLCACHE_JOBS_ANALYTICS_RANKING_H
#define PNLCACHE_JOBS_ANALYTICS_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/status.h"

struct ranking {
    uint64_t *keys;      /* ascending; order like the values */
    uint32_t *positions; /* of keys[i] in the column */
    bool of_doubles;
    uint64_t *spare_keys;
    uint32_t *spare_positions;
    size_t n, cap;
};

void ranking_release(struct ranking *r);

/* Stable, in linear time. Neighbouring doubles have neighbouring keys; none may be NAN. STATUS_NO_MEMORY. */
enum status ranking_sort_doubles(struct ranking *r, const double *values, size_t n) MUST_CHECK;

/* The exact order of two positions, where the values are only roundings. */
struct ranking_order {
    bool (*less)(const void *context, uint32_t a, uint32_t b);
    const void *context;
};

/* Puts values whose keys are at most `distance` apart into the exact order. */
void ranking_settle(struct ranking *r, uint64_t distance, const struct ranking_order *exact);

/* The positions of the k-th and the (k+1)-th smallest value (k from 0) among positions >= first;
 * *ret_next is the k-th again when there is no next. There must be more than k. */
void ranking_select(const struct ranking *r, uint32_t first, size_t k, uint32_t *ret_position, uint32_t *ret_next);

/* One wanted place: `first`, `k`, `position` and `next` as in ranking_select(). */
struct ranking_place {
    uint32_t first;
    size_t k;                /* changed by finding */
    uint32_t position, next; /* the answer */
    size_t bucket;           /* the finder's own */
};

/* Each finds places (by ascending `first`) as sorting the column and ranking_select() would, but sorts only values near a
 * place, and leaves only them in `r`. Linear time. exact: NULL, or the order of what each double is within 4 units in the
 * last place of. STATUS_NO_MEMORY. */
enum status ranking_find_integers(struct ranking *r, const int64_t *values, size_t n, struct ranking_place *places,
                                  size_t n_places) MUST_CHECK;
enum status ranking_find_doubles(struct ranking *r, const double *values, size_t n, const struct ranking_order *exact,
                                 struct ranking_place *places, size_t n_places) MUST_CHECK;

#endif
