/* The script and rate_state_*() say the same; a test holds them against each other. What Redis answers replaces our view of
 * a subject; what was taken since then is added to it again. */
#include "lib/store/rate_limiter.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/store/seeded_hash.h"

#define WAYS 8
#define SETS (RATE_LIMITER_SUBJECTS / WAYS)
#define LOCKS 64 /* SETS is a multiple */
#define BATCH 128

/* ARGV: algorithm, limit, window, now, requests to count, requests to decide about, milliseconds to live. */
static const char script[] =
    "local kind, limit, w, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]) "
    "local a, b, c = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) (%d+)$') "
    "local at, used, previous, unit = tonumber(a or 0), tonumber(b or 0), tonumber(c or 0), 1 "
    "if kind == 'bucket' then "
    "  unit = w "
    "  if now > at then used = math.max(0, used - (now - at) * limit) at = now end "
    "else "
    "  local start = now - now % w "
    "  if start > at then previous = start - at == w and used or 0 used = 0 at = start end "
    "end "
    "used = used + tonumber(ARGV[5]) * unit "
    "local free = limit * w - used * (w / unit) "
    "if kind == 'sliding' then free = free - previous * math.min(w, w - (now - at)) end "
    "local admitted = math.max(0, math.min(tonumber(ARGV[6]), math.floor(free / w))) "
    "used = used + admitted * unit "
    "redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', at, used, previous), 'PX', ARGV[7]) "
    "return {admitted, at, used, previous}";

struct slot {
    char subject[RATE_SUBJECT_SIZE]; /* "": free */
    struct rate_state view;          /* with everything that was taken here */
    int64_t pending;                 /* taken, and not told to Redis yet */
    int64_t last_us;                 /* of the last request */
    unsigned in_flight;              /* exchanges with Redis that will come back to this slot */
};

struct rate_limiter {
    struct rate_policy policy;
    const char *name;
    const struct cache *cache;
    uint64_t seed; /* so that nobody can choose subjects that share a set */
    pthread_mutex_t locks[LOCKS];
    struct slot slots[SETS][WAYS];
};

/* One line of talk with Redis. */
struct talk {
    struct slot *slot;
    size_t set;
    int64_t settled, asked, at_us;
    char subject[RATE_SUBJECT_SIZE];
};

enum status rate_limiter_new(const struct rate_policy *policy, const char *name, const struct cache *cache,
                             struct rate_limiter **ret_limiter, struct err *err)
{
    struct rate_limiter *l = NULL;

    if (policy->algorithm != RATE_OFF) {
        l = calloc(1, sizeof *l);
        if (l == NULL || getrandom(&l->seed, sizeof l->seed, 0) != sizeof l->seed) {
            free(l);
            return err_fail(err, STATUS_NO_MEMORY, "no memory, or no random numbers, for a rate limit");
        }
        l->policy = *policy;
        l->name = name;
        l->cache = cache;
        for (size_t i = 0; i < LOCKS; i++)
            pthread_mutex_init(&l->locks[i], NULL);
    }
    *ret_limiter = l;
    return STATUS_OK;
}

void rate_limiter_free(struct rate_limiter **limiter)
{
    if (*limiter == NULL)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&(*limiter)->locks[i]);
    free(*limiter);
    *limiter = NULL;
}

const struct rate_policy *rate_limiter_policy(const struct rate_limiter *l)
{
    return &l->policy;
}

const char *rate_limiter_name(const struct rate_limiter *l)
{
    return l->name;
}

/* --- slots -------------------------------------------------------------------------------------------- */

static size_t set_of(const struct rate_limiter *l, const char *subject)
{
    return hash_seeded(subject, strlen(subject), l->seed) % SETS;
}

static void lock_set(struct rate_limiter *l, size_t set)
{
    pthread_mutex_lock(&l->locks[set % LOCKS]);
}

static void unlock_set(struct rate_limiter *l, size_t set)
{
    pthread_mutex_unlock(&l->locks[set % LOCKS]);
}

