/* Hostile JSON. What is accepted is walked, its strings checked, its names looked up again. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/json/json_reader.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

static void walk(const struct json_value *value, int depth)
{
    const char *text = json_get_string(value);
    int64_t integer;
    double number;
    bool flag;

    if (depth > JSON_MAX_DEPTH)
        abort();
    if (text != NULL && !utf8_is_valid(text, strlen(text)))
        abort();
    if (json_get_int(value, &integer) == STATUS_OK &&
        (json_get_double(value, &number) != STATUS_OK || (double)integer != number))
        abort();
    (void)!json_get_bool(value, &flag);
    for (const struct json_value *c = json_first_child(value); c != NULL; c = json_next_sibling(c)) {
        if (json_type_of(value) == JSON_OBJECT && json_member(value, json_child_name(c)) != c)
            abort(); /* a duplicate name */
        walk(c, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct json_document *document = NULL;
    struct err err = {""};
    enum status status = json_parse((const char *)bytes, len, &document, &err);

    if (status == STATUS_OK)
        walk(json_root(document), 0);
    else if (status != STATUS_INVALID || err.text[0] == '\0' || document != NULL)
        abort();
    json_document_free(&document);
    return 0;
}
