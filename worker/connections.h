/* Connections as the settings say. */
#ifndef PNLCACHE_WORKER_CONNECTIONS_H
#define PNLCACHE_WORKER_CONNECTIONS_H

#include "lib/base/settings.h"
#include "lib/store/db.h"
#include "lib/store/redis.h"

/* Neither connects yet. */
enum status open_db(const struct settings *settings, bool read_only, int64_t query_timeout_ms, struct db **ret_db,
                    struct err *err) MUST_CHECK;
enum status open_redis(const struct settings *settings, struct redis **ret_redis, struct err *err) MUST_CHECK;

#endif
