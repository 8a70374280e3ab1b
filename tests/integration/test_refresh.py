"""Documents that were asked for once are kept fresh while their user is active, and nothing else is."""
import contextlib
import re
import socket
import itertools
import time

import pytest
from fastcgi_client import Client, bearer

from harness import add_option, add_stock, token, wait_until
from test_worker import DOCUMENTS

SERIES = "/api/analytics/time-series?time_range=7d"
POSITIONS = "/api/analytics/positions"
PLAYBOOKS = "/api/playbooks/analytics"
BY_PLAYBOOK = "/api/analytics/grouped?grouping_types=playbook"
BY_TAG = "/api/analytics/grouped?grouping_types=tag,symbol"
BY_BROKERAGE = "/api/analytics/grouped?grouping_types=brokerage"
COMPREHENSIVE = "/api/analytics/comprehensive?include_grouped_analytics=true&grouping_types=side"
WANTED = [
    SERIES, PLAYBOOKS, BY_PLAYBOOK, BY_TAG, BY_BROKERAGE, COMPREHENSIVE, "/api/playbooks/1/analytics",
    "/api/analytics/calendar", POSITIONS, "/api/analytics/trade?trade_id=1&trade_type=stock",
    "/api/analytics/symbol?symbol=acme", "/api/stocks/analytics/pnl", "/api/stocks/analytics/win-rate",
    "/api/analytics/core?time_range=custom&start_date=2020-01-01", "/api/analytics/risk?risk_free_rate=0.05",
    "/api/stocks/analytics?null_as_zero=true",
    "/api/analytics/performance?asset=stocks&time_range=custom&start_date=2020-01-01T00:00:00Z",
]


def execute(db, sql, *arguments):
    with db.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall() if cursor.description else None


def header(servers, key):
    """The fields of a stored value's first line; None when there is none."""
    line = servers.redis("GET", key).split(b"\n", 1)[0]
    return dict(word.split("=", 1) for word in line.decode().split()[1:]) or None


def is_valid(servers, key, user):
    for pair in (header(servers, key) or {"epochs": "none:0"})["epochs"].split(","):
        tag, epoch = pair.split(":")
        present = servers.redis("HGET", "epoch:shared", tag[1:]) if tag[0] == "@" else servers.redis("HGET", f"epoch:{{{user}}}", tag)
        if present.decode() != epoch:
            return False
    return True


def ask(servers, web, path, user="ann"):
    """Asks for a document that is not stored yet: its key in Redis."""
    before = set(servers.redis("KEYS", "analytics:*").split())
    answer = web.get(path, user)
    assert answer.status == 200, answer
    assert answer.headers["Cache-Status"] == "pnlcache; fwd=miss; stored", path
    (key,) = set(servers.redis("KEYS", "analytics:*").split()) - before
    return key.decode()


def is_hit(answer):
    return answer.status == 200 and answer.headers["Cache-Status"].startswith("pnlcache; hit")


def jobs_queued(servers):
    words = servers.redis("XINFO", "STREAM", "jobs").decode().splitlines()
    return int(words[words.index("entries-added") + 1])


def queue_is_empty(servers):
    return servers.redis("XLEN", "jobs") == b"0"


@pytest.fixture
def journal(db):
    for n in (1, 2):
        add_stock(db, "ann", n, brokerage_name="Alpha")
    add_option(db, "ann", 1)
    add_stock(db, "ann", 9, exit="NULL", exit_price=None)
    execute(db, "INSERT INTO latest_price (symbol, price) VALUES ('ACME', 12)")
    execute(db, "INSERT INTO playbook (user_id, id, name) VALUES ('ann', 1, 'Gap')")
    execute(db, "INSERT INTO stock_trade_playbook (user_id, stock_trade_id, setup_id) VALUES ('ann', 1, 1)")
    execute(db, "INSERT INTO trade_tags (user_id, id, name) VALUES ('ann', 1, 'calm')")
    execute(db, "INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) VALUES ('ann', 1, 1)")


@pytest.fixture
def settled(journal, worker, settle):
    """The journal's own events are over: what follows is the test's."""
    settle()


