#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/cache_internal.h"

#define INSTANCE "0123456789abcdef0123456789abcdef01234567"

static const struct cache_tags tags = {2, {{"stocks", false}, {"market", true}}};

static const struct cache_header valid = {.etag = "00112233445566778899aabbccddeeff",
                                          .content = "ffeeddccbbaa99887766554433221100",
                                          .instance = INSTANCE,
                                          .computed_at = {1000},
                                          .valid_until = {5000},
                                          .expires_at = {4000},
                                          .cost_us = 12,
                                          .n_epochs = 2,
                                          .epochs = {{"stocks", false, 7}, {"market", true, UINT64_MAX}}};

static void test_cache_judge_every_branch(void **state)
{
    struct cache_header until = valid, tag = valid, shared = valid, fewer = valid, zero = valid;
    const struct cache_epochs now = {.values = {7, UINT64_MAX}}, own = {.values = {8, UINT64_MAX}},
                              other = {.values = {7, 1}}, absent = {.values = {0, UINT64_MAX}};

    until.valid_until.us = 3000;
    strcpy(tag.epochs[0].tag, "notes");
    shared.epochs[1].shared = false;
    fewer.n_epochs = 1;
    zero.epochs[0].epoch = 0;
    const struct {
        const struct cache_header *header;
        const struct cache_epochs *present;
        const char *instance;
        int64_t now;
        enum cache_verdict verdict;
    } cases[] = {
        {&valid, &now, INSTANCE, 2000, CACHE_HIT},
        {&valid, &now, INSTANCE, 3999, CACHE_HIT},
        {&valid, &now, INSTANCE, 4000, CACHE_MISS_EXPIRED},
        {&until, &now, INSTANCE, 2999, CACHE_HIT},
        {&until, &now, INSTANCE, 3000, CACHE_MISS_EXPIRED},
        {&valid, &own, INSTANCE, 2000, CACHE_MISS_EPOCH},
        {&valid, &other, INSTANCE, 2000, CACHE_MISS_EPOCH},
        {&valid, &absent, INSTANCE, 2000, CACHE_MISS_EPOCH},
        {&zero, &absent, INSTANCE, 2000, CACHE_MISS_EPOCH},
        {&valid, &now, "", 2000, CACHE_MISS_INSTANCE},
        {&valid, &now, "1123456789abcdef0123456789abcdef01234567", 2000, CACHE_MISS_INSTANCE},
        {&tag, &now, INSTANCE, 2000, CACHE_MISS_DAMAGED},
        {&shared, &now, INSTANCE, 2000, CACHE_MISS_DAMAGED},
        {&fewer, &now, INSTANCE, 2000, CACHE_MISS_DAMAGED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum cache_verdict verdict =
            cache_judge(cases[i].header, &tags, cases[i].present, cases[i].instance, (struct instant){cases[i].now});

        if (verdict != cases[i].verdict)
            fail_msg("case %zu: %s instead of %s", i, cache_verdict_name(verdict),
                     cache_verdict_name(cases[i].verdict));
    }
}

static void test_cache_header_survives_the_round_trip_and_no_change_of_a_byte_reads_the_same(void **state)
{
    struct cache_header header = valid, read;
    struct buf value = BUF_INIT;
    const char *body;
    size_t len;

    (void)state;
    header.valid_until = INSTANT_NEVER;
    header.body_sum = 0x2d06800538d394c2; /* XXH3-64 of nothing, seed 0: from the xxHash specification */
    cache_header_append(&value, &header);
    len = value.len;
    assert_int_equal(cache_value_parse(value.data, len, &read, &body, NULL), STATUS_OK);
    assert_int_equal(read.valid_until.us, INT64_MAX);
    assert_string_equal(read.etag, header.etag);
    assert_string_equal(read.epochs[1].tag, "market");
    assert_true(read.epochs[1].shared && read.epochs[1].epoch == UINT64_MAX && read.n_epochs == 2);
    assert_ptr_equal(body, value.data + len);
    for (size_t cut = 0; cut < len; cut++)
        if (cache_value_parse(value.data, cut, &read, &body, NULL) != STATUS_INVALID)
            fail_msg("cut at %zu was accepted", cut);
    for (size_t i = 0; i < len; i++) {
        char was = value.data[i];

        value.data[i] = 'X';
        if (cache_value_parse(value.data, len, &read, &body, NULL) != STATUS_INVALID)
            fail_msg("a change of byte %zu was accepted", i);
        value.data[i] = was;
    }
    buf_release(&value);
}

static void test_cache_body_unpack_refuses_damaged_gzip(void **state)
{
    char text[4000];
    struct buf packed = BUF_INIT, out = BUF_INIT;
    struct cache_header header = {.encoding = CACHE_GZIP};

    (void)state;
    memset(text, 'x', sizeof text);
    assert_false(cache_compress(text, 1024, &packed));
    assert_true(cache_compress(text, sizeof text, &packed));
    for (size_t cut = 0; cut < packed.len; cut++) {
        header.body_size = cut;
        if (cache_body_unpack(&header, packed.data, 100000, &out) == STATUS_OK)
            fail_msg("cut at %zu was accepted", cut);
    }
    header.body_size = packed.len;
    assert_int_equal(cache_body_unpack(&header, packed.data, 100000, &out), STATUS_OK);
    assert_int_equal(out.len, sizeof text);
    packed.data[packed.len / 2] ^= 1;
    assert_int_equal(cache_body_unpack(&header, packed.data, 100000, &out), STATUS_INVALID);
    buf_release(&packed);
    buf_release(&out);
}

static void test_cache_compress_keeps_what_does_not_shrink(void **state)
{
    char noise[3000];
    uint64_t x = 88172645463325252u;
    struct buf out = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof noise; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        noise[i] = (char)(x >> 32);
    }
    assert_false(cache_compress(noise, sizeof noise, &out));
    buf_release(&out);
}

