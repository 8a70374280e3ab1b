"""pnlcache-worker: events become fresh values, nothing is lost when something dies, and the command line."""
import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time

import psycopg2
import pytest

from harness import BUILD, JWT_SECRET, ROOT, WEBHOOK_SECRET, add_option, add_stock, wait_until

DOCUMENTS = 88


def value(servers, key):
    """Header fields and parsed body of a stored value; None when there is none."""
    raw = servers.redis("GET", key)
    if not raw:
        return None
    line, body = raw.split(b"\n", 1)
    header = dict(word.split("=", 1) for word in line.decode().split()[1:])
    return header, json.loads(gzip.decompress(body) if header["enc"] == "g" else body)


def fresh(servers, user, asset="combined", section=":core", range_name="all_time"):
    """The data of a stored document if it is valid under the user's present epochs."""
    found = value(servers, f"analytics:{asset}:{{{user}}}:{range_name}{section}")
    if not found:
        return None
    header, body = found
    for pair in header["epochs"].split(","):
        tag, epoch = pair.split(":")
        if servers.redis("HGET", f"epoch:{{{user}}}", tag).decode().lower() != epoch:
            return None
    return body["data"]


def has_trades(servers, user, n, **more):
    data = fresh(servers, user, **more)
    return data is not None and data["total_trades"] == n


def execute(db, sql, *arguments):
    with db.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall() if cursor.description else None


def outbox_is_empty(db):
    return execute(db, "SELECT count(*) FROM pnlcache.change_log") == [(0,)]


def queue(run_worker):
    """What `jobs` says. The outbox part is left out where PostgreSQL is away."""
    done = run_worker("jobs", check=False)
    return {name: int(number) for name, number in (line.split() for line in done.stdout.splitlines())}


def queue_is_empty(run_worker):
    state = queue(run_worker)
    return state["depth"] == state["in_flight"] == 0


# --- events become fresh values -------------------------------------------------------------------------


def test_notification_alone_makes_a_trade_fresh(servers, db, start_worker):
    start_worker(OUTBOX_POLL="3600000")
    wait_until(lambda: b"workers" in servers.redis("XINFO", "GROUPS", "jobs"))
    wait_until(lambda: execute(db, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' OR wait_event = 'ClientRead'"
                                   " AND application_name = 'pnlcache-worker'"))
    for n in range(1, 6):
        add_stock(db, "ann", n)
        wait_until(lambda n=n: has_trades(servers, "ann", n), what=f"trade {n} in the core document")
    for asset, section, range_name in (("stocks", "", "7d"), ("stocks", ":risk", "ytd"), ("combined", ":performance", "30d")):
        assert fresh(servers, "ann", asset, section, range_name) is not None
    assert len(servers.redis("KEYS", "analytics:*{ann}*").splitlines()) == DOCUMENTS
    wait_until(lambda: outbox_is_empty(db))


def test_polling_alone_makes_a_trade_fresh(servers, db, start_worker, settle):
    execute(db, "SET pnlcache.notify = off")
    start_worker(OUTBOX_POLL="50")
    add_option(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1, asset="options"))
    settle()


def test_only_what_the_event_touches_is_recomputed(servers, db, worker, settle):
    add_stock(db, "ann", 1)
    add_option(db, "ann", 1)
    settle()
    assert has_trades(servers, "ann", 2) and has_trades(servers, "ann", 1, asset="options")
    before = value(servers, "analytics:options:{ann}:all_time:core")[0]["computed"]
    add_stock(db, "ann", 2)
    wait_until(lambda: has_trades(servers, "ann", 3))
    assert value(servers, "analytics:options:{ann}:all_time:core")[0]["computed"] == before


def test_settings_change_is_an_event(servers, db, worker):
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    execute(db, "INSERT INTO account_settings (user_id, timezone) VALUES ('ann', 'Asia/Tokyo')")

    def in_tokyo():
        return (fresh(servers, "ann") and value(servers, "analytics:combined:{ann}:all_time:core")[1]
                ["meta"]["time_range"]["timezone"] == "Asia/Tokyo")

    wait_until(in_tokyo)


def test_truncate_invalidates_every_user(servers, db, worker):
    for user in ("ann", "bob"):
        add_stock(db, user, 1)
        add_option(db, user, 1)
        wait_until(lambda user=user: has_trades(servers, user, 2))
    execute(db, "TRUNCATE stocks CASCADE")
    for user in ("ann", "bob"):
        wait_until(lambda user=user: has_trades(servers, user, 1))
        assert has_trades(servers, user, 1, asset="options")


