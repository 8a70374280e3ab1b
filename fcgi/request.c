#include "fcgi/request.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/name_table.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"

#define MAX_URI 16384
#define PARAM_SLOTS 64
_Static_assert(2 * REQUEST_PARAMS <= PARAM_SLOTS, "short searches");

static const char *const param_names[REQUEST_PARAMS] = {
    [PARAM_REQUEST_METHOD] = "REQUEST_METHOD",
    [PARAM_REQUEST_URI] = "REQUEST_URI",
    [PARAM_QUERY_STRING] = "QUERY_STRING",
    [PARAM_SCRIPT_NAME] = "SCRIPT_NAME",
    [PARAM_PATH_INFO] = "PATH_INFO",
    [PARAM_REMOTE_ADDR] = "REMOTE_ADDR",
    [PARAM_REMOTE_USER] = "REMOTE_USER",
    [PARAM_CONTENT_TYPE] = "CONTENT_TYPE",
    [PARAM_CONTENT_LENGTH] = "CONTENT_LENGTH",
    [PARAM_AUTHORIZATION] = "HTTP_AUTHORIZATION",
    [PARAM_ACCEPT] = "HTTP_ACCEPT",
    [PARAM_ACCEPT_ENCODING] = "HTTP_ACCEPT_ENCODING",
    [PARAM_CACHE_CONTROL] = "HTTP_CACHE_CONTROL",
    [PARAM_IF_NONE_MATCH] = "HTTP_IF_NONE_MATCH",
    [PARAM_IF_MODIFIED_SINCE] = "HTTP_IF_MODIFIED_SINCE",
    [PARAM_ORIGIN] = "HTTP_ORIGIN",
    [PARAM_COOKIE] = "HTTP_COOKIE",
    [PARAM_X_CSRF_TOKEN] = "HTTP_X_CSRF_TOKEN",
    [PARAM_X_REQUEST_ID] = "HTTP_X_REQUEST_ID",
    [PARAM_WEBHOOK_ID] = "HTTP_WEBHOOK_ID",
    [PARAM_WEBHOOK_TIMESTAMP] = "HTTP_WEBHOOK_TIMESTAMP",
    [PARAM_WEBHOOK_SIGNATURE] = "HTTP_WEBHOOK_SIGNATURE",
};
static struct name_table params_by_name;

static void fill_params_by_name(void)
{
    static struct name_slot slots[PARAM_SLOTS];

    name_table_fill(&params_by_name, slots, PARAM_SLOTS, REQUEST_PARAMS, param_names);
}

static const struct name_table *known_params(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_params_by_name);
    return &params_by_name;
}

void request_init(struct request *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->text);
    buf_init(&r->body);
    request_clear(r);
}

void request_release(struct request *r)
{
    buf_release(&r->text);
    buf_release(&r->body);
}

void request_clear(struct request *r)
{
    buf_clear(&r->text);
    buf_append_char(&r->text, '\0'); /* offset 0 is nobody's */
    buf_clear(&r->body);
    memset(r->params, 0, sizeof(r->params));
    r->repeated = NULL;
    r->holds_nul = false;
    r->cors = CORS_OFF;
    r->method = METHOD_OTHER;
    r->path = 0;
    r->n_query = 0;
    r->id[0] = '\0';
}

void request_arrive(struct request *r)
{
    r->arrived_at = clock_now();
    r->arrived_us = clock_monotonic_us();
}

static uint32_t add_text(struct request *r, const char *text, size_t len)
{
    uint32_t offset = (uint32_t)r->text.len;
    buf_append(&r->text, text, len);
    buf_append_char(&r->text, '\0');
    return offset;
}

/* A value of ours that lies in the text. */
static void take_value(struct request *r, int param, uint32_t offset, const char *value, size_t len)
{
    if (r->params[param])
        r->repeated = param_names[param];
    if (len > 0 && memchr(value, '\0', len))
        r->holds_nul = true;
    r->params[param] = offset;
}

void request_add_param(struct request *r, const char *name, size_t name_len, const char *value, size_t value_len)
{
    int param = name_table_find(known_params(), name, name_len);

    if (param >= 0)
        take_value(r, param, add_text(r, value, value_len), value, value_len);
}

/* The byte behind a value, where the next pair begins, makes room for its NUL in the copy. */
bool request_add_params(struct request *r, struct record_params params)
{
    const struct name_table *known = known_params();
    const char *bytes = (const char *)params.at;
    uint32_t base = add_text(r, bytes, (size_t)(params.end - params.at));
    struct record_text name, value;
    size_t n = 0;

    for (; record_params_next(&params, &name, &value); n++) {
        int param = name_table_find(known, name.bytes, name.len);
        uint32_t offset = base + (uint32_t)(value.bytes - bytes);
        if (param < 0 || r->text.failed)
            continue;
        take_value(r, param, offset, value.bytes, value.len);
        r->text.data[offset + value.len] = '\0';
    }
    return params.at == params.end && n <= RECORD_MAX_PARAMS;
}

