#include "fcgi/known_requests.h"

#include <stdlib.h>
#include <string.h>

#include "lib/store/seeded_hash.h"

#define SLOTS 512       /* a power of two; a request that falls on another's slot replaces it */
#define MAX_PARAMS 4096 /* bytes; a browser's are 500 to 1,500 */

struct slot {
    uint64_t seen; /* hash of what came last and is not kept; 0: nothing */
    uint64_t hash; /* of `params` */
    unsigned char *params;
    size_t len;
    struct exchange *x; /* NULL: none, or it is with the caller */
};

struct known_requests {
    uint64_t seed;
    struct record_params present; /* of the request that is under way; at is NULL: none */
    uint64_t present_hash;
    struct slot slots[SLOTS];
};

enum status known_requests_new(struct known_requests **ret_known, struct err *err)
{
    struct known_requests *known = calloc(1, sizeof(*known));

    if (!known)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    known->seed = hash_seed_draw();
    *ret_known = known;
    return STATUS_OK;
}

void known_requests_free(struct known_requests **known)
{
    if (!*known)
        return;
    known_requests_clear(*known);
    for (size_t i = 0; i < SLOTS; i++)
        free((*known)->slots[i].params);
    free(*known);
    *known = NULL;
}

void known_requests_clear(struct known_requests *known)
{
    for (size_t i = 0; known && i < SLOTS; i++)
        exchange_free(&known->slots[i].x);
}

static size_t length(struct record_params params)
{
    return (size_t)(params.end - params.at);
}

static struct slot *slot_of_present(struct known_requests *known)
{
    return &known->slots[known->present_hash % SLOTS];
}

static bool holds_present(const struct slot *slot, const struct known_requests *known)
{
    size_t len = length(known->present);

    return slot->params && slot->hash == known->present_hash && slot->len == len &&
           memcmp(slot->params, known->present.at, len) == 0;
}

struct exchange *known_requests_take(struct known_requests *known, struct record_params params)
{
    if (!known)
        return NULL;
    known->present.at = NULL;
    if (length(params) > MAX_PARAMS)
        return NULL;
    known->present = params;
    known->present_hash = hash_seeded(params.at, length(params), known->seed);
    struct slot *slot = slot_of_present(known);
    struct exchange *x = slot->x;
    if (!x || !holds_present(slot, known))
        return NULL;
    slot->x = NULL;
    exchange_clear_answer(x);
    x->known = true;
    return x;
}

/* False: there is no memory for it. */
static bool fill(struct slot *slot, const struct known_requests *known)
{
    size_t len = length(known->present);
    unsigned char *params = realloc(slot->params, len);

    if (!params)
        return false;
    memcpy(params, known->present.at, len);
    slot->params = params;
    slot->len = len;
    slot->hash = known->present_hash;
    return true;
}

struct exchange *known_requests_keep(struct known_requests *known, struct exchange *x)
{
    if (!known || !known->present.at)
        return x;
    struct slot *slot = slot_of_present(known);
    struct exchange *displaced = slot->x;
    if (!holds_present(slot, known)) {
        if (slot->seen != known->present_hash || !fill(slot, known)) {
            slot->seen = known->present_hash;
            return x;
        }
    }
    slot->x = x;
    return displaced;
}

void known_requests_end(struct known_requests *known)
{
    if (known)
        known->present.at = NULL;
}
