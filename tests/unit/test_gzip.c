/* What is packed unpacks to the same, by another library's unpacker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libdeflate.h>

#include "lib/store/gzip.h"
#include "tests/support/random_numbers.h"

#define MAX (3 << 20)
#define GUARD 64

static char body[MAX], packed[MAX + GUARD], unpacked[MAX];

enum shape { DOCUMENT, NOISE, ONE_BYTE, OTHER_TEXT, SHAPES };

static void fill(enum shape shape, size_t len)
{
    static const char *const words[] = {"\"average_win\":", "null,", "-12.3456,", "{\"count\":", "2026-11-26T04:00:00Z",
                                        "\"meta\":{",       "},",    "0,",        "bench-",      "1"};

    for (size_t at = 0; at < len;) {
        const char *word = words[below(sizeof words / sizeof words[0])];
        size_t n = strlen(word) < len - at ? strlen(word) : len - at;

        if (shape == DOCUMENT)
            memcpy(body + at, word, n);
        else
            n = 1;
        if (shape == NOISE)
            body[at] = (char)below(256);
        else if (shape == ONE_BYTE)
            body[at] = 'x';
        else if (shape == OTHER_TEXT)
            body[at] = (char)(0xC0 + below(40)); /* letters that no document of ours has */
        at += n;
    }
}

static void check_unpacks(const char *bytes, size_t n, size_t len)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    size_t used, got;

    assert_non_null(d);
    assert_int_equal(libdeflate_gzip_decompress_ex(d, bytes, n, unpacked, MAX, &used, &got), LIBDEFLATE_SUCCESS);
    assert_int_equal(used, n);
    assert_int_equal(got, len);
    assert_memory_equal(unpacked, body, len);
    libdeflate_free_decompressor(d);
}

static void check_guard(size_t room)
{
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(packed[room + i], 0x5A);
}

/* Of one compressor, one after the other. */
static void test_bodies_of_all_sizes_unpack_to_the_same(void **state)
{
    static const size_t sizes[] = {1, 1025, 1500, 4000, 8191, 8192, 8193, 20000, 70000, 300000, MAX};
    struct gzip *gzip = gzip_new();

    (void)state;
    assert_non_null(gzip);
    random_state = 5;
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t len = sizes[i], n;

            fill((enum shape)shape, len);
            memset(packed, 0x5A, sizeof packed);
            n = gzip_compress(gzip, body, len, packed, len);
            check_guard(len);
            if (n != 0)
                check_unpacks(packed, n, len);
            if (shape == NOISE || len == 1)
                assert_int_equal(n, 0);
            else
                assert_in_range(n, 1, len * 9 / 10);
        }
    }
    gzip_free(gzip);
}

static void test_too_little_room_is_respected(void **state)
{
    struct gzip *gzip = gzip_new();

    (void)state;
    assert_non_null(gzip);
    random_state = 6;
    for (size_t len = 2000; len <= 20000; len += 18000) {
        size_t full;

        fill(DOCUMENT, len);
        full = gzip_compress(gzip, body, len, packed, len);
        assert_int_not_equal(full, 0);
        for (size_t room = 0; room < full; room += 1 + room / 7) {
            size_t n;

            memset(packed, 0x5A, sizeof packed);
            n = gzip_compress(gzip, body, len, packed, room);
            check_guard(room);
            assert_true(n <= room);
            if (n != 0)
                check_unpacks(packed, n, len);
        }
        assert_int_equal(gzip_compress(gzip, body, len, packed, len), full);
        check_unpacks(packed, full, len);
    }
    gzip_free(gzip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_of_all_sizes_unpack_to_the_same),
        cmocka_unit_test(test_too_little_room_is_respected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
