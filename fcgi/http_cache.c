#include "fcgi/http_cache.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"

#define SPACES " \t"

/* The next element of a comma-separated list, trimmed; false at the end. */
static bool next_element(const char **cursor, const char **ret_start, size_t *ret_len)
{
    const char *p = *cursor;
    p += strspn(p, SPACES ",");
    if (!*p)
        return false;
    size_t len = strcspn(p, ",");
    *cursor = p + len;
    while (len > 0 && strchr(SPACES, p[len - 1]))
        len--;
    *ret_start = p;
    *ret_len = len;
    return true;
}

/* "q=0", "q=0.000": refused; an absent or unreadable weight counts as acceptance only when well-formed. */
enum weight { WEIGHT_ZERO, WEIGHT_POSITIVE, WEIGHT_MALFORMED };

static enum weight parse_weight(const char *text, size_t len)
{
    while (len > 0 && strchr(SPACES, *text))
        text++, len--;
    if (len < 3 || (text[0] != 'q' && text[0] != 'Q') || text[1] != '=' || (text[2] != '0' && text[2] != '1'))
        return WEIGHT_MALFORMED;
    if (len > 7 || (len > 3 && text[3] != '.'))
        return WEIGHT_MALFORMED;
    bool positive = text[2] == '1';
    for (size_t i = 4; i < len; i++) {
        if (text[i] < '0' || text[i] > (text[2] == '1' ? '0' : '9'))
            return WEIGHT_MALFORMED;
        positive = positive || text[i] != '0';
    }
    return positive ? WEIGHT_POSITIVE : WEIGHT_ZERO;
}

static bool is_word(const char *start, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(start, word, len) == 0;
}

bool http_accepts_gzip(const char *accept_encoding)
{
    const char *start;
    size_t len;
    bool any = false, named = false, gzip = false;

    if (!accept_encoding)
        return false;
    while (next_element(&accept_encoding, &start, &len)) {
        const char *semicolon = memchr(start, ';', len);
        size_t name_len = semicolon ? (size_t)(semicolon - start) : len;
        enum weight weight = semicolon ? parse_weight(semicolon + 1, len - name_len - 1) : WEIGHT_POSITIVE;
        while (name_len > 0 && strchr(SPACES, start[name_len - 1]))
            name_len--;
        if (weight == WEIGHT_MALFORMED)
            continue;
        if (is_word(start, name_len, "gzip") || is_word(start, name_len, "x-gzip")) {
            gzip = weight == WEIGHT_POSITIVE;
            named = true;
        } else if (is_word(start, name_len, "*")) {
            any = weight == WEIGHT_POSITIVE;
        }
    }
    return named ? gzip : any;
}

/* How specific a media range that covers the type is; 0: it does not. */
static int range_rank(const char *range, size_t len, const char *type)
{
    size_t family_len = strcspn(type, "/") + 1;

    if (is_word(range, len, type))
        return 3;
    if (len == family_len + 1 && range[len - 1] == '*' && strncasecmp(range, type, family_len) == 0)
        return 2;
    return is_word(range, len, "*/*");
}

/* The weight among an element's parameters; without one it counts fully. */
static enum weight find_weight(const char *params, size_t len)
{
    enum weight weight = WEIGHT_POSITIVE;

    while (len > 0) { /* at a semicolon */
        const char *end = memchr(params + 1, ';', len - 1);
        size_t param_len = end ? (size_t)(end - params) : len, blanks = 1 + strspn(params + 1, SPACES);
        if (param_len > blanks + 1 && (params[blanks] == 'q' || params[blanks] == 'Q') && params[blanks + 1] == '=')
            weight = parse_weight(params + blanks, param_len - blanks);
        params += param_len;
        len -= param_len;
    }
    return weight;
}

