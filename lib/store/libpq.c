#include "lib/store/libpq.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct libpq libpq;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256]; /* "": loaded */

static bool load_function(void *library, const char *name, void *ret_function)
{
    *(void **)ret_function = dlsym(library, name);
    return *(void **)ret_function != NULL;
}

/* The number is that of the ABI, the same since PostgreSQL 8.3. */
static void load(void)
{
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    bool complete = library != NULL;

#define LIBPQ_LOAD(name) complete = complete && load_function(library, "PQ" #name, &libpq.name);
    LIBPQ_FUNCTIONS(LIBPQ_LOAD)
    if (!complete)
        (void)snprintf(failure, sizeof failure, "libpq cannot be loaded: %s", dlerror());
}

enum status libpq_load(struct err *err)
{
    (void)pthread_once(&once, load);
    return failure[0] == '\0' ? STATUS_OK : err_fail(err, STATUS_INTERNAL, "%s", failure);
}