def test_what_was_asked_for_is_refreshed_after_a_change(servers, web, db, responder, settled):
    keys = {path: ask(servers, web, path) for path in WANTED}
    assert int(servers.redis("ZCARD", "wanted:{ann}")) == len(WANTED)
    add_stock(db, "ann", 3)
    wait_until(lambda: queue_is_empty(servers) and all(is_valid(servers, key, "ann") for key in keys.values()),
               what="every document that was asked for, computed anew")
    answers = {path: web.get(path, "ann") for path in WANTED}
    assert [path for path, answer in answers.items() if not is_hit(answer)] == []
    assert answers["/api/analytics/symbol?symbol=acme"].json()["data"]["total_trades"] == 4
    assert answers[COMPREHENSIVE].json()["data"]["core_metrics"]["total_trades"] == 4
    assert answers[COMPREHENSIVE].json()["data"]["open_positions"]["priced_count"] == 1
    assert answers[POSITIONS].json()["data"]["unrealized_pnl"] == 200
    assert answers[BY_BROKERAGE].json()["data"]["Alpha"]["core_metrics"]["total_trades"] == 2
    assert answers["/api/stocks/analytics/pnl"].json()["data"]["total_pnl"] == "300.0000"
    assert answers[PLAYBOOKS].json()["data"][0]["total_trades"] == 1


