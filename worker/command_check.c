/* pnlcache-worker check: what an operator wants to know before starting the daemons, one line each:
 * "ok", "warning" (works, but read on) or "FAILED" (will not work). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "jobs/dataset.h"
#include "lib/base/log.h"
#include "lib/store/db_field.h"
#include "lib/store/redis_info.h"
#include "worker/command.h"
#include "worker/connections.h"

static const char usage[] =
    "Usage: pnlcache-worker check\n\n"
    "Prints the settings in force and tries the datasets, PostgreSQL and Redis. Exit status 0:\n"
    "the worker can run (there may be warnings); 1: something has to be changed first.\n"
    "'pnlcache.fcgi --check' looks at what only the responder needs: keys, secrets, cookies.\n";

struct check {
    size_t failures;
};

__attribute__((format(printf, 3, 4))) static void say(struct check *check, const char *verdict, const char *format, ...)
{
    va_list args;

    check->failures += strcmp(verdict, "FAILED") == 0;
    printf("%-8s ", verdict);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* --- PostgreSQL ------------------------------------------------------------------------------------ */

/* A view that cannot be read is named with PostgreSQL's own words. */
static void check_readable(struct check *check, struct db *db, const char *relation)
{
    struct db_result *result = NULL;
    struct buf sql = BUF_INIT;
    struct err err = {{0}};

    buf_append_format(&sql, "SELECT user_id FROM pnlcache.%s LIMIT 1", relation);
    if (db_query(db, "", sql.data, 0, NULL, &result, &err) == STATUS_OK)
        say(check, "ok", "pnlcache.%s can be read", relation);
    else
        say(check, "FAILED", "pnlcache.%s: %s; apply sql/ as the journal's owner", relation, err.text);
    db_result_free(&result);
    buf_release(&sql);
}

static void check_outbox(struct check *check, struct db *db)
{
    static const char sql[] = "SELECT count(*), coalesce(extract(epoch FROM now() - min(noted_at))::bigint, 0),"
                              " has_table_privilege('pnlcache.change_log', 'INSERT')"
                              " AND has_table_privilege('pnlcache.change_log', 'UPDATE')"
                              " AND has_table_privilege('pnlcache.change_log', 'DELETE') FROM pnlcache.change_log";
    struct db_result *result = NULL;
    struct err err = {{0}};
    int64_t rows = 0, age_s = 0;
    bool writable = false;

    if (db_query(db, "", sql, 0, NULL, &result, &err) != STATUS_OK ||
        db_field_int64(db_result_field(result, 0, 0), &rows) != STATUS_OK ||
        db_field_int64(db_result_field(result, 0, 1), &age_s) != STATUS_OK ||
        db_field_bool(db_result_field(result, 0, 2), &writable) != STATUS_OK)
        say(check, "FAILED", "pnlcache.change_log: %s; apply sql/ as the journal's owner", err.text);
    else if (!writable)
        say(check, "FAILED", "pnlcache.change_log: the role may not write it; grant SELECT, INSERT, UPDATE, DELETE");
    else
        say(check, rows > 0 && age_s > 60 ? "warning" : "ok", "outbox: %lld rows, the oldest %lld s old%s",
            (long long)rows, (long long)age_s, rows > 0 && age_s > 60 ? "; is a worker running?" : "");
    db_result_free(&result);
}

/* It works, but later: worth knowing. */
static void check_pooler(struct check *check, const struct db *db, const struct settings *settings)
{
    char name[128];

    if (!db_is_pooled(db))
        return;
    db_name_pooler(db, name, sizeof name);
    say(check, "warning",
        "DATABASE_URL leads through %s: no notifications, so changes are noticed every OUTBOX_POLL (%lld ms); give the "
        "worker the address of PostgreSQL itself to notice them at once",
        name, (long long)settings->outbox_poll_ms);
}

static void check_statements(struct check *check, struct db *db, const struct dataset_set *set)
{
    struct err err = {{0}};
    enum status status = dataset_set_check(set, db, &err);

    if (status == STATUS_OK)
        say(check, "ok", "%zu datasets, each tried in PostgreSQL", dataset_set_count(set));
    else
        say(check, status == STATUS_INVALID ? "FAILED" : "warning", "dataset %s", err.text);
}

