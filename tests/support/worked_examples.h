/* The worked examples of metrics.md 18. A: ten closed share trades, as of 2025-04-11T20:00:00Z, starting equity 10000.
 * B: nine closed option trades, as of 2025-06-20T20:00:00Z, starting equity unknown. */
#ifndef PNLCACHE_TESTS_SUPPORT_WORKED_EXAMPLES_H
#define PNLCACHE_TESTS_SUPPORT_WORKED_EXAMPLES_H

#define EXAMPLE_A_AS_OF "2025-04-11T20:00:00Z"
#define EXAMPLE_B_AS_OF "2025-06-20T20:00:00Z"

extern const char example_a_csv[], example_b_csv[];

#endif
