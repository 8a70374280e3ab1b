/* OK(call): fails the test with the call, its status and the text in the local `struct err err`. */
#ifndef PNLCACHE_TESTS_SUPPORT_ASSERT_STATUS_H
#define PNLCACHE_TESTS_SUPPORT_ASSERT_STATUS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/err.h"

#define OK(call) assert_ok((call), &err, #call)

static inline void assert_ok(enum status status, const struct err *err, const char *call)
{
    if (status != STATUS_OK)
        fail_msg("%s: %s: %s", call, status_name(status), err->text);
}

#endif