/* `set`: NULL when there is none to try. */
static void check_database(struct check *check, const struct settings *settings, const struct dataset_set *set)
{
    struct db *db = NULL;
    struct err err = {{0}};
    int version;

    if (open_db(settings, true, settings->database_timeout_ms, &db, &err) != STATUS_OK ||
        db_connect(db, &err) != STATUS_OK) {
        say(check, "FAILED", "%s; check DATABASE_URL", err.text);
        db_free(&db);
        return;
    }
    version = db_server_version(db);
    say(check, version >= 140000 ? "ok" : "warning", "PostgreSQL %d.%d%s", version / 10000, version % 10000,
        version >= 140000 ? "" : ": not tried with servers before 14");
    check_pooler(check, db, settings);
    check_readable(check, db, "stock_trades");
    check_readable(check, db, "option_trades");
    check_readable(check, db, "account_settings");
    check_outbox(check, db);
    if (set != NULL)
        check_statements(check, db, set);
    db_free(&db);
}

/* As far as the files alone tell. */
static void load_set(struct check *check, const struct settings *settings, struct dataset_set **ret_set)
{
    struct err err = {{0}};
    enum status status = dataset_set_load(settings, ret_set, &err);

    if (status == STATUS_NOT_FOUND)
        say(check, "warning", "%s: there are no endpoints of datasets", err.text);
    else if (status != STATUS_OK)
        say(check, "FAILED", "dataset %s", err.text);
}

/* --- Redis ------------------------------------------------------------------------------------------- */

/* CONFIG GET NAME's value into `value`; false when the server does not tell (managed services, ACLs). */
static bool redis_config(struct redis *redis, const char *name, char *value, size_t size)
{
    const struct redis_reply *reply;
    const char *bytes;
    size_t len;

    if (redis_command(redis, &reply, NULL, "CONFIG", "GET", name, NULL) != STATUS_OK ||
        redis_reply_type_of(reply) != REDIS_ARRAY || redis_reply_length(reply) < 2)
        return false;
    bytes = redis_reply_bytes(redis_reply_element(reply, 1), &len);
    (void)snprintf(value, size, "%.*s", (int)len, bytes);
    return true;
}

static void check_redis_config(struct check *check, struct redis *redis)
{
    char value[128];

    if (!redis_config(redis, "maxmemory", value, sizeof value)) {
        say(check, "warning",
            "Redis does not show its configuration; see to maxmemory, an evicting policy and save \"\"");
        return;
    }
    if (strcmp(value, "0") == 0)
        say(check, "warning", "Redis maxmemory is not set: the cache may take all memory");
    else
        say(check, "ok", "Redis maxmemory %s", value);
    if (redis_config(redis, "maxmemory-policy", value, sizeof value))
        say(check, strcmp(value, "noeviction") == 0 ? "warning" : "ok", "Redis maxmemory-policy %s%s", value,
            strcmp(value, "noeviction") == 0 ? ": when full, nothing new is cached; allkeys-lru is better" : "");
    if (redis_config(redis, "save", value, sizeof value))
        say(check, value[0] != '\0' ? "warning" : "ok", "Redis save \"%s\"%s", value,
            value[0] != '\0' ? ": a full disk would make Redis refuse invalidations; save \"\" is right for a cache"
                             : "");
    if (redis_config(redis, "appendonly", value, sizeof value))
        say(check, strcmp(value, "yes") == 0 ? "warning" : "ok", "Redis appendonly %s", value);
}

/* What the programs do in Redis, a command of each kind. None is carried out: queued in a transaction that is given
 * up, Redis has judged the right to it already. */
#define RIGHT_WORDS 8
static const struct right {
    const char *words[RIGHT_WORDS];
    size_t key; /* the word that KEY_PREFIX goes before */
    const char *verdict, *without;
} rights[] = {
    {{"GET", "analytics:check"}, 1, "FAILED", "nothing cached can be served"},
    {{"SET", "analytics:check", "x"}, 1, "FAILED", "nothing can be cached"},
    {{"HDEL", "epoch:check", "x"}, 1, "FAILED", "nothing can be invalidated"},
    {{"HSETNX", "epoch:check", "x", "x"}, 1, "FAILED", "nothing can be cached"},
    {{"XADD", "jobs", "*", "x", "x"}, 1, "FAILED", "no job can be queued"},
    {{"XREADGROUP", "GROUP", "workers", "check", "STREAMS", "jobs", ">"}, 5, "FAILED", "no job can be taken"},
    {{"XAUTOCLAIM", "jobs", "workers", "check", "1", "0"}, 1, "FAILED", "jobs of dead workers stay with them"},
    {{"ZADD", "active:users", "0", "x"}, 1, "FAILED", "nobody counts as active"},
    {{"EVAL", "return 0", "1", "lock:check"}, 3, "FAILED", "locks of jobs and misses cannot be kept"},
    {{"SCAN", "0"}, 0, "warning", "jobs prune and erase cannot look for keys"},
    {{"PUBLISH", "pnlcache:updated", "x"}, 1, "warning", "applications are not told of updates"},
};
enum { RIGHTS = sizeof rights / sizeof rights[0] };

