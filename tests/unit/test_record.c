#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/record.h"

static const struct record_limits limits = {.max_params = 1000, .max_body = 100};

/* Bytes put together record by record. */
struct message {
    unsigned char bytes[4096];
    size_t len;
};

static void add(struct message *m, unsigned type, unsigned id, const void *content, size_t len, size_t padding)
{
    unsigned char header[8] = {1,
                               (unsigned char)type,
                               (unsigned char)(id >> 8),
                               (unsigned char)id,
                               (unsigned char)(len >> 8),
                               (unsigned char)len,
                               (unsigned char)padding,
                               0};
    memcpy(m->bytes + m->len, header, 8);
    if (len > 0)
        memcpy(m->bytes + m->len + 8, content, len);
    memset(m->bytes + m->len + 8 + len, 0, padding);
    m->len += 8 + len + padding;
}

static void add_begin(struct message *m, unsigned id, unsigned role)
{
    unsigned char body[8] = {0, (unsigned char)role, 1};
    add(m, 1, id, body, 8, 0);
}

/* BEGIN, one parameter A=bc in two records, a body of two records. */
static void add_request(struct message *m, unsigned id)
{
    add_begin(m, id, 1);
    add(m, 4, id, "\x01", 1, 0);
    add(m, 4, id,
        "\x02"
        "Abc",
        4, 3);
    add(m, 4, id, NULL, 0, 0);
    add(m, 5, id, "body", 4, 4);
    add(m, 5, id, "!", 1, 0);
    add(m, 5, id, NULL, 0, 0);
}

static enum record_verdict screen(struct record_screen *s, const struct message *m)
{
    record_screen_reset(s);
    return record_screen(s, m->bytes, m->len, &limits);
}

static void test_screen_split_at_every_byte_waits_for_the_last(void **state)
{
    struct message m = {.len = 0};
    struct record_screen s;

    (void)state;
    add_request(&m, 258);
    for (size_t cut = 0; cut < m.len; cut++) {
        record_screen_reset(&s);
        assert_int_equal(record_screen(&s, m.bytes, cut, &limits), RECORD_PARTIAL);
        assert_int_equal(record_screen(&s, m.bytes, m.len, &limits), RECORD_REQUEST);
        assert_int_equal(s.offset, m.len);
        assert_int_equal(s.id, 258);
        assert_int_equal(s.body_len, 5);
        assert_int_equal(s.n_params, 1);
        assert_true(s.keep);
    }
}

static void test_screen_byte_by_byte_ends_the_same(void **state)
{
    struct message m = {.len = 0};
    struct record_screen s;

    (void)state;
    add_request(&m, 1);
    record_screen_reset(&s);
    for (size_t n = 0; n < m.len; n++)
        assert_int_equal(record_screen(&s, m.bytes, n, &limits), RECORD_PARTIAL);
    assert_int_equal(record_screen(&s, m.bytes, m.len, &limits), RECORD_REQUEST);
}

static void test_screen_stops_at_the_end_of_the_request(void **state)
{
    struct message m = {.len = 0};
    struct record_screen s;

    (void)state;
    add_request(&m, 1);
    size_t one = m.len;
    add_request(&m, 1);
    assert_int_equal(screen(&s, &m), RECORD_REQUEST);
    assert_int_equal(s.offset, one);
}

