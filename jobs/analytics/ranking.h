/* Values in ascending order with the positions they came from: sorted once, then every range (all
 * positions from a first one on) finds its order statistics by walking the sorted positions. */
#ifndef PNLCACHE_JOBS_ANALYTICS_RANKING_H
#define PNLCACHE_JOBS_ANALYTICS_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/status.h"

struct ranking {
    uint64_t *keys;      /* ascending after ranking_sort() */
    uint32_t *positions; /* of keys[i] in the input */
    uint64_t *spare_keys;
    uint32_t *spare_positions;
    size_t n, cap;
};

void ranking_release(struct ranking *r);
/* Room for n values; n is the new count. */
enum status ranking_resize(struct ranking *r, size_t n) MUST_CHECK;

/* Keys that order like the numbers. Neighbouring doubles have neighbouring keys. */
static inline uint64_t ranking_key_int64(int64_t v)
{
    return (uint64_t)v ^ (UINT64_C(1) << 63);
}
uint64_t ranking_key_double(double v); /* not NAN */

/* Sorts the keys set by the caller; position i belongs to key i. Stable. Linear time. */
void ranking_sort(struct ranking *r);

/* Where keys are roundings of exact values: puts neighbours at most `distance` apart into the order
 * of `less`. */
void ranking_settle(struct ranking *r, uint64_t distance, bool (*less)(const void *context, uint32_t a, uint32_t b),
                    const void *context);

/* The positions of the k-th and the (k+1)-th smallest value (k from 0) among positions >= first;
 * *ret_next is the k-th again when there is no next. There must be more than k. */
void ranking_select(const struct ranking *r, uint32_t first, size_t k, uint32_t *ret_position, uint32_t *ret_next);

#endif
