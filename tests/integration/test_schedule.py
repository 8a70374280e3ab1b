"""The scheduled jobs (locks, roll-over, warming, pruning) and what the service manager is told."""
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from harness import BUILD, Daemon, add_stock, wait_until
from test_worker import DOCUMENTS, execute, fresh

BUSY = 3
WARM = {"WARM_USERS": "1000"}  # the harness warms nobody


@pytest.fixture
def blocked(servers, db):
    """A lock on `stocks` that stops every computation until release() is called."""
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")

    class Blocked:
        @staticmethod
        def waiting():
            return execute(db, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

        @staticmethod
        def release():
            blocker.rollback()

    yield Blocked
    blocker.close()


def seen(servers, *users, seconds_ago=0):
    for user in users:
        servers.redis("ZADD", "active:users", int(time.time()) - seconds_ago, user)


def documents_of(servers, user):
    return len(servers.redis("KEYS", f"analytics:*:{{{user}}}:*").splitlines())


# --- one run at a time ----------------------------------------------------------------------------------


def test_two_runs_of_a_job_exclude_each_other(servers, db, start_daemon, run_worker, blocked):
    seen(servers, "ann")
    first = start_daemon("pnlcache-worker", "job", "precompute", "--active")
    first.expected_end = True
    wait_until(blocked.waiting)
    second = run_worker("job", "precompute", "--all", check=False)
    assert second.returncode == BUSY
    assert second.stderr == ("pnlcache-worker: another run of job precompute is at work; "
                             "a killed one's lock runs out within 30 s\n")
    # Named users are an operator's errand, another job is another lock: neither waits.
    others = [start_daemon("pnlcache-worker", "job", *words, **WARM) for words in (("precompute", "--user", "bob"), ("warm",))]
    for other in others:
        other.expected_end = True
    blocked.release()
    assert [job.process.wait(30) for job in (first, *others)] == [0, 0, 0]
    assert servers.redis("EXISTS", "lock:job:precompute", "lock:job:warm") == b"0"
    assert run_worker("job", "precompute", "--all").returncode == 0


def test_lock_of_a_killed_job_runs_out(servers, start_daemon, run_worker, blocked):
    seen(servers, "ann")
    job = start_daemon("pnlcache-worker", "job", "precompute", "--active")
    job.expected_end = True
    wait_until(blocked.waiting)
    job.kill()
    blocked.release()
    assert 0 < int(servers.redis("PTTL", "lock:job:precompute")) <= 30000
    assert run_worker("job", "precompute", "--active", check=False).returncode == BUSY
    servers.redis("PEXPIRE", "lock:job:precompute", "1")  # as if the thirty seconds were over
    wait_until(lambda: servers.redis("EXISTS", "lock:job:precompute") == b"0")
    assert "users=1" in run_worker("job", "precompute", "--active").stderr


def test_job_renews_its_lock_and_stops_when_it_is_lost(servers, start_daemon, blocked):
    seen(servers, "ann")
    job = start_daemon("pnlcache-worker", "job", "precompute", "--active")
    job.expected_end = True
    [(backend,)] = wait_until(blocked.waiting)
    os.kill(backend, signal.SIGSTOP)  # or the query would give up before the lock is renewed
    servers.redis("PEXPIRE", "lock:job:precompute", "25000")
    wait_until(lambda: int(servers.redis("PTTL", "lock:job:precompute")) > 25000, what="a renewal")
    servers.redis("SET", "lock:job:precompute", "somebody else")
    wait_until(lambda: "held by somebody else" in job.log(), what="the loss to be noticed")
    blocked.release()
    os.kill(backend, signal.SIGCONT)
    assert job.process.wait(30) == 1
    assert "the lock of job precompute was lost, so it stopped" in job.log()
    assert servers.redis("GET", "lock:job:precompute") == b"somebody else"


def test_stopped_job_gives_its_lock_back(servers, start_daemon, blocked):
    seen(servers, "ann")
    job = start_daemon("pnlcache-worker", "job", "warm", **WARM)
    job.expected_end = True
    wait_until(blocked.waiting)
    job.signal(signal.SIGTERM)
    blocked.release()
    assert job.process.wait(30) == 128 + signal.SIGTERM
    assert servers.redis("EXISTS", "lock:job:warm") == b"0"


def test_jobs_run_without_a_lock_where_redis_is_full(servers, run_worker):
    seen(servers, "old", seconds_ago=10**7)
    servers.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
    servers.redis("CONFIG", "SET", "maxmemory", "1")
    try:
        done = run_worker("job", "prune")
    finally:
        servers.redis("CONFIG", "SET", "maxmemory", "256mb")
        servers.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert "Redis takes no lock: running without" in done.stderr and "users=1" in done.stderr
    assert servers.redis("ZCARD", "active:users") == b"0"


def test_every_job_is_listed(run_worker):
    names = [line.split()[0] for line in run_worker("job", "--list").stdout.splitlines()]
    assert names == sorted(names) and {"precompute", "prune", "rollover", "warm"} <= set(names)


@pytest.mark.parametrize("job", ["rollover", "warm", "prune"])
def test_jobs_say_what_is_away(servers, run_worker, job):
    seen(servers, "ann")
    done = run_worker("job", job, check=False, REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1 and "127.0.0.1" in done.stderr
    done = run_worker("job", job, check=False, REDIS_ENABLED="false")
    assert done.returncode == 2 and f"leaves job {job} nothing to do" in done.stderr
    if job != "prune":
        done = run_worker("job", job, check=False, **WARM, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
        assert done.returncode == 1 and "127.0.0.1" in done.stderr


# --- the trading day's roll-over ------------------------------------------------------------------------


def set_day_start(db, user, hours_ago):
    """A trading day that began with the UTC hour before the present one (hours_ago=0: with the present one)."""
    hour = (time.gmtime().tm_hour - hours_ago) % 24
    execute(db, "INSERT INTO account_settings (user_id, timezone, trading_day_start) VALUES (%s, 'UTC', %s)", user, hour)


def mark(servers):
    return int(servers.redis("GET", "schedule:rollover") or 0)


def set_mark(servers, hours_ago):
    servers.redis("SET", "schedule:rollover", int((time.time() // 3600 - hours_ago) * 3600e6) + 1800 * 10**6)


def test_rollover_renews_those_whose_day_has_begun(servers, db, run_worker):
    # The days of the four began 5, 6, 7 and 8 hours ago; the last run was six and a half hours ago.
    for user, hours in (("five", 5), ("six", 6), ("seven", 7), ("eight", 8)):
        add_stock(db, user, 1)
        set_day_start(db, user, hours)
        seen(servers, user)
    add_stock(db, "stranger", 1)
    set_day_start(db, "stranger", 5)  # not active
    set_mark(servers, 7)
    before = time.time() * 1e6
    assert "users=2" in run_worker("job", "rollover").stderr
    assert [documents_of(servers, user) for user in ("five", "six", "seven", "eight", "stranger")] == [DOCUMENTS, DOCUMENTS, 0, 0, 0]
    assert before <= mark(servers) <= time.time() * 1e6
    assert "users=0" in run_worker("job", "rollover").stderr  # nobody's day has begun since


def test_rollover_without_a_mark_looks_at_every_active_user(servers, db, run_worker):
    add_stock(db, "ann", 1)
    seen(servers, "ann")
    done = run_worker("job", "rollover").stderr
    assert "users=1" in done and f"stored={DOCUMENTS}" in done
    servers.redis("SET", "schedule:rollover", "9" * 18)  # a clock that was ahead
    done = run_worker("job", "rollover").stderr
    assert "users=1" in done and "stored=0" in done and f"valid={DOCUMENTS}" in done


def test_rollover_that_failed_is_caught_up(servers, db, run_worker, start_daemon, blocked):
    set_day_start(db, "ann", 1)
    seen(servers, "ann")
    set_mark(servers, 3)
    before = mark(servers)
    job = start_daemon("pnlcache-worker", "job", "rollover", DATABASE_JOB_TIMEOUT="1000")
    job.expected_end = True
    assert job.process.wait(60) == 1
    assert mark(servers) == before
    blocked.release()
    assert "users=1" in run_worker("job", "rollover").stderr
    assert mark(servers) > before


@pytest.fixture
def any_day_start(db):
    """Without the constraint on trading_day_start, as a view over foreign tables may be."""
    constraint = "account_settings_trading_day_start_check"
    execute(db, f"ALTER TABLE account_settings DROP CONSTRAINT {constraint}")
    yield
    execute(db, "DELETE FROM account_settings")
    execute(db, f"ALTER TABLE account_settings ADD CONSTRAINT {constraint} CHECK (trading_day_start BETWEEN 0 AND 23)")


def test_rollover_goes_past_settings_that_cannot_be_used(servers, db, run_worker, any_day_start):
    for user in ("ann", "bob"):
        set_day_start(db, user, 1)
        seen(servers, user)
    execute(db, "UPDATE account_settings SET trading_day_start = 24 WHERE user_id = 'ann'")
    set_mark(servers, 3)
    assert "users=1" in run_worker("job", "rollover").stderr
    assert documents_of(servers, "bob") == DOCUMENTS


# --- warming ----------------------------------------------------------------------------------------------


def test_warm_makes_the_next_request_a_hit(servers, db, run_worker, responder, web):
    add_stock(db, "ann", 1)
    path = "/api/analytics/core?time_range=30d"
    seen(servers, "ann")
    assert f"stored={DOCUMENTS}" in run_worker("job", "warm", **WARM).stderr
    answer = web.get(path, user="ann")
    assert answer.status == 200 and "hit" in answer.headers["Cache-Status"], answer
    servers.redis("FLUSHALL")
    wait_until(lambda: "hit" not in web.get(path, user="ann").headers["Cache-Status"], what="word of the flush to arrive")


def test_warm_leaves_alone_what_stays_valid(servers, db, run_worker):
    add_stock(db, "ann", 1)
    seen(servers, "ann")
    run_worker("job", "precompute", "--active")
    assert f"stored=0 unchanged=0 valid={DOCUMENTS}" in run_worker("job", "warm", **WARM).stderr
    # With a TTL of four minutes the next run would come too late for all, but half of it is left alone.
    run_worker("job", "precompute", "--active", CACHE_TTL_ANALYTICS="240")
    assert f"unchanged={DOCUMENTS} valid=0" in run_worker("job", "warm", **WARM).stderr
    run_worker("job", "precompute", "--active", CACHE_TTL_ANALYTICS="240")
    assert f"valid={DOCUMENTS}" in run_worker("job", "warm", **WARM, CACHE_TTL_ANALYTICS="240").stderr


def test_warm_takes_the_most_recently_active(servers, db, run_worker):
    for user, ago in (("first", 10), ("second", 20), ("third", 30), ("gone", 700000)):
        add_stock(db, user, 1)
        seen(servers, user, seconds_ago=ago)
    run_worker("job", "warm", WARM_USERS="2")
    assert [documents_of(servers, user) for user in ("first", "second", "third", "gone")] == [DOCUMENTS, DOCUMENTS, 0, 0]
    run_worker("job", "warm", **WARM)
    assert [documents_of(servers, user) for user in ("third", "gone")] == [DOCUMENTS, 0]
    servers.redis("FLUSHALL")
    seen(servers, "first")
    assert "users=0" in run_worker("job", "warm", WARM_USERS="0").stderr


def hour_of_week(hours_later):
    return int((time.time() / 3600 + 72 + hours_later) % 168)  # 1970-01-01 was a Thursday


def test_warm_knows_who_usually_comes_now(servers, db, run_worker):
    for user in ("usual", "other", "recent"):
        add_stock(db, user, 1)
    for hour in (0, 1):  # the next one too, should it begin meanwhile
        servers.redis("ZADD", f"activity:hours:{hour_of_week(hour):03d}", "5", "usual")
    servers.redis("ZADD", f"activity:hours:{hour_of_week(40):03d}", "9", "other")
    seen(servers, "recent", seconds_ago=3600)
    run_worker("job", "warm", WARM_USERS="1")
    assert [documents_of(servers, user) for user in ("usual", "other", "recent")] == [DOCUMENTS, 0, 0]
    run_worker("job", "warm", WARM_USERS="2")
    assert [documents_of(servers, user) for user in ("usual", "other", "recent")] == [DOCUMENTS, 0, DOCUMENTS]


def test_a_visit_counts_for_its_hour_of_the_week(servers, db, responder, web):
    add_stock(db, "ann", 1)
    before = hour_of_week(0)
    for _ in range(3):
        assert web.get("/api/analytics/core?time_range=30d", user="ann").status == 200
    wait_until(lambda: servers.redis("ZCARD", "active:users") == b"1")
    key = wait_until(lambda: servers.redis("KEYS", "activity:hours:*").decode())
    assert key in {f"activity:hours:{hour:03d}" for hour in (before, hour_of_week(0))}
    assert servers.redis("ZRANGE", key, "0", "-1") == b"ann" and 0 < int(servers.redis("TTL", key)) <= 9676800


# --- pruning ----------------------------------------------------------------------------------------------


def test_prune_trims_active_users(servers, run_worker):
    for start in range(0, 2500, 500):
        servers.redis("ZADD", "active:users", *(word for n in range(start, start + 500)
                                               for word in (int(time.time()) - 700000 - n, f"old-{n}")))
    seen(servers, "ann", "bob")
    seen(servers, "just", seconds_ago=604000)
    assert "users=2500" in run_worker("job", "prune").stderr
    assert servers.redis("ZRANGE", "active:users", "0", "-1").split() == [b"just", b"ann", b"bob"]
    assert "users=0" in run_worker("job", "prune").stderr


def test_prune_drops_old_dead_letters(servers, run_worker):
    now_ms = int(time.time() * 1000)
    for age_ms in (3 * 10**9, 2592000000 + 60000, 2592000000 - 60000, 0):
        servers.redis("XADD", "jobs:dead", f"{now_ms - age_ms}-0", "kind", "analytics", "user", "ann", "error", "none")
    assert "dead_letters=2" in run_worker("job", "prune").stderr
    assert servers.redis("XLEN", "jobs:dead") == b"2"
    assert "dead_letters=1" in run_worker("job", "prune", DEAD_LETTER_AGE="60").stderr


def test_prune_gives_a_ttl_to_keys_that_lost_theirs(servers, db, run_worker):
    add_stock(db, "ann", 1)
    run_worker("job", "precompute", "--user", "ann")
    for key in ("analytics:stocks:{ann}:7d", "epoch:{ann}", "epoch:shared"):
        servers.redis("PERSIST", key)
    servers.redis("SET", "somebody:elses", "key")
    servers.redis("ZADD", "active:users", int(time.time()), "ann")
    done = run_worker("job", "prune").stderr
    assert "keys_bounded=3" in done or ("keys_bounded=2" in done and servers.redis("EXISTS", "epoch:shared") == b"0"), done
    assert 0 < int(servers.redis("TTL", "analytics:stocks:{ann}:7d")) <= 86400
    assert servers.redis("TTL", "somebody:elses") == b"-1" and servers.redis("TTL", "active:users") == b"-1"
    assert 0 < int(servers.redis("TTL", "analytics:stocks:{ann}:30d")) <= 900  # left as it was
    assert fresh(servers, "ann") is not None


def test_prune_keeps_to_its_prefix(servers, run_worker):
    for prefix in ("a*:", "", "ab:"):
        servers.redis("ZADD", prefix + "active:users", "1", "old")
        servers.redis("SET", prefix + "analytics:x", "1")
    run_worker("job", "prune", KEY_PREFIX="ab:")
    assert [servers.redis("ZCARD", prefix + "active:users") for prefix in ("a*:", "", "ab:")] == [b"1", b"1", b"0"]
    assert [int(servers.redis("TTL", prefix + "analytics:x")) > 0 for prefix in ("a*:", "", "ab:")] == [False, False, True]


# --- the worker's own schedule ----------------------------------------------------------------------------------


def children(daemon):
    """pid: job of the jobs a worker is running, but for those of shared datasets, which come and go with the hour of the day."""
    found = {}
    for task in Path(f"/proc/{daemon.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except FileNotFoundError:
                continue
            if len(words) > 2 and words[1] == b"job" and words[2] not in (b"market", b"reference"):
                found[int(pid)] = words[2].decode()
    return found


def start_schedule(start_daemon, *arguments, **settings):
    return start_daemon("pnlcache-worker", "run", *arguments, **WARM, **{"WANTED_DATASETS": "0", **settings})


def test_worker_warms_recently_active_users_when_it_starts(servers, db, start_daemon):
    add_stock(db, "ann", 1)
    execute(db, "DELETE FROM pnlcache.change_log")  # no event makes the documents
    seen(servers, "ann")
    seen(servers, "old", seconds_ago=700000)
    worker = start_schedule(start_daemon)
    wait_until(lambda: documents_of(servers, "ann") == DOCUMENTS)
    wait_until(lambda: "job=warm" in worker.log())
    assert "job=prune" not in worker.log() and documents_of(servers, "old") == 0


def test_schedule_begins_with_what_may_have_been_missed(servers, db, start_daemon):
    seen(servers, "old", seconds_ago=700000)
    worker = start_schedule(start_daemon, "--schedule")
    wait_until(lambda: all(f'msg="job done" job={job} ' in worker.log() for job in ("prune", "rollover", "warm")))
    assert servers.redis("EXISTS", "active:users") == b"0" and mark(servers) > 0
    assert "job=precompute" not in worker.log()


def test_killed_job_takes_nothing_down(servers, db, start_daemon, blocked):
    seen(servers, "ann")
    worker = start_schedule(start_daemon, "--schedule")
    jobs = wait_until(lambda: {job: pid for pid, job in children(worker).items() if len(blocked.waiting()) == 2})
    os.kill(jobs["warm"], signal.SIGKILL)
    wait_until(lambda: 'msg="job was killed" job=warm signal=9' in worker.log())
    blocked.release()
    wait_until(lambda: 'msg="job done" job=rollover' in worker.log())
    add_stock(db, "ann", 1)
    wait_until(lambda: (fresh(servers, "ann") or {}).get("total_trades") == 1)


def test_sigterm_stops_the_jobs_too(servers, db, start_daemon, blocked):
    seen(servers, "ann")
    worker = start_schedule(start_daemon, "--schedule")
    jobs = wait_until(lambda: len(blocked.waiting()) == 2 and children(worker))
    worker.signal(signal.SIGTERM)
    blocked.release()
    worker.expected_end = True
    assert worker.process.wait(30) == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in jobs)
    assert servers.redis("EXISTS", "lock:job:warm", "lock:job:rollover") == b"0"


def test_sighup_leaves_the_jobs_alone(servers, db, start_daemon, blocked):
    seen(servers, "ann")
    worker = start_schedule(start_daemon, "--schedule")
    jobs = wait_until(lambda: len(blocked.waiting()) == 2 and children(worker))
    worker.signal(signal.SIGHUP)
    wait_until(lambda: "settings reloaded" in worker.log())
    assert children(worker) == jobs
    blocked.release()
    wait_until(lambda: all(f'msg="job done" job={job} ' in worker.log() for job in ("rollover", "warm")))


# --- the service manager ------------------------------------------------------------------------------------


class Notifications:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def next(self, but=b""):
        """The next message that is not `but`."""
        while True:
            message = self.socket.recv(200)
            if message != but:
                return message


@pytest.fixture
def notifications(tmp_path):
    made = Notifications(tmp_path / "notify")
    yield made
    made.socket.close()


def test_responder_tells_the_service_manager(servers, start_daemon, notifications):
    responder = start_daemon("pnlcache.fcgi", NOTIFY_SOCKET=notifications.path, WATCHDOG_USEC="6000000")
    assert notifications.next() == b"READY=1"
    assert os.path.exists(servers.listen)
    assert notifications.next() == b"WATCHDOG=1"
    responder.signal(signal.SIGHUP)
    kind, moment = notifications.next(but=b"WATCHDOG=1").split(b"\n")
    assert kind == b"RELOADING=1" and 0 < int(moment.split(b"MONOTONIC_USEC=")[1]) <= time.monotonic_ns() / 1000
    assert notifications.next(but=b"WATCHDOG=1") == b"READY=1"
    responder.expected_end = True
    assert responder.stop() == 0
    assert notifications.next(but=b"WATCHDOG=1") == b"STOPPING=1"


def test_responder_without_a_watchdog_feeds_none(start_responder, notifications):
    responder = start_responder(NOTIFY_SOCKET=notifications.path, WATCHDOG_USEC="6000000", WATCHDOG_PID="1")
    assert notifications.next() == b"READY=1"
    responder.expected_end = True
    assert responder.stop() == 0
    assert notifications.next() == b"STOPPING=1"


def test_worker_says_that_it_reloads(start_daemon, notifications):
    worker = start_daemon("pnlcache-worker", "run", NOTIFY_SOCKET=notifications.path)
    assert notifications.next() == b"READY=1"
    worker.signal(signal.SIGHUP)
    assert notifications.next().startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert notifications.next() == b"READY=1"


def test_worker_with_a_stuck_thread_does_not_feed_the_watchdog(servers, start_daemon, notifications, redis_proxy):
    """Every half second as long as each thread goes on; not while one of them waits for Redis without an end."""
    start_daemon("pnlcache-worker", "run", NOTIFY_SOCKET=notifications.path, WATCHDOG_USEC="1500000", REDIS_URL=redis_proxy.url,
                 REDIS_TIMEOUT="20000")
    assert notifications.next() == b"READY=1"
    for _ in range(3):
        assert notifications.next() == b"WATCHDOG=1"
    redis_proxy.stall()

    def is_silent():
        notifications.socket.settimeout(3)
        try:
            return notifications.next() is None
        except TimeoutError:
            return True
        finally:
            notifications.socket.settimeout(20)

    wait_until(is_silent, timeout=60, what="the watchdog to be fed no more")
    redis_proxy.let_pass()
    assert notifications.next() == b"WATCHDOG=1"


# --- socket activation ----------------------------------------------------------------------------------------


def test_responder_is_activated_by_its_socket(servers, db, web, tmp_path):
    """As under pnlcache.socket: systemd's own program listens, and starts ours when somebody connects."""
    add_stock(db, "ann", 1)
    environment = servers.settings()
    del environment["LISTEN_GROUP"]
    wanted = [f"--setenv={name}={value}" for name, value in environment.items()]
    activator = Daemon(["systemd-socket-activate", f"--listen={servers.listen}", *wanted, BUILD / "pnlcache.fcgi"],
                       environment, tmp_path / "activate.log")
    try:
        wait_until(lambda: os.path.exists(servers.listen))
        os.chmod(servers.listen, 0o666)  # what SocketMode and SocketGroup see to
        assert b"systemd-socket-activate" in Path(f"/proc/{activator.pid}/cmdline").read_bytes()
        answer = web.get("/api/analytics/core?time_range=30d", user="ann")
        assert answer.status == 200 and answer.json()["data"]["total_trades"] == 1
        assert b"pnlcache.fcgi" in Path(f"/proc/{activator.pid}/cmdline").read_bytes().split(b"\0")[0]
        assert "listen=inherited" in activator.log()
        assert activator.stop() == 0
        assert os.path.exists(servers.listen), "the socket is the service manager's"
    finally:
        activator.kill()
        if os.path.exists(servers.listen):
            os.unlink(servers.listen)


class SocketOwner:
    """What systemd does for pnlcache.socket: holds the listening socket and hands it to one responder after the other."""

    def __init__(self, servers, log):
        self.servers, self.log = servers, log
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(servers.listen)
        os.chmod(servers.listen, 0o666)
        self.socket.listen(4096)
        os.set_inheritable(self.socket.fileno(), True)

    def start(self):
        shell = f'exec 3<&{self.socket.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "{BUILD / "pnlcache.fcgi"}"'
        with open(self.log, "ab") as out:
            return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "bash", "-c", shell], env=self.servers.settings(),
                                    close_fds=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def close(self):
        self.socket.close()
        os.unlink(self.servers.listen)


def restart_under_load(servers, db, run_worker, web, tmp_path, restarts):
    add_stock(db, "ann", 1)
    run_worker("job", "precompute", "--user", "ann")
    owner = SocketOwner(servers, tmp_path / "responder.log")
    statuses, over = [], threading.Event()

    def ask():
        while not over.is_set():
            statuses.append(web.get("/api/analytics/core?time_range=30d", user="ann").status)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    try:
        for client in clients:
            client.start()
        for restarts_left in reversed(range(restarts)):
            responder, before = owner.start(), len(statuses)
            wait_until(lambda before=before: len(statuses) > before + 20, what="answers of the new responder")
            if not restarts_left:
                over.set()
                for client in clients:
                    client.join(30)
            responder.send_signal(signal.SIGTERM)
            assert responder.wait(30) == 0
    finally:
        over.set()
        owner.close()
    assert len(statuses) > 20 * restarts and set(statuses) == {200}


def test_no_request_fails_while_an_activated_responder_restarts(servers, db, run_worker, web, tmp_path):
    restart_under_load(servers, db, run_worker, web, tmp_path, 20)


@pytest.mark.long
def test_no_request_fails_while_an_activated_responder_restarts_often(servers, db, run_worker, web, tmp_path):
    restart_under_load(servers, db, run_worker, web, tmp_path, int(os.environ.get("RESTARTS", 100)))
