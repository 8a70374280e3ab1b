#include "worker/connections.h"

enum status open_db(const struct settings *settings, bool read_only, int64_t query_timeout_ms, struct db **ret_db,
                    struct err *err)
{
    struct db_options options = {
        .url = settings->database_url,
        .application_name = "pnlcache-worker",
        .connect_timeout_ms = settings->database_timeout_ms,
        .query_timeout_ms = query_timeout_ms,
        .read_only = read_only,
    };

    return db_new(&options, ret_db, err);
}

enum status open_redis(const struct settings *settings, struct redis **ret_redis, struct err *err)
{
    struct redis_options options = {
        .url = settings->redis_url,
        .tls_ca = settings->redis_tls_ca,
        .client_name = "pnlcache-worker",
        .timeout_ms = settings->redis_timeout_ms,
    };

    return redis_new(&options, ret_redis, err);
}