def test_foreign_values_under_our_keys_do_not_stop_the_outbox(servers, db, worker):
    servers.redis("SET", "epoch:{nobody}", "not a hash")
    servers.redis("SET", "active:users", "not a sorted set")
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    execute(db, "TRUNCATE stocks CASCADE")
    wait_until(lambda: outbox_is_empty(db))
    assert not fresh(servers, "ann")


def test_unusable_rows_are_logged_and_drained(servers, db, worker):
    execute(db, "INSERT INTO pnlcache.change_log (user_id, tag) VALUES (%s, 'stocks'), ('', 'stocks'), ('ann', 'unheard-of'),"
                " (NULL, 'prices'), ('ann', 'notes')", "a\nb")
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    wait_until(lambda: outbox_is_empty(db))
    wait_until(lambda: worker.log().count("unusable user id") == 2 and "unknown tag" in worker.log())


@pytest.fixture
def foreign_view(servers, db):
    """stock_trades as a view over foreign tables may deliver it: what the table's constraints refuse."""
    with db.cursor() as cursor:
        cursor.execute("SELECT pg_get_viewdef('pnlcache.stock_trades'::regclass)")
        plain = cursor.fetchone()[0]
        cursor.execute("""
            CREATE OR REPLACE VIEW pnlcache.stock_trades AS
            SELECT user_id, id, symbol, CASE WHEN id % 10 = 1 THEN 'HOLD' ELSE trade_type END COLLATE "C" AS trade_type, number_shares,
                   CASE WHEN id % 10 = 2 THEN 'NaN' ELSE entry_price END::numeric(18,8) AS entry_price, exit_price, entry_date,
                   CASE WHEN id % 10 = 3 THEN entry_date - interval '1 day' ELSE exit_date END AS exit_date,
                   commissions, fees, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price,
                   mistakes, brokerage_name, order_type, initial_target, trade_ratings, reviewed, created_at, updated_at
            FROM public.stocks WHERE NOT is_deleted""")
    yield
    with db.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE VIEW pnlcache.stock_trades AS " + plain)


def left_out(log):
    return [line for line in log.splitlines() if "rows left out of the analytics" in line]


def test_skipped_rows_are_logged_once_with_their_ids(servers, db, run_worker, foreign_view):
    for id in (1, 2, 3, 4, 5):
        add_stock(db, "ann", id)
    add_stock(db, "bob", 6)
    done = run_worker("job", "precompute", "--all")
    assert len(left_out(done.stderr)) == 1, done.stderr
    assert "user=ann" in done.stderr and "rows=3" in left_out(done.stderr)[0]
    for named in ("stock 1 unknown_value", "stock 2 bad_value", "stock 3 exit_before_entry"):
        assert named in left_out(done.stderr)[0]
    document = json.loads(run_worker("job", "precompute", "--print", "--user", "ann").stdout.splitlines()[0].split("\t", 1)[1])
    assert document["meta"]["skipped_trades"] == {"unknown_value": 1, "bad_value": 1, "exit_before_entry": 1}
    assert document["meta"]["trade_counts"]["closed"] <= 2


def test_every_skipped_row_is_named_in_lines_of_bounded_length(servers, db, run_worker, foreign_view):
    execute(db, "INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                " SELECT i * 10 + 1, u, 'ACME', 'BUY', 1, 10, 11, now() - interval '1 day', now() FROM generate_series(1, 100) AS i,"
                " unnest(array['ann', repeat(chr(8364), 40)]) AS u")
    lines = left_out(run_worker("job", "precompute", "--all").stderr)
    assert all(len(line.encode()) < 2048 and line.endswith('unknown_value"') for line in lines)
    for user in ("ann", "\u20ac" * 40):
        of_user = [line for line in lines if f"user={user} " in line or f'user="{user}" ' in line]
        named = [int(id) for line in of_user for id in re.findall(r"stock (\d+) unknown_value", line)]
        assert sorted(named) == [i * 10 + 1 for i in range(1, 101)], of_user
        assert all("rows=100 " in line for line in of_user)


