"""What the cache promises, while its servers misbehave: after a webhook is answered 202 no older number is served."""
import json
import os
import random
import signal
import threading
import time

import psycopg2
import pytest
from fastcgi_client import Client, request
from harness import add_stock, sign_webhook, token, wait_until

CORE = "/api/analytics/core"
DISTURBANCES = ("none", "flush", "restart", "hang", "refuse", "full", "evict", "cut", "cut postgres", "precompute", "kill worker")


class Journal(threading.Thread):
    """Changes one user's trades again and again, says so by webhook, and reads at once."""

    def __init__(self, servers, user, stop):
        super().__init__(daemon=True)
        self.servers, self.user, self.stop = servers, user, stop
        self.n = 0
        self.problems, self.statuses, self.sources = [], {}, set()

    def headers(self):
        return {"Authorization": "Bearer " + token(self.user)}

    def ask(self, *arguments):
        with Client(self.servers.listen) as c:
            answer = c.ask(*arguments)
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        return answer

    def tell(self):
        body = json.dumps({"type": "trade.created", "data": {"user_id": self.user, "asset": "stocks"}}).encode()
        while self.ask("POST", "/api/webhooks/trades", sign_webhook(body), body).status != 202:
            time.sleep(0.02)

    def read(self):
        answer = self.ask("GET", CORE, self.headers())
        if answer.status == 503:
            return
        self.sources.add(answer.headers["cache-status"].split("; ttl")[0])
        got = json.loads(answer.body)["data"]["total_trades"]
        if got != self.n:
            self.problems.append(f"{self.user}: {got} instead of {self.n}: {answer.headers}")

    def run(self):
        while not self.stop.is_set():
            try:
                connection = psycopg2.connect(self.servers.owner_url)
                connection.autocommit = True
                try:
                    add_stock(connection, self.user, self.n + 1)
                finally:
                    connection.close()
            except psycopg2.Error:
                continue
            self.n += 1
            self.tell()
            for _ in range(3):
                self.read()


class Reader(threading.Thread):
    """Reads the same documents meanwhile: what it has computed and stored must not be taken for news."""

    def __init__(self, servers, users, stop):
        super().__init__(daemon=True)
        self.servers, self.users, self.stop = servers, users, stop
        self.problems = []

    def run(self):
        seen = dict.fromkeys(self.users, 0)
        while not self.stop.is_set():
            for user in self.users:
                with Client(self.servers.listen) as c:
                    answer = c.ask("GET", CORE, {"Authorization": "Bearer " + token(user)})
                if answer.status == 200:
                    got = json.loads(answer.body)["data"]["total_trades"]
                    if got < seen[user]:
                        self.problems.append(f"{user} went back from {seen[user]} to {got}: {answer.headers}")
                    seen[user] = got


def disturb(what, servers, worker, run_worker):
    """Something that happens to a server, and its end."""
    redis = servers.redis
    if what == "flush":
        for _ in range(20):
            redis("FLUSHALL")
    elif what == "restart":
        os.kill(servers.pid("redis"), signal.SIGKILL)
        time.sleep(0.3)
        servers.start("redis")
    elif what == "hang":
        pid = servers.pid("redis")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(pid, signal.SIGCONT)
    elif what == "refuse":
        redis("CONFIG", "SET", "min-replicas-to-write", "1")
        time.sleep(0.7)
        redis("CONFIG", "SET", "min-replicas-to-write", "0")
    elif what in ("full", "evict"):
        limit, policy = redis("CONFIG", "GET", "maxmemory").split()[1], redis("CONFIG", "GET", "maxmemory-policy").split()[1]
        redis("CONFIG", "SET", "maxmemory-policy", "noeviction" if what == "full" else "allkeys-random")
        redis("CONFIG", "SET", "maxmemory", "1" if what == "full" else "2mb")
        time.sleep(0.7)
        redis("CONFIG", "SET", "maxmemory", limit.decode())
        redis("CONFIG", "SET", "maxmemory-policy", policy.decode())
    elif what == "cut":
        for _ in range(10):
            redis("CLIENT", "KILL", "TYPE", "normal")
    elif what == "cut postgres":
        with psycopg2.connect(servers.owner_url) as connection, connection.cursor() as cursor:
            for _ in range(5):
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pnlcache%'")
                time.sleep(0.05)
        connection.close()
    elif what == "precompute":
        run_worker("job", "precompute", "--all", check=False)
    elif what == "kill worker":
        worker().kill()
        worker(start=True)
    time.sleep(0.3)


