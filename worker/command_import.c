/* pnlcache-worker import: market data from CSV files, for operators and their timers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jobs/market_import.h"
#include "lib/base/log.h"
#include "lib/base/parse_number.h"
#include "lib/store/outbox.h"
#include "worker/job.h"

#define DEFAULT_MAX_ERRORS 1000

static const char usage[] =
    "Usage: pnlcache-worker import KIND FILE [--database URL] [--max-errors N]\n\n"
    "Loads market data from a CSV file, - for standard input. Its header line names the columns; KIND is\n"
    "  bars      symbol, date, close, [open, high, low, volume]\n"
    "  quotes    symbol, price, [observed_at]\n"
    "  prices    symbol, price, [expiration_date, option_type, strike_price, observed_at]: of options, and of shares\n"
    "  earnings  symbol, date, [session, fiscal_period, eps_estimate, eps_actual, revenue_estimate, revenue_actual]\n"
    "  symbols   symbol, [name, kind, exchange, currency, sector, industry]\n"
    "A row that is there is replaced, one that is there and equal is left alone: after an interruption run it again.\n"
    "A bad line is reported with its number and reason, and all others are loaded.\n"
    "  --database URL  a connection that may write the tables; default IMPORT_DATABASE_URL, else DATABASE_URL\n"
    "  --max-errors N  more bad lines than this end it; default 1000\n"
    "\nExit status: 0 all is loaded; 1 failed; 2 wrong command line, settings or header; 4 some lines were bad, all others are loaded;\n"
    "128+N stopped by signal N. What was loaded before the end stays.\n";

struct request {
    const char *path;
    struct market_import import;
    int64_t size; /* of the file; 0: not known */
};

/* --- while it runs ------------------------------------------------------------------------------- */

static void show_progress(void *context, int64_t bytes_read)
{
    struct job_run *run = context;
    const struct request *request = run->plan->context;

    progress_update(&run->progress, (size_t)(bytes_read / 1024), (size_t)(request->size / 1024));
}

static void name_bad_line(void *context, int64_t line, const char *reason)
{
    struct job_run *run = context;
    const struct request *request = run->plan->context;

    progress_end(&run->progress);
    log_warn("line not loaded", LOG_STR("file", request->path), LOG_INT("line", line), LOG_STR("reason", reason));
}

/* The market event. The tables' triggers have noted the change as well, but they may be somebody else's tables. */
static enum status tell(struct job_run *run, struct err *err)
{
    const struct request *request = run->plan->context;
    const struct cache_tags *tags = &request->import.kind->tags;
    struct outbox_note note = {.user_id = NULL, .tag = tags->tags[0].name};
    struct err why = {""};

    if (request->import.rows == 0)
        return STATUS_OK;
    if (run->settings->redis_enabled && cache_invalidate(run->cache, run->redis, NULL, tags, &why) == STATUS_OK)
        return STATUS_OK;
    log_warn("Redis was not told; the change is left to the outbox", LOG_STR("reason", why.text));
    return outbox_add(run->db, &note, 1, err);
}

static enum status load(struct job_run *run, struct err *err)
{
    struct request *request = run->plan->context;
    struct market_import *m = &request->import;
    struct err why;
    enum status status, told;

    m->db = run->db;
    m->stop = job_stop_flag();
    m->on_bad_line = name_bad_line;
    m->on_progress = show_progress;
    m->context = run;
    status = market_import_run(m, err);
    told = tell(run, &why);
    if (status != STATUS_OK && m->done_lines > 0)
        err_prefix(err, "%s, loaded up to line %lld", request->path, (long long)m->done_lines);
    else if (status != STATUS_OK)
        err_prefix(err, "%s", request->path);
    else if (told != STATUS_OK)
        status = err_fail(err, told, "the rows are loaded, but nobody could be told: %s", why.text);
    return status;
}

static void log_result(const struct job_run *run, const char *message)
{
    const struct request *request = run->plan->context;
    const struct market_import *m = &request->import;

    log_info(message, LOG_STR("job", "import"), LOG_STR("file", request->path), LOG_INT("lines", m->lines),
             LOG_INT("rows", m->rows), LOG_INT("bad_lines", m->bad_lines), LOG_INT("last_line", m->done_lines),
             LOG_INT("ms", progress_elapsed_ms(&run->progress)));
}

/* --- the command --------------------------------------------------------------------------------- */

static int carry_out(struct request *request, struct settings *settings, const char *url)
{
    const struct job_plan plan = {
        .name = "import", .noun = "KiB", .work = load, .log_result = log_result, .context = request};
    struct settings view = *settings;
    struct buf database = BUF_INIT;
    int exit_status;

    if (url == NULL && settings->import_database_url[0] != '\0')
        url = settings->import_database_url;
    buf_append_string(&database, url != NULL ? url : settings->database_url);
    view.database_url = database.data;
    exit_status = job_carry_out(&plan, &view);
    buf_release(&database);
    return exit_status == EXIT_DONE && request->import.bad_lines > 0 ? EXIT_PARTLY : exit_status;
}

static int open_and_load(struct request *request, const char *url)
{
    bool is_file = strcmp(request->path, "-") != 0;
    struct settings *settings = NULL;
    struct stat st;
    int exit_status;

    request->import.file = is_file ? fopen(request->path, "re") : stdin;
    if (request->import.file == NULL)
        return command_misused("%s: %s", request->path, strerror(errno));
    if (fstat(fileno(request->import.file), &st) == 0 && S_ISREG(st.st_mode))
        request->size = st.st_size;
    if (command_load_settings(&settings, &exit_status)) {
        exit_status = carry_out(request, settings, url);
        settings_free(&settings);
    }
    if (is_file)
        (void)fclose(request->import.file);
    return exit_status;
}

int command_import(int argc, char *const *argv)
{
    struct request request = {.import = {.max_errors = DEFAULT_MAX_ERRORS}};
    const char *max_errors = NULL, *url = NULL;
    const struct cli_option options[] = {{"--database", CLI_TEXT, {.text = &url}},
                                         {"--max-errors", CLI_TEXT, {.text = &max_errors}}};
    int n_words = 0, exit_status;

    while (n_words < 2 && n_words < argc && (argv[n_words][0] != '-' || argv[n_words][1] == '\0'))
        n_words++;
    if (!command_parse("pnlcache-worker import", usage, argc - n_words, argv + n_words, options,
                       sizeof options / sizeof options[0], &exit_status))
        return exit_status;
    if (n_words < 2)
        return command_misused("import needs KIND and FILE; see 'pnlcache-worker import --help'");
    request.import.kind = import_kind_find(argv[0]);
    request.path = argv[1];
    if (request.import.kind == NULL)
        return command_misused("import '%s': expected bars, quotes, prices, earnings or symbols", argv[0]);
    if (max_errors != NULL && parse_int64(max_errors, 0, INT64_MAX, &request.import.max_errors) != STATUS_OK)
        return command_misused("--max-errors '%s' is not a whole number", max_errors);
    return open_and_load(&request, url);
}
