#include "jobs/annotation_reader.h"

#include <stdlib.h>

#include "lib/store/db_copy.h"
#include "lib/store/db_field.h"

/* What has been read of the users together. */
struct holding {
    size_t held, max; /* bytes, about */
    size_t next;      /* where the next row's user is looked for */
};

/* Takes one row, without its user; STATUS_INVALID: a field is not what its cast says. A row that lacks an id is nobody's. */
typedef enum status take_row(const struct db_field *f, struct annotations *a);

static bool lacks(const struct db_field *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (db_field_is_null(f[i]))
            return true;
    return false;
}

static struct text_ref take_text(struct db_field f)
{
    return (struct text_ref){(const char *)f.bytes, f.len};
}

/* NULL counts as 0. */
static enum status take_count(struct db_field f, int64_t *ret_n)
{
    *ret_n = 0;
    return db_field_is_null(f) ? STATUS_OK : db_field_int64(f, ret_n);
}

static enum status take_playbook(const struct db_field *f, struct annotations *a)
{
    int64_t id, n_rules;

    if (lacks(f, 1))
        return STATUS_OK;
    if (db_field_int64(f[0], &id) != STATUS_OK || take_count(f[2], &n_rules) != STATUS_OK)
        return STATUS_INVALID;
    return annotations_add_playbook(a, id, take_text(f[1]), n_rules);
}

static enum status take_playbook_link(const struct db_field *f, struct annotations *a)
{
    struct trade_link link = {.trade_id = 0};
    int64_t playbook_id;

    if (lacks(f, 3))
        return STATUS_OK;
    if (db_field_bool(f[0], &link.option) != STATUS_OK || db_field_int64(f[1], &link.trade_id) != STATUS_OK ||
        db_field_int64(f[2], &playbook_id) != STATUS_OK || take_count(f[3], &link.n_recorded) != STATUS_OK ||
        take_count(f[4], &link.n_followed) != STATUS_OK)
        return STATUS_INVALID;
    return annotations_add_playbook_link(a, &link, playbook_id);
}

static enum status take_missed_trade(const struct db_field *f, struct annotations *a)
{
    struct instant opportunity;
    int64_t playbook_id;

    if (lacks(f, 2))
        return STATUS_OK;
    if (db_field_int64(f[0], &playbook_id) != STATUS_OK || db_field_instant(f[1], &opportunity) != STATUS_OK)
        return STATUS_INVALID;
    return annotations_add_missed(a, playbook_id, opportunity);
}

static enum status take_tag(const struct db_field *f, struct annotations *a)
{
    int64_t trade_id;
    bool option;

    if (lacks(f, 3))
        return STATUS_OK;
    if (db_field_bool(f[0], &option) != STATUS_OK || db_field_int64(f[1], &trade_id) != STATUS_OK)
        return STATUS_INVALID;
    return annotations_add_tag(a, option, trade_id, take_text(f[2]));
}

/* Counting the rules is what costs in these views, so who does not want the counts does not select them. */
static const struct {
    unsigned wanted, unwanted;
    const char *select, *order; /* after the user */
    take_row *take;
    size_t n_fields;
} queries[] = {
    {ANNOTATION_PLAYBOOKS, ANNOTATION_RULES, "id::bigint AS id, name::text, NULL::bigint FROM pnlcache.playbooks", "2",
     take_playbook, 3},
    {ANNOTATION_RULES, 0, "id::bigint AS id, name::text, rules::bigint FROM pnlcache.playbooks", "2", take_playbook, 3},
    {ANNOTATION_PLAYBOOKS, ANNOTATION_RULES,
     "is_option::boolean, trade_id::bigint, playbook_id::bigint, NULL::bigint, NULL::bigint FROM "
     "pnlcache.trade_playbooks",
     "2, 3, 4", take_playbook_link, 5},
    {ANNOTATION_RULES, 0,
     "is_option::boolean, trade_id::bigint, playbook_id::bigint, rules_recorded::bigint, rules_followed::bigint FROM "
     "pnlcache.trade_playbooks",
     "2, 3, 4", take_playbook_link, 5},
    {ANNOTATION_RULES, 0, "playbook_id::bigint, opportunity_date::timestamptz FROM pnlcache.missed_trades", "2, 3",
     take_missed_trade, 2},
    {ANNOTATION_TAGS, 0, "is_option::boolean, trade_id::bigint, name::text FROM pnlcache.trade_tags", "2, 3", take_tag,
     3},
};

#define N_QUERIES (sizeof queries / sizeof queries[0])

/* --- one query, for all who want it --------------------------------------------------------------- */

static bool is_asked(const struct annotated_user *user, size_t query)
{
    return !user->left_out && (user->kinds & queries[query].wanted) != 0 &&
           (user->kinds & queries[query].unwanted) == 0;
}

