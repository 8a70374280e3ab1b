#include "fcgi/record.h"

#include <assert.h>
#include <string.h>

/* FastCGI specification 1.0, sections 3.3 and 8. */
enum {
    FCGI_BEGIN_REQUEST = 1,
    FCGI_ABORT_REQUEST = 2,
    FCGI_END_REQUEST = 3,
    FCGI_PARAMS = 4,
    FCGI_STDIN = 5,
    FCGI_STDOUT = 6,
    FCGI_DATA = 8,
    FCGI_GET_VALUES = 9,
    FCGI_GET_VALUES_RESULT = 10,
    FCGI_UNKNOWN_TYPE = 11,
};
enum { FCGI_REQUEST_COMPLETE, FCGI_CANT_MPX_CONN, FCGI_OVERLOADED, FCGI_UNKNOWN_ROLE };
enum { FCGI_RESPONDER = 1, FCGI_KEEP_CONN = 1 };

struct record {
    unsigned type;
    uint16_t id;
    const unsigned char *content;
    size_t content_len;
    size_t total_len; /* header and padding included */
};

void record_screen_reset(struct record_screen *s)
{
    memset(s, 0, sizeof(*s));
}

static void put_header(unsigned char *header, unsigned type, uint16_t id, size_t content_len, size_t padding_len)
{
    header[0] = 1;
    header[1] = (unsigned char)type;
    header[2] = (unsigned char)(id >> 8);
    header[3] = (unsigned char)id;
    header[4] = (unsigned char)(content_len >> 8);
    header[5] = (unsigned char)content_len;
    header[6] = (unsigned char)padding_len;
    header[7] = 0;
}

void record_stdout_header(unsigned char header[RECORD_HEADER_SIZE], uint16_t id, size_t content_len, size_t padding_len)
{
    assert(content_len <= RECORD_MAX_CONTENT && padding_len < 8);
    put_header(header, FCGI_STDOUT, id, content_len, padding_len);
}

static void put_end(unsigned char *record, uint16_t id, unsigned protocol_status)
{
    put_header(record, FCGI_END_REQUEST, id, 8, 0);
    memset(record + RECORD_HEADER_SIZE, 0, 8);
    record[RECORD_HEADER_SIZE + 4] = (unsigned char)protocol_status;
}

void record_end(unsigned char record[RECORD_END_SIZE], uint16_t id)
{
    put_end(record, id, FCGI_REQUEST_COMPLETE);
}

static void reply_end(struct record_screen *s, uint16_t id, unsigned protocol_status)
{
    put_end(s->reply, id, protocol_status);
    s->reply_len = RECORD_END_SIZE;
}

/* The record at `offset` when it is there to its last padding byte. */
static enum record_verdict take_record(const unsigned char *bytes, size_t len, size_t offset, struct record *r)
{
    if (len <= offset)
        return RECORD_PARTIAL;
    const unsigned char *h = bytes + offset;
    size_t there = len - offset;
    if (h[0] != 1)
        return RECORD_CLOSE;
    if (there < RECORD_HEADER_SIZE)
        return RECORD_PARTIAL;
    r->type = h[1];
    r->id = (uint16_t)(h[2] << 8 | h[3]);
    r->content_len = (size_t)(h[4] << 8 | h[5]);
    r->content = h + RECORD_HEADER_SIZE;
    r->total_len = RECORD_HEADER_SIZE + r->content_len + h[6];
    return there < r->total_len ? RECORD_PARTIAL : RECORD_REQUEST;
}

/* One length of a name-value pair; false: it is cut or absurd. */
static bool take_length(const unsigned char **p, const unsigned char *end, size_t *ret_length)
{
    if (*p == end)
        return false;
    if (**p < 0x80) {
        *ret_length = *(*p)++;
        return true;
    }
    if (end - *p < 4)
        return false;
    *ret_length = (size_t)((*p)[0] & 0x7f) << 24 | (size_t)(*p)[1] << 16 | (size_t)(*p)[2] << 8 | (*p)[3];
    *p += 4;
    return true;
}

