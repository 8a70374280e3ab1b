/* Replies: hiredis's, behind a name of ours. */
#include "lib/store/redis_internal.h"

#include <assert.h>

#include "lib/base/parse_number.h"

const struct redis_reply *redis_reply_at(const struct redis *r, size_t i)
{
    assert(i < r->n_replies);
    return (const struct redis_reply *)r->replies[i];
}

static const redisReply *inner(const struct redis_reply *reply)
{
    return (const redisReply *)reply;
}

enum redis_reply_type redis_reply_type_of(const struct redis_reply *reply)
{
    switch (inner(reply)->type) {
    case REDIS_REPLY_STRING: return REDIS_STRING;
    case REDIS_REPLY_INTEGER: return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY: return REDIS_ARRAY;
    case REDIS_REPLY_STATUS: return REDIS_STATUS;
    case REDIS_REPLY_ERROR: return REDIS_ERROR;
    default: return REDIS_NIL; /* RESP2 knows no other */
    }
}

const char *redis_reply_bytes(const struct redis_reply *reply, size_t *ret_len)
{
    *ret_len = (size_t)inner(reply)->len;
    return inner(reply)->str;
}

int64_t redis_reply_integer(const struct redis_reply *reply)
{
    return inner(reply)->type == REDIS_REPLY_INTEGER ? inner(reply)->integer : 0;
}

int64_t redis_reply_number(const struct redis_reply *reply)
{
    int64_t number;

    if (inner(reply)->type != REDIS_REPLY_STRING ||
        parse_int64_bytes(inner(reply)->str, inner(reply)->len, 0, INT64_MAX, &number) != STATUS_OK)
        return 0;
    return number;
}

size_t redis_reply_length(const struct redis_reply *reply)
{
    return inner(reply)->type == REDIS_REPLY_ARRAY ? (size_t)inner(reply)->elements : 0;
}

const struct redis_reply *redis_reply_element(const struct redis_reply *reply, size_t i)
{
    assert(i < redis_reply_length(reply));
    return (const struct redis_reply *)inner(reply)->element[i];
}

enum redis_error_class redis_reply_error_class(const struct redis_reply *reply)
{
    return inner(reply)->type == REDIS_REPLY_ERROR ? redis_classify_error(inner(reply)->str) : REDIS_ERROR_NONE;
}

enum status redis_reply_status(const struct redis_reply *reply, struct err *err)
{
    enum redis_error_class error_class = redis_reply_error_class(reply);

    if (error_class == REDIS_ERROR_NONE)
        return STATUS_OK;
    return err_fail(err, redis_error_status(error_class), "Redis: %s", inner(reply)->str);
}
