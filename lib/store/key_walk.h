/* Walking over the key space with SCAN: in the background only, for it reads all of it. */
#ifndef PNLCACHE_STORE_KEY_WALK_H
#define PNLCACHE_STORE_KEY_WALK_H

#include "lib/base/buf.h"
#include "lib/store/redis.h"

#define KEY_WALK_CURSOR_SIZE 32
#define KEY_WALK_START "0"

/* One step of about a thousand keys. `cursor` begins as KEY_WALK_START, moves on, and is KEY_WALK_START again at the end of
 * the walk. A key that is there throughout is met at least once, perhaps oftener. *ret_keys (an array, perhaps empty)
 * is borrowed until the connection's next flush; redis_append() copies its arguments. */
enum status key_walk_step(struct redis *redis, const char *pattern, char cursor[KEY_WALK_CURSOR_SIZE],
                          const struct redis_reply **ret_keys, struct err *err) MUST_CHECK;
bool key_walk_is_over(const char *cursor);

/* Appends `text` with the characters SCAN's patterns give a meaning to escaped. */
void glob_append_escaped(struct buf *out, const char *text);

#endif
