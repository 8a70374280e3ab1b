/* Races are driven by hand: each test says in which order the answer, the message and the event come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/epoch_cache.h"
#include "tests/support/random_numbers.h"

#define INSTANCE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
enum { MAX_AGE = 1000 };

static const struct cache_tags tags = {2, {{"stocks", false}, {"market", true}}};
static const struct cache_tags own_tag = {1, {{"stocks", false}}};

static int set_up(void **state)
{
    struct epoch_cache *e = NULL;

    assert_int_equal(epoch_cache_new(8, &e, NULL), STATUS_OK);
    epoch_cache_begin_session(e, INSTANCE, 0);
    *state = e;
    return 0;
}

static int tear_down(void **state)
{
    struct epoch_cache *e = *state;

    epoch_cache_free(&e);
    return 0;
}

static struct cache_header value_of(const char *instance, uint64_t stocks, uint64_t market)
{
    struct cache_header header = {.n_epochs = 2};

    memcpy(header.instance, instance, sizeof header.instance);
    memcpy(header.epochs[0].tag, "stocks", 7);
    header.epochs[0].epoch = stocks;
    memcpy(header.epochs[1].tag, "market", 7);
    header.epochs[1].shared = true;
    header.epochs[1].epoch = market;
    return header;
}

static enum epoch_knowledge ask(struct epoch_cache *e, const char *user, int64_t now_ms, bool degraded,
                                struct cache_epochs *ret_epochs)
{
    return epoch_cache_get(e, user, &tags, now_ms, MAX_AGE, degraded, ret_epochs);
}

static bool is_known(struct epoch_cache *e, const char *user, uint64_t stocks, uint64_t market)
{
    struct cache_epochs got;

    return ask(e, user, 0, false, &got) == EPOCHS_KNOWN && got.values[0] == stocks && got.values[1] == market &&
           strcmp(got.instance, INSTANCE) == 0;
}

static bool read_and_keep(struct epoch_cache *e, const char *user, uint64_t stocks, uint64_t market)
{
    struct epoch_ticket ticket = epoch_cache_begin(e, user, &tags);
    struct cache_header header = value_of(INSTANCE, stocks, market);

    return epoch_cache_keep(e, ticket, user, &header);
}

static void test_get_after_keep_knows_the_epochs(void **state)
{
    struct cache_epochs got;

    assert_int_equal(ask(*state, "alice", 0, false, &got), EPOCHS_UNKNOWN);
    assert_true(read_and_keep(*state, "alice", 1, 2));
    assert_true(is_known(*state, "alice", 1, 2));
    assert_int_equal(ask(*state, "bob", 0, false, &got), EPOCHS_UNKNOWN);
    assert_true(read_and_keep(*state, "bob", 3, 2));
    assert_true(is_known(*state, "bob", 3, 2) && is_known(*state, "alice", 1, 2));
}

static void test_forget_before_the_answer_is_kept_discards_it(void **state)
{
    struct epoch_ticket ticket = epoch_cache_begin(*state, "alice", &tags);
    struct cache_header header = value_of(INSTANCE, 1, 2);

    epoch_cache_forget(*state, "alice");
    assert_false(epoch_cache_keep(*state, ticket, "alice", &header));
    assert_false(is_known(*state, "alice", 1, 2));
}

static void test_forget_of_the_shared_epochs_discards_an_answer_too(void **state)
{
    struct epoch_ticket ticket = epoch_cache_begin(*state, "alice", &tags);
    struct cache_header header = value_of(INSTANCE, 1, 2);

    epoch_cache_forget(*state, NULL);
    assert_false(epoch_cache_keep(*state, ticket, "alice", &header));
    assert_false(is_known(*state, "alice", 1, 2));
}

static void test_another_reader_does_not_lend_its_placeholder_to_an_older_answer(void **state)
{
    struct epoch_ticket early = epoch_cache_begin(*state, "alice", &tags), late;
    struct cache_header old = value_of(INSTANCE, 1, 2), new = value_of(INSTANCE, 5, 2);

    epoch_cache_forget(*state, "alice");
    late = epoch_cache_begin(*state, "alice", &tags);
    assert_false(epoch_cache_keep(*state, early, "alice", &old));
    assert_false(is_known(*state, "alice", 1, 2));
    assert_true(epoch_cache_keep(*state, late, "alice", &new));
    assert_false(epoch_cache_keep(*state, early, "alice", &old));
    assert_true(is_known(*state, "alice", 5, 2));
}

static void test_forget_all_discards_what_is_known_and_what_is_in_flight(void **state)
{
    struct epoch_ticket ticket;
    struct cache_header header = value_of(INSTANCE, 1, 2);
    struct cache_epochs got;

    assert_true(read_and_keep(*state, "alice", 1, 2));
    ticket = epoch_cache_begin(*state, "alice", &tags);
    epoch_cache_forget_all(*state);
    assert_int_equal(ask(*state, "alice", 0, false, &got), EPOCHS_UNKNOWN);
    assert_int_equal(ask(*state, "alice", 0, true, &got), EPOCHS_UNKNOWN);
    assert_false(epoch_cache_keep(*state, ticket, "alice", &header));
    assert_true(read_and_keep(*state, "alice", 1, 2));
}

static void test_doubt_ends_all_but_the_degraded_use(void **state)
{
    struct epoch_ticket ticket;
    struct cache_header header = value_of(INSTANCE, 1, 2);
    struct cache_epochs got;

    assert_true(read_and_keep(*state, "alice", 1, 2) && read_and_keep(*state, "bob", 3, 2));
    ticket = epoch_cache_begin(*state, "carol", &tags);
    epoch_cache_doubt(*state);
    assert_int_equal(ask(*state, "alice", 0, false, &got), EPOCHS_DOUBTFUL);
    assert_int_equal(ask(*state, "alice", MAX_AGE, true, &got), EPOCHS_KNOWN);
    assert_int_equal(ask(*state, "alice", MAX_AGE + 1, true, &got), EPOCHS_DOUBTFUL);
    assert_int_equal(epoch_cache_begin(*state, "alice", &tags).own, 0);
    assert_false(epoch_cache_keep(*state, ticket, "carol", &header));
    epoch_cache_prove(*state, MAX_AGE); /* of a session that has ended */
    assert_int_equal(ask(*state, "alice", MAX_AGE + 1, true, &got), EPOCHS_DOUBTFUL);
    epoch_cache_forget(*state, "alice");
    assert_int_equal(ask(*state, "alice", 0, true, &got), EPOCHS_UNKNOWN);
    assert_int_equal(ask(*state, "bob", 0, true, &got), EPOCHS_KNOWN);
}

