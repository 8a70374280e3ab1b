#include "jobs/dataset_key.h"

#include <stdlib.h>
#include <string.h>

/* --- taking a pattern apart ------------------------------------------------------------------ */

enum piece { PIECE_TEXT, PIECE_USER, PIECE_HASH, PIECE_VALUE };

struct dataset_key_piece {
    enum piece piece;
    const char *text; /* PIECE_TEXT: in the pattern */
    size_t len;       /* of it */
    size_t param;     /* PIECE_VALUE */
};

/* The piece that begins the text; its length in the pattern. */
static size_t take_piece(const struct dataset *d, const char *at, struct dataset_key_piece *ret_piece)
{
    size_t len = strcspn(at, "{$");

    *ret_piece = (struct dataset_key_piece){PIECE_TEXT, at, len, 0};
    if (len > 0)
        return len;
    if (*at == '{') { /* {U} */
        ret_piece->piece = PIECE_USER;
        return 3;
    }
    if (at[1] == 'H') {
        ret_piece->piece = PIECE_HASH;
        return 2;
    }
    len = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
    ret_piece->piece = PIECE_VALUE;
    ret_piece->param = (size_t)dataset_param_find(d, at + 1, len);
    return 1 + len;
}

static enum status take_apart(const struct dataset *d, struct dataset_key *key, struct err *err)
{
    key->pieces = calloc(strlen(key->pattern) + 1, sizeof *key->pieces);
    if (key->pieces == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (const char *at = key->pattern; *at != '\0';)
        at += take_piece(d, at, &key->pieces[key->n++]);
    return STATUS_OK;
}

enum status dataset_keys_init(struct dataset *d, struct err *err)
{
    const char *given[DATASET_KEYS] = {[DATASET_KEY] = d->key, [DATASET_COLLECTION_KEY] = d->collection};
    enum status status = STATUS_OK;

    for (size_t i = 0; i < DATASET_KEYS && status == STATUS_OK; i++) {
        struct buf pattern = BUF_INIT;
        size_t len;

        if (given[i] != NULL)
            buf_append_string(&pattern, given[i]);
        else
            buf_append_format(&pattern, "data:%s:%s$H", d->name, d->shared ? "" : "{U}:");
        d->keys[i].pattern = buf_take_data(&pattern, &len);
        status = d->keys[i].pattern != NULL ? take_apart(d, &d->keys[i], err)
                                            : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    return status;
}

void dataset_keys_release(struct dataset *d)
{
    for (size_t i = 0; i < DATASET_KEYS; i++) {
        free(d->keys[i].pattern);
        free(d->keys[i].pieces);
        d->keys[i] = (struct dataset_key){.pattern = NULL};
    }
}

/* --- of a request ---------------------------------------------------------------------------- */

/* The text of the defaults from the byte `from` on, with what was given in place of its defaults. */
static void append_lines(const struct dataset_request *r, size_t from, struct buf *out)
{
    const struct dataset *d = r->dataset;

    for (uint32_t given = r->given; given != 0; given &= given - 1) {
        size_t i = (size_t)__builtin_ctz(given);
        const char *value = r->text.data + r->at[i];
        buf_append(out, d->defaults + from, d->default_at[i] - from);
        from = d->default_at[i + 1];
        buf_append_string(out, d->params[i].name);
        buf_append_char(out, '=');
        if (d->params[i].of_cursor) /* any bytes */
            cache_append_user(out, value);
        else
            buf_append_string(out, value);
        buf_append_char(out, '\n');
    }
    buf_append(out, d->defaults + from, d->default_at[d->n_params] - from);
}

void dataset_request_append_text(const struct dataset_request *r, struct buf *out)
{
    append_lines(r, sizeof r->dataset->version, out); /* behind the version and its line feed */
}

/* Of the file too: another version of it may answer otherwise. The text is made at the end of the key, which has the room, and gives
 * way to its hash. */
static void append_hash(const struct dataset_request *r, struct buf *key)
{
    size_t start = key->len;
    char hash[CACHE_HASH_LEN + 1];

    append_lines(r, 0, key);
    cache_hash(key->data + start, key->len - start, hash);
    buf_truncate(key, start);
    buf_append(key, hash, CACHE_HASH_LEN);
}

static void append_piece(const struct dataset_request *r, const struct dataset_key_piece *piece, const char *user_id,
                         struct buf *key)
{
    switch (piece->piece) {
    case PIECE_TEXT: buf_append(key, piece->text, piece->len); break;
    case PIECE_USER:
        buf_append_char(key, '{');
        cache_append_user(key, user_id);
        buf_append_char(key, '}');
        break;
    case PIECE_HASH: append_hash(r, key); break;
    case PIECE_VALUE: cache_append_user(key, dataset_request_value(r, piece->param)); break;
    }
}

void dataset_request_append_key(const struct cache *cache, const struct dataset_request *r, const char *user_id,
                                struct buf *key)
{
    const struct dataset_key *pattern =
        &r->dataset->keys[dataset_request_is_collection(r) ? DATASET_COLLECTION_KEY : DATASET_KEY];

    cache_append_prefix(cache, key);
    for (size_t i = 0; i < pattern->n; i++)
        append_piece(r, &pattern->pieces[i], user_id, key);
}
