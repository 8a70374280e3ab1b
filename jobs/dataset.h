/* Datasets: one SQL file is one cached endpoint (docs/datasets.md). A set is what one directory holds; it is loaded as a whole,
 * never changed afterwards, and replaced as a whole. */
#ifndef PNLCACHE_JOBS_DATASET_H
#define PNLCACHE_JOBS_DATASET_H

#include "lib/base/name_table.h"
#include "lib/base/settings.h"
#include "lib/store/cache.h"
#include "lib/store/db.h"

#define DATASET_NAME_MAX 48
#define DATASET_MAX_PARAMS 15 /* and user_id: as many as a request may have */
#define DATASET_MAX_CURSOR 6  /* columns that a position in a list is made of */
#define DATASET_MAX_VALUES (DATASET_MAX_PARAMS + DATASET_MAX_CURSOR)
#define DATASET_NAME_SLOTS 64
#define DATASET_MAX_PATHS 4
#define DATASET_MAX_DEPENDS 8
#define DATASET_TEXT_MAX 1000 /* bytes of a text parameter */
#define DATASET_LIST_MAX 500
#define DATASET_SYMBOL_MAX 32

enum dataset_type {
    DATASET_INTEGER,
    DATASET_DECIMAL,
    DATASET_DATE,
    DATASET_TIME,
    DATASET_TEXT,
    DATASET_CHOICE,
    DATASET_BOOLEAN,
    DATASET_SYMBOL,
    DATASET_TYPES
};
enum dataset_refresh_kind { REFRESH_NONE, REFRESH_MARKET, REFRESH_REFERENCE };

struct dataset_param {
    char *name;
    enum dataset_type type;
    size_t list_max; /* 0: one value; else a set of at most so many */
    bool required, in_path;
    bool or_all;      /* "limit integer 1..500|all" */
    bool of_cursor;   /* `after_COLUMN`: comes out of the parameter `cursor` */
    int64_t min, max; /* integer; decimal: x 10^8; text and symbol: max is the length in bytes */
    char *choices;    /* "a|b|c" */
    char *fallback;   /* the default as it stands in the header, canonical once the header is read; NULL: SQL NULL */
};

struct dataset_tag {
    char name[CACHE_TAG_MAX];
    bool shared;
    char param[DATASET_NAME_MAX + 1]; /* `name:$param`: of one row of it (jobs/event.h); "": of all */
};

/* A pattern of keys, taken apart (jobs/dataset_key.h). */
struct dataset_key {
    char *pattern;
    size_t n;
    struct dataset_key_piece *pieces;
};
enum { DATASET_KEY, DATASET_COLLECTION_KEY, DATASET_KEYS };

struct dataset {
    char *file; /* for messages */
    char *name;
    size_t number; /* of its name; see DATASET_NUMBERS */
    size_t n_paths;
    char *paths[DATASET_MAX_PATHS];
    bool shared, one_row, takes_post;
    bool indicators; /* compute: indicators (jobs/dataset_indicators.h) */
    char *key;       /* pattern of the header; NULL: data:NAME:... */
    char *
        collection; /* pattern of the key of the whole list, limit=all and nothing else; NULL: it has none of its own */
    int64_t max_rows;                    /* COLLECTION_MAX_ROWS */
    char section[DATASET_NAME_MAX + 12]; /* "collection:NAME": what its collection is called on pnlcache:updated */
    char all_rows[24];                   /* what limit=all is for the statement: one row more than that */
    int64_t ttl_s;                       /* as parsed: 0 when the file says none */
    enum dataset_refresh_kind refresh;
    size_t n_own_tags;
    struct dataset_tag own_tags[CACHE_MAX_TAGS];
    size_t n_depends;
    char *depends[DATASET_MAX_DEPENDS];
    int depends_line, tags_line, path_line, key_line, collection_line, cursor_line, compute_line, until_line;
    char *until;               /* SQL: the instant at which the rows change by themselves; NULL: they never do */
    size_t n_params, n_cursor; /* those of the cursor are among the n_params */
    struct dataset_param params[DATASET_MAX_VALUES];
    struct name_table param_names;
    struct name_slot param_slots[DATASET_NAME_SLOTS];

