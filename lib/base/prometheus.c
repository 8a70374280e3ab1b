#include "lib/base/prometheus.h"

#include "lib/base/clock.h"

void prometheus_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_name(struct buf *out, const char *name, const char *labels)
{
    buf_append_string(out, name);
    if (labels != NULL)
        buf_append_format(out, "{%s}", labels);
    buf_append_char(out, ' ');
}

void prometheus_sample(struct buf *out, const char *name, const char *labels, int64_t value)
{
    append_name(out, name, labels);
    buf_append_int(out, value);
    buf_append_char(out, '\n');
}

void prometheus_seconds(struct buf *out, const char *name, const char *labels, int64_t us)
{
    append_name(out, name, labels);
    buf_append_format(out, "%lld.%06lld\n", (long long)(us / US_PER_SECOND), (long long)(us % US_PER_SECOND));
}

void prometheus_single(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
    prometheus_family(out, name, type, help);
    prometheus_sample(out, name, NULL, value);
}
