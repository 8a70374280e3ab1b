#include <stdlib.h>
#include <string.h>

#include "jobs/audit_internal.h"
#include "jobs/collection.h"

/* SplitMix64 (Steele, Lea, Flood 2014): any seed is as good as another. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void audit_draw(uint64_t *random, size_t *order, size_t from, size_t n)
{
    size_t other = from + next_random(random) % (n - from), swap = order[from];

    order[from] = order[other];
    order[other] = swap;
}

/* --- a chunk ------------------------------------------------------------------------------------- */

void audit_chunk_clear(struct audit_chunk *c)
{
    for (size_t i = 0; i < c->n_wanted; i++)
        wanted_release(&c->wanted[i]);
    c->n = c->n_wanted = 0;
    buf_clear(&c->bodies);
}

void audit_chunk_release(struct audit_chunk *c)
{
    audit_chunk_clear(c);
    free(c->values);
    free(c->wanted);
    buf_release(&c->bodies);
    *c = (struct audit_chunk){.bodies = BUF_INIT};
}

/* Room for one more element; NULL: out of memory, the array is as it was. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
    void *grown = n < *cap ? array : realloc(array, (*cap + AUDIT_CHUNK) * size);

    if (grown != NULL && n == *cap)
        *cap += AUDIT_CHUNK;
    return grown;
}

/* One more user's record, zeroed. */
static struct wanted *add_wanted(struct audit_chunk *c)
{
    struct wanted *grown = grow(c->wanted, c->n_wanted, &c->cap_wanted, sizeof *grown);

    if (grown == NULL)
        return NULL;
    c->wanted = grown;
    grown[c->n_wanted] = (struct wanted){.n = 0};
    return &grown[c->n_wanted++];
}

static struct audit_value *add_value(struct audit_chunk *c, const struct audit_value *value)
{
    struct audit_value *grown = grow(c->values, c->n, &c->cap, sizeof *grown);

    if (grown == NULL)
        return NULL;
    c->values = grown;
    grown[c->n] = *value;
    return &grown[c->n++];
}

/* --- one user's values ---------------------------------------------------------------------------- */

/* What a user may have in the cache: the precomputed documents, those asked for lately, whole lists. */
struct candidates {
    size_t n, n_valid;
    struct audit_value *values;
    struct cache_lookup *lookups;
    size_t *order; /* the valid ones first */
};

static void candidates_release(struct candidates *c)
{
    free(c->values);
    free(c->lookups);
    free(c->order);
}

static enum status fill(const struct audit *a, struct candidates *c, const char *user_id, const struct wanted *wanted)
{
    const struct dataset_set *set = a->options->datasets;
    size_t n_precomputed = document_precomputed_count(), n_datasets = set != NULL ? dataset_set_count(set) : 0;
    size_t most = n_precomputed + wanted->n + n_datasets, n = 0;
    struct audit_value *values = calloc(most, sizeof *values);

    c->values = values;
    c->lookups = calloc(most, sizeof *c->lookups);
    c->order = calloc(most, sizeof *c->order);
    if (values == NULL || c->lookups == NULL || c->order == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n_precomputed; i++)
        values[n++] = (struct audit_value){.user_id = user_id, .request = document_precomputed(i)};
    for (size_t i = 0; i < wanted->n; i++)
        values[n++] = (struct audit_value){.user_id = user_id, .request = wanted->requests[i]};
    for (size_t i = 0; i < n_datasets; i++)
        if (collection_is_of_user(dataset_set_at(set, i)))
            values[n++] = (struct audit_value){.user_id = user_id, .dataset = dataset_set_at(set, i)};
    c->n = n;
    return STATUS_OK;
}

/* `keys` takes the texts, each with its NUL. */
static enum status prepare_lookups(const struct audit *a, struct candidates *c, struct buf *keys)
{
    size_t position = 0;

    for (size_t i = 0; i < c->n; i++) {
        audit_append_key(a, &c->values[i], keys);
        buf_append_char(keys, '\0');
        c->lookups[i] = (struct cache_lookup){.user_id = c->values[i].user_id, .tags = audit_tags(&c->values[i])};
    }
    if (buf_status(keys) != STATUS_OK)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < c->n; i++) {
        c->lookups[i].key = keys->data + position;
        position += strlen(c->lookups[i].key) + 1;
    }
    return STATUS_OK;
}

/* Finds those that would be served now. */
static enum status list_valid(struct audit *a, struct candidates *c, const char *user_id, struct buf *keys,
                              struct err *err)
{
    const struct audit_options *o = a->options;
    struct wanted *wanted = add_wanted(&a->chunk);
    enum status status =
        wanted != NULL ? wanted_read(o->cache, o->redis, o->settings, 1, &user_id, wanted, err) : STATUS_NO_MEMORY;

    if (status == STATUS_OK && (fill(a, c, user_id, wanted) != STATUS_OK || prepare_lookups(a, c, keys) != STATUS_OK))
        status = STATUS_NO_MEMORY;
    if (status == STATUS_NO_MEMORY)
        return err_fail(err, status, "no memory to look at present documents");
    if (status == STATUS_OK)
        status = cache_lookup_many(o->cache, o->redis, c->lookups, c->n, err);
    for (size_t i = 0; i < c->n && status == STATUS_OK; i++)
        if (audit_is_auditable(&c->lookups[i]))
            c->order[c->n_valid++] = i;
    return status;
}

static enum status add(struct audit *a, const struct audit_value *value, const struct cache_lookup *lookup,
                       struct err *err)
{
    struct audit_chunk *chunk = &a->chunk;
    struct audit_value *added = add_value(chunk, value);
    size_t start = chunk->bodies.len;
    struct err damaged;
    enum status status;

    if (added == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a sample");
    if (start >= AUDIT_CHUNK_BYTES)
        return STATUS_OK;
    status = audit_unpack(added, lookup, &chunk->bodies, &added->as_of, &damaged);
    if (status == STATUS_NO_MEMORY)
        return err_fail(err, status, "%s", damaged.text);
    added->has_body = status == STATUS_OK;
    if (!added->has_body)
        buf_truncate(&chunk->bodies, start);
    added->body = start;
    added->body_len = chunk->bodies.len - start;
    return STATUS_OK;
}

enum status audit_choose(struct audit *a, const char *user_id, size_t quota, struct err *err)
{
    struct candidates c = {.n = 0};
    struct buf keys = BUF_INIT;
    enum status status = list_valid(a, &c, user_id, &keys, err);

    for (size_t i = 0; i < c.n_valid && i < quota && status == STATUS_OK; i++) {
        audit_draw(&a->random, c.order, i, c.n_valid);
        status = add(a, &c.values[c.order[i]], &c.lookups[c.order[i]], err);
    }
    candidates_release(&c);
    buf_release(&keys);
    return status;
}
