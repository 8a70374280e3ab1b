#include "jobs/precompute.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/document_batch.h"
#include "jobs/document_body.h"
#include "jobs/document_text.h"
#include "jobs/document_writer.h"
#include "jobs/source_stream.h"
#include "jobs/trade_reader.h"
#include "lib/base/text.h"
#include "lib/store/job_stream.h"

#define COUNT_STEP 10000

struct precompute {
    struct precompute_options options;
    struct document_writer *writer; /* NULL with on_document */
    struct report *report;
    struct collection_batch collections;
    struct precompute_progress progress;
};

/* The snapshot in which a batch is computed. */
struct snapshot {
    struct instant as_of, computed_at;
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
    p->collections = (struct collection_batch){
        .settings = options->settings,
        .set = options->on_document == NULL ? options->datasets : NULL,
        .all = options->all_collections,
        .only_invalid = options->only_invalid,
        .without_short_lived = options->without_short_lived,
        .valid_for_s = options->valid_for_s,
        .cache = options->cache,
        .redis = options->redis,
        .db = options->db,
        .on_collection = options->on_collection,
        .context = options->context,
    };
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

/* --- what is still valid ------------------------------------------------------------------------ */

static void user_done(struct precompute *p)
{
    p->progress.users_done++;
    if (p->options.on_progress != NULL)
        p->options.on_progress(p->options.context, &p->progress);
}

/* Those with nothing to compute are done before the snapshot. *ret_any: there are others. */
static enum status judge_users(struct precompute *p, struct document_batch *b, bool *ret_any, struct err *err)
{
    const struct precompute_options *o = &p->options;
    enum status status = STATUS_OK;
    size_t n_valid;

    *ret_any = false;
    for (size_t i = 0; i < b->n && status == STATUS_OK; i++) {
        status = user_documents_judge(&b->users[i], o->cache, o->redis, o->settings, o->valid_for_s, &n_valid, err);
        if (status != STATUS_OK)
            break;
        p->progress.documents_valid += n_valid;
        if (user_documents_count_due(&b->users[i]) > 0 || user_collections_count_due(&b->users[i].collections) > 0)
            *ret_any = true;
        else
            user_done(p);
    }
    return status;
}

/* --- computing ---------------------------------------------------------------------------------- */

/* So large by configuration, which is no failure: its readers are answered, uncached. */
static void leave_out(struct precompute *p, const char *user_id, const struct document_request *request)
{
    p->progress.documents_too_large++;
    if (p->options.on_too_large != NULL)
        p->options.on_too_large(p->options.context, user_id, document_section_name(request->section));
}

static enum status deliver(struct precompute *p, const struct user_documents *user,
                           const struct document_request *request, const struct cache_body *body, struct err *err)
{
    struct buf key = BUF_INIT;
    struct cache_epochs epochs;
    enum status status;

    if (p->options.on_document == NULL) {
        if (!cache_takes_size(p->options.cache, document_tags(request), body)) {
            leave_out(p, user->user_id, request);
            return STATUS_OK;
        }
        epochs = document_pick_epochs(request, user->tags, &user->epochs);
        return document_writer_add(p->writer, request, user->user_id, &epochs, body, err);
    }
    document_append_key(p->options.cache, request, user->user_id, &key);
    status = buf_status(&key);
    if (status == STATUS_OK)
        p->options.on_document(p->options.context, key.data, body);
    buf_release(&key);
    return status;
}

/* One user's computation. */
struct work {
    struct precompute *p;
    struct user_documents *user;
    const struct document_source *source;
    int64_t read_us; /* what reading the journal took; a part of every document's cost */
    /* Of each asset class: whether p->report holds the presets of this user's journal, and what that took. */
    bool has_report[ASSET_OPTIONS + 1];
    int64_t report_us[ASSET_OPTIONS + 1];
    struct buf direct;
};

/* What the user asked for is no longer there, so no job will look for it again. */
static enum status forget(const struct work *w, size_t i, struct err *err)
{
    const struct precompute_options *o = &w->p->options;
    const char *text = w->user->wanted.texts[i - document_precomputed_count()];

