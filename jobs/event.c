#include "jobs/event.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"

static const struct cache_tag known_tags[] = {
    {"stocks", false}, {"options", false},  {"notes", false},    {"playbooks", false}, {"notebook", false},
    {"images", false}, {"calendar", false}, {"settings", false}, {"tags", false},      {"prices", true},
};

/* Learned from datasets. Only appended to, so that readers need no lock and names live as long as the process. */
#define MAX_LEARNED 256
static struct {
    char name[CACHE_TAG_MAX];
    bool shared;
} learned[MAX_LEARNED];
static _Atomic size_t n_learned;

/* Tags with rows that are told apart, and the names of what they have; like the learned ones. */
#define MAX_ROW_TAGS 64
static struct {
    struct cache_tag whole;
    char rows[CACHE_TAG_MAX], parts[EVENT_TAG_PARTS][CACHE_TAG_MAX];
} row_tags[MAX_ROW_TAGS];
static _Atomic size_t n_row_tags;
static pthread_mutex_t learning = PTHREAD_MUTEX_INITIALIZER;

static const struct event_type event_types[] = {
    {.name = "trade.created", .by_asset = true, .tags = {2, {{"stocks", false}, {"options", false}}}},
    {.name = "trade.updated", .by_asset = true, .tags = {2, {{"stocks", false}, {"options", false}}}},
    {.name = "trade.deleted", .by_asset = true, .tags = {2, {{"stocks", false}, {"options", false}}}},
    {.name = "trades.imported", .by_asset = true, .tags = {2, {{"stocks", false}, {"options", false}}}},
    {.name = "notes.changed", .tags = {1, {{"notes", false}}}},
    {.name = "playbook.changed", .tags = {1, {{"playbooks", false}}}},
    {.name = "notebook.changed", .tags = {1, {{"notebook", false}}}},
    {.name = "images.changed", .tags = {1, {{"images", false}}}},
    {.name = "calendar.synced", .tags = {1, {{"calendar", false}}}},
    {.name = "settings.changed", .tags = {1, {{"settings", false}}}},
    {.name = "prices.changed", .tags = {1, {{"prices", true}}}},
    {.name = "data.changed", .names_its_tag = true, .tags = {0}},
    /* What analytics and the journal's lists depend on; an erasure takes a user's other tags along. */
    {.name = "user.deleted",
     .erases = true,
     .tags = {9,
              {{"stocks", false},
               {"options", false},
               {"notes", false},
               {"playbooks", false},
               {"notebook", false},
               {"images", false},
               {"calendar", false},
               {"settings", false},
               {"tags", false}}}},
};

const struct event_type *event_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof event_types / sizeof event_types[0]; i++)
        if (strcmp(event_types[i].name, name) == 0)
            return &event_types[i];
    return NULL;
}

void event_type_tags(const struct event_type *type, enum event_assets assets, struct cache_tags *ret_tags)
{
    *ret_tags = type->tags;
    if (!type->by_asset || assets == EVENT_BOTH)
        return;
    if (assets == EVENT_OPTIONS)
        ret_tags->tags[0] = ret_tags->tags[1];
    ret_tags->n = 1;
}

bool event_tag_find(const char *name, struct cache_tag *ret_tag)
{
    for (size_t i = 0; i < sizeof known_tags / sizeof known_tags[0]; i++)
        if (strcmp(known_tags[i].name, name) == 0) {
            *ret_tag = known_tags[i];
            return true;
        }
    for (size_t i = 0, n = atomic_load(&n_learned); i < n; i++)
        if (strcmp(learned[i].name, name) == 0) {
            *ret_tag = (struct cache_tag){learned[i].name, learned[i].shared};
            return true;
        }
    return false;
}

bool event_tag_at(size_t i, struct cache_tag *ret_tag)
{
    size_t n_known = sizeof known_tags / sizeof known_tags[0];

    if (i < n_known)
        *ret_tag = known_tags[i];
    else if (i - n_known < atomic_load(&n_learned))
        *ret_tag = (struct cache_tag){learned[i - n_known].name, learned[i - n_known].shared};
    else
        return false;
    return true;
}

static enum status learn(const char *name, bool shared, struct err *err)
{
    size_t n = atomic_load(&n_learned);
    struct cache_tag known;

    if (event_tag_find(name, &known))
        return known.shared == shared ? STATUS_OK
                                      : err_fail(err, STATUS_CONFLICT, "tag '%s' is known as %s; a restart forgets it",
                                                 name, known.shared ? "shared" : "each user's own");
    if (n == MAX_LEARNED || strlen(name) >= CACHE_TAG_MAX)
        return err_fail(err, STATUS_LIMIT, "tag '%s': more than %d of datasets", name, MAX_LEARNED);
    memcpy(learned[n].name, name, strlen(name) + 1);
    learned[n].shared = shared;
    atomic_store(&n_learned, n + 1);
    return STATUS_OK;
}

