#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

/* A TLS server of our own, with certificates that the openssl command makes. */
#include "lib/base/clock.h"
#include "lib/store/redis.h"
#include "tests/support/assert_status.h"

static char dir[64], url[64], ca[96], other_ca[96];
static char port[8];
static pid_t server;

static void run_in_dir(const char *command)
{
    char line[1024];

    (void)snprintf(line, sizeof line, "cd %s && %s >/dev/null 2>&1", dir, command);
    if (system(line) != 0)
        fail_msg("%s", line);
}

/* A socket that listens on loopback; its port is the caller's for as long as it stays open. */
static int listen_on_free_port(char text[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 1) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(text, 8, "%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

static void start_server(const char *certificate, const char *key)
{
    close(listen_on_free_port(port));
    server = fork();
    if (server == 0) {
        if (chdir(dir) != 0 || freopen("/dev/null", "w", stdout) == NULL)
            _exit(126);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save",
                     "", "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", "ca.crt",
                     "--tls-auth-clients", "no", "--requirepass", "p@ss", (char *)NULL);
        _exit(127);
    }
    assert_true(server > 0);
    (void)snprintf(url, sizeof url, "rediss://:p%%40ss@127.0.0.1:%s", port);
}

static void stop_server(void)
{
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
    }
    server = 0;
}

static struct redis *make(const char *ca_file, int64_t timeout_ms)
{
    struct redis *redis = NULL;
    struct err err = {""};

    OK(redis_new(
        &(struct redis_options){.url = url, .tls_ca = ca_file, .client_name = "test", .timeout_ms = timeout_ms}, &redis,
        &err));
    return redis;
}

/* Until the server is up; its refusal to connect is told from every other failure. */
static enum status connect_patiently(struct redis *redis, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + 10000;
    enum status status;

    do
        status = redis_connect(redis, err);
    while (status != STATUS_OK && clock_monotonic_ms() < until_ms &&
           (strstr(err->text, "refused") != NULL || strstr(err->text, "next attempt") != NULL) && usleep(10000) == 0);
    return status;
}

static int prepare(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/test_redis_tls.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    run_in_dir("openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ours");
    run_in_dir("openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -days 2 -subj /CN=others");
    run_in_dir("openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server");
    run_in_dir(
        "printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' >here.ext; printf 'subjectAltName=DNS:example.org' >there.ext");
    run_in_dir(
        "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile here.ext -out here.crt");
    run_in_dir(
        "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile there.ext -out there.crt");
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    (void)snprintf(other_ca, sizeof other_ca, "%s/other.crt", dir);
    return 0;
}

static int clean_up(void **state)
{
    char line[96];

    (void)state;
    stop_server();
    (void)snprintf(line, sizeof line, "rm -rf %s", dir);
    return system(line);
}

static int end_test(void **state)
{
    (void)state;
    stop_server();
    return 0;
}

/* Values far beyond a TLS record (16 kB) in both directions at once. */
static void test_connection_carries_large_values(void **state)
{
    enum { N = 20, SIZE = 700001 };
    char *big = malloc(SIZE + 1), key[16];
    struct redis *redis;
    struct err err = {""};

    (void)state;
    start_server("here.crt", "server.key");
    redis = make(ca, 20000);
    OK(connect_patiently(redis, &err));
    assert_int_equal(strlen(redis_instance(redis)), 40);
    for (size_t i = 0; i < SIZE; i++)
        big[i] = (char)('a' + i % 23);
    big[SIZE] = '\0';
    for (int i = 0; i < N; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        redis_append_words(redis, "SET", key, big, NULL);
        redis_append_words(redis, "GET", key, NULL);
    }
    OK(redis_flush(redis, &err));
    for (size_t i = 0; i < N; i++) {
        size_t len;
        const char *bytes = redis_reply_bytes(redis_reply_at(redis, 2 * i + 1), &len);

        assert_int_equal(len, SIZE);
        assert_memory_equal(bytes, big, SIZE);
    }
    OK(redis_heartbeat(redis, &err));
    redis_free(&redis);
    free(big);
}

