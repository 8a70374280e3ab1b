#include <setjmp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A server of our own, which is paused, killed and started again. */
#include "lib/base/clock.h"
#include "lib/store/redis.h"
#include "tests/support/assert_status.h"

static char dir[64], url[128], socket_path[96];
static pid_t server;

/* load_delay_us: of each key that is loaded. */
static void start_with(const char *load_delay_us)
{
    server = fork();
    if (server == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "", "--dir",
                     dir, "--requirepass", "p@ss", "--enable-debug-command", "yes", "--key-load-delay", load_delay_us,
                     "--loading-process-events-interval-bytes", "1024", (char *)NULL);
        _exit(127);
    }
    assert_true(server > 0);
}

static void start(void)
{
    start_with("0");
}

static void stop(void)
{
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
    }
    server = 0;
}

static struct redis *open_with(const char *url_, int64_t timeout_ms)
{
    struct redis *redis = NULL;
    struct err err = {0};

    OK(redis_new(&(struct redis_options){.url = url_, .client_name = "test", .timeout_ms = timeout_ms}, &redis, &err));
    return redis;
}

/* Fails only after ten seconds; how soon it must be is asserted nowhere. */
static void await_connection(struct redis *redis)
{
    int64_t deadline_ms = clock_monotonic_ms() + 10000;
    struct err err = {0};

    while (redis_connect(redis, &err) != STATUS_OK) {
        if (clock_monotonic_ms() > deadline_ms)
            fail_msg("never connected: %s", err.text);
        (void)usleep(10000);
    }
}

static int set_up_group(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/test_redis.XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(socket_path, sizeof socket_path, "%s/s", dir);
    (void)snprintf(url, sizeof url, "unix://:p%%40ss@%s?db=3", socket_path);
    start();
    return 0;
}

static int tear_down_group(void **state)
{
    char path[96];

    (void)state;
    stop();
    (void)unlink(socket_path);
    (void)snprintf(path, sizeof path, "%s/dump.rdb", dir);
    (void)unlink(path);
    return rmdir(dir);
}

static void test_connect_sets_up_database_name_and_instance(void **state)
{
    struct redis *redis = open_with(url, 2000);
    const struct redis_reply *reply;
    struct err err = {0};
    size_t len;

    (void)state;
    await_connection(redis);
    assert_int_equal(strlen(redis_instance(redis)), REDIS_INSTANCE_SIZE - 1);
    OK(redis_command(redis, &reply, &err, "CLIENT", "INFO", NULL));
    assert_non_null(strstr(redis_reply_bytes(reply, &len), "name=test"));
    assert_non_null(strstr(redis_reply_bytes(reply, &len), " db=3 "));
    OK(redis_heartbeat(redis, &err));
    assert_false(redis_has_replicas(redis));
    redis_free(&redis);
    redis_free(&redis);
}

static void test_connect_with_a_wrong_password_says_so(void **state)
{
    char wrong[128];
    struct redis *redis;
    struct err err = {0};

    (void)state;
    (void)snprintf(wrong, sizeof wrong, "unix://:secret@%s", socket_path);
    redis = open_with(wrong, 2000);
    assert_int_equal(redis_connect(redis, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "WRONGPASS"));
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(redis_connect(redis, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "next attempt"));
    redis_free(&redis);
}

static void test_new_refuses_bad_urls(void **state)
{
    struct redis *redis = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(redis_new(&(struct redis_options){.url = "h", .client_name = "t", .timeout_ms = 1}, &redis, &err),
                     STATUS_INVALID);
    assert_null(redis);
}

static void test_flush_of_a_long_pipeline_does_not_deadlock(void **state)
{
    enum { N = 200, SIZE = 200000 };
    struct redis *redis = open_with(url, 20000);
    char *big = malloc(SIZE);
    const char *const argv[] = {"ECHO", big};
    const size_t lengths[] = {4, SIZE};
    struct err err = {0};
    size_t len;

    (void)state;
    assert_non_null(big);
    memset(big, 'x', SIZE);
    await_connection(redis);
    for (int i = 0; i < N; i++)
        redis_append(redis, 2, argv, lengths);
    OK(redis_flush(redis, &err));
    for (size_t i = 0; i < N; i++) {
        assert_memory_equal(redis_reply_bytes(redis_reply_at(redis, i), &len), big, SIZE);
        assert_int_equal(len, SIZE);
    }
    free(big);
    redis_free(&redis);
}

