"""Hits beside misses that wait, answers without Redis, and how soon an outage is over."""
import collections
import itertools
import os
import signal
import statistics
import subprocess
import threading
import time

import psycopg2
from fastcgi_client import Client, request
from harness import BUILD, Daemon, token, wait_until

from common import HIT_PATH, HIT_USER, ROUNDS, SECONDS, USERS, figure, part, say
from open_loop import OpenLoop, percentile_ms

HIT_RATE = 1000  # requests a second: far from what a core can do, so that times are not those of a queue


class Responder:
    """pnlcache.fcgi alone, asked over its own socket."""

    def __init__(self, servers, **settings):
        self.servers, self.daemon = servers, None
        log = servers.state / "responder.log"
        start = log.stat().st_size if log.exists() else 0
        self.daemon = Daemon([BUILD / "pnlcache.fcgi"], servers.settings(THREADS=2, **settings), log)
        wait_until(lambda: "msg=ready" in self.daemon.log()[start:], what="the responder to be ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()

    def load(self, n_connections):
        return OpenLoop(self.servers.listen, n_connections)


def ask_for(path, user, **headers):
    return request("GET", path, {"Authorization": "Bearer " + token(user, ttl=86400), **headers})


def document(i):
    """The i-th of many documents: all users, then all of them again with another range."""
    day = time.strftime("%Y-%m-%d", time.gmtime(1672531200 + 86400 * (i // USERS)))
    return ask_for(f"/api/analytics/core?time_range=custom&start_date={day}", f"bench-{1 + i % USERS:04d}")


def measure_hits(load):
    hits = load.run(itertools.repeat(ask_for(HIT_PATH, HIT_USER)), HIT_RATE, SECONDS)
    assert all(status == 200 for status, _ in hits)
    return percentile_ms(hits, 0.99)


class WaitingMisses:
    """A thousand misses that wait for a locked table; all must be answered when it is free again."""

    def __init__(self, servers, responder):
        self.lock = psycopg2.connect(servers.owner_url)
        self.load = responder.load(1000)
        self.requests = [document(i) for i in range(1000)]
        self.answers = []
        self.thread = threading.Thread(target=lambda: self.answers.extend(self.load.run(iter(self.requests), 1000, 1)))

    def __enter__(self):
        self.lock.cursor().execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
        self.thread.start()
        wait_until(lambda: len(self.load.pending) == 1000, what="1000 misses to wait")
        return self

    def __exit__(self, *_):
        waited = len(self.load.pending)
        self.lock.close()
        self.thread.join()
        self.load.close()
        assert waited == 1000, "the misses did not wait all the time"
        assert all(status == 200 for status, _ in self.answers)


@part("slow_db", 120)
def bench_slow_db(servers):
    """Hits while 1,000 misses wait for a database whose table is locked."""
    say(f"hits at {HIT_RATE}/s, alone and while 1000 misses wait for a locked table")
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--user", HIT_USER], env=servers.settings(), check=True)
    idle, slow = [], []
    with Responder(servers, MISS_QUEUE=2000, DATABASE_TIMEOUT=300000, REQUEST_TIMEOUT=600000) as responder:
        load = responder.load(16)
        measure_hits(load)
        for round_ in range(ROUNDS):
            idle.append(measure_hits(load))
            servers.redis("EVAL", "for _, k in ipairs(redis.call('KEYS', '*:custom:*')) do redis.call('DEL', k) end", 0)
            with WaitingMisses(servers, responder):
                slow.append(measure_hits(load))
            say(f"  round {round_ + 1}/{ROUNDS}: p99 {idle[-1]:.2f} ms alone, {slow[-1]:.2f} ms while the misses wait")
        load.close()
    figure("hit_p99_ms_idle", statistics.median(idle))
    figure("hit_p99_ms_slow_db", statistics.median(slow))


def by_status(results):
    groups = collections.defaultdict(list)
    for result in results:
        groups[result[0]].append(result)
    return groups


@part("degraded", 130)
def bench_degraded(servers):
    """Without Redis: documents that the database can bear, and more than it can."""
    rate, n = 2000, 20000
    say(f"without Redis: 200 documents in turn, then {n} at {rate}/s")
    few = [document(i) for i in range(200)]
    many = [document(i) for i in range(n)]
    servers.stop("redis")
    try:
        with Responder(servers) as responder:
            load = responder.load(64)
            answered = load.run(itertools.cycle(few), 200, 2 * SECONDS)
            load.close()
            load = responder.load(1000)
            results = by_status(load.run(iter(many), rate, n / rate))
            load.close()
    finally:
        servers.start("redis")
    failed = sum(status != 200 for status, _ in answered)
    assert set(results) <= {200, 503}, {status: len(group) for status, group in results.items()}
    say(f"  200 documents: {len(answered)} answers, {failed} failed, p99 {percentile_ms(answered, 0.99):.1f} ms")
    say(f"  {n} documents: {len(results[200])} computed (p99 {percentile_ms(results[200], 0.99):.0f} ms), {len(results[503])} refused")
    figure("degraded_200_failed", failed, 0)
    figure("degraded_computed_per_s", len(results[200]) * rate / n, 0)
    if results[503]:
        figure("degraded_refused_p99_ms", percentile_ms(results[503], 0.99), 1)
        figure("degraded_refused_max_ms", percentile_ms(results[503], 1), 1)


def until(servers, wanted):
    """Milliseconds until wanted(status, Cache-Status) is true of an answer, asked again and again."""
    begin = time.monotonic()
    for i in itertools.count():
        with Client(servers.listen) as client:
            answer = client.ask("GET", HIT_PATH + ("" if wanted is is_hit else f"&risk_free_rate=0.{i + 1:04d}"),
                                {"Authorization": "Bearer " + token(HIT_USER)})
        if wanted(answer):
            return (time.monotonic() - begin) * 1000
        time.sleep(0.005)


def is_hit(answer):
    return answer.status == 200 and answer.headers["cache-status"].startswith("pnlcache; hit")


def is_computed(answer):
    return answer.status == 200


@part("recovery", 140)
def bench_recovery(servers):
    """From the end of an outage (a hung Redis goes on, PostgreSQL accepts connections) to the first answer that needs the server."""
    say("recovery from a Redis that hung and from a PostgreSQL that was gone, each for 3 s")
    redis, database = [], []
    with Responder(servers, CACHE_MAX_MEMORY_ENTRIES=0):  # a hit is one of Redis
        for round_ in range(ROUNDS):
            pid = servers.pid("redis")
            until(servers, is_hit)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(3)
            until(servers, is_computed)
            os.kill(pid, signal.SIGCONT)
            redis.append(until(servers, is_hit))
            servers.stop("postgres")
            time.sleep(3)
            servers.start("postgres")
            database.append(until(servers, is_computed))
            say(f"  round {round_ + 1}/{ROUNDS}: Redis {redis[-1]:.0f} ms, PostgreSQL {database[-1]:.0f} ms")
    figure("recovery_redis_max_ms", max(redis), 0)
    figure("recovery_database_max_ms", max(database), 0)