static void test_name_of_the_certificate_is_checked(void **state)
{
    struct redis *redis;
    struct err err = {""};

    (void)state;
    start_server("there.crt", "server.key");
    redis = make(ca, 5000);
    assert_int_equal(connect_patiently(redis, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "not trusted: IP address mismatch"));
    redis_free(&redis);
    (void)snprintf(url, sizeof url, "rediss://:p%%40ss@localhost:%s", port);
    redis = make(ca, 5000);
    assert_int_equal(connect_patiently(redis, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "not trusted: hostname mismatch"));
    redis_free(&redis);
}

static void test_name_of_a_good_certificate_is_accepted(void **state)
{
    struct redis *redis;
    struct err err = {""};

    (void)state;
    start_server("here.crt", "server.key");
    (void)snprintf(url, sizeof url, "rediss://:p%%40ss@localhost:%s", port);
    redis = make(ca, 5000);
    OK(connect_patiently(redis, &err));
    redis_free(&redis);
}

static void test_unknown_signer_is_refused(void **state)
{
    const char *const trusted[] = {other_ca, ""}; /* "": the system's, which do not know ours either */
    struct err err = {""};

    (void)state;
    start_server("here.crt", "server.key");
    for (size_t i = 0; i < 2; i++) {
        struct redis *redis = make(trusted[i], 5000);

        assert_int_equal(connect_patiently(redis, &err), STATUS_UNAVAILABLE);
        assert_non_null(strstr(err.text, "its certificate is not trusted"));
        assert_null(strstr(err.text, "p@ss"));
        redis_free(&redis);
    }
}

static void test_killed_server_is_noticed(void **state)
{
    const struct redis_reply *reply;
    struct redis *redis;
    struct err err = {""};

    (void)state;
    start_server("here.crt", "server.key");
    redis = make(ca, 5000);
    OK(connect_patiently(redis, &err));
    stop_server();
    assert_int_equal(redis_command(redis, &reply, &err, "PING", NULL), STATUS_UNAVAILABLE);
    assert_false(redis_is_connected(redis));
    redis_free(&redis);
}

/* A peer that accepts and says nothing costs one time-out. */
static void test_silent_peer_is_a_time_out(void **state)
{
    char silent[8];
    int fd = listen_on_free_port(silent);
    struct redis *redis;
    struct err err = {""};

    (void)state;
    (void)snprintf(url, sizeof url, "rediss://127.0.0.1:%s", silent);
    redis = make(ca, 200);
    assert_int_equal(redis_connect(redis, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the TLS handshake took too long"));
    redis_free(&redis);
    close(fd);
}

static void test_new_refuses_an_unusable_ca_file(void **state)
{
    struct redis *redis = NULL;
    struct err err = {""};
    char key[96];

    (void)state;
    (void)snprintf(key, sizeof key, "%s/server.key", dir);
    const char *const files[] = {"/tmp/there/is/no/such/file", key};
    for (size_t i = 0; i < 2; i++) {
        struct redis_options options = {.url = "rediss://h", .tls_ca = files[i], .client_name = "t", .timeout_ms = 1};

        assert_int_equal(redis_new(&options, &redis, &err), STATUS_INVALID);
        assert_non_null(strstr(err.text, files[i]));
    }
    assert_null(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_connection_carries_large_values, end_test),
        cmocka_unit_test_teardown(test_name_of_the_certificate_is_checked, end_test),
        cmocka_unit_test_teardown(test_name_of_a_good_certificate_is_accepted, end_test),
        cmocka_unit_test_teardown(test_unknown_signer_is_refused, end_test),
        cmocka_unit_test_teardown(test_killed_server_is_noticed, end_test),
        cmocka_unit_test_teardown(test_silent_peer_is_a_time_out, end_test),
        cmocka_unit_test_teardown(test_new_refuses_an_unusable_ca_file, end_test),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as both programs do */
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
