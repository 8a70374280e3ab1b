/* Repeatable random numbers (xorshift64) for property tests: the same seed gives the same journal everywhere. */
#ifndef PNLCACHE_TESTS_SUPPORT_RANDOM_NUMBERS_H
#define PNLCACHE_TESTS_SUPPORT_RANDOM_NUMBERS_H

#include <stdint.h>

static uint64_t random_state; /* the seed; not 0 */

/* 0 .. bound - 1 */
static inline int64_t below(int64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int64_t)((random_state >> 11) % (uint64_t)bound);
}

#endif
