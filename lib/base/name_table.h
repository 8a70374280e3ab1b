/* Names that stay the same, found by their bytes: a hash table in memory of the caller's, filled once, then read by any number
 * of threads. For the words of the program and of its files. Strangers look names up but add none, so the hash needs no
 * seed; a few instructions on the ends of a name are enough of one. */
#ifndef PNLCACHE_BASE_NAME_TABLE_H
#define PNLCACHE_BASE_NAME_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct name_slot {
    const char *name;     /* NULL: free */
    uint64_t first, last; /* its ends */
    size_t len;
    int value;
};

struct name_table {
    struct name_slot *slots;
    size_t mask;
};

/* `n_slots`: a power of two and more than there will be names; with twice as many a search is short. */
void name_table_init(struct name_table *table, struct name_slot *slots, size_t n_slots);
/* The name is borrowed for as long as the table is used; the value is not negative. A name that is there already keeps its value. */
void name_table_add(struct name_table *table, const char *name, int value);
/* Both at once: the values are the places of the names. */
void name_table_fill(struct name_table *table, struct name_slot *slots, size_t n_slots, size_t n,
                     const char *const *names);
/* The value of the name; -1: it is not there. */
int name_table_find(const struct name_table *table, const char *name, size_t len);

#endif