@contextlib.contextmanager
def writes(servers):
    """Gives a function: the keys written since the beginning, each at its first write, in the order in which Redis took them."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(servers.redis_socket)
        monitor.sendall(b"MONITOR\r\n")
        lines = monitor.makefile("rb")
        assert lines.readline() == b"+OK\r\n"

        def keys():
            end = b"end of the test's look"
            servers.redis("ECHO", end.decode())
            found = {}
            for line in iter(lines.readline, b""):
                words = re.findall(rb'"((?:[^"\\]|\\.)*)"', line)
                if words[-1] == end:
                    return list(found)
                if words[0].upper() in (b"SET", b"SETRANGE"):
                    found.setdefault(words[1].decode())

        yield keys


def test_an_event_job_writes_summaries_and_sections_before_what_was_asked_for(servers, web, db, responder, settled):
    add_option(db, "ann", 2)
    keys = [ask(servers, web, path) for path in
            [*WANTED, "/api/analytics/time-series?asset=stocks&time_range=30d", "/api/analytics/time-series?asset=options&time_range=30d"]]
    with writes(servers) as written:
        execute(db, "INSERT INTO account_settings (user_id, starting_equity) VALUES ('ann', 5000)")
        wait_until(lambda: not outdated(db) and queue_is_empty(servers) and all(is_valid(servers, key, "ann") for key in keys))
        order = [key for key in written() if key.startswith("analytics:")]
    assert len(order) == DOCUMENTS + len(keys)
    assert set(order[DOCUMENTS:]) == set(keys), [key for key in order[:DOCUMENTS] if key in keys]


def test_refreshed_documents_equal_computed_ones(servers, web, db, responder, settled):
    """The one pass for many documents against the read-through of each."""
    keys = {path: ask(servers, web, path) for path in WANTED}
    add_stock(db, "ann", 3, exit_price=7)
    wait_until(lambda: queue_is_empty(servers) and all(is_valid(servers, key, "ann") for key in keys.values()))
    for path in WANTED:
        stored = web.get(path, "ann")
        fresh = web.get(path + ("&" if "?" in path else "?") + "user_id=ann", headers={"Authorization": "Bearer " + token("service", role="service_role"), "Cache-Control": "no-cache"})
        assert is_hit(stored) and not is_hit(fresh), path
        data = [answer.json()["data"] for answer in (stored, fresh)]
        assert drop_clock(data[0]) == drop_clock(data[1]), path


def drop_clock(data):
    """Without what depends on the second of the computation."""
    if isinstance(data, dict):
        return {name: drop_clock(value) for name, value in data.items() if name not in ("days_held", "as_of")}
    return [drop_clock(value) for value in data] if isinstance(data, list) else data


def test_a_playbook_change_refreshes_what_reads_playbooks_and_no_more(servers, web, db, responder, settled):
    series, playbooks, groups = (ask(servers, web, path) for path in (SERIES, PLAYBOOKS, BY_PLAYBOOK))
    computed = header(servers, series)["computed"]
    execute(db, "UPDATE playbook SET name = 'Gap and go' WHERE user_id = 'ann'")
    wait_until(lambda: queue_is_empty(servers) and not outdated(db)
               and all(is_valid(servers, key, "ann") for key in (playbooks, groups)))
    answer = web.get(PLAYBOOKS, "ann")
    assert is_hit(answer) and answer.json()["data"][0]["playbook_name"] == "Gap and go"
    assert is_hit(web.get(BY_PLAYBOOK, "ann"))
    assert header(servers, series)["computed"] == computed


def outdated(db):
    return execute(db, "SELECT count(*) FROM pnlcache.change_log") != [(0,)]


def test_a_tag_queues_a_job_only_when_a_document_depends_on_it(servers, web, db, responder, settled):
    ask(servers, web, BY_TAG)
    before = jobs_queued(servers)
    execute(db, "UPDATE playbook SET name = 'Other' WHERE user_id = 'ann'")
    wait_until(lambda: not outdated(db))
    assert jobs_queued(servers) == before
    execute(db, "UPDATE trade_tags SET name = 'x' WHERE user_id = 'ann'")
    wait_until(lambda: not outdated(db))
    assert jobs_queued(servers) == before + 1
    wait_until(lambda: queue_is_empty(servers))
    groups = web.get(BY_TAG, "ann")
    assert is_hit(groups) and "tag:x" in groups.json()["data"]


def test_scheduled_job_renews_what_active_users_want(servers, web, db, journal, responder, run_worker):
    add_stock(db, "bob", 1)
    keys = {user: ask(servers, web, SERIES, user) for user in ("ann", "bob")}
    long_ago = int(time.time()) - 3 * 86400
    servers.redis("ZADD", "active:users", long_ago, "bob")
    computed = {user: header(servers, key)["computed"] for user, key in keys.items()}
    run_worker("job", "precompute", "--active", ACTIVE_WINDOW="86400")
    assert header(servers, keys["ann"])["computed"] > computed["ann"]
    assert header(servers, keys["bob"])["computed"] == computed["bob"]


def test_scheduled_job_leaves_alone_what_outlasts_the_next_run_where_the_ttl_is_long(servers, web, db, journal, start_responder, run_worker, statements):
    long, short = {"CACHE_TTL_ANALYTICS": "3600"}, {"CACHE_TTL_ANALYTICS": "1566"}
    start_responder(**long)
    series = ask(servers, web, SERIES)
    run_worker("job", "precompute", **long)
    before = len(statements())
    assert f"stored=0 unchanged=0 valid={DOCUMENTS + 1} " in run_worker("job", "precompute", **long).stderr
    assert [s for s in statements()[before:] if "_trades" in s] == []
    servers.redis("HDEL", "epoch:{ann}", "options")
    run_worker("job", "precompute", **long)
    assert is_valid(servers, series, "ann")
    assert f"unchanged={DOCUMENTS + 1} valid=0 " in run_worker("job", "precompute", "--all", **long).stderr
    run_worker("job", "precompute", **short)
    assert f"unchanged={DOCUMENTS + 1} valid=0 " in run_worker("job", "precompute", **short).stderr
    assert f"unchanged=0 valid={DOCUMENTS + 1} " in run_worker("job", "precompute", CACHE_TTL_ANALYTICS="1567").stderr


def test_scheduled_jobs_leave_to_readers_what_would_not_last_until_the_next_run(servers, web, db, journal, responder, run_worker):
    series, positions, none_open = (ask(servers, web, path) for path in (SERIES, POSITIONS, POSITIONS + "?asset=options"))
    computed = {key: header(servers, key)["computed"] for key in (series, positions, none_open)}
    run_worker("job", "precompute")
    run_worker("job", "warm", WARM_USERS="10")
    assert header(servers, series)["computed"] > computed[series]
    assert header(servers, none_open)["computed"] > computed[none_open]
    assert header(servers, positions)["computed"] == computed[positions]
    run_worker("job", "precompute", "--user", "ann")
    assert header(servers, positions)["computed"] > computed[positions]


def test_open_positions_that_have_run_out_are_no_reason_to_read_the_trades(servers, web, db, journal, start_responder, run_worker, statements):
    """With a long TTL a run looks at what is stored first."""
    long = {"CACHE_TTL_ANALYTICS": "3600"}
    start_responder(**long)
    positions, none_open = (ask(servers, web, path) for path in (POSITIONS, POSITIONS + "?asset=options"))
    run_worker("job", "precompute", **long)
    servers.redis("DEL", positions)
    before = len(statements())
    assert f"stored=0 unchanged=0 valid={DOCUMENTS + 1} " in run_worker("job", "precompute", **long).stderr
    assert [s for s in statements()[before:] if "_trades" in s] == []
    servers.redis("HDEL", "epoch:{ann}", "options")
    run_worker("job", "precompute", **long)
    assert is_valid(servers, none_open, "ann") and servers.redis("EXISTS", positions) == b"0"


def test_one_batch_serves_users_with_different_needs(servers, web, db, responder, run_worker):
    """Nobody's annotations, details or prices get into another's documents, and nobody waits for another's."""
    wants = {"ann": [BY_BROKERAGE], "bob": [], "cid": [COMPREHENSIVE, BY_TAG], "dan": [BY_BROKERAGE, SERIES], "eve": [SERIES]}
    for user, paths in wants.items():
        add_stock(db, user, 1, brokerage_name=user)
        for path in paths:
            ask(servers, web, path, user)
        web.get("/api/analytics/core", user)
        add_stock(db, user, 2, brokerage_name=user)  # no worker runs, so no epoch goes: a hit shows what the job stored
    done = run_worker("job", "precompute", "--all")
    assert "users=5 failed=0" in done.stderr
    for user, paths in wants.items():
        answers = {path: web.get(path, user) for path in [*paths, "/api/analytics/core"]}
        assert all(is_hit(answer) for answer in answers.values()), user
        assert answers["/api/analytics/core"].json()["data"]["total_trades"] == 2
        if BY_BROKERAGE in answers:
            groups = answers[BY_BROKERAGE].json()["data"]
            assert list(groups) == [user] and groups[user]["core_metrics"]["total_trades"] == 2
        if SERIES in answers:
            assert answers[SERIES].json()["data"]["daily_pnl"], answers[SERIES]
    assert len(servers.redis("HKEYS", "epoch:{bob}").split()) == 3
    assert len(servers.redis("HKEYS", "epoch:{cid}").split()) == 4


