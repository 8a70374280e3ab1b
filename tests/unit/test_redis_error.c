#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/redis.h"

static void test_redis_classify_error_by_its_first_word(void **state)
{
    static const struct {
        const char *text;
        enum redis_error_class error_class;
        enum status status;
    } cases[] = {
        {"LOADING Redis is loading", REDIS_ERROR_RECONNECT, STATUS_UNAVAILABLE},
        {"BUSY Redis is busy running a script", REDIS_ERROR_RETRY, STATUS_UNAVAILABLE},
        {"TRYAGAIN x", REDIS_ERROR_RETRY, STATUS_UNAVAILABLE},
        {"CLUSTERDOWN x", REDIS_ERROR_RETRY, STATUS_UNAVAILABLE},
        {"MASTERDOWN x", REDIS_ERROR_RECONNECT, STATUS_UNAVAILABLE},
        {"NOREPLICAS x", REDIS_ERROR_REFUSED, STATUS_UNAVAILABLE},
        {"READONLY You can't write", REDIS_ERROR_REDISCOVER, STATUS_UNAVAILABLE},
        {"MOVED 3999 127.0.0.1:6381", REDIS_ERROR_REDISCOVER, STATUS_UNAVAILABLE},
        {"ASK 3999 127.0.0.1:6381", REDIS_ERROR_REDISCOVER, STATUS_UNAVAILABLE},
        {"OOM command not allowed", REDIS_ERROR_REFUSED, STATUS_UNAVAILABLE},
        {"MISCONF x", REDIS_ERROR_REFUSED, STATUS_UNAVAILABLE},
        {"NOAUTH", REDIS_ERROR_AUTH, STATUS_UNAVAILABLE},
        {"WRONGPASS x", REDIS_ERROR_AUTH, STATUS_UNAVAILABLE},
        {"NOPERM x", REDIS_ERROR_AUTH, STATUS_UNAVAILABLE},
        {"NOSCRIPT x", REDIS_ERROR_SCRIPT, STATUS_NOT_FOUND},
        {"WRONGTYPE x", REDIS_ERROR_TYPE, STATUS_CONFLICT},
        {"IOERR x", REDIS_ERROR_RETRY, STATUS_UNAVAILABLE},
        {"UNBLOCKED force unblock", REDIS_ERROR_RECONNECT, STATUS_UNAVAILABLE},
        {"ERR max number of clients reached", REDIS_ERROR_RECONNECT, STATUS_UNAVAILABLE},
        {"EXECABORT Transaction discarded", REDIS_ERROR_REFUSED, STATUS_UNAVAILABLE},
        {"DENIED Redis is running in protected mode", REDIS_ERROR_AUTH, STATUS_UNAVAILABLE},
        {"ERR max number of clientele", REDIS_ERROR_BUG, STATUS_INTERNAL},
        {"LOADINGX", REDIS_ERROR_BUG, STATUS_INTERNAL},
        {"ERR unknown command", REDIS_ERROR_BUG, STATUS_INTERNAL},
        {"BUSYGROUP exists", REDIS_ERROR_BUG, STATUS_INTERNAL},
        {"CROSSSLOT x", REDIS_ERROR_BUG, STATUS_INTERNAL},
        {"OO", REDIS_ERROR_BUG, STATUS_INTERNAL},
        {"", REDIS_ERROR_BUG, STATUS_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (redis_classify_error(cases[i].text) != cases[i].error_class ||
            redis_error_status(cases[i].error_class) != cases[i].status)
            fail_msg("case %zu: '%s'", i, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_redis_classify_error_by_its_first_word)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
