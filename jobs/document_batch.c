#include "jobs/document_batch.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/analytics/positions.h"

/* --- the users ---------------------------------------------------------------------------------- */

static int compare_users(const void *a, const void *b)
{
    return strcmp(((const struct user_documents *)a)->user_id, ((const struct user_documents *)b)->user_id);
}

/* Sorted; repeated ones leave. */
static void put_in_order(struct document_batch *b)
{
    size_t kept = 0;

    qsort(b->users, b->n, sizeof *b->users, compare_users);
    for (size_t i = 0; i < b->n; i++)
        if (kept == 0 || compare_users(&b->users[i], &b->users[kept - 1]) != 0)
            b->users[kept++] = b->users[i];
    b->n = kept;
}

/* Room for as many documents as the user has now, all due. */
static enum status make_due(struct user_documents *user)
{
    bool *due;

    user->n = document_precomputed_count() + user->wanted.n;
    due = realloc(user->due, user->n * sizeof *due);
    if (due == NULL)
        return STATUS_NO_MEMORY;
    memset(due, true, user->n * sizeof *due);
    user->due = due;
    return STATUS_OK;
}

enum status document_batch_init(struct document_batch *b, size_t n_users, const char *const *user_ids, struct err *err)
{
    enum status status = STATUS_OK;

    *b = (struct document_batch){.users = calloc(n_users + 1, sizeof *b->users)};
    if (b->users == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a batch of %zu users", n_users);
    for (; b->n < n_users; b->n++)
        b->users[b->n].user_id = user_ids[b->n];
    put_in_order(b);
    for (size_t i = 0; i < b->n && status == STATUS_OK; i++)
        status = make_due(&b->users[i]);
    return status == STATUS_OK ? status : err_fail(err, status, "no memory for a batch of %zu users", n_users);
}

void document_batch_release(struct document_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        wanted_release(&b->users[i].wanted);
        user_collections_release(&b->users[i].collections);
        free(b->users[i].due);
    }
    free(b->users);
    *b = (struct document_batch){0};
}

struct document_request user_documents_request(const struct user_documents *user, size_t i)
{
    size_t n_precomputed = document_precomputed_count();

    return i < n_precomputed ? document_precomputed(i) : user->wanted.requests[i - n_precomputed];
}

size_t user_documents_count_due(const struct user_documents *user)
{
    size_t n = 0;

    for (size_t i = 0; i < user->n; i++)
        n += user->due[i];
    return n;
}

unsigned user_documents_needs(const struct user_documents *user)
{
    size_t n_precomputed = document_precomputed_count();
    unsigned needs = 0;

    for (size_t i = 0; i < user->wanted.n; i++)
        if (user->due[n_precomputed + i])
            needs |= document_needs(&user->wanted.requests[i]);
    return needs;
}

void user_documents_leave_short_lived(struct user_documents *user, const struct journal *journal)
{
    for (size_t i = 0; i < user->n; i++) {
        struct document_request request = user_documents_request(user, i);

        if (document_may_hold_positions(&request) && positions_any(journal, request.asset))
            user->due[i] = false;
    }
}

/* --- before the snapshot ------------------------------------------------------------------------ */

/* Arrays as the cache's functions take them. */
struct opening {
    const char **ids;
    struct wanted *wanted;
    struct cache_epochs *epochs;
    size_t *users; /* whose epochs */
};

static enum status add_wanted(struct document_batch *b, struct opening *o, struct cache *cache, struct redis *redis,
                              const struct settings *settings, size_t *ret_dropped, struct err *err)
{
    enum status status;

    for (size_t i = 0; i < b->n; i++)
        o->ids[i] = b->users[i].user_id;
    status = wanted_read(cache, redis, settings, b->n, o->ids, o->wanted, err);
    for (size_t i = 0; i < b->n; i++) {
        struct user_documents *user = &b->users[i];

        user->wanted = o->wanted[i];
        user->without_short_lived = b->without_short_lived;
        *ret_dropped += user->wanted.n_dropped;
        if (status == STATUS_OK && make_due(user) != STATUS_OK)
            status = err_fail(err, STATUS_NO_MEMORY, "no memory for wanted documents");
    }
    return status;
}

