"""What the cache promises (docs/consistency.md), while everything around it misbehaves, and that the checker of that
promise sees every way to break it."""
import contextlib
import json
import os
import random
import subprocess

import psycopg2
import pytest
from fastcgi_client import Client, request
from harness import BUILD, ROOT, wait_until
from history import Recorder, judge
from nemesis import Nemesis
from site_of_journals import Site
from versions import WINDOW, Mixed, of_core, of_pnl, total_pnl

BOUND = 15.0  # seconds a responder may be behind what another one acknowledged, while things break
SECONDS_IN_MAKE_TEST = 60
RESPONDER = {"REDIS_TIMEOUT": "200", "DATABASE_TIMEOUT": "3000", "REQUEST_TIMEOUT": "10000"}
WORKER = {"OUTBOX_POLL": "200", "JOB_TIMEOUT": "5"}
CORE = ("/api/analytics/core", of_core)


# --- the checker itself, on histories made by hand ---------------------------------------------------------------


def history(*events):
    """A history, one event a second, of a user with version 20 from the start."""
    start = [("begin", "u", 20), ("commit", "u", 20)]
    return [(float(i), *event) for i, event in enumerate([*start, *events])]


def write(version):
    return [("begin", "u", version), ("commit", "u", version)]


def told(webhook, responder="A"):
    return [("send", webhook, "u", responder), ("ack", webhook)]


def read(number, version, responder="A", digest="x", document="core"):
    return [("read", number, "u", responder, document), ("answer", number, version, digest)]


GOOD = {
    "a read before the webhook": [*read(1, 20), *write(21), *read(2, 20), *told(1), *read(3, 21, digest="y")],
    "news before the webhook": [*write(21), *read(1, 21), *read(2, 20, digest="y")],
    "a read that began before the acknowledgement": [*write(21), ("read", 1, "u", "A", "core"), *told(1), ("answer", 1, 20, "x")],
    "a refused webhook": [*write(21), ("send", 1, "u", "A"), ("refused", 1), *read(1, 20)],
    "a webhook sent before the commit": [("begin", "u", 21), ("send", 1, "u", "A"), ("commit", "u", 21), ("ack", 1), *read(1, 20)],
    "a commit whose answer was lost": [("begin", "u", 21), *read(1, 21), ("begin", "u", 21), ("commit", "u", 21)],
    "another responder within its bound": [*write(21), *told(1), *read(1, 20, "B")],
    "reordered webhooks": [*write(21), ("send", 1, "u", "A"), *write(22), *told(2), *read(1, 22), ("ack", 1), *read(2, 22)],
    "other data of another document": [*read(1, 20), *read(2, 20, digest="y", document="risk")],
    "an unchanged answer": [*read(1, 20), ("read", 2, "u", "A", "core"), ("answer", 2, 20, None)],
    "an unanswered read": [*write(21), *told(1), ("read", 1, "u", "A", "core"), ("unanswered", 1)],
}
BAD = {
    "older than acknowledged": [*write(21), *told(1), *read(1, 20)],
    "older after news": [*write(21), *told(1), *read(1, 21, digest="y"), *read(2, 20)],
    "an unchanged answer that has changed": [*write(21), *told(1), ("read", 1, "u", "A", "core"), ("answer", 1, 20, None)],
    "older than the second of two webhooks": [*write(21), ("send", 1, "u", "A"), *write(22), *told(2), ("ack", 1), *read(1, 21)],
    "a duplicate that says more": [*write(21), *told(1), *write(22), *told(1), *read(1, 21)],
    "a version nobody wrote": [*read(1, 21)],
    "other data of the same version": [*read(1, 20), *read(2, 20, "B", digest="y")],
    "another responder after its bound": [*write(21), *told(1), *[("note", "")] * 20, *read(1, 20, "B")],
}


@pytest.mark.parametrize("name", GOOD)
def test_the_checker_accepts(name):
    assert judge(history(*GOOD[name]), BOUND) == []


@pytest.mark.parametrize("name", BAD)
def test_the_checker_sees(name):
    assert len(judge(history(*BAD[name]), BOUND)) == 1


def test_the_checker_sees_a_planted_violation_in_a_long_history():
    """One old read, at a random place among thousands of good ones of several users."""
    generator = random.Random(5)
    recorder = Recorder(BOUND)
    versions = dict.fromkeys("uvwxyz", WINDOW)
    planted = generator.randrange(2000, 4000)
    for user in versions:
        recorder.record("begin", user, WINDOW)
        recorder.record("commit", user, WINDOW)
    for i in range(5000):
        user = generator.choice("uvwxyz")
        if i == planted or generator.random() < 0.3:
            versions[user] += 1
            webhook = recorder.number()
            for event in (("begin", user, versions[user]), ("commit", user, versions[user]), ("send", webhook, user, "A"), ("ack", webhook)):
                recorder.record(*event)
        number = recorder.number()
        shown = versions[user] - (i == planted)
        recorder.record("read", number, user, "A", "core")
        recorder.record("answer", number, shown, f"{user}{shown}")
        assert len(recorder.problems()) == (i >= planted)


def test_a_saved_history_is_judged_the_same(tmp_path):
    recorder = Recorder(BOUND)
    for event in [("begin", "u", 20), ("commit", "u", 20), *write(21), *told(1), *read(1, 20)]:
        recorder.record(*event)
    recorder.note("a fault")
    recorder.save(tmp_path / "history")
    events = [json.loads(line) for line in (tmp_path / "history").read_text().splitlines()]
    assert judge(events, BOUND) == recorder.problems() != []


