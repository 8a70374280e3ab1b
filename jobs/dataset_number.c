#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "jobs/dataset.h"

/* Only appended to, so that readers need no lock and names live as long as the process. */
static char names[DATASET_NUMBERS][DATASET_NAME_MAX + 1];
static _Atomic size_t n_names;

size_t dataset_number_of(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    size_t n, i = 0;

    pthread_mutex_lock(&lock);
    n = atomic_load(&n_names);
    while (i < n && strcmp(names[i], name) != 0)
        i++;
    if (i == n && n < DATASET_NUMBERS) {
        (void)snprintf(names[n], sizeof names[n], "%s", n < DATASET_NUMBERS - 1 ? name : "other");
        atomic_store(&n_names, n + 1);
    }
    pthread_mutex_unlock(&lock);
    return i < DATASET_NUMBERS ? i : DATASET_NUMBERS - 1;
}

const char *dataset_number_name(size_t number)
{
    return number < atomic_load(&n_names) ? names[number] : NULL;
}