    /* Of all of the header together, set at the end. */
    struct dataset_key keys[DATASET_KEYS];
    uint32_t required, never_whole; /* sets, bit i is the i-th: must be given; can be `all`, and are not by default */
    char *defaults; /* "VERSION\nNAME\nparam=default\n...": what the key of a request that says nothing stands for */
    size_t default_at[DATASET_MAX_VALUES + 1]; /* where in it the line of each parameter is, or would be */

    /* Of the statement: it is bound by position; DATASET_USER stands for the user. */
    char *sql;                    /* as it is sent */
    size_t select_at, select_len; /* the file's SELECT in it */
    int select_line;              /* where it begins in the file */
    size_t n_bound;
    int bound[DATASET_MAX_VALUES + 1];
    char version[33]; /* hash of the file */
    char statement_name[48];

    /* Set when the whole set is there: own tags and those of what it depends on. A request also has those of its rows. */
    struct cache_tags tags;
    size_t n_row_tags;
    struct {
        const char *name; /* static */
        int param;
    } row_tags[CACHE_MAX_TAGS];
};
#define DATASET_USER (-1)
#define DATASET_AFTER "after_" /* before the column, in the names of a cursor's parameters */

/* --- one file -------------------------------------------------------------------------------- */

/* Reads one file's text. STATUS_INVALID: "FILE:LINE: reason". *ret_dataset is the caller's, to be freed. */
enum status dataset_parse(const char *file, const char *text, size_t len, struct dataset **ret_dataset,
                          struct err *err) MUST_CHECK;
void dataset_free(struct dataset **dataset);
/* Turns the SELECT of a file into the statement that is sent: parameters become $n, and the rows become one JSON text.
 * `first_line` is the line number of its first byte. */
enum status dataset_compile(struct dataset *dataset, const char *select, size_t len, int first_line,
                            struct err *err) MUST_CHECK;
/* Index of a parameter; -1: there is none of this name. */
int dataset_param_find(const struct dataset *dataset, const char *name, size_t len);
/* A parameter's type in words, for lists and messages: "integer 1..500". */
void dataset_param_describe(const struct dataset_param *param, struct buf *out);

/* --- names as small numbers: for counters ------------------------------------------------------ */

/* A name keeps its number for as long as the process lives, whatever sets come and go. The last number is shared by all names
 * that came too late for one of their own. */
#define DATASET_NUMBERS 128
size_t dataset_number_of(const char *name);
/* "other" for the last; NULL: nobody has this number yet. */
const char *dataset_number_name(size_t number);

/* --- a set ----------------------------------------------------------------------------------- */

struct dataset_set;

/* Loads DATASET_DIR: every *.sql of its directories, with the TTLs of DATASET_TTL and CACHE_DEFAULT_TTL; a file takes the place of one
 * with its name in an earlier directory. The tags become known to event_tag_find(). STATUS_INVALID: one of the files is wrong, or they
 * do not go together; the text names file and line. STATUS_NOT_FOUND: there is no such directory. The caller holds a reference. */
enum status dataset_set_load(const struct settings *settings, struct dataset_set **ret_set, struct err *err) MUST_CHECK;
void dataset_set_hold(struct dataset_set *set);     /* one more reference; thread-safe */
void dataset_set_release(struct dataset_set **set); /* NULL is fine */
size_t dataset_set_count(const struct dataset_set *set);
const struct dataset *dataset_set_at(const struct dataset_set *set, size_t i); /* ascending by name */
const struct dataset *dataset_set_find(const struct dataset_set *set, const char *name);
/* The dataset that answers at this path; one with more literal segments wins. NULL: none. */
const struct dataset *dataset_set_route(const struct dataset_set *set, const char *path, const char **ret_pattern);
/* Has the database plan every statement. STATUS_INVALID: it refuses one, the text names the file; other statuses: the
 * database does not answer. */
enum status dataset_set_check(const struct dataset_set *set, struct db *db, struct err *err) MUST_CHECK;
/* Whether two path patterns match a common path; "{...}" stands for one segment. */
bool dataset_paths_overlap(const char *a, const char *b);

/* --- a request ------------------------------------------------------------------------------- */

