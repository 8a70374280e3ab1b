/* The URL is cut from the left: scheme, credentials (up to the last '@' before the path), then either
 * a path or host[:port][/db], then an optional ?db=N. Whatever does not fit is refused; nothing is guessed. */
#include "lib/store/redis_url.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"

struct span {
    const char *bytes;
    size_t len;
};

static bool starts_with(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);

    return s.len >= len && memcmp(s.bytes, prefix, len) == 0;
}

static void skip(struct span *s, size_t n)
{
    s->bytes += n;
    s->len -= n;
}

static size_t find(struct span s, char c)
{
    const char *hit = s.len > 0 ? memchr(s.bytes, c, s.len) : NULL;

    return hit != NULL ? (size_t)(hit - s.bytes) : s.len;
}

/* Cuts what is left of position `n` off the front; the byte at `n` goes too. */
static struct span cut(struct span *s, size_t n)
{
    struct span left = {s->bytes, n};

    skip(s, n < s->len ? n + 1 : n);
    return left;
}

static enum status decode_part(struct span s, const char *what, char *out, size_t size, struct err *err)
{
    struct buf decoded = BUF_INIT;
    enum status status = percent_decode(s.bytes, s.len, false, &decoded);

    if (status == STATUS_OK)
        status = buf_status(&decoded);
    if (status != STATUS_OK)
        status = err_fail(err, status, "the %s of the Redis URL is not validly percent-encoded", what);
    else if (decoded.len >= size)
        status = err_fail(err, STATUS_INVALID, "the %s of the Redis URL is longer than %zu bytes", what, size - 1);
    else
        memcpy(out, decoded.data, decoded.len + 1);
    buf_release(&decoded);
    return status;
}

static enum status parse_scheme(struct span *rest, struct redis_url *url, struct err *err)
{
    static const struct {
        const char *prefix;
        bool tls, local;
    } schemes[] = {{"redis://", false, false}, {"rediss://", true, false}, {"unix://", false, true}};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!starts_with(*rest, schemes[i].prefix))
            continue;
        skip(rest, strlen(schemes[i].prefix));
        url->tls = schemes[i].tls;
        url->local = schemes[i].local;
        return STATUS_OK;
    }
    return err_fail(err, STATUS_INVALID, "the Redis URL must begin with redis://, rediss:// or unix://");
}

static enum status parse_credentials(struct span *rest, struct redis_url *url, struct err *err)
{
    size_t authority = find(*rest, '/'), at = authority;
    struct span userinfo, user;
    enum status status;

    while (at > 0 && rest->bytes[at - 1] != '@')
        at--;
    if (at == 0)
        return STATUS_OK;
    userinfo = cut(rest, at - 1);
    if (find(userinfo, ':') == userinfo.len)
        return err_fail(err, STATUS_INVALID,
                        "the Redis URL has a name without a password: write user:password@, or :password@");
    user = cut(&userinfo, find(userinfo, ':'));
    status = decode_part(user, "user", url->user, sizeof url->user, err);
    if (status != STATUS_OK)
        return status;
    if (userinfo.len == 0)
        return err_fail(err, STATUS_INVALID, "the password of the Redis URL is empty");
    return decode_part(userinfo, "password", url->password, sizeof url->password, err);
}

static enum status parse_database(struct span s, struct redis_url *url, struct err *err)
{
    if (parse_int64_bytes(s.bytes, s.len, 0, REDIS_DATABASE_MAX, &url->database) == STATUS_OK)
        return STATUS_OK;
    return err_fail(err, STATUS_INVALID, "the database '%.*s' of the Redis URL is not a number from 0 to %d",
                    (int)(s.len < 32 ? s.len : 32), s.bytes, REDIS_DATABASE_MAX);
}

static enum status parse_query(struct span query, struct redis_url *url, struct err *err)
{
    if (!starts_with(query, "db="))
        return err_fail(err, STATUS_INVALID, "the Redis URL knows only the parameter db, as in ?db=1");
    skip(&query, 3);
    return parse_database(query, url, err);
}

static enum status parse_port(struct span s, struct redis_url *url, struct err *err)
{
    int64_t port;

    if (parse_int64_bytes(s.bytes, s.len, 1, 65535, &port) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "the port '%.*s' of the Redis URL is not a number from 1 to 65535",
                        (int)(s.len < 32 ? s.len : 32), s.bytes);
    (void)snprintf(url->port, sizeof url->port, "%d", (int)port);
    return STATUS_OK;
}

static bool host_is_plain(struct span host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.bytes[i] <= ' ' || strchr("%[]@\\\"<>\x7f", host.bytes[i]) != NULL)
            return false;
    return true;
}

static enum status parse_host(struct span authority, struct redis_url *url, struct err *err)
{
    struct span host;

    if (starts_with(authority, "[")) {
        size_t end = find(authority, ']');

        if (end == authority.len)
            return err_fail(err, STATUS_INVALID, "the IPv6 address of the Redis URL has no closing ']'");
        skip(&authority, 1);
        host = cut(&authority, end - 1);
        if (authority.len > 0 && authority.bytes[0] != ':')
            return err_fail(err, STATUS_INVALID, "after the IPv6 address the Redis URL must have ':', '/' or nothing");
    } else {
        size_t colon = find(authority, ':');

        host = (struct span){authority.bytes, colon};
        skip(&authority, colon);
    }
    if (host.len == 0 || host.len >= sizeof url->host || !host_is_plain(host))
        return err_fail(err, STATUS_INVALID, "the host of the Redis URL is missing, too long or has odd characters");
    memcpy(url->host, host.bytes, host.len);
    url->host[host.len] = '\0';
    memcpy(url->port, "6379", 5);
    if (authority.len == 0)
        return STATUS_OK;
    skip(&authority, 1);
    return parse_port(authority, url, err);
}

static enum status parse_tcp(struct span rest, struct redis_url *url, struct err *err)
{
    struct span authority = cut(&rest, find(rest, '/'));
    enum status status = parse_host(authority, url, err);

    if (status == STATUS_OK && rest.len > 0)
        status = parse_database(rest, url, err);
    return status;
}

static enum status parse_local(struct span path, struct redis_url *url, struct err *err)
{
    if (path.len == 0 || path.bytes[0] != '/')
        return err_fail(err, STATUS_INVALID, "unix:// needs an absolute path: unix:///run/redis/redis.sock");
    return decode_part(path, "socket path", url->path, sizeof url->path, err);
}

enum status redis_url_parse(const char *text, struct redis_url *ret_url, struct err *err)
{
    struct span rest = {text, strlen(text)}, place;
    struct redis_url url = {0};
    enum status status = parse_scheme(&rest, &url, err);

    if (status == STATUS_OK)
        status = parse_credentials(&rest, &url, err);
    if (status != STATUS_OK)
        return status;
    place = (struct span){rest.bytes, find(rest, '?')};
    skip(&rest, place.len);
    status = url.local ? parse_local(place, &url, err) : parse_tcp(place, &url, err);
    if (status == STATUS_OK && rest.len > 0) {
        skip(&rest, 1);
        status = parse_query(rest, &url, err);
    }
    if (status == STATUS_OK)
        *ret_url = url;
    return status;
}

void redis_url_describe(const struct redis_url *url, char *text, int size)
{
    if (url->local)
        (void)snprintf(text, (size_t)size, "%s", url->path);
    else
        (void)snprintf(text, (size_t)size, "%s:%s", url->host, url->port);
}
