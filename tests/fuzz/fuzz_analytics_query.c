/* Hostile requests for analytics: the first line is the query string, the rest the JSON body. What is
 * accepted must be within its bounds. */
#include <stdlib.h>
#include <string.h>

#include "fcgi/analytics_query.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

static void add(struct request *r, const char *name, const char *value, size_t len)
{
    request_add_param(r, name, strlen(name), value, len);
}

static void check(const struct document_request *document)
{
    unsigned known = (1U << DIMENSIONS) - 1;

    if ((document->section == SECTION_GROUPED) != (document->dimensions != 0) || (document->dimensions & ~known) != 0)
        abort();
    if (document->range.name != RANGE_CUSTOM && (document->range.has_start || document->range.has_end))
        abort();
    if (document->asset > ASSET_OPTIONS || document->risk_free_rate_e8 <= -MONEY_SCALE)
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    static const enum section sections[] = {SECTION_CORE, SECTION_GROUPED, SECTION_PLAYBOOKS};
    const char *text = (const char *)bytes, *newline = memchr(text, '\n', len);
    size_t query_len = newline == NULL ? len : (size_t)(newline - text);
    struct document_request document = {.section = SECTION_CORE};
    struct problem_fields problems = {.n = 0};
    struct analytics_query query;
    struct request request;
    struct err err = {""};

    request_init(&request);
    add(&request, "REQUEST_METHOD", "POST", 4);
    add(&request, "REQUEST_URI", "/x", 2);
    if (memchr(text, '\0', query_len) == NULL)
        add(&request, "QUERY_STRING", text, query_len);
    if (newline != NULL)
        buf_append(&request.body, newline + 1, len - query_len - 1);
    if (request_parse(&request, &err) == STATUS_OK) {
        document.section = sections[len % 3];
        if (analytics_query_read(&query, &request, document.section, ASSET_ALL, &problems, &err) == STATUS_OK) {
            analytics_query_parse(&query, &document, &problems);
            if (problems.n == 0)
                check(&document);
        } else if (err.text[0] == '\0') {
            abort();
        }
        analytics_query_release(&query);
    }
    request_release(&request);
    return 0;
}
