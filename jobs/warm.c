#include "jobs/warm.h"

#include "lib/base/text.h"
#include "lib/store/job_stream.h"

#define DELAY_S 30

int64_t warm_ahead_s(const struct settings *settings)
{
    int64_t wanted_s = WARM_EVERY_S + DELAY_S, half_s = settings->cache_ttl_analytics_s / 2;

    return wanted_s < half_s ? wanted_s : half_s;
}

enum status warm_recent(struct precompute *precompute, const struct settings *settings, struct cache *cache,
                        struct redis *redis, struct err *err)
{
    enum status status;
    char **ids = NULL;
    size_t n = 0;

    if (settings->warm_users == 0)
        return STATUS_OK;
    status = active_users_list(cache, redis, settings->active_window_s, (size_t)settings->warm_users, &ids, &n, err);
    if (status == STATUS_OK)
        status = precompute_users(precompute, n, (const char *const *)ids, err);
    text_array_free(ids, n);
    return status;
}
