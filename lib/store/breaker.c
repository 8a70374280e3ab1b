#include "lib/store/breaker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SETTLE_MS 5000 /* closed for so long: the next outage is a new one */

struct breaker {
    struct breaker_options options;
    _Atomic int state; /* enum breaker_state; written under the lock */
    _Atomic uint64_t silences;
    pthread_mutex_t lock;
    bool silent; /* in this outage */
    int64_t pause_ms, retry_at_ms, opened_at_ms, closed_at_ms;
    char why[256];
};

enum status breaker_new(const struct breaker_options *options, struct breaker **ret_breaker, struct err *err)
{
    struct breaker *b = calloc(1, sizeof *b);

    if (b == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    b->options = *options;
    pthread_mutex_init(&b->lock, NULL);
    *ret_breaker = b;
    return STATUS_OK;
}

void breaker_free(struct breaker **breaker)
{
    if (*breaker == NULL)
        return;
    pthread_mutex_destroy(&(*breaker)->lock);
    free(*breaker);
    *breaker = NULL;
}

enum breaker_state breaker_state(const struct breaker *b)
{
    return (enum breaker_state)atomic_load_explicit(&b->state, memory_order_acquire);
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "open", "probing"};

    return names[state];
}

uint64_t breaker_silences(const struct breaker *b)
{
    return atomic_load_explicit(&b->silences, memory_order_acquire);
}

int64_t breaker_retry_at_ms(struct breaker *b)
{
    int64_t at_ms;

    pthread_mutex_lock(&b->lock);
    at_ms = breaker_state(b) == BREAKER_CLOSED ? 0 : b->retry_at_ms;
    pthread_mutex_unlock(&b->lock);
    return at_ms;
}

int64_t breaker_jitter_ms(int64_t pause_ms)
{
    uint32_t bits = 0;

    /* Only spreads load, so a failing getrandom() may give 0. */
    (void)!getrandom(&bits, sizeof bits, GRND_NONBLOCK);
    return pause_ms / 2 + (int64_t)bits % (pause_ms / 2 + 1);
}

enum status breaker_admit(struct breaker *b, bool probes, int64_t now_ms, struct err *err)
{
    enum status status = STATUS_OK;

    if (breaker_state(b) == BREAKER_CLOSED)
        return STATUS_OK;
    pthread_mutex_lock(&b->lock);
    if (breaker_state(b) == BREAKER_OPEN && probes && now_ms >= b->retry_at_ms)
        atomic_store(&b->state, BREAKER_PROBING);
    else if (breaker_state(b) != BREAKER_CLOSED)
        status = err_fail(err, STATUS_UNAVAILABLE, "%s (next attempt in %lld ms)", b->why,
                          (long long)(b->retry_at_ms > now_ms ? b->retry_at_ms - now_ms : 0));
    pthread_mutex_unlock(&b->lock);
    return status;
}

static void tell(const struct breaker *b, bool closed, const char *why)
{
    if (b->options.on_change != NULL)
        b->options.on_change(b->options.context, closed, why);
}

void breaker_succeed(struct breaker *b, int64_t now_ms)
{
    char after[64] = "";

    if (breaker_state(b) != BREAKER_PROBING)
        return;
    pthread_mutex_lock(&b->lock);
    if (breaker_state(b) == BREAKER_PROBING) {
        (void)snprintf(after, sizeof after, "after %lld ms", (long long)(now_ms - b->opened_at_ms));
        b->closed_at_ms = now_ms;
        atomic_store(&b->state, BREAKER_CLOSED);
    }
    pthread_mutex_unlock(&b->lock);
    if (after[0] != '\0')
        tell(b, true, after);
}

/* Under the lock. True: it was closed. A report that comes in while it is open tells nothing new, unless it is of the
 * outage's first silence. */
static bool open_again(struct breaker *b, enum breaker_failure failure, const char *why, int64_t now_ms)
{
    bool was_closed = breaker_state(b) == BREAKER_CLOSED;
    bool fresh = was_closed && now_ms - b->closed_at_ms >= SETTLE_MS;

    if (was_closed)
        b->silent = false;
    if (failure == BREAKER_SILENT && !b->silent)
        atomic_fetch_add(&b->silences, 1);
    b->silent = b->silent || failure == BREAKER_SILENT;
    if (breaker_state(b) == BREAKER_OPEN)
        return false;
    b->pause_ms = fresh || b->pause_ms == 0 ? b->options.first_pause_ms : b->pause_ms * 2;
    if (b->pause_ms > b->options.last_pause_ms)
        b->pause_ms = b->options.last_pause_ms;
    b->retry_at_ms = now_ms + breaker_jitter_ms(b->pause_ms);
    (void)snprintf(b->why, sizeof b->why, "%s", why);
    if (was_closed)
        b->opened_at_ms = now_ms;
    atomic_store(&b->state, BREAKER_OPEN);
    return was_closed;
}

void breaker_fail(struct breaker *b, enum breaker_failure failure, const char *why, int64_t now_ms)
{
    bool opened;

    pthread_mutex_lock(&b->lock);
    opened = open_again(b, failure, why, now_ms);
    pthread_mutex_unlock(&b->lock);
    if (opened)
        tell(b, false, why);
}