bool http_accepts_type(const char *accept, const char *type)
{
    const char *start;
    size_t len;
    int best = 0;
    bool accepted = !accept || !accept[strspn(accept, SPACES ",")];

    while (accept && next_element(&accept, &start, &len)) {
        const char *semicolon = memchr(start, ';', len);
        size_t range_len = semicolon ? (size_t)(semicolon - start) : len;
        enum weight weight = semicolon ? find_weight(semicolon, len - range_len) : WEIGHT_POSITIVE;
        while (range_len > 0 && strchr(SPACES, start[range_len - 1]))
            range_len--;
        int rank = range_rank(start, range_len, type);
        if (weight == WEIGHT_MALFORMED || rank <= best)
            continue;
        best = rank;
        accepted = weight == WEIGHT_POSITIVE;
    }
    return accepted;
}

bool http_is_json(const char *content_type)
{
    static const char expected[] = "application/json";
    size_t len = sizeof(expected) - 1;

    if (!content_type || strncasecmp(content_type, expected, len) != 0)
        return false;
    return content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ';
}

bool http_etag_matches(const char *if_none_match, const char *etag)
{
    size_t etag_len = strlen(etag);
    const char *p = if_none_match + strspn(if_none_match, SPACES);

    if (*p == '*')
        return p[1 + strspn(p + 1, SPACES)] == '\0';
    /* Not by next_element(): an entity tag may hold commas. */
    while (*p) {
        p += strspn(p, SPACES ",");
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        if (*p != '"')
            return false;
        const char *end = strchr(p + 1, '"');
        if (!end)
            return false;
        size_t len = (size_t)(end + 1 - p);
        if (len == etag_len && memcmp(p, etag, len) == 0)
            return true;
        p = end + 1;
        p += strspn(p, SPACES);
        if (*p && *p != ',')
            return false;
    }
    return false;
}

bool http_has_directive(const char *cache_control, const char *directive)
{
    const char *start;
    size_t len;

    while (cache_control && next_element(&cache_control, &start, &len))
        if (is_word(start, len, directive))
            return true;
    return false;
}

#define ETAG_SIZE 48
/* "\"<hash>\"" or "\"<hash>-gzip\"". */
static void format_etag(const struct cache_header *header, bool gzip, char etag[ETAG_SIZE])
{
    static const char tail[] = "-gzip\"";
    size_t hash_len = sizeof(header->etag) - 1, skip = gzip ? 0 : sizeof(tail) - 2;

    etag[0] = '"';
    memcpy(etag + 1, header->etag, hash_len);
    memcpy(etag + 1 + hash_len, tail + skip, sizeof(tail) - skip);
}

static int64_t whole_seconds(int64_t us)
{
    return us > 0 ? us / US_PER_SECOND : 0;
}

static bool is_not_modified(const struct request *request, const char *etag, struct instant modified)
{
    const char *if_none_match = request_param(request, PARAM_IF_NONE_MATCH);
    const char *since_text = request_param(request, PARAM_IF_MODIFIED_SINCE);
    struct instant since;

    if (request->method != METHOD_GET && request->method != METHOD_HEAD)
        return false;
    if (if_none_match && *if_none_match)
        return http_etag_matches(if_none_match, etag);
    if (!since_text || instant_parse_http(since_text, &since) != STATUS_OK)
        return false;
    return whole_seconds(modified.us) <= whole_seconds(since.us);
}

static enum response_tier tier_of(enum cache_source source)
{
    switch (source) {
    case SOURCE_L1: return TIER_L1;
    case SOURCE_REDIS: return TIER_REDIS;
    case SOURCE_MISS_STORED: return TIER_STORED;
    case SOURCE_MISS: return TIER_MISS;
    case SOURCE_BYPASS: return TIER_BYPASS;
    case SOURCE_STALE: return TIER_STALE;
    }
    return TIER_NONE;
}

static struct instant end_of(const struct cache_header *header)
{
    return header->expires_at.us < header->valid_until.us ? header->expires_at : header->valid_until;
}

static void append_cache_control(struct buf *out, const struct request *request, const struct http_document *d,
                                 struct instant now)
{
    int64_t left_s = whole_seconds(end_of(d->header).us - now.us);
    int64_t max_age_s = left_s < d->max_age_s ? left_s : d->max_age_s;
    int64_t age_s = whole_seconds(now.us - d->header->computed_at.us);

