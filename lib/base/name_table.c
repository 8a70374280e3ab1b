#include "lib/base/name_table.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define END 8 /* bytes */

void name_table_init(struct name_table *table, struct name_slot *slots, size_t n_slots)
{
    assert(n_slots > 0 && (n_slots & (n_slots - 1)) == 0);
    memset(slots, 0, n_slots * sizeof *slots);
    *table = (struct name_table){slots, n_slots - 1};
}

/* The first and the last eight bytes, which overlap or are fewer in a short name. */
struct ends {
    uint64_t first, last;
};

static inline struct ends ends_of(const char *name, size_t len)
{
    struct ends ends = {0, 0};

    if (len >= END) {
        memcpy(&ends.first, name, END);
        memcpy(&ends.last, name + len - END, END);
    } else if (len >= END / 2) {
        memcpy(&ends.first, name, END / 2);
        memcpy(&ends.last, name + len - END / 2, END / 2);
    } else if (len > 0) {
        ends.first = (unsigned char)name[0] | (uint64_t)(unsigned char)name[len - 1] << 8;
        ends.last = (unsigned char)name[len / 2];
    }
    return ends;
}

/* Whether names with the same ends are the same. By hand, for a call of memcmp() costs more than all the rest. */
static inline bool same_middle(const char *a, const char *b, size_t len)
{
    uint64_t x, y;

    for (size_t i = END; i + END < len; i += END) {
        memcpy(&x, a + i, END);
        memcpy(&y, b + i, END);
        if (x != y)
            return false;
    }
    return true;
}

/* Where the name is, or the free slot where it would be. */
static inline struct name_slot *slot_of(const struct name_table *table, const char *name, size_t len, struct ends ends)
{
    uint64_t mixed = (ends.first + len + (ends.last << 32 | ends.last >> 32)) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = mixed >> 40;; i++) {
        struct name_slot *slot = &table->slots[i & table->mask];
        if (slot->name == NULL || (slot->first == ends.first && slot->last == ends.last && slot->len == len &&
                                   same_middle(slot->name, name, len)))
            return slot;
    }
}

void name_table_add(struct name_table *table, const char *name, int value)
{
    size_t len = strlen(name);
    struct ends ends = ends_of(name, len);
    struct name_slot *slot = slot_of(table, name, len, ends);

    assert(value >= 0);
    if (slot->name == NULL)
        *slot = (struct name_slot){name, ends.first, ends.last, len, value};
}

void name_table_fill(struct name_table *table, struct name_slot *slots, size_t n_slots, size_t n,
                     const char *const *names)
{
    name_table_init(table, slots, n_slots);
    for (size_t i = 0; i < n; i++)
        name_table_add(table, names[i], (int)i);
}

int name_table_find(const struct name_table *table, const char *name, size_t len)
{
    const struct name_slot *slot = slot_of(table, name, len, ends_of(name, len));

    return slot->name != NULL ? slot->value : -1;
}
