/* Everything in a FastCGI record may be hostile. The screen must keep its offsets inside the input and judge alike
 * whether the bytes come at once or in two pieces; what it lets pass must be readable by libfcgi and parse without harm. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/record.h"
#include "fcgi/request_reader.h"
#include "fcgi/session_cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct record_limits limits = {4096, 4096};

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* libfcgi hands out NAME=VALUE strings, so names with '=' or NUL differ by nature. */
static bool has_odd_name(const uint8_t *data, size_t len)
{
    struct record_plain plain;
    struct record_text name, value;

    if (record_plain_open(data, len, &plain))
        while (record_params_next(&plain.params, &name, &value))
            if (memchr(name.bytes, '=', name.len) || memchr(name.bytes, 0, name.len))
                return true;
    return false;
}

/* What is parsed in place must be what libfcgi makes of it. */
static void compare_plain(const uint8_t *data, size_t len, const struct request *parsed)
{
    struct record_plain found;
    struct request plain;

    request_init(&plain);
    if (record_plain_open(data, len, &found) && request_read_plain(&found, &limits, &plain) && !has_odd_name(data, len))
        for (int i = 0; i < REQUEST_PARAMS; i++)
            assert(same(request_param(&plain, (enum request_param)i), request_param(parsed, (enum request_param)i)));
    request_release(&plain);
}

/* What is taken for a plain request is to the screen a whole one of the same id without a body. */
static void check_plain(const uint8_t *data, size_t size, const struct record_screen *whole,
                        enum record_verdict verdict)
{
    struct record_plain found;
    struct request plain;

    request_init(&plain);
    if (record_plain_open(data, size, &found) && request_read_plain(&found, &limits, &plain))
        assert(verdict == RECORD_REQUEST && whole->offset == size && whole->body_len == 0 && whole->id == found.id &&
               whole->keep == found.keep);
    else
        assert(plain.text.len == 1 && !plain.repeated);
    request_release(&plain);
}

/* What the session's cookie is found to be lies within the header, begins where the cookie does, and fits an id's form only with an
 * id's length. */
static void check_cookie(const struct request *request)
{
    const char *cookies = request_param(request, PARAM_COOKIE), *value = NULL;
    size_t len = 0;

    if (!cookies || cookie_find(cookies, "s", &value, &len) != STATUS_OK)
        return;
    assert(value >= cookies + 2 && value + len <= cookies + strlen(cookies) && memcmp(value - 2, "s=", 2) == 0);
    assert(!memchr(value, ';', len) && (value == cookies + 2 || strchr("; \t", value[-3])));
    if (session_id_is_plausible(value, len)) {
        char name[SESSION_NAME_SIZE];

        session_name_of(value, name);
        assert(len == SESSION_ID_LEN && strlen(name) == SESSION_NAME_LEN);
    }
}

static void read_request(const uint8_t *data, size_t len, size_t body_len)
{
    unsigned char *copy = malloc(len);
    struct request request;
    struct err err;

    if (!copy)
        return;
    memcpy(copy, data, len);
    request_init(&request);
    size_t stripped = record_strip_padding(copy, len);
    enum status status = request_read_bytes(copy, stripped, body_len, &request, &err);
    assert(status == STATUS_OK);
    assert(request.body.len == body_len);
    compare_plain(data, len, &request);
    check_cookie(&request);
    status = request_parse(&request, &err);
    assert(request.id[0] && (status != STATUS_OK || request_path(&request)[0] == '/'));
    request_release(&request);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct record_screen whole, pieces;
    struct err err;

    if (!ready && request_reader_init(&err) != STATUS_OK)
        abort();
    ready = true;
    record_screen_reset(&whole);
    enum record_verdict verdict = record_screen(&whole, data, size, &limits);
    assert(whole.offset + whole.extract_len <= size && whole.reply_len <= RECORD_REPLY_SIZE);

    record_screen_reset(&pieces);
    enum record_verdict first = record_screen(&pieces, data, size / 2, &limits);
    if (first == RECORD_PARTIAL)
        first = record_screen(&pieces, data, size, &limits);
    assert(first == verdict && pieces.offset == whole.offset && pieces.body_len == whole.body_len);

    check_plain(data, size, &whole, verdict);
    if (verdict == RECORD_REQUEST)
        read_request(data, whole.offset, whole.body_len);
    return 0;
}