def test_rows_beyond_the_bound_are_counted(servers, db, run_worker, foreign_view, tmp_path):
    execute(db, "INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                " SELECT i * 10 + 1, u, 'ACME', 'BUY', 1, 10, 11, now() - interval '1 day', now() FROM generate_series(1, 5100) AS i,"
                " unnest(array['ann', 'bob', 'cid']) AS u")
    with open(tmp_path / "log", "wb") as log:  # a file takes every line at once
        subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--all"], env=servers.settings(), stdin=subprocess.DEVNULL,
                       stdout=log, stderr=log, check=True)
    text = (tmp_path / "log").read_text()
    assert len(re.findall(r"stock \d+ unknown_value", text)) == 10000
    assert "named=10000 not_named=5300 users=2" in text and "rows_left_out=15300" in text


def test_an_event_job_logs_skipped_rows_once(servers, db, worker, foreign_view):
    add_stock(db, "ann", 4)
    wait_until(lambda: has_trades(servers, "ann", 1))
    assert left_out(worker.log()) == []
    add_stock(db, "ann", 11)
    wait_until(lambda: left_out(worker.log()))
    assert len(left_out(worker.log())) == 1 and "stock 11 unknown_value" in left_out(worker.log())[0]


def test_burst_for_one_user_ends_fresh(servers, db, start_worker, run_worker, settle):
    workers = [start_worker(WORKER_CONCURRENCY="4") for _ in range(2)]
    for n in range(1, 101):
        add_stock(db, "ann", n)
    wait_until(lambda: has_trades(servers, "ann", 100))
    settle()
    assert has_trades(servers, "ann", 100)
    assert queue(run_worker)["dead"] == 0
    assert all("given up" not in worker.log() for worker in workers)


def test_unknown_job_goes_to_the_dead(servers, worker, run_worker):
    wait_until(lambda: b"workers" in servers.redis("XINFO", "GROUPS", "jobs"))
    servers.redis("XADD", "jobs", "*", "kind", "nonsense", "user", "ann", "reason", "test")
    wait_until(lambda: queue(run_worker)["dead"] == 1 and queue_is_empty(run_worker))


# --- nothing is lost --------------------------------------------------------------------------------------