def rounds_of_disturbances(seconds):
    """Every disturbance once in order, then again in random order until the time is over."""
    deadline = time.monotonic() + seconds
    yield from DISTURBANCES
    while time.monotonic() < deadline:
        yield from random.sample(DISTURBANCES, len(DISTURBANCES))


def check_reads(disturbances, servers, start_responder, start_worker, run_worker):
    start_responder(REDIS_TIMEOUT="200")
    workers = [start_worker()]

    def worker(start=False):
        if start:
            workers[-1].expected_end = True
            workers.append(start_worker(STOP_TIMEOUT="5"))
        return workers[-1]

    stop = threading.Event()
    users = [f"user{i}" for i in range(4)]
    journals = [Journal(servers, user, stop) for user in users]
    reader = Reader(servers, users, stop)
    for thread in (*journals, reader):
        thread.start()
    try:
        for what in disturbances:
            before = [j.n for j in journals]
            disturb(what, servers, worker, run_worker)
            wait_until(lambda before=before: all(j.n > n for j, n in zip(journals, before)), what=f"changes after '{what}'")
            problems = reader.problems + [p for j in journals for p in j.problems]
            assert not problems, f"during '{what}': {problems[0]}"
    finally:
        stop.set()
        for thread in (*journals, reader):
            thread.join(60)
    problems = reader.problems + [p for j in journals for p in j.problems]
    assert not problems, problems[0]
    sources = set().union(*(j.sources for j in journals))
    assert {"pnlcache; hit", "pnlcache; fwd=miss; stored", "pnlcache; fwd=bypass"} <= sources, sources
    for j in journals:
        assert set(j.statuses) <= {200, 202, 503}, j.statuses


def test_no_read_after_a_webhook_is_old_whatever_happens(servers, start_responder, start_worker, run_worker):
    check_reads(rounds_of_disturbances(0), servers, start_responder, start_worker, run_worker)


@pytest.mark.long
def test_no_read_after_a_webhook_is_old_for_minutes(servers, start_responder, start_worker, run_worker):
    seconds = int(os.environ.get("DURATION", 120))
    check_reads(rounds_of_disturbances(seconds), servers, start_responder, start_worker, run_worker)


def waits_for_a_lock(db):
    with db.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'pnlcache%'")
        return cursor.fetchone()


@pytest.mark.parametrize("computed_by", ["responder", "job"])
def test_what_was_read_before_an_event_is_not_current_after_it(servers, db, responder, start_daemon, computed_by):
    """The computation is held up between its snapshot and its end; the event comes meanwhile."""
    journal = Journal(servers, "alice", threading.Event())
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    if computed_by == "job":
        job = start_daemon("pnlcache-worker", "job", "precompute", "--user", "alice")
        job.expected_end = True
    else:
        early = Client(servers.listen)
        early.send(request("GET", CORE, journal.headers()))
    wait_until(lambda: waits_for_a_lock(db), what="the computation to be held up")
    add_stock(blocker, "alice", 1)
    journal.tell()
    blocker.commit()
    blocker.close()
    if computed_by == "job":
        assert job.process.wait(30) == 0
    else:
        assert early.read_answer().status == 200
        early.close()
    assert servers.redis("EXISTS", "analytics:combined:{alice}:all_time:core") == b"1"
    journal.n = 1
    journal.read()
    assert not journal.problems, journal.problems


def test_a_redis_that_may_have_forgotten_an_event_is_not_believed(servers, db, responder):
    """A promoted replica has the values and the epochs, and perhaps not the last invalidation."""
    journal = Journal(servers, "alice", threading.Event())
    add_stock(db, "alice", 1)
    journal.n = 1
    for _ in range(2):
        journal.read()
    assert "pnlcache; hit" in journal.sources
    servers.redis("REPLICAOF", "127.0.0.1", "1")
    servers.redis("REPLICAOF", "NO", "ONE")
    assert servers.redis("EXISTS", "analytics:combined:{alice}:all_time:core") == b"1"

    def is_computed_again():
        journal.sources.clear()
        journal.read()
        return journal.sources == {"pnlcache; fwd=miss; stored"}

    wait_until(is_computed_again, what="the old master's value to be refused")
    assert not journal.problems
