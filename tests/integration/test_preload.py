"""Preloading: a user's analytics and whole lists from one snapshot, by the worker's command and at a login; and that such lists are
kept fresh and announced afterwards."""
import json
import re
import threading

import psycopg2
import pytest

from fastcgi_client import Client, bearer
from harness import add_option, add_stock, token, wait_until
from test_refresh import ages, header
from test_worker import DOCUMENTS

COLLECTIONS = {"calendar-events": "calendar", "images": "images", "notebook-notes": "notebook", "options": "options", "playbooks": "playbooks",
               "stocks": "stocks", "trade-notes": "notes"}
PATHS = ["/api/stocks", "/api/options", "/api/trade-notes", "/api/images", "/api/notebook/notes", "/api/notebook/calendar/events", "/api/playbooks"]
LISTS = [path + "?limit=all" for path in PATHS]
ANALYTICS = ["/api/stocks/analytics?time_range=7d", "/api/options/analytics", "/api/analytics/core?time_range=ytd", "/api/analytics/risk?asset=stocks"]


def execute(db, sql, *arguments):
    with db.cursor() as cursor:
        cursor.execute(sql, arguments)


def is_hit(answer):
    return answer.status == 200 and answer.headers["Cache-Status"].startswith("pnlcache; hit")


def keys(servers, pattern):
    return {key.decode() for key in servers.redis("KEYS", pattern).split()}


def initialize(web, user="ann", query="", **more):
    return web.post("/api/user/initialize" + query, b"", user, **more)


@pytest.fixture
def journal(db):
    for id in range(1, 4):
        add_stock(db, "ann", id)
    add_option(db, "ann", 1)
    execute(db, "INSERT INTO trade_notes (user_id, id, name) VALUES ('ann', 1, 'one')")


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "datasets"
    path.mkdir()
    return path


def write_collection(directory, name, select):
    (directory / f"{name}.sql").write_text(
        f"-- name: {name}\n-- path: /api/{name}\n-- scope: user\n-- collection: user:{{U}}:{name}:all\n-- ttl: 1800\n-- tags: {name}\n"
        f"-- params:\n--   limit  integer 1..500|all = 100\n\n{select} LIMIT :limit\n")


# --- the command ----------------------------------------------------------------------------------


def test_preload_fills_every_collection_and_all_analytics_and_says_so(web, servers, journal, responder, run_worker):
    done = run_worker("preload", "--user", "ann")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(user, name, end) for user, name, end, _ in lines] == [("ann", name, "computed") for name in sorted(COLLECTIONS)]
    assert f"collections={len(COLLECTIONS)} collections_valid=0 collections_too_large=0 collections_failed=0" in done.stderr
    assert f"stored={DOCUMENTS + len(COLLECTIONS)} " in done.stderr
    assert keys(servers, "user:{ann}:*") == {f"user:{{ann}}:{name}:all" for name in COLLECTIONS.values()}
    for path in LISTS + ANALYTICS:
        answer = web.get(path, "ann")
        assert is_hit(answer), (path, answer)
    for _, name, _, size in lines:
        path = next(p for p in LISTS if p.startswith("/api/" + name.replace("notebook-", "notebook/").replace("calendar-", "notebook/calendar/")))
        assert int(size) == len(web.get(path, "ann").body), path
    again = run_worker("preload", "--user", "ann")
    assert [line.split("\t")[2] for line in again.stdout.splitlines()] == ["valid"] * len(COLLECTIONS)
    assert f"stored=0 unchanged=0 valid={DOCUMENTS} " in again.stderr


