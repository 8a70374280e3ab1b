#include "jobs/warm.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/store/activity_hours.h"
#include "lib/store/job_stream.h"

#define DELAY_S 30

int64_t warm_ahead_s(const struct settings *settings)
{
    int64_t wanted_s = WARM_EVERY_S + DELAY_S, half_s = settings->cache_ttl_analytics_s / 2;

    return wanted_s < half_s ? wanted_s : half_s;
}

/* --- choosing --------------------------------------------------------------------------------------------- */

/* The chosen, in order; membership by a table of positions + 1, open addressing. */
struct choice {
    char **ids;
    size_t n, max;
    size_t *table, table_size;
};

static enum status choice_init(struct choice *c, size_t max, struct err *err)
{
    *c = (struct choice){.max = max, .table_size = 2 * max + 1};
    c->ids = calloc(max, sizeof *c->ids);
    c->table = calloc(c->table_size, sizeof *c->table);
    return c->ids != NULL && c->table != NULL ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

/* Takes the id over, or frees it: chosen already, or there is no room. */
static void choice_add(struct choice *c, char *id)
{
    size_t slot = text_hash(id, strlen(id)) % c->table_size;

    while (c->table[slot] != 0 && strcmp(c->ids[c->table[slot] - 1], id) != 0)
        slot = (slot + 1) % c->table_size;
    if (c->table[slot] != 0 || c->n == c->max) {
        free(id);
        return;
    }
    c->ids[c->n++] = id;
    c->table[slot] = c->n;
}

static void choice_add_all(struct choice *c, char **ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        choice_add(c, ids[i]);
    free(ids);
}

static enum status add_recent(struct choice *c, struct cache *cache, struct redis *redis, int64_t window_s,
                              struct err *err)
{
    char **ids = NULL;
    size_t n = 0;
    enum status status = active_users_list(cache, redis, window_s, c->max, &ids, &n, err);

    if (status == STATUS_OK)
        choice_add_all(c, ids, n);
    return status;
}

static enum status add_likely(struct choice *c, struct cache *cache, struct redis *redis, struct err *err)
{
    char **ids = NULL;
    size_t n = 0;
    enum status status = activity_hours_likely(cache, redis, clock_now(), c->max, &ids, &n, err);

    if (status == STATUS_OK)
        choice_add_all(c, ids, n);
    return status;
}

enum status warm_choose(const struct settings *settings, struct cache *cache, struct redis *redis, char ***ret_ids,
                        size_t *ret_n, struct err *err)
{
    struct choice c;
    enum status status = choice_init(&c, (size_t)settings->warm_users, err);

    if (status == STATUS_OK)
        status = add_recent(&c, cache, redis, settings->cache_ttl_analytics_s, err);
    if (status == STATUS_OK)
        status = add_likely(&c, cache, redis, err);
    if (status == STATUS_OK)
        status = add_recent(&c, cache, redis, settings->active_window_s, err);
    free(c.table);
    if (status == STATUS_OK) {
        *ret_ids = c.ids;
        *ret_n = c.n;
    } else {
        text_array_free(c.ids, c.n);
    }
    return status;
}

enum status warm(struct precompute *precompute, const struct settings *settings, struct cache *cache,
                 struct redis *redis, struct err *err)
{
    enum status status;
    char **ids = NULL;
    size_t n = 0;

    if (settings->warm_users == 0)
        return STATUS_OK;
    status = warm_choose(settings, cache, redis, &ids, &n, err);
    if (status == STATUS_OK)
        status = precompute_users(precompute, n, (const char *const *)ids, err);
    text_array_free(ids, n);
    return status;
}
