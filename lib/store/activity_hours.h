/* In which hours of the week each user comes: what warming needs to know who is likely to come next.
 *
 * 168 sorted sets activity:hours:HHH (the hour of the week in UTC, 000 is Monday's first), member = user, score = the sum
 * of the weights of the minutes in which the user was seen in that hour. A weight doubles every four weeks from a fixed
 * day on, so that older ones count for less without ever being touched again, and scores compare within a set and between sets. */
#ifndef PNLCACHE_STORE_ACTIVITY_HOURS_H
#define PNLCACHE_STORE_ACTIVITY_HOURS_H

#include "lib/base/clock.h"
#include "lib/store/cache.h"

#define ACTIVITY_HOURS 168 /* of a week */

/* 0..167. */
int activity_hour_of_week(struct instant t);

/* Appends the commands that note a user seen now, at most once a minute for each: two replies, for the caller to flush. */
enum status activity_hours_append_note(const struct cache *cache, struct redis *redis, const char *user_id,
                                       struct instant now, struct err *err) MUST_CHECK;
/* The users most likely to come within the next hour, most likely first, at most `max` (above 0): by the weights of the present and the
 * next hour of the week, each for its part. Free with text_array_free(). */
enum status activity_hours_likely(const struct cache *cache, struct redis *redis, struct instant now, size_t max,
                                  char ***ret_ids, size_t *ret_n, struct err *err) MUST_CHECK;
/* Forgets what is worth less than one minute of `age_s` ago. *ret_n: members removed. */
enum status activity_hours_prune(const struct cache *cache, struct redis *redis, struct instant now, int64_t age_s,
                                 int64_t *ret_n, struct err *err) MUST_CHECK;
/* Erases a user. */
enum status activity_hours_forget(const struct cache *cache, struct redis *redis, const char *user_id,
                                  struct err *err) MUST_CHECK;

#endif
