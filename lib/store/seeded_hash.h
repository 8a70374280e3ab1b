/* Hashes for the tables of one process whose keys strangers choose: without the seed nobody knows which keys fall together. */
#ifndef PNLCACHE_STORE_SEEDED_HASH_H
#define PNLCACHE_STORE_SEEDED_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 0 where the kernel has no random numbers yet. */
uint64_t hash_seed_draw(void);
uint64_t hash_seeded(const void *bytes, size_t len, uint64_t seed);

#endif
