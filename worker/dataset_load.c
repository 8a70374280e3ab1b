#include "worker/dataset_load.h"

#include "lib/base/log.h"

enum status load_datasets(const struct settings *settings, struct dataset_set **ret_set, struct err *err)
{
    enum status status = dataset_set_load(settings, ret_set, err);

    if (status != STATUS_NOT_FOUND)
        return status;
    log_warn("there are no datasets", LOG_STR("reason", err->text));
    *ret_set = NULL;
    return STATUS_OK;
}