    if (request->method == METHOD_PUT) {
        buf_append_string(out, "Cache-Control: no-store\r\n");
    } else if (d->shared) {
        buf_append_string(out, "Cache-Control: public, max-age=");
        buf_append_int(out, max_age_s);
        buf_append_string(out, ", stale-while-revalidate=60\r\n");
    } else if (d->max_age_s > 0) {
        buf_append_string(out, "Cache-Control: private, max-age=");
        buf_append_int(out, max_age_s + age_s); /* a browser takes Age off it (RFC 9111, 4.2.3) */
        buf_append_string(out, "\r\n");
    } else {
        buf_append_string(out, "Cache-Control: private, no-cache\r\n");
    }
}

static void append_cache_status(struct buf *out, const struct http_document *d, struct instant now)
{
    struct instant end = end_of(d->header);

    switch (d->source) {
    case SOURCE_L1:
    case SOURCE_REDIS:
        buf_append_string(out, "Cache-Status: pnlcache; hit; ttl=");
        buf_append_int(out, whole_seconds(end.us - now.us));
        buf_append_string(out, d->source == SOURCE_L1 ? "; detail=l1\r\n" : "; detail=redis\r\n");
        break;
    case SOURCE_MISS_STORED: buf_append_string(out, "Cache-Status: pnlcache; fwd=miss; stored\r\n"); break;
    case SOURCE_MISS: buf_append_string(out, "Cache-Status: pnlcache; fwd=miss\r\n"); break;
    case SOURCE_BYPASS: buf_append_string(out, "Cache-Status: pnlcache; fwd=bypass\r\n"); break;
    case SOURCE_STALE: /* a second begun counts: never 0 */
        buf_append_string(out, "Cache-Status: pnlcache; fwd=stale; ttl=");
        buf_append_int(out, -whole_seconds(now.us - end.us) - 1);
        buf_append_string(out, "; detail=redis\r\n");
        break;
    }
}

static void append_age(struct buf *out, const struct cache_header *header, struct instant now)
{
    int64_t now_s = whole_seconds(now.us), computed_s = whole_seconds(header->computed_at.us);
    char date[INSTANT_TEXT_SIZE];

    /* Within that second another document may still be computed, which the date could not tell from this one: a date that
     * proves nothing is not sent (RFC 9110, 8.8.2.2). */
    if (now_s > computed_s) {
        instant_format_http(header->computed_at, date);
        buf_append_string(out, "Last-Modified: ");
        buf_append(out, date, sizeof("Thu, 01 Jan 1970 00:00:00 GMT") - 1);
        buf_append_string(out, "\r\n");
    }
    buf_append_string(out, "Age: ");
    buf_append_int(out, whole_seconds(now.us - header->computed_at.us));
    buf_append_string(out, "\r\n");
}

/* Where in `out` the number begins. */
static size_t append_timing(struct buf *out, int64_t took_us)
{
    buf_append_string(out, "Server-Timing: total;dur=");
    size_t at = out->len;
    buf_append_int(out, took_us / 1000);
    buf_append_char(out, '.');
    buf_append_char(out, (char)('0' + took_us % 1000 / 100));
    buf_append_string(out, "\r\n");
    return at;
}

/* Every hit has these lines, so what is known beforehand is appended in pieces as long as can be, whose lengths the compiler
 * knows; through response_header() they cost half as much again. */
static void append_cache_headers(struct buf *out, const struct request *request, const struct http_document *d,
                                 const char *etag, struct instant now)
{
    append_cache_control(out, request, d, now);
    append_cache_status(out, d, now);
    append_age(out, d->header, now);
    buf_append_string(out, "ETag: ");
    buf_append_string(out, etag);
    if (d->shared)
        buf_append_string(out, "\r\nVary: Accept-Encoding\r\n");
    else
        buf_append_string(out, "\r\nVary: Authorization, Cookie, Accept-Encoding\r\n");
}

