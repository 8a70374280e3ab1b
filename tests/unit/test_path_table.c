#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/path_table.h"

enum { NAMES = 64 };

/* Names of every length that the hash treats in its own way, many alike but for one byte, in a table without a slot to spare. */
static void test_find_of_many_names_in_a_full_table(void **state)
{
    static char names[NAMES][24], other[24] = "Azzzzz";
    struct name_slot slots[NAMES];
    struct name_table table;

    (void)state;
    name_table_init(&table, slots, NAMES);
    for (size_t i = 0; i < NAMES - 1; i++) {
        snprintf(names[i], sizeof names[i], "%.*s%c%.*s", (int)(i % 11), "AAAAAAAAAAA", (char)('!' + i), (int)(i % 7),
                 "zzzzzzz");
        name_table_add(&table, names[i], (int)i);
    }
    for (size_t i = 0; i < NAMES - 1; i++) {
        size_t len = strlen(names[i]);
        if (name_table_find(&table, names[i], len) != (int)i)
            fail_msg("'%s' is not found", names[i]);
        if (name_table_find(&table, names[i], len + 1) != -1 || name_table_find(&table, other, len) != -1)
            fail_msg("'%s': something longer, or something else, is found", names[i]);
    }
    assert_int_equal(name_table_find(&table, "", 0), -1);
    name_table_add(&table, names[5], 99);
    assert_int_equal(name_table_find(&table, names[5], strlen(names[5])), 5);
}

static void test_find_of_a_path(void **state)
{
    static const char *const paths[] = {"/api/a",       "/api/a/{x}",   "/api/a/b", "/api/{x}/c",
                                        "/api/{x}/{y}", "/api/a/{x}/d", "/"};
    static const struct {
        const char *path;
        int value;
    } cases[] = {
        {"/api/a", 0},   {"/api/a/b", 2},   {"/api/a/bb", 1},     {"/api/a/c", 1},   {"/api/b/c", 3},
        {"/api/b/d", 4}, {"/api/a/b/d", 5}, {"/api/a/", -1},      {"/api/a//d", -1}, {"/api//c", -1},
        {"/api", -1},    {"/api/a/b/", -1}, {"/api/a/b/e", -1},   {"/api/A", -1},    {"/", 6},
        {"", -1},        {"/api/a/{x}", 1}, {"/api/a/b/d/e", -1}, {"/api/b/c/", -1}, {"/api/a/b/dd", -1},
        {"/ap", -1},     {"/api/b", -1},    {"/api/b/cc", 4},     {"/apj/b/c", -1},
    };
    struct path_pattern patterns[7];
    struct name_slot slots[16];
    struct path_table table;

    (void)state;
    path_table_init(&table, slots, 16, patterns);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        path_table_add(&table, paths[i], (int)i);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (path_table_find(&table, cases[i].path) != cases[i].value)
            fail_msg("case %zu: '%s' is %d", i, cases[i].path, path_table_find(&table, cases[i].path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_of_many_names_in_a_full_table),
        cmocka_unit_test(test_find_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
