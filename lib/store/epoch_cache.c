/* One lock for everything: a look into a hash table and a few short comparisons lie under it. Users are slots of one array,
 * so that a reader allocates nothing.
 *
 * A slot's number is drawn anew whenever the slot begins to stand for a user, from a counter that only grows. `floor` is
 * the first number of the present session: a slot below it belongs to an earlier one, or was flushed. */
#include "lib/store/epoch_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/lru.h"
#include "lib/store/seeded_hash.h"

#define MAX_TAGS 32 /* of one user; a further one takes the place of another */

struct slot {
    struct lru_node node;
    uint64_t number;
    size_t n, turn; /* whose place is taken next when there are MAX_TAGS */
    struct {
        char tag[CACHE_TAG_MAX];
        uint64_t epoch;
    } epochs[MAX_TAGS];
    char user_id[USER_ID_MAX + 1]; /* "": the shared tags */
};

struct epoch_cache {
    pthread_mutex_t lock;
    struct lru lru;
    struct slot *slots, **unused;
    size_t n_unused;
    uint64_t seed;
    uint64_t last_number, floor;
    bool trusted, local;
    int64_t proven_ms;
    char instance[REDIS_INSTANCE_SIZE];
};

enum status epoch_cache_new(size_t max_users, struct epoch_cache **ret_epochs, struct err *err)
{
    struct epoch_cache *e = calloc(1, sizeof *e);
    enum status status = e != NULL ? lru_init(&e->lru, max_users, err) : STATUS_NO_MEMORY;

    if (status == STATUS_OK) {
        e->slots = calloc(max_users, sizeof *e->slots);
        e->unused = calloc(max_users, sizeof *e->unused);
        if (e->slots == NULL || e->unused == NULL)
            status = STATUS_NO_MEMORY;
        else
            pthread_mutex_init(&e->lock, NULL);
    }
    if (status != STATUS_OK) {
        if (e != NULL) {
            lru_release(&e->lru);
            free(e->slots);
            free(e->unused);
            free(e);
        }
        return err_fail(err, status, "out of memory");
    }
    for (size_t i = 0; i < max_users; i++)
        e->unused[e->n_unused++] = &e->slots[i];
    e->seed = hash_seed_draw();
    *ret_epochs = e;
    return STATUS_OK;
}

void epoch_cache_free(struct epoch_cache **epochs)
{
    struct epoch_cache *e = *epochs;

    if (e == NULL)
        return;
    lru_release(&e->lru);
    free(e->slots);
    free(e->unused);
    pthread_mutex_destroy(&e->lock);
    free(e);
    *epochs = NULL;
}

/* --- slots ---------------------------------------------------------------------------------- */

static struct slot *find(const struct epoch_cache *e, const char *user_id, uint64_t hash)
{
    for (struct lru_node *n = lru_first(&e->lru, hash); n != NULL; n = lru_next(n))
        if (strcmp(((struct slot *)n)->user_id, user_id) == 0)
            return (struct slot *)n;
    return NULL;
}

static uint64_t hash_user(const struct epoch_cache *e, const char *user_id)
{
    return hash_seeded(user_id, strlen(user_id), e->seed);
}

static void remove_slot(struct epoch_cache *e, struct slot *slot)
{
    lru_remove(&e->lru, &slot->node);
    e->unused[e->n_unused++] = slot;
}

/* A slot of the present session, empty if there was none. */
static struct slot *take_slot(struct epoch_cache *e, const char *user_id)
{
    uint64_t hash = hash_user(e, user_id);
    struct slot *slot = find(e, user_id, hash);

    if (slot != NULL && slot->number >= e->floor) {
        lru_touch(&e->lru, &slot->node);
        return slot;
    }
    if (slot != NULL)
        remove_slot(e, slot);
    else if (e->n_unused == 0)
        remove_slot(e, (struct slot *)lru_oldest(&e->lru));
    slot = e->unused[--e->n_unused];
    slot->number = ++e->last_number;
    slot->n = 0;
    memcpy(slot->user_id, user_id, strlen(user_id) + 1);
    lru_add(&e->lru, &slot->node, hash);
    return slot;
}

