/* A dataset file from a foreign hand. What is accepted binds each parameter and, when it is a user's, the user. */
#include <stdlib.h>
#include <string.h>

#include "jobs/dataset.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

static void check(const struct dataset *d)
{
    bool has_user = false;

    for (size_t i = 0; i < d->n_bound; i++)
        has_user = has_user || d->bound[i] == DATASET_USER;
    if (has_user == d->shared || d->n_bound != d->n_params + has_user || d->n_paths == 0 || d->ttl_s < 1)
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct dataset *d = NULL;
    struct err err;
    char *text = malloc(len + 1);

    if (text == NULL)
        return 0;
    memcpy(text, bytes, len);
    if (dataset_parse("fuzz.sql", text, len, &d, &err) == STATUS_OK)
        check(d);
    dataset_free(&d);
    free(text);
    return 0;
}
