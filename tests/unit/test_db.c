#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/db_internal.h"

static void test_sqlstate_status_by_what_the_caller_can_do(void **state)
{
    static const struct {
        const char *sqlstate;
        enum status status;
    } cases[] = {
        {"40001", STATUS_CONFLICT},    {"40P01", STATUS_CONFLICT},    {"55P03", STATUS_CONFLICT},
        {"26000", STATUS_CONFLICT},    {"57P01", STATUS_UNAVAILABLE}, {"57P03", STATUS_UNAVAILABLE},
        {"08006", STATUS_UNAVAILABLE}, {"25006", STATUS_UNAVAILABLE}, {"25P03", STATUS_UNAVAILABLE},
        {"57014", STATUS_TIMEOUT},     {"22012", STATUS_INVALID},     {"23505", STATUS_INVALID},
        {"42P01", STATUS_INVALID},     {"42501", STATUS_INVALID},     {"53200", STATUS_LIMIT},
        {"54000", STATUS_LIMIT},       {"XX000", STATUS_INTERNAL},    {"25P02", STATUS_INTERNAL},
        {"P0001", STATUS_INTERNAL},    {"", STATUS_INTERNAL},         {NULL, STATUS_UNAVAILABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (db_sqlstate_status(cases[i].sqlstate) != cases[i].status)
            fail_msg("case %zu: %s", i, status_name(db_sqlstate_status(cases[i].sqlstate)));
}

static void test_append_literal_quotes_everything(void **state)
{
    struct buf out = BUF_INIT;

    (void)state;
    db_append_literal(&out, "plain");
    db_append_literal(&out, "o'clock");
    db_append_literal(&out, "a\\'b");
    db_append_literal(&out, "");
    assert_string_equal(out.data, "'plain''o''clock'E'a\\\\''b'''");
    buf_release(&out);
}

static void test_append_text_array_quotes_everything(void **state)
{
    static const char *const texts[] = {"plain", "a\"b", "c\\d", "", "e,f}", "NULL"};
    struct buf out = BUF_INIT;

    (void)state;
    db_append_text_array(&out, 6, texts);
    assert_string_equal(out.data, "{\"plain\",\"a\\\"b\",\"c\\\\d\",\"\",\"e,f}\",\"NULL\"}");
    buf_clear(&out);
    db_append_text_array(&out, 0, NULL);
    assert_string_equal(out.data, "{}");
    buf_release(&out);
}

static void test_new_bad_url_is_refused_without_repeating_it(void **state)
{
    static const char *const urls[] = {"postgres//user:hunter2@host/db", "postgresql://user:hunter2%zz@host/db",
                                       "host=x hunter2", "nonsense=hunter2"};

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct db_options options = {.url = urls[i], .application_name = "test"};
        struct db *db = NULL;
        struct err err = {""};

        if (db_new(&options, &db, &err) != STATUS_INVALID || db != NULL || strstr(err.text, "hunter2") != NULL)
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void test_free_null_is_harmless(void **state)
{
    struct db_result *result = NULL;
    struct db *db = NULL;

    (void)state;
    db_free(&db);
    db_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlstate_status_by_what_the_caller_can_do),
        cmocka_unit_test(test_append_literal_quotes_everything),
        cmocka_unit_test(test_append_text_array_quotes_everything),
        cmocka_unit_test(test_new_bad_url_is_refused_without_repeating_it),
        cmocka_unit_test(test_free_null_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