static void test_params_of_a_plain_request_are_read_in_order(void **state)
{
    struct message m = {.len = 0};
    struct record_plain plain;
    struct record_text name, value;
    char longer[304] = "\x01\x80\x00\x01\x28Z";

    (void)state;
    memset(longer + 6, 'z', sizeof(longer) - 6);
    add_begin(&m, 7, 1);
    add(&m, 4, 7, longer, 302, 5);
    add(&m, 4, 7, NULL, 0, 0);
    add(&m, 5, 7, NULL, 0, 0);
    assert_true(record_plain_open(m.bytes, m.len, &plain));
    assert_true(record_params_next(&plain.params, &name, &value));
    assert_int_equal(name.len, 1);
    assert_memory_equal(name.bytes, "Z", 1);
    assert_int_equal(value.len, 296);
    assert_memory_equal(value.bytes, longer + 6, 296);
    assert_false(record_params_next(&plain.params, &name, &value));

    m.len = 0;
    add_begin(&m, 7, 1);
    add(&m, 4, 7,
        "\x01\x02"
        "Abc"
        "\x02\x00"
        "DE",
        9, 0);
    add(&m, 4, 7, NULL, 0, 0);
    add(&m, 5, 7, NULL, 0, 3);
    assert_true(record_plain_open(m.bytes, m.len, &plain));
    assert_true(record_params_next(&plain.params, &name, &value));
    assert_memory_equal(value.bytes, "bc", 2);
    assert_true(record_params_next(&plain.params, &name, &value));
    assert_int_equal(name.len, 2);
    assert_int_equal(value.len, 0);
    assert_false(record_params_next(&plain.params, &name, &value));
}

static void test_plain_open_other_forms_are_left_to_libfcgi(void **state)
{
    struct message m = {.len = 0};
    struct record_plain plain;

    (void)state;
    add_request(&m, 1); /* two records of parameters, and a body */
    assert_false(record_plain_open(m.bytes, m.len, &plain));
    m.len = 0;
    add_begin(&m, 1, 1);
    add(&m, 4, 1,
        "\x01\x02"
        "Abc",
        5, 0);
    add(&m, 4, 1, NULL, 0, 0);
    add(&m, 5, 1, "x", 1, 0);
    add(&m, 5, 1, NULL, 0, 0);
    assert_false(record_plain_open(m.bytes, m.len, &plain)); /* a body */
    m.len = 0;
    add_begin(&m, 1, 1);
    add(&m, 4, 1, NULL, 0, 0);
    add(&m, 5, 1, NULL, 0, 0);
    assert_false(record_plain_open(m.bytes, m.len, &plain)); /* no parameters at all */
    m.len = 0;
    add_begin(&m, 1, 1);
    add(&m, 4, 1, "\x01", 1, 0);
    add(&m, 4, 1,
        "\x02"
        "Abc",
        4, 0);
    add(&m, 4, 1, NULL, 0, 0);
    add(&m, 5, 1, NULL, 0, 0);
    assert_false(record_plain_open(m.bytes, m.len, &plain)); /* a pair cut between two records, no body */
}

static void test_screen_malformed_closes(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct message m = {.len = 0};
        struct record_screen s;
        add_begin(&m, i == 0 ? 0 : 1, 1);
        switch (i) {
        case 1: add_begin(&m, 1, 1); break;
        case 2: add(&m, 5, 1, NULL, 0, 0); break; /* input before the end of parameters */
        case 3:
            add(&m, 4, 1,
                "\x05\x05"
                "ab",
                4, 0);
            add(&m, 4, 1, NULL, 0, 0);
            break;                                                  /* a pair cut short */
        case 4: add(&m, 4, 1, "\xff\xff\xff\xff\x01", 5, 0); break; /* a length that asks for 2 GiB */
        case 5: add(&m, 8, 1, "x", 1, 0); break;
        case 6: add(&m, 6, 1, "x", 1, 0); break;
        case 7: add(&m, 9, 0, "\x7f", 1, 0); break;
        case 8: m.bytes[0] = 2; break;
        default: break;
        }
        assert_int_equal(screen(&s, &m), RECORD_CLOSE);
    }
}

static void test_screen_over_the_limits_says_which(void **state)
{
    struct message m = {.len = 0};
    struct record_screen s;
    char big[1100] = {0};

    (void)state;
    add_begin(&m, 1, 1);
    add(&m, 4, 1, NULL, 0, 0);
    add(&m, 5, 1, big, 101, 0);
    add(&m, 5, 1, NULL, 0, 0);
    assert_int_equal(screen(&s, &m), RECORD_BODY_TOO_LARGE);
    assert_int_equal(s.offset, m.len);
    m.len = 0;
    add_begin(&m, 1, 1);
    memset(big, 0, sizeof(big)); /* 550 empty pairs */
    add(&m, 4, 1, big, 1100, 0);
    add(&m, 4, 1, NULL, 0, 0);
    add(&m, 5, 1, NULL, 0, 0);
    assert_int_equal(screen(&s, &m), RECORD_PARAMS_TOO_LARGE);
}