static const char *text_at(const struct request *r, uint32_t offset)
{
    return offset ? r->text.data + offset : NULL;
}

const char *request_param(const struct request *r, enum request_param param)
{
    return text_at(r, r->params[param]);
}

const char *request_path(const struct request *r)
{
    return text_at(r, r->path);
}

const char *request_query_name(const struct request *r, size_t i)
{
    return text_at(r, r->query[i].name);
}

const char *request_query_value(const struct request *r, size_t i)
{
    return text_at(r, r->query[i].value);
}

static bool is_plain_id(const char *id)
{
    size_t len = strlen(id);
    return len >= 1 && len < REQUEST_ID_SIZE &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

/* Unique on this machine for as long as anybody looks for it: a counter over the time of the first
 * request and the process, mixed so that neighbours look different. Eleven characters instead of sixteen hexadecimal digits: every
 * web server and client reads them one by one. */
static void make_id(char text[12])
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._";
    static _Atomic uint64_t base, next;
    uint64_t seed = atomic_load_explicit(&base, memory_order_relaxed);
    if (seed == 0) {
        uint64_t fresh = ((uint64_t)clock_now().us ^ (uint64_t)getpid() << 48) | 1;
        if (atomic_compare_exchange_strong(&base, &seed, fresh))
            seed = fresh;
    }
    uint64_t n = seed + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    n ^= n >> 30;
    n *= UINT64_C(0xbf58476d1ce4e5b9);
    n ^= n >> 27;
    n *= UINT64_C(0x94d049bb133111eb);
    n ^= n >> 31;
    for (size_t i = 0; i < 11; i++, n >>= 6)
        text[i] = alphabet[n & 63];
    text[11] = '\0';
}

static void take_id(struct request *r)
{
    const char *given = request_param(r, PARAM_X_REQUEST_ID);
    if (given && is_plain_id(given))
        memcpy(r->id, given, strlen(given) + 1);
    else
        make_id(r->id);
}

void request_arrive_again(struct request *r)
{
    request_arrive(r);
    take_id(r);
}

static enum method parse_method(const char *text)
{
    if (!text)
        return METHOD_OTHER;
    if (strcmp(text, "GET") == 0)
        return METHOD_GET;
    if (strcmp(text, "HEAD") == 0)
        return METHOD_HEAD;
    if (strcmp(text, "OPTIONS") == 0)
        return METHOD_OPTIONS;
    if (strcmp(text, "DELETE") == 0)
        return METHOD_DELETE;
    if (strcmp(text, "PUT") == 0)
        return METHOD_PUT;
    return strcmp(text, "POST") == 0 ? METHOD_POST : METHOD_OTHER;
}

static bool has_control_bytes(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}

/* A piece of the text by position, for a pointer would not survive the buffer's growth. */
struct span {
    size_t start, len;
};

/* Whether it is what it stands for, as nearly every text in a URI is: printable ASCII without '%' and '+'. */
static bool is_plain(const char *text, size_t len)
{
    static const bool plain[256] = {[' ' ... '$'] = true, ['&' ... '*'] = true, [',' ... '~'] = true};
    size_t i = 0;

    while (i < len && plain[(unsigned char)text[i]])
        i++;
    return i == len;
}

/* Appends the decoded text of a span; refuses what is not UTF-8 or holds control characters. */
static enum status add_decoded(struct request *r, struct span span, bool plus_is_space, uint32_t *ret_offset)
{
    uint32_t offset = (uint32_t)r->text.len;

    if (!buf_reserve(&r->text, span.len + 1)) /* so that the source does not move while it is read */
        return STATUS_NO_MEMORY;
    if (is_plain(r->text.data + span.start, span.len)) {
        *ret_offset = add_text(r, r->text.data + span.start, span.len);
        return STATUS_OK;
    }
    enum status status = percent_decode(r->text.data + span.start, span.len, plus_is_space, &r->text);
    if (status != STATUS_OK)
        return status;
    const char *decoded = r->text.data + offset;
    size_t decoded_len = r->text.len - offset;
    if (!utf8_is_valid(decoded, decoded_len) || has_control_bytes(decoded, decoded_len))
        return STATUS_INVALID;
    buf_append_char(&r->text, '\0');
    *ret_offset = offset;
    return STATUS_OK;
}

static enum status parse_pair(struct request *r, struct span pair, struct err *err)
{
    const char *text = r->text.data + pair.start;
    const char *equals = memchr(text, '=', pair.len);
    size_t name_len = equals ? (size_t)(equals - text) : pair.len;
    size_t value_start = equals ? name_len + 1 : pair.len;
    uint32_t name, value;

