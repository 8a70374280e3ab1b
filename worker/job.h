/* The scheduled jobs: one-shot, idempotent, each `pnlcache-worker job NAME`. The table of them is in command_job.c. */
#ifndef PNLCACHE_WORKER_JOB_H
#define PNLCACHE_WORKER_JOB_H

#include "jobs/precompute.h"
#include "worker/command.h"
#include "worker/progress.h"
#include "worker/report_log.h"

struct job_kind {
    const char *name;
    const char *summary; /* for job --list */
    /* argv begins after the job's name. Returns the exit status. */
    int (*run)(int argc, char *const *argv);
};

/* Ascending by name; ends with a NULL name. */
extern const struct job_kind job_kinds[];
const struct job_kind *job_kind_find(const char *name); /* NULL: there is none */

int job_audit(int argc, char *const *argv);
int job_market(int argc, char *const *argv);
int job_precompute(int argc, char *const *argv);
int job_prune(int argc, char *const *argv);
int job_reference(int argc, char *const *argv);
int job_rollover(int argc, char *const *argv);
int job_warm(int argc, char *const *argv);

#define JOB_EXIT_STATUS_HELP                                                                                           \
    "\nExit status: 0 done; 1 failed, or some users could not be computed; 2 wrong command line or settings;\n"        \
    "3 another run of the job is at work; 128+N stopped by signal N (what was finished stays).\n"

/* --- what they share ------------------------------------------------------------------------------- */

struct job_plan;

/* A job at work: its connections (not connected yet) and its progress. */
struct job_run {
    const struct job_plan *plan;
    const struct settings *settings;
    struct db *db;
    struct cache *cache;
    struct redis *redis;
    struct dataset_set *datasets;  /* NULL unless plan->compute stores, or the work loads them */
    struct precompute *precompute; /* NULL unless plan->compute */
    struct progress progress;
    struct skipped_log skipped;
    struct too_large_log too_large;
    bool busy;     /* another run has the lock */
    bool in_doubt; /* set by the work: it was done, but the run counts as failed */
};

struct job_plan {
    const char *name;
    const char *noun; /* what progress counts: "users" */
    /* Does the work; what it does before it notices job_stop_flag() stays. */
    enum status (*work)(struct job_run *run, struct err *err);
    /* Logs the result when the work is done or was stopped. */
    void (*log_result)(const struct job_run *run, const char *message);
    void *context; /* for the two */
    bool alone;    /* under the job's lock: never two runs at once, on any machine */
    bool counted;  /* as the schedule starts it: its outcome goes into stats:jobs */
    /* Not NULL: the work needs run->precompute, made with these choices (only_invalid, valid_for_s, on_document,
     * count_users, overlapped); the rest is filled in. */
    const struct precompute_options *compute;
    void (*choose)(const struct settings *settings,
                   struct precompute_options *options); /* may be NULL: those that depend */
};

/* Turns true when SIGTERM or SIGINT came, or when the lock was lost. */
const atomic_bool *job_stop_flag(void);
/* Opens, works under the lock, logs, closes; gives the exit status. EXIT_BUSY: another run holds the lock. */
int job_carry_out(const struct job_plan *plan, struct settings *settings);
/* A job with options of its own: parses them into `request`, checks it, loads the settings, runs. */
struct job_command {
    const char *command, *usage; /* as of command_parse() */
    const struct cli_option *options;
    size_t n_options;
    void *request;
    enum status (*check)(void *request, struct err *err);
    int (*run)(void *request, struct settings *settings); /* gives the exit status */
};
int job_command_run(const struct job_command *command, int argc, char *const *argv);
/* job_carry_out() for a job without options of its own. */
int job_carry_out_plain(const struct job_plan *plan, const char *usage, int argc, char *const *argv);
/* The values of --user. STATUS_INVALID: one is no user id. */
enum status job_check_users(const struct cli_list *users, struct err *err) MUST_CHECK;
/* A log_result of jobs that compute users. */
void job_log_users(const struct job_run *run, const char *message);

#endif
