/* The first word of a Redis error says what we can do about it; the rest is for people. */
#include <string.h>

#include "lib/store/redis.h"

static const struct {
    const char *words; /* the text begins with them, a space or the end follows */
    enum redis_error_class error_class;
} errors[] = {
    {"BUSY", REDIS_ERROR_RETRY},          {"TRYAGAIN", REDIS_ERROR_RETRY},
    {"CLUSTERDOWN", REDIS_ERROR_RETRY},   {"IOERR", REDIS_ERROR_RETRY},
    {"LOADING", REDIS_ERROR_RECONNECT},   {"MASTERDOWN", REDIS_ERROR_RECONNECT},
    {"UNBLOCKED", REDIS_ERROR_RECONNECT}, {"ERR max number of clients", REDIS_ERROR_RECONNECT},
    {"READONLY", REDIS_ERROR_REDISCOVER}, {"MOVED", REDIS_ERROR_REDISCOVER},
    {"ASK", REDIS_ERROR_REDISCOVER},      {"OOM", REDIS_ERROR_REFUSED},
    {"MISCONF", REDIS_ERROR_REFUSED},     {"NOREPLICAS", REDIS_ERROR_REFUSED},
    {"EXECABORT", REDIS_ERROR_REFUSED},   {"NOAUTH", REDIS_ERROR_AUTH},
    {"WRONGPASS", REDIS_ERROR_AUTH},      {"NOPERM", REDIS_ERROR_AUTH},
    {"DENIED", REDIS_ERROR_AUTH},         {"NOSCRIPT", REDIS_ERROR_SCRIPT},
    {"WRONGTYPE", REDIS_ERROR_TYPE},
};

enum redis_error_class redis_classify_error(const char *error_text)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        size_t len = strlen(errors[i].words);

        if (strncmp(errors[i].words, error_text, len) == 0 && (error_text[len] == ' ' || error_text[len] == '\0'))
            return errors[i].error_class;
    }
    return REDIS_ERROR_BUG;
}

enum status redis_error_status(enum redis_error_class error_class)
{
    switch (error_class) {
    case REDIS_ERROR_NONE: return STATUS_OK;
    case REDIS_ERROR_RETRY:
    case REDIS_ERROR_RECONNECT:
    case REDIS_ERROR_REDISCOVER:
    case REDIS_ERROR_REFUSED:
    case REDIS_ERROR_AUTH: return STATUS_UNAVAILABLE;
    case REDIS_ERROR_SCRIPT: return STATUS_NOT_FOUND;
    case REDIS_ERROR_TYPE: return STATUS_CONFLICT;
    case REDIS_ERROR_BUG: break;
    }
    return STATUS_INTERNAL;
}
