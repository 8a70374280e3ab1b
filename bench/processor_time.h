/* Processor time of this process: what a busy machine takes away is not counted. */
#ifndef PNLCACHE_BENCH_PROCESSOR_TIME_H
#define PNLCACHE_BENCH_PROCESSOR_TIME_H

#include <stdint.h>
#include <time.h>

static inline int64_t processor_time_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
