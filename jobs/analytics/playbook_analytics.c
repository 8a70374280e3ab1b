#include "jobs/analytics/playbook_analytics.h"

#include <stdlib.h>

#include "jobs/analytics/metric_writer.h"

/* Of one playbook. */
struct playbook_tally {
    size_t n, n_options, wins, losses, missed;
    wide_int gross_profit_e8, gross_loss_e8; /* gross_loss <= 0 */
    size_t full, full_wins, partial, none;   /* by compliance */
};

static void add_compliance(struct playbook_tally *tally, const struct playbook *playbook, const struct trade_link *link,
                           bool win)
{
    if (playbook->n_rules < 1 || link->n_recorded < 1)
        return;
    if (link->n_followed < 1) {
        tally->none++;
    } else if (link->n_followed < playbook->n_rules) {
        tally->partial++;
    } else {
        tally->full++;
        tally->full_wins += win;
    }
}

static void add_trade(struct playbook_tally *tally, const struct playbook *playbook, const struct trade_link *link,
                      const struct trade *t)
{
    int64_t net = trade_net_e8(t);

    tally->n++;
    tally->n_options += t->option;
    tally->wins += net > 0;
    tally->losses += net < 0;
    if (net > 0)
        tally->gross_profit_e8 += net;
    else
        tally->gross_loss_e8 += net;
    add_compliance(tally, playbook, link, net > 0);
}

static void add_trades(const struct journal *journal, const struct annotations *a, const struct time_range *range,
                       struct playbook_tally *tallies)
{
    for (size_t i = 0; i < journal->n_closed; i++) {
        const struct trade *t = &journal->closed[i];
        const struct trade_link *links;
        size_t n;

        if (!time_range_has(range, t->exit_day))
            continue;
        n = trade_links_of(&a->playbook_links, t, &links);
        for (size_t k = 0; k < n; k++) {
            uint32_t playbook = links[k].target;

            if (k == 0 || links[k - 1].target != playbook) /* else linked twice */
                add_trade(&tallies[playbook], &a->playbooks[playbook], &links[k], t);
        }
    }
}

static void add_missed(const struct journal *journal, const struct annotations *a, const struct time_range *range,
                       struct playbook_tally *tallies)
{
    struct day_clock clock;

    day_clock_init(&clock, &journal->account);
    for (size_t i = 0; i < a->n_missed; i++)
        tallies[a->missed[i].playbook].missed += time_range_has(range, day_clock_day(&clock, a->missed[i].opportunity));
}

/* By index in the playbooks; free() it. NULL: out of memory. */
static struct playbook_tally *tally_playbooks(const struct journal *journal, const struct annotations *a,
                                              const struct time_range *range)
{
    struct playbook_tally *tallies = calloc(a->n_playbooks + 1, sizeof *tallies);

    if (tallies == NULL)
        return NULL;
    add_trades(journal, a, range, tallies);
    add_missed(journal, a, range, tallies);
    return tallies;
}

static void write_playbook(const struct annotations *a, size_t playbook, const struct playbook_tally *t,
                           struct json_writer *w)
{
    struct text_ref name = symbol_table_name(&a->names, a->playbooks[playbook].name);
    wide_int net = t->gross_profit_e8 + t->gross_loss_e8;

    json_object_begin(w);
    json_key(w, "playbook_id");
    json_int(w, a->playbooks[playbook].id);
    json_key(w, "playbook_name");
    json_string_bytes(w, name.bytes, name.len);
    write_count(w, "total_trades", t->n);
    write_count(w, "stock_trades", t->n - t->n_options);
    write_count(w, "option_trades", t->n_options);
    write_percentage(w, "win_rate", (wide_int)t->wins, (wide_int)t->n);
    write_money(w, "net_pnl", net);
    write_count(w, "missed_trades", t->missed);
    write_ratio(w, "profit_factor", t->gross_profit_e8, -t->gross_loss_e8);
    write_money_mean(w, "expectancy", net, t->n);
    write_money_mean(w, "average_winner", t->gross_profit_e8, t->wins);
    write_money_mean(w, "average_loser", t->gross_loss_e8, t->losses);
    write_count(w, "total_trades_with_compliance_data", t->full + t->partial + t->none);
    write_count(w, "fully_compliant_trades", t->full);
    write_count(w, "partially_compliant_trades", t->partial);
    write_count(w, "non_compliant_trades", t->none);
    write_percentage(w, "fully_compliant_win_rate", (wide_int)t->full_wins, (wide_int)t->full);
    json_object_end(w);
}

enum status playbook_analytics_write_all(const struct journal *journal, const struct annotations *annotations,
                                         const struct time_range *range, struct json_writer *w, struct err *err)
{
    struct playbook_tally *tallies = tally_playbooks(journal, annotations, range);

    if (tallies == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for %zu playbooks", annotations->n_playbooks);
    json_array_begin(w);
    for (size_t i = 0; i < annotations->n_playbooks; i++)
        write_playbook(annotations, i, &tallies[i], w);
    json_array_end(w);
    free(tallies);
    return STATUS_OK;
}

enum status playbook_analytics_write_one(const struct journal *journal, const struct annotations *annotations,
                                         const struct time_range *range, int64_t playbook_id, struct json_writer *w,
                                         struct err *err)
{
    size_t playbook = annotations_find_playbook(annotations, playbook_id);
    struct playbook_tally *tallies;

    if (playbook == annotations->n_playbooks)
        return err_fail(err, STATUS_NOT_FOUND, "there is no such playbook");
    tallies = tally_playbooks(journal, annotations, range);
    if (tallies == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for %zu playbooks", annotations->n_playbooks);
    write_playbook(annotations, playbook, &tallies[playbook], w);
    free(tallies);
    return STATUS_OK;
}
