#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/http_cache.h"

#define EACH(table) (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)

static void test_accepts_gzip_follows_rfc9110(void **state)
{
    static const struct {
        const char *field;
        bool accepts;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZIP", true},
        {"x-gzip", true},
        {"br", false},
        {"br, gzip", true},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"gzip;q=0.001", true},
        {"gzip; q=1.0", true},
        {"gzip;q=1.1", false},
        {"gzip;q=2", false},
        {"gzip;q=", false},
        {"gzip;q=0.1234", false},
        {"*", true},
        {"*;q=0", false},
        {"*, gzip;q=0", false},
        {"gzip, *;q=0", true},
        {"identity", false},
        {"gzipped", false},
        {" , gzip ;q=0.5 ,", true},
    };

    (void)state;
    for
        EACH(cases)
    if (http_accepts_gzip(cases[i].field) != cases[i].accepts)
        fail_msg("case %zu: %s", i, cases[i].field ? cases[i].field : "absent");
}

static void test_etag_matches_lists_weak_and_star(void **state)
{
    static const struct {
        const char *field;
        bool matches;
    } cases[] = {
        {"\"abc\"", true},        {"W/\"abc\"", true},      {"*", true},          {" * ", true},
        {"\"x\", \"abc\"", true}, {"\"x\",\"y\"", false},   {"\"ab\"", false},    {"\"abcd\"", false},
        {"abc", false},           {"\"abc", false},         {"", false},          {"\"a,b\" , W/\"abc\"", true},
        {"*, \"x\"", false},      {"\"x\" \"abc\"", false}, {"w/\"abc\"", false},
    };

    (void)state;
    for
        EACH(cases)
    if (http_etag_matches(cases[i].field, "\"abc\"") != cases[i].matches)
        fail_msg("case %zu: %s", i, cases[i].field);
}

static void test_has_directive_ignores_case_and_neighbours(void **state)
{
    (void)state;
    assert_true(http_has_directive("no-cache", "no-cache"));
    assert_true(http_has_directive("max-age=0, No-Cache", "no-cache"));
    assert_false(http_has_directive("no-cache-please", "no-cache"));
    assert_false(http_has_directive(NULL, "no-cache"));
}

/* --- lines that are kept -------------------------------------------------------------------------- */

#define SECOND INT64_C(1000000)

struct scene {
    struct request request;
    struct response kept, fresh;
    struct cache_header header;
    struct http_document document;
};

static void begin_scene(struct scene *s)
{
    static const struct cache_header header = {
        .etag = "0123456789abcdef0123456789abcdef", .encoding = CACHE_GZIP, .body_size = 4};

    memset(s, 0, sizeof *s);
    request_init(&s->request);
    response_init(&s->kept);
    response_init(&s->fresh);
    s->request.method = METHOD_GET;
    s->header = header;
    s->header.computed_at.us = 1000 * SECOND + 300000;
    s->header.expires_at.us = s->header.valid_until.us = 1060 * SECOND + 900000;
    s->document = (struct http_document){
        .header = &s->header, .bytes = "body", .len = 4, .encoding = CACHE_GZIP, .source = SOURCE_L1};
}

static void end_scene(struct scene *s)
{
    request_release(&s->request);
    response_release(&s->kept);
    response_release(&s->fresh);
}

/* The lines without the value of Server-Timing: two answers do not take the same time. */
static const char *comparable(struct response *r)
{
    char *at;

    buf_append_char(&r->head, '\0');
    at = strstr(r->head.data, "dur=");
    assert_non_null(at);
    for (at += 4; *at != '\r'; at++)
        *at = '#';
    return r->head.data;
}

/* The request comes at this moment with this id: what `kept` says, which has answered before, is what one says that has not. */
static void answer_at(struct scene *s, int64_t us, const char *id)
{
    struct buf lines = BUF_INIT;

    (void)snprintf(s->request.id, sizeof s->request.id, "%s", id);
    s->request.arrived_at.us = us;
    s->request.arrived_us = clock_monotonic_us();
    http_respond_document(&s->kept, &s->request, &s->document);
    response_forget(&s->fresh);
    s->request.arrived_us = clock_monotonic_us();
    http_respond_document(&s->fresh, &s->request, &s->document);
    buf_append(&lines, s->kept.head.data, s->kept.head.len); /* what is kept stays as it was */
    struct response copy = {.head = lines};
    assert_string_equal(comparable(&copy), comparable(&s->fresh));
    buf_release(&copy.head);
    assert_int_equal(s->kept.http_status, s->fresh.http_status);
    assert_int_equal(s->kept.tier, s->fresh.tier);
    assert_ptr_equal(s->kept.body, s->fresh.body);
    assert_int_equal(s->kept.body_len, s->fresh.body_len);
}