static void test_screen_management_record_is_extracted_and_answered(void **state)
{
    static const char expected[] = "\x0f\x01"
                                   "FCGI_MPXS_CONNS0";
    struct message m = {.len = 0};
    struct record_screen s;

    (void)state;
    add_begin(&m, 1, 1);
    size_t at = m.len;
    add(&m, 9, 0,
        "\x0f\x00"
        "FCGI_MPXS_CONNS",
        17, 7);
    assert_int_equal(screen(&s, &m), RECORD_EXTRACT);
    assert_int_equal(s.offset, at);
    assert_int_equal(s.extract_len, 32);
    assert_int_equal(s.reply[1], 10);
    assert_int_equal(s.reply[5], sizeof(expected) - 1);
    assert_memory_equal(s.reply + 8, expected, sizeof(expected) - 1);
    assert_int_equal(s.reply_len % 8, 0);
    m.len = 0;
    add(&m, 200, 0, NULL, 0, 0);
    assert_int_equal(screen(&s, &m), RECORD_EXTRACT);
    assert_int_equal(s.reply[1], 11);
    assert_int_equal(s.reply[8], 200);
}

static void test_screen_other_requests_and_roles_are_refused(void **state)
{
    struct message m = {.len = 0};
    struct record_screen s;

    (void)state;
    add_begin(&m, 1, 1);
    add_begin(&m, 2, 1);
    assert_int_equal(screen(&s, &m), RECORD_EXTRACT);
    assert_int_equal(s.reply[3], 2);
    assert_int_equal(s.reply[12], 1); /* FCGI_CANT_MPX_CONN */
    m.len = 0;
    add_begin(&m, 1, 2);
    assert_int_equal(screen(&s, &m), RECORD_EXTRACT);
    assert_int_equal(s.reply[12], 3); /* FCGI_UNKNOWN_ROLE */
    m.len = 0;
    add_begin(&m, 1, 1);
    add(&m, 2, 1, NULL, 0, 0);
    assert_int_equal(screen(&s, &m), RECORD_ABORTED);
    assert_int_equal(s.offset, m.len);
    m.len = 0;
    add(&m, 5, 9, "late", 4, 0);
    assert_int_equal(screen(&s, &m), RECORD_EXTRACT);
    assert_int_equal(s.reply_len, 0);
}

static void test_strip_padding_keeps_the_contents(void **state)
{
    struct message m = {.len = 0}, plain = {.len = 0};

    (void)state;
    add(&m, 4, 1, "abc", 3, 5);
    add(&m, 5, 1, NULL, 0, 7);
    add(&plain, 4, 1, "abc", 3, 0);
    add(&plain, 5, 1, NULL, 0, 0);
    assert_int_equal(record_strip_padding(m.bytes, m.len), plain.len);
    assert_memory_equal(m.bytes, plain.bytes, plain.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen_split_at_every_byte_waits_for_the_last),
        cmocka_unit_test(test_screen_byte_by_byte_ends_the_same),
        cmocka_unit_test(test_screen_stops_at_the_end_of_the_request),
        cmocka_unit_test(test_params_of_a_plain_request_are_read_in_order),
        cmocka_unit_test(test_plain_open_other_forms_are_left_to_libfcgi),
        cmocka_unit_test(test_screen_malformed_closes),
        cmocka_unit_test(test_screen_over_the_limits_says_which),
        cmocka_unit_test(test_screen_management_record_is_extracted_and_answered),
        cmocka_unit_test(test_screen_other_requests_and_roles_are_refused),
        cmocka_unit_test(test_strip_padding_keeps_the_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
