/* A zone is the transitions its file lists and, behind the last of them, the rule of its footer, which
 * repeats every year. Both are asked the same question: which stretch of constant offset holds
 * this instant. Everything is read with bounds checks: TZDIR may point at any file. */
#include "lib/base/timezone.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"

enum {
    FILE_MAX_BYTES = 256 * 1024,
    NAME_MAX_BYTES = 128,
    HEADER_BYTES = 44,
    OFFSET_MAX_SECONDS = 26 * 3600, /* RFC 8536: utoff lies between -25 and 26 hours */
    SECONDS_PER_DAY = 86400,
};

#define SECOND_FIRST (INT64_MIN / US_PER_SECOND)
#define SECOND_LAST (INT64_MAX / US_PER_SECOND)

/* When clocks change, in one form of the POSIX TZ rules. */
struct rule {
    enum { RULE_JULIAN, RULE_DAY_OF_YEAR, RULE_WEEKDAY } kind;
    int day;         /* Jn: 1..365, 29 February never counted; n: 0..365 */
    int month, week; /* Mm.w.d: week 1..5 (5: the last), weekday 0..6 */
    int weekday;
    int32_t second_of_day; /* local time, may be negative or beyond the day */
};

struct footer {
    bool present, has_dst;
    int32_t standard_offset, dst_offset;
    struct rule dst_begins, dst_ends;
};

struct timezone {
    struct timezone *next;
    char *name;
    size_t n_transitions;
    int64_t *at;      /* seconds since 1970, ascending */
    int32_t *offsets; /* in force from at[i] */
    int32_t first_offset;
    struct footer footer;
};

/* --- the footer: a POSIX TZ string ---------------------------------------------------------------- */