def test_preload_computes_only_what_is_not_valid(web, journal, responder, run_worker):
    run_worker("preload", "--user", "ann")
    assert web.webhook({"type": "notes.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"user_id": "ann"}}).status == 202
    done = run_worker("preload", "--user", "ann", "--user", "bob")
    assert [line.split("\t")[:3] for line in done.stdout.splitlines() if "computed" in line and "ann" in line] == [["ann", "trade-notes", "computed"]]
    assert sum("bob" in line for line in done.stdout.splitlines()) == len(COLLECTIONS)


def test_preload_is_one_snapshot_whatever_happens_meanwhile(web, servers, db, journal, directory, start_responder, run_worker):
    for name in ("first", "second"):
        write_collection(directory, name, "SELECT (SELECT count(*) FROM pnlcache.stock_trades WHERE user_id = :user) AS trades, pg_current_snapshot()::text AS at"
                                          ", pg_sleep(0.3)::text AS slept")
    start_responder(DATASET_DIR=directory)
    stop = threading.Event()

    def insert_more():
        connection = psycopg2.connect(servers.owner_url)
        connection.autocommit = True
        id = 100
        while not stop.is_set():
            add_stock(connection, "ann", id)
            id += 1
        connection.close()

    writer = threading.Thread(target=insert_more)
    writer.start()
    try:
        run_worker("preload", "--user", "ann", DATASET_DIR=directory)
    finally:
        stop.set()
        writer.join()
    first, second = (web.get(f"/api/{name}?limit=all", "ann") for name in ("first", "second"))
    assert is_hit(first) and is_hit(second)
    first, second = first.json()["data"][0], second.json()["data"][0]
    assert first["at"] == second["at"]
    summary = web.get("/api/analytics/core?asset=stocks", "ann")
    assert is_hit(summary)
    assert summary.json()["data"]["total_trades"] == first["trades"] == second["trades"]
    with db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM stocks")
        assert cursor.fetchone()[0] > first["trades"]  # there were others to be confused with


def test_list_that_fails_or_is_too_large_keeps_nobody_from_the_rest(web, journal, directory, start_responder, run_worker):
    write_collection(directory, "bad", "SELECT 1 / (length(:user) - 3) AS one")
    write_collection(directory, "good", "SELECT :user AS name")
    write_collection(directory, "huge", "SELECT n FROM generate_series(1, 10) AS n WHERE :user <> ''")
    start_responder(DATASET_DIR=directory)
    done = run_worker("preload", "--user", "ann", check=False, DATASET_DIR=directory, COLLECTION_MAX_ROWS="9")
    assert done.returncode == 1
    assert [line.split("\t")[1:3] for line in done.stdout.splitlines()] == [["bad", "failed"], ["good", "computed"], ["huge", "too large"]]
    assert "division by zero" in done.stdout
    assert is_hit(web.get("/api/good?limit=all", "ann")) and is_hit(web.get("/api/stocks/analytics", "ann"))
    assert run_worker("preload", "--user", "anna", DATASET_DIR=directory).returncode == 0


# Of random hexadecimal digits, so that gzip makes little of them: about 50 kB even then.
NOISE = "SELECT n, md5(random()::text) AS noise FROM generate_series(1, 3500) AS n WHERE :user <> ''"


def test_a_list_over_cache_max_value_is_no_failure_and_is_named_once(web, servers, journal, directory, start_responder, run_worker):
    write_collection(directory, "good", "SELECT :user AS name")
    write_collection(directory, "noise", NOISE)
    small = {"DATASET_DIR": directory, "CACHE_MAX_VALUE": "64k"}
    start_responder(**small)
    done = run_worker("preload", "--user", "ann", "--user", "bob", **small)
    assert sorted(line.split("\t")[1:3] for line in done.stdout.splitlines()) == [["good", "computed"]] * 2 + [["noise", "too large"]] * 2
    assert keys(servers, "user:{ann}:*") == {"user:{ann}:good:all"}
    assert " refused=0 too_large=0 " in done.stderr and " collections_too_large=2 " in done.stderr
    scheduled = run_worker("job", "precompute", **small)  # both want both lists now
    assert re.findall(r'msg="too large to be cached" what=(\S+) users=(\d+)', scheduled.stderr) == [("collection:noise", "2")]
    assert initialize(web, query="?wait=1").json()["data"]["collections"] == {"good": "warm", "noise": "too_large"}
    assert web.get("/api/noise?limit=all", "ann").status == 200
    assert run_worker("preload", "--user", "ann", DATASET_DIR=directory, CACHE_MAX_VALUE="1m").stdout.count("computed") == 1
    assert "user:{ann}:noise:all" in keys(servers, "user:{ann}:*")


def test_a_document_over_cache_max_value_is_no_failure(web, db, journal, responder, run_worker):
    execute(db, "INSERT INTO stocks (user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                " SELECT 'ann', 1000 + n, 'AAA', 'BUY', 10, 100, 50 + 100 * random(), date '2010-01-04' + n, date '2010-01-04' + n + time '15:00'"
                " FROM generate_series(0, 2999) AS n")
    assert web.get("/api/analytics/time-series?asset=stocks", "ann").status == 200  # which notes that it is wanted
    done = run_worker("job", "precompute", CACHE_MAX_VALUE="64k")
    assert re.findall(r'msg="too large to be cached" what=(\S+) users=(\d+)', done.stderr) == [("time-series", "1")]
    assert f"stored={DOCUMENTS} " in done.stderr and " refused=0 too_large=1 " in done.stderr


def test_documents_of_a_past_time_leave_lists_alone(web, journal, responder, run_worker):
    assert web.get("/api/stocks?limit=all", "ann").status == 200
    done = run_worker("job", "precompute", "--user", "ann", "--as-of", "2025-01-02T00:00:00Z")
    assert "collections=0 collections_valid=0 " in done.stderr
    assert is_hit(web.get("/api/stocks?limit=all", "ann"))


def test_preload_wants_a_user(run_worker):
    assert run_worker("preload", check=False).returncode == 2
    assert run_worker("preload", "--user", "a\x01", check=False).returncode == 2


# --- at a login -------------------------------------------------------------------------------------


def test_initialize_with_wait_answers_when_everything_is_there(web, servers, journal, responder):
    answer = initialize(web, query="?wait=1")
    assert answer.status == 200, answer
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {"success": True, "meta": {}, "data": {
        "done": True, "analytics": {"documents": DOCUMENTS, "warm": DOCUMENTS}, "collections": dict.fromkeys(sorted(COLLECTIONS), "warm")}}
    assert [path for path in LISTS + ANALYTICS if not is_hit(web.get(path, "ann"))] == []
    assert servers.redis("ZSCORE", "active:users", "ann")
    assert initialize(web, query="?wait=true").status == 200


def test_initialize_without_wait_says_what_is_warm_and_a_worker_does_the_rest(web, journal, responder, worker):
    assert is_hit(web.get("/api/stocks?limit=all", "ann")) is False
    answer = initialize(web)
    assert answer.status == 202, answer
    data = answer.json()["data"]
    assert data["done"] is False
    assert data["collections"] == {**dict.fromkeys(sorted(COLLECTIONS), "cold"), "stocks": "warm"}
    wait_until(lambda: initialize(web).json()["data"]["done"], what="the worker's preload")
    assert initialize(web).json()["data"]["analytics"] == {"documents": DOCUMENTS, "warm": DOCUMENTS}
    assert [path for path in LISTS + ANALYTICS if not is_hit(web.get(path, "ann"))] == []


def test_initialize_is_for_oneself_or_by_a_service(web, journal, responder):
    assert initialize(web, None).status == 401
    assert initialize(web, "bob", "?user_id=ann").status == 403
    assert initialize(web, None, "?user_id=ann&wait=1", token_=token("svc", role="service_role")).json()["data"]["done"] is True
    assert is_hit(web.get("/api/stocks?limit=all", "ann"))
    for query, field in (("?wait=yes", "wait"), ("?wait=1&wait=1", "wait"), ("?x=1", "x"), ("?user_id=ann&user_id=ann", "user_id")):
        answer = initialize(web, "ann", query)
        assert (answer.status, answer.json()["errors"][0]["field"]) == (400, field), answer
    assert web.get("/api/user/initialize", "ann").status == 405


def test_initialize_tells_of_a_list_that_is_too_large(web, db, journal, start_responder):
    start_responder(COLLECTION_MAX_ROWS="2")
    data = initialize(web, query="?wait=1").json()["data"]
    assert data["done"] is True
    assert data["collections"] == {**dict.fromkeys(sorted(COLLECTIONS), "warm"), "stocks": "too_large"}


def test_initialize_without_redis_has_nothing_to_prepare(web, journal, start_responder):
    start_responder(REDIS_ENABLED="false")
    assert initialize(web, query="?wait=1").json()["data"] == {"done": True, "analytics": {"documents": 0, "warm": 0}, "collections": {}}


def test_logins_of_one_user_at_once_cost_one_preload_over_all_processes(web, servers, db, journal, directory, start_responder, run_worker):
    """Each computation of the list leaves a line in the server's log, and takes a while, so that all others come meanwhile."""
    execute(db, "CREATE OR REPLACE FUNCTION public.computed_once(who text) RETURNS boolean LANGUAGE plpgsql AS $$"
                " BEGIN RAISE LOG 'list of %% computed', who; PERFORM pg_sleep(1); RETURN true; END $$")
    write_collection(directory, "counted", "SELECT public.computed_once(:user) AS done")
    log = servers.state / "log/postgres.log"
    other = str(servers.run_dir / "other.sock")
    start_responder(DATASET_DIR=directory)
    start_responder(DATASET_DIR=directory, LISTEN=other)
    answers = []

    def log_in(at_other):
        if at_other:
            with Client(other) as client:
                answers.append(client.ask("POST", "/api/user/initialize?wait=1", bearer("ann")).status)
        else:
            answers.append(initialize(web, query="?wait=1").status)

    def count():
        return log.read_text(errors="replace").count("list of ann computed")

    before = count()
    threads = [threading.Thread(target=log_in, args=(n % 2 == 1,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert count() - before == 1
    execute(db, "DROP FUNCTION public.computed_once")


def test_login_waits_for_the_job_of_a_worker_and_does_not_compute_beside_it(web, servers, db, journal, directory, start_responder, start_worker):
    execute(db, "CREATE OR REPLACE FUNCTION public.computed_once(who text) RETURNS boolean LANGUAGE plpgsql AS $$"
                " BEGIN RAISE LOG 'list of %% computed', who; PERFORM pg_sleep(1); RETURN true; END $$")
    write_collection(directory, "counted", "SELECT public.computed_once(:user) AS done")
    log = servers.state / "log/postgres.log"
    start_responder(DATASET_DIR=directory)
    start_worker(DATASET_DIR=directory)
    before = log.read_text(errors="replace").count("list of ann computed")
    assert initialize(web).status == 202
    wait_until(lambda: servers.redis("GET", "lock:job:{ann}") != b"", what="the worker's turn")
    assert initialize(web, query="?wait=1").json()["data"]["done"] is True
    assert log.read_text(errors="replace").count("list of ann computed") - before == 1
    execute(db, "DROP FUNCTION public.computed_once")


# --- kept fresh, and announced ------------------------------------------------------------------------


@pytest.fixture
def messages(servers):
    """A function that takes what came on pnlcache:updated since the last call; waits for at least so many."""
    import redis
    client = redis.Redis(unix_socket_path=servers.redis_socket)
    subscription = client.pubsub()
    subscription.subscribe("pnlcache:updated")
    assert subscription.get_message(timeout=20)["type"] == "subscribe"
    found = []

    def take(at_least=1):
        def look():
            while (message := subscription.get_message(timeout=0.05)) is not None:
                found.append(json.loads(message["data"]))
            return len(found) >= at_least

        wait_until(look, what=f"{at_least} messages")
        taken, found[:] = list(found), []
        return taken

    yield take
    client.close()


def test_whole_list_that_was_read_is_renewed_by_jobs_and_others_are_not(web, servers, journal, responder, run_worker):
    assert web.get("/api/trade-notes?limit=all", "ann").status == 200
    assert web.get("/api/images", "ann").status == 200
    wait_until(lambda: servers.redis("ZSCORE", "active:users", "ann"), what="ann's activity")
    assert servers.redis("ZRANGE", "wanted:{ann}", 0, -1) == b"collection:trade-notes"
    assert web.webhook({"type": "notes.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"user_id": "ann"}}).status == 202
    done = run_worker("job", "precompute")
    assert "collections=1 collections_valid=0" in done.stderr
    assert is_hit(web.get("/api/trade-notes?limit=all", "ann"))
    assert keys(servers, "user:*") == {"user:{ann}:notes:all"}
    # one that lives shorter than the schedule is left to its readers and their hits
    assert web.get("/api/notebook/notes?limit=all", "ann").status == 200
    servers.redis("DEL", "user:{ann}:notebook:all")
    run_worker("job", "precompute")
    assert keys(servers, "user:*") == {"user:{ann}:notes:all"}


def test_change_of_rows_behind_a_wanted_list_recomputes_it_at_once(web, servers, db, journal, worker, responder, messages, settle):
    settle()
    messages(at_least=0)  # of what the rows of the journal set off
    assert web.get("/api/trade-notes?limit=all", "ann").status == 200
    tags = ["notes", "settings", "profile"]
    assert messages() == [{"user": "ann", "tags": tags, "epoch": {tag: servers.redis("HGET", "epoch:{ann}", tag).decode() for tag in tags},
                           "sections": ["collection:trade-notes"]}]
    execute(db, "UPDATE trade_notes SET name = 'two'")
    assert {section for message in messages() for section in message["sections"]} >= {"collection:trade-notes"}
    answer = web.get("/api/trade-notes?limit=all", "ann")
    assert is_hit(answer) and answer.json()["data"][0]["name"] == "two"


def test_event_that_a_wanted_list_depends_on_queues_a_job_and_else_none(web, journal, responder):
    def jobs(type):
        return web.webhook({"type": type, "timestamp": "2026-01-01T00:00:00Z", "data": {"user_id": "ann"}}).json()["jobs"]

    assert jobs("notes.changed") == 0
    assert web.get("/api/trade-notes", "ann").status == 200
    assert jobs("notes.changed") == 0  # a page is not kept fresh
    assert web.get("/api/trade-notes?limit=all", "ann").status == 200
    assert (jobs("notes.changed"), jobs("images.changed"), jobs("notebook.changed")) == (1, 0, 0)


def test_hit_in_the_last_tenth_of_a_lists_time_asks_once_for_a_refresh(web, servers, journal, start_responder):
    responder = start_responder(CACHE_MAX_MEMORY_ENTRIES="0")  # so that it sees what is done to the stored value
    key = "user:{ann}:stocks:all"
    assert web.get("/api/stocks?limit=all", "ann").status == 200
    ages(servers, key, 190)
    assert is_hit(web.get("/api/stocks?limit=all", "ann"))
    ages(servers, key, 170)
    for _ in range(5):
        assert is_hit(web.get("/api/stocks?limit=all", "ann"))
    assert responder.stop() == 0  # what was queued is done
    responder.expected_end = True
    assert servers.redis("XLEN", "jobs") == b"1"
    assert b"expiring" in servers.redis("XRANGE", "jobs", "-", "+")
    assert servers.redis("ZRANGE", "wanted:{ann}", 0, -1) == b"collection:stocks"


def test_list_that_is_about_to_end_is_renewed_by_the_worker(web, servers, journal, worker, responder):
    key = "user:{ann}:options:all"
    assert web.get("/api/options?limit=all", "ann").status == 200
    ages(servers, key, 100)
    old = header(servers, key)
    assert initialize(web).status == 202  # its job sees that it will end soon
    wait_until(lambda: header(servers, key)["computed"] > old["computed"], what="the list renewed")
    assert header(servers, key)["etag"] == old["etag"]
