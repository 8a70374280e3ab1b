#include "worker/outage.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/store/breaker.h"

#define LOG_EVERY_MS 30000
#define WAIT_MIN_MS 100
#define WAIT_MAX_MS 500 /* on top of a connection's own pauses, of a second at most: works again within two */

int64_t outage_wait_ms(int failures)
{
    int64_t wait = WAIT_MIN_MS;

    for (int i = 1; i < failures && wait < WAIT_MAX_MS; i++)
        wait *= 2;
    return wait > WAIT_MAX_MS ? WAIT_MAX_MS : wait;
}

int64_t outage_failed(struct outage *o, const char *reason)
{
    int64_t now_ms = clock_monotonic_ms();

    if (!o->active) {
        o->active = true;
        o->began_ms = now_ms;
        o->failures = 0;
    }
    if (o->failures == 0 || now_ms - o->logged_ms >= LOG_EVERY_MS) {
        log_warn("waiting for a server", LOG_STR("for", o->what), LOG_STR("reason", reason),
                 LOG_INT("seconds", (now_ms - o->began_ms) / 1000));
        o->logged_ms = now_ms;
    }
    return breaker_jitter_ms(outage_wait_ms(++o->failures));
}

void outage_over(struct outage *o)
{
    if (!o->active)
        return;
    log_info("works again", LOG_STR("what", o->what), LOG_INT("after_ms", clock_monotonic_ms() - o->began_ms));
    o->active = false;
}