    w->p->progress.requests_forgotten++;
    return wanted_forget(o->cache, o->redis, w->user->user_id, text, err);
}

/* Whoever trades one asset class alone has the same documents for it and for all trades together: they are computed,
 * written and packed once. */
static enum status deliver_for_all(struct work *w, const struct document_request *request,
                                   const struct cache_body *body, struct err *err)
{
    struct document_request all = *request;
    size_t i;

    all.asset = ASSET_ALL;
    if (request->asset == ASSET_ALL || !report_is_of_all(w->source->journal, request->asset) ||
        !document_precomputed_index(&all, &i) || !w->user->due[i])
        return STATUS_OK;
    w->user->due[i] = false;
    return deliver(w->p, w->user, &all, body, err);
}

static enum status begin_body(struct work *w, struct buf **ret_body, struct err *err)
{
    if (w->p->writer != NULL)
        return document_writer_begin(w->p->writer, ret_body, err);
    buf_clear(&w->direct);
    *ret_body = &w->direct;
    return STATUS_OK;
}

/* Writes the i-th document, from the report of the presets or from one of its own. */
static enum status compute_document(struct work *w, size_t i, bool from_presets, int64_t cost_us, struct err *err)
{
    struct precompute *p = w->p;
    struct document_request request = user_documents_request(w->user, i);
    int64_t began_us = clock_monotonic_us();
    struct cache_body body;
    struct buf *bodies;
    enum status status = begin_body(w, &bodies, err);

    if (status != STATUS_OK)
        return status;
    if (from_presets)
        status = document_write(w->source, p->report, request.range.name, &request, bodies, &body, err);
    else
        status = document_build(w->source, p->report, &request, bodies, &body, err);
    if (status == STATUS_NOT_FOUND)
        return forget(w, i, err);
    if (status != STATUS_OK)
        return status;
    body.cost_us = cost_us + clock_monotonic_us() - began_us;
    status = deliver(p, w->user, &request, &body, err);
    return status == STATUS_OK ? deliver_for_all(w, &request, &body, err) : status;
}

/* Unless it is there already. */
static enum status compute_report(struct work *w, enum asset asset, struct err *err)
{
    const struct journal *journal = w->source->journal;
    struct time_range ranges[RANGE_PRESETS];
    int64_t began_us = clock_monotonic_us();
    enum status status;

    report_choose(w->p->report, asset);
    if (w->has_report[asset])
        return STATUS_OK;
    for (size_t r = 0; r < RANGE_PRESETS; r++) {
        struct range_request request = {.name = (enum range_name)r};

        ranges[r] = time_range_resolve(&request, journal->today);
    }
    status = report_compute(w->p->report, journal, asset, ranges, RANGE_PRESETS, err);
    w->has_report[asset] = status == STATUS_OK;
    w->report_us[asset] = clock_monotonic_us() - began_us;
    return status;
}

static bool is_due_of_presets(const struct user_documents *user, size_t i, enum asset asset)
{
    struct document_request request;

    if (!user->due[i])
        return false;
    request = user_documents_request(user, i);
    return request.asset == asset && document_is_of_presets(&request);
}

/* The due ones of the documents from `begin` to before `end` that a report of the preset ranges of this asset class holds. */
static enum status compute_presets(struct work *w, enum asset asset, size_t begin, size_t end, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = begin; i < end && status == STATUS_OK; i++) {
        if (!is_due_of_presets(w->user, i, asset))
            continue;
        status = compute_report(w, asset, err);
        if (status == STATUS_OK)
            status = compute_document(w, i, true, w->read_us + w->report_us[asset], err);
    }
    return status;
}

/* The precomputed set first: summaries and sections are what a reader sees first. Documents of a range of their own come last,
 * because they take the presets' place in the report. */
static enum status compute_user(struct work *w, struct err *err)
{
    static const enum asset assets[] = {ASSET_STOCKS, ASSET_OPTIONS, ASSET_ALL};
    size_t n_assets = sizeof assets / sizeof assets[0], n_first = document_precomputed_count();
    enum status status = STATUS_OK;

    for (size_t a = 0; a < n_assets && status == STATUS_OK; a++)
        status = compute_presets(w, assets[a], 0, n_first, err);
    for (size_t a = 0; a < n_assets && status == STATUS_OK; a++)
        status = compute_presets(w, assets[a], n_first, w->user->n, err);
    for (size_t i = n_first; i < w->user->n && status == STATUS_OK; i++) {
        struct document_request request = user_documents_request(w->user, i);

        if (w->user->due[i] && !document_is_of_presets(&request))
            status = compute_document(w, i, false, w->read_us, err);
    }
    buf_release(&w->direct);
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

/* After a user's journal was read and computed, or could not be. */
static enum status user_ended(struct precompute *p, const struct user_documents *user, enum status status,
                              const struct err *reason, struct err *err)
{
    if (is_the_users_fault(status)) {
        user_failed(p, user->user_id, status, reason);
        status = STATUS_OK;
    }
    if (status != STATUS_OK)
        return err_fail(err, status, "%s", reason->text);
    user_done(p);
    return STATUS_OK;
}

/* STATUS_NOT_FOUND: there is no other user. */
static enum status compute_next(struct precompute *p, struct source_stream *stream, struct user_documents *const *users,
                                struct err *err)
{
    struct work work = {.p = p, .direct = BUF_INIT};
    int64_t began_us = clock_monotonic_us();
    struct err reason = {{0}};
    enum status status;
    size_t i;