enum status event_tag_learn(const char *name, bool shared, struct err *err)
{
    enum status status;

    pthread_mutex_lock(&learning);
    status = learn(name, shared, err);
    pthread_mutex_unlock(&learning);
    return status;
}

/* --- one row of a tag ----------------------------------------------------------------------------- */

/* SIZE_MAX: it has no rows. `len`: bytes of the name. */
static size_t find_row_tag(const char *name, size_t len)
{
    for (size_t i = 0, n = atomic_load(&n_row_tags); i < n; i++)
        if (strlen(row_tags[i].whole.name) == len && memcmp(row_tags[i].whole.name, name, len) == 0)
            return i;
    return SIZE_MAX;
}

static enum status learn_rows(const char *name, struct err *err)
{
    size_t n = atomic_load(&n_row_tags);

    if (find_row_tag(name, strlen(name)) != SIZE_MAX)
        return STATUS_OK;
    if (n == MAX_ROW_TAGS || strlen(name) > EVENT_ROW_TAG_MAX || !event_tag_find(name, &row_tags[n].whole))
        return err_fail(err, STATUS_LIMIT, "tag '%s': at most %d tags with a parameter, of at most %d bytes", name,
                        MAX_ROW_TAGS, EVENT_ROW_TAG_MAX);
    (void)snprintf(row_tags[n].rows, CACHE_TAG_MAX, "%s.rows", name);
    for (int i = 0; i < EVENT_TAG_PARTS; i++)
        (void)snprintf(row_tags[n].parts[i], CACHE_TAG_MAX, "%s.%d", name, i);
    atomic_store(&n_row_tags, n + 1);
    return STATUS_OK;
}

enum status event_tag_learn_rows(const char *name, struct err *err)
{
    enum status status;

    pthread_mutex_lock(&learning);
    status = learn_rows(name, err);
    pthread_mutex_unlock(&learning);
    return status;
}

bool event_tag_rows(const char *name, struct cache_tag *ret_tag)
{
    size_t i = find_row_tag(name, strlen(name));

    if (i == SIZE_MAX)
        return false;
    *ret_tag = (struct cache_tag){row_tags[i].rows, row_tags[i].whole.shared};
    return true;
}

/* Every process must find the same part: FNV-1a never changes. Of a long id the beginning is enough. */
static size_t part_of(const char *id)
{
    char folded[64];
    const char *digits = id + (*id == '+' || *id == '-');
    size_t len = 0;

    if (digits[strspn(digits, "0123456789")] == '\0') { /* a whole number */
        digits += strspn(digits, "0");
        if (*id == '-' && *digits != '\0')
            folded[len++] = '-';
        id = digits;
    }
    for (; *id != '\0' && len < sizeof folded; id++)
        folded[len++] = *id >= 'A' && *id <= 'Z' ? (char)(*id - 'A' + 'a') : *id;
    return (size_t)(text_hash(folded, len) % EVENT_TAG_PARTS);
}

bool event_tag_part(const char *name, const char *id, struct cache_tag *ret_tag)
{
    size_t i = find_row_tag(name, strlen(name));

    if (i == SIZE_MAX)
        return false;
    *ret_tag = (struct cache_tag){row_tags[i].parts[part_of(id)], row_tags[i].whole.shared};
    return true;
}

const char *event_tag_whole(const char *name)
{
    size_t len = strcspn(name, "."), i = name[len] != '\0' ? find_row_tag(name, len) : SIZE_MAX;

    return i != SIZE_MAX ? row_tags[i].whole.name : name;
}

const struct cache_tags *event_user_tags(void)
{
    return &event_type_find("user.deleted")->tags;
}

bool event_tags_hold(const struct cache_tags *tags, const char *name)
{
    for (size_t i = 0; i < tags->n; i++)
        if (strcmp(tags->tags[i].name, name) == 0)
            return true;
    return false;
}

bool event_tags_add(struct cache_tags *to, const struct cache_tags *from)
{
    struct cache_tags sum = *to;

    for (size_t i = 0; i < from->n; i++) {
        if (event_tags_hold(&sum, from->tags[i].name))
            continue;
        if (sum.n == CACHE_MAX_TAGS)
            return false;
        sum.tags[sum.n++] = from->tags[i];
    }
    *to = sum;
    return true;
}
