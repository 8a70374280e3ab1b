#include "fcgi/metrics_jobs.h"

#include <stdio.h>

#include "jobs/audit.h"
#include "lib/base/prometheus.h"
#include "lib/store/job_stats.h"
#include "lib/store/job_stream.h"

static void write_queue(const struct job_stream_state *s, struct buf *out)
{
    prometheus_family(out, "pnlcache_jobs", "gauge", "Jobs not yet done, and dead letters, by state.");
    prometheus_sample(out, "pnlcache_jobs", "state=\"queued\"", s->depth - s->in_flight - s->retrying);
    prometheus_sample(out, "pnlcache_jobs", "state=\"in_flight\"", s->in_flight);
    prometheus_sample(out, "pnlcache_jobs", "state=\"retrying\"", s->retrying);
    prometheus_sample(out, "pnlcache_jobs", "state=\"dead\"", s->dead);
    prometheus_family(out, "pnlcache_jobs_oldest_age_seconds", "gauge",
                      "Age of the job at the head of the queue, or of the next to be tried again.");
    prometheus_seconds(out, "pnlcache_jobs_oldest_age_seconds", NULL, s->oldest_age_ms * 1000);
}

/* The same number of every kind, at this place of struct job_stats. */
static void write_numbers(const struct job_stats *stats, size_t offset, const char *name, const char *type,
                          const char *help, bool without_zero, struct buf *out)
{
    char labels[64];

    prometheus_family(out, name, type, help);
    for (size_t i = 0; i < JOB_STATS_KINDS; i++) {
        int64_t number = *(const int64_t *)((const char *)&stats[i] + offset);

        (void)snprintf(labels, sizeof(labels), "kind=\"%s\"", job_stats_kinds[i]);
        if (number != 0 || !without_zero)
            prometheus_sample(out, name, labels, number);
    }
}

static void write_histogram(const char *kind, const struct job_stats *s, struct buf *out)
{
    static const char name[] = "pnlcache_job_duration_seconds";
    char labels[96], sum[64], count[64];
    int64_t n = 0;

    for (size_t i = 0; i <= JOB_STATS_BUCKETS; i++) {
        n += s->buckets[i];
        if (i < JOB_STATS_BUCKETS)
            (void)snprintf(labels, sizeof(labels), "kind=\"%s\",le=\"%g\"", kind,
                           (double)job_stats_bucket_ms[i] / 1000);
        else
            (void)snprintf(labels, sizeof(labels), "kind=\"%s\",le=\"+Inf\"", kind);
        prometheus_sample(out, "pnlcache_job_duration_seconds_bucket", labels, n);
    }
    (void)snprintf(sum, sizeof(sum), "%s_sum", name);
    (void)snprintf(count, sizeof(count), "%s_count", name);
    (void)snprintf(labels, sizeof(labels), "kind=\"%s\"", kind);
    prometheus_seconds(out, sum, labels, s->timed_ms * 1000);
    prometheus_sample(out, count, labels, n);
}

static void write_stats(const struct job_stats *stats, struct buf *out)
{
    write_numbers(stats, offsetof(struct job_stats, done), "pnlcache_jobs_done_total", "counter", "Jobs done, by kind.",
                  false, out);
    write_numbers(stats, offsetof(struct job_stats, failed), "pnlcache_job_failures_total", "counter",
                  "Attempts of jobs that failed, by kind.", false, out);
    write_numbers(stats, offsetof(struct job_stats, given_up), "pnlcache_jobs_given_up_total", "counter",
                  "Jobs that went to the dead letters, by kind.", false, out);
    write_numbers(stats, offsetof(struct job_stats, last_done_s), "pnlcache_job_last_done_time_seconds", "gauge",
                  "When a job of this kind was done last.", true, out);
    prometheus_family(out, "pnlcache_job_duration_seconds", "histogram",
                      "How long jobs took, from their turn to their end.");
    for (size_t i = 0; i < JOB_STATS_KINDS; i++)
        if (stats[i].done > 0)
            write_histogram(job_stats_kinds[i], &stats[i], out);
}

enum status metrics_write_jobs(struct cache *cache, struct redis *redis, struct buf *out, struct err *err)
{
    struct job_stats stats[JOB_STATS_KINDS];
    struct job_stream_state state;
    enum status status = job_stream_measure(cache, redis, &state, err);

    if (status == STATUS_OK)
        status = job_stats_read(cache, redis, stats, err);
    if (status != STATUS_OK)
        return status;
    write_queue(&state, out);
    write_stats(stats, out);
    return STATUS_OK;
}

enum status metrics_write_audit(struct cache *cache, struct redis *redis, struct buf *out, struct err *err)
{
    struct audit_record record;
    enum status status = audit_read_record(cache, redis, &record, err);

    if (status != STATUS_OK)
        return status;
    prometheus_single(out, "pnlcache_audit_checked_total", "counter", "Cached documents that audits computed again.",
                      record.checked);
    prometheus_single(out, "pnlcache_audit_mismatches_total", "counter", "Of these, those that were wrong.",
                      record.mismatches);
    if (record.last_time_s != 0)
        prometheus_single(out, "pnlcache_audit_last_time_seconds", "gauge", "When the last audit ran.",
                          record.last_time_s);
    return STATUS_OK;
}