/* The place of the tag's epoch; NULL: it is not known. */
static uint64_t *find_epoch(struct slot *slot, const char *tag)
{
    for (size_t i = 0; i < slot->n; i++)
        if (strcmp(slot->epochs[i].tag, tag) == 0)
            return &slot->epochs[i].epoch;
    return NULL;
}

static const uint64_t *put_epoch(struct slot *slot, const char *tag, uint64_t epoch)
{
    uint64_t *place = find_epoch(slot, tag);

    if (place == NULL) {
        size_t i = slot->n < MAX_TAGS ? slot->n++ : slot->turn++ % MAX_TAGS;
        memcpy(slot->epochs[i].tag, tag, strlen(tag) + 1);
        place = &slot->epochs[i].epoch;
    }
    *place = epoch;
    return place;
}

/* --- the watcher's side --------------------------------------------------------------------- */

static void begin(struct epoch_cache *e, const char *instance, int64_t proven_ms, bool local)
{
    pthread_mutex_lock(&e->lock);
    e->floor = ++e->last_number;
    e->trusted = true;
    e->local = local;
    e->proven_ms = proven_ms;
    memcpy(e->instance, instance, strlen(instance) + 1);
    pthread_mutex_unlock(&e->lock);
}

void epoch_cache_begin_session(struct epoch_cache *e, const char *instance, int64_t proven_ms)
{
    begin(e, instance, proven_ms, false);
}

void epoch_cache_begin_local(struct epoch_cache *e)
{
    begin(e, "", 0, true);
}

void epoch_cache_prove(struct epoch_cache *e, int64_t proven_ms)
{
    pthread_mutex_lock(&e->lock);
    if (e->trusted)
        e->proven_ms = proven_ms;
    pthread_mutex_unlock(&e->lock);
}

void epoch_cache_doubt(struct epoch_cache *e)
{
    pthread_mutex_lock(&e->lock);
    e->trusted = false;
    pthread_mutex_unlock(&e->lock);
}

void epoch_cache_forget_all(struct epoch_cache *e)
{
    pthread_mutex_lock(&e->lock);
    e->floor = ++e->last_number;
    pthread_mutex_unlock(&e->lock);
}

void epoch_cache_forget(struct epoch_cache *e, const char *user_id)
{
    const char *name = user_id != NULL ? user_id : "";
    struct slot *slot;

    pthread_mutex_lock(&e->lock);
    slot = find(e, name, hash_user(e, name));
    if (slot != NULL)
        remove_slot(e, slot);
    pthread_mutex_unlock(&e->lock);
}

/* --- readers -------------------------------------------------------------------------------- */

static bool is_fresh(const struct epoch_cache *e, int64_t now_ms, int64_t max_age_ms, bool degraded)
{
    return (e->trusted || degraded) && e->floor > 0 && (e->local || now_ms - e->proven_ms <= max_age_ms);
}

static bool take_known(struct epoch_cache *e, const char *user_id, const struct cache_tags *tags, bool shared,
                       struct cache_epochs *epochs)
{
    struct slot *slot = NULL;

    for (size_t i = 0; i < tags->n; i++) {
        const uint64_t *epoch;

        if (tags->tags[i].shared != shared)
            continue;
        if (slot == NULL) {
            slot = find(e, user_id, hash_user(e, user_id));
            if (slot == NULL || slot->number < e->floor)
                return false;
            lru_touch(&e->lru, &slot->node);
        }
        epoch = find_epoch(slot, tags->tags[i].name);
        if (epoch == NULL)
            return false;
        epochs->values[i] = *epoch;
    }
    return true;
}

enum epoch_knowledge epoch_cache_get(struct epoch_cache *e, const char *user_id, const struct cache_tags *tags,
                                     int64_t now_ms, int64_t max_age_ms, bool degraded, struct cache_epochs *ret_epochs)
{
    enum epoch_knowledge knowledge = EPOCHS_DOUBTFUL;

    pthread_mutex_lock(&e->lock);
    if (is_fresh(e, now_ms, max_age_ms, degraded)) {
        bool known = take_known(e, user_id, tags, false, ret_epochs) && take_known(e, "", tags, true, ret_epochs);

        memcpy(ret_epochs->instance, e->instance, sizeof e->instance);
        knowledge = known ? EPOCHS_KNOWN : EPOCHS_UNKNOWN;
    }
    pthread_mutex_unlock(&e->lock);
    return knowledge;
}