PATHS_OF_MANY = [BY_TAG, BY_PLAYBOOK, PLAYBOOKS, "/api/analytics/grouped?grouping_types=mistake", BY_BROKERAGE, SERIES]


def add_annotated_user(db, user):
    """Whose tags, playbooks and mistakes are nobody else's."""
    for n in (1, 2):
        add_stock(db, user, n, brokerage_name=user, mistakes=f"late {user}")
    execute(db, "INSERT INTO playbook (user_id, id, name) VALUES (%s, 1, %s), (%s, 2, 'Gap')", user, f"Fade {user}", user)
    execute(db, "INSERT INTO stock_trade_playbook (user_id, stock_trade_id, setup_id) VALUES (%s, 1, 1)", user)
    execute(db, "INSERT INTO trade_tags (user_id, id, name) VALUES (%s, 1, %s)", user, f"calm {user}")
    execute(db, "INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) VALUES (%s, 1, 1), (%s, 2, 1)", user, user)


def want(servers, web, db, users, paths=PATHS_OF_MANY):
    """Each user asks for some of the documents, by turns, every fourth for none with annotations; then their trades change without anybody's knowing, so that a hit shows what
    a job stored: the documents of each."""
    wants = {user: [path for k, path in enumerate(paths) if k % 4 != i % 4 and (i % 4 < 3 or k > 2)] for i, user in enumerate(users)}
    for user, own in wants.items():
        for path in own:
            ask(servers, web, path, user)
        add_stock(db, user, 3, exit_price=7)
        execute(db, "INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) VALUES (%s, 3, 1)", user)
    return wants


def check_stored_as_computed(web, wants):
    """What is stored equals what is computed for each user and document by itself."""
    service = {"Authorization": "Bearer " + token("service", role="service_role"), "Cache-Control": "no-cache"}
    for user, paths in wants.items():
        for path in paths:
            stored = web.get(path, user)
            fresh = web.get(f"{path}{'&' if '?' in path else '?'}user_id={user}", headers=service)
            assert is_hit(stored) and not is_hit(fresh), (user, path)
            assert stored.json()["data"] == fresh.json()["data"] != {}, (user, path)


