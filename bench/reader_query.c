/* Prints the query that jobs/trade_reader.c sends for the users of an array literal, so that the bare COPY is measured
 * over the very rows, columns and order that a computation reads: reader_query '{"a","b"}' */
#include <stdio.h>

#include "jobs/trade_reader.h"

int main(int argc, char **argv)
{
    struct buf sql = BUF_INIT;

    if (argc != 2) {
        fprintf(stderr, "usage: reader_query USER_ID_ARRAY\n");
        return 2;
    }
    trade_reader_append_query(&sql, argv[1]);
    if (buf_status(&sql) != STATUS_OK || puts(sql.data) < 0)
        return 1;
    buf_release(&sql);
    return 0;
}
