/* Which documents beyond the precomputed ones, and which whole lists, a user asked for lately: the sorted set `wanted:{U}`,
 * canonical text of the request, or "collection:" and a dataset's name, by the time it was last asked. Jobs keep these documents fresh together with the precomputed ones. It is an
 * economy: losing it costs a miss per document, and what stands in it is read with distrust.
 *
 * Bounded in three ways: WANTED_DOCUMENTS of a user, those asked last; none asked longer ago than ACTIVE_WINDOW; and the
 * key goes when nobody asked for that long. */
#ifndef PNLCACHE_JOBS_WANTED_H
#define PNLCACHE_JOBS_WANTED_H

#include "jobs/document.h"

struct dataset_set;

struct wanted {
    size_t n;
    struct document_request *requests; /* the one asked last first; their symbols are in `texts` */
    char **texts;                      /* canonical, of each */
    size_t n_collections;
    char **
        collections; /* names of datasets whose whole list was asked for (collection.h); there may be none of a name any more */
    size_t n_dropped; /* foreign or damaged members, removed from the record */
};

/* Frees what wanted_read() filled in; repeatable. */
void wanted_release(struct wanted *wanted);

/* Notes that the user asked for this document just now. A precomputed one needs no note; nor does any when
 * WANTED_DOCUMENTS is 0. One round trip. What is in the way (another type) is deleted. */
enum status wanted_note(struct cache *cache, struct redis *redis, const struct settings *settings, const char *user_id,
                        const struct document_request *request, struct err *err) MUST_CHECK;
/* The same of the whole lists of these datasets, in one round trip. */
enum status wanted_note_collections(struct cache *cache, struct redis *redis, const struct settings *settings,
                                    const char *user_id, size_t n, const char *const *names,
                                    struct err *err) MUST_CHECK;
/* And of all that the set has (NULL: none). */
enum status wanted_note_all_collections(struct cache *cache, struct redis *redis, const struct settings *settings,
                                        const struct dataset_set *datasets, const char *user_id,
                                        struct err *err) MUST_CHECK;
/* The users' records, each into a zeroed struct of its own, in one round trip; a second one removes what was
 * dropped. */
enum status wanted_read(struct cache *cache, struct redis *redis, const struct settings *settings, size_t n_users,
                        const char *const *user_ids, struct wanted *ret_wanted, struct err *err) MUST_CHECK;
/* Takes one document off the record: what it names is no longer there. */
enum status wanted_forget(struct cache *cache, struct redis *redis, const char *user_id, const char *text,
                          struct err *err) MUST_CHECK;

/* Whether a change of these tags of the user calls for a job: a precomputed document depends on one, or a document or a whole
 * list of `datasets` (NULL: none) that the user asked for lately does. Only the latter costs a round trip, and only for tags
 * that any of them depends on. Shared tags call for none. */
enum status wanted_call_for_job(struct cache *cache, struct redis *redis, const struct settings *settings,
                                const struct dataset_set *datasets, const char *user_id, const struct cache_tags *tags,
                                bool *ret_needed, struct err *err) MUST_CHECK;

#endif
