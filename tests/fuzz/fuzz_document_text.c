/* A remembered request from a foreign hand. What is accepted is the one spelling of a request that has a key and tags. */
#include <stdlib.h>
#include <string.h>

#include "jobs/document_text.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct document_request request;
    struct buf again = BUF_INIT;
    char *text = strndup((const char *)bytes, len);

    if (text == NULL)
        return 0;
    if (document_parse_text(text, &request) == STATUS_OK) {
        document_append_text(&request, &again);
        if (strcmp(again.data, text) != 0 || document_tags(&request)->n < 2)
            abort();
    }
    buf_release(&again);
    free(text);
    return 0;
}