static void test_flush_keeps_error_replies_in_their_places(void **state)
{
    struct redis *redis = open_with(url, 2000);
    struct err err = {0};

    (void)state;
    await_connection(redis);
    redis_append_words(redis, "SET", "k", "v", NULL);
    redis_append_words(redis, "LPUSH", "k", "v", NULL);
    redis_append_words(redis, "GET", "absent", NULL);
    OK(redis_flush(redis, &err));
    assert_int_equal(redis_reply_type_of(redis_reply_at(redis, 0)), REDIS_STATUS);
    assert_int_equal(redis_reply_error_class(redis_reply_at(redis, 1)), REDIS_ERROR_TYPE);
    assert_int_equal(redis_reply_type_of(redis_reply_at(redis, 2)), REDIS_NIL);
    redis_free(&redis);
}

static void test_flush_to_a_paused_server_times_out_and_no_late_reply_is_taken(void **state)
{
    struct redis *redis = open_with(url, 100);
    const struct redis_reply *reply;
    struct err err = {0};
    size_t len;

    (void)state;
    await_connection(redis);
    assert_int_equal(kill(server, SIGSTOP), 0);
    assert_int_equal(redis_command(redis, &reply, &err, "ECHO", "late", NULL), STATUS_TIMEOUT);
    assert_false(redis_is_connected(redis));
    assert_int_equal(redis_socket(redis), -1);
    assert_int_equal(redis_connect(redis, &err), STATUS_UNAVAILABLE);
    assert_int_equal(kill(server, SIGCONT), 0);
    await_connection(redis);
    OK(redis_command(redis, &reply, &err, "ECHO", "fresh", NULL));
    assert_string_equal(redis_reply_bytes(reply, &len), "fresh");
    redis_free(&redis);
}

static void test_flush_after_client_kill_fails_then_connects_anew_at_once(void **state)
{
    struct redis *redis = open_with(url, 2000), *killer = open_with(url, 2000);
    const struct redis_reply *reply;
    struct err err = {0};

    (void)state;
    await_connection(redis);
    await_connection(killer);
    OK(redis_command(killer, &reply, &err, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL));
    assert_int_equal(redis_command(redis, &reply, &err, "PING", NULL), STATUS_UNAVAILABLE);
    OK(redis_command(redis, &reply, &err, "PING", NULL));
    redis_free(&redis);
    redis_free(&killer);
}

static void test_flush_repeatable_after_client_kill_succeeds_on_a_new_connection(void **state)
{
    struct redis *redis = open_with(url, 2000), *killer = open_with(url, 2000);
    const struct redis_reply *reply;
    struct err err = {0};
    size_t len;

    (void)state;
    await_connection(redis);
    await_connection(killer);
    OK(redis_command(killer, &reply, &err, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL));
    redis_append_words(redis, "ECHO", "one", NULL);
    redis_append_words(redis, "ECHO", "two", NULL);
    OK(redis_flush_repeatable(redis, &err));
    assert_string_equal(redis_reply_bytes(redis_reply_at(redis, 0), &len), "one");
    assert_string_equal(redis_reply_bytes(redis_reply_at(redis, 1), &len), "two");
    assert_int_equal(strlen(redis_instance(redis)), REDIS_INSTANCE_SIZE - 1);
    redis_free(&redis);
    redis_free(&killer);
}

/* The connection dies under the command itself, again and again: it is sent twice, no more. */
static void test_flush_repeatable_gives_up_after_the_second_time(void **state)
{
    struct redis *redis = open_with(url, 2000), *counter = open_with(url, 2000);
    struct err err = {0};
    size_t len;

    (void)state;
    await_connection(redis);
    await_connection(counter);
    redis_append_words(redis, "INCR", "sent", NULL);
    redis_append_words(redis, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no", NULL);
    redis_append_words(redis, "QUIT", NULL);
    redis_append_words(redis, "ECHO", "never", NULL);
    assert_int_equal(redis_flush_repeatable(redis, &err), STATUS_UNAVAILABLE);
    redis_append_words(counter, "GET", "sent", NULL); /* it was killed as well */
    OK(redis_flush_repeatable(counter, &err));
    assert_string_equal(redis_reply_bytes(redis_reply_at(counter, 0), &len), "2");
    assert_int_equal(redis_connect(redis, &err), STATUS_UNAVAILABLE); /* twice in a row opens the breaker */
    redis_free(&redis);
    redis_free(&counter);
}

static struct redis *open_sharing(struct breaker *breaker, bool probes)
{
    struct redis_options options = {
        .url = url, .client_name = "test", .timeout_ms = 100, .breaker = breaker, .probes = probes};
    struct redis *redis = NULL;
    struct err err = {0};

    OK(redis_new(&options, &redis, &err));
    return redis;
}

/* Of those who share a breaker one loses a time-out, the others nothing; only the prober finds out about the end. */
static void test_a_shared_breaker_spares_the_others_a_silent_server(void **state)
{
    struct breaker_options options = {.first_pause_ms = 1, .last_pause_ms = 1};
    struct breaker *breaker = NULL;
    const struct redis_reply *reply;
    struct err err = {0};

    (void)state;
    OK(breaker_new(&options, &breaker, &err));
    struct redis *one = open_sharing(breaker, false), *other = open_sharing(breaker, false),
                 *prober = open_sharing(breaker, true);
    await_connection(one);
    await_connection(other);
    assert_int_equal(kill(server, SIGSTOP), 0);
    assert_int_equal(redis_command(one, &reply, &err, "PING", NULL), STATUS_TIMEOUT);
    for (int i = 0; i < 100; i++)
        assert_int_equal(redis_command(other, &reply, &err, "PING", NULL), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "next attempt"));
    assert_int_equal(kill(server, SIGCONT), 0);
    (void)usleep(2000); /* over the pause */
    assert_int_equal(redis_command(other, &reply, &err, "PING", NULL), STATUS_UNAVAILABLE);
    await_connection(prober);
    OK(redis_command(other, &reply, &err, "PING", NULL));
    OK(redis_command(one, &reply, &err, "PING", NULL));
    redis_free(&one);
    redis_free(&other);
    redis_free(&prober);
    breaker_free(&breaker);
}

