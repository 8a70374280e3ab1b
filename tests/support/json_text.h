/* Looking into JSON text without a parser, so that digits are compared as they were written. */
#ifndef PNLCACHE_TESTS_SUPPORT_JSON_TEXT_H
#define PNLCACHE_TESTS_SUPPORT_JSON_TEXT_H

#include <stddef.h>

struct expected {
    const char *key, *value;
};

/* The first member with that key, as text, valid until the next call; "(absent)" when there is none. */
const char *member(const char *json, const char *key);
size_t n_members(const char *json);
/* How many of the expected members differ; prints each. */
size_t check_members(const char *json, const struct expected *expected, size_t n);

#endif
