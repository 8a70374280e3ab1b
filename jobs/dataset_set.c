#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/dataset.h"
#include "jobs/dataset_route.h"
#include "jobs/event.h"
#include "lib/base/file.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"

#define MAX_FILES 1000

struct dataset_set {
    _Atomic int references;
    size_t n;
    struct dataset **datasets;
    struct dataset_routes routes;
};

void dataset_set_hold(struct dataset_set *set)
{
    atomic_fetch_add(&set->references, 1);
}

void dataset_set_release(struct dataset_set **set)
{
    struct dataset_set *s = *set;

    *set = NULL;
    if (s == NULL || atomic_fetch_sub(&s->references, 1) > 1)
        return;
    for (size_t i = 0; i < s->n; i++)
        dataset_free(&s->datasets[i]);
    dataset_routes_release(&s->routes);
    free(s->datasets);
    free(s);
}

size_t dataset_set_count(const struct dataset_set *set)
{
    return set->n;
}

const struct dataset *dataset_set_at(const struct dataset_set *set, size_t i)
{
    return set->datasets[i];
}

static struct dataset *find(const struct dataset_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->datasets[i]->name, name) == 0)
            return set->datasets[i];
    return NULL;
}

const struct dataset *dataset_set_find(const struct dataset_set *set, const char *name)
{
    return find(set, name);
}

const struct dataset *dataset_set_route(const struct dataset_set *set, const char *path, const char **ret_pattern)
{
    return dataset_routes_find(&set->routes, path, ret_pattern);
}

/* --- what must hold between files -------------------------------------------------------------- */

static enum status fail_at(const struct dataset *d, int line, struct err *err, enum status status)
{
    err_prefix(err, "%s:%d", d->file, line);
    return status;
}
#define FAIL(d, line, err, ...) fail_at((d), (line), (err), err_fail((err), STATUS_INVALID, __VA_ARGS__))

/* The same paths with parameters elsewhere are no conflict: the more literal one wins. */
static bool paths_collide(const struct dataset *a, const struct dataset *b, const char **ret_path)
{
    for (size_t i = 0; i < a->n_paths; i++)
        for (size_t k = 0; k < b->n_paths; k++)
            if (dataset_path_params(a->paths[i]) == dataset_path_params(b->paths[k]) &&
                dataset_paths_overlap(a->paths[i], b->paths[k])) {
                *ret_path = a->paths[i];
                return true;
            }
    return false;
}

static bool is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static enum status check_pair(const struct dataset *a, const struct dataset *b, struct err *err)
{
    const char *path;

    if (strcmp(a->name, b->name) == 0)
        return err_fail(err, STATUS_INVALID, "%s: name '%s' is that of %s too", a->file, a->name, b->file);
    if (paths_collide(a, b, &path))
        return FAIL(a, a->path_line, err, "path '%s' is answered by %s too", path, b->file);
    if (is_same(a->key, b->key) || is_same(a->key, b->collection))
        return FAIL(a, a->key_line, err, "key '%s' is that of %s too", a->key, b->file);
    if (is_same(a->collection, b->collection) || is_same(a->collection, b->key))
        return FAIL(a, a->collection_line, err, "collection '%s' is a key of %s", a->collection, b->file);
    return STATUS_OK;
}

static enum status check_pairs(const struct dataset_set *set, struct err *err)
{
    for (size_t i = 0; i < set->n; i++)
        for (size_t k = 0; k < i; k++)
            if (check_pair(set->datasets[i], set->datasets[k], err) != STATUS_OK)
                return STATUS_INVALID;
    return STATUS_OK;
}

/* --- tags ------------------------------------------------------------------------------------ */

/* A tag is shared or each user's own, the same everywhere. One without '@' is shared when the datasets are, or when it is
 * known to be. */
static enum status settle_tag(const struct dataset_set *set, size_t i, struct dataset_tag *tag, struct err *err)
{
    struct dataset *d = set->datasets[i];
    struct cache_tag known;

