/* Collects documents and stores them in pipelined groups of bounded size, in the calling thread or, for
 * long runs, in a second one: while one group travels to Redis the next is computed. */
#ifndef PNLCACHE_JOBS_DOCUMENT_WRITER_H
#define PNLCACHE_JOBS_DOCUMENT_WRITER_H

#include "jobs/document.h"

struct document_writer;

struct document_writer_counts {
    size_t stored, unchanged, refused; /* refused by Redis, or over CACHE_MAX_VALUE; the documents are misses */
};

/* settings, cache: borrowed. redis: borrowed, used by the caller's thread; NULL: a thread and a
 * connection of its own. */
enum status document_writer_new(const struct settings *settings, struct cache *cache, struct redis *redis,
                                struct document_writer **ret_writer, struct err *err) MUST_CHECK;
/* Drops what was not flushed. */
void document_writer_free(struct document_writer **writer);

/* Where the next body is to be appended. Stores the group first when it is full; a failure may be that of an earlier
 * group. */
enum status document_writer_begin(struct document_writer *writer, struct buf **ret_body, struct err *err) MUST_CHECK;
/* Takes the body just appended to that buffer, under up to DOCUMENT_WRITER_KEYS keys one after the other. `epochs` are
 * those of document_tags(). */
#define DOCUMENT_WRITER_KEYS 2
enum status document_writer_add(struct document_writer *writer, const struct document_request *request,
                                const char *user_id, const struct cache_epochs *epochs, const struct cache_body *body,
                                struct err *err) MUST_CHECK;
/* Takes any other value of the user whose epochs they are, just appended to that buffer. Tags and section are borrowed until it is stored. */
struct document_writer_place {
    const char *key; /* whole, prefix included; copied */
    const struct cache_tags *tags;
    int64_t ttl_s;
    const char *section; /* its name on pnlcache:updated */
};
enum status document_writer_add_value(struct document_writer *writer, const struct document_writer_place *place,
                                      const struct cache_epochs *epochs, const struct cache_body *body,
                                      struct err *err) MUST_CHECK;
/* Stores what is left and waits until everything is. */
enum status document_writer_flush(struct document_writer *writer, struct err *err) MUST_CHECK;
/* As of the last flush. */
struct document_writer_counts document_writer_counts(const struct document_writer *writer);

#endif
