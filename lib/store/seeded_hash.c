#include "lib/store/seeded_hash.h"

#include <sys/random.h>
#include <xxhash.h>

uint64_t hash_seed_draw(void)
{
    uint64_t seed = 0;

    (void)!getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    return seed;
}

uint64_t hash_seeded(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}