static struct slot *find(struct rate_limiter *l, size_t set, const char *subject)
{
    for (size_t i = 0; i < WAYS; i++)
        if (strcmp(l->slots[set][i].subject, subject) == 0)
            return &l->slots[set][i];
    return NULL;
}

/* Takes over the slot that was quiet longest. NULL: Redis is asked about every one of them. */
static struct slot *replace(struct rate_limiter *l, size_t set, const char *subject)
{
    struct slot *oldest = NULL;

    for (size_t i = 0; i < WAYS; i++) {
        struct slot *slot = &l->slots[set][i];
        if (slot->in_flight == 0 && (oldest == NULL || slot->last_us < oldest->last_us))
            oldest = slot;
    }
    if (oldest != NULL) {
        *oldest = (struct slot){.pending = 0};
        memcpy(oldest->subject, subject, strlen(subject) + 1);
    }
    return oldest;
}

bool rate_limiter_take(struct rate_limiter *l, const char *subject, struct instant now, int64_t *ret_wait_us)
{
    bool admitted = true;

    if (l == NULL || subject[0] == '\0' || strlen(subject) >= RATE_SUBJECT_SIZE)
        return true;
    size_t set = set_of(l, subject);
    lock_set(l, set);
    struct slot *slot = find(l, set, subject);
    if (slot == NULL)
        slot = replace(l, set, subject);
    if (slot != NULL) {
        rate_state_advance(&l->policy, &slot->view, now.us);
        slot->last_us = now.us;
        admitted = rate_state_room(&l->policy, &slot->view, now.us) >= 1;
        if (admitted) {
            rate_state_add(&l->policy, &slot->view, 1);
            slot->pending++;
        } else {
            *ret_wait_us = rate_state_wait_us(&l->policy, &slot->view, now.us);
        }
    }
    unlock_set(l, set);
    return admitted;
}

/* --- Redis -------------------------------------------------------------------------------------------- */

static const char *algorithm_name(const struct rate_policy *policy)
{
    return policy->algorithm == RATE_BUCKET ? "bucket" : policy->algorithm == RATE_SLIDING ? "sliding" : "fixed";
}

static enum status append_talk(const struct rate_limiter *l, struct redis *redis, const struct talk *talk)
{
    struct buf key = BUF_INIT;
    char numbers[6][24];
    const int64_t values[6] = {l->policy.limit, l->policy.window_us,      talk->at_us, talk->settled,
                               talk->asked,     l->policy.window_us / 500 /* two windows, in milliseconds */};

    for (size_t i = 0; i < 6; i++)
        (void)snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)values[i]);
    cache_append_prefix(l->cache, &key);
    buf_append_string(&key, "ratelimit:");
    buf_append_string(&key, l->name);
    buf_append_char(&key, ':');
    cache_append_user(&key, talk->subject);
    enum status status = buf_status(&key);
    if (status == STATUS_OK)
        redis_append_words(redis, "EVAL", script, "1", key.data, algorithm_name(&l->policy), numbers[0], numbers[1],
                           numbers[2], numbers[3], numbers[4], numbers[5], NULL);
    buf_release(&key);
    return status;
}

static bool read_answer(const struct redis_reply *reply, int64_t *ret_admitted, struct rate_state *ret_state)
{
    if (redis_reply_type_of(reply) != REDIS_ARRAY || redis_reply_length(reply) != 4)
        return false;
    *ret_admitted = redis_reply_integer(redis_reply_element(reply, 0));
    ret_state->at_us = redis_reply_integer(redis_reply_element(reply, 1));
    ret_state->used = redis_reply_integer(redis_reply_element(reply, 2));
    ret_state->previous = redis_reply_integer(redis_reply_element(reply, 3));
    return true;
}