/* --- lines that are made once for many answers ------------------------------------------------------ */

#define SHORT_US 10000 /* what takes less is told with one digit before the point */

/* Lines of an answer from memory hold until a second more has gone by of the document's age, or one less is left of its
 * TTL. Elsewhere answers take so long that making their lines is nothing. */
static void note_origin(struct response *r, const struct http_document *d, struct instant now, int64_t took_us)
{
    struct head_origin *o = &r->origin;
    int64_t computed_us = d->header->computed_at.us, end_us = end_of(d->header).us;
    int64_t age_us = now.us - computed_us, left_us = end_us - now.us;
    int64_t older_us = now.us + US_PER_SECOND - age_us % US_PER_SECOND, shorter_us = now.us + left_us % US_PER_SECOND;

    /* Within its first second a document has no Last-Modified yet. */
    if (d->source != SOURCE_L1 || took_us >= SHORT_US || age_us < US_PER_SECOND || left_us <= 0)
        return;
    o->from_us = now.us;
    o->until_us = older_us < shorter_us ? older_us : shorter_us;
    o->computed_us = computed_us;
    o->end_us = end_us;
    o->gzip = d->encoding == CACHE_GZIP;
    memcpy(o->etag, d->header->etag, sizeof(o->etag));
}

static bool still_holds(const struct head_origin *o, const struct http_document *d, struct instant now, int64_t took_us)
{
    return d->source == SOURCE_L1 && took_us < SHORT_US && now.us >= o->from_us && now.us < o->until_us &&
           d->header->computed_at.us == o->computed_us && end_of(d->header).us == o->end_us &&
           (d->encoding == CACHE_GZIP) == o->gzip && memcmp(d->header->etag, o->etag, sizeof(o->etag)) == 0;
}

/* The id has the length that it had then: it is the request's own, or one of ours. */
static void renew(struct response *r, const struct request *request, const struct http_document *d, int64_t took_us)
{
    const struct head_origin *o = &r->origin;

    memcpy(r->head.data + o->id_at, request->id, strlen(request->id));
    r->head.data[o->timing_at] = (char)('0' + took_us / 1000);
    r->head.data[o->timing_at + 2] = (char)('0' + took_us % 1000 / 100);
    r->tier = TIER_L1;
    r->body = o->with_body ? d->bytes : NULL;
    r->body_len = o->with_body ? d->len : 0;
}

void http_respond_document(struct response *r, const struct request *request, const struct http_document *d)
{
    int64_t took_us = clock_monotonic_us() - request->arrived_us;
    struct instant now = {request->arrived_at.us + took_us};
    char etag[ETAG_SIZE];

    if (still_holds(&r->origin, d, now, took_us)) {
        renew(r, request, d, took_us);
        return;
    }
    format_etag(d->header, d->encoding == CACHE_GZIP, etag);
    bool unmodified = is_not_modified(request, etag, d->header->computed_at);
    response_begin(r, request, unmodified ? 304 : 200);
    r->tier = tier_of(d->source);
    append_cache_headers(&r->head, request, d, etag, now);
    r->origin.timing_at = append_timing(&r->head, took_us);
    if (unmodified) {
        response_finish_empty(r);
    } else {
        if (d->encoding == CACHE_GZIP)
            buf_append_string(&r->head, "Content-Encoding: gzip\r\n");
        response_finish(r, "application/json", d->bytes, d->len, request->method != METHOD_HEAD);
    }
    r->origin.with_body = r->body != NULL;
    note_origin(r, d, now, took_us);
}

void http_respond_not_found(struct response *r, const struct request *request, const struct http_document *d,
                            const char *detail)
{
    struct buf status = BUF_INIT;

    append_cache_status(&status, d, clock_now());
    response_problem(r, request, 404, detail, NULL, buf_status(&status) == STATUS_OK ? status.data : NULL);
    r->tier = tier_of(d->source);
    buf_release(&status);
}
