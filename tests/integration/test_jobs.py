"""The job queue: failing, crashing and dying, what is left of it, and what an operator sees and does about it."""
import os
import re
import signal
import threading
import time

import psycopg2
import pytest
import redis

from harness import add_stock, wait_until
from test_worker import execute, fresh, has_trades, outbox_is_empty, queue, queue_is_empty


def children(pid):
    """The pids of a process's living children."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


def lives(pid):
    """A zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def letters(run_worker):
    return run_worker("jobs", "list", "--dead").stdout.splitlines()


SLEEP_ON_POISON = "BEGIN IF $1 = 'poison' THEN PERFORM pg_sleep(60); END IF; RETURN true; END"
FAIL_ON_POISON = "BEGIN IF $1 = 'poison' THEN RAISE EXCEPTION 'bitter'; END IF; RETURN true; END"


class Assassin(threading.Thread):
    """Kills a worker's computing process each time that it is at the poisoned user."""

    def __init__(self, servers, worker, number):
        super().__init__(daemon=True)
        self.url, self.worker, self.number = servers.owner_url, worker, number
        self.done, self.killed = threading.Event(), []

    def run(self):
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        seen = set()
        while not self.done.is_set():
            for (backend,) in execute(connection, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
                if backend in seen:
                    continue
                seen.add(backend)
                for child in children(self.worker.pid):
                    os.kill(child, self.number)
                    self.killed.append(child)
            time.sleep(0.005)
        connection.close()


# A computation reads its users' rows first and holds this lock until its snapshot ends: who comes to it while another
# backend has it is at the same user at the same time. Which of the two then fails does not matter.
FAIL_ON_TWO_AT_ONCE = """BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext($1)) THEN RAISE EXCEPTION 'two at once: %', $1; END IF;
    RETURN true; END"""


class ChangesWithoutPause(threading.Thread):
    """Does again and again for each user what a webhook does, without PostgreSQL in between: an invalidation and a job."""

    def __init__(self, servers, users):
        super().__init__(daemon=True)
        self.client, self.users = redis.Redis(unix_socket_path=servers.redis_socket), users
        self.done, self.rounds = threading.Event(), 0

    def run(self):
        while not self.done.is_set():
            pipe = self.client.pipeline(transaction=False)
            for user in self.users:
                pipe.hdel(f"epoch:{{{user}}}", "stocks")
                pipe.xadd("jobs", {"kind": "analytics", "user": user, "reason": "test"})
            pipe.xlen("jobs")
            self.rounds += 1
            if pipe.execute()[-1] > 300:
                time.sleep(0.01)  # the queue stays long, but not ever longer
        self.client.close()


def jobs_done(worker, user):
    return len(re.findall(rf'msg="job done" .*\buser={user} ', worker.log()))


def test_two_workers_are_never_at_one_user_at_once(servers, db, start_worker, run_worker, trapped_views):
    users = ("ann", "bob", "cid")
    execute(db, "INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                " SELECT i, u, 'ACME', 'BUY', 1, 10, 11, now() - i * interval '1 hour', now() - i * interval '1 hour'"
                " FROM generate_series(1, 1000) AS i, unnest(%s) AS u", list(users))
    trapped_views(FAIL_ON_TWO_AT_ONCE)
    workers = [start_worker(WORKER_CONCURRENCY="2", JOB_ATTEMPTS="1", LOG_LEVEL="debug") for _ in range(2)]
    changes = ChangesWithoutPause(servers, users)
    changes.start()
    try:
        for worker in workers:
            for user in users:
                wait_until(lambda worker=worker, user=user: jobs_done(worker, user) >= 10, timeout=120, what=f"10 jobs of {user} by each worker")
    finally:
        changes.done.set()
        changes.join()
    wait_until(lambda: queue_is_empty(run_worker), timeout=60)
    assert letters(run_worker) == [] and not any("two at once" in worker.log() for worker in workers)
    assert all(has_trades(servers, user, 1000) for user in users)
    assert changes.rounds > 100


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_user_that_crashes_the_computation_is_isolated(servers, db, start_worker, run_worker, trapped_views, number):
    trapped_views(SLEEP_ON_POISON)
    for user in ("ann", "poison", "bob", "carl"):
        add_stock(db, user, 1)
    # An address sanitizer would take the signal for a find of its own.
    options = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_abort=0"
    worker = start_worker(WORKER_CONCURRENCY="1", JOB_ATTEMPTS="3", ASAN_OPTIONS=options)
    assassin = Assassin(servers, worker, number)
    assassin.start()
    try:
        for user in ("ann", "bob", "carl"):
            wait_until(lambda user=user: has_trades(servers, user, 1), what=f"{user} beside the poison")
        wait_until(lambda: queue(run_worker)["dead"] == 1 and queue_is_empty(run_worker), timeout=60)
        add_stock(db, "dora", 1)
        wait_until(lambda: has_trades(servers, "dora", 1), what="the worker to go on")
    finally:
        assassin.done.set()
        assassin.join()
    (letter,) = letters(run_worker)
    assert "poison" in letter and "attempts 3" in letter and f"SIG{signal.Signals(number).name[3:]}" in letter, letter
    assert len(assassin.killed) >= 3 and len(children(worker.pid)) == 1
    assert not fresh(servers, "poison")


def test_user_whose_query_fails_is_tried_again_then_given_up(servers, db, start_worker, run_worker, trapped_views):
    trapped_views(FAIL_ON_POISON)
    for user in ("ann", "poison", "bob"):
        add_stock(db, user, 1)
    worker = start_worker(WORKER_CONCURRENCY="1", JOB_ATTEMPTS="4")
    wait_until(lambda: has_trades(servers, "ann", 1) and has_trades(servers, "bob", 1))
    wait_until(lambda: queue(run_worker)["dead"] == 1 and queue_is_empty(run_worker), timeout=60)
    (letter,) = letters(run_worker)
    assert "poison" in letter and "attempts 4" in letter and "bitter" in letter
    pauses = [int(ms) for ms in re.findall(r'msg="job failed, trying again" .*? in_ms=(\d+)', worker.log())]
    assert len(pauses) == 3 and all(most / 2 <= ms <= most for ms, most in zip(pauses, (250, 1000, 4000))), pauses


def test_attempts_are_counted_over_the_deaths_of_workers(servers, db, start_worker, run_worker, trapped_views):
    trapped_views(FAIL_ON_POISON)
    add_stock(db, "poison", 1)
    first = start_worker(JOB_ATTEMPTS="100")
    wait_until(lambda: "attempts=2" in first.log(), timeout=60)
    first.expected_end = True
    first.kill()
    second = start_worker(JOB_ATTEMPTS="100", JOB_TIMEOUT="1")
    wait_until(lambda: "attempts=3" in second.log() or "attempts=4" in second.log(), timeout=60)
    assert "attempts=1 " not in second.log()
    assert queue(run_worker)["dead"] == 0


def test_repaired_dead_letter_is_retried(servers, db, start_worker, run_worker, trapped_views):
    trapped_views(FAIL_ON_POISON)
    add_stock(db, "poison", 1)
    start_worker(JOB_ATTEMPTS="1")
    wait_until(lambda: queue(run_worker)["dead"] == 1)
    trapped_views("BEGIN RETURN true; END")
    identity = letters(run_worker)[0].split()[0]
    assert run_worker("jobs", "retry", identity).stdout == f"{identity} queued again\n"
    wait_until(lambda: has_trades(servers, "poison", 1))
    wait_until(lambda: queue_is_empty(run_worker))
    assert queue(run_worker)["dead"] == 0


def test_computing_process_killed_while_idle_costs_nobody_an_attempt(servers, db, worker, run_worker):
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1) and queue_is_empty(run_worker))
    killed = children(worker.pid)
    for child in killed:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: not any(lives(child) for child in killed))
    add_stock(db, "ann", 2)
    wait_until(lambda: has_trades(servers, "ann", 2))
    wait_until(lambda: queue_is_empty(run_worker))
    assert "trying again" not in worker.log() and queue(run_worker)["dead"] == 0


