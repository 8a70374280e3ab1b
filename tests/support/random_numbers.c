#include "tests/support/random_numbers.h"

#include <assert.h>

uint64_t random_state;

int64_t below(int64_t bound)
{
    assert(random_state != 0);
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int64_t)((random_state >> 11) % (uint64_t)bound);
}
