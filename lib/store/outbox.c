/* Rows are claimed by row lock, never by a remembered id: ids are handed out in another order than the
 * transactions commit in, so "everything above the last id seen" would lose rows. A worker that dies
 * loses its locks, and the rows are claimed by the next one; carrying out a row twice is harmless. */
#include "lib/store/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/db_field.h"

void outbox_keep_first(struct outbox_batch *batch, size_t n)
{
    while (batch->n > n) {
        batch->n--;
        free(batch->rows[batch->n].user_id);
        free(batch->rows[batch->n].tag);
    }
}

static void release_batch(struct outbox_batch *batch)
{
    outbox_keep_first(batch, 0);
    free(batch->rows);
    *batch = (struct outbox_batch){0, NULL};
}

static char *copy_text(struct db_field f)
{
    return strndup((const char *)f.bytes, f.len);
}

static enum status read_row(const struct db_result *result, size_t i, struct outbox_row *ret_row)
{
    struct db_field id = db_result_field(result, i, 0), user = db_result_field(result, i, 1);
    struct db_field tag = db_result_field(result, i, 2), noted = db_result_field(result, i, 3);

    if (db_field_is_null(id) || db_field_is_null(tag) || db_field_is_null(noted) ||
        db_field_int64(id, &ret_row->id) != STATUS_OK || db_field_instant(noted, &ret_row->noted_at) != STATUS_OK)
        return STATUS_INTERNAL;
    ret_row->tag = copy_text(tag);
    ret_row->user_id = db_field_is_null(user) ? NULL : copy_text(user);
    return ret_row->tag == NULL || (ret_row->user_id == NULL && !db_field_is_null(user)) ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status read_batch(const struct db_result *result, struct outbox_batch *ret_batch, struct err *err)
{
    struct outbox_batch batch = {0, NULL};
    enum status status = STATUS_OK;
    size_t n = db_result_rows(result);

    batch.rows = calloc(n > 0 ? n : 1, sizeof *batch.rows);
    if (batch.rows == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (; status == STATUS_OK && batch.n < n; batch.n++)
        status = read_row(result, batch.n, &batch.rows[batch.n]);
    if (status != STATUS_OK) {
        release_batch(&batch);
        return err_fail(err, status, "pnlcache.change_log: a row cannot be read");
    }
    *ret_batch = batch;
    return STATUS_OK;
}

enum status outbox_claim(struct db *db, size_t max, struct outbox_batch *ret_batch, struct err *err)
{
    struct db_result *result = NULL;
    char limit[24];
    const char *params[] = {limit};
    enum status status = db_begin(db, err);

    if (status != STATUS_OK)
        return status;
    (void)snprintf(limit, sizeof limit, "%zu", max);
    status = db_query(db, "outbox_claim",
                      "SELECT id, user_id, tag, noted_at FROM pnlcache.change_log ORDER BY id LIMIT $1::bigint "
                      "FOR UPDATE SKIP LOCKED",
                      1, params, &result, err);
    if (status == STATUS_OK)
        status = read_batch(result, ret_batch, err);
    db_result_free(&result);
    if (status != STATUS_OK)
        db_end(db);
    return status;
}

static enum status delete_rows(struct db *db, const struct outbox_batch *batch, struct err *err)
{
    struct db_result *result = NULL;
    struct buf ids = BUF_INIT;
    enum status status;

    for (size_t i = 0; i < batch->n; i++)
        buf_append_format(&ids, "%c%" PRId64, i == 0 ? '{' : ',', batch->rows[i].id);
    buf_append_char(&ids, '}');
    status = buf_status(&ids);
    if (status == STATUS_OK) {
        const char *params[] = {ids.data};
        status = db_query(db, "outbox_delete", "DELETE FROM pnlcache.change_log WHERE id = ANY ($1::bigint[])", 1,
                          params, &result, err);
    }
    db_result_free(&result);
    buf_release(&ids);
    return status;
}

enum status outbox_finish(struct db *db, struct outbox_batch *batch, struct err *err)
{
    enum status status = batch->n > 0 ? delete_rows(db, batch, err) : STATUS_OK;

    if (status == STATUS_OK)
        status = db_commit(db, err);
    else
        db_end(db);
    release_batch(batch);
    return status;
}

void outbox_abandon(struct db *db, struct outbox_batch *batch)
{
    db_end(db);
    release_batch(batch);
}

static enum status insert_rows(struct db *db, const char *users, const char *tags, struct err *err)
{
    const char *params[] = {users, tags, OUTBOX_CHANNEL};
    struct db_result *result = NULL;
    enum status status = db_query(db, "outbox_add",
                                  "WITH noted AS (INSERT INTO pnlcache.change_log (user_id, tag) "
                                  "SELECT u, t FROM unnest($1::text[], $2::text[]) AS n (u, t) "
                                  "ON CONFLICT DO NOTHING RETURNING 1) "
                                  "SELECT pg_notify($3::text, '') FROM (SELECT count(*) FROM noted) AS n",
                                  3, params, &result, err);

    db_result_free(&result);
    return status;
}

enum status outbox_add(struct db *db, const struct outbox_note *notes, size_t n, struct err *err)
{
    const char **texts = calloc(2 * n + 1, sizeof *texts);
    struct buf users = BUF_INIT, tags = BUF_INIT;
    enum status status;

    for (size_t i = 0; texts != NULL && i < n; i++) {
        texts[i] = notes[i].user_id;
        texts[n + i] = notes[i].tag;
    }
    if (texts != NULL) {
        db_append_text_array(&users, n, texts);
        db_append_text_array(&tags, n, texts + n);
    }
    status = texts == NULL || buf_status(&users) != STATUS_OK || buf_status(&tags) != STATUS_OK ? STATUS_NO_MEMORY
                                                                                                : db_begin(db, err);
    if (status == STATUS_OK) {
        status = insert_rows(db, users.data, tags.data, err);
        if (status == STATUS_OK)
            status = db_commit(db, err);
        else
            db_end(db);
    }
    buf_release(&users);
    buf_release(&tags);
    free(texts);
    return status;
}

enum status outbox_concerns(struct db *db, const char *user_id, bool *ret_concerns, struct err *err)
{
    const char *params[] = {user_id};
    struct db_result *result = NULL;
    enum status status = db_query(
        db, "outbox_concerns", "SELECT 1 FROM pnlcache.change_log WHERE user_id = $1::text OR user_id IS NULL LIMIT 1",
        1, params, &result, err);

    if (status == STATUS_OK)
        *ret_concerns = db_result_rows(result) > 0;
    db_result_free(&result);
    return status;
}

enum status outbox_inspect(struct db *db, struct outbox_state *ret_state, struct err *err)
{
    struct outbox_state state = {0};
    struct db_result *result = NULL;
    enum status status = db_query(db, "outbox_inspect",
                                  "SELECT count(*), greatest(coalesce((extract(epoch FROM clock_timestamp() - "
                                  "min(noted_at)) * 1000)::bigint, 0), 0) FROM pnlcache.change_log",
                                  0, NULL, &result, err);

    if (status == STATUS_OK && (db_field_int64(db_result_field(result, 0, 0), &state.depth) != STATUS_OK ||
                                db_field_int64(db_result_field(result, 0, 1), &state.oldest_age_ms) != STATUS_OK))
        status = err_fail(err, STATUS_INTERNAL, "pnlcache.change_log: its state cannot be read");
    db_result_free(&result);
    if (status == STATUS_OK)
        *ret_state = state;
    return status;
}
