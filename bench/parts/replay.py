"""A day of a journal of 1,000 users, replayed: how many reads hit, and what is left of the database's queries.

The day is that of day.py. It is replayed as fast as it can be with every setting as in production: nothing is scaled, but PostgreSQL,
Redis and our programs share a wall clock (tests/preload/wall_clock.c), which stands still while something is worked at and goes on in
steps to the next happening. So TTLs run out when they should, midnight comes when it should, and the timers' jobs run when
they are due. Work takes no time of the day, with one exception on the careful side: where a happening follows a change or a
queued job by less than the worker needs, the worker gets no more than that time. What a week before leaves behind (who was here and who
read what last) is put there first, by reads that are not counted.
"""
import collections
import json
import os
import shutil
import subprocess
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import psycopg2
import redis
from fastcgi_client import Client
from harness import BUILD, Daemon, Servers, sign_webhook, token, wait_until
from prometheus_text import parse
from wall_clock import WallClock

import day
from common import fill, figure, owner_sql, part, say
from parts.events import is_quiet

USERS = int(os.environ.get("REPLAY_USERS", 1000))
TRADES = 200
MONDAY = datetime(2025, 4, 28, tzinfo=timezone.utc).timestamp()  # the log's first day
WEIGHTS_FROM = datetime(2025, 1, 1, tzinfo=timezone.utc).timestamp()  # lib/store/activity_hours.c
OWN_IDS = 10**6  # of the trades that are entered on the way

# As systemd/*.timer: (job, seconds after the period's begin, period, hours of the day in UTC)
TIMERS = [("precompute", 0, 600, range(24)), ("warm", 180, 300, range(24)), ("rollover", 5, 900, range(24)),
          ("market", 40, 60, range(13, 21)), ("reference", 600, 3600, [8]), ("prune", 2400, 3600, [3]), ("audit", 1620, 3600, range(24))]

# What reads the journal: not the beginnings and ends of transactions, nor what looks once a second whether there is
# something to do (at the outbox, at the server's health), which is the same on a day without a visitor.
QUERIES = """
    SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(total_exec_time), 0) / 1000 FROM pg_stat_statements
    WHERE userid = 'pnlcache'::regrole AND query !~* '^(BEGIN|START|COMMIT|ROLLBACK|SET|RESET|LISTEN|DISCARD|DEALLOCATE)'
      AND query !~ 'change_log' AND query <> 'SELECT $1'"""
ENTER = """
    INSERT INTO stocks (user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, entry_date, exit_date)
    SELECT %(user)s, greatest(max(id), %(own)s) + 1, 'AAPL', 'BUY', 'LIMIT', 10, 100, 101, now() - interval '2 hours', now() - interval '1 minute'
    FROM stocks WHERE user_id = %(user)s"""
CORRECT = "UPDATE stocks SET trade_ratings = 1 + coalesce(trade_ratings, 0) %% 5, reviewed = true WHERE user_id = %(user)s AND id = 1"


def name(user):
    return f"bench-{user + 1:04d}"


