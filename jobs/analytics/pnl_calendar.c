#include "jobs/analytics/pnl_calendar.h"

#include "jobs/analytics/metric_writer.h"

struct cell {
    wide_int net_e8;
    size_t n, wins;
};

struct month {
    struct civil civil;
    struct date first;
    int n_days;
    struct cell days[31];
};

static struct month month_of(const struct journal *journal, enum asset asset, struct date day)
{
    struct month m = {.civil = date_to_civil(day), .first = date_first_of_month(day)};

    m.n_days = days_in_month(m.civil.year, m.civil.month);
    for (size_t i = 0; i < journal->n_closed; i++) {
        const struct trade *t = &journal->closed[i];
        int at = date_diff_days(t->exit_day, m.first);

        if (at < 0 || at >= m.n_days || !asset_has(asset, t))
            continue;
        m.days[at].net_e8 += trade_net_e8(t);
        m.days[at].n++;
        m.days[at].wins += trade_net_e8(t) > 0;
    }
    return m;
}

/* profit, trade_count and trading_days of the days [from, to) of the month, as far as it has them. */
static void write_sums(const struct month *m, int from, int to, const char *profit_key, struct json_writer *w)
{
    struct cell sum = {0};
    size_t n_days = 0;

    for (int i = from < 0 ? 0 : from; i < to && i < m->n_days; i++) {
        sum.net_e8 += m->days[i].net_e8;
        sum.n += m->days[i].n;
        n_days += m->days[i].n != 0;
    }
    write_money(w, profit_key, sum.net_e8);
    write_count(w, "trade_count", sum.n);
    write_count(w, "trading_days", n_days);
}

static void write_days(const struct month *m, struct json_writer *w)
{
    json_key(w, "days");
    json_array_begin(w);
    for (int i = 0; i < m->n_days; i++) {
        json_object_begin(w);
        write_date(w, "date", true, date_add_days(m->first, i));
        write_money(w, "profit", m->days[i].net_e8);
        write_count(w, "trade_count", m->days[i].n);
        write_percentage(w, "win_rate", (wide_int)m->days[i].wins, (wide_int)m->days[i].n);
        json_object_end(w);
    }
    json_array_end(w);
}

/* grid: the first day of the first week, at or before the first of the month. */
static void write_weeks(const struct month *m, struct date grid, struct json_writer *w)
{
    int from = date_diff_days(grid, m->first);

    json_key(w, "weeks");
    json_array_begin(w);
    for (int week = 1; from < m->n_days; week++, from += 7) {
        json_object_begin(w);
        json_key(w, "week_index");
        json_int(w, week);
        write_date(w, "week_start", true, date_add_days(m->first, from));
        write_date(w, "week_end", true, date_add_days(m->first, from + 6));
        write_sums(m, from, from + 7, "profit", w);
        json_object_end(w);
    }
    json_array_end(w);
}

void pnl_calendar_write(const struct journal *journal, enum asset asset, struct date day, struct json_writer *w)
{
    struct month m = month_of(journal, asset, day);
    int first_weekday = journal->account.week_starts_monday ? 1 : 0;
    struct date last = date_add_days(m.first, m.n_days - 1);
    struct date grid_start = date_add_days(m.first, -((date_weekday(m.first) - first_weekday + 7) % 7));
    struct date grid_end = date_add_days(last, 6 - (date_weekday(last) - first_weekday + 7) % 7);

    json_object_begin(w);
    json_key(w, "year");
    json_int(w, m.civil.year);
    json_key(w, "month");
    json_int(w, m.civil.month);
    write_sums(&m, 0, m.n_days, "month_profit", w);
    write_date(w, "grid_start", true, grid_start);
    write_date(w, "grid_end", true, grid_end);
    write_days(&m, w);
    write_weeks(&m, grid_start, w);
    json_object_end(w);
}
