#include "jobs/event.h"

#include <string.h>

static const struct cache_tag known_tags[] = {
    {"stocks", false}, {"options", false},  {"notes", false},    {"playbooks", false}, {"notebook", false},
    {"images", false}, {"calendar", false}, {"settings", false}, {"tags", false},      {"prices", true},
};

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
    /* Everything a user's documents can depend on. */
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
    return false;
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