/* What opened the breaker was the trouble of others; the prober's own connection is as good as ever. */
static void test_a_prober_with_a_good_connection_closes_the_breaker(void **state)
{
    struct breaker_options options = {.first_pause_ms = 1, .last_pause_ms = 1};
    struct breaker *breaker = NULL;
    struct err err = {0};

    (void)state;
    OK(breaker_new(&options, &breaker, &err));
    struct redis *other = open_sharing(breaker, false), *prober = open_sharing(breaker, true);
    await_connection(prober);
    breaker_fail(breaker, BREAKER_REFUSED, "broke twice", clock_monotonic_ms());
    assert_int_equal(redis_connect(other, &err), STATUS_UNAVAILABLE);
    await_connection(prober);
    assert_int_equal(breaker_state(breaker), BREAKER_CLOSED);
    OK(redis_connect(other, &err));
    redis_free(&other);
    redis_free(&prober);
    breaker_free(&breaker);
}

/* It answers INFO all the while. */
static void test_a_server_that_loads_its_data_is_down(void **state)
{
    struct redis *redis = open_with(url, 2000);
    const struct redis_reply *reply;
    struct err err = {0};
    int64_t deadline_ms = clock_monotonic_ms() + 10000;

    (void)state;
    await_connection(redis);
    OK(redis_command(redis, &reply, &err, "FLUSHALL", NULL));
    OK(redis_command(redis, &reply, &err, "DEBUG", "POPULATE", "2000", NULL));
    OK(redis_command(redis, &reply, &err, "SAVE", NULL));
    stop();
    redis_disconnect(redis);
    start_with("1000");
    while (strstr(err.text, "loading") == NULL) {
        if (redis_connect(redis, &err) == STATUS_OK || clock_monotonic_ms() > deadline_ms)
            fail_msg("it was not seen loading: %s", err.text);
        (void)usleep(1000);
    }
    await_connection(redis);
    OK(redis_command(redis, &reply, &err, "DBSIZE", NULL));
    assert_int_equal(redis_reply_integer(reply), 2000);
    OK(redis_command(redis, &reply, &err, "FLUSHALL", NULL));
    redis_free(&redis);
}

static void test_instance_changes_with_a_restart(void **state)
{
    struct redis *redis = open_with(url, 2000);
    char before[REDIS_INSTANCE_SIZE];
    struct err err = {0};

    (void)state;
    await_connection(redis);
    memcpy(before, redis_instance(redis), sizeof before);
    stop();
    assert_int_equal(redis_heartbeat(redis, &err), STATUS_UNAVAILABLE);
    assert_string_equal(redis_instance(redis), "");
    start();
    await_connection(redis);
    assert_string_not_equal(redis_instance(redis), before);
    redis_free(&redis);
}

static const char *next_message(struct redis *redis, int64_t wait_ms)
{
    const struct redis_reply *reply;
    struct err err = {0};
    size_t len;

    OK(redis_receive(redis, clock_monotonic_ms() + wait_ms, &reply, &err));
    assert_int_equal(redis_reply_length(reply), 3);
    return redis_reply_bytes(
        redis_reply_element(reply, redis_reply_type_of(redis_reply_element(reply, 2)) == REDIS_STRING ? 2 : 0), &len);
}