    status = source_stream_next(stream, &i, &work.source, &reason);
    if (status == STATUS_NOT_FOUND)
        return status;
    if (status != STATUS_OK && !is_the_users_fault(status))
        return err_fail(err, status, "%s", reason.text);
    work.user = users[i];
    if (status == STATUS_OK) {
        note_journal(p, work.user->user_id, work.source->journal);
        work.read_us = clock_monotonic_us() - began_us;
        if (work.user->without_short_lived)
            user_documents_leave_short_lived(work.user, work.source->journal);
        status = compute_user(&work, &reason);
    }
    return user_ended(p, work.user, status, &reason, err);
}

static enum status compute_users(struct precompute *p, struct document_batch *b, const struct snapshot *snapshot,
                                 struct err *err)
{
    struct user_documents **users = calloc(b->n + 1, sizeof *users);
    struct source_request *requests = calloc(b->n + 1, sizeof *requests);
    struct source_stream *stream = NULL;
    enum status status;
    size_t n = 0;

    for (size_t i = 0; users != NULL && requests != NULL && i < b->n; i++) {
        if (user_documents_count_due(&b->users[i]) == 0)
            continue;
        requests[n] = (struct source_request){
            .user_id = b->users[i].user_id, .needs = user_documents_needs(&b->users[i]), .as_of = snapshot->as_of};
        if (b->without_short_lived)
            requests[n].needs &= ~(unsigned)DOCUMENT_NEEDS_PRICES; /* what needs them will be left alone */
        users[n++] = &b->users[i];
    }
    if (users == NULL || requests == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory for a batch of %zu users", b->n);
    else
        status = source_stream_new(p->options.db, requests, n, snapshot->computed_at, &stream, err);
    while (status == STATUS_OK)
        status = compute_next(p, stream, users, err);
    source_stream_free(&stream);
    free(users);
    free(requests);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* After everybody's documents, which can be had without them. Users without any were not done before. */
static enum status compute_collections(struct precompute *p, struct document_batch *b, struct err *err)
{
    enum status status = collection_batch_compute(&p->collections, b, p->writer, err);

    p->progress.collections = p->collections.counts;
    for (size_t i = 0; i < b->n && status == STATUS_OK; i++)
        if (user_documents_count_due(&b->users[i]) == 0 && user_collections_count_due(&b->users[i].collections) > 0)
            user_done(p);
    return status;
}

static void note_writer(struct precompute *p)
{
    struct document_writer_counts counts = document_writer_counts(p->writer);

    p->progress.documents_stored = counts.stored;
    p->progress.documents_unchanged = counts.unchanged;
    p->progress.documents_refused = counts.refused;
}

/* Inside the snapshot. */
static enum status compute_and_store(struct precompute *p, struct document_batch *b, struct err *err)
{
    struct snapshot snapshot;
    enum status status, flushed = STATUS_OK;

    status = db_begin_snapshot(p->options.db, &snapshot.as_of, err);
    if (status != STATUS_OK)
        return status;
    (void)clock_get_override(&snapshot.as_of); /* leaves the database's time when there is none */
    snapshot.computed_at = clock_now();
    status = compute_users(p, b, &snapshot, err);
    if (status == STATUS_OK)
        status = compute_collections(p, b, err);
    db_end(p->options.db);
    if (p->writer != NULL) {
        /* What was computed before a failure is right and worth storing. */
        flushed = document_writer_flush(p->writer, status == STATUS_OK ? err : NULL);
        note_writer(p);
    }
    return status == STATUS_OK ? flushed : status;
}

static enum status run_batch(struct precompute *p, size_t n, const char *const *user_ids, struct err *err)
{
    const struct precompute_options *o = &p->options;
    struct document_batch b;
    bool any = true;
    enum status status = document_batch_init(&b, n, user_ids, err);

    b.without_short_lived =
        o->without_short_lived && o->settings->cache_ttl_positions_s < o->settings->cache_ttl_analytics_s;
    if (status == STATUS_OK && p->writer != NULL)
        status = document_batch_open(&b, o->cache, o->redis, o->settings, &p->progress.requests_dropped, err);
    if (status == STATUS_OK && p->writer != NULL)
        status = collection_batch_open(&p->collections, &b, err);
    if (status == STATUS_OK && o->only_invalid && p->writer != NULL)
        status = judge_users(p, &b, &any, err);
    if (status == STATUS_OK && any)
        status = compute_and_store(p, &b, err);
    document_batch_release(&b);
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