def test_computing_processes_leave_with_their_worker_and_hold_nothing_of_it(servers, db, worker):
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    left = children(worker.pid)
    assert len(left) == 2
    for child in left:
        # standard streams, its end of the pair, one connection to each server
        assert len(os.listdir(f"/proc/{child}/fd")) == 6
        with open(f"/proc/{child}/environ", "rb") as file:
            assert b"REDIS_URL" not in file.read()
    worker.expected_end = True
    worker.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in left), what="the children to go")
    wait_until(lambda: execute(db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pnlcache-worker'") == [(0,)])


def consumers(servers):
    """Name and silence in ms of the group's consumers."""
    client = redis.Redis(unix_socket_path=servers.redis_socket, decode_responses=True)
    try:
        return {row["name"]: row["idle"] for row in client.xinfo_consumers("jobs", "workers")}
    finally:
        client.close()


def test_a_starting_worker_removes_the_names_of_killed_ones(servers, db, start_worker, run_worker):
    add_stock(db, "ann", 1)
    first = start_worker(JOB_TIMEOUT="1", WORKER_CONCURRENCY="1")
    wait_until(lambda: has_trades(servers, "ann", 1) and queue_is_empty(run_worker))
    first.expected_end = True
    first.kill()
    (name,) = consumers(servers)
    wait_until(lambda: consumers(servers)[name] > 4000, what="the killed worker's silence")
    second = start_worker(JOB_TIMEOUT="1", WORKER_CONCURRENCY="1")
    wait_until(lambda: "consumers that are gone were removed" in second.log())
    assert name not in servers.redis("XINFO", "CONSUMERS", "jobs", "workers").decode()
    add_stock(db, "ann", 2)
    wait_until(lambda: has_trades(servers, "ann", 2) and queue_is_empty(run_worker))
    assert [n for n in consumers(servers) if f":{second.pid}:" in n]


def test_failed_reload_reaches_no_computing_process(servers, db, start_worker, tmp_path):
    conf = tmp_path / "pnlcache.conf"
    conf.write_text("WORKER_CONCURRENCY=1\n")
    worker = start_worker(PNLCACHE_CONF=conf, WORKER_CONCURRENCY=None)
    wait_until(lambda: "started" in worker.log() and children(worker.pid))
    conf.write_text("WORKER_CONCURRENCY=many\n")
    worker.signal(signal.SIGHUP)
    wait_until(lambda: "settings not reloaded" in worker.log())
    for child in children(worker.pid):
        os.kill(child, signal.SIGKILL)
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))