static void add_value(struct record_screen *s, const char *name, size_t name_len, const char *value)
{
    size_t value_len = strlen(value);
    unsigned char *p = s->reply + s->reply_len;
    if (s->reply_len + 2 + name_len + value_len + 8 > sizeof(s->reply))
        return; /* asked for the same name over and over */
    *p++ = (unsigned char)name_len;
    *p++ = (unsigned char)value_len;
    memcpy(p, name, name_len);
    memcpy(p + name_len, value, value_len);
    s->reply_len += 2 + name_len + value_len;
}

/* Section 4.1. Only what is asked for and known is answered; we never multiplex. */
static bool answer_get_values(struct record_screen *s, const struct record *r)
{
    static const struct {
        const char *name, *value;
    } known[] = {{"FCGI_MAX_CONNS", "10000"}, {"FCGI_MAX_REQS", "10000"}, {"FCGI_MPXS_CONNS", "0"}};
    const unsigned char *p = r->content, *end = r->content + r->content_len;

    s->reply_len = RECORD_HEADER_SIZE;
    while (p < end) {
        size_t name_len, value_len;
        if (!take_length(&p, end, &name_len) || !take_length(&p, end, &value_len) || name_len > (size_t)(end - p) ||
            value_len > (size_t)(end - p) - name_len)
            return false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (name_len == strlen(known[i].name) && memcmp(p, known[i].name, name_len) == 0)
                add_value(s, known[i].name, name_len, known[i].value);
        p += name_len + value_len;
    }
    size_t content_len = s->reply_len - RECORD_HEADER_SIZE, padding = -content_len & 7;
    memset(s->reply + s->reply_len, 0, padding);
    s->reply_len += padding;
    put_header(s->reply, FCGI_GET_VALUES_RESULT, 0, content_len, padding);
    return true;
}

static enum record_verdict screen_management(struct record_screen *s, const struct record *r)
{
    if (r->type == FCGI_GET_VALUES)
        return answer_get_values(s, r) ? RECORD_EXTRACT : RECORD_CLOSE;
    if (r->type >= FCGI_BEGIN_REQUEST && r->type <= FCGI_DATA)
        return RECORD_CLOSE; /* application records need an id */
    put_header(s->reply, FCGI_UNKNOWN_TYPE, 0, 8, 0);
    memset(s->reply + RECORD_HEADER_SIZE, 0, 8);
    s->reply[RECORD_HEADER_SIZE] = (unsigned char)r->type;
    s->reply_len = RECORD_HEADER_SIZE + 8;
    return RECORD_EXTRACT;
}

static int role_of(const struct record *begin)
{
    return begin->content[0] << 8 | begin->content[1];
}

static enum record_verdict screen_begin(struct record_screen *s, const struct record *r)
{
    if (r->content_len != 8)
        return RECORD_CLOSE;
    bool keep = r->content[2] & FCGI_KEEP_CONN;
    if (s->state != SCREEN_BEGIN) {
        if (r->id == s->id)
            return RECORD_CLOSE;
        reply_end(s, r->id, FCGI_CANT_MPX_CONN);
        return RECORD_EXTRACT;
    }
    if (role_of(r) != FCGI_RESPONDER) {
        reply_end(s, r->id, FCGI_UNKNOWN_ROLE);
        s->close = !keep;
        return RECORD_EXTRACT;
    }
    s->id = r->id;
    s->keep = keep;
    s->state = SCREEN_PARAMS;
    return RECORD_PARTIAL;
}

static void length_done(struct record_screen *s)
{
    if (s->pair.at == PAIR_NAME_LENGTH) {
        s->pair.skip = s->pair.length;
        s->pair.at = PAIR_VALUE_LENGTH;
    } else {
        s->pair.skip += s->pair.length;
        s->pair.at = PAIR_BYTES;
        s->n_params++;
    }
    s->pair.length = 0;
}