static void assert_packed_is(struct packed_bodies *packed, const struct cache_body *body, uint64_t sum)
{
    struct cache_header header = {.encoding = CACHE_GZIP};
    struct buf out = BUF_INIT;
    const char *gzip;

    assert_true(packed_bodies_find(packed, body, sum, &gzip, &header.body_size));
    assert_int_equal(cache_body_unpack(&header, gzip, 100000, &out), STATUS_OK);
    assert_int_equal(out.len, body->len);
    assert_memory_equal(out.data, body->bytes, body->len);
    buf_release(&out);
}

static void test_packed_bodies_of_one_sum_are_told_apart_by_their_bytes(void **state)
{
    char first[2000], second[2000], longer[2001];
    const struct cache_body bodies[] = {{.bytes = first, .len = sizeof first},
                                        {.bytes = second, .len = sizeof second},
                                        {.bytes = longer, .len = sizeof longer}};
    struct packed_bodies packed;

    (void)state;
    memset(first, 'x', sizeof first);
    memset(second, 'x', sizeof second);
    memset(longer, 'x', sizeof longer);
    second[sizeof second - 1] = 'y';
    assert_int_equal(packed_bodies_init(&packed, 3), STATUS_OK);
    for (int i = 0; i < 12; i++)
        assert_packed_is(&packed, &bodies[i % 3], 42);
    packed_bodies_release(&packed);
}

static void test_packed_bodies_compress_equal_bodies_once(void **state)
{
    char text[2000], same[2000], small[] = "{}";
    const struct cache_body body = {.bytes = text, .len = sizeof text}, again = {.bytes = same, .len = sizeof same},
                            short_one = {.bytes = small, .len = 2};
    struct packed_bodies packed;
    const char *gzip;
    size_t len, used;

    (void)state;
    memset(text, 'x', sizeof text);
    memset(same, 'x', sizeof same);
    assert_int_equal(packed_bodies_init(&packed, 3), STATUS_OK);
    assert_packed_is(&packed, &body, 42);
    used = packed.bytes.len;
    assert_packed_is(&packed, &again, 42);
    assert_int_equal(packed.bytes.len, used);
    assert_false(packed_bodies_find(&packed, &short_one, 7, &gzip, &len));
    packed_bodies_release(&packed);
}

#define TTL_S 1000

/* How many seconds from now a value of this key would expire, its range ending in valid_for_s. */
static double expires_in_s(const char *key, int64_t valid_for_s)
{
    struct instant now = {1700000000 * US_PER_SECOND};
    struct cache_epochs epochs = {.values = {7, 8}};
    struct cache_body body = {.bytes = "{}", .len = 2, .valid_until = {now.us + valid_for_s * US_PER_SECOND}};
    struct cache_store one = {.key = key, .tags = &tags, .epochs = &epochs, .body = &body, .ttl_s = TTL_S};
    struct cache_header header;

    clock_set_override(now);
    cache_describe(NULL, &one, INSTANCE, &header);
    clock_clear_override();
    return (double)(header.expires_at.us - now.us) / US_PER_SECOND;
}

/* What is stored together must not expire together, and never later than it says or than its range lasts. */
static void test_cache_describe_spreads_expiry_over_a_tenth_of_the_ttl(void **state)
{
    int n[10] = {0};
    char key[32];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "document:%d", i);
        double s = expires_in_s(key, 10 * TTL_S);
        if (s < 0.9 * TTL_S || s > TTL_S)
            fail_msg("%s expires in %f s", key, s);
        n[(int)((TTL_S - s) / (0.1 * TTL_S / 10)) % 10]++;
        assert_true(s == expires_in_s(key, 10 * TTL_S));
        assert_true(expires_in_s(key, 30) == 30);
    }
    for (int i = 0; i < 10; i++) /* 100 each, give or take four standard deviations */
        if (n[i] < 62 || n[i] > 138)
            fail_msg("%d of 1000 in the tenth %d", n[i], i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_judge_every_branch),
        cmocka_unit_test(test_cache_header_survives_the_round_trip_and_no_change_of_a_byte_reads_the_same),
        cmocka_unit_test(test_cache_body_unpack_refuses_damaged_gzip),
        cmocka_unit_test(test_cache_compress_keeps_what_does_not_shrink),
        cmocka_unit_test(test_packed_bodies_of_one_sum_are_told_apart_by_their_bytes),
        cmocka_unit_test(test_packed_bodies_compress_equal_bodies_once),
        cmocka_unit_test(test_cache_describe_spreads_expiry_over_a_tenth_of_the_ttl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
