/* Hostile CSV: every line is read or refused, and what comes behind it is read as if it had not been there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/csv.h"
#include "lib/base/text.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

static const char last[] = "\nthe end,of it\n";

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct buf text = BUF_INIT;
    struct csv_reader r;
    struct err err;
    enum status status;
    bool ended = false;
    FILE *file;

    buf_append(&text, bytes, len);
    buf_append(&text, last, sizeof last - 1);
    file = fmemopen(text.data, text.len, "r");
    if (file == NULL)
        abort();
    csv_begin(&r, file);
    while ((status = csv_next(&r, &err)) != STATUS_NOT_FOUND) {
        if (status != STATUS_OK && status != STATUS_INVALID)
            abort();
        for (size_t i = 0; status == STATUS_OK && i < r.n_cells; i++)
            if (!utf8_is_valid(r.cells[i], strlen(r.cells[i])) || strlen(r.cells[i]) > CSV_MAX_LINE)
                abort();
        ended = status == STATUS_OK && r.n_cells == 2 && strcmp(r.cells[0], "the end") == 0 &&
                strcmp(r.cells[1], "of it") == 0;
    }
    if (!ended || r.offset != (int64_t)text.len)
        abort();
    csv_release(&r);
    fclose(file);
    buf_release(&text);
    return 0;
}