    if (strcmp(tag->name, EVENT_ERASE_TAG) == 0) {
        return FAIL(d, d->tags_line, err, "tag '%s' is reserved", tag->name);
    }
    if (event_tag_find(tag->name, &known)) {
        if (tag->shared > known.shared || (d->shared && !known.shared)) {
            return FAIL(d, d->tags_line, err, "tag '%s' is each user's own", tag->name);
        }
        tag->shared = known.shared;
        return STATUS_OK;
    }
    tag->shared = tag->shared || d->shared;
    for (size_t k = 0; k < i; k++)
        for (size_t t = 0; t < set->datasets[k]->n_own_tags; t++)
            if (strcmp(set->datasets[k]->own_tags[t].name, tag->name) == 0 &&
                set->datasets[k]->own_tags[t].shared != tag->shared) {
                return FAIL(d, d->tags_line, err, "tag '%s' is %s in %s", tag->name,
                            tag->shared ? "each user's own" : "shared (write @)", set->datasets[k]->file);
            }
    return STATUS_OK;
}

static enum status settle_tags(const struct dataset_set *set, struct err *err)
{
    for (size_t i = 0; i < set->n; i++)
        for (size_t t = 0; t < set->datasets[i]->n_own_tags; t++)
            if (settle_tag(set, i, &set->datasets[i]->own_tags[t], err) != STATUS_OK)
                return STATUS_INVALID;
    return STATUS_OK;
}

/* Only now, when the set is good: what is learned stays. */
static enum status learn_tags(const struct dataset_set *set, struct err *err)
{
    for (size_t i = 0; i < set->n; i++)
        for (size_t t = 0; t < set->datasets[i]->n_own_tags; t++) {
            const struct dataset_tag *tag = &set->datasets[i]->own_tags[t];
            enum status status = event_tag_learn(tag->name, tag->shared, err);
            if (status == STATUS_OK && tag->param[0] != '\0')
                status = event_tag_learn_rows(tag->name, err);
            if (status != STATUS_OK) {
                err_prefix(err, "%s:%d", set->datasets[i]->file, set->datasets[i]->tags_line);
                return status;
            }
        }
    return STATUS_OK;
}

/* --- depends-on ------------------------------------------------------------------------------ */

struct closure {
    const struct dataset_set *set;
    struct dataset *of;
    const struct dataset *way[MAX_FILES]; /* from `of` to where we are */
    size_t depth;
    const struct dataset *seen[MAX_FILES]; /* all that was visited */
    size_t n_seen;
    struct err *err;
};

static enum status fail_cycle(struct closure *c)
{
    struct buf names = BUF_INIT;

    for (size_t i = 0; i < c->depth; i++)
        buf_append_format(&names, "%s -> ", c->way[i]->name);
    enum status status =
        FAIL(c->of, c->of->depends_line, c->err, "depends-on goes round in circles: %s%s", names.data, c->of->name);
    buf_release(&names);
    return status;
}

/* A tag of `from`. Only its own answers know which row they are about; for what depends on it any row will do. */
static bool add_tag(struct dataset *of, const struct dataset *from, const struct dataset_tag *tag)
{
    struct cache_tags some = {.n = 1};

    if (!event_tag_find(tag->name, &some.tags[0]))
        return false;
    if (from == of && tag->param[0] != '\0') {
        of->row_tags[of->n_row_tags].name = some.tags[0].name;
        of->row_tags[of->n_row_tags++].param = dataset_param_find(of, tag->param, strlen(tag->param));
    } else if (event_tag_rows(tag->name, &some.tags[1])) {
        some.n = 2;
    }
    return event_tags_add(&of->tags, &some) && of->tags.n + of->n_row_tags <= CACHE_MAX_TAGS;
}

static enum status add_tags(struct closure *c, const struct dataset *from)
{
    for (size_t t = 0; t < from->n_own_tags; t++)
        if (!add_tag(c->of, from, &from->own_tags[t]))
            return FAIL(c->of, c->of->tags_line, c->err, "with what it depends on it has more than %d tags",
                        CACHE_MAX_TAGS);
    return STATUS_OK;
}

static bool is_seen(const struct closure *c, const struct dataset *d)
{
    for (size_t i = 0; i < c->n_seen; i++)
        if (c->seen[i] == d)
            return true;
    return false;
}

/* Each dataset once: a circle that does not lead back to `of` is found when one of its own members is. */
static enum status visit(struct closure *c, const struct dataset *d)
{
    enum status status = add_tags(c, d);