static void begin_talk(struct slot *slot, size_t set, int64_t asked, int64_t at_us, struct talk *ret_talk)
{
    *ret_talk = (struct talk){slot, set, slot->pending - asked, asked, at_us, ""};
    memcpy(ret_talk->subject, slot->subject, sizeof ret_talk->subject);
    slot->pending = 0;
    slot->in_flight++;
}

/* `reply`: NULL when there is none. Returns how many of those asked for go through; the set must be locked. */
static int64_t end_talk(struct rate_limiter *l, const struct talk *talk, const struct redis_reply *reply)
{
    struct slot *slot = talk->slot;
    struct rate_state shared;
    int64_t admitted = talk->asked;

    assert(slot != NULL);
    slot->in_flight--;
    if (reply != NULL && read_answer(reply, &admitted, &shared)) {
        slot->view = shared;
        rate_state_add(&l->policy, &slot->view, slot->pending);
    }
    return admitted;
}

size_t rate_limiter_confirm(struct rate_limiter *l, struct redis *redis, const char *subject, size_t n,
                            struct instant now, int64_t *ret_wait_us)
{
    struct talk talk = {.slot = NULL};
    struct err err;

    if (l == NULL || redis == NULL || n == 0 || strlen(subject) >= RATE_SUBJECT_SIZE)
        return n;
    size_t set = set_of(l, subject);
    lock_set(l, set);
    struct slot *slot = find(l, set, subject);
    int64_t asked = slot == NULL ? 0 : slot->pending < (int64_t)n ? slot->pending : (int64_t)n;
    if (asked > 0) /* else the settling of this second has just told Redis */
        begin_talk(slot, set, asked, now.us, &talk);
    unlock_set(l, set);
    if (asked == 0)
        return n;
    bool answered = append_talk(l, redis, &talk) == STATUS_OK && redis_flush(redis, &err) == STATUS_OK;
    lock_set(l, set);
    int64_t refused = asked - end_talk(l, &talk, answered ? redis_reply_at(redis, 0) : NULL);
    if (refused > 0) {
        rate_state_advance(&l->policy, &slot->view, now.us);
        *ret_wait_us = rate_state_wait_us(&l->policy, &slot->view, now.us);
    }
    unlock_set(l, set);
    return n - (size_t)refused;
}

/* Collects up to BATCH slots that have something to tell, from set *set on. */
static size_t collect(struct rate_limiter *l, size_t *set, struct talk talks[BATCH])
{
    size_t n = 0;

    for (; *set < SETS && n + WAYS <= BATCH; (*set)++) {
        lock_set(l, *set);
        for (size_t i = 0; i < WAYS; i++) {
            struct slot *slot = &l->slots[*set][i];
            /* At the time of its last request, so that it counts in the window that it was made in. */
            if (slot->pending > 0)
                begin_talk(slot, *set, 0, slot->last_us, &talks[n++]);
        }
        unlock_set(l, *set);
    }
    return n;
}

static enum status settle_batch(struct rate_limiter *l, struct redis *redis, const struct talk *talks, size_t n,
                                struct err *err)
{
    size_t n_sent = 0;

    while (n_sent < n && append_talk(l, redis, &talks[n_sent]) == STATUS_OK)
        n_sent++;
    enum status status = redis_flush(redis, err);
    for (size_t i = 0; i < n; i++) {
        bool answered = status == STATUS_OK && i < n_sent;
        lock_set(l, talks[i].set);
        (void)end_talk(l, &talks[i], answered ? redis_reply_at(redis, i) : NULL);
        unlock_set(l, talks[i].set);
    }
    if (n_sent < n)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    return status == STATUS_OK ? redis_reply_status(redis_reply_at(redis, 0), err) : status;
}

enum status rate_limiter_settle(struct rate_limiter *l, struct redis *redis, struct err *err)
{
    struct talk talks[BATCH];
    enum status status = STATUS_OK;
    size_t set = 0, n;

    while (l != NULL && status == STATUS_OK && set < SETS)
        if ((n = collect(l, &set, talks)) > 0)
            status = settle_batch(l, redis, talks, n, err);
    return status;
}
