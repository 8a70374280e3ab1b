#include "lib/store/lease.h"

#include <stdio.h>
#include <sys/random.h>

#include "lib/base/text.h"

/* Only its owner may touch a lock: compare and act in one step. What is not there is taken again: a full Redis evicts locks, too, and
 * nobody else has taken it. */
static const char renew_script[] =
    "local holder = redis.call('GET', KEYS[1]) if holder == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end "
    "if holder then return 0 end redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";
static const char give_back_script[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

enum status lease_init(struct lease *lease, const char *key, int64_t ttl_ms, struct err *err)
{
    uint64_t random[2];

    *lease = (struct lease){.ttl_ms = ttl_ms};
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return err_fail(err, STATUS_UNAVAILABLE, "no random numbers");
    hex64_format(random[0], lease->token);
    hex64_format(random[1], lease->token + 16);
    buf_append_string(&lease->key, key);
    return buf_status(&lease->key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "no memory for a lock");
}

void lease_release(struct lease *lease)
{
    buf_release(&lease->key);
}

enum status lease_take(struct lease *lease, struct redis *redis, struct err *err)
{
    const struct redis_reply *reply;
    char ttl[24];
    enum status status;

    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)lease->ttl_ms);
    redis_append_words(redis, "SET", lease->key.data, lease->token, "NX", "PX", ttl, NULL);
    status = redis_flush(redis, err);
    if (status != STATUS_OK)
        return status;
    reply = redis_reply_at(redis, 0);
    status = redis_reply_status(reply, err);
    if (redis_reply_error_class(reply) == REDIS_ERROR_REFUSED)
        return STATUS_LIMIT;
    if (status == STATUS_OK && redis_reply_type_of(reply) == REDIS_NIL)
        status = err_fail(err, STATUS_CONFLICT, "%s is held by somebody else", lease->key.data);
    return status;
}

enum status lease_renew(const struct lease *lease, struct redis *redis, struct err *err)
{
    const struct redis_reply *reply;
    char ttl[24];
    enum status status;

    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)lease->ttl_ms);
    status = redis_command(redis, &reply, err, "EVAL", renew_script, "1", lease->key.data, lease->token, ttl, NULL);
    if (status == STATUS_OK && redis_reply_integer(reply) != 1)
        status = err_fail(err, STATUS_CONFLICT, "%s is held by somebody else", lease->key.data);
    return status;
}

enum status lease_give_back(const struct lease *lease, struct redis *redis, struct err *err)
{
    const struct redis_reply *reply;

    return redis_command(redis, &reply, err, "EVAL", give_back_script, "1", lease->key.data, lease->token, NULL);
}