    if (r->n_query == REQUEST_MAX_QUERY)
        return err_fail(err, STATUS_INVALID, "there are more than %d query parameters", REQUEST_MAX_QUERY);
    enum status status = add_decoded(r, (struct span){pair.start, name_len}, true, &name);
    if (status == STATUS_OK)
        status = add_decoded(r, (struct span){pair.start + value_start, pair.len - value_start}, true, &value);
    if (status != STATUS_OK)
        return err_fail(err, status, "the query string is not properly encoded UTF-8");
    r->query[r->n_query].name = name;
    r->query[r->n_query].value = value;
    r->n_query++;
    return STATUS_OK;
}

static enum status parse_query(struct request *r, struct span query, struct err *err)
{
    size_t i = 0;
    while (i < query.len) {
        const char *start = r->text.data + query.start + i;
        const char *amp = memchr(start, '&', query.len - i);
        size_t len = amp ? (size_t)(amp - start) : query.len - i;
        if (len > 0) {
            enum status status = parse_pair(r, (struct span){query.start + i, len}, err);
            if (status != STATUS_OK)
                return status;
        }
        i += len + 1;
    }
    return STATUS_OK;
}

/* An absolute URI (RFC 9112, 3.2.2) is cut down to its path. */
static size_t skip_authority(const char *uri)
{
    if (*uri == '/')
        return 0;
    const char *after = strncmp(uri, "http://", 7) == 0 ? uri + 7 : strncmp(uri, "https://", 8) == 0 ? uri + 8 : NULL;
    const char *slash = after ? strchr(after, '/') : NULL;
    return slash ? (size_t)(slash - uri) : 0;
}

static void append_param(struct request *r, enum request_param param)
{
    size_t len = r->params[param] ? strlen(request_param(r, param)) : 0;
    if (len > 0 && buf_reserve(&r->text, len))
        buf_append(&r->text, request_param(r, param), len);
}

/* From a web server that sends no REQUEST_URI: SCRIPT_NAME and PATH_INFO, which it has decoded. */
static enum status join_path(struct request *r)
{
    r->path = (uint32_t)r->text.len;
    append_param(r, PARAM_SCRIPT_NAME);
    append_param(r, PARAM_PATH_INFO);
    buf_append_char(&r->text, '\0');
    return buf_status(&r->text);
}

static enum status parse_path(struct request *r, struct span *ret_query, struct err *err)
{
    const char *uri = request_param(r, PARAM_REQUEST_URI);
    enum status status;

    if (uri) {
        if (strlen(uri) > MAX_URI)
            return err_fail(err, STATUS_LIMIT, "the URI is longer than %d bytes", MAX_URI);
        size_t start = r->params[PARAM_REQUEST_URI] + skip_authority(uri);
        const char *path = r->text.data + start, *end = strchrnul(path, '#');
        const char *mark = memchr(path, '?', (size_t)(end - path));
        if (mark)
            *ret_query = (struct span){(size_t)(mark + 1 - r->text.data), (size_t)(end - mark - 1)};
        status = add_decoded(r, (struct span){start, (size_t)((mark ? mark : end) - path)}, false, &r->path);
    } else {
        status = join_path(r);
    }
    if (status != STATUS_OK || r->text.data[r->path] != '/')
        return err_fail(err, STATUS_INVALID, "the path is not properly encoded UTF-8 that begins with '/'");
    return STATUS_OK;
}

/* A body shorter or longer than announced was cut on its way, or is not what was sent. */
static enum status check_body(const struct request *r, struct err *err)
{
    const char *text = request_param(r, PARAM_CONTENT_LENGTH);
    int64_t announced = 0;
    if (text && *text && parse_int64(text, 0, INT64_MAX, &announced) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "Content-Length is not a number");
    if (text && *text && (uint64_t)announced != r->body.len)
        return err_fail(err, STATUS_INVALID, "the body has %zu bytes, Content-Length says %lld", r->body.len,
                        (long long)announced);
    return STATUS_OK;
}

enum status request_parse(struct request *r, struct err *err)
{
    struct span query = {0, 0};

    take_id(r);
    r->method = parse_method(request_param(r, PARAM_REQUEST_METHOD));
    if (buf_status(&r->text) != STATUS_OK || buf_status(&r->body) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (r->repeated)
        return err_fail(err, STATUS_INVALID, "%s was sent twice", r->repeated);
    if (r->holds_nul) /* what is read of it would not be what was sent */
        return err_fail(err, STATUS_INVALID, "a parameter holds a NUL byte");
    const char *query_string = request_param(r, PARAM_QUERY_STRING);
    if (query_string)
        query = (struct span){r->params[PARAM_QUERY_STRING], strlen(query_string)};
    enum status status = parse_path(r, &query, err);
    if (status == STATUS_OK)
        status = parse_query(r, query, err);
    if (status == STATUS_OK)
        status = check_body(r, err);
    return status;
}