static bool take(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

static bool take_number(const char **text, int most, int *ret_value)
{
    int value = 0;
    const char *at = *text;

    while (*at >= '0' && *at <= '9' && value <= most)
        value = value * 10 + (*at++ - '0');
    if (at == *text || value > most)
        return false;
    *text = at;
    *ret_value = value;
    return true;
}

static bool take_abbreviation(const char **text)
{
    const char *at = *text, *start = at;

    if (*at == '<') {
        at = strchr(at, '>');
        if (at == NULL)
            return false;
        *text = at + 1;
        return true;
    }
    while ((*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z'))
        at++;
    *text = at;
    return at - start >= 3;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(const char **text, int most_hours, int32_t *ret_seconds)
{
    int hours, minutes = 0, seconds = 0;
    bool negative = take(text, '-');

    if (!negative)
        (void)take(text, '+');
    if (!take_number(text, most_hours, &hours))
        return false;
    if (take(text, ':')) {
        if (!take_number(text, 59, &minutes))
            return false;
        if (take(text, ':') && !take_number(text, 59, &seconds))
            return false;
    }
    *ret_seconds = (hours * 3600 + minutes * 60 + seconds) * (negative ? -1 : 1);
    return true;
}

static bool take_day(const char **text, struct rule *rule)
{
    if (take(text, 'M')) {
        rule->kind = RULE_WEEKDAY;
        return take_number(text, 12, &rule->month) && rule->month >= 1 && take(text, '.') &&
               take_number(text, 5, &rule->week) && rule->week >= 1 && take(text, '.') &&
               take_number(text, 6, &rule->weekday);
    }
    if (take(text, 'J')) {
        rule->kind = RULE_JULIAN;
        return take_number(text, 365, &rule->day) && rule->day >= 1;
    }
    rule->kind = RULE_DAY_OF_YEAR;
    return take_number(text, 365, &rule->day);
}

static bool take_rule(const char **text, struct rule *rule)
{
    rule->second_of_day = 2 * 3600;
    return take(text, ',') && take_day(text, rule) && (!take(text, '/') || take_time(text, 167, &rule->second_of_day));
}

static bool parse_footer(const char *text, struct footer *footer)
{
    int32_t west;

    if (*text == '\0')
        return true;
    footer->present = true;
    if (!take_abbreviation(&text) || !take_time(&text, 24, &west))
        return false;
    footer->standard_offset = -west;
    if (*text == '\0')
        return true;
    footer->has_dst = true;
    footer->dst_offset = footer->standard_offset + 3600;
    if (!take_abbreviation(&text))
        return false;
    if (*text != ',') {
        if (!take_time(&text, 24, &west))
            return false;
        footer->dst_offset = -west;
    }
    return take_rule(&text, &footer->dst_begins) && take_rule(&text, &footer->dst_ends) && *text == '\0';
}

static struct date rule_date(const struct rule *rule, int year)
{
    struct date first = date_from_civil(year, 1, 1), d;

    if (rule->kind == RULE_DAY_OF_YEAR)
        return date_add_days(first, rule->day);
    if (rule->kind == RULE_JULIAN)
        return date_add_days(first, rule->day - 1 + (rule->day >= 60 && days_in_month(year, 2) == 29));
    d = date_from_civil(year, rule->month, 1);
    d = date_add_days(d, (rule->weekday - date_weekday(d) + 7) % 7 + (rule->week - 1) * 7);
    if (date_to_civil(d).month != rule->month)
        d = date_add_days(d, -7);
    return d;
}

/* The UTC second at which the rule's local time, told by clocks at `offset`, is reached in `year`. */
static int64_t rule_second(const struct rule *rule, int year, int32_t offset)
{
    return (int64_t)rule_date(rule, year).days * SECONDS_PER_DAY + rule->second_of_day - offset;
}

/* --- the file ------------------------------------------------------------------------------------ */

struct cursor {
    const unsigned char *at;
    size_t left;
};

static const unsigned char *take_bytes(struct cursor *c, size_t n)
{
    const unsigned char *bytes = c->at;

    if (n > c->left)
        return NULL;
    c->at += n;
    c->left -= n;
    return bytes;
}

static uint32_t read_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t read_time(const unsigned char *bytes, size_t width)
{
    if (width == 4)
        return (int32_t)read_u32(bytes);
    return (int64_t)((uint64_t)read_u32(bytes) << 32 | read_u32(bytes + 4));
}

struct block {
    size_t width; /* bytes of a time */
    size_t n_isut, n_isstd, n_leap, n_times, n_types, n_chars;
    unsigned char version;
};

static bool take_header(struct cursor *c, size_t width, struct block *block)
{
    const unsigned char *h = take_bytes(c, HEADER_BYTES);

    if (h == NULL || memcmp(h, "TZif", 4) != 0)
        return false;
    *block = (struct block){.width = width,
                            .version = h[4],
                            .n_isut = read_u32(h + 20),
                            .n_isstd = read_u32(h + 24),
                            .n_leap = read_u32(h + 28),
                            .n_times = read_u32(h + 32),
                            .n_types = read_u32(h + 36),
                            .n_chars = read_u32(h + 40)};
    /* No count can exceed the file, which also keeps the products below from overflowing. */
    return block->n_isut <= FILE_MAX_BYTES && block->n_isstd <= FILE_MAX_BYTES && block->n_leap <= FILE_MAX_BYTES &&
           block->n_times <= FILE_MAX_BYTES && block->n_types <= 256 && block->n_chars <= FILE_MAX_BYTES;
}

/* Bytes of the block behind its transitions and types, which we have no use for. */
static size_t tail_bytes(const struct block *b)
{
    return b->n_chars + b->n_leap * (b->width + 4) + b->n_isstd + b->n_isut;
}

static bool skip_block(struct cursor *c, const struct block *b)
{
    return take_bytes(c, b->n_times * (b->width + 1) + b->n_types * 6 + tail_bytes(b)) != NULL;
}

static bool read_offset(const unsigned char *types, size_t index, int32_t *ret_offset)
{
    int32_t offset = (int32_t)read_u32(types + index * 6);

    if (offset < -OFFSET_MAX_SECONDS || offset > OFFSET_MAX_SECONDS)
        return false;
    *ret_offset = offset;
    return true;
}

static enum status read_transitions(struct timezone *zone, const struct block *b, const unsigned char *times,
                                    const unsigned char *indexes, const unsigned char *types)
{
    size_t n = b->n_times > 0 ? b->n_times : 1;

    zone->at = calloc(n, sizeof *zone->at);
    zone->offsets = calloc(n, sizeof *zone->offsets);
    if (zone->at == NULL || zone->offsets == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < b->n_times; i++) {
        int64_t at = read_time(times + i * b->width, b->width);
        if (indexes[i] >= b->n_types || !read_offset(types, indexes[i], &zone->offsets[i]))
            return STATUS_INVALID;
        if (i > 0 && at <= zone->at[i - 1])
            return STATUS_INVALID;
        zone->at[i] = at;
    }
    zone->n_transitions = b->n_times;
    return STATUS_OK;
}

static enum status read_block(struct cursor *c, const struct block *b, struct timezone *zone)
{
    const unsigned char *times = take_bytes(c, b->n_times * b->width);
    const unsigned char *indexes = take_bytes(c, b->n_times);
    const unsigned char *types = take_bytes(c, b->n_types * 6);

    if (times == NULL || indexes == NULL || types == NULL || take_bytes(c, tail_bytes(b)) == NULL)
        return STATUS_INVALID;
    /* The files with leap seconds ("right/") count time otherwise than the rest of the system. */
    if (b->n_types == 0 || b->n_leap > 0 || !read_offset(types, 0, &zone->first_offset))
        return STATUS_INVALID;
    return read_transitions(zone, b, times, indexes, types);
}

static enum status read_footer(struct cursor *c, struct timezone *zone)
{
    char text[256];
    const unsigned char *end;
    size_t len;

    if (c->left < 2 || c->at[0] != '\n')
        return STATUS_INVALID;
    end = memchr(c->at + 1, '\n', c->left - 1);
    if (end == NULL || (len = (size_t)(end - c->at) - 1) >= sizeof text)
        return STATUS_INVALID;
    memcpy(text, c->at + 1, len);
    text[len] = '\0';
    return strlen(text) == len && parse_footer(text, &zone->footer) ? STATUS_OK : STATUS_INVALID;
}

static enum status parse_file(const struct buf *file, struct timezone *zone)
{
    struct cursor c = {(const unsigned char *)file->data, file->len};
    struct block block;
    enum status status;

    if (!take_header(&c, 4, &block))
        return STATUS_INVALID;
    if (block.version < '2')
        return read_block(&c, &block, zone);
    if (!skip_block(&c, &block) || !take_header(&c, 8, &block))
        return STATUS_INVALID;
    status = read_block(&c, &block, zone);
    return status == STATUS_OK ? read_footer(&c, zone) : status;
}

static enum status read_all(int fd, struct buf *file)
{
    for (;;) {
        ssize_t n;
        if (!buf_reserve(file, 16384))
            return STATUS_NO_MEMORY;
        n = read(fd, file->data + file->len, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return STATUS_INTERNAL;
        if (n == 0)
            return STATUS_OK;
        file->len += (size_t)n;
        if (file->len > FILE_MAX_BYTES)
            return STATUS_INVALID;
    }
}

/* O_NONBLOCK: a FIFO under TZDIR must not hang us; it is then refused as not a regular file. */
static enum status read_file(const char *path, struct buf *file, struct err *err)
{
    struct stat info;
    enum status status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return err_fail(err, missing ? STATUS_NOT_FOUND : STATUS_INTERNAL, "time zone file %s: %s", path,
                        strerror(errno));
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        status = err_fail(err, STATUS_NOT_FOUND, "time zone file %s: not a regular file", path);
    else if ((status = read_all(fd, file)) != STATUS_OK)
        status = err_fail(err, status, "time zone file %s: cannot be read", path);
    (void)close(fd);
    return status;
}

/* --- the table of opened zones ----------------------------------------------------------------- */

static struct timezone *opened;
static pthread_mutex_t opened_lock = PTHREAD_MUTEX_INITIALIZER;

static void zone_free(struct timezone *zone)
{
    if (zone == NULL)
        return;
    free(zone->name);
    free(zone->at);
    free(zone->offsets);
    free(zone);
}

/* Components of letters, digits, '_', '-', '+' and '.', none empty, none beginning with '.'. */
static bool name_is_plain(const char *name)
{
    size_t len = strnlen(name, NAME_MAX_BYTES + 1);
    char before = '/';

    if (len == 0 || len > NAME_MAX_BYTES)
        return false;
    for (; *name != '\0'; before = *name++) {
        char c = *name;
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("_-+./", c) == NULL))
            return false;
        if (before == '/' && (c == '/' || c == '.'))
            return false;
    }
    return before != '/';
}

static enum status zone_load(const char *name, struct timezone **ret_zone, struct err *err)
{
    const char *folder = getenv("TZDIR");
    struct buf path = BUF_INIT, file = BUF_INIT;
    struct timezone *zone = calloc(1, sizeof *zone);
    enum status status = STATUS_NO_MEMORY;

    buf_append_format(&path, "%s/%s", folder != NULL && *folder != '\0' ? folder : "/usr/share/zoneinfo", name);
    if (zone == NULL || (zone->name = strdup(name)) == NULL || buf_status(&path) != STATUS_OK) {
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
        goto out;
    }
    status = read_file(path.data, &file, err);
    if (status != STATUS_OK)
        goto out;
    status = parse_file(&file, zone);
    if (status != STATUS_OK) {
        status = err_fail(err, status, "time zone file %s: not a usable TZif file", path.data);
        goto out;
    }
    *ret_zone = zone;
    zone = NULL;
out:
    zone_free(zone);
    buf_release(&file);
    buf_release(&path);
    return status;
}

enum status timezone_open(const char *name, const struct timezone **ret_zone, struct err *err)
{
    struct timezone *zone;
    enum status status = STATUS_OK;

    if (!name_is_plain(name))
        return err_fail(err, STATUS_INVALID, "not an IANA time zone name");
    (void)pthread_mutex_lock(&opened_lock);
    for (zone = opened; zone != NULL; zone = zone->next)
        if (strcmp(zone->name, name) == 0)
            break;
    if (zone == NULL) {
        status = zone_load(name, &zone, err);
        if (status == STATUS_OK) {
            assert(zone != NULL);
            zone->next = opened;
            opened = zone;
        }
    }
    (void)pthread_mutex_unlock(&opened_lock);
    if (status == STATUS_OK)
        *ret_zone = zone;
    return status;
}

const char *timezone_name(const struct timezone *zone)
{
    return zone->name;
}

/* --- UTC to local ------------------------------------------------------------------------------- */

/* [from, to) in whole seconds. */
struct stretch {
    int64_t from, to;
    int32_t offset;
};

static int64_t floor_divide(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;

    return value % divisor < 0 ? quotient - 1 : quotient;
}

/* Changes of three years around the instant are enough: the nearest on either side are among them.
 * Where one year's DST ends as the next one's begins, the beginning counts (DST all year round). */
static struct stretch footer_stretch(const struct footer *f, int64_t second)
{
    struct stretch s = {SECOND_FIRST, SECOND_LAST, f->standard_offset};
    int year;

    if (!f->has_dst)
        return s;
    year = date_to_civil((struct date){(int32_t)floor_divide(second, SECONDS_PER_DAY)}).year;
    for (int y = year - 1; y <= year + 1; y++) {
        int64_t begin = rule_second(&f->dst_begins, y, f->standard_offset);
        int64_t end = rule_second(&f->dst_ends, y, f->dst_offset);
        if (end <= second && end > s.from) {
            s.from = end;
            s.offset = f->standard_offset;
        }
        if (begin <= second && begin >= s.from) {
            s.from = begin;
            s.offset = f->dst_offset;
        }
        if (begin > second && begin < s.to)
            s.to = begin;
        if (end > second && end < s.to)
            s.to = end;
    }
    return s;
}

/* The number of transitions at or before the instant. */
static size_t count_before(const struct timezone *zone, int64_t second)
{
    size_t low = 0, high = zone->n_transitions;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at[middle] <= second)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct stretch stretch_at(const struct timezone *zone, int64_t second)
{
    size_t n = count_before(zone, second);
    struct stretch s = {SECOND_FIRST, SECOND_LAST, zone->first_offset};

    if (n == zone->n_transitions && zone->footer.present) {
        s = footer_stretch(&zone->footer, second);
    } else {
        if (n > 0)
            s.offset = zone->offsets[n - 1];
        if (n < zone->n_transitions && zone->at[n] < s.to)
            s.to = zone->at[n];
    }
    if (n > 0 && zone->at[n - 1] > s.from)
        s.from = zone->at[n - 1];
    return s;
}

struct timezone_span timezone_span_at(const struct timezone *zone, struct instant t)
{
    struct stretch s = stretch_at(zone, floor_divide(t.us, US_PER_SECOND));
    struct timezone_span span = {{INT64_MIN}, INSTANT_NEVER, s.offset};

    if (s.from > SECOND_FIRST)
        span.from.us = s.from * US_PER_SECOND;
    if (s.to < SECOND_LAST)
        span.to.us = s.to * US_PER_SECOND;
    return span;
}

struct local_time timezone_to_local(const struct timezone *zone, struct instant t)
{
    int64_t second = floor_divide(t.us, US_PER_SECOND), local, days;
    int32_t offset = stretch_at(zone, second).offset;
    int rest;

    local = second + offset;
    days = floor_divide(local, SECONDS_PER_DAY);
    rest = (int)(local - days * SECONDS_PER_DAY);
    return (struct local_time){{(int32_t)days}, rest / 3600, rest / 60 % 60, rest % 60, offset};
}

/* Seconds from a local midnight to the beginning of that date's trading day. */
static int32_t day_shift(int trading_day_start)
{
    return (trading_day_start < 12 ? trading_day_start : trading_day_start - 24) * 3600;
}

struct date trading_day(const struct timezone *zone, int trading_day_start, struct instant t)
{
    int64_t second = floor_divide(t.us, US_PER_SECOND);
    int64_t local = second + stretch_at(zone, second).offset - day_shift(trading_day_start);

    return (struct date){(int32_t)floor_divide(local, SECONDS_PER_DAY)};
}

struct instant trading_day_begin(const struct timezone *zone, int trading_day_start, struct date day)
{
    /* The first instant whose local time is at or past `local`; before `second` none is. */
    int64_t local = (int64_t)day.days * SECONDS_PER_DAY + day_shift(trading_day_start);
    int64_t second = local - OFFSET_MAX_SECONDS - 1;

    for (;;) {
        struct stretch s = stretch_at(zone, second);
        int64_t candidate = local - s.offset > second ? local - s.offset : second;
        if (candidate < s.to || s.to == SECOND_LAST)
            return (struct instant){candidate * US_PER_SECOND};
        second = s.to;
    }
}
