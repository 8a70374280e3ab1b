/* Replies: hiredis's reader parses them, and makes objects of ours out of them, in an arena of their connection. */
#include "lib/store/redis_internal.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse_number.h"

/* --- the arena ------------------------------------------------------------------------------ */

/* Enough for the lookups of one turn; kept from one flush to the next. The address sanitizer is to see who reads a reply after
 * its end. */
#define BLOCK_SIZE ((size_t)64 * 1024)
#ifdef __SANITIZE_ADDRESS__
#define KEPT_SIZE ((size_t)0)
#else
#define KEPT_SIZE BLOCK_SIZE
#endif
#define ALIGNMENT _Alignof(max_align_t)

struct reply_block {
    struct reply_block *next;
    size_t size;
    max_align_t bytes[];
};

static bool add_block(struct reply_arena *arena, size_t least)
{
    size_t size = least > BLOCK_SIZE ? least : BLOCK_SIZE;
    struct reply_block *block = malloc(sizeof *block + size);

    if (block == NULL)
        return false;
    block->next = arena->first;
    block->size = size;
    arena->first = block;
    arena->used = 0;
    return true;
}

/* NULL: no memory. */
static void *take(struct reply_arena *arena, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *taken;

    if (size > SIZE_MAX / 2)
        return NULL;
    if ((arena->first == NULL || arena->first->size - arena->used < rounded) && !add_block(arena, rounded))
        return NULL;
    taken = (char *)arena->first->bytes + arena->used;
    arena->used += rounded;
    return taken;
}

static void free_blocks(struct reply_arena *arena, size_t kept_size)
{
    struct reply_block *kept = NULL, *next;

    for (struct reply_block *block = arena->first; block != NULL; block = next) {
        next = block->next;
        if (kept == NULL && block->size <= kept_size)
            kept = block;
        else
            free(block);
    }
    if (kept != NULL)
        kept->next = NULL;
    arena->first = kept;
    arena->used = 0;
}

void reply_arena_clear(struct reply_arena *arena)
{
    free_blocks(arena, KEPT_SIZE);
}

void reply_arena_release(struct reply_arena *arena)
{
    free_blocks(arena, 0);
}

/* --- the reader's objects ------------------------------------------------------------------- */

static enum redis_reply_type type_of(const redisReadTask *task)
{
    switch (task->type) {
    case REDIS_REPLY_STRING: return REDIS_STRING;
    case REDIS_REPLY_INTEGER: return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY: return REDIS_ARRAY;
    case REDIS_REPLY_STATUS: return REDIS_STATUS;
    case REDIS_REPLY_ERROR: return REDIS_ERROR;
    default: return REDIS_NIL; /* RESP2 knows no other */
    }
}

/* An empty reply in its place among its array's elements. NULL (which means the same to the reader): no memory. */
static struct redis_reply *add_reply(const redisReadTask *task, enum redis_reply_type type)
{
    struct redis_reply *reply = take(task->privdata, sizeof *reply);

    if (reply == NULL)
        return NULL;
    *reply = (struct redis_reply){.type = type};
    if (task->parent != NULL)
        ((struct redis_reply *)task->parent->obj)->elements[task->idx] = reply;
    return reply;
}

static void *add_string(const redisReadTask *task, char *bytes, size_t len)
{
    struct redis_reply *reply = add_reply(task, type_of(task));
    char *copy = reply != NULL ? take(task->privdata, len + 1) : NULL;

    if (copy == NULL)
        return NULL;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    reply->bytes = copy;
    reply->n = len;
    return reply;
}

#if HIREDIS_MAJOR < 1
typedef int element_count;
#else
typedef size_t element_count;
#endif

static void *add_array(const redisReadTask *task, element_count count)
{
    struct redis_reply *reply = add_reply(task, type_of(task));
    size_t n = (size_t)count;

    if (reply == NULL || n > SIZE_MAX / sizeof *reply->elements)
        return NULL;
    reply->elements = take(task->privdata, n * sizeof *reply->elements);
    reply->n = n;
    return reply->elements != NULL ? reply : NULL;
}

static void *add_integer(const redisReadTask *task, long long value)
{
    struct redis_reply *reply = add_reply(task, REDIS_INTEGER);

    if (reply != NULL)
        reply->integer = value;
    return reply;
}

static void *add_nil(const redisReadTask *task)
{
    return add_reply(task, REDIS_NIL);
}

#if HIREDIS_MAJOR >= 1 /* these belong to RESP3, which nobody asked for */
static void *add_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value, (void)text, (void)len;
    return add_reply(task, REDIS_NIL);
}

static void *add_bool(const redisReadTask *task, int value)
{
    (void)value;
    return add_reply(task, REDIS_NIL);
}
#endif

redisReader *reply_reader_new(struct reply_arena *arena)
{
    static redisReplyObjectFunctions functions = {
        .createString = add_string,
        .createArray = add_array,
        .createInteger = add_integer,
        .createNil = add_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = add_double,
        .createBool = add_bool,
#endif
    };
    redisReader *reader = redisReaderCreateWithFunctions(&functions);

    if (reader != NULL)
        reader->privdata = arena;
    return reader;
}

/* --- reading them --------------------------------------------------------------------------- */

const struct redis_reply *redis_reply_at(const struct redis *r, size_t i)
{
    assert(i < r->n_replies);
    return r->replies[i];
}

enum redis_reply_type redis_reply_type_of(const struct redis_reply *reply)
{
    return reply->type;
}

const char *redis_reply_bytes(const struct redis_reply *reply, size_t *ret_len)
{
    *ret_len = reply->n;
    return reply->bytes;
}

int64_t redis_reply_integer(const struct redis_reply *reply)
{
    return reply->integer;
}

int64_t redis_reply_number(const struct redis_reply *reply)
{
    int64_t number;

    if (reply->type != REDIS_STRING || parse_int64_bytes(reply->bytes, reply->n, 0, INT64_MAX, &number) != STATUS_OK)
        return 0;
    return number;
}

size_t redis_reply_length(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY ? reply->n : 0;
}

const struct redis_reply *redis_reply_element(const struct redis_reply *reply, size_t i)
{
    assert(i < redis_reply_length(reply));
    return reply->elements[i];
}

enum redis_error_class redis_reply_error_class(const struct redis_reply *reply)
{
    return reply->type == REDIS_ERROR ? redis_classify_error(reply->bytes) : REDIS_ERROR_NONE;
}

enum status redis_reply_status(const struct redis_reply *reply, struct err *err)
{
    enum redis_error_class error_class = redis_reply_error_class(reply);

    if (error_class == REDIS_ERROR_NONE)
        return STATUS_OK;
    return err_fail(err, redis_error_status(error_class), "Redis: %s", reply->bytes);
}