static void test_receive_takes_messages_until_the_connection_ends(void **state)
{
    struct redis *subscriber = open_with(url, 2000), *other = open_with(url, 2000);
    const struct redis_reply *reply;
    struct err err = {0};

    (void)state;
    await_connection(other);
    assert_int_equal(redis_receive(subscriber, 0, &reply, &err), STATUS_UNAVAILABLE);
    redis_append_words(subscriber, "SUBSCRIBE", "news", NULL);
    OK(redis_send(subscriber, &err));
    assert_string_equal(next_message(subscriber, 10000), "subscribe");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(redis_receive(subscriber, clock_monotonic_ms() + 10, &reply, &err), STATUS_TIMEOUT);
        assert_true(redis_is_connected(subscriber));
        redis_append_words(other, "PUBLISH", "news", "first", NULL);
        redis_append_words(other, "PUBLISH", "news", "second", NULL);
        OK(redis_flush(other, &err));
        assert_string_equal(next_message(subscriber, 10000), "first");
        assert_string_equal(next_message(subscriber, 10000), "second");
    }
    OK(redis_command(other, &reply, &err, "CLIENT", "KILL", "TYPE", "pubsub", NULL));
    assert_int_equal(redis_receive(subscriber, clock_monotonic_ms() + 10000, &reply, &err), STATUS_UNAVAILABLE);
    assert_false(redis_is_connected(subscriber));
    redis_free(&subscriber);
    redis_free(&other);
}

/* Six megabytes do not fit between the two: the server is stopped with the message partly read. */
static void test_receive_of_a_message_in_parts_keeps_them_over_a_time_out(void **state)
{
    struct redis *subscriber = open_with(url, 2000), *other = open_with(url, 2000);
    const struct redis_reply *reply = NULL;
    static char payload[6 * 1024 * 1024];
    enum status status = STATUS_TIMEOUT;
    struct err err = {0};
    size_t len;

    (void)state;
    memset(payload, 'x', sizeof payload - 1);
    await_connection(other);
    redis_append_words(subscriber, "SUBSCRIBE", "news", NULL);
    OK(redis_send(subscriber, &err));
    assert_string_equal(next_message(subscriber, 10000), "subscribe");
    OK(redis_command(other, &reply, &err, "PUBLISH", "news", payload, NULL));
    assert_int_equal(poll(&(struct pollfd){.fd = redis_socket(subscriber), .events = POLLIN}, 1, 10000), 1);
    assert_int_equal(kill(server, SIGSTOP), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(redis_receive(subscriber, clock_monotonic_ms() + 10, &reply, &err), STATUS_TIMEOUT);
    assert_int_equal(kill(server, SIGCONT), 0);
    while (status == STATUS_TIMEOUT)
        status = redis_receive(subscriber, clock_monotonic_ms() + 10000, &reply, &err);
    OK(status);
    assert_int_equal(redis_reply_length(reply), 3);
    assert_string_equal(redis_reply_bytes(redis_reply_element(reply, 0), &len), "message");
    assert_string_equal(redis_reply_bytes(redis_reply_element(reply, 1), &len), "news");
    assert_string_equal(redis_reply_bytes(redis_reply_element(reply, 2), &len), payload);
    redis_free(&subscriber);
    redis_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_sets_up_database_name_and_instance),
        cmocka_unit_test(test_connect_with_a_wrong_password_says_so),
        cmocka_unit_test(test_new_refuses_bad_urls),
        cmocka_unit_test(test_flush_of_a_long_pipeline_does_not_deadlock),
        cmocka_unit_test(test_flush_keeps_error_replies_in_their_places),
        cmocka_unit_test(test_flush_to_a_paused_server_times_out_and_no_late_reply_is_taken),
        cmocka_unit_test(test_flush_after_client_kill_fails_then_connects_anew_at_once),
        cmocka_unit_test(test_flush_repeatable_after_client_kill_succeeds_on_a_new_connection),
        cmocka_unit_test(test_flush_repeatable_gives_up_after_the_second_time),
        cmocka_unit_test(test_a_shared_breaker_spares_the_others_a_silent_server),
        cmocka_unit_test(test_a_prober_with_a_good_connection_closes_the_breaker),
        cmocka_unit_test(test_receive_takes_messages_until_the_connection_ends),
        cmocka_unit_test(test_receive_of_a_message_in_parts_keeps_them_over_a_time_out),
        cmocka_unit_test(test_a_server_that_loads_its_data_is_down),
        cmocka_unit_test(test_instance_changes_with_a_restart),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
