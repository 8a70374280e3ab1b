/* What a look into L1 costs, and what it costs that all threads share one: lookups of 1,000 values and of a single one, by one
 * thread, by two that share a cache, and by two that have one each. Every lookup finds value and epochs and is judged. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/store/epoch_cache.h"
#include "lib/store/l1.h"

enum { USERS = 1000, LOOKUPS = 2000000, BODY = 760, MAX_THREADS = 2 };

static const struct cache_tags tags = {3, {{"stocks", false}, {"options", false}, {"settings", false}}};
static const char instance[] = "0123456789012345678901234567890123456789";

struct memory {
    struct l1 *l1;
    struct epoch_cache *epochs;
};

struct worker {
    struct memory *memory;
    size_t n_users, n_hits;
};

static void name(size_t user, char user_id[16], char key[64])
{
    (void)snprintf(user_id, 16, "user-%04zu", user);
    (void)snprintf(key, 64, "analytics:combined:{user-%04zu}:30d:core", user);
}

static void fill(struct memory *m)
{
    static const char body[BODY];
    struct cache_header header = {
        .expires_at = INSTANT_NEVER, .valid_until = INSTANT_NEVER, .body_size = BODY, .n_epochs = tags.n};

    if (l1_new(USERS, 64 << 20, &m->l1, NULL) != STATUS_OK || epoch_cache_new(USERS + 1, &m->epochs, NULL) != STATUS_OK)
        exit(1);
    memcpy(header.instance, instance, sizeof instance);
    for (size_t i = 0; i < tags.n; i++) {
        memcpy(header.epochs[i].tag, tags.tags[i].name, strlen(tags.tags[i].name) + 1);
        header.epochs[i].epoch = i + 1;
    }
    epoch_cache_begin_session(m->epochs, instance, 0);
    for (size_t i = 0; i < USERS; i++) {
        char user_id[16], key[64];

        name(i, user_id, key);
        if (!epoch_cache_keep(m->epochs, epoch_cache_begin(m->epochs, user_id, &tags), user_id, &header) ||
            !l1_store(m->l1, key, &header, body))
            exit(1);
    }
}

static void *look_up(void *argument)
{
    struct worker *w = argument;

    for (size_t i = 0; i < LOOKUPS; i++) {
        char user_id[16] = "user-0000", key[64] = "analytics:combined:{user-0000}:30d:core";
        size_t user = i * 7919 % w->n_users;
        struct cache_epochs present;

        for (size_t digit = 0, rest = user; digit < 4; digit++, rest /= 10)
            user_id[8 - digit] = key[28 - digit] = (char)('0' + rest % 10);
        struct l1_value *value = l1_get(w->memory->l1, key);
        if (value && epoch_cache_get(w->memory->epochs, user_id, &tags, 0, 0, false, &present) == EPOCHS_KNOWN &&
            cache_judge(&value->header, &tags, &present, present.instance, clock_now()) == CACHE_HIT)
            w->n_hits++;
        l1_put(&value);
    }
    return NULL;
}

/* Nanoseconds of one lookup in one thread. */
static double measure(struct memory *memories, size_t n_memories, size_t n_threads, size_t n_users)
{
    struct worker workers[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    int64_t begin_us = clock_monotonic_us();

    for (size_t i = 0; i < n_threads; i++) {
        workers[i] = (struct worker){&memories[i % n_memories], n_users, 0};
        if (pthread_create(&threads[i], NULL, look_up, &workers[i]) != 0)
            exit(1);
    }
    for (size_t i = 0; i < n_threads; i++) {
        (void)pthread_join(threads[i], NULL);
        if (workers[i].n_hits != LOOKUPS)
            exit(1);
    }
    return (double)(clock_monotonic_us() - begin_us) * 1000 / LOOKUPS;
}

int main(void)
{
    struct memory memories[MAX_THREADS];

    for (size_t i = 0; i < MAX_THREADS; i++)
        fill(&memories[i]);
    for (size_t users = USERS; users >= 1; users = users == 1 ? 0 : 1) {
        double alone = measure(memories, 1, 1, users), shared = measure(memories, 1, 2, users),
               own = measure(memories, 2, 2, users);

        printf("%zu values: %.0f ns a lookup alone, %.0f ns for two threads that share, %.0f ns with one each\n", users,
               alone, shared, own);
        if (users == 1)
            printf("bench: l1_hot_key_ns = %.0f\n", shared);
        else
            printf("bench: l1_lookup_ns = %.0f\n", shared);
    }
    for (size_t i = 0; i < MAX_THREADS; i++) {
        l1_free(&memories[i].l1);
        epoch_cache_free(&memories[i].epochs);
    }
    return 0;
}
