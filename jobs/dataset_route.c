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

static int compare_literals(const void *a, const void *b)
{
    return strcmp(((const struct dataset_route *)a)->pattern, ((const struct dataset_route *)b)->pattern);
}

static int compare_patterns(const void *a, const void *b)
{
    size_t one = dataset_path_params(((const struct dataset_route *)a)->pattern);
    size_t other = dataset_path_params(((const struct dataset_route *)b)->pattern);

    return one != other ? (one > other) - (one < other) : compare_literals(a, b);
}

static void add(struct dataset_routes *routes, const struct dataset *d)
{
    for (size_t i = 0; i < d->n_paths; i++) {
        struct dataset_route route = {d->paths[i], d};
        if (dataset_path_params(d->paths[i]) == 0)
            routes->literal[routes->n_literal++] = route;
        else
            routes->patterns[routes->n_patterns++] = route;
    }
}

enum status dataset_routes_init(struct dataset_routes *routes, size_t n, const struct dataset *const *datasets,
                                struct err *err)
{
    size_t max = n * DATASET_MAX_PATHS + 1;

    *routes = (struct dataset_routes){.literal = calloc(max, sizeof *routes->literal),
                                      .patterns = calloc(max, sizeof *routes->patterns)};
    if (routes->literal == NULL || routes->patterns == NULL) {
        dataset_routes_release(routes);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n; i++)
        add(routes, datasets[i]);
    qsort(routes->literal, routes->n_literal, sizeof *routes->literal, compare_literals);
    qsort(routes->patterns, routes->n_patterns, sizeof *routes->patterns, compare_patterns);
    return STATUS_OK;
}

void dataset_routes_release(struct dataset_routes *routes)
{
    free(routes->literal);
    free(routes->patterns);
    *routes = (struct dataset_routes){0};
}

const struct dataset *dataset_routes_find(const struct dataset_routes *routes, const char *path,
                                          const char **ret_pattern)
{
    const struct dataset_route key = {.pattern = path};
    const struct dataset_route *found = bsearch(&key, routes->literal, routes->n_literal, sizeof key, compare_literals);

    if (found == NULL && *path == '/' && strchr(path, '{') == NULL)
        for (size_t i = 0; i < routes->n_patterns && found == NULL; i++)
            if (dataset_paths_overlap(routes->patterns[i].pattern, path))
                found = &routes->patterns[i];
    if (found == NULL)
        return NULL;
    *ret_pattern = found->pattern;
    return found->dataset;
}
