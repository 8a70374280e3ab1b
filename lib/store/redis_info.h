/* The answer of INFO: lines of "name:value". */
#ifndef PNLCACHE_STORE_REDIS_INFO_H
#define PNLCACHE_STORE_REDIS_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies the value of a name. False: there is no such line, or it does not fit. */
bool redis_info_value(const char *info, const char *name, char *value, size_t size);
/* The same of a number from 0 on. */
bool redis_info_number(const char *info, const char *name, int64_t *ret_value);

#endif