# --- what is in the way ----------------------------------------------------------------------------------


def test_other_type_under_the_stream_is_named_and_survived(servers, db, start_worker):
    servers.redis("SET", "jobs", "mine")
    worker = start_worker(OUTBOX_POLL="50")
    wait_until(lambda: "the key jobs holds something else than a stream" in worker.log())
    servers.redis("HSET", "epoch:{ann}", "stocks", "0123456789abcdef")
    add_stock(db, "ann", 1)
    wait_until(lambda: outbox_is_empty(db), what="the invalidation to be carried out all the same")
    assert servers.redis("HEXISTS", "epoch:{ann}", "stocks") == b"0"
    servers.redis("DEL", "jobs")
    add_stock(db, "ann", 2)
    wait_until(lambda: has_trades(servers, "ann", 2))


def test_foreign_entries_are_removed_and_trouble_nobody(servers, db, worker, run_worker):
    servers.redis("XADD", "jobs", "*", "what", "is this")
    servers.redis("XADD", "jobs", "*", "kind", "analytics", "user", "x" * 500)
    servers.redis("ZADD", "jobs:later", "1", "no job at all")
    servers.redis("XADD", "jobs:dead", "*", "what", "is this")
    servers.redis("SET", "lock:job:{bob}", "for a moment", "PX", "300")
    for user in ("ann", "bob"):
        add_stock(db, user, 1)
        wait_until(lambda user=user: has_trades(servers, user, 1))
    wait_until(lambda: queue_is_empty(run_worker))
    wait_until(lambda: servers.redis("EXISTS", "jobs:later") == b"0")
    assert len(letters(run_worker)) == 1
    assert "0 queued again" in run_worker("jobs", "retry", "--all").stdout
    assert "1 dropped" in run_worker("jobs", "drop", "--all").stdout


