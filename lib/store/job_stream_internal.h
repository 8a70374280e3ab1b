/* What the job_*.c files share. Nobody else includes this. */
#ifndef PNLCACHE_STORE_JOB_STREAM_INTERNAL_H
#define PNLCACHE_STORE_JOB_STREAM_INTERNAL_H

#include "lib/store/job_stream.h"

#define JOB_GROUP "workers"

/* KEY_PREFIX and the name, appended. */
enum status job_make_key(const struct cache *cache, const char *name, struct buf *key, struct err *err) MUST_CHECK;
/* Flushes what was appended; the first error reply counts. */
enum status job_flush(struct redis *redis, struct err *err) MUST_CHECK;
/* True for an error reply that begins so. */
bool job_reply_begins(const struct redis_reply *reply, const char *word);
/* Copies a string reply; false: another type, too long, or with a NUL in it. */
bool job_copy_text(const struct redis_reply *reply, char *text, size_t size);
/* Copies the value of a [field, value, ...] array; false: not there, or as job_copy_text(). */
bool job_copy_field(const struct redis_reply *fields, const char *name, char *text, size_t size);
/* Fills kind, user, reason, attempts and age from an entry's fields; false: it is no job. job->id must be set. */
bool job_read_fields(const struct redis_reply *fields, struct job *job);
/* When an entry with this stream id was added; 0: not such an id. */
int64_t job_id_ms(const char *id);
/* A member of jobs:later; false: it is no job. */
bool job_read_later(const char *member, struct job *job, char *error, size_t error_size);
/* XADD of a job that exists already: attempts and age stay with it. */
void job_append_again(struct redis *redis, const char *key, const struct job *job);

#endif
