#include "tests/support/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Length of the JSON value at `text`, up to the comma or bracket that ends it. */
static size_t value_length(const char *text)
{
    size_t i = 0;
    int depth = 0;

    for (; text[i] != '\0'; i++) {
        if (text[i] == '"')
            for (i++; text[i] != '"'; i++)
                assert_true(text[i] != '\0');
        else if (text[i] == '{' || text[i] == '[')
            depth++;
        else if ((text[i] == '}' || text[i] == ']') && depth-- == 0)
            break;
        else if (text[i] == ',' && depth == 0)
            break;
    }
    return i;
}

const char *member(const char *json, const char *key)
{
    static char value[1 << 16];
    char wanted[100];
    const char *at;

    (void)snprintf(wanted, sizeof wanted, "\"%s\":", key);
    at = strstr(json, wanted);
    if (at == NULL)
        return "(absent)";
    at += strlen(wanted);
    (void)snprintf(value, sizeof value, "%.*s", (int)value_length(at), at);
    return value;
}

size_t n_members(const char *json)
{
    size_t n = 0;

    for (const char *at = json + 1; *at != '\0' && *at != '}'; at++) {
        at = strchr(at, ':') + 1;
        at += value_length(at);
        n++;
        if (*at == '}')
            break;
    }
    return n;
}

size_t check_members(const char *json, const struct expected *expected, size_t n)
{
    size_t wrong = 0;

    for (size_t i = 0; i < n; i++) {
        const char *value = member(json, expected[i].key);

        if (strcmp(value, expected[i].value) != 0) {
            print_error("%s: %s, expected %s\n", expected[i].key, value, expected[i].value);
            wrong++;
        }
    }
    return wrong;
}
