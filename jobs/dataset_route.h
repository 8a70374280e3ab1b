/* Which dataset answers at a path. */
#ifndef PNLCACHE_JOBS_DATASET_ROUTE_H
#define PNLCACHE_JOBS_DATASET_ROUTE_H

#include "jobs/dataset.h"
#include "lib/base/path_table.h"

struct dataset_route {
    const char *pattern; /* the dataset's */
    const struct dataset *dataset;
};

struct dataset_routes {
    struct dataset_route *routes;
    struct path_table paths; /* whose values are places in `routes` */
    struct name_slot *slots;
    struct path_pattern *patterns;
};

/* The datasets are borrowed. Zeroed is fine for release, which is repeatable. */
enum status dataset_routes_init(struct dataset_routes *routes, size_t n, const struct dataset *const *datasets,
                                struct err *err) MUST_CHECK;
void dataset_routes_release(struct dataset_routes *routes);
/* The one with the fewest parameters; NULL: none. */
const struct dataset *dataset_routes_find(const struct dataset_routes *routes, const char *path,
                                          const char **ret_pattern);
/* How many segments are parameters. */
size_t dataset_path_params(const char *pattern);

#endif