static void test_a_new_session_knows_nothing_of_an_earlier_one(void **state)
{
    struct epoch_ticket ticket;
    struct cache_header header = value_of(INSTANCE, 1, 2);
    struct cache_epochs got;

    assert_true(read_and_keep(*state, "alice", 1, 2));
    ticket = epoch_cache_begin(*state, "alice", &tags);
    epoch_cache_doubt(*state);
    epoch_cache_begin_session(*state, INSTANCE, 0);
    assert_int_equal(ask(*state, "alice", 0, false, &got), EPOCHS_UNKNOWN);
    assert_int_equal(ask(*state, "alice", 0, true, &got), EPOCHS_UNKNOWN);
    assert_false(epoch_cache_keep(*state, ticket, "alice", &header));
}

static void test_without_young_proof_nothing_is_known(void **state)
{
    struct cache_epochs got;

    assert_true(read_and_keep(*state, "alice", 1, 2));
    assert_int_equal(ask(*state, "alice", MAX_AGE, false, &got), EPOCHS_KNOWN);
    assert_int_equal(ask(*state, "alice", MAX_AGE + 1, false, &got), EPOCHS_DOUBTFUL);
    epoch_cache_prove(*state, 500);
    assert_int_equal(ask(*state, "alice", MAX_AGE + 500, false, &got), EPOCHS_KNOWN);
}

static void test_keep_of_another_instance_is_refused(void **state)
{
    struct epoch_ticket ticket = epoch_cache_begin(*state, "alice", &tags);
    struct cache_header header = value_of(OTHER, 1, 2);

    assert_false(epoch_cache_keep(*state, ticket, "alice", &header));
}

static void test_only_the_tags_that_were_read_are_known(void **state)
{
    struct epoch_ticket ticket = epoch_cache_begin(*state, "alice", &own_tag);
    struct cache_header header = value_of(INSTANCE, 1, 2);
    struct cache_epochs got;

    header.n_epochs = 1;
    assert_true(epoch_cache_keep(*state, ticket, "alice", &header));
    assert_int_equal(ask(*state, "alice", 0, false, &got), EPOCHS_UNKNOWN);
    assert_int_equal(epoch_cache_get(*state, "alice", &own_tag, 0, MAX_AGE, false, &got), EPOCHS_KNOWN);
}