    c->seen[c->n_seen++] = d;
    c->way[c->depth++] = d;
    for (size_t i = 0; i < d->n_depends && status == STATUS_OK; i++) {
        const struct dataset *next = find(c->set, d->depends[i]);
        if (next == NULL || (d->shared && !next->shared)) {
            return FAIL(d, d->depends_line, c->err,
                        next ? "depends-on '%s': shared data cannot depend on a user's"
                             : "depends-on '%s': there is no such dataset",
                        d->depends[i]);
        }
        if (next == c->of)
            return fail_cycle(c);
        if (!is_seen(c, next))
            status = visit(c, next);
    }
    c->depth--;
    return status;
}

static enum status close_over(const struct dataset_set *set, struct err *err)
{
    struct closure *c = calloc(1, sizeof *c);
    enum status status = STATUS_OK;

    if (c == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < set->n && status == STATUS_OK; i++) {
        *c = (struct closure){.set = set, .of = set->datasets[i], .err = err};
        status = visit(c, set->datasets[i]);
    }
    free(c);
    return status;
}

/* --- loading --------------------------------------------------------------------------------- */

static enum status load_file(const char *directory, const char *name, struct dataset **ret_dataset, struct err *err)
{
    struct buf path = BUF_INIT, text = BUF_INIT;
    enum status status;

    buf_append_format(&path, "%s/%s", directory, name);
    status = buf_status(&path) == STATUS_OK ? file_read(path.data, &text, err) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = dataset_parse(name, text.data, text.len, ret_dataset, err);
    buf_release(&path);
    buf_release(&text);
    return status;
}

static int is_sql(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".sql") == 0;
}

static int compare_files(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the place of one of the first `earlier`, which are from earlier directories, or behind all. */
static void put(struct dataset_set *set, size_t earlier, struct dataset *d)
{
    for (size_t i = 0; i < earlier; i++)
        if (strcmp(set->datasets[i]->file, d->file) == 0) {
            dataset_free(&set->datasets[i]);
            set->datasets[i] = d;
            return;
        }
    set->datasets[set->n++] = d;
}

static enum status load_entries(const char *directory, struct dirent **entries, size_t n, struct dataset_set *set,
                                struct err *err)
{
    struct dataset **more = realloc(set->datasets, (set->n + n + 1) * sizeof(struct dataset *));
    const size_t earlier = set->n;

    if (more == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    set->datasets = more;
    for (size_t i = 0; i < n; i++) {
        struct dataset *d = NULL;
        enum status status = load_file(directory, entries[i]->d_name, &d, err);
        if (status != STATUS_OK)
            return status;
        put(set, earlier, d);
    }
    return STATUS_OK;
}

static enum status load_directory(const char *directory, struct dataset_set *set, struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, is_sql, compare_files);
    enum status status;

    if (n < 0)
        return err_fail(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_INVALID, "DATASET_DIR: %s: %s", directory,
                        strerror(errno));
    status = set->n + (size_t)n > MAX_FILES
                 ? err_fail(err, STATUS_INVALID, "DATASET_DIR: %s: more than %d files", directory, MAX_FILES)
                 : load_entries(directory, entries, (size_t)n, set, err);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return status;
}

/* "DIRECTORY:DIRECTORY..." */
static enum status load_directories(const char *list, struct dataset_set *set, struct err *err)
{
    enum status status = STATUS_OK;

    for (const char *end; status == STATUS_OK; list = end + 1) {
        end = strchrnul(list, ':');
        char *directory = strndup(list, (size_t)(end - list));

        status =
            directory != NULL ? load_directory(directory, set, err) : err_fail(err, STATUS_NO_MEMORY, "out of memory");
        free(directory);
        if (*end == '\0')
            break;
    }
    return status;
}

/* DATASET_TTL: "name=seconds, name=seconds". */
static enum status apply_ttls(struct dataset_set *set, const char *text, struct err *err)
{
    const char *at = text + strspn(text, " ,");

    while (*at) {
        size_t len = strcspn(at, " ,"), name_len = strcspn(at, "=");
        char name[DATASET_NAME_MAX + 1] = "";
        struct dataset *d;
        if (name_len < len && name_len <= DATASET_NAME_MAX)
            memcpy(name, at, name_len);
        d = find(set, name);
        if (d == NULL || parse_int64_bytes(at + name_len + 1, len - name_len - 1, 1, 7 * 86400, &d->ttl_s) != STATUS_OK)
            return err_fail(err, STATUS_INVALID, "DATASET_TTL: '%.*s': expected DATASET=SECONDS, 1 to %d", (int)len, at,
                            7 * 86400);
        at += len;
        at += strspn(at, " ,");
    }
    return STATUS_OK;
}

static void complete_ttls(struct dataset_set *set, int64_t default_s)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->datasets[i]->ttl_s == 0)
            set->datasets[i]->ttl_s = default_s;
}

