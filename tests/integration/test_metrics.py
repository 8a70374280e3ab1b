"""GET /metrics, and the alerts that are shipped for it."""
import json
import re
import shutil
import subprocess
import time

import pytest
from fastcgi_client import Client, bearer, request
from harness import ROOT, add_stock, wait_until
from prometheus_text import parse
from test_jobs import FAIL_ON_POISON
from test_worker import execute

CORE = "/api/analytics/core"


def scrape(web):
    answer = web.get("/metrics")
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    return parse(answer.body.decode())


def value(samples, name, **labels):
    return samples.get((name, tuple(labels.items())), 0)


@pytest.fixture
def promtool():
    path = shutil.which("promtool")
    assert path, "promtool is missing: tools/install_packages.sh test"
    return path


def test_promtool_finds_nothing_to_say(web, responder, db, promtool):
    web.get(CORE, user="ann")
    text = web.get("/metrics").body
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_requests_are_counted_by_route_status_and_origin(web, responder, db, servers):
    add_stock(db, "ann", 1)
    before = scrape(web)
    for _ in range(3):
        assert web.get(CORE, user="ann").status == 200
    etag = web.get(CORE, user="ann").headers["ETag"]
    assert web.get(CORE, user="ann", headers={"If-None-Match": etag}).status == 304
    assert web.get(CORE).status == 401
    assert web.get("/nothing/here", user="ann").status == 404
    assert web.get("/api/stocks/analytics/win-rate", user="ann").status == 200
    after = scrape(web)
    grown = lambda name, **labels: value(after, name, **labels) - value(before, name, **labels)
    assert grown("pnlcache_http_requests_total", route=CORE, code="200") == 4
    assert grown("pnlcache_http_requests_total", route=CORE, code="304") == 1
    assert grown("pnlcache_http_requests_total", route=CORE, code="401") == 1
    assert grown("pnlcache_http_requests_total", route="/api/stocks/analytics/{metric}", code="200") == 1
    assert grown("pnlcache_cache_requests_total", route=CORE, result="miss_stored") == 1
    hits = [grown("pnlcache_cache_requests_total", route=CORE, result=tier) for tier in ("l1", "redis")]
    assert sum(hits) == 4 and hits[1] >= 1
    counts = [grown("pnlcache_http_request_duration_seconds_count", tier=tier) for tier in ("l1", "redis", "miss_stored")]
    assert sum(counts) == 6
    assert value(after, "pnlcache_http_request_duration_seconds_sum", tier="miss_stored") > 0
    wait_until(lambda: web.get(CORE, user="ann").status == 200 and value(scrape(web), "pnlcache_l1_entries") >= 1, what="a value in memory")


def test_unknown_paths_and_sizes_are_counted_too(web, responder):
    before = scrape(web)
    assert web.get("/api/nothing/here").status == 404
    after = scrape(web)
    labels = {"route": "none", "code": "404"}
    assert value(after, "pnlcache_http_requests_total", **labels) == value(before, "pnlcache_http_requests_total", **labels) + 1


def test_each_dataset_has_a_label_of_its_own(web, responder, db):
    add_stock(db, "ann", 1)
    for _ in range(2):
        assert web.get("/api/stocks", user="ann").status == 200
    assert web.get("/api/stocks/99", user="ann").status == 404
    assert web.get("/api/notebook/holidays").status == 200
    samples = scrape(web)
    assert value(samples, "pnlcache_http_requests_total", route="dataset:stocks", code="200") == 2
    assert value(samples, "pnlcache_cache_requests_total", route="dataset:stocks", result="miss_stored") == 1
    assert value(samples, "pnlcache_http_requests_total", route="dataset:stock", code="404") == 1
    assert value(samples, "pnlcache_http_requests_total", route="dataset:holidays", code="200") == 1


