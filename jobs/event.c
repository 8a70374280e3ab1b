#include "jobs/event.h"

#include <string.h>

#define USER_TAG(name_) {.name = (name_), .shared = false}
#define SHARED_TAG(name_) {.name = (name_), .shared = true}

static const struct cache_tag known_tags[] = {
    USER_TAG("stocks"),   USER_TAG("options"), USER_TAG("notes"),    USER_TAG("playbooks"), USER_TAG("notebook"),
    USER_TAG("images"),   USER_TAG("calendar"), USER_TAG("settings"), SHARED_TAG("prices"),
};

#define TRADES {.n = 2, .tags = {USER_TAG("stocks"), USER_TAG("options")}}
#define ONE_TAG(tag) {.n = 1, .tags = {tag}}

static const struct event_type event_types[] = {
    {.name = "trade.created", .by_asset = true, .tags = TRADES},
    {.name = "trade.updated", .by_asset = true, .tags = TRADES},
    {.name = "trade.deleted", .by_asset = true, .tags = TRADES},
    {.name = "trades.imported", .by_asset = true, .tags = TRADES},
    {.name = "notes.changed", .tags = ONE_TAG(USER_TAG("notes"))},
    {.name = "playbook.changed", .tags = ONE_TAG(USER_TAG("playbooks"))},
    {.name = "notebook.changed", .tags = ONE_TAG(USER_TAG("notebook"))},
    {.name = "images.changed", .tags = ONE_TAG(USER_TAG("images"))},
    {.name = "calendar.synced", .tags = ONE_TAG(USER_TAG("calendar"))},
    {.name = "settings.changed", .tags = ONE_TAG(USER_TAG("settings"))},
    {.name = "prices.changed", .tags = ONE_TAG(SHARED_TAG("prices"))},
    {.name = "data.changed", .names_its_tag = true, .tags = {.n = 0}},
    /* Everything a user's documents can depend on. */
    {.name = "user.deleted",
     .tags = {.n = 8,
              .tags = {USER_TAG("stocks"), USER_TAG("options"), USER_TAG("notes"), USER_TAG("playbooks"),
                       USER_TAG("notebook"), USER_TAG("images"), USER_TAG("calendar"), USER_TAG("settings")}}},
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
