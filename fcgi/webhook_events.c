/* Only what says which rows changed is read. trade_ids and timestamp are for people: no number is taken from an event, so
 * neither order nor repetition matters, and an id that is gone by now is as good as any. */
#include "fcgi/webhook_events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json/json_reader.h"

#define PROBLEMS_PER_EVENT 3 /* of a data.changed: its tag, its id and its user */

struct judging {
    struct webhook_change *changes; /* one for each event */
    size_t n, index;
    bool is_array;
    struct webhook_problems problems;
    bool any_malformed;
};

static void add_problem(struct judging *j, const char *field, const char *message)
{
    struct problem_field *problem = &j->problems.list[j->problems.n++];

    if (j->is_array)
        (void)snprintf(problem->field, sizeof problem->field, "[%zu]%s%s", j->index, *field ? "." : "", field);
    else
        (void)snprintf(problem->field, sizeof problem->field, "%s", field);
    (void)snprintf(problem->message, sizeof problem->message, "%s", message);
}

static void add_malformed(struct judging *j, const char *field, const char *message)
{
    j->any_malformed = true;
    add_problem(j, field, message);
}

/* data.asset; absent: both. */
static bool parse_assets(const struct json_value *data, enum event_assets *ret_assets)
{
    const struct json_value *value = json_member(data, "asset");
    const char *text = value ? json_get_string(value) : NULL;

    *ret_assets = EVENT_BOTH;
    if (!value)
        return true;
    if (text && strcmp(text, "stocks") == 0)
        *ret_assets = EVENT_STOCKS;
    else if (text && strcmp(text, "options") == 0)
        *ret_assets = EVENT_OPTIONS;
    else
        return false;
    return true;
}

/* The text of data.id, a text or a whole number; NULL: there is none. */
static const char *judge_id(struct judging *j, const struct json_value *data, char number[24])
{
    const struct json_value *id = json_member(data, "id");
    const char *text = id ? json_get_string(id) : NULL;
    int64_t value;

    if (!id || text)
        return text;
    if (json_get_int(id, &value) == STATUS_OK) {
        (void)snprintf(number, 24, "%lld", (long long)value);
        return number;
    }
    add_problem(j, "data.id", "must be a text or a whole number");
    return NULL;
}

/* Of a tag, or of one row of it. */
static void judge_named_tag(struct judging *j, const struct json_value *data, struct cache_tags *ret_tags)
{
    const struct json_value *tag = json_member(data, "tag");
    const char *name = tag ? json_get_string(tag) : NULL, *id;
    char number[24];

    ret_tags->n = 1;
    if (!name || !event_tag_find(name, &ret_tags->tags[0])) {
        add_problem(j, "data.tag", "is not a known tag");
        ret_tags->n = 0;
        return;
    }
    id = judge_id(j, data, number);
    if (id && event_tag_rows(name, &ret_tags->tags[0]) && event_tag_part(name, id, &ret_tags->tags[1]))
        ret_tags->n = 2;
}

static void judge_tags(struct judging *j, const struct event_type *type, const struct json_value *data,
                       struct cache_tags *ret_tags)
{
    enum event_assets assets = EVENT_BOTH;

    if (type->names_its_tag) {
        judge_named_tag(j, data, ret_tags);
        return;
    }
    if (type->by_asset && !parse_assets(data, &assets))
        add_problem(j, "data.asset", "must be stocks or options");
    event_type_tags(type, assets, ret_tags);
}

/* Shared tags are nobody's: a user_id beside them is one of the fields that are not looked at. */
static bool needs_user(const struct cache_tags *tags)
{
    return tags->n > 0 && !tags->tags[0].shared;
}

static void judge_user(struct judging *j, const struct json_value *data, struct webhook_change *change)
{
    const struct json_value *value = json_member(data, "user_id");
    const char *user_id = value ? json_get_string(value) : NULL;

    if (!user_id || !user_id_is_valid(user_id))
        add_problem(j, "data.user_id", "is not a user id");
    else
        (void)snprintf(change->user_id, sizeof change->user_id, "%s", user_id);
}

