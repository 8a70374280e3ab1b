#include "jobs/key_census.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/parse_number.h"

#define COUNTED_AT ":counted_at" /* no family: it would stand before the colon */
#define PART_TTL_S "604800"

static bool is_named(const char *family, const char *name, size_t len)
{
    return strncmp(family, name, len) == 0 && family[len] == '\0';
}

/* The place of a family; the last one takes what has no place of its own. */
static size_t place_of(struct key_census *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->n; i++)
        if (is_named(c->families[i].name, name, len))
            return i;
    if (c->n == KEY_FAMILIES_MAX)
        return KEY_FAMILIES_MAX - 1;
    if (c->n == KEY_FAMILIES_MAX - 1)
        name = "other", len = 5;
    memcpy(c->families[c->n].name, name, len);
    c->families[c->n].name[len] = '\0';
    c->families[c->n].keys = 0;
    return c->n++;
}

void key_census_count(struct key_census *c, const char *name, size_t len)
{
    const char *colon = memchr(name, ':', len);
    size_t family_len = colon ? (size_t)(colon - name) : len;
    bool plain = family_len < KEY_FAMILY_SIZE;

    for (size_t i = 0; i < family_len && plain; i++)
        plain = name[i] > ' ' && name[i] <= '~';
    if (!plain) /* a foreign key; what is shown is plain text */
        name = "other", family_len = 5;
    c->families[place_of(c, name, family_len)].keys++;
}

/* --- in Redis -------------------------------------------------------------------------------- */

static enum status make_keys(const struct cache *cache, struct buf *whole, struct buf *part, struct err *err)
{
    cache_append_prefix(cache, whole);
    buf_append_string(whole, "stats:keys");
    cache_append_prefix(cache, part);
    buf_append_string(part, "stats:keys:part");
    if (buf_status(whole) != STATUS_OK || buf_status(part) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    return STATUS_OK;
}

static void append_counts(struct redis *redis, const char *key, const struct key_census *c)
{
    char number[24];

    for (size_t i = 0; i < c->n; i++) {
        snprintf(number, sizeof number, "%lld", (long long)c->families[i].keys);
        redis_append_words(redis, "HINCRBY", key, c->families[i].name, number, NULL);
    }
}

enum status key_census_add(const struct cache *cache, struct redis *redis, const struct key_census *c, bool begins,
                           bool is_over, struct err *err)
{
    struct buf whole = BUF_INIT, part = BUF_INIT;
    enum status status = make_keys(cache, &whole, &part, err);
    char now[24];

    if (status == STATUS_OK) {
        if (begins)
            redis_append_words(redis, "DEL", part.data, NULL);
        append_counts(redis, part.data, c);
        snprintf(now, sizeof now, "%lld", (long long)clock_now().us);
        redis_append_words(redis, "HSET", part.data, COUNTED_AT, now, NULL);
        redis_append_words(redis, "EXPIRE", part.data, PART_TTL_S, NULL);
        if (is_over)
            redis_append_words(redis, "RENAME", part.data, whole.data, NULL);
        size_t n = redis_appended(redis);
        status = redis_flush(redis, err);
        for (size_t i = 0; i < n && status == STATUS_OK; i++)
            status = redis_reply_status(redis_reply_at(redis, i), err);
    }
    buf_release(&whole);
    buf_release(&part);
    return status;
}

static void take_field(struct key_census *c, const struct redis_reply *name, const struct redis_reply *value)
{
    size_t name_len, value_len;
    const char *name_bytes = redis_reply_bytes(name, &name_len), *value_bytes = redis_reply_bytes(value, &value_len);
    int64_t number;

    if (parse_int64_bytes(value_bytes, value_len, 0, INT64_MAX, &number) != STATUS_OK || name_len >= KEY_FAMILY_SIZE)
        return;
    if (is_named(COUNTED_AT, name_bytes, name_len))
        c->counted_at.us = number;
    else
        c->families[place_of(c, name_bytes, name_len)].keys += number;
}

enum status key_census_read(const struct cache *cache, struct redis *redis, struct key_census *ret_census,
                            struct err *err)
{
    struct buf whole = BUF_INIT, part = BUF_INIT;
    enum status status = make_keys(cache, &whole, &part, err);
    const struct redis_reply *reply;

    *ret_census = (struct key_census){.n = 0};
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "HGETALL", whole.data, NULL);
    for (size_t i = 0; status == STATUS_OK && i + 1 < redis_reply_length(reply); i += 2)
        take_field(ret_census, redis_reply_element(reply, i), redis_reply_element(reply, i + 1));
    buf_release(&whole);
    buf_release(&part);
    return status;
}
