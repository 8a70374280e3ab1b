#include "lib/base/name_table.h"

#include <assert.h>
#include <string.h>

void name_table_init(struct name_table *table, struct name_slot *slots, size_t n_slots)
{
    assert(n_slots > 0 && (n_slots & (n_slots - 1)) == 0);
    memset(slots, 0, n_slots * sizeof *slots);
    *table = (struct name_table){slots, n_slots - 1};
}

/* Of the length, the first and the last eight bytes, which overlap in a short name. */
static size_t hash(const char *name, size_t len)
{
    uint64_t first = 0, last = 0;

    if (len >= 8) {
        memcpy(&first, name, 8);
        memcpy(&last, name + len - 8, 8);
    } else if (len >= 4) {
        memcpy(&first, name, 4);
        memcpy(&last, name + len - 4, 4);
    } else if (len > 0) {
        first = (unsigned char)name[0] | (uint64_t)(unsigned char)name[len - 1] << 8;
        last = (unsigned char)name[len / 2];
    }
    first = (first + len) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(((first ^ first >> 32) + last) * UINT64_C(0xbf58476d1ce4e5b9) >> 40);
}

/* Where the name is, or the free slot where it would be. */
static struct name_slot *slot_of(const struct name_table *table, const char *name, size_t len)
{
    size_t i = hash(name, len) & table->mask;

    while (table->slots[i].name != NULL && (table->slots[i].len != len || memcmp(table->slots[i].name, name, len) != 0))
        i = (i + 1) & table->mask;
    return &table->slots[i];
}

void name_table_add(struct name_table *table, const char *name, int value)
{
    size_t len = strlen(name);
    struct name_slot *slot = slot_of(table, name, len);

    assert(value >= 0);
    if (slot->name == NULL)
        *slot = (struct name_slot){name, len, value};
}

int name_table_find(const struct name_table *table, const char *name, size_t len)
{
    const struct name_slot *slot = slot_of(table, name, len);

    return slot->name != NULL ? slot->value : -1;
}
