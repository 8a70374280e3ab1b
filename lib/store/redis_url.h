/* REDIS_URL, taken apart. Pure. */
#ifndef PNLCACHE_STORE_REDIS_URL_H
#define PNLCACHE_STORE_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define REDIS_UNIX_PATH_SIZE 108 /* of sockaddr_un.sun_path */
#define REDIS_DATABASE_MAX 1000000

struct redis_url {
    bool tls;
    bool local; /* a Unix socket: `path`; else `host` and `port` */
    char path[REDIS_UNIX_PATH_SIZE];
    char host[256]; /* name or address; IPv6 without its brackets */
    char port[6];
    char user[256];      /* "": the default user */
    char password[1024]; /* "": no AUTH */
    int64_t database;
};

/* redis://[user:password@]host[:port][/db], rediss://..., unix://[user:password@]/path[?db=N].
 * Credentials and path are percent-decoded. STATUS_INVALID: the text says what was expected where
 * and never quotes the credentials. */
enum status redis_url_parse(const char *url, struct redis_url *ret_url, struct err *err) MUST_CHECK;

/* "host:port" or the path, for messages; holds no credentials. */
void redis_url_describe(const struct redis_url *url, char *text, int size);

#endif
