"""pnlcache-worker audit: sees a wrong number under a good header, and nothing else."""
import gzip
import re

import pytest
import stored_value
from harness import add_option, add_stock, wait_until

CORE = "analytics:stocks:{ann}:all_time:core"
DOCUMENTS = 11 * 8  # precomputed, of one user
SERIES = "/api/analytics/time-series?asset=stocks"


@pytest.fixture
def cached(servers, db, run_worker):
    """Ann's and Bob's documents, all of them valid; both are active."""
    for user in ("ann", "bob"):
        add_stock(db, user, 1)
        add_option(db, user, 1)
        servers.redis("ZADD", "active:users", "9999999999", user)
    with db.cursor() as cursor:
        cursor.execute("TRUNCATE pnlcache.change_log")  # as if a worker had carried these out
    run_worker("job", "precompute", "--all")


def body_of(servers, key):
    """The stored body as text."""
    line, body = stored_value.get(servers, key)
    return gzip.decompress(body) if b" enc=g " in line else body


def replace_in_body(servers, key, old, new):
    """Changes a stored body and makes size and sum of its header fit, as a program gone wrong would."""
    text = body_of(servers, key)
    assert text.count(old) == 1
    stored_value.put_body(servers, key, text.replace(old, new))


def result(done):
    line = [line for line in done.stderr.splitlines() if "job=audit" in line][-1]
    return {name: int(value) for name, value in re.findall(r" (checked|mismatched|changed|pending|failed|users)=(\d+)", line)}


def stats(servers):
    words = servers.redis("HGETALL", "stats:audit").decode().split("\n")
    return dict(zip(words[::2], map(int, words[1::2])))


def test_audit_of_a_true_cache_finds_nothing(servers, web, cached, responder, run_worker):
    assert web.get(SERIES, user="ann").status == 200
    assert web.get("/api/analytics/positions", user="ann").status == 200
    done = run_worker("audit", "--sample", "1000")
    found = result(done)
    assert found["checked"] == 2 * DOCUMENTS + 2 and found["users"] == 2
    assert found["mismatched"] == found["changed"] == found["pending"] == found["failed"] == 0
    assert stats(servers)["checked"] == 2 * DOCUMENTS + 2 and stats(servers)["mismatches"] == 0 and stats(servers)["last_time"] > 0


def test_documents_taken_from_the_only_asset_class_are_those_of_all_trades(servers, db, run_worker):
    """Precompute computes them once, audit each by itself. With an equity only all trades earn returns."""
    users = ("stocks", "options", "equity")
    for id, price in enumerate((11, 8, 14, 9), start=1):
        when = {"entry": f"now() - interval '{10 * id} days'", "exit": f"now() - interval '{9 * id} days'"}
        add_stock(db, "stocks", id, exit_price=price, **when)
        add_stock(db, "equity", id, exit_price=price, **when)
        add_option(db, "options", id, exit_price=price - 7, **when)
    add_option(db, "options", 9, exit_price=None, status="open", exit="NULL")
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO account_settings (user_id, starting_equity) VALUES ('equity', 1000)")
        cursor.execute("TRUNCATE pnlcache.change_log")
    for user in users:
        servers.redis("ZADD", "active:users", "9999999999", user)
    run_worker("job", "precompute", "--all")
    found = result(run_worker("audit", "--sample", "1000", "--print"))
    assert found["checked"] == len(users) * DOCUMENTS and found["users"] == len(users) and found["mismatched"] == 0
    assert b'"return_basis":"equity"' in body_of(servers, "analytics:combined:{equity}:all_time:risk")


def test_audit_sees_a_wrong_number_under_a_good_header(servers, web, cached, responder, run_worker):
    replace_in_body(servers, CORE, b'"total_pnl":100', b'"total_pnl":101')
    answer = web.get("/api/analytics/core?asset=stocks", user="ann")
    assert "; hit" in answer.headers["Cache-Status"] and answer.json()["data"]["total_pnl"] == 101  # or there would be nothing to see
    done = run_worker("audit", "--sample", "1000", "--print", check=False)
    assert done.returncode == 1 and result(done)["mismatched"] == 1
    wrong = [line for line in done.stderr.splitlines() if "a cached document is wrong" in line]
    assert len(wrong) == 1 and f"key={CORE}" in wrong[0] and "user=ann" in wrong[0]
    key, stored, expected = done.stdout.rstrip("\n").split("\t")
    assert key == CORE and '"total_pnl":101' in stored and '"total_pnl":100' in expected
    assert run_worker("job", "audit", "--user", "bob", "--sample", "1000").returncode == 0
    assert stats(servers)["mismatches"] == 1 and stats(servers)["last_mismatches"] == 0 and stats(servers)["last_checked"] == DOCUMENTS


def test_audit_leaves_out_what_an_event_has_reached_or_will(servers, db, cached, run_worker):
    add_stock(db, "ann", 2)  # noted in the outbox, and no worker runs
    found = result(run_worker("audit", "--sample", "1000"))
    assert found["mismatched"] == 0 and found["pending"] > 0 and found["checked"] >= DOCUMENTS
    servers.redis("HDEL", "epoch:{ann}", "stocks")
    with db.cursor() as cursor:
        cursor.execute("TRUNCATE pnlcache.change_log")
    found = result(run_worker("audit", "--sample", "1000"))
    assert found["mismatched"] == found["pending"] == 0 and found["users"] == 2