def test_every_tier_has_a_name(web, responder):
    tiers = {dict(labels)["tier"] for name, labels in scrape(web) if name == "pnlcache_http_request_duration_seconds_count"}
    assert tiers == {"none", "l1", "redis", "miss_stored", "miss", "bypass", "stale"}


def test_connections_are_counted_by_who_holds_them(web, start_responder, servers, db):
    start_responder(MISS_THREADS=3)
    pool = "pnlcache_database_pool_connections"
    with Client(servers.listen), Client(servers.listen):
        samples = scrape(web)
        assert value(samples, "pnlcache_http_connections") >= 2
    assert value(samples, "pnlcache_http_connections_limit") >= 1000
    assert [value(samples, pool, state=state) for state in ("closed", "idle", "busy")] == [3, 0, 0]
    with db.cursor() as cursor:  # a miss that waits for a lock is busy
        cursor.execute("BEGIN; LOCK TABLE stocks")
        with Client(servers.listen) as client:
            client.send(request("GET", CORE, bearer("ann")))
            wait_until(lambda: value(scrape(web), pool, state="busy") == 1, what="a busy connection")
            cursor.execute("COMMIT")
            assert client.read_answer().status == 200
    wait_until(lambda: value(scrape(web), pool, state="idle") == 1, what="an idle connection")


def test_no_user_is_named(web, responder, db):
    add_stock(db, "a-user-of-ours", 1)
    assert web.get(CORE, user="a-user-of-ours").status == 200
    answer = web.get("/metrics")
    assert b"pnlcache_cache_requests_total{" in answer.body and b"a-user-of-ours" not in answer.body


def test_values_that_cannot_be_served_are_counted_by_reason(web, start_responder, db, servers):
    start_responder(CACHE_MAX_MEMORY_ENTRIES=0)
    add_stock(db, "ann", 1)
    assert web.get(CORE, user="ann").status == 200
    key = next(k for k in servers.redis("KEYS", "analytics:*core*").decode().split("\n") if k)
    servers.redis("SET", key, "nonsense")
    assert web.get(CORE, user="ann").status == 200
    servers.redis("DEL", "epoch:{ann}")
    assert web.get(CORE, user="ann").status == 200
    samples = scrape(web)
    assert value(samples, "pnlcache_cache_invalid_values_total", reason="damaged") >= 1
    assert value(samples, "pnlcache_cache_invalid_values_total", reason="epoch") >= 1


def test_the_queue_the_outbox_and_redis_are_seen(web, responder, db, servers):
    add_stock(db, "ann", 1)  # noted in the outbox by the trigger; no worker runs
    assert web.trade_event("ann").status == 202
    servers.redis("XADD", "jobs:dead", "*", "user", "bob", "kind", "analytics", "error", "test")
    samples = scrape(web)
    assert value(samples, "pnlcache_outbox_rows") >= 1
    assert value(samples, "pnlcache_jobs", state="queued") == 1
    assert value(samples, "pnlcache_jobs", state="dead") == 1
    assert value(samples, "pnlcache_redis_memory_bytes") > 100_000
    assert value(samples, "pnlcache_queue_limit", queue="misses") == 256
    assert ("pnlcache_queue_limit", (("queue", "sessions"),)) not in samples  # without sessions
    assert value(samples, "pnlcache_scrape_errors", server="redis") == 0
    assert value(samples, "pnlcache_scrape_errors", server="database") == 0
    wait_until(lambda: value(scrape(web), "pnlcache_outbox_oldest_age_seconds") > 0, what="the row's age")