/* A minute in steps that fall on both sides of every change, and back again, with ids of one length. No step falls on a change:
 * making an answer takes some of the scene's time. */
static void play_minute(struct scene *s)
{
    for (int64_t us = 1000 * SECOND + 330000; us < 1060 * SECOND; us += 50000)
        answer_at(s, us, us % 100000 == 30000 ? "id-of-the-1st" : "id-of-the-2nd");
    answer_at(s, 1030 * SECOND + 350000, "id-of-the-3rd");
    answer_at(s, 1030 * SECOND + 250000, "id-of-the-4th");
    answer_at(s, 1020 * SECOND + 350000, "id-of-the-5th");
}

static void test_kept_lines_are_those_that_would_be_made(void **state)
{
    static const struct {
        enum cache_encoding encoding;
        enum method method;
        bool shared;
        int64_t max_age_s;
    } cases[] = {{CACHE_GZIP, METHOD_GET, false, 0},     {CACHE_IDENTITY, METHOD_GET, false, 0},
                 {CACHE_GZIP, METHOD_HEAD, false, 0},    {CACHE_GZIP, METHOD_GET, true, 300},
                 {CACHE_IDENTITY, METHOD_GET, true, 20}, {CACHE_GZIP, METHOD_POST, false, 30}};

    (void)state;
    for
        EACH(cases)
        {
            struct scene s;

            begin_scene(&s);
            s.document.encoding = cases[i].encoding;
            s.request.method = cases[i].method;
            s.document.shared = cases[i].shared;
            s.document.max_age_s = cases[i].max_age_s;
            play_minute(&s);
            end_scene(&s);
        }
}

static void test_kept_lines_of_a_304(void **state)
{
    struct scene s;

    (void)state;
    begin_scene(&s);
    request_add_param(&s.request, "HTTP_IF_NONE_MATCH", 18, "\"0123456789abcdef0123456789abcdef-gzip\"", 39);
    answer_at(&s, 1030 * SECOND, "id-of-the-0th");
    assert_int_equal(s.kept.http_status, 304);
    play_minute(&s);
    memcpy(s.header.etag, "f", 1);
    answer_at(&s, 1020 * SECOND + 350000, "id-of-the-6th");
    assert_int_equal(s.kept.http_status, 200);
    end_scene(&s);
}

/* Each change alone, a moment after the lines were made, and back. */
static void test_lines_of_another_document_are_not_kept(void **state)
{
    enum { ETAG, COMPUTED, EXPIRES, UNTIL, ENCODING, SOURCE, CHANGES };
    struct scene s;

    (void)state;
    begin_scene(&s);
    for (int change = 0; change < CHANGES; change++) {
        struct cache_header header = s.header;
        struct http_document document = s.document;

        answer_at(&s, 1030 * SECOND + 350000, "one");
        switch (change) {
        case ETAG: s.header.etag[31] = '0'; break;
        case COMPUTED: s.header.computed_at.us -= 7 * SECOND; break;
        case EXPIRES: s.header.expires_at.us -= 7 * SECOND; break;
        case UNTIL: s.header.valid_until.us -= 7 * SECOND; break;
        case ENCODING: s.document.encoding = CACHE_IDENTITY; break;
        case SOURCE: s.document.source = SOURCE_REDIS; break;
        }
        answer_at(&s, 1030 * SECOND + 350000, "two");
        answer_at(&s, 1030 * SECOND + 360000, "3rd");
        s.header = header;
        s.document = document;
        answer_at(&s, 1030 * SECOND + 370000, "4th");
    }
    end_scene(&s);
}

static void test_lines_are_not_kept_over_another_answer(void **state)
{
    struct scene s;

    (void)state;
    begin_scene(&s);
    answer_at(&s, 1030 * SECOND + 350000, "one");
    response_problem(&s.kept, &s.request, 429, "too many", NULL, NULL);
    answer_at(&s, 1030 * SECOND + 360000, "two");
    end_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_gzip_follows_rfc9110),
        cmocka_unit_test(test_etag_matches_lists_weak_and_star),
        cmocka_unit_test(test_has_directive_ignores_case_and_neighbours),
        cmocka_unit_test(test_kept_lines_are_those_that_would_be_made),
        cmocka_unit_test(test_kept_lines_of_a_304),
        cmocka_unit_test(test_lines_of_another_document_are_not_kept),
        cmocka_unit_test(test_lines_are_not_kept_over_another_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