class Site:
    """Servers of its own under the clock, with pg_stat_statements, and a journal."""

    def __init__(self, directory):
        self.clock = WallClock(directory / "clock")
        self.clock.set(MONDAY + (day.TUESDAY - day.RUN_IN) * day.DAY)
        before = dict(os.environ)
        os.environ.update(self.clock.settings)  # the servers inherit it
        try:
            self.servers = Servers(directory / "state")
        finally:
            os.environ.clear()
            os.environ.update(before)
        # One after the other: a setting of a library is known when that is loaded.
        for setting in ("shared_preload_libraries = pg_stat_statements", "pg_stat_statements.max = 100000"):
            owner_sql(self.servers, f"ALTER SYSTEM SET {setting}")
            self.servers.stop("postgres")
            self.servers.start("postgres")
        # Its allocator's thread waits by the wall clock, and would spin beside one that stands still.
        self.servers.redis("CONFIG", "SET", "jemalloc-bg-thread", "no")
        self.servers.apply_schema()
        owner_sql(self.servers, "CREATE EXTENSION pg_stat_statements")
        fill(self.servers, [name(user) for user in range(USERS)], TRADES)
        owner_sql(self.servers, f"""INSERT INTO latest_price (symbol, price)
            SELECT symbol, 100 FROM unnest('{{{",".join(day.SYMBOLS)}}}'::text[]) symbol""", """
            INSERT INTO daily_bars (symbol, date, close) SELECT symbol, current_date - n, 100 + n % 7 FROM latest_price, generate_series(1, 90) n""")
        self.client = redis.Redis(unix_socket_path=self.servers.redis_socket)
        self.connection = psycopg2.connect(self.servers.owner_url)
        self.n_logs = 0

    def start(self, *command, **settings):
        self.n_logs += 1
        return Daemon([BUILD / command[0], *command[1:]], self.servers.settings(**self.clock.settings, WARM_USERS=None, **settings),
                      self.servers.state / f"{command[0]}.{self.n_logs}.log")

    def job(self, job):
        subprocess.run([BUILD / "pnlcache-worker", "job", job], check=True, stdin=subprocess.DEVNULL,
                       env=self.servers.settings(**self.clock.settings, WARM_USERS=None, LOG_LEVEL="error"))

    def sql(self, statement, **values):
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone() if cursor.description else None

    def forget(self):
        """As before the replay."""
        owner_sql(self.servers, f"""ALTER TABLE stocks DISABLE TRIGGER USER; DELETE FROM stocks WHERE id > {OWN_IDS};
                  UPDATE stocks SET trade_ratings = NULL, reviewed = false WHERE id = 1; ALTER TABLE stocks ENABLE TRIGGER USER""")
        self.sql("TRUNCATE pnlcache.change_log")
        self.client.flushall()

    def teach(self, visits):
        """What Redis would know of the weeks before: who came in which hour of the week, and who came at all."""
        pipe = self.client.pipeline(transaction=False)
        for t, user in visits:
            weight = 2 ** ((MONDAY + t - WEIGHTS_FROM) / (4 * 7 * day.DAY))
            pipe.zincrby(f"activity:hours:{int(t % (7 * day.DAY) // 3600):03d}", weight, name(user))
            pipe.zadd("active:users", {name(user): int(MONDAY + t)}, gt=True)
        pipe.execute()

    def stop(self):
        self.connection.close()
        self.client.close()
        self.servers.stop()


class Replay:
    """One responder, and with the cache a worker and the timers' jobs."""

    def __init__(self, site, cached):
        self.site, self.cached, self.changed = site, cached, False
        self.responder = site.start("pnlcache.fcgi", **({} if cached else {"CACHE_ENABLED": "false"}))
        self.worker = site.start("pnlcache-worker", "run") if cached else None
        wait_until(lambda: "msg=ready" in self.responder.log(), what="the responder to be ready")
        if cached:
            wait_until(lambda: b"workers" in site.servers.redis("XINFO", "GROUPS", "jobs"), what="the worker to be ready")
        self.http = Client(site.servers.listen)
        self.tokens = {}
        self.jobs = collections.Counter()  # runs of timers' jobs, and ...
        self.job_queries = collections.Counter()  # ... their queries

    def stop(self):
        self.http.close()
        self.responder.stop()
        if self.worker:
            self.worker.stop()

    def is_busy(self):
        if self.changed:
            self.changed = not is_quiet(self.site.connection, self.site.client)
            return self.changed
        return self.site.client.xlen("jobs") > self.site.client.zcard("jobs:later")

    def advance(self, t):
        """The worker gets the time until t, if it needs that, no more."""
        target = MONDAY + t
        deadline = time.monotonic() + target - self.site.clock.now()
        while self.cached and self.is_busy() and time.monotonic() < deadline:
            time.sleep(0.002)
        if target > self.site.clock.now():
            self.site.clock.set(target)

    def headers(self, user):
        if user not in self.tokens:
            self.tokens[user] = token(name(user), iat=int(MONDAY), exp=int(MONDAY) + 365 * day.DAY)
        return {"Authorization": "Bearer " + self.tokens[user]}

    def read(self, happening):
        answer = self.http.ask("GET", happening.path, self.headers(happening.user))
        assert answer.status == 200, (happening, answer)

    def change(self, happening):
        self.site.sql(ENTER if happening.kind == "enter" else CORRECT, user=name(happening.user), own=OWN_IDS)
        self.changed = True
        if not happening.told:
            return
        body = json.dumps({"type": "trade.updated", "data": {"user_id": name(happening.user), "asset": "stocks"}}).encode()
        answer = self.http.ask("POST", "/api/webhooks/trades", sign_webhook(body, timestamp=int(self.site.clock.now())), body)
        assert answer.status == 202, answer

    def run_job(self, job):
        before, _ = self.site.sql(QUERIES)
        self.site.job(job)
        self.jobs[job] += 1
        self.job_queries[job] += self.site.sql(QUERIES)[0] - before

    def run(self, happenings, timers=()):
        for t, what in sorted([*((h.t, h) for h in happenings), *timers], key=lambda item: item[0]):
            self.advance(t)
            if isinstance(what, day.Read):
                self.read(what)
            elif isinstance(what, day.Change):
                self.change(what)
            else:
                self.run_job(what)

    def results(self):
        """Reads so far by where their answers came from, and by route."""
        samples = parse(self.http.ask("GET", "/metrics").body.decode())
        return collections.Counter({(dict(labels)["route"], dict(labels)["result"]): int(value) for (metric, labels), value in samples.items()
                                    if metric == "pnlcache_cache_requests_total"})


