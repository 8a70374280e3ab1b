#include "jobs/annotation_reader.h"

#include "lib/store/db_copy.h"
#include "lib/store/db_field.h"

/* Takes one row; STATUS_INVALID: a field is not what its cast says. A row that lacks an id is nobody's. */
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
    const char *select, *order;
    take_row *take;
    size_t n_fields;
} queries[] = {
    {ANNOTATION_PLAYBOOKS, ANNOTATION_RULES, "id::bigint AS id, name::text, NULL::bigint FROM pnlcache.playbooks", "id",
     take_playbook, 3},
    {ANNOTATION_RULES, 0, "id::bigint AS id, name::text, rules::bigint FROM pnlcache.playbooks", "id", take_playbook,
     3},
    {ANNOTATION_PLAYBOOKS, ANNOTATION_RULES,
     "is_option::boolean, trade_id::bigint, playbook_id::bigint, NULL::bigint, NULL::bigint FROM "
     "pnlcache.trade_playbooks",
     "1, 2, 3", take_playbook_link, 5},
    {ANNOTATION_RULES, 0,
     "is_option::boolean, trade_id::bigint, playbook_id::bigint, rules_recorded::bigint, rules_followed::bigint FROM "
     "pnlcache.trade_playbooks",
     "1, 2, 3", take_playbook_link, 5},
    {ANNOTATION_RULES, 0, "playbook_id::bigint, opportunity_date::timestamptz FROM pnlcache.missed_trades", "1, 2",
     take_missed_trade, 2},
    {ANNOTATION_TAGS, 0, "is_option::boolean, trade_id::bigint, name::text FROM pnlcache.trade_tags", "1, 2", take_tag,
     3},
};

static enum status read_rows(struct db *db, size_t query, const char *user_id, struct annotations *a, struct err *err)
{
    struct buf sql = BUF_INIT;
    struct db_copy *copy = NULL;
    struct db_row row;
    enum status status, taken;

    buf_append_format(&sql, "SELECT %s WHERE user_id = ", queries[query].select);
    db_append_literal(&sql, user_id);
    buf_append_format(&sql, " ORDER BY %s", queries[query].order);
    status = buf_status(&sql);
    status = status == STATUS_OK ? db_copy_open(db, sql.data, &copy, err) : err_fail(err, status, "out of memory");
    while (status == STATUS_OK && (status = db_copy_next(copy, &row, err)) == STATUS_OK) {
        taken = row.n_fields == queries[query].n_fields ? queries[query].take(row.fields, a) : STATUS_INVALID;
        if (taken == STATUS_INVALID)
            status = err_fail(err, STATUS_INTERNAL, "the stream of playbooks and tags is damaged (user %s)", user_id);
        else if (taken != STATUS_OK)
            status = err_fail(err, taken, "no memory for playbooks and tags");
    }
    db_copy_close(&copy);
    buf_release(&sql);
    if (status == STATUS_INVALID) /* a query that fails is no fault of the user's */
        status = STATUS_INTERNAL;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status annotation_read(struct db *db, const char *user_id, unsigned wanted, struct annotations *ret_annotations,
                            struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < sizeof queries / sizeof queries[0] && status == STATUS_OK; i++)
        if ((wanted & queries[i].wanted) != 0 && (wanted & queries[i].unwanted) == 0)
            status = read_rows(db, i, user_id, ret_annotations, err);
    annotations_finish(ret_annotations);
    return status;
}