static void test_the_user_read_longest_ago_is_forgotten_first(void **state)
{
    struct cache_epochs got;
    char user[16];

    for (int i = 0; i < 8; i++) { /* eight places; one is the shared tags' */
        (void)snprintf(user, sizeof user, "u%d", i);
        assert_true(read_and_keep(*state, user, 1, 2));
        if (i > 0)
            assert_int_equal(ask(*state, "u0", 0, false, &got), EPOCHS_KNOWN);
    }
    assert_int_equal(ask(*state, "u1", 0, false, &got), EPOCHS_UNKNOWN);
    assert_int_equal(ask(*state, "u2", 0, false, &got), EPOCHS_KNOWN);
}

static void test_of_more_tags_than_there_is_room_for_the_last_are_known(void **state)
{
    struct cache_epochs got;
    char name[CACHE_TAG_MAX];
    struct cache_tags one = {1, {{name, false}}};

    for (int i = 0; i < 40; i++) {
        struct cache_header header = value_of(INSTANCE, 100 + (uint64_t)i, 2);
        struct epoch_ticket ticket = epoch_cache_begin(*state, "alice", &own_tag);

        header.n_epochs = 1;
        (void)snprintf(header.epochs[0].tag, sizeof header.epochs[0].tag, "tag%d", i);
        assert_true(epoch_cache_keep(*state, ticket, "alice", &header));
    }
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "tag%d", i);
        assert_int_equal(epoch_cache_get(*state, "alice", &one, 0, MAX_AGE, false, &got),
                         i < 8 ? EPOCHS_UNKNOWN : EPOCHS_KNOWN);
        if (i >= 8)
            assert_int_equal(got.values[0], 100 + i);
    }
}

static void test_a_name_stands_until_it_is_forgotten_or_not_proven(void **state)
{
    struct epoch_cache *e = *state;
    uint64_t number = epoch_cache_begin_name(e, "\1one"), again;

    assert_true(number > 0);
    assert_true(epoch_cache_stands(e, "\1one", number, MAX_AGE, MAX_AGE));
    assert_false(epoch_cache_stands(e, "\1one", number, MAX_AGE + 1, MAX_AGE)); /* without young proof */
    assert_false(epoch_cache_stands(e, "\1two", number, 0, MAX_AGE));
    assert_false(epoch_cache_stands(e, "\1one", 0, 0, MAX_AGE));
    assert_int_equal(epoch_cache_begin_name(e, "\1one"), number); /* another reader's is as good */
    epoch_cache_forget(e, "\1one");
    assert_false(epoch_cache_stands(e, "\1one", number, 0, MAX_AGE));
    again = epoch_cache_begin_name(e, "\1one"); /* what was read before does not come back with it */
    assert_false(epoch_cache_stands(e, "\1one", number, 0, MAX_AGE));
    assert_true(epoch_cache_stands(e, "\1one", again, 0, MAX_AGE));
    epoch_cache_forget_all(e);
    assert_false(epoch_cache_stands(e, "\1one", again, 0, MAX_AGE));
    again = epoch_cache_begin_name(e, "\1one");
    epoch_cache_doubt(e);
    assert_false(epoch_cache_stands(e, "\1one", again, 0, MAX_AGE));
    assert_int_equal(epoch_cache_begin_name(e, "\1one"), 0);
    epoch_cache_begin_session(e, INSTANCE, 0);
    assert_false(epoch_cache_stands(e, "\1one", again, 0, MAX_AGE));
}

static void test_a_local_session_makes_its_epochs_and_needs_no_proof(void **state)
{
    struct cache_epochs first, again, got;

    epoch_cache_begin_local(*state);
    epoch_cache_open_local(*state, "alice", &tags, &first);
    assert_true(first.values[0] != 0 && first.values[1] != 0 && first.values[0] != first.values[1]);
    epoch_cache_open_local(*state, "alice", &tags, &again);
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_equal(ask(*state, "alice", INT64_MAX, false, &got), EPOCHS_KNOWN);
    assert_memory_equal(first.values, got.values, sizeof *first.values * 2);
    epoch_cache_forget(*state, "alice");
    assert_int_equal(ask(*state, "alice", 0, false, &got), EPOCHS_UNKNOWN);
    epoch_cache_open_local(*state, "alice", &tags, &again);
    assert_true(again.values[0] != first.values[0] && again.values[1] == first.values[1]);
}

static void test_a_session_with_redis_opens_nothing_locally(void **state)
{
    struct cache_epochs epochs;

    epoch_cache_open_local(*state, "alice", &tags, &epochs);
    assert_int_equal(epochs.values[0], 0);
}