def test_user_without_trades_and_deleted_user_are_done(servers, db, worker, run_worker):
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    execute(db, "DELETE FROM stocks WHERE user_id = 'ann'")
    wait_until(lambda: has_trades(servers, "ann", 0))
    execute(db, "INSERT INTO pnlcache.change_log (user_id, tag) VALUES ('nobody', 'stocks')")
    wait_until(lambda: has_trades(servers, "nobody", 0))
    wait_until(lambda: queue_is_empty(run_worker))
    assert queue(run_worker)["dead"] == 0


# --- the command line ---------------------------------------------------------------------------------------


def test_state_counts_kinds_and_outbox(servers, db, run_worker):
    add_stock(db, "ann", 1)
    for kind in ("analytics", "analytics", "strange"):
        servers.redis("XADD", "jobs", "*", "kind", kind, "user", "ann", "reason", "test")
    execute(db, "UPDATE pnlcache.change_log SET noted_at = now() - interval '1 minute'")
    state = queue(run_worker)
    assert state["depth"] == 3 and state["depth_analytics"] == 2 and state["depth_strange"] == 1
    assert state["in_flight"] == state["retrying"] == state["dead"] == 0
    assert state["outbox_depth"] == 1 and 60000 <= state["outbox_oldest_age_ms"] < 600000


def test_list_names_every_job_and_its_place(servers, run_worker):
    servers.redis("XGROUP", "CREATE", "jobs", "workers", "0", "MKSTREAM")
    for user in ("ann", "bob"):
        servers.redis("XADD", "jobs", "*", "kind", "analytics", "user", user, "reason", "a \x1b[2Jtest")
    servers.redis("XREADGROUP", "GROUP", "workers", "box:1:0", "COUNT", "1", "STREAMS", "jobs", ">")
    servers.redis("ZADD", "jobs:later", "1", "analytics\ncarl\n2\n1000\nwhy\nit broke\n")
    lines = run_worker("jobs", "list").stdout.splitlines()
    assert len(lines) == 3 and "\x1b" not in "".join(lines)
    assert lines[0].startswith("in flight") and "ann" in lines[0] and "box:1:0" in lines[0]
    assert lines[1].startswith("queued") and "bob" in lines[1]
    assert lines[2].startswith("retrying") and "carl" in lines[2] and "attempts 2" in lines[2] and "it broke" in lines[2]


@pytest.mark.parametrize("arguments, message", [
    (["jobs", "lst"], "unknown word 'lst'; see 'pnlcache-worker jobs --help'"),
    (["jobs", "--dead"], "unknown option '--dead'; see 'pnlcache-worker jobs --help'"),
    (["jobs", "retry"], "jobs retry needs the ID of a dead letter, or --all"),
    (["jobs", "drop", "1-0", "--all"], "jobs drop needs the ID of a dead letter, or --all"),
    (["jobs", "drop", "1-0", "2-0"], "unknown argument '2-0'; see 'pnlcache-worker jobs --help'"),
    (["compute"], "compute is started by 'pnlcache-worker run' only"),
])
def test_misuse_is_one_line_and_status_2(servers, run_worker, arguments, message):
    done = run_worker(*arguments, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (2, f"pnlcache-worker: {message}\n", "")


@pytest.mark.parametrize("id", ["1-0", "18446744073709551615-18446744073709551615", "yesterday", "-", "1-0-0", "+"])
@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_unknown_letter_is_one_line_and_status_1(servers, run_worker, verb, id):
    done = run_worker("jobs", verb, id, check=False)
    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and done.stdout == ""


def test_state_without_postgresql_tells_what_it_knows(servers, run_worker):
    done = run_worker("jobs", check=False, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 1 and "depth 0\n" in done.stdout and "outbox" not in done.stdout
    assert done.stderr.count("\n") == 1 and "127.0.0.1" in done.stderr