def test_a_batch_takes_as_many_queries_for_many_users_as_for_few(servers, web, db, responder, run_worker, statements):
    """However many of them want groups by tag, playbook or mistake."""
    users = [f"user-{n}" for n in range(24)]
    for user in users:
        add_annotated_user(db, user)
    wants = want(servers, web, db, users)
    taken = []
    for chosen in (users[:4], users):
        before = len(statements())
        run_worker("job", "precompute", *(word for user in chosen for word in ("--user", user)))
        taken.append([s for s in statements()[before:] if "pnlcache." in s])  # the responder's looks at its server's health are none
    # Settings and trades of both streams; between them playbooks and their links with and without rules, missed trades, tags.
    assert [len(statements) for statements in taken] == [4 + 6] * 2, taken
    check_stored_as_computed(web, wants)


def test_whose_annotations_find_no_room_in_a_batch_is_read_apart(servers, web, db, responder, run_worker, statements):
    users = ["ann", "bob", "cid"]
    for user in users:
        add_annotated_user(db, user)
    execute(db, "INSERT INTO trade_tags (user_id, id, name) VALUES ('bob', 2, repeat('x', 150000))")  # 18 MB with its links
    for n in range(100, 220):
        add_stock(db, "bob", n)
    execute(db, "INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) SELECT 'bob', n, 2 FROM generate_series(100, 219) AS n")
    wants = want(servers, web, db, users, [BY_TAG, BY_PLAYBOOK])
    before = len(statements())
    done = run_worker("job", "precompute", "--active")
    assert "users=3 failed=0" in done.stderr
    assert sum(s.startswith("COPY ") and "stock_trades" in s for s in statements()[before:]) == 2
    check_stored_as_computed(web, wants)


def test_the_record_holds_the_documents_asked_last(servers, web, db, journal, start_responder, run_worker):
    start_responder(WANTED_DOCUMENTS="3")
    keys = [ask(servers, web, f"/api/analytics/core?risk_free_rate=0.0{n}") for n in range(6)]
    assert int(servers.redis("ZCARD", "wanted:{ann}")) == 3
    computed = [header(servers, key)["computed"] for key in keys]
    run_worker("job", "precompute", "--active")
    assert [header(servers, key)["computed"] > old for key, old in zip(keys, computed)] == [False] * 3 + [True] * 3


def test_a_precomputed_document_is_not_noted(servers, web, db, journal, start_responder):
    responder = start_responder()
    for _ in range(2):
        assert web.get("/api/analytics/core", "ann").status == 200
    assert responder.stop() == 0
    responder.expected_end = True
    assert servers.redis("EXISTS", "wanted:{ann}") == b"0"


def test_an_hour_of_hits_is_noted_once(servers, web, db, journal, start_responder):
    """A document that is always fresh is never missed: its reader must not fall out of the record for that."""
    responder = start_responder()
    ask(servers, web, SERIES)
    servers.redis("DEL", "wanted:{ann}")
    assert is_hit(web.get(SERIES, "ann"))
    wait_until(lambda: servers.redis("ZCARD", "wanted:{ann}") == b"1", what="the first hit noted")
    servers.redis("DEL", "wanted:{ann}")
    for _ in range(3):
        assert is_hit(web.get(SERIES, "ann"))
    assert responder.stop() == 0  # what was queued is done
    responder.expected_end = True
    assert servers.redis("EXISTS", "wanted:{ann}") == b"0"


def ages(servers, key, seconds_left, ends=(b" expires=",)):
    """Makes a stored value so old that it expires so soon, by rewriting fixed-width fields of its header."""
    line = servers.redis("GET", key).split(b"\n", 1)[0]
    fields = header(servers, key)
    end = int((time.time() + seconds_left) * 1e6)
    computed = int(fields["computed"]) - (int(fields["expires"]) - end)
    for field, value in [(b" computed=", computed), *((field, end) for field in ends)]:
        servers.redis("SETRANGE", key, line.index(field) + len(field), "%017d" % value)


@pytest.mark.parametrize("path", ["/api/analytics/core", SERIES])
def test_a_hit_near_its_end_is_refreshed_before_it_expires(servers, web, db, responder, settled, path):
    key = ask(servers, web, SERIES) if path == SERIES else "analytics:combined:{ann}:all_time:core"
    assert is_valid(servers, key, "ann")
    old = header(servers, key)
    ages(servers, key, 80)
    assert is_hit(web.get(path, "ann"))
    wait_until(lambda: header(servers, key)["expires"] > old["computed"] and header(servers, key)["computed"] > old["computed"],
               what="the value renewed")
    assert int(header(servers, key)["expires"]) > (time.time() + 700) * 1e6