def test_logins_have_a_queue_and_a_status_of_their_own(web, start_responder):
    start_responder(AUTH_MODE="jwt,session")
    before = scrape(web)
    assert value(before, "pnlcache_queue_limit", queue="sessions") == 512
    assert value(before, "pnlcache_queue_wait_seconds_count", queue="sessions") == 0
    assert [web.post("/api/session", b"", user="ann").status for _ in range(3)] == [201] * 3
    samples = scrape(web)
    assert value(samples, "pnlcache_queue_wait_seconds_count", queue="sessions") == 3
    assert value(samples, "pnlcache_queue_wait_seconds_sum", queue="sessions") > 0
    assert value(samples, "pnlcache_queue_refused_total", queue="sessions") == 0
    assert value(samples, "pnlcache_queue_length", queue="sessions") == 0
    assert value(samples, "pnlcache_http_requests_total", route="/api/session", code="201") == 3
    assert value(samples, "pnlcache_queue_wait_seconds_count", queue="operations") == 2  # the scrapes, this one included


def test_what_jobs_came_to_is_added_up_over_all_workers(web, responder, db, servers, start_worker, run_worker, promtool):
    kinds = [line.split()[0] for line in run_worker("job", "--list").stdout.splitlines()]
    samples = scrape(web)
    assert all(("pnlcache_jobs_done_total", (("kind", kind),)) in samples for kind in [*kinds, "analytics", "erase"])
    workers = [start_worker(WORKER_CONCURRENCY="1") for _ in range(2)]
    for worker in workers:
        wait_until(lambda worker=worker: "started" in worker.log())
    users = [f"u{n}" for n in range(20)]
    for user in users:
        add_stock(db, user, 1)
    done = lambda: scrape(web)
    wait_until(lambda: value(done(), "pnlcache_jobs_done_total", kind="analytics") >= 20 and servers.redis("XLEN", "jobs") == b"0")
    servers.redis("XADD", "jobs", "*", "kind", "nonsense", "user", "ann", "reason", "test")
    wait_until(lambda: value(scrape(web), "pnlcache_jobs_given_up_total", kind="other") == 1)
    run_worker("job", "precompute", "--active")
    run_worker("job", "precompute", "--user", "u1")  # not the schedule's: not counted
    run_worker("job", "prune", check=False, KEY_PREFIX="other:")
    assert run_worker("job", "precompute", "--active", check=False, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").returncode == 1
    samples = scrape(web)
    assert value(samples, "pnlcache_jobs_done_total", kind="precompute") == 1
    assert value(samples, "pnlcache_job_failures_total", kind="precompute") == 1
    assert value(samples, "pnlcache_jobs_done_total", kind="prune") == 0
    assert value(samples, "pnlcache_job_duration_seconds_count", kind="precompute") == 1
    assert 0 < value(samples, "pnlcache_job_duration_seconds_sum", kind="precompute") < 60
    assert value(samples, "pnlcache_job_duration_seconds_bucket", kind="precompute", le="+Inf") == 1
    timed, n = value(samples, "pnlcache_job_duration_seconds_count", kind="analytics"), value(samples, "pnlcache_jobs_done_total", kind="analytics")
    assert 0 < timed <= n
    assert abs(value(samples, "pnlcache_job_last_done_time_seconds", kind="precompute") - time.time()) < 60
    done = subprocess.run([promtool, "check", "metrics"], input=web.get("/metrics").body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_failed_attempts_of_jobs_are_counted(web, responder, db, start_worker, trapped_views):
    trapped_views(FAIL_ON_POISON)
    add_stock(db, "poison", 1)
    start_worker(JOB_ATTEMPTS="2")
    wait_until(lambda: value(scrape(web), "pnlcache_jobs_given_up_total", kind="analytics") == 1, timeout=60)
    samples = scrape(web)
    assert value(samples, "pnlcache_job_failures_total", kind="analytics") == 2
    assert value(samples, "pnlcache_jobs_done_total", kind="analytics") == 0
    assert value(samples, "pnlcache_jobs", state="dead") == 1


def test_what_audits_found_is_told(web, responder, db, servers, run_worker):
    add_stock(db, "ann", 1)
    execute(db, "DELETE FROM pnlcache.change_log")  # no worker runs; the audit would wait for it
    run_worker("job", "precompute", "--all")
    servers.redis("ZADD", "active:users", int(time.time()), "ann")
    run_worker("audit")
    execute(db, "SET session_replication_role = replica")  # a change that no event tells of
    execute(db, "UPDATE stocks SET exit_price = 12 WHERE user_id = 'ann'")
    assert run_worker("audit", "--sample", "4", "--seed", "1", check=False).returncode == 1  # each that differs takes two seconds
    samples = scrape(web)
    assert value(samples, "pnlcache_audit_checked_total") == 88 + 4 and value(samples, "pnlcache_audit_mismatches_total") > 0
    assert value(samples, "pnlcache_jobs_done_total", kind="audit") == 1
    assert value(samples, "pnlcache_job_failures_total", kind="audit") == 1
    assert abs(value(samples, "pnlcache_audit_last_time_seconds") - time.time()) < 60


def test_a_server_that_is_down_is_told_and_not_made_up(web, responder, servers):
    assert value(scrape(web), "pnlcache_breaker_state", server="redis") == 0
    servers.stop("redis")
    wait_until(lambda: value(scrape(web), "pnlcache_breaker_state", server="redis") > 0, what="the breaker")
    samples = scrape(web)
    assert value(samples, "pnlcache_scrape_errors", server="redis") == 1
    assert not [name for name, _ in samples if name in ("pnlcache_jobs", "pnlcache_redis_memory_bytes")]
    assert ("pnlcache_outbox_rows", ()) in samples
    servers.start("redis")


def test_alerts_are_valid_fire_and_rest(promtool):
    for words in (("check", "rules", ROOT / "conf/prometheus-alerts.yml"),
                  ("test", "rules", ROOT / "tests/integration/prometheus-alerts.test.yml")):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_ask_for_metrics_that_exist_and_each_is_tested(web, responder, db, run_worker):
    add_stock(db, "ann", 1)
    assert web.get(CORE, user="ann").status == 200
    run_worker("job", "precompute", "--active")
    names = {name for name, _ in scrape(web)}
    rules = (ROOT / "conf/prometheus-alerts.yml").read_text()
    asked = set(re.findall(r"pnlcache_[a-z0-9_]+", rules))
    assert asked and asked <= names, asked - names
    tests = (ROOT / "tests/integration/prometheus-alerts.test.yml").read_text()
    alerts = re.findall(r"alert: (\w+)", rules)
    assert len(alerts) >= 10 and rules.count("runbook:") == len(alerts)
    untested = [alert for alert in alerts if f"alertname: {alert}" not in tests]
    assert not untested


def dashboard_queries():
    dashboard = json.loads((ROOT / "conf/grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(queries) >= 25 and len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    return [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in queries]


def test_the_dashboard_asks_what_prometheus_understands(promtool, tmp_path):
    rules = [{"record": f"query:{i}", "expr": query} for i, query in enumerate(dashboard_queries())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_the_dashboard_asks_for_metrics_that_exist_and_for_every_one_of_them(web, responder, db, run_worker):
    add_stock(db, "ann", 1)
    assert web.get(CORE, user="ann").status == 200
    run_worker("job", "prune")
    run_worker("audit")
    labels, asked = {}, set()  # Prometheus itself adds the label `instance`
    for name, pairs in scrape(web):
        labels.setdefault(name, {"instance"}).update(name for name, _ in pairs)
    for query in dashboard_queries():
        names = re.findall(r"pnlcache_[a-z0-9_]+", query)
        by = {label for text in re.findall(r" by \(([a-z, ]+)\)", query) for label in text.split(", ")}
        matched = set(re.findall(r"([a-z]+)=~", query))
        for name in names:
            assert name in labels, query
            assert by | matched <= labels[name], query
        asked |= set(names)
    of_histograms = {name for name in labels if name.endswith(("_sum", "_count")) and name.rpartition("_")[0] + "_bucket" in labels}
    assert asked == set(labels) - of_histograms
