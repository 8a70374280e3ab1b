/* Telling applications what was stored: one message a user and batch, in the round trip that stores. */
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/json/json_writer.h"
#include "lib/store/cache_internal.h"

#define CHANNEL "pnlcache:updated"
#define SECTIONS_MAX 64
#define TAGS_MAX 32 /* of all stores together */

/* What a message is about: the stores of one user that bring news. */
struct news {
    const char *user_id;
    size_t n_tags, n_sections;
    struct cache_tag tags[TAGS_MAX];
    uint64_t epochs[TAGS_MAX];
    const char *sections[SECTIONS_MAX];
};

static bool is_news(const struct cache_store *store)
{
    return store->status == STATUS_OK && !store->unchanged && store->section != NULL &&
           store->epochs->user_id[0] != '\0';
}

static void add_tag(struct news *news, const struct cache_tag *tag, uint64_t epoch)
{
    for (size_t i = 0; i < news->n_tags; i++)
        if (strcmp(news->tags[i].name, tag->name) == 0)
            return;
    news->tags[news->n_tags] = *tag;
    news->epochs[news->n_tags++] = epoch;
}

static void add_store(struct news *news, const struct cache_store *store)
{
    for (size_t i = 0; i < store->tags->n; i++)
        add_tag(news, &store->tags->tags[i], store->epochs->values[i]);
    for (size_t i = 0; i < news->n_sections; i++)
        if (strcmp(news->sections[i], store->section) == 0)
            return;
    news->sections[news->n_sections++] = store->section;
}

static bool has_room(const struct news *news, const struct cache_store *store)
{
    return news->n_tags + store->tags->n <= TAGS_MAX && news->n_sections < SECTIONS_MAX;
}

static void write_message(const struct news *news, struct buf *out)
{
    struct json_writer w;
    char epoch[CACHE_EPOCH_DIGITS + 1];

    json_init(&w, out);
    json_object_begin(&w);
    json_key(&w, "user");
    json_string(&w, news->user_id);
    json_key(&w, "tags");
    json_array_begin(&w);
    for (size_t i = 0; i < news->n_tags; i++)
        json_string(&w, news->tags[i].name);
    json_array_end(&w);
    json_key(&w, "epoch");
    json_object_begin(&w);
    for (size_t i = 0; i < news->n_tags; i++) {
        hex64_format(news->epochs[i], epoch);
        json_key(&w, news->tags[i].name);
        json_string_bytes(&w, epoch, CACHE_EPOCH_DIGITS);
    }
    json_object_end(&w);
    json_key(&w, "sections");
    json_array_begin(&w);
    for (size_t i = 0; i < news->n_sections; i++)
        json_string(&w, news->sections[i]);
    json_array_end(&w);
    json_object_end(&w);
}

static void append_message(const struct cache *cache, struct redis *redis, const struct news *news)
{
    struct buf channel = BUF_INIT, message = BUF_INIT;

    cache_append_prefix(cache, &channel);
    buf_append_string(&channel, CHANNEL);
    write_message(news, &message);
    if (buf_status(&channel) == STATUS_OK && buf_status(&message) == STATUS_OK)
        redis_append_words(redis, "PUBLISH", channel.data, message.data, NULL);
    buf_release(&channel);
    buf_release(&message);
}

void cache_append_announcements(const struct cache *cache, struct redis *redis, const struct cache_store *stores,
                                size_t n)
{
    struct news news = {.user_id = NULL};

    for (size_t i = 0; i < n; i++) {
        if (!is_news(&stores[i]))
            continue;
        if (news.user_id != NULL &&
            (strcmp(news.user_id, stores[i].epochs->user_id) != 0 || !has_room(&news, &stores[i]))) {
            append_message(cache, redis, &news);
            news = (struct news){.user_id = NULL};
        }
        news.user_id = stores[i].epochs->user_id;
        add_store(&news, &stores[i]);
    }
    if (news.user_id != NULL)
        append_message(cache, redis, &news);
}