/* One byte of a length: either the whole of it, or one of four with the top bit set in the first. */
static void feed_length(struct record_screen *s, unsigned char byte)
{
    if (s->pair.digits_left == 0) {
        s->pair.length = byte & 0x7f;
        if (byte & 0x80)
            s->pair.digits_left = 3;
        else
            length_done(s);
        return;
    }
    s->pair.length = s->pair.length << 8 | byte;
    if (--s->pair.digits_left == 0)
        length_done(s);
}

/* The bytes of the pair at hand when it lies there whole and its lengths are short, as nearly all do; else 0. */
static size_t short_pair(const unsigned char *bytes, size_t len)
{
    size_t size = len >= 2 ? 2 + (size_t)bytes[0] + bytes[1] : len + 1;

    return size <= len && ((bytes[0] | bytes[1]) & 0x80) == 0 ? size : 0;
}

/* Follows the pairs; libfcgi allocates what a length claims, so a claim over the limit ends the connection. */
static bool feed_params(struct record_screen *s, const unsigned char *bytes, size_t len, size_t max_params)
{
    size_t i = 0;
    for (;;) {
        if (s->pair.at == PAIR_BYTES) {
            size_t step = s->pair.skip < len - i ? (size_t)s->pair.skip : len - i;
            if (s->seeks_nul && step > 0 && memchr(bytes + i, 0, step))
                s->found_nul = true;
            i += step;
            s->pair.skip -= step;
            if (s->pair.skip > 0)
                return true;
            s->pair.at = PAIR_NAME_LENGTH;
        }
        if (s->pair.at == PAIR_NAME_LENGTH && s->pair.digits_left == 0 && !s->seeks_nul)
            for (size_t size; (size = short_pair(bytes + i, len - i)) > 0; i += size)
                s->n_params++;
        if (i == len)
            return true;
        feed_length(s, bytes[i++]);
        if (s->pair.skip > 16 * (uint64_t)max_params)
            return false;
    }
}

static enum record_verdict screen_params(struct record_screen *s, const struct record *r,
                                         const struct record_limits *limits)
{
    if (s->state != SCREEN_PARAMS)
        return RECORD_CLOSE;
    if (r->content_len == 0) {
        if (s->pair.at != PAIR_NAME_LENGTH || s->pair.digits_left > 0)
            return RECORD_CLOSE;
        s->state = SCREEN_STDIN;
        return RECORD_PARTIAL;
    }
    s->params_len += r->content_len;
    return feed_params(s, r->content, r->content_len, limits->max_params) ? RECORD_PARTIAL : RECORD_CLOSE;
}

static enum record_verdict screen_stdin(struct record_screen *s, const struct record *r,
                                        const struct record_limits *limits)
{
    if (s->state != SCREEN_STDIN)
        return RECORD_CLOSE;
    s->body_len += r->content_len;
    if (r->content_len > 0)
        return RECORD_PARTIAL;
    if (s->params_len > limits->max_params || s->n_params > RECORD_MAX_PARAMS)
        return RECORD_PARAMS_TOO_LARGE;
    return s->body_len > limits->max_body ? RECORD_BODY_TOO_LARGE : RECORD_REQUEST;
}

static enum record_verdict screen_record(struct record_screen *s, const struct record *r,
                                         const struct record_limits *limits)
{
    if (r->id == 0)
        return screen_management(s, r);
    if (r->type == 0 || r->type == FCGI_END_REQUEST || r->type == FCGI_STDOUT || r->type == FCGI_STDOUT + 1 ||
        r->type > FCGI_DATA)
        return RECORD_CLOSE; /* nothing a web server sends */
    if (r->type == FCGI_BEGIN_REQUEST)
        return screen_begin(s, r);
    if (s->state == SCREEN_BEGIN || r->id != s->id)
        return RECORD_EXTRACT; /* section 3.3: records of an id that is not active are ignored */
    if (r->type == FCGI_ABORT_REQUEST) {
        reply_end(s, r->id, FCGI_REQUEST_COMPLETE);
        return RECORD_ABORTED;
    }
    if (r->type == FCGI_PARAMS)
        return screen_params(s, r, limits);
    return r->type == FCGI_STDIN ? screen_stdin(s, r, limits) : RECORD_CLOSE;
}