def test_one_value_asks_once(servers, web, db, journal, start_responder):
    responder = start_responder(CACHE_MAX_MEMORY_ENTRIES="0")  # so that it sees what is done to the stored value
    key = ask(servers, web, SERIES)
    ages(servers, key, 80)
    for _ in range(5):
        assert is_hit(web.get(SERIES, "ann"))
    wait_until(lambda: servers.redis("XLEN", "jobs") == b"1", what="a job")
    ages(servers, key, 70)  # another value, as far as anybody can tell
    for _ in range(5):
        assert is_hit(web.get(SERIES, "ann"))
    assert responder.stop() == 0
    responder.expected_end = True
    assert servers.redis("XLEN", "jobs") == b"2"
    assert b"expiring" in servers.redis("XRANGE", "jobs", "-", "+")


def test_a_value_with_time_left_asks_for_nothing(servers, web, db, journal, start_responder):
    responder = start_responder()
    key = ask(servers, web, SERIES)
    ages(servers, key, 100)
    assert is_hit(web.get(SERIES, "ann"))
    assert responder.stop() == 0
    responder.expected_end = True
    assert servers.redis("EXISTS", "jobs") == b"0"


def test_a_value_that_ends_with_what_it_says_asks_for_nothing(servers, web, db, journal, start_responder):
    """Computed again it would last no longer: at midnight everybody would ask, all through its last minutes."""
    responder = start_responder()
    key = ask(servers, web, SERIES)
    ages(servers, key, 50, (b" expires=", b" until="))
    assert is_hit(web.get(SERIES, "ann"))
    assert responder.stop() == 0
    responder.expected_end = True
    assert servers.redis("EXISTS", "jobs") == b"0"


def test_where_nothing_is_kept_fresh_nothing_is_asked_for(servers, web, db, journal, start_responder):
    responder = start_responder(WANTED_DOCUMENTS="0")
    key = ask(servers, web, SERIES)
    ages(servers, key, 80)
    assert is_hit(web.get(SERIES, "ann"))
    assert responder.stop() == 0
    responder.expected_end = True
    assert servers.redis("EXISTS", "jobs", "wanted:{ann}") == b"0"


def test_a_dataset_near_its_end_asks_for_no_document(servers, web, db, journal, start_responder):
    responder = start_responder()
    assert web.get("/api/stocks/count", "ann").status == 200
    (key,) = servers.redis("KEYS", "data:stocks-count:*").decode().split()
    ages(servers, key, 80)
    assert is_hit(web.get("/api/stocks/count", "ann"))
    assert responder.stop() == 0
    responder.expected_end = True
    assert servers.redis("EXISTS", "jobs", "wanted:{ann}") == b"0"


def test_a_hit_of_a_symbol_is_noted_with_the_symbol(servers, web, db, journal, responder):
    ask(servers, web, "/api/analytics/symbol?symbol=acme")
    servers.redis("DEL", "wanted:{ann}")
    assert is_hit(web.get("/api/analytics/symbol?symbol=Acme", "ann"))
    wait_until(lambda: servers.redis("ZRANGE", "wanted:{ann}", 0, -1).endswith(b" symbol=ACME"), what="the hit noted")


# --- what is not there ------------------------------------------------------------------------------------

UNKNOWN = ["/api/analytics/trade?trade_id=77&trade_type=stock", "/api/playbooks/77/analytics"]


@pytest.mark.parametrize("path", UNKNOWN)
def test_what_is_not_there_is_remembered_for_a_short_time(servers, web, db, journal, responder, path):
    first, again = web.get(path, "ann"), web.get(path, "ann")
    assert (first.status, again.status) == (404, 404)
    assert first.headers["Cache-Status"] == "pnlcache; fwd=miss; stored" and is_remembered(again)
    body = [{name: text for name, text in answer.json().items() if name != "request_id"} for answer in (first, again)]
    assert body[0] == body[1] and again.headers["Content-Type"] == "application/problem+json"
    (key,) = servers.redis("KEYS", "analytics:*").decode().split()
    assert 0 < int(servers.redis("TTL", key)) <= 30
    assert servers.redis("EXISTS", "wanted:{ann}") == b"0"


def is_remembered(answer):
    return answer.status == 404 and answer.headers["Cache-Status"].startswith("pnlcache; hit; ttl=")


