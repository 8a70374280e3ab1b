#include "lib/store/key_walk.h"

#include <stdio.h>
#include <string.h>

#define STEP "1000"

void glob_append_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*?[]^\\", *text) != NULL)
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

bool key_walk_is_over(const char *cursor)
{
    return strcmp(cursor, KEY_WALK_START) == 0;
}

enum status key_walk_step(struct redis *redis, const char *pattern, char cursor[KEY_WALK_CURSOR_SIZE],
                          const struct redis_reply **ret_keys, struct err *err)
{
    const struct redis_reply *reply;
    enum status status = redis_command(redis, &reply, err, "SCAN", cursor, "MATCH", pattern, "COUNT", STEP, NULL);
    const char *bytes;
    size_t len;

    if (status != STATUS_OK)
        return status;
    if (redis_reply_type_of(reply) != REDIS_ARRAY || redis_reply_length(reply) != 2)
        return err_fail(err, STATUS_INTERNAL, "SCAN gave an answer of another shape");
    bytes = redis_reply_bytes(redis_reply_element(reply, 0), &len);
    (void)snprintf(cursor, KEY_WALK_CURSOR_SIZE, "%.*s", (int)len, bytes);
    *ret_keys = redis_reply_element(reply, 1);
    return STATUS_OK;
}
