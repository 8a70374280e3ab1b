#include "fcgi/limits.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct limits {
    struct rate_limiter *reads, *address, *webhooks, *logins; /* NULL: off */
};

static enum status limiter_new(const char *text, const char *name, const struct cache *cache,
                               struct rate_limiter **ret_limiter, struct err *err)
{
    struct rate_policy policy;

    if (!rate_policy_parse(text, &policy))
        return err_fail(err, STATUS_INVALID, "RATE_LIMIT: '%s' is no rate", text);
    return rate_limiter_new(&policy, name, cache, ret_limiter, err);
}

enum status limits_new(const struct settings *settings, const struct cache *cache, struct limits **ret_limits,
                       struct err *err)
{
    struct limits *l = calloc(1, sizeof(*l));

    if (!l)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    enum status status = limiter_new(settings->rate_limit_reads, "reads", cache, &l->reads, err);
    if (status == STATUS_OK)
        status = limiter_new(settings->rate_limit_address, "address", cache, &l->address, err);
    if (status == STATUS_OK)
        status = limiter_new(settings->rate_limit_webhooks, "webhooks", cache, &l->webhooks, err);
    if (status == STATUS_OK)
        status = limiter_new(settings->rate_limit_logins, "logins", cache, &l->logins, err);
    if (status == STATUS_OK)
        *ret_limits = l;
    else
        limits_free(&l);
    return status;
}

void limits_free(struct limits **limits)
{
    if (!*limits)
        return;
    rate_limiter_free(&(*limits)->reads);
    rate_limiter_free(&(*limits)->address);
    rate_limiter_free(&(*limits)->webhooks);
    rate_limiter_free(&(*limits)->logins);
    free(*limits);
    *limits = NULL;
}

/* --- telling -------------------------------------------------------------------------------------- */

/* The fields of draft-ietf-httpapi-ratelimit-headers: a quota q per w seconds, of which r are left for t seconds. */
static void refuse(const struct rate_limiter *limiter, struct exchange *x, int64_t wait_us)
{
    const struct rate_policy *policy = rate_limiter_policy(limiter);
    long long wait_s = (wait_us + US_PER_SECOND - 1) / US_PER_SECOND;
    const char *name = rate_limiter_name(limiter);
    struct buf headers = BUF_INIT;

    if (wait_s < 1)
        wait_s = 1;
    buf_append_format(&headers, "Retry-After: %lld\r\nRateLimit: \"%s\";r=0;t=%lld\r\n", wait_s, name, wait_s);
    buf_append_format(&headers, "RateLimit-Policy: \"%s\";q=%lld;w=%lld\r\n", name, (long long)policy->limit,
                      (long long)(policy->window_us / US_PER_SECOND));
    response_problem(&x->response, &x->request, 429, "too many requests; send it again later", NULL,
                     buf_status(&headers) == STATUS_OK ? headers.data : NULL);
    buf_release(&headers);
}

/* --- counting ------------------------------------------------------------------------------------- */

/* An IPv6 site has a whole /64 to choose addresses from. */
static void take_address(const struct request *request, char subject[RATE_SUBJECT_SIZE])
{
    const char *text = request_param(request, PARAM_REMOTE_ADDR);
    struct in6_addr address;

    if (!text || !*text || strlen(text) >= RATE_SUBJECT_SIZE) {
        memcpy(subject, "unknown", sizeof("unknown"));
    } else if (inet_pton(AF_INET6, text, &address) == 1 && !IN6_IS_ADDR_V4MAPPED(&address)) {
        memset(&address.s6_addr[8], 0, 8);
        inet_ntop(AF_INET6, &address, subject, RATE_SUBJECT_SIZE);
    } else {
        memcpy(subject, text, strlen(text) + 1);
    }
}

bool limits_admit_address(struct limits *limits, struct exchange *x, enum limit_group group)
{
    struct rate_limiter *limiter = group == LIMIT_READS      ? limits->address
                                   : group == LIMIT_WEBHOOKS ? limits->webhooks
                                   : group == LIMIT_LOGINS   ? limits->logins
                                                             : NULL;
    char subject[RATE_SUBJECT_SIZE];
    int64_t wait_us;

    if (!limiter)
        return true;
    take_address(&x->request, subject);
    if (rate_limiter_take(limiter, subject, clock_now(), &wait_us))
        return true;
    refuse(limiter, x, wait_us);
    return false;
}

bool limits_admit_user(struct limits *limits, struct exchange *x, const struct claims *claims, struct instant now)
{
    int64_t wait_us;

    if (!limits->reads || claims->role != ROLE_USER)
        return true;
    x->limited = rate_limiter_take(limits->reads, claims->user_id, now, &wait_us);
    if (!x->limited)
        refuse(limits->reads, x, wait_us);
    return x->limited;
}

/* --- deciding exactly ----------------------------------------------------------------------------- */

bool limits_confirm_reads(struct limits *limits, struct redis *redis, struct exchange *first)
{
    size_t n = 0;
    bool others = false; /* that count against nobody's limit */
    int64_t wait_us = 0;

    if (!limits->reads)
        return true;
    for (struct exchange *x = first; x; x = x->next) {
        n += x->limited;
        others = others || !x->limited;
        x->limited = false; /* a flight that waits for another process comes by again */
    }
    /* A user's own reads carry its id as the document's. */
    if (n == 0 || rate_limiter_confirm(limits->reads, redis, first->user_id, n, clock_now(), &wait_us) > 0 || others)
        return true;
    for (struct exchange *x = first; x; x = x->next)
        refuse(limits->reads, x, wait_us);
    return false;
}

bool limits_confirm_login(struct limits *limits, struct redis *redis, struct exchange *x)
{
    char subject[RATE_SUBJECT_SIZE];
    int64_t wait_us = 0;

    take_address(&x->request, subject);
    if (rate_limiter_confirm(limits->logins, redis, subject, 1, clock_now(), &wait_us) > 0)
        return true;
    refuse(limits->logins, x, wait_us);
    return false;
}

void limits_confirm_webhooks(struct limits *limits, struct redis *redis, struct exchange *const *calls, size_t n,
                             bool *ret_refused)
{
    char subjects[2][RATE_SUBJECT_SIZE];
    int64_t wait_us = 0;

    memset(ret_refused, 0, n * sizeof(*ret_refused));
    for (size_t i = 0, end; limits->webhooks && i < n; i = end) {
        take_address(&calls[i]->request, subjects[0]);
        for (end = i + 1; end < n; end++) { /* as many as come from the same address */
            take_address(&calls[end]->request, subjects[1]);
            if (strcmp(subjects[0], subjects[1]) != 0)
                break;
        }
        size_t admitted = rate_limiter_confirm(limits->webhooks, redis, subjects[0], end - i, clock_now(), &wait_us);
        for (size_t j = i + admitted; j < end; j++) {
            refuse(limits->webhooks, calls[j], wait_us);
            ret_refused[j] = true;
        }
    }
}

enum status limits_settle(struct limits *limits, struct redis *redis, struct err *err)
{
    enum status status = rate_limiter_settle(limits->reads, redis, err);

    if (status == STATUS_OK)
        status = rate_limiter_settle(limits->address, redis, err);
    if (status == STATUS_OK)
        status = rate_limiter_settle(limits->webhooks, redis, err);
    if (status == STATUS_OK)
        status = rate_limiter_settle(limits->logins, redis, err);
    return status;
}