/* A dataset with values for its parameters. Zeroed is fine before begin(); release frees. */
struct dataset_request {
    const struct dataset *dataset;
    struct buf text; /* the canonical values, each with its NUL */
    uint32_t given;  /* the set of those that have one, bit i is the i-th; the others are as the header says */
    size_t at[DATASET_MAX_VALUES]; /* where in the text, of those given */
    size_t cursor_at;              /* where in it + 1 the cursor as it was given is; 0: there is none */
    struct cache_tags tags;        /* when it is complete */
};

void dataset_request_begin(struct dataset_request *r, const struct dataset *dataset);
void dataset_request_release(struct dataset_request *r);
/* Checks and takes one value; `path_too`: those of the path are parameters like the others. STATUS_NOT_FOUND: no such parameter;
 * STATUS_CONFLICT: it has a value; STATUS_INVALID: the text says what is expected ("must be ..."); nothing was taken. */
enum status dataset_request_set(struct dataset_request *r, const char *name, const char *value, bool path_too,
                                struct err *err) MUST_CHECK;
/* The same by the parameter's index, whatever it is and has. */
enum status dataset_request_put(struct dataset_request *r, size_t param, const char *value, struct err *err) MUST_CHECK;
/* Takes the segments of a path that the pattern matches; as dataset_request_set(). */
enum status dataset_request_take_path(struct dataset_request *r, const char *pattern, const char *path,
                                      struct err *err) MUST_CHECK;
/* Takes the cursor apart and knows what it depends on. STATUS_INVALID: *ret_field is the parameter that is missing or wrong, the
 * text says why. */
enum status dataset_request_complete(struct dataset_request *r, const char **ret_field, struct err *err) MUST_CHECK;
/* The request for a dataset's whole collection: limit=all and every other parameter as it is by default. */
enum status dataset_request_begin_collection(struct dataset_request *r, const struct dataset *dataset,
                                             struct err *err) MUST_CHECK;
/* Whether it is that request: it has the key `collection`. */
bool dataset_request_is_collection(const struct dataset_request *r);
/* The canonical value, else the default; NULL: there is none. */
const char *dataset_request_value(const struct dataset_request *r, size_t param);

/* The canonical text: "NAME\nparam=value\n..." in the order of the header. Equivalent requests have the same. */
void dataset_request_append_text(const struct dataset_request *r, struct buf *out);
/* Reads it back. STATUS_INVALID: anything else, or of another set. */
enum status dataset_request_parse_text(struct dataset_request *r, const struct dataset_set *set,
                                       const char *text) MUST_CHECK;
/* Appends the whole Redis key. `user_id` is not read for shared datasets. */
void dataset_request_append_key(const struct cache *cache, const struct dataset_request *r, const char *user_id,
                                struct buf *key);

/* How the database would carry the statement out: the lines of EXPLAIN (VERBOSE), one in each row. */
enum status dataset_explain(struct db *db, const struct dataset_request *r, const char *user_id,
                            struct db_result **ret_plan, struct err *err) MUST_CHECK;

/* Has the database say which columns the rows have: a result without rows. */
enum status dataset_describe(struct db *db, const struct dataset *dataset, struct db_result **ret_columns,
                             struct err *err) MUST_CHECK;

/* The text of a cursor (opaque, base64url) for the row with these values: `row` is a JSON array of texts and nulls, one for each
 * cursor column. */
void dataset_cursor_append(const struct dataset_request *r, const char *row, size_t len, struct buf *out);
/* Takes a cursor into the request, whose other parameters are complete. STATUS_INVALID: it is none, or one of another
 * dataset or of other filters or another order. */
enum status dataset_cursor_take(struct dataset_request *r, const char *cursor, struct err *err) MUST_CHECK;

/* Runs the statement and writes the body (envelope, rows, meta) into `out` (appended); fills *ret_body but for its cost, its
 * bytes point into `out`. A one-row dataset without a row is an answer too: not_found, nothing_there. The epochs must
 * have been opened before. With limit=all and more than COLLECTION_MAX_ROWS rows: too_large. */
enum status dataset_compute(struct db *db, const struct dataset_request *r, const char *user_id, struct buf *out,
                            struct cache_body *ret_body, struct err *err) MUST_CHECK;

#endif
