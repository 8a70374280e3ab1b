/* Least-significant-digit radix sort, a byte at a time, skipping bytes that are equal in all keys (the
 * upper bytes of money and durations); insertion sort where there are few. */
#include "jobs/analytics/ranking.h"

#include <stdlib.h>
#include <string.h>

#define FEW 48
#define DIGITS 8

void ranking_release(struct ranking *r)
{
    free(r->keys);
    free(r->positions);
    free(r->spare_keys);
    free(r->spare_positions);
    *r = (struct ranking){0};
}

enum status ranking_resize(struct ranking *r, size_t n)
{
    if (n > r->cap) {
        ranking_release(r);
        r->keys = malloc(n * sizeof *r->keys);
        r->positions = malloc(n * sizeof *r->positions);
        r->spare_keys = malloc(n * sizeof *r->spare_keys);
        r->spare_positions = malloc(n * sizeof *r->spare_positions);
        if (r->keys == NULL || r->positions == NULL || r->spare_keys == NULL || r->spare_positions == NULL) {
            ranking_release(r);
            return STATUS_NO_MEMORY;
        }
        r->cap = n;
    }
    r->n = n;
    return STATUS_OK;
}

uint64_t ranking_key_double(double v)
{
    uint64_t bits;

    v += 0.0; /* -0 orders as 0 */
    memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | (UINT64_C(1) << 63);
}

static void insertion_sort(struct ranking *r)
{
    for (size_t i = 1; i < r->n; i++) {
        uint64_t key = r->keys[i];
        uint32_t position = r->positions[i];
        size_t j = i;

        for (; j > 0 && r->keys[j - 1] > key; j--) {
            r->keys[j] = r->keys[j - 1];
            r->positions[j] = r->positions[j - 1];
        }
        r->keys[j] = key;
        r->positions[j] = position;
    }
}

static void swap_spare(struct ranking *r)
{
    uint64_t *keys = r->keys;
    uint32_t *positions = r->positions;

    r->keys = r->spare_keys;
    r->positions = r->spare_positions;
    r->spare_keys = keys;
    r->spare_positions = positions;
}

static void scatter(struct ranking *r, const uint32_t counts[256], int shift)
{
    uint32_t next[256], sum = 0;

    for (int b = 0; b < 256; b++) {
        next[b] = sum;
        sum += counts[b];
    }
    for (size_t i = 0; i < r->n; i++) {
        uint32_t to = next[(r->keys[i] >> shift) & 0xff]++;

        r->spare_keys[to] = r->keys[i];
        r->spare_positions[to] = r->positions[i];
    }
    swap_spare(r);
}

void ranking_sort(struct ranking *r)
{
    uint32_t counts[DIGITS][256];

    for (size_t i = 0; i < r->n; i++)
        r->positions[i] = (uint32_t)i;
    if (r->n <= FEW) {
        insertion_sort(r);
        return;
    }
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < r->n; i++)
        for (int d = 0; d < DIGITS; d++)
            counts[d][(r->keys[i] >> (8 * d)) & 0xff]++;
    for (int d = 0; d < DIGITS; d++)
        if (counts[d][(r->keys[0] >> (8 * d)) & 0xff] != r->n)
            scatter(r, counts[d], 8 * d);
}

void ranking_settle(struct ranking *r, uint64_t distance, bool (*less)(const void *context, uint32_t a, uint32_t b),
                    const void *context)
{
    for (size_t i = 1; i < r->n; i++) {
        for (size_t j = i;
             j > 0 && r->keys[j] - r->keys[j - 1] <= distance && less(context, r->positions[j], r->positions[j - 1]);
             j--) {
            uint32_t position = r->positions[j];

            /* The keys stay: they are equal but for rounding. */
            r->positions[j] = r->positions[j - 1];
            r->positions[j - 1] = position;
        }
    }
}

void ranking_select(const struct ranking *r, uint32_t first, size_t k, uint32_t *ret_position, uint32_t *ret_next)
{
    size_t i = 0, left = k + 1;

    for (; left > 0; i++)
        left -= r->positions[i] >= first;
    *ret_position = *ret_next = r->positions[i - 1];
    for (; i < r->n; i++) {
        if (r->positions[i] >= first) {
            *ret_next = r->positions[i];
            return;
        }
    }
}