def due():
    """[(t, job)] of the Tuesday."""
    begin = day.TUESDAY * day.DAY
    return [(begin + t, job) for job, offset, period, hours in TIMERS for t in range(offset, day.DAY, period) if t // 3600 in hours]


def replay(site, happenings, before, cached):
    """The Tuesday's reads by route and result, queries, seconds of the database; the Replay."""
    tuesday = day.TUESDAY * day.DAY
    site.forget()
    site.clock.set(MONDAY + tuesday - day.RUN_IN * day.DAY)
    site.teach(before)
    run = Replay(site, cached)
    try:
        if cached:
            run.run(day.traces(happenings))
        run.advance(tuesday)
        at_midnight = run.results()
        site.sql("SELECT pg_stat_statements_reset()")
        run.run([h for h in happenings if h.t >= tuesday], due() if cached else ())
        queries, seconds = site.sql(QUERIES)
        assert site.sql("SELECT dealloc FROM pg_stat_statements_info") == (0,), "statements were dropped, so the sum is too small"
        reads = run.results()
        reads.subtract(at_midnight)
        return reads, int(queries), float(seconds), run
    finally:
        run.stop()


def hit_rate(reads):
    hits = sum(n for (_, result), n in reads.items() if result in ("l1", "redis"))
    return 100 * hits / max(1, sum(reads.values()))


def say_routes(reads):
    for route in sorted({route for route, _ in reads}, key=lambda route: -sum(n for (r, _), n in reads.items() if r == route)):
        own = {key: n for key, n in reads.items() if key[0] == route and n}
        say(f"    {route:34} {sum(own.values()):6} reads, {hit_rate(own):5.1f} % hits")


@part("replay", 115)
def bench_replay(_):
    """With the cache, worker and timers; then the same reads and changes with CACHE_ENABLED=false."""
    happenings, before = day.generate(USERS, TRADES)
    tuesday = [h for h in happenings if h.t >= day.TUESDAY * day.DAY]
    n_reads = sum(isinstance(h, day.Read) for h in tuesday)
    say(f"a day of {USERS} users with {TRADES} trades: {len({h.user for h in tuesday})} come, {n_reads} reads, {len(tuesday) - n_reads} changes")
    directory = tempfile.mkdtemp(prefix="pnlcache-replay.", dir="/tmp")
    os.chmod(directory, 0o711)
    try:
        site = Site(Path(directory))
        try:
            reads, queries, seconds, run = replay(site, happenings, before, cached=True)
            plain_reads, plain_queries, plain_seconds, _ = replay(site, happenings, before, cached=False)
        finally:
            site.stop()
    finally:
        shutil.rmtree(directory)
    assert sum(reads.values()) == n_reads and hit_rate(plain_reads) == 0, (reads, plain_reads)
    say_routes(reads)
    of_jobs = sum(run.job_queries.values())
    say("  queries of timers' jobs: " + ", ".join(f"{job} {n} ({run.jobs[job]} runs)" for job, n in run.job_queries.most_common()))
    say(f"  queries of requests and events {queries - of_jobs}, without the cache {plain_queries}")
    say(f"  the database's time, jobs included: {seconds:.1f} s, without the cache {plain_seconds:.1f} s")
    figure("hit_rate", hit_rate(reads), 1)
    figure("db_queries_saved", 100 * (1 - (queries - of_jobs) / plain_queries), 1)
    figure("db_queries_saved_with_jobs", 100 * (1 - queries / plain_queries), 1)