static void complete_collections(struct dataset_set *set, int64_t max_rows)
{
    for (size_t i = 0; i < set->n; i++) {
        set->datasets[i]->max_rows = max_rows;
        (void)snprintf(set->datasets[i]->all_rows, sizeof set->datasets[i]->all_rows, "%lld", (long long)max_rows + 1);
        (void)snprintf(set->datasets[i]->section, sizeof set->datasets[i]->section, "collection:%s",
                       set->datasets[i]->name);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(struct dataset *const *)a)->name, (*(struct dataset *const *)b)->name);
}

enum status dataset_set_load(const struct settings *settings, struct dataset_set **ret_set, struct err *err)
{
    struct dataset_set *set = calloc(1, sizeof *set);
    enum status status;

    if (set == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    atomic_store(&set->references, 1);
    status = load_directories(settings->dataset_dir, set, err);
    if (status == STATUS_OK)
        status = check_pairs(set, err);
    if (status == STATUS_OK)
        status = settle_tags(set, err);
    if (status == STATUS_OK)
        status = learn_tags(set, err);
    if (status == STATUS_OK)
        status = close_over(set, err);
    if (status == STATUS_OK)
        status = apply_ttls(set, settings->dataset_ttl, err);
    if (status != STATUS_OK) {
        dataset_set_release(&set);
        return status;
    }
    complete_ttls(set, settings->cache_default_ttl_s);
    complete_collections(set, settings->collection_max_rows);
    if (set->n > 0)
        qsort(set->datasets, set->n, sizeof(struct dataset *), compare_names);
    for (size_t i = 0; i < set->n; i++)
        set->datasets[i]->number = dataset_number_of(set->datasets[i]->name);
    status = dataset_routes_init(&set->routes, set->n, (const struct dataset *const *)set->datasets, err);
    if (status == STATUS_OK)
        *ret_set = set;
    else
        dataset_set_release(&set);
    return status;
}

/* --- the database's word --------------------------------------------------------------------- */

/* The file's line at a byte of the statement that was sent. What is wrong behind the SELECT shows at its end. */
static int line_at(const struct dataset *d, size_t offset)
{
    const char *select = d->sql + d->select_at;
    size_t len = d->select_len;
    int line = d->select_line;

    while (len > 0 && isspace((unsigned char)select[len - 1]))
        len--;
    for (size_t i = 0; i < len && d->select_at + i < offset; i++)
        line += select[i] == '\n';
    return line;
}

static enum status check_statement(const struct dataset *d, struct db *db, struct err *err)
{
    static const char explain[] = "EXPLAIN ";
    const char *params[DATASET_MAX_VALUES + 1] = {NULL};
    struct db_result *result = NULL;
    struct buf sql = BUF_INIT;
    size_t offset;
    enum status status;

    buf_append_format(&sql, "%s%s", explain, d->sql);
    status = buf_status(&sql) == STATUS_OK ? db_query(db, "", sql.data, d->n_bound, params, &result, err)
                                           : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if ((status == STATUS_INVALID || status == STATUS_INTERNAL) && db_find_fault(db, sql.data, &offset)) {
        err_prefix(err, "%s:%d", d->file, line_at(d, offset - strlen(explain)));
        status = STATUS_INVALID; /* also what is not supported, as changing data in a WITH */
    } else if (status == STATUS_INVALID) {
        err_prefix(err, "%s", d->file);
    }
    db_result_free(&result);
    buf_release(&sql);
    return status;
}

enum status dataset_set_check(const struct dataset_set *set, struct db *db, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < set->n && status == STATUS_OK; i++)
        status = check_statement(set->datasets[i], db, err);
    return status;
}
