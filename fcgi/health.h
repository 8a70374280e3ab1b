/* How the servers behind the responder are: a circuit breaker for each, shared by all threads, and a thread for each that
 * looks every second, and that is the only one to try a server whose breaker is open. So no request ever waits to
 * find out that an outage goes on, and an outage ends although nobody asks. Each change is logged once. */
#ifndef PNLCACHE_FCGI_HEALTH_H
#define PNLCACHE_FCGI_HEALTH_H

#include "lib/base/settings.h"
#include "lib/json/json_writer.h"
#include "lib/store/breaker.h"

struct health; /* thread-safe */
struct responder;

enum status health_new(const struct settings *settings, struct health **ret_health, struct err *err) MUST_CHECK;
void health_free(struct health **health);
struct breaker *health_redis_breaker(const struct health *health);
struct breaker *health_database_breaker(const struct health *health);

/* Begins to look; the first look is at once. */
enum status health_start(struct health *health, const struct responder *responder, struct err *err) MUST_CHECK;
/* Ends the threads; at the latest after the time-outs of one look. */
void health_stop(struct health *health);

bool health_database_is_up(const struct health *health);
/* How Redis took a value that was to be stored; `why` when it refused. After a refusal the watching thread tries each second
 * whether Redis takes values again. */
void health_note_store(struct health *health, bool accepted, const char *why);

/* The body of /readyz; `l1`: the state of the responder's own memory; n_pending: users whose invalidation waits for Redis.
 * Returns whether requests can be answered, be it by one of the two servers alone. */
bool health_write(struct health *health, const char *l1, size_t n_pending, struct json_writer *w);

#endif
