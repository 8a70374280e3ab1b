/* How many requests in which time: the three usual algorithms, as pure arithmetic. Times are microseconds of the wall clock,
 * so that processes on several machines mean the same windows.
 *
 *   fixed    at most N in each window; a burst at the border of two may reach 2 N
 *   sliding  N in any window, the last one weighted by how much of it still counts
 *   bucket   a burst of N, refilled evenly over the window
 */
#ifndef PNLCACHE_BASE_RATE_LIMIT_H
#define PNLCACHE_BASE_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum rate_algorithm { RATE_OFF, RATE_FIXED, RATE_SLIDING, RATE_BUCKET };

#define RATE_LIMIT_MAX 1000000 /* requests */
#define RATE_WINDOW_MAX_S 3600 /* seconds; with the former all products stay exact in a double */

struct rate_policy {
    enum rate_algorithm algorithm;
    int64_t limit, window_us;
};

/* "off", or ALGORITHM:N/SECONDS: "sliding:600/60". False: neither. */
bool rate_policy_parse(const char *text, struct rate_policy *ret_policy);

/* Of one user or address; all zero: nothing was counted yet. */
struct rate_state {
    int64_t at_us;    /* when the present window began; bucket: when the level was true */
    int64_t used;     /* requests in the present window; bucket: its level, in requests times window_us */
    int64_t previous; /* requests in the window before */
};

/* Brings the state up to a time. A time before the state's own (clocks differ) changes nothing. */
void rate_state_advance(const struct rate_policy *policy, struct rate_state *state, int64_t now_us);
/* Counts n requests, whether there is room or not. */
void rate_state_add(const struct rate_policy *policy, struct rate_state *state, int64_t n);
/* How many requests there is room for; may be negative. The state must have been advanced to now_us. */
int64_t rate_state_room(const struct rate_policy *policy, const struct rate_state *state, int64_t now_us);
/* How long until there is room for one, if nobody else comes; 0: there is. The state must have been advanced. */
int64_t rate_state_wait_us(const struct rate_policy *policy, const struct rate_state *state, int64_t now_us);

#endif