@pytest.fixture
def changed_behind_our_back(db, cached):
    with db.cursor() as cursor:
        cursor.execute("ALTER TABLE stocks DISABLE TRIGGER USER")
        try:
            for user in ("ann", "bob"):
                add_stock(db, user, 2)
        finally:
            cursor.execute("ALTER TABLE stocks ENABLE TRIGGER USER")


def test_audit_takes_a_sample_that_its_seed_repeats(servers, changed_behind_our_back, run_worker):
    def wrong_keys(seed):
        done = run_worker("audit", "--sample", "6", "--seed", seed, "--print", "--keep", check=False)
        assert result(done)["checked"] == 6 and f"seed={seed}" in done.stderr
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    first = wrong_keys(1)
    assert first and wrong_keys(1) == first != wrong_keys(2)


def test_what_audit_finds_wrong_is_served_no_more_and_made_anew(servers, web, cached, responder, run_worker, worker):
    replace_in_body(servers, CORE, b'"total_pnl":100', b'"total_pnl":101')
    assert web.get("/api/analytics/core?asset=stocks", user="ann").json()["data"]["total_pnl"] == 101  # from then on in the responder's memory
    run_worker("audit", "--sample", "1000", check=False)
    assert web.get("/api/analytics/core?asset=stocks", user="ann").json()["data"]["total_pnl"] == 100
    wait_until(lambda: servers.redis("EXISTS", CORE) == b"1" and b'"total_pnl":100' in body_of(servers, CORE), what="a recomputation")
    assert result(run_worker("audit", "--sample", "1000"))["mismatched"] == 0


LISTS = {"/api/stocks": "user:{ann}:stocks:all", "/api/options": "user:{ann}:options:all", "/api/notebook/calendar/events": "user:{ann}:calendar:all"}


def test_audit_sees_a_wrong_list_and_has_it_made_anew(servers, web, cached, responder, run_worker, worker):
    for path in LISTS:
        assert web.get(path + "?limit=all", user="ann").status == 200
    true = result(run_worker("audit", "--sample", "1000"))
    assert (true["checked"], true["mismatched"]) == (2 * DOCUMENTS + len(LISTS), 0)
    key = LISTS["/api/stocks"]
    replace_in_body(servers, key, b'"symbol":"ACME"', b'"symbol":"ACNE"')
    done = run_worker("audit", "--sample", "1000", "--print", check=False)
    assert done.returncode == 1 and result(done)["mismatched"] == 1
    assert stats(servers)["mismatches"] == 1 and stats(servers)["checked"] == 2 * true["checked"]
    assert f"key={key}" in next(line for line in done.stderr.splitlines() if "is wrong" in line)
    named, stored, expected = done.stdout.rstrip("\n").split("\t")
    assert named == key and "ACNE" in stored and "ACNE" not in expected and "ACME" in expected
    wait_until(lambda: servers.redis("EXISTS", key) == b"1" and b"ACME" in body_of(servers, key), what="the worker's recomputation")
    assert "ACNE" not in web.get("/api/stocks?limit=all", user="ann").body.decode()


def test_audit_leaves_out_a_list_that_an_event_will_reach(servers, db, web, cached, responder, run_worker):
    assert web.get("/api/stocks?limit=all", user="ann").status == 200
    add_stock(db, "ann", 2)
    found = result(run_worker("audit", "--user", "ann", "--sample", "1000"))
    assert found["mismatched"] == 0 and found["pending"] > 0
    servers.redis("HDEL", "epoch:{ann}", "stocks", "options", "settings")
    assert result(run_worker("audit", "--user", "ann", "--sample", "1000"))["checked"] == 0


def test_a_sample_of_many_users_takes_as_many_queries_as_one_of_few(servers, db, cached, run_worker, statements):
    for n in range(10):
        add_stock(db, f"user-{n}", 1)
    run_worker("job", "precompute", "--all")
    with db.cursor() as cursor:
        cursor.execute("TRUNCATE pnlcache.change_log")
    taken = []
    for chosen in (["ann", "bob"], [f"user-{n}" for n in range(10)]):
        before = len(statements())
        done = run_worker("audit", "--sample", "40", *(word for user in chosen for word in ("--user", user)))
        assert result(done)["checked"] == 40 and result(done)["users"] == len(chosen)
        taken.append([s for s in statements()[before:] if "pnlcache." in s])
    assert [len(statements) for statements in taken] == [2, 2], taken  # settings and trades


def test_audit_fails_where_a_server_is_away(servers, cached, run_worker):
    for away in ({"REDIS_URL": "redis://127.0.0.1:1"}, {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}):
        done = run_worker("audit", check=False, **away)
        assert done.returncode == 1 and "127.0.0.1" in done.stderr


@pytest.mark.parametrize("arguments, message", [
    (["--sample", "0"], "--sample '0' is not a whole number from 1 to 1000000"),
    (["--seed", "x"], "--seed 'x' is not a whole number"),
    (["--user", "x" * 129], "--user: an id must be"),
])
def test_audit_misused_says_why(servers, run_worker, arguments, message):
    done = run_worker("audit", *arguments, check=False)
    assert done.returncode == 2 and message in done.stderr
