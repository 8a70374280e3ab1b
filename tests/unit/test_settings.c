#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/settings.h"

static char directory[] = "/tmp/test_settings.XXXXXX";
static char path[64];

static void write_file(const char *name, const char *text)
{
    char file_path[128];
    FILE *file;

    (void)snprintf(file_path, sizeof file_path, "%s/%s", directory, name);
    file = fopen(file_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int start(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/conf", directory);
    return 0;
}

static int stop(void **state)
{
    static const char *const names[] = {"conf", "secret", "JWT_SECRET"};
    char file_path[128];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(file_path, sizeof file_path, "%s/%s", directory, names[i]);
        (void)unlink(file_path);
    }
    return rmdir(directory);
}

/* An environment with nothing but the file. */
static int clean(void **state)
{
    (void)state;
    if (clearenv() != 0 || setenv("PNLCACHE_CONF", path, 1) != 0)
        return -1;
    write_file("conf", "");
    return 0;
}

static struct settings *load(void)
{
    struct settings *s = NULL;
    struct err err = {""};

    if (settings_load(&s, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    return s;
}

static void assert_refused(const char *expected)
{
    struct settings *s = NULL;
    struct err err = {""};

    assert_int_equal(settings_load(&s, &err), STATUS_INVALID);
    assert_null(s);
    if (strstr(err.text, expected) == NULL)
        fail_msg("'%s' does not hold '%s'", err.text, expected);
}

static void test_settings_load_nothing_given_gives_defaults(void **state)
{
    struct settings *s = load();

    (void)state;
    assert_int_equal(s->cache_ttl_analytics_s, 900);
    assert_int_equal(s->max_body, 262144);
    assert_true(s->cache_enabled);
    assert_string_equal(s->log_level, "info");
    assert_string_equal(s->jwt_secret, "");
    settings_free(&s);
    assert_null(s);
    settings_free(&s);
}

static void test_settings_load_environment_overrides_file_overrides_default(void **state)
{
    struct settings *s;

    (void)state;
    write_file("conf", "THREADS=3\nMISS_THREADS=5\nLOG_LEVEL='debug'\nMAX_BODY=1m\nCACHE_ENABLED=off\n");
    assert_int_equal(setenv("THREADS", "7", 1), 0);
    assert_int_equal(setenv("LOG_LEVEL", "", 1), 0); /* empty: not given */
    s = load();
    assert_int_equal(s->threads, 7);
    assert_int_equal(s->miss_threads, 5);
    assert_string_equal(s->log_level, "debug");
    assert_int_equal(s->max_body, 1048576);
    assert_false(s->cache_enabled);
    settings_free(&s);
}

static void test_settings_load_bad_value_names_setting_value_and_expectation(void **state)
{
    static const struct {
        const char *line, *expected;
    } cases[] = {
        {"THREADS=0", "setting THREADS: '0' is not a whole number from 1 to 256"},
        {"THREADS=two", "setting THREADS: 'two' is not a whole number"},
        {"THREADS=2k", "setting THREADS: '2k' is not"},
        {"CACHE_TTL_ANALYTICS=1.5",
         "setting CACHE_TTL_ANALYTICS: '1.5' is not a whole number from 1 to 604800 seconds"},
        {"MAX_BODY=99999999999999g", "setting MAX_BODY: '99999999999999g' is not"},
        {"CACHE_ENABLED=maybe", "setting CACHE_ENABLED: 'maybe' is not true or false"},
        {"LOG_LEVEL=loud", "setting LOG_LEVEL: 'loud' is not error, warn, info or debug"},
        {"AUTH_MODE=none", "setting AUTH_MODE: 'none' is not a list of jwt, session and remote_user"},
        {"KEY_PREFIX=a{b", "setting KEY_PREFIX: 'a{b' is not"},
        {"LISTEN_MODE=rw", "setting LISTEN_MODE: 'rw' is not an octal mode"},
        {"\nTHREAD=2", "conf:2: there is no setting 'THREAD'"},
        {"THREADS_FILE=/x", "there is no setting 'THREADS_FILE'"},
        {"JWT_SECRET=a\nJWT_SECRET_FILE=/x", "JWT_SECRET and JWT_SECRET_FILE are both set"},
        {"JWT_SECRET_FILE=/nowhere/x", "setting JWT_SECRET_FILE: cannot read /nowhere/x"},
        {"UPSTASH_REDIS_URL=https://h", "UPSTASH_REDIS_URL is set without UPSTASH_REDIS_TOKEN"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(clean(state), 0);
        write_file("conf", cases[i].line);
        assert_refused(cases[i].expected);
    }
}

static void test_settings_load_secret_from_file_and_credential(void **state)
{
    char file_path[128];
    struct settings *s;

    (void)state;
    write_file("secret", "from the file\n");
    write_file("JWT_SECRET", "from the credential");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
    s = load();
    assert_string_equal(s->jwt_secret, "from the credential");
    settings_free(&s);

    (void)snprintf(file_path, sizeof file_path, "%s/secret", directory);
    assert_int_equal(setenv("JWT_SECRET_FILE", file_path, 1), 0);
    s = load();
    assert_string_equal(s->jwt_secret, "from the file");
    settings_free(&s);
}

static void test_settings_load_missing_named_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(setenv("PNLCACHE_CONF", "/nowhere/pnlcache.conf", 1), 0);
    assert_refused("cannot read /nowhere/pnlcache.conf: No such file");
}

static void test_settings_load_other_spellings_of_the_redis_url(void **state)
{
    static const struct {
        const char *text, *url;
    } cases[] = {
        {"REDIS_PRIVATE_URL=redis://a:1/2", "redis://a:1/2"},
        {"REDIS_PRIVATE_URL=redis://a\nREDIS_URL=redis://b", "redis://b"},
        {"UPSTASH_REDIS_URL=https://eu-1.example.org\nUPSTASH_REDIS_TOKEN=t/k",
         "rediss://default:t%2Fk@eu-1.example.org:6379"},
        {"UPSTASH_REDIS_URL=redis://u:p@h:6380/0\nUPSTASH_REDIS_TOKEN=t", "rediss://default:t@h:6380"},
        {"UPSTASH_REDIS_REST_URL=https://h/\nUPSTASH_REDIS_REST_TOKEN=t", "rediss://default:t@h:6379"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings *s;

        assert_int_equal(clean(state), 0);
        write_file("conf", cases[i].text);
        s = load();
        assert_string_equal(s->redis_url, cases[i].url);
        settings_free(&s);
    }
}

static void test_settings_append_effective_hides_secrets(void **state)
{
    struct buf out = BUF_INIT;
    struct settings *s;

    (void)state;
    write_file("conf", "JWT_SECRET=very-secret-thing\nTHREADS=4\n");
    s = load();
    settings_append_effective(s, &out);
    assert_non_null(strstr(out.data, "JWT_SECRET=(set)\n"));
    assert_non_null(strstr(out.data, "WEBHOOK_SECRETS=(not set)\n"));
    assert_non_null(strstr(out.data, "THREADS=4\n"));
    assert_null(strstr(out.data, "very-secret-thing"));
    settings_free(&s);
    buf_release(&out);
}

static void test_settings_append_differences_names_all_but_the_excepted(void **state)
{
    static const char *const except[] = {"JWT_SECRET", "LOG_LEVEL", NULL};
    struct settings *before, *after;
    struct buf out = BUF_INIT;

    (void)state;
    write_file("conf", "JWT_SECRET=0123456789abcdef0123456789abcdef\n");
    before = load();
    settings_append_differences(before, before, except, &out);
    assert_int_equal(out.len, 0);
    write_file("conf",
               "JWT_SECRET=another-one-0123456789abcdef0123\nLOG_LEVEL=debug\nREDIS_URL=unix:///tmp/other.sock\n"
               "THREADS=4\nCACHE_ENABLED=false\n");
    after = load();
    settings_append_differences(before, after, except, &out);
    assert_int_equal(buf_status(&out), STATUS_OK);
    assert_string_equal(out.data, "REDIS_URL THREADS CACHE_ENABLED");
    settings_free(&before);
    settings_free(&after);
    buf_release(&out);
}

/* The example, its comment signs before the settings removed, must load and give the defaults. */
static void test_settings_append_example_uncommented_loads(void **state)
{
    struct buf out = BUF_INIT;
    struct settings *s, *defaults = load();
    char *line, *rest;

    (void)state;
    settings_append_example(&out);
    assert_int_equal(buf_status(&out), STATUS_OK);
    for (line = out.data; (rest = strchr(line, '\n')) != NULL; line = rest + 1)
        if (line[0] == '#' && line[1] >= 'A' && line[1] <= 'Z' && memchr(line, '=', (size_t)(rest - line)) != NULL)
            line[0] = ' ';
    write_file("conf", out.data);
    s = load();
    assert_string_equal(s->database_url, defaults->database_url);
    assert_int_equal(s->outbox_poll_ms, defaults->outbox_poll_ms);
    settings_free(&s);
    settings_free(&defaults);
    buf_release(&out);
}

static void test_settings_append_file_loads_to_the_same_set(void **state)
{
    struct settings *first, *second;
    struct buf text = BUF_INIT;
    struct err err = {{0}};

    (void)state;
    assert_int_equal(setenv("DATABASE_URL", "host=/a b\\c user='$x`\"' #", 1), 0);
    assert_int_equal(setenv("JWT_SECRET", "line one\n  line two \\", 1), 0);
    assert_int_equal(setenv("KEY_PREFIX", "p:", 1), 0);
    assert_int_equal(setenv("CACHE_ENABLED", "no", 1), 0);
    assert_int_equal(setenv("MAX_BODY", "64k", 1), 0);
    assert_int_equal(settings_load(&first, &err), STATUS_OK);
    settings_append_file(first, &text);
    assert_int_equal(clean(NULL), 0);
    write_file("conf", text.data);
    if (settings_load(&second, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    assert_string_equal(second->database_url, first->database_url);
    assert_string_equal(second->jwt_secret, first->jwt_secret);
    assert_string_equal(second->key_prefix, "p:");
    assert_false(second->cache_enabled);
    assert_int_equal(second->max_body, 65536);
    assert_string_equal(second->listen_group, "");
    settings_free(&first);
    settings_free(&second);
    buf_release(&text);
}

static void test_settings_is_name_knows_settings_spellings_and_secrets_files(void **state)
{
    (void)state;
    assert_true(settings_is_name("REDIS_URL=x", 9));
    assert_true(settings_is_name("REDIS_URL_FILE", 14));
    assert_true(settings_is_name("UPSTASH_REDIS_REST_TOKEN", 24));
    assert_false(settings_is_name("LOG_LEVEL_FILE", 14));
    assert_false(settings_is_name("REDIS_URL=x", 11));
    assert_false(settings_is_name("PATH", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_settings_load_nothing_given_gives_defaults, clean),
        cmocka_unit_test_setup(test_settings_load_environment_overrides_file_overrides_default, clean),
        cmocka_unit_test_setup(test_settings_load_bad_value_names_setting_value_and_expectation, clean),
        cmocka_unit_test_setup(test_settings_load_secret_from_file_and_credential, clean),
        cmocka_unit_test_setup(test_settings_load_missing_named_file_is_refused, clean),
        cmocka_unit_test_setup(test_settings_load_other_spellings_of_the_redis_url, clean),
        cmocka_unit_test_setup(test_settings_append_effective_hides_secrets, clean),
        cmocka_unit_test_setup(test_settings_append_differences_names_all_but_the_excepted, clean),
        cmocka_unit_test_setup(test_settings_append_example_uncommented_loads, clean),
        cmocka_unit_test_setup(test_settings_append_file_loads_to_the_same_set, clean),
        cmocka_unit_test_setup(test_settings_is_name_knows_settings_spellings_and_secrets_files, clean),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
