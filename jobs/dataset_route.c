#include "jobs/dataset_route.h"

#include <stdlib.h>
#include <string.h>

bool dataset_paths_overlap(const char *a, const char *b)
{
    while (*a && *b) {
        size_t la = strcspn(++a, "/"), lb = strcspn(++b, "/");
        if (*a != '{' && *b != '{' && (la != lb || memcmp(a, b, la) != 0))
            return false;
        if (la == 0 || lb == 0)
            return la == lb;
        a += la;
        b += lb;
    }
    return *a == *b;
}

size_t dataset_path_params(const char *pattern)
{
    size_t n = 0;

    for (; *pattern; pattern++)
        n += *pattern == '{';
    return n;
}

/* Those with fewer parameters first, as they are to be tried. */
static int compare(const void *a, const void *b)
{
    const char *one = ((const struct dataset_route *)a)->pattern, *other = ((const struct dataset_route *)b)->pattern;
    size_t n = dataset_path_params(one), m = dataset_path_params(other);

    return n != m ? (n > m) - (n < m) : strcmp(one, other);
}

static size_t slots_for(size_t n)
{
    size_t n_slots = 4;

    while (n_slots < 2 * n)
        n_slots *= 2;
    return n_slots;
}

enum status dataset_routes_init(struct dataset_routes *routes, size_t n, const struct dataset *const *datasets,
                                struct err *err)
{
    size_t max = n * DATASET_MAX_PATHS + 1, n_routes = 0, n_slots = slots_for(max);

    *routes = (struct dataset_routes){.routes = calloc(max, sizeof *routes->routes),
                                      .patterns = calloc(max, sizeof *routes->patterns),
                                      .slots = calloc(n_slots, sizeof *routes->slots)};
    if (routes->routes == NULL || routes->patterns == NULL || routes->slots == NULL) {
        dataset_routes_release(routes);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < datasets[i]->n_paths; k++)
            routes->routes[n_routes++] = (struct dataset_route){datasets[i]->paths[k], datasets[i]};
    qsort(routes->routes, n_routes, sizeof *routes->routes, compare);
    path_table_init(&routes->paths, routes->slots, n_slots, routes->patterns);
    for (size_t i = 0; i < n_routes; i++)
        path_table_add(&routes->paths, routes->routes[i].pattern, (int)i);
    return STATUS_OK;
}

void dataset_routes_release(struct dataset_routes *routes)
{
    free(routes->routes);
    free(routes->patterns);
    free(routes->slots);
    *routes = (struct dataset_routes){0};
}

const struct dataset *dataset_routes_find(const struct dataset_routes *routes, const char *path,
                                          const char **ret_pattern)
{
    int i = path_table_find(&routes->paths, path);

    if (i < 0)
        return NULL;
    *ret_pattern = routes->routes[i].pattern;
    return routes->routes[i].dataset;
}
