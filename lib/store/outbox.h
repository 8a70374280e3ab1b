/* pnlcache.change_log, the transactional outbox (design sections 4 and 5): filled by triggers, and by a
 * responder that could not reach Redis; drained by workers with FOR UPDATE SKIP LOCKED. */
#ifndef PNLCACHE_STORE_OUTBOX_H
#define PNLCACHE_STORE_OUTBOX_H

#include "lib/store/db.h"

#define OUTBOX_CHANNEL "pnlcache_change"

struct outbox_row {
    int64_t id;
    char *user_id; /* owned by the batch; may be any text, check with user_id_is_valid(); NULL: every user */
    char *tag;
    struct instant noted_at;
};
struct outbox_batch {
    size_t n;
    struct outbox_row *rows;
};

/* Starts a transaction and claims up to `max` rows nobody else holds, oldest first. The caller carries them
 * out and calls outbox_finish() (deletes the rows, commits) or outbox_abandon() (rolls back); both empty the
 * batch whatever happens. n may be 0. Do no slow work in between: the rows are locked. */
enum status outbox_claim(struct db *db, size_t max, struct outbox_batch *ret_batch, struct err *err) MUST_CHECK;
/* Leaves the rows behind the first `n` to the next claim. */
void outbox_keep_first(struct outbox_batch *batch, size_t n);
/* After a failure the rows are still there (or, after a time-out, may be): somebody will claim them again. */
enum status outbox_finish(struct db *db, struct outbox_batch *batch, struct err *err) MUST_CHECK;
void outbox_abandon(struct db *db, struct outbox_batch *batch);
struct outbox_note {
    const char *user_id; /* NULL: every user, or a shared tag */
    const char *tag;
};
/* Notes changes durably (one transaction of its own, also on a read_only connection) and wakes the workers. After
 * STATUS_TIMEOUT they may have been noted; noting them again is harmless. */
enum status outbox_add(struct db *db, const struct outbox_note *notes, size_t n, struct err *err) MUST_CHECK;

/* Whether a row of this user, or of every user, waits to be carried out. */
enum status outbox_concerns(struct db *db, const char *user_id, bool *ret_concerns, struct err *err) MUST_CHECK;

struct outbox_state {
    int64_t depth;         /* rows, those being carried out included */
    int64_t oldest_age_ms; /* by the database's clock; 0 when there are none */
};
enum status outbox_inspect(struct db *db, struct outbox_state *ret_state, struct err *err) MUST_CHECK;

#endif