enum record_verdict record_screen(struct record_screen *s, const unsigned char *bytes, size_t len,
                                  const struct record_limits *limits)
{
    s->reply_len = 0;
    s->extract_len = 0;
    s->close = false;
    for (;;) {
        struct record r;
        enum record_verdict verdict = take_record(bytes, len, s->offset, &r);
        if (verdict != RECORD_REQUEST)
            return verdict;
        s->odd_padding |= r.content_len == 0 && r.total_len > RECORD_HEADER_SIZE;
        verdict = screen_record(s, &r, limits);
        if (verdict == RECORD_EXTRACT)
            s->extract_len = r.total_len;
        else
            s->offset += r.total_len;
        if (verdict != RECORD_PARTIAL)
            return verdict;
    }
}

bool record_params_next_long(struct record_params *params, struct record_text *ret_name, struct record_text *ret_value)
{
    const unsigned char *p = params->at, *end = params->end;

    if (!take_length(&p, end, &ret_name->len) || !take_length(&p, end, &ret_value->len) ||
        ret_name->len > (size_t)(end - p) || ret_value->len > (size_t)(end - p) - ret_name->len)
        return false;
    ret_name->bytes = (const char *)p;
    ret_value->bytes = (const char *)p + ret_name->len;
    params->at = p + ret_name->len + ret_value->len;
    return true;
}

bool record_plain_open(const unsigned char *bytes, size_t len, struct record_plain *ret_plain)
{
    static const unsigned types[] = {FCGI_BEGIN_REQUEST, FCGI_PARAMS, FCGI_PARAMS, FCGI_STDIN};
    enum { BEGIN, PARAMS, PARAMS_END, STDIN_END, RECORDS };
    struct record r[RECORDS];
    size_t offset = 0;

    for (size_t i = 0; i < RECORDS; i++) {
        if (take_record(bytes, len, offset, &r[i]) != RECORD_REQUEST || r[i].type != types[i] || r[i].id != r[BEGIN].id)
            return false;
        offset += r[i].total_len;
    }
    if (offset != len || r[BEGIN].id == 0 || r[BEGIN].content_len != 8 || role_of(&r[BEGIN]) != FCGI_RESPONDER ||
        r[PARAMS].content_len == 0 || r[PARAMS_END].content_len > 0 || r[STDIN_END].content_len > 0)
        return false;
    *ret_plain = (struct record_plain){r[BEGIN].id,
                                       r[BEGIN].content[2] & FCGI_KEEP_CONN,
                                       {r[PARAMS].content, r[PARAMS].content + r[PARAMS].content_len}};
    return true;
}

bool record_params_hold_nul(const unsigned char *bytes, size_t len)
{
    struct record_screen at = {.seeks_nul = true};
    struct record r;

    while (!at.found_nul && take_record(bytes, len, at.offset, &r) == RECORD_REQUEST) {
        at.offset += r.total_len;
        if (r.type == FCGI_PARAMS && !feed_params(&at, r.content, r.content_len, UINT32_MAX))
            break;
    }
    return at.found_nul;
}

size_t record_strip_padding(unsigned char *bytes, size_t len)
{
    size_t from = 0, to = 0;

    while (from < len) {
        size_t keep = RECORD_HEADER_SIZE + (size_t)(bytes[from + 4] << 8 | bytes[from + 5]), padding = bytes[from + 6];
        memmove(bytes + to, bytes + from, keep);
        bytes[to + 6] = 0;
        to += keep;
        from += keep + padding;
    }
    return to;
}