static void judge_event(struct judging *j, const struct json_value *event)
{
    const struct json_value *type = json_member(event, "type"), *data = json_member(event, "data");
    const char *name = type ? json_get_string(type) : NULL;
    struct webhook_change *change = &j->changes[j->n++];

    if (json_type_of(event) != JSON_OBJECT) {
        add_malformed(j, "", "is not an object");
        return;
    }
    const struct event_type *known = name ? event_type_find(name) : NULL;
    if (!name)
        add_malformed(j, "type", "is missing or not a text");
    else if (!known)
        add_problem(j, "type", "is not a known event type");
    if (!data || json_type_of(data) != JSON_OBJECT) {
        add_malformed(j, "data", "is missing or not an object");
        return;
    }
    if (!known)
        return;
    change->type = known->name;
    change->erased = known->erases;
    judge_tags(j, known, data, &change->tags);
    if (needs_user(&change->tags))
        judge_user(j, data, change);
}

/* --- merging -------------------------------------------------------------------------------------- */

static int compare_changes(const void *a, const void *b)
{
    return strcmp(((const struct webhook_change *)a)->user_id, ((const struct webhook_change *)b)->user_id);
}

/* The first of each user takes on what the others say; what has no room there begins another change of that user. */
static size_t merge(struct webhook_change *changes, size_t n)
{
    size_t kept = 0;

    qsort(changes, n, sizeof *changes, compare_changes);
    for (size_t i = 0; i < n; i++) {
        struct webhook_change *last = kept > 0 ? &changes[kept - 1] : NULL;

        if (last && strcmp(last->user_id, changes[i].user_id) == 0 && event_tags_add(&last->tags, &changes[i].tags))
            last->erased |= changes[i].erased;
        else
            changes[kept++] = changes[i];
    }
    return kept;
}

/* --- the whole ------------------------------------------------------------------------------------ */

static int judge_all(struct judging *j, const struct json_value *root, size_t n)
{
    j->changes = calloc(n, sizeof *j->changes);
    j->problems.list = calloc(n * PROBLEMS_PER_EVENT, sizeof *j->problems.list);
    if (!j->changes || !j->problems.list)
        return 503;
    if (!j->is_array)
        judge_event(j, root);
    else
        for (const struct json_value *event = json_first_child(root); event; event = json_next_sibling(event)) {
            judge_event(j, event);
            j->index++;
        }
    return j->problems.n == 0 ? 202 : j->any_malformed ? 400 : 422;
}

int webhook_events_parse(const char *body, size_t len, struct webhook_events *ret_events,
                         struct webhook_problems *ret_problems, struct err *err)
{
    struct json_document *document = NULL;
    struct judging j = {.n = 0};

    *ret_events = (struct webhook_events){0};
    *ret_problems = (struct webhook_problems){0};
    if (json_parse(body, len, &document, err) != STATUS_OK)
        return 400;
    const struct json_value *root = json_root(document);
    j.is_array = json_type_of(root) == JSON_ARRAY;
    size_t n = j.is_array ? json_length(root) : 1;
    int http_status = 400;
    if ((!j.is_array && json_type_of(root) != JSON_OBJECT) || n == 0 || n > WEBHOOK_MAX_EVENTS)
        (void)!err_fail(err, STATUS_INVALID, "the body must be an event or an array of 1 to %d events",
                        WEBHOOK_MAX_EVENTS);
    else
        http_status = judge_all(&j, root, n);
    json_document_free(&document);
    *ret_problems = j.problems;
    if (http_status == 202)
        *ret_events = (struct webhook_events){n, merge(j.changes, n), j.changes};
    else
        free(j.changes);
    return http_status;
}

void webhook_events_release(struct webhook_events *events)
{
    free(events->changes);
    *events = (struct webhook_events){0};
}

void webhook_problems_release(struct webhook_problems *problems)
{
    free(problems->list);
    *problems = (struct webhook_problems){0};
}
