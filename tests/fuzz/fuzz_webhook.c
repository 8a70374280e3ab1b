/* Hostile webhooks: the first three lines are webhook-id, webhook-timestamp and webhook-signature, the rest is the body. What is
 * accepted must be within its bounds; a signature never fits, for nobody here knows the secret. */
#include <stdlib.h>
#include <string.h>

#include "fcgi/webhook_events.h"
#include "fcgi/webhook_signature.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

/* A header's value, owned by the caller; *at moves behind its line. */
static char *take_line(const char *text, size_t len, size_t *at)
{
    const char *newline = memchr(text + *at, '\n', len - *at);
    size_t end = newline == NULL ? len : (size_t)(newline - text);
    char *line = strndup(text + *at, end - *at);

    *at = newline == NULL ? len : end + 1;
    if (line == NULL)
        abort();
    return line;
}

static void check_signature(const char *const headers[3], const char *body, size_t len)
{
    static struct webhook_keys *keys;
    int64_t ahead_s;

    if (keys == NULL && webhook_keys_new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                         &keys, NULL) != STATUS_OK)
        abort();
    if (webhook_verify(keys, headers[0], headers[1], headers[2], body, len, (struct instant){0}, INT64_MAX, &ahead_s) ==
        WEBHOOK_GOOD)
        abort();
}

static void check_changes(const struct webhook_events *events)
{
    size_t n_tags = 0;

    for (size_t i = 0; i < events->n; i++) {
        const struct webhook_change *change = &events->changes[i];

        if (change->tags.n == 0 || change->tags.n > CACHE_MAX_TAGS || change->type == NULL)
            abort();
        if ((change->user_id[0] == '\0') != change->tags.tags[0].shared)
            abort();
        if (change->user_id[0] != '\0' && !user_id_is_valid(change->user_id))
            abort();
        if (i > 0 && strcmp(events->changes[i - 1].user_id, change->user_id) >= 0)
            abort();
        n_tags += change->tags.n;
    }
    if (events->accepted == 0 || events->accepted > WEBHOOK_MAX_EVENTS || events->n > events->accepted ||
        n_tags > events->accepted * CACHE_MAX_TAGS)
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    const char *text = (const char *)bytes;
    struct webhook_problems problems;
    struct webhook_events events;
    struct err err = {""};
    char *headers[3];
    size_t at = 0;

    for (size_t i = 0; i < 3; i++)
        headers[i] = take_line(text, len, &at);
    check_signature((const char *const *)headers, text + at, len - at);
    int http_status = webhook_events_parse(text + at, len - at, &events, &problems, &err);
    if (http_status == 202)
        check_changes(&events);
    else if ((http_status != 400 && http_status != 422) || events.n != 0 || (problems.n == 0) != (err.text[0] != '\0'))
        abort();
    for (size_t i = 0; i < 3; i++)
        free(headers[i]);
    webhook_events_release(&events);
    webhook_problems_release(&problems);
    return 0;
}
