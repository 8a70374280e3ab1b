/* A COPY stream from a hostile server: header, row, and every decoder on every field. */
#include <stdlib.h>

#include "lib/store/db_copy.h"
#include "lib/store/db_field.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

static void decode(struct db_field f)
{
    struct date *dates = malloc(f.len / 8 * sizeof *dates + 1);
    enum numeric_class class;
    struct instant instant;
    struct date date;
    int64_t number;
    bool truth;
    size_t n;

    if (dates == NULL)
        abort();
    (void)!db_field_int64(f, &number);
    (void)!db_field_bool(f, &truth);
    (void)!db_field_instant(f, &instant);
    (void)!db_field_date(f, &date);
    if (db_field_dates(f, dates, &n) == STATUS_OK && n > f.len / 8)
        abort();
    if (db_field_numeric_e8(f, &class, &number) == STATUS_OK && class == NUMERIC_FINITE &&
        (number >= INT64_C(1000000000000000000) || number <= INT64_C(-1000000000000000000)))
        abort();
    free(dates);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct db_row row;
    size_t header_len;
    bool end;

    if (db_copy_parse_header(bytes, len, &header_len) == STATUS_OK) {
        bytes += header_len;
        len -= header_len;
    }
    if (db_copy_parse_row(bytes, len, &row, &end) != STATUS_OK || end)
        return 0;
    for (size_t i = 0; i < row.n_fields; i++)
        if (!db_field_is_null(row.fields[i]))
            decode(row.fields[i]);
    return 0;
}