/* --- any history, against a Redis that is played here ------------------------------------------------
 *
 * A small Redis with epochs, its messages on their way in order, readers between asking and keeping, events of this
 * process, flushes, restarts with old data, connections that fall silent or end. Whatever is known must be what Redis
 * holds, or have been replaced there no longer than the age of the last proof ago; and never be from before an event of
 * this process. */

enum { USERS = 3, READERS = 4, STEPS = 40000, MAX_MESSAGES = 4096, MAX_RETIRED = 2 * STEPS, DEGRADED = 5000 };

static const char *const users[USERS + 1] = {"alice", "bob", "carol", NULL}; /* the last: shared */

struct retired {
    int instance;
    uint64_t epoch;
    int64_t at_ms;
};

struct world {
    struct epoch_cache *cache;
    int64_t now_ms;
    uint64_t last_epoch;
    int instance;
    uint64_t epochs[USERS + 1], backup[USERS + 1];
    uint64_t event_floor[USERS + 1]; /* no epoch up to this may be known: an event of ours came later */
    int event_instance[USERS + 1];

    int messages[MAX_MESSAGES]; /* a user's index; -1: flush; -2: beat */
    int64_t sent_ms[MAX_MESSAGES];
    size_t n_messages;
    bool connected, silent;

    struct {
        bool begun, read;
        int user;
        struct epoch_ticket ticket;
        struct cache_header header;
    } readers[READERS];

    struct retired retired[MAX_RETIRED];
    size_t n_retired, n_known, n_degraded, n_old;
};

static void name_instance(int number, char instance[REDIS_INSTANCE_SIZE])
{
    (void)snprintf(instance, REDIS_INSTANCE_SIZE, "%040d", number);
}

static void send_message(struct world *w, int what)
{
    if (!w->connected || w->n_messages == MAX_MESSAGES)
        return;
    w->messages[w->n_messages] = what;
    w->sent_ms[w->n_messages++] = w->now_ms;
}

static void retire(struct world *w, int user)
{
    if (w->epochs[user] == 0)
        return;
    assert_true(w->n_retired < MAX_RETIRED);
    w->retired[w->n_retired++] = (struct retired){w->instance, w->epochs[user], w->now_ms};
    w->epochs[user] = 0;
}

static void end_session(struct world *w)
{
    epoch_cache_doubt(w->cache);
    w->connected = w->silent = false;
    w->n_messages = 0;
}

static void deliver(struct world *w)
{
    int what;
    int64_t sent_ms;

    if (!w->connected || w->silent || w->n_messages == 0)
        return;
    what = w->messages[0];
    sent_ms = w->sent_ms[0];
    w->n_messages--;
    memmove(w->messages, w->messages + 1, w->n_messages * sizeof *w->messages);
    memmove(w->sent_ms, w->sent_ms + 1, w->n_messages * sizeof *w->sent_ms);
    if (what == -2)
        epoch_cache_prove(w->cache, sent_ms);
    else if (what == -1)
        epoch_cache_forget_all(w->cache);
    else
        epoch_cache_forget(w->cache, users[what]);
}

static void connect_again(struct world *w)
{
    char instance[REDIS_INSTANCE_SIZE];

    if (w->connected)
        return;
    w->connected = true;
    name_instance(w->instance, instance);
    epoch_cache_begin_session(w->cache, instance, w->now_ms);
}

static void invalidate(struct world *w, int user, bool event_of_ours)
{
    retire(w, user);
    send_message(w, user);
    if (!event_of_ours)
        return;
    epoch_cache_forget(w->cache, users[user]);
    w->event_floor[user] = w->last_epoch;
    w->event_instance[user] = w->instance;
}

static void open_epoch(struct world *w, int user)
{
    if (w->epochs[user] == 0)
        w->epochs[user] = ++w->last_epoch;
    send_message(w, user);
}

static void restart(struct world *w)
{
    for (int i = 0; i <= USERS; i++) {
        retire(w, i);
        w->epochs[i] = w->backup[i];
    }
    w->instance++;
    end_session(w);
}

static void flush(struct world *w)
{
    for (int i = 0; i <= USERS; i++)
        retire(w, i);
    send_message(w, -1);
}

static void step_reader(struct world *w, size_t i)
{
    int user = w->readers[i].user;

    if (!w->readers[i].begun) {
        w->readers[i].user = (int)below(USERS);
        w->readers[i].ticket = epoch_cache_begin(w->cache, users[w->readers[i].user], &tags);
        w->readers[i].begun = true;
    } else if (!w->readers[i].read) {
        char instance[REDIS_INSTANCE_SIZE];

        name_instance(w->instance, instance);
        w->readers[i].header = value_of(instance, w->epochs[user], w->epochs[USERS]);
        w->readers[i].read = true;
    } else {
        const struct cache_header *h = &w->readers[i].header;

        if (h->epochs[0].epoch != 0 && h->epochs[1].epoch != 0) /* else there was no hit */
            (void)epoch_cache_keep(w->cache, w->readers[i].ticket, users[user], h);
        w->readers[i].begun = w->readers[i].read = false;
    }
}

