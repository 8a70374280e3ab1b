"""What happens to servers, connections and programs while a site is used. Every fault is a context manager: it is there
inside, and healed after. None of them may make an answer wrong.

A fault lasts until the site has felt it (so many reads and webhooks ended meanwhile), not for a time.
"""
import contextlib
import os
import signal
import time

import psycopg2
from harness import wait_until

FELT_READS, FELT_WEBHOOKS = 40, 4


def _is_of_the_database(fault):
    return fault.startswith("postgres")


class Nemesis:
    """redis_proxies, postgres_proxies: {responder: FaultProxy}; workers: a list of running Daemons; start_worker() starts
    one like them; precompute() runs the job over all users."""

    def __init__(self, site, redis_proxies, postgres_proxies, workers, start_worker, precompute):
        self.site, self.servers, self.random = site, site.servers, site.random
        self.redis_proxies, self.postgres_proxies = redis_proxies, postgres_proxies
        self.workers, self.start_worker, self.precompute = workers, start_worker, precompute
        self.recoveries = []  # seconds from the end of a fault until every responder hits and computes
        self.asked = 0

    # --- what all faults share ------------------------------------------------------------------------------

    def _felt(self, timeout=2.0):
        """Until the site has done something, or is seen to be stuck, which some faults are about."""
        reads, webhooks = self.site.total("reads"), self.site.total("webhooks")
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.site.total("reads") >= reads + FELT_READS and self.site.total("webhooks") >= webhooks + FELT_WEBHOOKS:
                return
            time.sleep(0.01)

    def _recovered(self, after):
        """Until every responder hits in Redis and computes again, as measured by a user nobody changes."""
        began = time.monotonic()
        with self.site.asker() as asker:
            for responder in self.site.listen:
                for what in (self._hits, self._computes):
                    wait_until(lambda what=what, responder=responder: what(asker, responder), 30,
                               f"responder {responder}{what.__name__} after {after}")
        self.recoveries.append(time.monotonic() - began)

    def _ask_for_quiet(self, asker, responder, path):
        answer = asker.ask(responder, "GET", path, {"Authorization": self.site.tokens["quiet"]})
        return answer if answer is not None and answer.status == 200 else None

    def _hits(self, asker, responder):
        answer = self._ask_for_quiet(asker, responder, "/api/analytics/core")
        return answer and "; hit" in answer.headers["cache-status"]

    def _computes(self, asker, responder):
        """A document that nobody has asked for yet."""
        self.asked += 1
        return self._ask_for_quiet(asker, responder, f"/api/analytics/symbol?symbol=S{self.asked}")

    def strike(self, *names):
        """Injects faults, waits until they were felt, heals them, and waits until the cache works again."""
        together = " and ".join(names)
        self.site.recorder.note(f"begin {together}")
        with contextlib.ExitStack() as faults:
            for name in names:
                faults.enter_context(getattr(self, name)())
            self._felt()
        self.site.recorder.note("healed")
        for name in names:
            self.site.count("faults", name)
        self._recovered(together)
        self._felt()

    def strike_for(self, seconds, after_each):
        """Every fault once in random order, those that leave the database alone first: no request may fail of them. Then
        pairs of faults of different things, until the time is over."""
        deadline = time.monotonic() + seconds
        faults = self.random.sample(FAULTS, len(FAULTS))
        for name in sorted(faults, key=_is_of_the_database):
            self.strike(name)
            after_each()
            if not _is_of_the_database(name):
                assert not self.site.counts["reads"]["503"], f"{name} made requests fail"
        while time.monotonic() < deadline:
            one, other = self.random.sample(FAULTS, 2)
            if one.split("_")[0] != other.split("_")[0]:
                self.strike(one, other)
                after_each()

    def report(self):
        slowest = sorted(self.recoveries) or [0.0]
        return (f"until all hit and compute again after a fault: {len(self.recoveries)} times, median {slowest[len(slowest) // 2]:.3f} s,"
                f" longest {slowest[-1]:.3f} s")

    @contextlib.contextmanager
    def _paused(self, pid):
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    # --- Redis -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _redis_settings(self, **settings):
        names = {name: name.replace("_", "-") for name in settings}
        before = {name: self.servers.redis("CONFIG", "GET", names[name]).decode().split("\n")[1] for name in settings}
        for name, value in settings.items():
            self.servers.redis("CONFIG", "SET", names[name], value)
        try:
            yield
        finally:
            for name, value in before.items():
                self.servers.redis("CONFIG", "SET", names[name], value)

    def redis_starves(self):
        return self._redis_settings(maxmemory_policy="noeviction", maxmemory="1")

    def redis_evicts(self):
        return self._redis_settings(maxmemory_policy="allkeys-random", maxmemory="3mb")

    def redis_refuses_writes(self):
        return self._redis_settings(min_replicas_to_write="1")

    @contextlib.contextmanager
    def redis_flushed(self):
        for _ in range(20):
            self.servers.redis("FLUSHALL")
            time.sleep(0.02)
        yield

    @contextlib.contextmanager
    def redis_killed(self):
        os.kill(self.servers.pid("redis"), signal.SIGKILL)
        yield
        self.servers.start("redis")

    @contextlib.contextmanager
    def redis_restarted_with_old_data(self):
        """What it held a while ago, epochs included, whose invalidations it has forgotten."""
        dump = self.servers.run_dir / "dump.rdb"
        self.servers.redis("SAVE")
        self._felt()
        os.kill(self.servers.pid("redis"), signal.SIGKILL)
        wait_until(lambda: not self.servers.pid("redis"), what="Redis to be gone")
        assert dump.exists()
        self.servers.start("redis")
        dump.unlink()
        yield

    @contextlib.contextmanager
    def redis_demoted_and_promoted(self):
        self.servers.redis("REPLICAOF", "127.0.0.1", "1")
        yield
        self.servers.redis("REPLICAOF", "NO", "ONE")

    def redis_paused(self):
        return self._paused(self.servers.pid("redis"))

    @contextlib.contextmanager
    def redis_clients_killed(self):
        for _ in range(10):
            self.servers.redis("CLIENT", "KILL", "TYPE", "normal")
            time.sleep(0.02)
        yield

    # --- connections ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _through(self, proxies, act):
        proxy = proxies[self.random.choice(sorted(proxies))]
        act(proxy)
        try:
            yield
        finally:
            proxy.let_pass()

    def redis_link_stalled(self):
        return self._through(self.redis_proxies, lambda proxy: proxy.stall(self.random.choice(("up", "down", "both"))))

    def redis_link_slow(self):
        return self._through(self.redis_proxies, lambda proxy: proxy.delay(self.random.choice((5, 50, 300))))

    @contextlib.contextmanager
    def redis_link_refused(self):
        proxy = self.redis_proxies[self.random.choice(sorted(self.redis_proxies))]
        proxy.refuse()
        proxy.reset_all()
        yield
        proxy.accept()

    @contextlib.contextmanager
    def _traps(self, proxies, *kinds):
        """Small accidents, one after the other, at random places of what one responder hears."""
        proxy = proxies[self.random.choice(sorted(proxies))]
        for _ in range(15):
            n = proxy.status()["sprung"]
            getattr(proxy, self.random.choice(kinds))(self.random.choice((0, 1, 3, 17, self.random.randrange(2000))))
            with contextlib.suppress(AssertionError):  # there may be no traffic
                proxy.wait_sprung(n + 1, timeout=0.3)
        yield
        proxy.let_pass()

    def redis_replies_cut(self):
        return self._traps(self.redis_proxies, "cut", "reset", "half_close", "stall_after")

    def redis_replies_flipped(self):
        """Only towards us: a command that was changed on its way is another command, which Redis would carry out."""
        return self._traps(self.redis_proxies, "flip")

    def postgres_link_stalled(self):
        return self._through(self.postgres_proxies, lambda proxy: proxy.stall(self.random.choice(("up", "down", "both"))))

    def postgres_link_slow(self):
        return self._through(self.postgres_proxies, lambda proxy: proxy.delay(self.random.choice((5, 50))))

    def postgres_replies_cut(self):
        return self._traps(self.postgres_proxies, "cut", "reset", "half_close")

    # --- PostgreSQL ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def postgres_crashed(self):
        """pg_ctl stop -m immediate: no checkpoint, recovery at the next start."""
        os.kill(self.servers.pid("postgres"), signal.SIGQUIT)
        wait_until(lambda: not self.servers.pid("postgres"), what="PostgreSQL to be gone")
        self._felt()
        self.servers.start("postgres")
        yield

    @contextlib.contextmanager
    def postgres_sessions_ended(self):
        connection = psycopg2.connect(self.servers.owner_url)
        with connection, connection.cursor() as cursor:
            for _ in range(5):
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pnlcache%'")
                time.sleep(0.05)
        connection.close()
        yield

    @contextlib.contextmanager
    def postgres_locked(self):
        connection = psycopg2.connect(self.servers.owner_url)
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE stocks, options IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()
        connection.close()

    # --- programs -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def worker_killed(self):
        worker = self.workers.pop(self.random.randrange(len(self.workers)))
        worker.expected_end = True
        worker.kill()
        yield
        self.workers.append(self.start_worker())

    def worker_paused(self):
        return self._paused(self.random.choice(self.workers).pid)

    @contextlib.contextmanager
    def precomputed(self):
        with self.precompute() as job:
            yield
            job.wait()

    @contextlib.contextmanager
    def precompute_paused(self):
        """Stopped at some moment, and at another one with what it has read by then."""
        with self.precompute() as job:
            for _ in range(3):
                time.sleep(self.random.uniform(0, 0.05))
                with contextlib.suppress(ProcessLookupError), self._paused(job.pid):
                    self._felt()
            yield
            job.wait()


FAULTS = tuple(name for name in vars(Nemesis) if not name.startswith(("_", "strike", "report")))
