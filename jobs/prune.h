/* Removing what nobody needs any more from Redis. Everything here is bounded a run: what is left is the next run's. */
#ifndef PNLCACHE_JOBS_PRUNE_H
#define PNLCACHE_JOBS_PRUNE_H

#include <stdatomic.h>

#include "lib/base/settings.h"
#include "lib/store/cache.h"

struct prune_counts {
    int64_t users;        /* out of active:users: not seen within ACTIVE_WINDOW */
    int64_t hours;        /* of users in activity:hours, worth less than one minute of sixteen weeks ago */
    int64_t dead_letters; /* older than DEAD_LETTER_AGE */
    int64_t consumers;    /* of workers that are gone, with nothing pending */
    int64_t keys_seen;    /* by the walk that looks for keys without a TTL */
    int64_t keys_bounded; /* of them: values and epochs that had lost theirs and were given one */
};

struct prune_options {
    const struct settings *settings;
    const struct cache *cache;
    struct redis *redis;
    int64_t consumer_idle_ms; /* a consumer silent for this long is gone: several times JOB_TIMEOUT */
    const atomic_bool *stop;  /* may be NULL; ends it after the present step */
    void (*on_progress)(void *context, const struct prune_counts *counts); /* may be NULL; after every step */
    void *context;
};

/* Also on failure *ret_counts says what was done. */
enum status prune(const struct prune_options *options, struct prune_counts *ret_counts, struct err *err) MUST_CHECK;

#endif
