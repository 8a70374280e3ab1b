/* A hostile settings file: parsed or refused with its line, and what is parsed has plain names. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/env_file.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct env_file file = {0};
    struct err err = {""};
    enum status status = env_file_parse("f", (const char *)bytes, len, &file, &err);

    if (status == STATUS_OK) {
        for (size_t i = 0; i < file.n; i++) {
            const char *name = file.entries[i].name;
            if (*name == '\0' || file.entries[i].line < 1 || env_file_get(&file, name) == NULL)
                abort();
            if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
                abort();
        }
        env_file_release(&file);
    } else if (status != STATUS_INVALID || strncmp(err.text, "f:", 2) != 0) {
        abort();
    }
    return 0;
}
