#include "jobs/analytics/symbol_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64

void symbol_table_init(struct symbol_table *table)
{
    *table = (struct symbol_table){.names = BUF_INIT};
}

void symbol_table_release(struct symbol_table *table)
{
    buf_release(&table->names);
    free(table->symbols);
    free(table->slots);
    *table = (struct symbol_table){.names = BUF_INIT, .exact = table->exact};
}

void symbol_table_clear(struct symbol_table *table)
{
    buf_clear(&table->names);
    table->n_symbols = 0;
    if (table->n_slots != 0)
        memset(table->slots, 0, table->n_slots * sizeof *table->slots);
}

/* A byte of a name as the table keeps it. */
static char kept(const struct symbol_table *table, char c)
{
    return !table->exact && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* FNV-1a of the kept bytes; the final mix spreads short names over the low bits. */
static uint64_t hash_name(const struct symbol_table *table, struct text_ref name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)kept(table, name.bytes[i])) * UINT64_C(1099511628211);
    return hash ^ (hash >> 32);
}

static bool same_name(const struct symbol_table *table, const struct symbol_name *symbol, struct text_ref name,
                      uint64_t hash)
{
    const char *own = table->names.data + symbol->offset;

    if (symbol->hash != hash || symbol->len != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (own[i] != kept(table, name.bytes[i]))
            return false;
    return true;
}

/* The slot that holds the name, or the free one where it belongs. */
static size_t find_slot(const struct symbol_table *table, struct text_ref name, uint64_t hash)
{
    size_t slot = hash & (table->n_slots - 1);

    while (table->slots[slot] != 0 && !same_name(table, &table->symbols[table->slots[slot] - 1], name, hash))
        slot = (slot + 1) & (table->n_slots - 1);
    return slot;
}

static enum status grow(struct symbol_table *table)
{
    size_t n_slots = table->n_slots == 0 ? FIRST_SLOTS : table->n_slots * 2;
    struct symbol_name *symbols = realloc(table->symbols, n_slots / 2 * sizeof *symbols);
    uint32_t *slots;

    if (symbols == NULL)
        return STATUS_NO_MEMORY;
    table->symbols = symbols;
    slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return STATUS_NO_MEMORY;
    free(table->slots);
    table->slots = slots;
    table->n_slots = n_slots;
    table->cap_symbols = n_slots / 2;
    for (size_t id = 0; id < table->n_symbols; id++) {
        size_t slot = table->symbols[id].hash & (n_slots - 1);

        while (slots[slot] != 0)
            slot = (slot + 1) & (n_slots - 1);
        slots[slot] = (uint32_t)id + 1;
    }
    return STATUS_OK;
}

static enum status add(struct symbol_table *table, struct text_ref name, uint64_t hash, uint32_t *ret_id)
{
    size_t offset = table->names.len;
    enum status status;

    if (table->n_symbols == table->cap_symbols) {
        status = grow(table);
        if (status != STATUS_OK)
            return status;
    }
    buf_append(&table->names, name.bytes, name.len);
    status = buf_status(&table->names);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < name.len; i++)
        table->names.data[offset + i] = kept(table, name.bytes[i]);
    *ret_id = (uint32_t)table->n_symbols++;
    table->symbols[*ret_id] = (struct symbol_name){.offset = offset, .len = name.len, .hash = hash};
    table->slots[find_slot(table, name, hash)] = *ret_id + 1;
    return STATUS_OK;
}

static bool find(const struct symbol_table *table, struct text_ref name, uint64_t hash, uint32_t *ret_id)
{
    size_t slot;

    if (table->n_slots == 0)
        return false;
    slot = find_slot(table, name, hash);
    if (table->slots[slot] == 0)
        return false;
    *ret_id = table->slots[slot] - 1;
    return true;
}

enum status symbol_table_put(struct symbol_table *table, struct text_ref name, uint32_t *ret_id)
{
    uint64_t hash = hash_name(table, name);

    return find(table, name, hash, ret_id) ? STATUS_OK : add(table, name, hash, ret_id);
}

bool symbol_table_find(const struct symbol_table *table, struct text_ref name, uint32_t *ret_id)
{
    return find(table, name, hash_name(table, name), ret_id);
}

struct text_ref symbol_table_name(const struct symbol_table *table, uint32_t id)
{
    const struct symbol_name *symbol = &table->symbols[id];

    return (struct text_ref){.bytes = table->names.data + symbol->offset, .len = symbol->len};
}