/* Of the users whose documents depend on just these tags. */
static enum status open_epochs(struct document_batch *b, struct opening *o, const struct cache_tags *tags,
                               struct cache *cache, struct redis *redis, struct err *err)
{
    enum status status;
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (b->users[i].tags == tags) {
            o->ids[n] = b->users[i].user_id;
            o->users[n++] = i;
        }
    if (n == 0)
        return STATUS_OK;
    status = cache_open_epochs(cache, redis, tags, n, o->ids, o->epochs, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        b->users[o->users[i]].epochs = o->epochs[i];
    return status;
}

static enum status open_all(struct document_batch *b, struct opening *o, struct cache *cache, struct redis *redis,
                            const struct settings *settings, size_t *ret_dropped, struct err *err)
{
    enum status status = add_wanted(b, o, cache, redis, settings, ret_dropped, err);

    for (size_t i = 0; i < b->n; i++)
        b->users[i].tags = document_tags_of_needs(user_documents_needs(&b->users[i]));
    for (unsigned needs = 0; needs < DOCUMENT_TAG_SETS && status == STATUS_OK; needs++)
        status = open_epochs(b, o, document_tags_of_needs(needs), cache, redis, err);
    return status;
}

enum status document_batch_open(struct document_batch *b, struct cache *cache, struct redis *redis,
                                const struct settings *settings, size_t *ret_dropped, struct err *err)
{
    struct opening o = {
        .ids = calloc(b->n + 1, sizeof *o.ids),
        .wanted = calloc(b->n + 1, sizeof *o.wanted),
        .epochs = calloc(b->n + 1, sizeof *o.epochs),
        .users = calloc(b->n + 1, sizeof *o.users),
    };
    enum status status;

    if (o.ids == NULL || o.wanted == NULL || o.epochs == NULL || o.users == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory for a batch of %zu users", b->n);
    else
        status = open_all(b, &o, cache, redis, settings, ret_dropped, err);
    free(o.ids);
    free(o.wanted);
    free(o.epochs);
    free(o.users);
    return status;
}

/* --- what is still valid ------------------------------------------------------------------------ */

struct judging {
    struct cache_check *checks;
    struct cache_epochs *epochs;
    struct buf keys; /* each with its NUL */
};

static enum status prepare_checks(struct judging *j, const struct user_documents *user, const struct cache *cache,
                                  const struct settings *settings, int64_t valid_for_s)
{
    size_t position = 0;

    for (size_t i = 0; i < user->n; i++) {
        struct document_request request = user_documents_request(user, i);

        document_append_key(cache, &request, user->user_id, &j->keys);
        buf_append_char(&j->keys, '\0');
        j->epochs[i] = document_pick_epochs(&request, user->tags, &user->epochs);
        j->checks[i] = (struct cache_check){.tags = document_tags(&request), .epochs = &j->epochs[i]};
        j->checks[i].ahead_s =
            document_ttl_s(settings, &request, document_may_hold_positions(&request)) * DOCUMENT_RENEW_PERCENT / 100;
        if (j->checks[i].ahead_s < valid_for_s)
            j->checks[i].ahead_s = valid_for_s;
    }
    if (buf_status(&j->keys) != STATUS_OK)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < user->n; i++) {
        j->checks[i].key = j->keys.data + position;
        position += strlen(j->checks[i].key) + 1;
    }
    return STATUS_OK;
}

/* What will be left alone anyway is no reason to read the user's trades. Of what is not there nothing is known, so that it is left to the next
 * request, which knows. */
static bool is_known_as_short_lived(const struct user_documents *user, size_t i, const struct cache_check *check,
                                    const struct settings *settings)
{
    struct document_request request = user_documents_request(user, i);

    return user->without_short_lived && document_may_hold_positions(&request) &&
           check->ttl_s <= settings->cache_ttl_positions_s;
}

enum status user_documents_judge(struct user_documents *user, struct cache *cache, struct redis *redis,
                                 const struct settings *settings, int64_t valid_for_s, size_t *ret_valid,
                                 struct err *err)
{
    struct judging j = {
        .checks = calloc(user->n, sizeof *j.checks), .epochs = calloc(user->n, sizeof *j.epochs), .keys = BUF_INIT};
    enum status status;

    if (j.checks == NULL || j.epochs == NULL || prepare_checks(&j, user, cache, settings, valid_for_s) != STATUS_OK) {
        status = err_fail(err, STATUS_NO_MEMORY, "no memory to look at present documents");
        goto out;
    }
    status = cache_check_many(cache, redis, j.checks, user->n, err);
    *ret_valid = 0;
    for (size_t i = 0; i < user->n && status == STATUS_OK; i++) {
        bool is_valid = j.checks[i].verdict == CACHE_HIT;

        user->due[i] = !is_valid && !is_known_as_short_lived(user, i, &j.checks[i], settings);
        *ret_valid += is_valid;
    }
out:
    free(j.checks);
    free(j.epochs);
    buf_release(&j.keys);
    return status;
}