static void act(struct world *w)
{
    int user = (int)below(USERS + 1);

    /* Sessions last long enough for an old epoch to outlive its proof. */
    switch (below(40) == 0 ? below(5) : 5 + below(35)) {
    case 0: flush(w); break;
    case 1: restart(w); break;
    case 2: end_session(w); break;
    case 3: w->silent = true; break;
    case 4: memcpy(w->backup, w->epochs, sizeof w->backup); break;
    case 5: invalidate(w, user, true); break;
    case 6:
    case 7: invalidate(w, user, false); break;
    case 8:
    case 9: connect_again(w); break;
    case 10: w->silent = false; break; /* only delayed */
    case 11:
    case 12: send_message(w, -2); break;
    case 13:
    case 14:
    case 15:
    case 16: open_epoch(w, user); break;
    case 17:
    case 18:
    case 19:
    case 20:
    case 21: deliver(w); break;
    default: step_reader(w, (size_t)below(READERS)); break;
    }
    w->now_ms += below(60);
}

static void check_epoch(struct world *w, size_t step, int user, const char *instance, uint64_t epoch, int64_t max_age)
{
    int number = (int)strtol(instance, NULL, 10);

    if (number == w->event_instance[user] && epoch <= w->event_floor[user] && w->event_floor[user] > 0)
        fail_msg("step %zu: an epoch from before an event of ours is known", step);
    if (number == w->instance && epoch == w->epochs[user])
        return;
    w->n_old++;
    for (size_t i = w->n_retired; i > 0; i--) {
        const struct retired *r = &w->retired[i - 1];

        if (r->instance != number || r->epoch != epoch)
            continue;
        if (r->at_ms < w->now_ms - max_age)
            fail_msg("step %zu: an epoch replaced %d ms ago is known", step, (int)(w->now_ms - r->at_ms));
        return;
    }
    fail_msg("step %zu: an epoch that never was is known", step);
}

static void check(struct world *w, size_t step)
{
    for (int user = 0; user < USERS; user++)
        for (int degraded = 0; degraded < 2; degraded++) {
            int64_t max_age = degraded ? DEGRADED : MAX_AGE;
            struct cache_epochs got;

            if (epoch_cache_get(w->cache, users[user], &tags, w->now_ms, max_age, degraded, &got) != EPOCHS_KNOWN)
                continue;
            w->n_known++;
            w->n_degraded += degraded && !w->connected;
            check_epoch(w, step, user, got.instance, got.values[0], max_age);
            check_epoch(w, step, USERS, got.instance, got.values[1], max_age);
        }
}

static void test_any_history_keeps_the_promises(void **state)
{
    static struct world w;

    (void)state;
    random_state = 99;
    assert_int_equal(epoch_cache_new(USERS + 1, &w.cache, NULL), STATUS_OK);
    for (size_t step = 0; step < STEPS; step++) {
        act(&w);
        check(&w, step);
    }
    /* It was about something. */
    assert_true(w.n_known > 1000 && w.n_degraded > 100 && w.n_old > 100);
    epoch_cache_free(&w.cache);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get_after_keep_knows_the_epochs),
        TEST(test_forget_before_the_answer_is_kept_discards_it),
        TEST(test_forget_of_the_shared_epochs_discards_an_answer_too),
        TEST(test_another_reader_does_not_lend_its_placeholder_to_an_older_answer),
        TEST(test_forget_all_discards_what_is_known_and_what_is_in_flight),
        TEST(test_doubt_ends_all_but_the_degraded_use),
        TEST(test_a_new_session_knows_nothing_of_an_earlier_one),
        TEST(test_without_young_proof_nothing_is_known),
        TEST(test_keep_of_another_instance_is_refused),
        TEST(test_only_the_tags_that_were_read_are_known),
        TEST(test_the_user_read_longest_ago_is_forgotten_first),
        TEST(test_of_more_tags_than_there_is_room_for_the_last_are_known),
        TEST(test_a_name_stands_until_it_is_forgotten_or_not_proven),
        TEST(test_a_local_session_makes_its_epochs_and_needs_no_proof),
        TEST(test_a_session_with_redis_opens_nothing_locally),
        cmocka_unit_test(test_any_history_keeps_the_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