static bool has_tags(const struct cache_tags *tags, bool shared)
{
    for (size_t i = 0; i < tags->n; i++)
        if (tags->tags[i].shared == shared)
            return true;
    return false;
}

struct epoch_ticket epoch_cache_begin(struct epoch_cache *e, const char *user_id, const struct cache_tags *tags)
{
    struct epoch_ticket ticket = {0, 0};

    pthread_mutex_lock(&e->lock);
    if (e->trusted) {
        if (has_tags(tags, false))
            ticket.own = take_slot(e, user_id)->number;
        if (has_tags(tags, true))
            ticket.shared = take_slot(e, "")->number;
    }
    pthread_mutex_unlock(&e->lock);
    return ticket;
}

/* The slot that the ticket was given out for, if it still stands. */
static struct slot *survivor(const struct epoch_cache *e, uint64_t number, const char *user_id)
{
    struct slot *slot = number >= e->floor ? find(e, user_id, hash_user(e, user_id)) : NULL;

    return slot != NULL && slot->number == number ? slot : NULL;
}

uint64_t epoch_cache_begin_name(struct epoch_cache *e, const char *name)
{
    pthread_mutex_lock(&e->lock);
    uint64_t number = e->trusted ? take_slot(e, name)->number : 0;
    pthread_mutex_unlock(&e->lock);
    return number;
}

bool epoch_cache_stands(struct epoch_cache *e, const char *name, uint64_t number, int64_t now_ms, int64_t max_age_ms)
{
    struct slot *slot = NULL;

    pthread_mutex_lock(&e->lock);
    if (number > 0 && is_fresh(e, now_ms, max_age_ms, false))
        slot = survivor(e, number, name);
    if (slot != NULL)
        lru_touch(&e->lru, &slot->node);
    pthread_mutex_unlock(&e->lock);
    return slot != NULL;
}

bool epoch_cache_keep(struct epoch_cache *e, struct epoch_ticket ticket, const char *user_id,
                      const struct cache_header *header)
{
    bool kept = true;

    pthread_mutex_lock(&e->lock);
    if (!e->trusted || strcmp(e->instance, header->instance) != 0) {
        kept = false;
    } else {
        struct slot *own = survivor(e, ticket.own, user_id), *shared = survivor(e, ticket.shared, "");

        for (size_t i = 0; i < header->n_epochs; i++) {
            struct slot *slot = header->epochs[i].shared ? shared : own;

            kept = slot != NULL && put_epoch(slot, header->epochs[i].tag, header->epochs[i].epoch) != NULL && kept;
        }
    }
    pthread_mutex_unlock(&e->lock);
    return kept;
}

/* A number of this process is as good as a random one: nobody else sees it. */
static void open_slot(struct epoch_cache *e, struct slot *slot, const struct cache_tags *tags, bool shared,
                      struct cache_epochs *epochs)
{
    for (size_t i = 0; i < tags->n; i++) {
        const uint64_t *known;

        if (tags->tags[i].shared != shared)
            continue;
        known = find_epoch(slot, tags->tags[i].name);
        if (known == NULL)
            known = put_epoch(slot, tags->tags[i].name, ++e->last_number);
        epochs->values[i] = *known;
    }
}

void epoch_cache_open_local(struct epoch_cache *e, const char *user_id, const struct cache_tags *tags,
                            struct cache_epochs *ret_epochs)
{
    *ret_epochs = (struct cache_epochs){.instance = ""};
    pthread_mutex_lock(&e->lock);
    if (e->local && has_tags(tags, false))
        open_slot(e, take_slot(e, user_id), tags, false, ret_epochs);
    if (e->local && has_tags(tags, true))
        open_slot(e, take_slot(e, ""), tags, true, ret_epochs);
    pthread_mutex_unlock(&e->lock);
}