def test_job_of_a_killed_worker_is_taken_over(servers, db, start_worker, run_worker):
    add_stock(db, "ann", 1)
    first = start_worker()
    wait_until(lambda: has_trades(servers, "ann", 1) and queue_is_empty(run_worker))
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    execute(db, "INSERT INTO account_settings (user_id, starting_equity) VALUES ('ann', 5000)")
    wait_until(lambda: execute(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"), what="the job to be stuck")
    assert queue(run_worker)["in_flight"] == 1
    first.expected_end = True
    first.kill()
    blocker.rollback()
    blocker.close()
    assert fresh(servers, "ann") is None
    start_worker(JOB_TIMEOUT="1")
    wait_until(lambda: has_trades(servers, "ann", 1), timeout=30)
    wait_until(lambda: queue_is_empty(run_worker))


def test_redis_away_delays_but_loses_nothing(servers, db, worker, settle):
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    servers.stop("redis")
    add_stock(db, "ann", 2)
    wait_until(lambda: "waiting for a server" in worker.log())
    assert not outbox_is_empty(db)
    servers.start("redis")
    wait_until(lambda: has_trades(servers, "ann", 2))
    settle()


@contextlib.contextmanager
def full_redis(servers):
    """Redis takes no write that needs memory, and evicts nothing."""
    limit, policy = (servers.redis("CONFIG", "GET", name).split()[1].decode() for name in ("maxmemory", "maxmemory-policy"))
    servers.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
    servers.redis("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        servers.redis("CONFIG", "SET", "maxmemory", limit)
        servers.redis("CONFIG", "SET", "maxmemory-policy", policy)


def test_full_redis_takes_every_invalidation_from_the_outbox(servers, db, worker, settle):
    for user in ("ann", "bob", "cid"):
        add_stock(db, user, 1)
    for user in ("ann", "bob", "cid"):
        wait_until(lambda user=user: has_trades(servers, user, 1))
    settle()
    with full_redis(servers):
        for user in ("ann", "bob", "cid"):
            add_stock(db, user, 2)
        wait_until(lambda: outbox_is_empty(db), what="the outbox to be drained")
        assert [servers.redis("HEXISTS", f"epoch:{{{user}}}", "stocks") for user in ("ann", "bob", "cid")] == [b"0"] * 3
        assert worker.log().count("no job queued") == 3
    add_stock(db, "ann", 3)
    wait_until(lambda: has_trades(servers, "ann", 3))
    settle()


def test_job_that_a_full_redis_stops_is_done_when_there_is_room(servers, db, start_worker, run_worker, settle):
    worker = start_worker(JOB_TIMEOUT="1")
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    settle()
    servers.redis("SET", "lock:job:{ann}", "another worker", "PX", "60000")
    add_stock(db, "ann", 2)
    wait_until(lambda: queue(run_worker)["in_flight"] == 1, what="the job to wait for its turn")
    with full_redis(servers):
        servers.redis("DEL", "lock:job:{ann}")
        wait_until(lambda: "what=jobs" in worker.log() or "for=jobs" in worker.log(), what="the worker to say why it waits")
        assert queue(run_worker)["depth"] == 1
        # Each taking of a job counts, and too many mean that its workers die: it is left alone for several claim times (2 s).
        idle_ms = lambda: int(servers.redis("XPENDING", "jobs", "workers", "-", "+", "1").split()[2])
        wait_until(lambda: idle_ms() > 7000, what="the job to be left alone")
    wait_until(lambda: has_trades(servers, "ann", 2), timeout=30)
    wait_until(lambda: queue_is_empty(run_worker))
    assert queue(run_worker)["dead"] == 0


def test_postgresql_away_delays_but_loses_nothing(servers, worker, run_worker):
    def insert(n):
        connection = psycopg2.connect(servers.owner_url)
        connection.autocommit = True
        add_stock(connection, "ann", n)
        connection.close()

    insert(1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    servers.stop("postgres")
    wait_until(lambda: "waiting for a server" in worker.log())
    servers.start("postgres")
    insert(2)
    wait_until(lambda: has_trades(servers, "ann", 2))
    wait_until(lambda: queue_is_empty(run_worker))


def test_both_absent_at_the_start(servers, start_worker):
    servers.stop("redis")
    servers.stop("postgres")
    worker = start_worker(OUTBOX_POLL="50")
    wait_until(lambda: worker.log().count("waiting for a server") >= 2)
    servers.start("redis", "postgres")
    connection = psycopg2.connect(servers.owner_url)
    connection.autocommit = True
    add_stock(connection, "ann", 1)
    connection.close()
    wait_until(lambda: has_trades(servers, "ann", 1))


def test_sigterm_finishes_the_job_in_flight(servers, db, start_worker, run_worker):
    add_stock(db, "ann", 1)
    worker = start_worker()
    wait_until(lambda: has_trades(servers, "ann", 1) and queue_is_empty(run_worker))
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    execute(db, "INSERT INTO account_settings (user_id, starting_equity) VALUES ('ann', 5000)")
    wait_until(lambda: execute(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    worker.expected_end = True
    worker.signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in worker.log())
    blocker.rollback()
    blocker.close()
    assert worker.process.wait(30) == 0
    assert has_trades(servers, "ann", 1)
    assert queue_is_empty(run_worker)


def test_sigterm_gives_a_stuck_job_back(servers, db, start_worker, run_worker):
    add_stock(db, "ann", 1)
    worker = start_worker(STOP_TIMEOUT="4")
    wait_until(lambda: has_trades(servers, "ann", 1) and queue_is_empty(run_worker))
    blocker = psycopg2.connect(servers.owner_url)
    try:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
        execute(db, "INSERT INTO account_settings (user_id, starting_equity) VALUES ('ann', 5000)")
        wait_until(lambda: execute(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        worker.expected_end = True
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        state = queue(run_worker)
        assert state["depth"] == 1 and state["in_flight"] == 0, worker.log()
    finally:
        blocker.close()
    start_worker()
    wait_until(lambda: has_trades(servers, "ann", 1) and queue_is_empty(run_worker))


def test_sighup_keeps_the_old_settings_on_error(servers, db, start_worker, tmp_path):
    conf = tmp_path / "pnlcache.conf"
    conf.write_text("WORKER_CONCURRENCY=1\n")
    worker = start_worker(PNLCACHE_CONF=conf, WORKER_CONCURRENCY=None)
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    conf.write_text("WORKER_CONCURRENCY=many\n")
    worker.signal(signal.SIGHUP)
    wait_until(lambda: "settings not reloaded" in worker.log())
    assert "WORKER_CONCURRENCY" in worker.log()
    add_stock(db, "ann", 2)
    wait_until(lambda: has_trades(servers, "ann", 2))
    conf.write_text("WORKER_CONCURRENCY=3\n")
    worker.signal(signal.SIGHUP)
    wait_until(lambda: "settings reloaded" in worker.log())
    add_stock(db, "ann", 3)
    wait_until(lambda: has_trades(servers, "ann", 3))


def test_sighup_takes_another_redis_and_another_database(servers, db, start_worker, tmp_path, redis_proxy, postgres_proxy):
    conf = tmp_path / "pnlcache.conf"
    conf.write_text(f"REDIS_URL={redis_proxy.url}\nDATABASE_URL={postgres_proxy.url}\n")
    worker = start_worker(PNLCACHE_CONF=conf, REDIS_URL=None, DATABASE_URL=None)
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    conf.write_text(f"REDIS_URL={servers.redis_url}\nDATABASE_URL={servers.program_url}\n")
    worker.signal(signal.SIGHUP)
    wait_until(lambda: "settings reloaded" in worker.log())
    for proxy in (redis_proxy, postgres_proxy):
        proxy.refuse()
        proxy.close_all()
    add_stock(db, "ann", 2)
    wait_until(lambda: has_trades(servers, "ann", 2))


def test_service_manager_is_told(servers, start_daemon, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        worker = start_daemon("pnlcache-worker", "run", NOTIFY_SOCKET=path, WATCHDOG_USEC="600000")
        assert notify.recv(100) == b"READY=1"
        assert notify.recv(100) == b"WATCHDOG=1"
        worker.expected_end = True
        assert worker.stop() == 0
        messages = [notify.recv(100)]
        while messages[-1] != b"STOPPING=1":
            messages.append(notify.recv(100))


# --- precompute --------------------------------------------------------------------------------------------


def test_precompute_writes_every_document_once(servers, db, run_worker):
    for user in ("ann", "bob", "{odd} id"):
        add_stock(db, user, 1)
    done = run_worker("job", "precompute", "--all")
    assert "users=3" in done.stderr and f"stored={3 * DOCUMENTS}" in done.stderr
    assert len(servers.redis("KEYS", "analytics:*").splitlines()) == 3 * DOCUMENTS
    assert has_trades(servers, "ann", 1)
    assert servers.redis("EXISTS", "analytics:stocks:{%7Bodd%7D%20id}:7d") == b"1"
    again = run_worker("job", "precompute", "--user", "ann", "--user=bob", "--user", "ann")
    assert "users=2" in again.stderr and f"unchanged={2 * DOCUMENTS}" in again.stderr
    ttl = int(servers.redis("TTL", "analytics:stocks:{ann}:7d"))
    assert 0 < ttl <= 900


def test_precompute_active_takes_who_was_seen(servers, db, worker, run_worker):
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1) and b"ann" in servers.redis("ZRANGE", "active:users", "0", "-1"))
    worker.expected_end = True
    assert worker.stop() == 0
    execute(db, "INSERT INTO stocks SELECT (jsonb_populate_record(s, '{\"user_id\": \"bob\"}')).* FROM stocks AS s")
    servers.redis("DEL", "analytics:stocks:{ann}:7d")
    assert "users=1" in run_worker("job", "precompute", "--active").stderr
    assert fresh(servers, "ann", "stocks", "", "7d")
    assert servers.redis("EXISTS", "analytics:stocks:{bob}:7d") == b"0"


def test_precompute_of_a_past_time_is_not_current(servers, db, run_worker):
    add_stock(db, "ann", 1, entry="'2020-03-02T15:00:00Z'", exit="'2020-03-03T15:00:00Z'")
    run_worker("job", "precompute", "--user", "ann", "--as-of", "2020-03-03T20:00:00Z")
    header, body = value(servers, "analytics:stocks:{ann}:today:core")
    assert body["data"]["total_trades"] == 1
    assert body["meta"]["as_of"] == "2020-03-03T20:00:00Z" and body["meta"]["valid_until"] == "2020-03-04T05:00:00Z"
    assert int(header["until"]) < time.time() * 1e6


def test_precompute_of_a_few_minutes_ago_is_not_stored(servers, db, run_worker):
    add_stock(db, "ann", 1)
    for seconds in (-3600, 0, 60, 800):
        then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))
        done = run_worker("job", "precompute", "--user", "ann", "--as-of", then, check=False)
        assert done.returncode == 2 and "--as-of" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert servers.redis("KEYS", "*") == b""


def test_precompute_shows_a_bar_on_a_terminal(servers, db, run_worker):
    execute(db, "INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                " SELECT i, 'user' || u, 'ACME', 'BUY', 1, 10, 11, now() - i * interval '1 hour', now() - i * interval '1 hour'"
                " FROM generate_series(1, 300) AS i, generate_series(1, 150) AS u")
    screen, terminal = pty.openpty()
    process = subprocess.Popen([BUILD / "pnlcache-worker", "job", "precompute", "--all"], env=servers.settings(PRECOMPUTE_BATCH="10"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            some = os.read(screen, 4096)
        except OSError:  # the terminal's other side is closed
            break
        shown += some
    os.close(screen)
    assert process.wait() == 0
    assert b"/150 users" in shown and b" %" in shown and b"left" in shown


def test_precompute_stops_on_sigterm(servers, db, start_daemon):
    add_stock(db, "ann", 1)
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    job = start_daemon("pnlcache-worker", "job", "precompute", "--user", "ann")
    job.expected_end = True
    wait_until(lambda: execute(db, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    job.signal(signal.SIGTERM)
    blocker.rollback()
    blocker.close()
    assert job.process.wait(30) == 128 + signal.SIGTERM


def test_precompute_says_what_is_away(servers, run_worker):
    done = run_worker("job", "precompute", "--all", check=False, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) <= 2
    done = run_worker("job", "precompute", "--user", "ann", check=False, REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1 and "127.0.0.1" in done.stderr


# --- the command line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, message", [
    ([], "no command; see 'pnlcache-worker --help'"),
    (["jab"], "unknown command 'jab'; see 'pnlcache-worker --help'"),
    (["--jab"], "unknown option '--jab'; see 'pnlcache-worker --help'"),
    (["job"], "no job named; see 'pnlcache-worker job --list'"),
    (["job", "postcompute"], "unknown job 'postcompute'; see 'pnlcache-worker job --list'"),
    (["job", "warm", "--all"], "unknown option '--all'; see 'pnlcache-worker job warm --help'"),
    (["job", "precompute", "--all", "--active"], "job precompute takes one of --user ID, --active, --all"),
    (["job", "precompute", "--all", "--as-of", "noon"], "--as-of 'noon' is not a time like 2025-06-20T20:00:00Z"),
    (["job", "precompute", "--all", "--as-of", "2999-01-01T00:00:00Z"],
     "--as-of lies in the future: its documents would be served as current; use --print"),
    (["job", "precompute", "--user", "x" * 129], "--user: an id must be 1 to 128 bytes of UTF-8 without control characters"),
    (["run", "now"], "unknown argument 'now'; see 'pnlcache-worker run --help'"),
    (["token"], "token needs --user ID"),
    (["token", "--user", "ann", "--ttl", "1h"], "--ttl '1h' is not a whole number of seconds from 1 to 31622400"),
    (["settings", "--man", "--example"], "settings takes one of --example, --markdown, --man"),
])
def test_misuse_is_one_line_and_status_2(servers, run_worker, arguments, message):
    done = run_worker(*arguments, check=False)
    assert done.returncode == 2
    assert done.stderr == f"pnlcache-worker: {message}\n"
    assert done.stdout == ""


@pytest.mark.parametrize("command", [[], ["run"], ["job"], ["job", "precompute"], ["job", "prune"], ["job", "rollover"],
                                     ["job", "warm"], ["jobs"], ["check"], ["token"], ["settings"]])
def test_help(servers, run_worker, command):
    assert run_worker(*command, "--help").stdout.startswith("Usage: pnlcache-worker")


def test_version(servers, run_worker):
    assert run_worker("--version").stdout.startswith("pnlcache-worker 0.")


def test_bad_setting_is_named(servers, run_worker):
    done = run_worker("run", check=False, WORKER_CONCURRENCY="many")
    assert done.returncode == 2 and "WORKER_CONCURRENCY" in done.stderr and "many" in done.stderr


def test_token_is_signed_with_the_secret(servers, run_worker):
    head, claims, signature = run_worker("token", "--user", "ann", "--role", "admin", "--ttl", "60").stdout.strip().split(".")
    mac = hmac.new(JWT_SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(mac).rstrip(b"=").decode() == signature
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["sub"] == "ann" and claims["role"] == "admin" and claims["exp"] - claims["iat"] == 60
    assert run_worker("token", "--user", "ann", check=False, JWT_SECRET="short").returncode == 2


def test_settings_are_documented(servers, run_worker):
    for form in ("--example", "--markdown", "--man"):
        assert "WORKER_CONCURRENCY" in run_worker("settings", form).stdout
    in_force = run_worker("settings", WORKER_CONCURRENCY="7").stdout
    assert "WORKER_CONCURRENCY=7" in in_force and JWT_SECRET not in in_force


def test_check_finds_everything_in_order(servers, db, run_worker):
    done = run_worker("check")
    assert "FAILED" not in done.stdout
    redis = re.search(r"redis_version:(\S+)", servers.redis("INFO", "server").decode()).group(1)
    for what in (f"PostgreSQL {db.server_version // 10000}.{db.server_version % 10000}", "stock_trades can be read",
                 "account_settings can be read", "outbox", f"Redis {redis}", "maxmemory"):
        assert what in done.stdout
    for secret in (JWT_SECRET, WEBHOOK_SECRET):
        assert secret not in done.stdout


def test_check_names_what_is_wrong(servers, run_worker):
    done = run_worker("check", check=False, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout.count("FAILED") == 2
    assert "check DATABASE_URL" in done.stdout and "check REDIS_URL" in done.stdout
    assert "PostgreSQL: PostgreSQL" not in done.stdout and "Redis: Redis" not in done.stdout


def test_check_names_datasets_that_the_responder_would_refuse(servers, run_worker, tmp_path):
    """The programs read them at their start, so an operator is to know before."""
    def datasets(**settings):
        done = run_worker("check", check=False, **settings)
        [line] = [line for line in done.stdout.splitlines() if "dataset" in line.lower() and not re.match(r"[A-Z_]+=", line)]
        return done.returncode, line

    assert datasets() == (0, f"ok       {len(list((ROOT / 'sql/datasets').glob('*.sql')))} datasets, each tried in PostgreSQL")
    file = tmp_path / "guides.sql"
    file.write_text("-- name: guides\n-- path: /api/guides\n-- scope: shared\n-- tags: guides\n\nSELECT 1 AS one FROM nowhere\n")
    status, line = datasets(DATASET_DIR=tmp_path)
    assert status == 1 and line.startswith("FAILED   ") and "guides.sql" in line and "nowhere" in line
    file.write_text("-- name: guides\n-- path: guides\n")
    status, line = datasets(DATASET_DIR=tmp_path)
    assert status == 1 and line.startswith("FAILED   ") and "guides.sql:2" in line
    status, line = datasets(DATASET_DIR=tmp_path / "none")
    assert status == 0 and line.startswith("warning  ") and line.endswith("there are no endpoints of datasets")


@pytest.mark.parametrize("refused, verdict, message", [
    (["+@all", "resetchannels"], "warning", "applications are not told of updates"),
    (["+@all", "resetchannels", "&pnlcache:*"], "warning", "applications are not told of updates"),
    (["+@all", "&*", "-hdel"], "FAILED", "nothing can be invalidated"),
    (["+@all", "&*", "-@scripting"], "FAILED", "locks of jobs and misses cannot be kept"),
    (["+@all", "resetkeys", "~p:analytics:*", "~p:epoch:*", "~p:lock:*", "~p:active:users"], "FAILED", "no job can be queued"),
    (["+@all", "&*", "-multi"], "warning", "rights in Redis cannot be tried"),
])
def test_check_names_what_redis_refuses(servers, run_worker, refused, verdict, message):
    servers.redis("ACL", "SETUSER", "limited", "reset", "on", ">secret", "~*", *refused)
    try:
        settings = {"REDIS_URL": servers.redis_url.replace("unix://", "unix://limited:secret@"), "KEY_PREFIX": "p:"}
        done = run_worker("check", check=False, **settings)
        assert done.returncode == (1 if verdict == "FAILED" else 0), done.stdout
        assert [line for line in done.stdout.splitlines() if line.startswith(verdict) and message in line], done.stdout
        assert "allows what the programs do" not in done.stdout
        servers.redis("ACL", "SETUSER", "limited", "reset", "on", ">secret", "+@all", "~*", "&p:*")
        assert "ok       Redis allows what the programs do" in run_worker("check", **settings).stdout
    finally:
        servers.redis("ACL", "DELUSER", "limited")
    assert servers.redis("KEYS", "*") == b""


def test_jobs_names_what_is_away(servers, run_worker):
    done = run_worker("jobs", check=False, REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
