/* Repeatable random numbers (xorshift64) for property tests: the same seed gives the same journal everywhere. */
#ifndef PNLCACHE_TESTS_SUPPORT_RANDOM_NUMBERS_H
#define PNLCACHE_TESTS_SUPPORT_RANDOM_NUMBERS_H

#include <stdint.h>

extern uint64_t random_state; /* the seed; not 0 */

/* 0 .. bound - 1 */
int64_t below(int64_t bound);

#endif
