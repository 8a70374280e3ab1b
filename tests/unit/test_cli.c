#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/cli.h"

struct parsed {
    bool all, help;
    const char *as_of;
    struct cli_list users;
    struct err err;
    enum status status;
};

/* `words` ends with NULL. */
static struct parsed parse(const char *const *words)
{
    struct parsed p = {0};
    const struct cli_option options[] = {
        {"--all", CLI_FLAG, {.flag = &p.all}},
        {"--as-of", CLI_TEXT, {.text = &p.as_of}},
        {"--user", CLI_LIST, {.list = &p.users}},
    };
    static char memory[16][64]; /* the values point into it after the return */
    char *argv[16];
    int argc = 0;

    for (; words[argc] != NULL; argc++) {
        assert_true(argc < 16 && strlen(words[argc]) < 64);
        argv[argc] = strcpy(memory[argc], words[argc]);
    }
    p.status = cli_parse("prog job", argc, argv, options, 3, &p.help, &p.err);
    return p;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void test_cli_parse_fills_targets(void **state)
{
    struct parsed p = PARSE("--user", "ann", "--all", "--user=bob=x", "--as-of=2025-01-01T00:00:00Z");

    (void)state;
    assert_int_equal(p.status, STATUS_OK);
    assert_true(p.all);
    assert_string_equal(p.as_of, "2025-01-01T00:00:00Z");
    assert_int_equal(p.users.n, 2);
    assert_string_equal(p.users.values[0], "ann");
    assert_string_equal(p.users.values[1], "bob=x");
    cli_list_release(&p.users);
    assert_int_equal(p.users.n, 0);
}

static void test_cli_parse_help_wins(void **state)
{
    struct parsed p = PARSE("--all", "--help", "--nonsense");

    (void)state;
    assert_int_equal(p.status, STATUS_OK);
    assert_true(p.help);
}

/* Every refusal says what to do. */
static void test_cli_parse_refuses(void **state)
{
    static const struct {
        const char *words[4];
        const char *text;
    } cases[] = {
        {{"--al"}, "unknown option '--al'; see 'prog job --help'"},
        {{"--allx"}, "unknown option '--allx'; see 'prog job --help'"},
        {{"ann"}, "unknown argument 'ann'; see 'prog job --help'"},
        {{"--all=yes"}, "--all takes no value; write it alone"},
        {{"--user"}, "--user needs a value; see 'prog job --help'"},
        {{"--user="}, "--user needs a value; see 'prog job --help'"},
        {{"--as-of=a", "--as-of", "b"}, "--as-of is given twice; give it once"},
        {{""}, "unknown argument ''; see 'prog job --help'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p = parse(cases[i].words);

        assert_int_equal(p.status, STATUS_INVALID);
        assert_string_equal(p.err.text, cases[i].text);
        cli_list_release(&p.users);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_parse_fills_targets),
        cmocka_unit_test(test_cli_parse_help_wins),
        cmocka_unit_test(test_cli_parse_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
