/* Keeping shared datasets fresh ahead of their readers: the jobs market and reference. Which requests are worth it: those
 * that somebody made lately (the sorted set `wanted:shared`, canonical texts by time), those without required parameters, and,
 * for a dataset of one symbol, the symbols that active users hold open. */
#ifndef PNLCACHE_JOBS_DATASET_REFRESH_H
#define PNLCACHE_JOBS_DATASET_REFRESH_H

#include <stdatomic.h>

#include "jobs/dataset.h"

/* Notes that somebody asked just now; only of shared datasets with a `refresh`. At most WANTED_DATASETS are remembered, those
 * asked last, for ACTIVE_WINDOW. One round trip. */
enum status dataset_note_wanted(struct cache *cache, struct redis *redis, const struct settings *settings,
                                const struct dataset_request *request, struct err *err) MUST_CHECK;

struct dataset_refresh {
    /* in */
    const struct settings *settings;
    const struct dataset_set *set;
    enum dataset_refresh_kind kind; /* which datasets */
    struct cache *cache;
    struct redis *redis;
    struct db *db;
    const atomic_bool *stop;
    void (*on_progress)(void *context, size_t done, size_t total);
    void (*on_failed)(void *context, const struct dataset *dataset, enum status status, const char *reason);
    void (*on_too_large)(void *context,
                         const struct dataset *dataset); /* an answer is over CACHE_MAX_VALUE; may be NULL */
    void *context;
    /* out */
    size_t considered, valid, stored, unchanged, refused, failed;
};
/* The one parameter that must be given, when it is a symbol; -1: it is otherwise. */
int dataset_symbol_param(const struct dataset *dataset);

/* Recomputes one answer, unless it is valid for a while longer; `kind`, `stop` and on_progress() are not looked at. The status is that of a
 * lost server. */
enum status dataset_refresh_one(struct dataset_refresh *refresh, const struct dataset_request *request,
                                struct err *err) MUST_CHECK;
/* Recomputes what is not valid for a while longer (two minutes; less than half of its TTL), at most WANTED_DATASETS answers. One that cannot be
 * computed does not keep the others from it. The status is that of reading what to do, or of a lost server. */
enum status dataset_refresh_run(struct dataset_refresh *refresh, struct err *err) MUST_CHECK;

#endif
