/* One line per event on standard error: readable text on a terminal, logfmt with a syslog
 * priority prefix ("<6>") otherwise, so that journald sorts it. Only programs log; libraries
 * return a status and a text. Lines are cut at 2 KiB, control bytes are escaped, and a blocked
 * or full sink never blocks the program (lines are dropped and counted).
 *
 *   log_info("job done", LOG_STR("user", id), LOG_INT("ms", took));
 */
#ifndef PNLCACHE_BASE_LOG_H
#define PNLCACHE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
    const char *key;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

/* A function, because compilers warn about a literal that is tested for NULL. */
static inline const char *log_text(const char *text)
{
    return text != 0 ? text : "";
}

#define LOG_STR(key_, text_) ((struct log_field){.key = (key_), .text = log_text(text_)})
#define LOG_INT(key_, number_) ((struct log_field){.key = (key_), .number = (number_)})

/* Call once at start. format: "auto" (text on a terminal, else logfmt), "text" or "logfmt".
 * `program` must live as long as the process. */
void log_init(const char *program, enum log_level level, const char *format);
/* A new threshold while threads are logging (reload). */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* For what may happen with every request: true once a second for each `last_s`, which begins as -1. */
bool log_is_first_this_second(_Atomic int64_t *last_s);
/* Lines that could not be written since start. */
uint64_t log_dropped(void);

/* `fields` ends with an entry whose key is NULL. Safe from any thread. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_AT(level, message, ...)                                                                                    \
    do {                                                                                                               \
        if (log_enabled(level))                                                                                        \
            log_write((level), (message), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});                  \
    } while (0)
#define log_error(message, ...) LOG_AT(LOG_LEVEL_ERROR, message, __VA_ARGS__)
#define log_warn(message, ...) LOG_AT(LOG_LEVEL_WARN, message, __VA_ARGS__)
#define log_info(message, ...) LOG_AT(LOG_LEVEL_INFO, message, __VA_ARGS__)
#define log_debug(message, ...) LOG_AT(LOG_LEVEL_DEBUG, message, __VA_ARGS__)

#endif
