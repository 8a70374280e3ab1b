"""The checker of tests/integration/history.py finds each bug that would make the cache wrong, and nothing in ours.

Every schedule brings two things into the one order that matters, by holding a message back in the fault proxy, and is
run with the programs as they are and with the bug of tests/planted/NAME.patch built in.
"""
import shutil
import tempfile
from pathlib import Path

import planted
import pytest
from fault_proxy import redis_words
from fastcgi_client import Client, request
from harness import BUILD, wait_until
from site_of_journals import Site
from versions import of_core, of_risk

CORE = ("/api/analytics/core", of_core)
RISK = ("/api/analytics/risk", of_risk)


class Stage:
    """One responder, A, behind proxies, one journal, ann's, and whatever a schedule starts besides."""

    def __init__(self, servers, programs, threads, start_responder, start_daemon, redis_proxy, postgres_proxy):
        self.programs, self.servers, self.start_daemon = programs, servers, start_daemon
        self.redis_proxy, self.postgres_proxy = redis_proxy, postgres_proxy
        self.site = Site(servers, {"A": servers.listen}, bound=15.0)
        self.site.add_user("ann", "stocks")
        start_responder(programs / "pnlcache.fcgi", REDIS_URL=redis_proxy.url, DATABASE_URL=postgres_proxy.url, THREADS=threads, REDIS_TIMEOUT="60000",
                        DATABASE_TIMEOUT="60000", REQUEST_TIMEOUT="60000")

    def change(self, asker):
        """A new version and its webhook, acknowledged."""
        self.site.write("ann")
        assert asker.tell("ann", "A")

    def read_later(self):
        """Sends a read on a connection of its own; call what comes back for the answer."""
        asker = self.site.asker()
        client = asker.clients["A"] = Client(self.servers.listen)
        read = self.site.recorder.number()
        self.site.recorder.record("read", read, "ann", "A", CORE[0])
        client.send(request("GET", CORE[0], {"Authorization": self.site.tokens["ann"]}))

        def finish():
            with asker:
                return asker.judge(read, "ann", "A", *CORE, client.read_answer())

        return finish


def changed_after_storing(stage, asker):
    """Another document brings the epochs back, as other numbers."""
    asker.read("ann", "A", *CORE)
    stage.change(asker)
    asker.read("ann", "A", *RISK)


def changed_before_epochs_are_read(stage, asker):
    """A miss is held where it opens its epochs: after EXPIRE is only what every opening of epochs sends."""
    stage.redis_proxy.hold(redis_words("EXPIRE", "epoch:{ann}"))
    finish = stage.read_later()
    stage.redis_proxy.wait_sprung()
    stage.change(asker)
    stage.redis_proxy.let_pass()
    finish()


def asked_while_an_older_flight_computes(stage, asker):
    """The first read's rows are on their way when the journal changes; the second one asks for the same document."""
    stage.postgres_proxy.hold("PGCOPY", "down")
    first = stage.read_later()
    stage.postgres_proxy.wait_sprung()
    stage.change(asker)
    second = stage.read_later()
    assert asker.ask("A", "GET", "/healthz").status == 200  # the responder's one thread has been past the second read
    stage.postgres_proxy.let_pass()
    first()
    second()


def changed_while_an_epoch_is_read(stage, asker):
    """The first look in Redis is answered before the invalidation and arrives after it. The value was stored by a job, so
    that the responder knows no epoch of it yet; it trusts its own memory by then, as a hit of another journal shows."""
    job = stage.start_daemon(stage.programs / "pnlcache-worker", "job", "precompute", "--user", "ann")
    job.expected_end = True
    assert job.process.wait(60) == 0
    stage.site.add_user("bob", "stocks")
    with stage.site.asker() as other:
        def hits_in_memory():
            other.read("bob", "A", *CORE)
            return stage.site.counts["details"]["l1"]

        wait_until(hits_in_memory, what="the responder to trust its memory")
    stage.redis_proxy.hold("PNLC1", "down")
    finish = stage.read_later()
    stage.redis_proxy.wait_sprung()
    stage.change(asker)  # on a new connection: the thread of the first one waits
    stage.redis_proxy.let_pass()
    finish()


def changed_while_a_batch_reads(stage, asker):
    stage.postgres_proxy.hold("PGCOPY", "down")
    job = stage.start_daemon(stage.programs / "pnlcache-worker", "job", "precompute", "--user", "ann", DATABASE_URL=stage.postgres_proxy.url)
    job.expected_end = True
    stage.postgres_proxy.wait_sprung()
    stage.change(asker)
    stage.postgres_proxy.let_pass()
    assert job.process.wait(60) == 0
    assert stage.servers.redis("EXISTS", "analytics:combined:{ann}:all_time:core") == b"1"


SCHEDULES = {
    "epochs_not_compared": changed_after_storing,
    "epochs_after_snapshot": changed_before_epochs_are_read,
    "older_flight_joined": asked_while_an_older_flight_computes,
    "epochs_per_user": changed_while_a_batch_reads,
    "inflight_epoch_kept": changed_while_an_epoch_is_read,
}


def test_every_planted_bug_has_its_schedule():
    assert set(planted.NAMES) == set(SCHEDULES)


@pytest.fixture(scope="session")
def built():
    """built(name): the programs with that bug, compiled once."""
    directory, done = Path(tempfile.mkdtemp(prefix="pnlcache-planted.")), {}

    def build(name):
        if name not in done:
            done[name] = planted.build(name, directory / name)
        return done[name]

    yield build
    shutil.rmtree(directory)


@pytest.fixture
def stage(request, servers, db, start_responder, start_daemon, redis_proxy, postgres_proxy):
    def make(programs, name):
        threads = "2" if name == "inflight_epoch_kept" else "1"
        return Stage(servers, programs, threads, start_responder, start_daemon, redis_proxy, postgres_proxy)

    return make


def run_schedule(stage, schedule):
    """Then two reads more; the problems that the checker saw."""
    with stage.site.asker() as asker:
        schedule(stage, asker)
        for _ in range(2):
            asker.read("ann", "A", *CORE)
    return stage.site.problems()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_planted_bug_is_found(stage, built, name):
    problems = run_schedule(stage(built(name), name), SCHEDULES[name])
    assert problems and all("older than what this responder had acknowledged" in problem for problem in problems), problems


@pytest.mark.parametrize("name", SCHEDULES)
def test_our_programs_pass_the_same_schedule(stage, name):
    here = stage(BUILD, name)
    assert run_schedule(here, SCHEDULES[name]) == []
    assert here.site.recorder.checker.n_reads >= 2
