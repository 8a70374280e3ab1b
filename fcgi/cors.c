#include "fcgi/cors.h"

#include <string.h>

#define SEPARATORS ", \t"

/* The next word of a list; NULL at its end. */
static const char *next_word(const char **cursor, size_t *ret_len)
{
    const char *word = *cursor + strspn(*cursor, SEPARATORS);

    *ret_len = strcspn(word, SEPARATORS);
    *cursor = word + *ret_len;
    return *ret_len > 0 ? word : NULL;
}

static bool is_origin(const char *word, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789.-:[]";
    size_t scheme = strncmp(word, "https://", 8) == 0 ? 8 : strncmp(word, "http://", 7) == 0 ? 7 : 0;

    return (len == 1 && *word == '*') || (scheme > 0 && len > scheme && scheme + strspn(word + scheme, plain) == len);
}

enum status cors_check(const char *origins, struct err *err)
{
    const char *word;
    size_t len;

    while ((word = next_word(&origins, &len)))
        if (!is_origin(word, len))
            return err_fail(err, STATUS_INVALID, "CORS_ORIGINS: '%.*s' is no origin, as https://journal.example is",
                            (int)len, word);
    return STATUS_OK;
}

void cors_judge(const char *origins, struct request *request)
{
    const char *origin = request_param(request, PARAM_ORIGIN), *word;
    size_t len;

    request->cors = *origins ? CORS_REFUSED : CORS_OFF;
    while (origin && *origin && (word = next_word(&origins, &len)))
        if ((len == 1 && *word == '*') || (strlen(origin) == len && memcmp(origin, word, len) == 0))
            request->cors = len == 1 ? CORS_ANYBODY : CORS_ALLOWED;
}