def test_staleness_is_told_over_all_reads():
    recorder = Recorder(BOUND)
    checker = recorder.checker
    for when, event, *arguments in history(*write(21), *told(1), *read(1, 20, "B"), *read(2, 21, "B", "y"), *read(3, 21, "B", "y"), *read(4, 21, "A", "y")):
        checker.apply(when, event, *arguments)
    assert checker.percentiles(50, 75, 100) == {50: 0.0, 75: 1.0, 100: 1.0}


def test_a_document_of_two_versions_is_refused():
    k = 50
    core = {"gross_loss": -k, "total_trades": WINDOW + 2, "winning_trades": WINDOW + 1, "losing_trades": 1, "total_pnl": total_pnl(k),
            "gross_profit": total_pnl(k) + k, "biggest_loser": -k, "biggest_winner": 1000}
    assert of_core(core) == k and of_pnl({"total_pnl": f"{total_pnl(k)}.0000"}) == k
    for name in core:
        with pytest.raises(Mixed):
            of_core({**core, name: core[name] + 1})
    with pytest.raises(Mixed):
        of_pnl({"total_pnl": total_pnl(k) + 1})


# --- everything at once -------------------------------------------------------------------------------------------


@pytest.fixture
def start_precompute(servers):
    @contextlib.contextmanager
    def start():
        with subprocess.Popen([BUILD / "pnlcache-worker", "job", "precompute", "--all"], env=servers.settings(), cwd=ROOT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
            try:
                yield job
            finally:
                job.kill()

    return start


@pytest.fixture
def turmoil(servers, db, start_responder, start_worker, start_redis_proxy, start_postgres_proxy, start_precompute):
    """(site, nemesis): two responders behind proxies, two workers, five journals."""
    redis = {name: start_redis_proxy() for name in "AB"}
    postgres = {name: start_postgres_proxy() for name in "AB"}
    listen = {name: f"{servers.run_dir}/responder-{name}.sock" for name in "AB"}
    site = Site(servers, listen, BOUND)
    for user, asset in (("s1", "stocks"), ("s2", "stocks"), ("s3", "stocks"), ("o1", "options"), ("o2", "options")):
        site.add_user(user, asset)
    site.add_user("quiet", "stocks", busy=False)
    for name in "AB":
        start_responder(LISTEN=listen[name], REDIS_URL=redis[name].url, DATABASE_URL=postgres[name].url, **RESPONDER)

    def worker():
        return start_worker(**WORKER)

    return site, Nemesis(site, redis, postgres, [worker(), worker()], worker, start_precompute)


def run_for(seconds, turmoil, capsys):
    site, nemesis = turmoil
    history_path = ROOT / f"build/consistency-history-{os.getpid()}.jsonl"
    site.start_threads()
    try:
        nemesis.strike_for(seconds, lambda: site.assert_consistent(history_path))
    finally:
        site.stop_threads()
        with capsys.disabled():
            print("", site.report(), nemesis.report(), sep="\n")
    site.assert_consistent(history_path)
    assert not site.counts["broken"]
    sources = site.counts["sources"]
    assert sum(n for source, n in sources.items() if source.startswith("hit")) > 100, sources
    assert sources["fwd=miss; stored"] > 100, sources


def test_no_read_is_older_than_an_acknowledged_webhook(turmoil, capsys):
    run_for(SECONDS_IN_MAKE_TEST, turmoil, capsys)


@pytest.mark.long
def test_no_read_is_older_than_an_acknowledged_webhook_for_minutes(turmoil, capsys):
    run_for(int(os.environ.get("DURATION", 300)), turmoil, capsys)


# --- one schedule each ----------------------------------------------------------------------------------------------


@pytest.fixture
def site(servers, db):
    site = Site(servers, {"A": servers.listen}, BOUND)
    site.add_user("ann", "stocks")
    return site


def waits_for_a_lock(db):
    with db.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'pnlcache%'")
        return cursor.fetchone()


@pytest.mark.parametrize("computed_by", ["responder", "job"])
def test_what_was_read_before_an_event_is_not_current_after_it(servers, db, site, responder, start_daemon, computed_by):
    """The computation is held up between its snapshot and its end; the event comes meanwhile."""
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    if computed_by == "job":
        job = start_daemon("pnlcache-worker", "job", "precompute", "--user", "ann")
        job.expected_end = True
    else:
        early = Client(servers.listen)
        early.send(request("GET", CORE[0], {"Authorization": site.tokens["ann"]}))
    wait_until(lambda: waits_for_a_lock(db), what="the computation to be held up")
    site.write("ann", blocker)
    with site.asker() as asker:
        assert asker.tell("ann", "A")
        blocker.close()
        if computed_by == "job":
            assert job.process.wait(30) == 0
        else:
            assert early.read_answer().status == 200
            early.close()
        assert servers.redis("EXISTS", "analytics:combined:{ann}:all_time:core") == b"1"
        assert asker.read("ann", "A", *CORE) == WINDOW + 1
    assert site.problems() == []


def test_a_redis_that_may_have_forgotten_an_event_is_not_believed(servers, site, responder):
    """A promoted replica has the values and the epochs, and perhaps not the last invalidation."""
    with site.asker() as asker:
        for _ in range(2):
            asker.read("ann", "A", *CORE)
        assert any(source.startswith("hit") for source in site.counts["sources"])
        servers.redis("REPLICAOF", "127.0.0.1", "1")
        servers.redis("REPLICAOF", "NO", "ONE")
        assert servers.redis("EXISTS", "analytics:combined:{ann}:all_time:core") == b"1"

        def is_computed_again():
            site.counts["sources"].clear()
            asker.read("ann", "A", *CORE)
            return list(site.counts["sources"]) == ["fwd=miss; stored"]

        wait_until(is_computed_again, what="the old master's value to be refused")
    assert site.problems() == []
