#include "lib/base/rate_limit.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/parse_number.h"

static const struct {
    const char *prefix;
    enum rate_algorithm algorithm;
} algorithms[] = {{"fixed:", RATE_FIXED}, {"sliding:", RATE_SLIDING}, {"bucket:", RATE_BUCKET}};

bool rate_policy_parse(const char *text, struct rate_policy *ret_policy)
{
    struct rate_policy policy = {RATE_OFF, 0, 0};
    int64_t window_s;

    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        size_t prefix_len = strlen(algorithms[i].prefix);
        const char *number = text + prefix_len, *slash;

        if (strncmp(text, algorithms[i].prefix, prefix_len) != 0)
            continue;
        slash = strchr(number, '/');
        if (slash == NULL ||
            parse_int64_bytes(number, (size_t)(slash - number), 1, RATE_LIMIT_MAX, &policy.limit) != STATUS_OK ||
            parse_int64(slash + 1, 1, RATE_WINDOW_MAX_S, &window_s) != STATUS_OK)
            return false;
        policy.algorithm = algorithms[i].algorithm;
        policy.window_us = window_s * US_PER_SECOND;
    }
    if (policy.algorithm == RATE_OFF && strcmp(text, "off") != 0)
        return false;
    *ret_policy = policy;
    return true;
}

void rate_state_advance(const struct rate_policy *policy, struct rate_state *state, int64_t now_us)
{
    int64_t passed_us = now_us - state->at_us, start_us = now_us - now_us % policy->window_us;

    if (policy->algorithm == RATE_BUCKET) {
        if (passed_us <= 0)
            return;
        int64_t drained = passed_us < INT64_MAX / policy->limit ? passed_us * policy->limit : INT64_MAX;
        state->used = state->used > drained ? state->used - drained : 0;
        state->at_us = now_us;
    } else if (start_us > state->at_us) {
        state->previous = start_us - state->at_us == policy->window_us ? state->used : 0;
        state->used = 0;
        state->at_us = start_us;
    }
}

void rate_state_add(const struct rate_policy *policy, struct rate_state *state, int64_t n)
{
    state->used += policy->algorithm == RATE_BUCKET ? n * policy->window_us : n;
}

/* Requests times window_us that are still free. */
static int64_t free_of(const struct rate_policy *policy, const struct rate_state *state, int64_t now_us)
{
    int64_t window_us = policy->window_us, left_us = window_us - (now_us - state->at_us);
    int64_t whole = policy->limit * window_us;

    if (policy->algorithm == RATE_BUCKET)
        return whole - state->used;
    if (left_us > window_us)
        left_us = window_us;
    return whole - state->used * window_us - (policy->algorithm == RATE_SLIDING ? state->previous * left_us : 0);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t rate_state_room(const struct rate_policy *policy, const struct rate_state *state, int64_t now_us)
{
    return floor_divide(free_of(policy, state, now_us), policy->window_us);
}

static int64_t ceil_divide(int64_t a, int64_t b)
{
    return -floor_divide(-a, b);
}

/* How far into a window the weight of the one before has shrunk enough for one more request. */
static int64_t sliding_start_us(const struct rate_policy *policy, int64_t used, int64_t previous)
{
    int64_t room = (policy->limit - 1 - used) * policy->window_us;
    int64_t start_us = previous > 0 ? policy->window_us - room / previous : 0;

    return start_us > 0 ? start_us : 0;
}

int64_t rate_state_wait_us(const struct rate_policy *policy, const struct rate_state *state, int64_t now_us)
{
    int64_t window_us = policy->window_us, end_us = state->at_us + window_us;

    if (rate_state_room(policy, state, now_us) >= 1)
        return 0;
    switch (policy->algorithm) {
    case RATE_BUCKET: return ceil_divide(window_us - free_of(policy, state, now_us), policy->limit);
    case RATE_SLIDING:
        if (state->used < policy->limit)
            return state->at_us + sliding_start_us(policy, state->used, state->previous) - now_us;
        return end_us + sliding_start_us(policy, 0, state->used) - now_us;
    case RATE_FIXED:
    case RATE_OFF: break;
    }
    return end_us - now_us;
}