/* *ret_any: somebody asks. */
static enum status append_query(const struct annotated_user *users, size_t n_users, size_t query, struct buf *sql,
                                bool *ret_any)
{
    const char **ids = calloc(n_users + 1, sizeof *ids);
    struct buf array = BUF_INIT;
    size_t n = 0;

    for (size_t i = 0; ids != NULL && i < n_users; i++)
        if (is_asked(&users[i], query))
            ids[n++] = users[i].user_id;
    *ret_any = n > 0;
    if (ids == NULL)
        sql->failed = true;
    else
        db_append_text_array(&array, n, ids);
    buf_append_format(sql, "SELECT user_id::text COLLATE \"C\" AS user_id, %s WHERE user_id = ANY (",
                      queries[query].select);
    if (buf_status(&array) == STATUS_OK)
        db_append_literal(sql, array.data);
    buf_append_format(sql, "::text[]) ORDER BY user_id, %s", queries[query].order);
    sql->failed = sql->failed || array.failed;
    buf_release(&array);
    free(ids);
    return buf_status(sql);
}

/* The one the row belongs to, from *next on, which moves there; NULL: nobody who asks. */
static struct annotated_user *user_of(struct annotated_user *users, size_t n_users, const struct db_row *row,
                                      size_t *next)
{
    while (*next < n_users && db_field_compare_text(row->fields[0], users[*next].user_id) > 0)
        (*next)++;
    return *next < n_users && db_field_compare_text(row->fields[0], users[*next].user_id) == 0 ? &users[*next] : NULL;
}

static size_t row_size(const struct db_row *row)
{
    size_t size = sizeof(struct trade_link);

    for (size_t i = 1; i < row->n_fields; i++)
        size += row->fields[i].len;
    return size;
}

/* Gives what the user had back: half of it is of no use. */
static void leave_out(struct annotated_user *user, size_t *held)
{
    *held -= user->size;
    user->size = 0;
    user->left_out = true;
    annotations_release(&user->annotations);
}

static enum status take(struct annotated_user *users, size_t n_users, size_t query, const struct db_row *row,
                        struct holding *h, struct err *err)
{
    struct annotated_user *user = NULL;
    enum status status = STATUS_INVALID;

    if (row->n_fields == queries[query].n_fields + 1 && !db_field_is_null(row->fields[0]))
        user = user_of(users, n_users, row, &h->next);
    if (user != NULL && user->left_out)
        return STATUS_OK;
    if (user != NULL && row_size(row) > h->max - h->held) {
        leave_out(user, &h->held);
        return STATUS_OK;
    }
    if (user != NULL)
        status = queries[query].take(row->fields + 1, &user->annotations);
    if (status == STATUS_INVALID)
        return err_fail(err, STATUS_INTERNAL, "the stream of playbooks and tags is damaged (user %s)",
                        user != NULL ? user->user_id : "unknown");
    if (status != STATUS_OK)
        return err_fail(err, status, "no memory for playbooks and tags");
    user->size += row_size(row);
    h->held += row_size(row);
    return STATUS_OK;
}

static enum status read_rows(struct db *db, size_t query, struct annotated_user *users, size_t n_users,
                             struct holding *h, struct err *err)
{
    struct buf sql = BUF_INIT;
    struct db_copy *copy = NULL;
    struct db_row row;
    bool any;
    enum status status = append_query(users, n_users, query, &sql, &any);

    if (status != STATUS_OK)
        status = err_fail(err, status, "out of memory");
    else if (any)
        status = db_copy_open(db, sql.data, &copy, err);
    h->next = 0;
    while (copy != NULL && status == STATUS_OK && (status = db_copy_next(copy, &row, err)) == STATUS_OK)
        status = take(users, n_users, query, &row, h, err);
    db_copy_close(&copy);
    buf_release(&sql);
    if (status == STATUS_INVALID) /* a query that fails is no fault of the user's */
        status = STATUS_INTERNAL;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* --- all of them ----------------------------------------------------------------------------------- */

enum status annotation_read_many(struct db *db, struct annotated_user *users, size_t n_users, size_t max_size,
                                 struct err *err)
{
    struct holding h = {.max = max_size};
    enum status status = STATUS_OK;

    for (size_t i = 0; i < N_QUERIES && status == STATUS_OK; i++)
        status = read_rows(db, i, users, n_users, &h, err);
    for (size_t i = 0; i < n_users; i++)
        annotations_finish(&users[i].annotations);
    return status;
}

enum status annotation_read(struct db *db, const char *user_id, unsigned wanted, struct annotations *ret_annotations,
                            struct err *err)
{
    struct annotated_user user = {.user_id = user_id, .kinds = wanted, .annotations = *ret_annotations};
    enum status status = annotation_read_many(db, &user, 1, SIZE_MAX, err);

    *ret_annotations = user.annotations;
    return status;
}