static void append_right(const struct settings *settings, struct redis *redis, const struct right *right)
{
    const char *words[RIGHT_WORDS];
    size_t lengths[RIGHT_WORDS], n = 0;
    struct buf key = BUF_INIT;

    buf_append_string(&key, settings->key_prefix);
    buf_append_string(&key, right->words[right->key]);
    for (; n < RIGHT_WORDS && right->words[n] != NULL; n++) {
        words[n] = n == right->key && n > 0 ? key.data : right->words[n];
        lengths[n] = strlen(words[n]);
    }
    redis_append(redis, n, words, lengths);
    buf_release(&key);
}

static void check_redis_rights(struct check *check, const struct settings *settings, struct redis *redis)
{
    const struct redis_reply *reply;
    struct err err = {{0}};
    size_t refused = 0;
    enum status status =
        redis_command(redis, &reply, &err, "MULTI", NULL); /* without it the others would be carried out */

    for (size_t i = 0; i < RIGHTS && status == STATUS_OK; i++)
        append_right(settings, redis, &rights[i]);
    if (status == STATUS_OK) {
        redis_append_words(redis, "DISCARD", NULL);
        status = redis_flush(redis, &err);
    }
    if (status != STATUS_OK) {
        say(check, "warning", "rights in Redis cannot be tried: %s", err.text);
        return;
    }
    for (size_t i = 0; i < RIGHTS; i++)
        if (redis_reply_status(redis_reply_at(redis, i), &err) != STATUS_OK) {
            say(check, rights[i].verdict, "%s, %s: %s", rights[i].words[0], err.text, rights[i].without);
            refused++;
        }
    if (refused == 0)
        say(check, "ok", "Redis allows what the programs do");
}

static void check_redis(struct check *check, const struct settings *settings)
{
    const struct redis_reply *reply;
    struct redis *redis = NULL;
    struct err err = {{0}};
    char version[32];
    size_t len;

    if (!settings->redis_enabled) {
        say(check, "warning", "REDIS_ENABLED=false: Redis is never contacted; jobs have nowhere to write");
        return;
    }
    if (open_redis(settings, &redis, &err) != STATUS_OK || redis_connect(redis, &err) != STATUS_OK) {
        say(check, "FAILED", "%s; check REDIS_URL", err.text);
        redis_free(&redis);
        return;
    }
    if (redis_command(redis, &reply, &err, "INFO", "server", NULL) == STATUS_OK) {
        if (!redis_info_value(redis_reply_bytes(reply, &len), "redis_version", version, sizeof version))
            (void)snprintf(version, sizeof version, "?");
        say(check, strcmp(version, "6.2") < 0 && version[1] == '.' ? "FAILED" : "ok", "Redis %s%s", version,
            strcmp(version, "6.2") < 0 && version[1] == '.' ? ": 6.2 or later is needed" : "");
    } else {
        say(check, "warning", "Redis does not tell its version: %s", err.text);
    }
    check_redis_rights(check, settings, redis);
    check_redis_config(check, redis);
    redis_free(&redis);
}

int command_check(int argc, char *const *argv)
{
    struct settings *settings = NULL;
    struct dataset_set *set = NULL;
    struct buf effective = BUF_INIT;
    struct check check = {0};
    int exit_status;

    if (!command_parse("pnlcache-worker check", usage, argc, argv, NULL, 0, &exit_status))
        return exit_status;
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    settings_append_effective(settings, &effective);
    fputs(effective.data, stdout);
    buf_release(&effective);
    putchar('\n');
    load_set(&check, settings, &set);
    check_database(&check, settings, set);
    check_redis(&check, settings);
    dataset_set_release(&set);
    settings_free(&settings);
    return check.failures == 0 ? EXIT_DONE : EXIT_FAILED;
}
