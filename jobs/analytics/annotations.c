#include "jobs/analytics/annotations.h"

#include <stdlib.h>

void annotations_init(struct annotations *a)
{
    *a = (struct annotations){.n_playbooks = 0};
    symbol_table_init(&a->names);
    a->names.exact = true;
}

void annotations_release(struct annotations *a)
{
    symbol_table_release(&a->names);
    free(a->playbooks);
    free(a->playbook_links.links);
    free(a->tag_links.links);
    free(a->missed);
    annotations_init(a);
}

/* --- adding ---------------------------------------------------------------------------------------- */

/* Room for one more element of an array; NULL: out of memory, the array is as it was. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
    size_t new_cap = *cap == 0 ? 64 : *cap + *cap / 2;
    void *grown;

    if (n < *cap)
        return array;
    grown = realloc(array, new_cap * size);
    if (grown != NULL)
        *cap = new_cap;
    return grown;
}

enum status annotations_add_playbook(struct annotations *a, int64_t id, struct text_ref name, int64_t n_rules)
{
    struct playbook *grown = grow(a->playbooks, a->n_playbooks, &a->cap_playbooks, sizeof *grown);
    struct playbook playbook = {.id = id, .n_rules = n_rules};

    if (grown == NULL)
        return STATUS_NO_MEMORY;
    a->playbooks = grown;
    if (symbol_table_put(&a->names, text_trim(name), &playbook.name) != STATUS_OK)
        return STATUS_NO_MEMORY;
    a->playbooks[a->n_playbooks++] = playbook;
    return STATUS_OK;
}

static int compare_links(const void *a, const void *b)
{
    const struct trade_link *x = a, *y = b;

    if (x->option != y->option)
        return (int)x->option - (int)y->option;
    if (x->trade_id != y->trade_id)
        return x->trade_id < y->trade_id ? -1 : 1;
    return (x->target > y->target) - (x->target < y->target);
}

static enum status add_link(struct trade_links *links, const struct trade_link *link)
{
    struct trade_link *grown = grow(links->links, links->n, &links->cap, sizeof *grown);

    if (grown == NULL)
        return STATUS_NO_MEMORY;
    links->links = grown;
    links->unsorted |= links->n != 0 && compare_links(&grown[links->n - 1], link) > 0;
    grown[links->n++] = *link;
    return STATUS_OK;
}

enum status annotations_add_playbook_link(struct annotations *a, const struct trade_link *link, int64_t playbook_id)
{
    struct trade_link added = *link;
    size_t playbook = annotations_find_playbook(a, playbook_id);

    if (playbook == a->n_playbooks)
        return STATUS_OK;
    added.target = (uint32_t)playbook;
    return add_link(&a->playbook_links, &added);
}

enum status annotations_add_tag(struct annotations *a, bool option, int64_t trade_id, struct text_ref name)
{
    struct trade_link link = {.option = option, .trade_id = trade_id};
    struct text_ref trimmed = text_trim(name);

    if (trimmed.len == 0)
        return STATUS_OK;
    if (symbol_table_put(&a->names, trimmed, &link.target) != STATUS_OK)
        return STATUS_NO_MEMORY;
    return add_link(&a->tag_links, &link);
}

enum status annotations_add_missed(struct annotations *a, int64_t playbook_id, struct instant opportunity)
{
    size_t playbook = annotations_find_playbook(a, playbook_id);
    struct missed_trade *grown;

    if (playbook == a->n_playbooks)
        return STATUS_OK;
    grown = grow(a->missed, a->n_missed, &a->cap_missed, sizeof *grown);
    if (grown == NULL)
        return STATUS_NO_MEMORY;
    a->missed = grown;
    grown[a->n_missed++] = (struct missed_trade){opportunity, (uint32_t)playbook};
    return STATUS_OK;
}

static void sort_links(struct trade_links *links)
{
    if (links->unsorted)
        qsort(links->links, links->n, sizeof *links->links, compare_links);
    links->unsorted = false;
}

void annotations_finish(struct annotations *a)
{
    sort_links(&a->playbook_links);
    sort_links(&a->tag_links);
}

/* --- finding --------------------------------------------------------------------------------------- */

size_t annotations_find_playbook(const struct annotations *a, int64_t id)
{
    size_t low = 0, high = a->n_playbooks;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (a->playbooks[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->n_playbooks && a->playbooks[low].id == id ? low : a->n_playbooks;
}

size_t trade_links_of(const struct trade_links *links, const struct trade *t, const struct trade_link **ret_links)
{
    struct trade_link wanted = {.trade_id = t->id, .option = t->option};
    size_t low = 0, high = links->n, end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_links(&links->links[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < links->n; end++)
        if (links->links[end].trade_id != t->id || links->links[end].option != t->option)
            break;
    *ret_links = end == low ? NULL : links->links + low;
    return end - low;
}