def test_an_event_ends_what_was_not_there(servers, web, db, journal, responder):
    assert [web.get(path, "ann").status for path in UNKNOWN for _ in range(2)] == [404] * 4
    add_stock(db, "ann", 77)
    assert is_remembered(web.get(UNKNOWN[0], "ann"))  # nobody has said so yet
    assert web.trade_event("ann").status == 202
    found = web.get(UNKNOWN[0], "ann")
    assert found.status == 200 and found.json()["data"]["trade_id"] == 77
    execute(db, "INSERT INTO playbook (user_id, id, name) VALUES ('ann', 77, 'New')")
    web.webhook({"type": "playbook.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"user_id": "ann"}})
    assert web.get(UNKNOWN[1], "ann").status == 200


def test_an_unknown_symbol_is_remembered_as_shortly(servers, web, db, journal, responder):
    key = ask(servers, web, "/api/analytics/symbol?symbol=NOSUCH")
    assert 0 < int(servers.redis("TTL", key)) <= 30
    assert servers.redis("EXISTS", "wanted:{ann}") == b"0"
    known = ask(servers, web, "/api/analytics/symbol?symbol=ACME")
    assert int(servers.redis("TTL", known)) > 700


def test_a_flood_of_unknown_ids_fills_nothing(servers, web, db, journal, responder):
    for n in range(100, 300):
        assert web.get(f"/api/analytics/trade?trade_id={n}&trade_type=stock", "ann").status == 404
        assert web.get(f"/api/analytics/symbol?symbol=S{n}", "ann").status == 200
    assert 64 <= len(servers.redis("KEYS", "analytics:*").split()) <= 192  # a new period may have begun, even two
    assert servers.redis("EXISTS", "wanted:{ann}") == b"0"


def test_after_a_flood_unknown_ids_are_remembered_again(servers, db, journal, start_responder):
    start_responder(CACHE_TTL_NOT_FOUND="8")
    ids = itertools.count(1000)
    with Client(servers.listen) as client:
        def is_kept():
            answer = client.ask("GET", f"/api/analytics/trade?trade_id={next(ids)}&trade_type=stock", bearer("ann"))
            return "stored" in answer.headers["cache-status"]

        while is_kept():
            pass
        wait_until(is_kept, what="the next period")


def test_what_is_not_there_is_not_served_past_its_time(servers, web, db, journal, start_responder):
    """CACHE_STALE_IF_ERROR is for answers: that something did not exist is no longer known."""
    start_responder(CACHE_TTL_NOT_FOUND="1", CACHE_STALE_IF_ERROR="600")
    assert web.get(UNKNOWN[0], "ann").status == 404
    servers.stop("postgres")
    try:
        late = wait_until(lambda: not is_remembered(answer := web.get(UNKNOWN[0], "ann")) and answer, what="its end")
        assert late.status == 503
    finally:
        servers.start("postgres")


def test_nothing_is_remembered_when_the_ttl_is_zero(servers, web, db, journal, start_responder):
    start_responder(CACHE_TTL_NOT_FOUND="0")
    for _ in range(2):
        assert web.get(UNKNOWN[0], "ann").headers["Cache-Status"] == "pnlcache; fwd=miss"
    assert servers.redis("KEYS", "analytics:*") == b""


def test_what_is_gone_is_forgotten(servers, web, db, responder, settled):
    ask(servers, web, "/api/analytics/trade?trade_id=2&trade_type=stock")
    ask(servers, web, SERIES)
    execute(db, "DELETE FROM stocks WHERE user_id = 'ann' AND id = 2")
    wait_until(lambda: servers.redis("ZCARD", "wanted:{ann}") == b"1", what="the trade's document forgotten")
    assert web.get("/api/analytics/trade?trade_id=2&trade_type=stock", "ann").status == 404


def test_foreign_records_are_dropped_and_counted(servers, web, db, journal, responder, run_worker):
    ask(servers, web, SERIES)
    servers.redis("ZADD", "wanted:{ann}", 9999999999999, "core asset=everything", 9999999999999, "")
    add_stock(db, "bob", 1)
    servers.redis("SET", "wanted:{bob}", "foreign")
    done = run_worker("job", "precompute", "--all")
    assert "requests_dropped=3" in done.stderr and "failed=0" in done.stderr
    assert servers.redis("ZCARD", "wanted:{ann}") == b"1"
    assert servers.redis("EXISTS", "wanted:{bob}") == b"0"
