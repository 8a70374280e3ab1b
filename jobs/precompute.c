#include "jobs/precompute.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/document_writer.h"
#include "jobs/trade_reader.h"
#include "lib/base/text.h"
#include "lib/store/job_stream.h"

#define COUNT_STEP 10000

struct precompute {
    struct precompute_options options;
    struct document_writer *writer; /* NULL with on_document */
    struct report *report;
    size_t n_documents;
    struct precompute_progress progress;
};

/* One snapshot's users. */
struct batch {
    size_t n;
    const char **ids;            /* ascending, each once */
    struct cache_epochs *epochs; /* by user */
    bool *wanted;                /* by user and document */
    struct instant computed_at, as_of;
    struct time_range ranges[RANGE_PRESETS];
};

/* --- construction ------------------------------------------------------------------------------- */

enum status precompute_new(const struct precompute_options *options, struct precompute **ret_precompute,
                           struct err *err)
{
    struct precompute *p = calloc(1, sizeof *p);
    enum status status;

    if (p == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory to precompute");
    p->options = *options;
    p->n_documents = document_precomputed_count();
    status = report_new(&p->report, err);
    if (status == STATUS_OK && options->on_document == NULL)
        status = document_writer_new(options->settings, options->cache, options->overlapped ? NULL : options->redis,
                                     &p->writer, err);
    if (status != STATUS_OK)
        precompute_free(&p);
    else
        *ret_precompute = p;
    return status;
}

void precompute_free(struct precompute **precompute)
{
    struct precompute *p = *precompute;

    if (p == NULL)
        return;
    document_writer_free(&p->writer);
    report_free(&p->report);
    free(p);
    *precompute = NULL;
}

const struct precompute_progress *precompute_progress(const struct precompute *p)
{
    return &p->progress;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void batch_release(struct batch *b)
{
    free(b->ids);
    free(b->epochs);
    free(b->wanted);
}

static enum status batch_init(struct batch *b, size_t n, const char *const *user_ids, size_t n_documents,
                              struct err *err)
{
    *b = (struct batch){0};
    b->ids = malloc(n * sizeof *b->ids);
    b->epochs = calloc(n, sizeof *b->epochs);
    b->wanted = malloc(n * n_documents);
    if (b->ids == NULL || b->epochs == NULL || b->wanted == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a batch of %zu users", n);
    memcpy(b->ids, user_ids, n * sizeof *b->ids);
    qsort(b->ids, n, sizeof *b->ids, compare_ids);
    for (size_t i = 0; i < n; i++)
        if (b->n == 0 || strcmp(b->ids[i], b->ids[b->n - 1]) != 0)
            b->ids[b->n++] = b->ids[i];
    memset(b->wanted, true, b->n * n_documents);
    return STATUS_OK;
}

/* --- what is still valid ------------------------------------------------------------------------ */

/* Judges one user's documents under the epochs just opened; *ret_any: at least one has to be computed. */
static enum status judge_user(struct precompute *p, struct batch *b, size_t user, struct cache_check *checks,
                              struct cache_epochs *epochs, bool *ret_any, struct err *err)
{
    bool *wanted = b->wanted + user * p->n_documents;
    struct buf keys = BUF_INIT;
    size_t position = 0;
    enum status status;

    for (size_t i = 0; i < p->n_documents; i++) {
        struct document_request request = document_precomputed(i);

        document_append_key(p->options.cache, &request, b->ids[user], &keys);
        buf_append_char(&keys, '\0');
        epochs[i] = document_pick_epochs(&request, &b->epochs[user]);
        checks[i] = (struct cache_check){
            .tags = document_tags(&request), .epochs = &epochs[i], .ahead_s = p->options.valid_for_s};
    }
    status = buf_status(&keys);
    for (size_t i = 0; i < p->n_documents && status == STATUS_OK; i++) {
        checks[i].key = keys.data + position;
        position += strlen(checks[i].key) + 1;
    }
    if (status == STATUS_OK)
        status = cache_check_many(p->options.cache, p->options.redis, checks, p->n_documents, err);
    *ret_any = false;
    for (size_t i = 0; i < p->n_documents && status == STATUS_OK; i++) {
        wanted[i] = checks[i].verdict != CACHE_HIT;
        *ret_any |= wanted[i];
        p->progress.documents_valid += !wanted[i];
    }
    buf_release(&keys);
    return status;
}

static void user_done(struct precompute *p)
{
    p->progress.users_done++;
    if (p->options.on_progress != NULL)
        p->options.on_progress(p->options.context, &p->progress);
}

/* Takes users out of the batch whose documents are all valid. */
static enum status drop_valid(struct precompute *p, struct batch *b, struct err *err)
{
    struct cache_check *checks = calloc(p->n_documents, sizeof *checks);
    struct cache_epochs *epochs = calloc(p->n_documents, sizeof *epochs);
    enum status status = STATUS_OK;
    size_t kept = 0;
    bool any;

    if (checks == NULL || epochs == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory to look at present documents");
    for (size_t user = 0; user < b->n && status == STATUS_OK; user++) {
        status = judge_user(p, b, user, checks, epochs, &any, err);
        if (status != STATUS_OK)
            break;
        if (!any) {
            user_done(p);
            continue;
        }
        b->ids[kept] = b->ids[user];
        b->epochs[kept] = b->epochs[user];
        memmove(b->wanted + kept * p->n_documents, b->wanted + user * p->n_documents, p->n_documents);
        kept++;
    }
    b->n = kept;
    free(checks);
    free(epochs);
    return status;
}

/* --- computing ---------------------------------------------------------------------------------- */

static enum status deliver(struct precompute *p, const struct document_request *request, const char *user_id,
                           const struct cache_epochs *epochs, const struct cache_body *body, struct buf *bodies,
                           struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status;

    if (p->options.on_document == NULL)
        return document_writer_add(p->writer, request, user_id, epochs, body, err);
    document_append_key(p->options.cache, request, user_id, &key);
    status = buf_status(&key);
    if (status == STATUS_OK)
        p->options.on_document(p->options.context, key.data, body);
    buf_release(&key);
    buf_clear(bodies);
    return status;
}

static bool any_wanted(const bool *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (wanted[i])
            return true;
    return false;
}

/* All wanted documents of one asset class: positions [first, end) of the precomputed set. */
static enum status compute_asset(struct precompute *p, const struct batch *b, size_t user, size_t first, size_t end,
                                 const struct journal *journal, int64_t read_us, struct err *err)
{
    const bool *wanted = b->wanted + user * p->n_documents;
    struct document_request request = document_precomputed(first);
    struct buf direct = BUF_INIT;
    int64_t began_us = clock_monotonic_us(), cost_us;
    enum status status;

    if (!any_wanted(wanted + first, end - first))
        return STATUS_OK;
    status = report_compute(p->report, journal, request.asset, b->ranges, RANGE_PRESETS, err);
    cost_us = read_us + clock_monotonic_us() - began_us;
    for (size_t i = first; i < end && status == STATUS_OK; i++) {
        struct buf *bodies = p->writer == NULL ? &direct : document_writer_body(p->writer);
        struct cache_body body;

        if (!wanted[i])
            continue;
        request = document_precomputed(i);
        status = document_write(p->report, journal, request.range.name, &request, b->ids[user], b->computed_at, bodies,
                                &body, err);
        if (status != STATUS_OK)
            break;
        body.cost_us = cost_us;
        status = deliver(p, &request, b->ids[user], &b->epochs[user], &body, bodies, err);
    }
    buf_release(&direct);
    return status;
}

static enum status compute_user(struct precompute *p, struct batch *b, size_t user, const struct journal *journal,
                                int64_t read_us, struct err *err)
{
    enum status status = STATUS_OK;
    size_t first = 0, end;

    for (size_t r = 0; r < RANGE_PRESETS; r++) {
        struct range_request request = {.name = (enum range_name)r};

        b->ranges[r] = time_range_resolve(&request, journal->today);
    }
    for (; first < p->n_documents && status == STATUS_OK; first = end) {
        enum asset asset = document_precomputed(first).asset;

        for (end = first + 1; end < p->n_documents && document_precomputed(end).asset == asset;)
            end++;
        status = compute_asset(p, b, user, first, end, journal, read_us, err);
    }
    return status;
}

static void note_journal(struct precompute *p, const char *user_id, const struct journal *journal)
{
    size_t skipped = 0;

    p->progress.trades += journal->n_closed + journal->n_open;
    for (size_t i = 0; i < SKIP_REASONS; i++)
        skipped += journal->skipped[i];
    p->progress.skipped_rows += skipped;
    if (skipped > 0 && p->options.on_skipped != NULL)
        p->options.on_skipped(p->options.context, user_id, journal);
}

static void user_failed(struct precompute *p, const char *user_id, enum status status, const struct err *err)
{
    p->progress.users_failed++;
    if (p->options.on_failed != NULL)
        p->options.on_failed(p->options.context, user_id, status, err->text);
}

/* What is wrong with this user alone and will be wrong again. */
static bool is_the_users_fault(enum status status)
{
    return status == STATUS_INVALID || status == STATUS_LIMIT;
}

/* Reads and computes every user of the batch inside the present snapshot. */
static enum status compute_users(struct precompute *p, struct batch *b, struct err *err)
{
    struct trade_reader *reader = NULL;
    enum status status;
    size_t user;

    status = trade_reader_open(p->options.db, b->n, b->ids, b->as_of, &reader, err);
    for (user = 0; user < b->n && status == STATUS_OK; user++) {
        int64_t began_us = clock_monotonic_us();
        const struct journal *journal;
        struct err reason = {{0}};
        const char *id;

        status = trade_reader_next(reader, &id, &journal, &reason);
        if (status == STATUS_OK && strcmp(id, b->ids[user]) != 0)
            status = err_fail(&reason, STATUS_INTERNAL, "the reader delivered user %s instead of %s", id, b->ids[user]);
        if (status == STATUS_OK) {
            note_journal(p, id, journal);
            status = compute_user(p, b, user, journal, clock_monotonic_us() - began_us, &reason);
        }
        if (is_the_users_fault(status)) {
            user_failed(p, b->ids[user], status, &reason);
            status = STATUS_OK;
        }
        if (status == STATUS_OK)
            user_done(p);
        else
            status = err_fail(err, status, "%s", reason.text);
    }
    if (status == STATUS_OK)
        status = trade_reader_finish(reader, err);
    trade_reader_close(&reader);
    return status;
}

static void note_writer(struct precompute *p)
{
    struct document_writer_counts counts = document_writer_counts(p->writer);

    p->progress.documents_stored = counts.stored;
    p->progress.documents_unchanged = counts.unchanged;
    p->progress.documents_refused = counts.refused;
}

static enum status run_batch(struct precompute *p, size_t n, const char *const *user_ids, struct err *err)
{
    const struct precompute_options *o = &p->options;
    struct batch b;
    enum status status, flushed = STATUS_OK;

    status = batch_init(&b, n, user_ids, p->n_documents, err);
    if (status == STATUS_OK && p->writer != NULL)
        status = cache_open_epochs(o->cache, o->redis, document_all_tags(), b.n, b.ids, b.epochs, err);
    if (status == STATUS_OK && o->only_invalid && p->writer != NULL)
        status = drop_valid(p, &b, err);
    if (status != STATUS_OK || b.n == 0)
        goto out;
    status = db_begin_snapshot(o->db, &b.as_of, err);
    if (status != STATUS_OK)
        goto out;
    (void)clock_get_override(&b.as_of); /* leaves the database's time when there is none */
    b.computed_at = clock_now();
    status = compute_users(p, &b, err);
    db_end(o->db);
    if (p->writer != NULL) {
        /* What was computed before a failure is right and worth storing. */
        flushed = document_writer_flush(p->writer, status == STATUS_OK ? err : NULL);
        note_writer(p);
    }
    if (status == STATUS_OK)
        status = flushed;
out:
    batch_release(&b);
    return status;
}

/* --- which users -------------------------------------------------------------------------------- */

static bool is_stopped(const struct precompute *p)
{
    return p->options.stop != NULL && atomic_load(p->options.stop);
}

enum status precompute_users(struct precompute *p, size_t n, const char *const *user_ids, struct err *err)
{
    size_t step = (size_t)p->options.settings->precompute_batch;
    enum status status = STATUS_OK;

    p->progress.users_total += n;
    for (size_t i = 0; i < n && status == STATUS_OK && !is_stopped(p); i += step)
        status = run_batch(p, n - i < step ? n - i : step, user_ids + i, err);
    return status;
}

/* The users after *cursor (NULL: from the start), at most `max`; moves the cursor, which the caller frees. */
static enum status next_users(struct precompute *p, char **cursor, size_t max, char ***ret_ids, size_t *ret_n,
                              struct err *err)
{
    char *last;
    enum status status = trade_reader_list_users(p->options.db, *cursor, max, ret_ids, ret_n, err);

    if (status != STATUS_OK || *ret_n == 0)
        return status;
    last = strdup((*ret_ids)[*ret_n - 1]);
    if (last == NULL) {
        text_array_free(*ret_ids, *ret_n);
        return err_fail(err, STATUS_NO_MEMORY, "no memory to list users");
    }
    free(*cursor);
    *cursor = last;
    return STATUS_OK;
}

static enum status count_users(struct precompute *p, struct err *err)
{
    enum status status;
    char *cursor = NULL, **ids;
    size_t n = 1;

    do {
        status = next_users(p, &cursor, COUNT_STEP, &ids, &n, err);
        if (status != STATUS_OK)
            break;
        text_array_free(ids, n);
        p->progress.users_total += n;
    } while (n > 0 && !is_stopped(p));
    free(cursor);
    return status;
}

/* The views of a foreign database may know ids no key can be made of; they have no documents. */
static size_t keep_valid_ids(struct precompute *p, char **ids, size_t n)
{
    static const struct err unusable = {"the id is empty, too long, or not plain UTF-8 text"};
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (user_id_is_valid(ids[i])) {
            char *swap = ids[kept];

            ids[kept++] = ids[i];
            ids[i] = swap;
        } else {
            user_failed(p, ids[i], STATUS_INVALID, &unusable);
            user_done(p);
        }
    }
    return kept;
}

enum status precompute_all(struct precompute *p, struct err *err)
{
    size_t step = (size_t)p->options.settings->precompute_batch, n = 1, usable;
    enum status status = STATUS_OK;
    char *cursor = NULL, **ids;

    if (p->options.count_users)
        status = count_users(p, err);
    while (status == STATUS_OK && n > 0 && !is_stopped(p)) {
        status = next_users(p, &cursor, step, &ids, &n, err);
        if (status != STATUS_OK)
            break;
        usable = keep_valid_ids(p, ids, n);
        if (usable > 0)
            status = run_batch(p, usable, (const char *const *)ids, err);
        text_array_free(ids, n);
    }
    free(cursor);
    return status;
}

enum status precompute_active(struct precompute *p, struct err *err)
{
    enum status status;
    char **ids;
    size_t n;

    status = active_users_list(p->options.cache, p->options.redis, p->options.settings->active_window_s,
                               ACTIVE_USERS_MAX, &ids, &n, err);
    if (status != STATUS_OK)
        return status;
    status = precompute_users(p, n, (const char *const *)ids, err);
    text_array_free(ids, n);
    return status;
}
