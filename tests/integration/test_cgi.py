"""Plain CGI: one process, one request. Through Apache the same program is in test_web_servers.py."""
import json
import subprocess

import pytest
from fastcgi_client import Answer, bearer, params_of, problem
from harness import BUILD, ROOT, SANITIZER_REPORT, add_stock, sign_webhook, wait_until, webhook_event

CORE = "/api/analytics/core"


@pytest.fixture
def ask(servers, db):
    """ask(method, uri, headers, body, stdin=bytes, **settings): the answer of a process of its own."""

    def ask(method, uri, headers=None, body=b"", stdin=None, **settings):
        environment = {**servers.settings(**settings), "GATEWAY_INTERFACE": "CGI/1.1", **params_of(method, uri, headers, body)}
        done = subprocess.run([BUILD / "pnlcache.fcgi"], env=environment, input=body if stdin is None else stdin, capture_output=True,
                              timeout=30, check=False)
        errors = done.stderr.decode()
        assert not SANITIZER_REPORT.search(errors), errors
        answer = Answer(done.stdout, 0)
        answer.errors, answer.returncode = errors, done.returncode
        return answer

    return ask


def test_a_miss_is_computed_and_then_a_hit_for_every_process(ask, db):
    add_stock(db, "ann", 1)
    first = ask("GET", CORE, bearer("ann"))
    assert first.status == 200 and first.headers["cache-status"] == "pnlcache; fwd=miss; stored"
    second = ask("GET", CORE, bearer("ann"))
    assert second.headers["cache-status"].endswith("detail=redis") and second.body == first.body
    assert int(second.headers["content-length"]) == len(second.body)
    assert ask("GET", CORE, {**bearer("ann"), "If-None-Match": second.headers["etag"]}).status == 304
    head = ask("HEAD", CORE, bearer("ann"))
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", second.headers["etag"])


def test_a_hit_loads_no_library_of_the_database(ask, db):
    """libpq and what it brings along would be half of the process's time."""
    add_stock(db, "ann", 1)
    miss = ask("GET", CORE, bearer("ann"), LD_DEBUG="files")
    assert miss.status == 200 and "libpq.so" in miss.errors
    hit = ask("GET", CORE, bearer("ann"), LD_DEBUG="files")
    assert hit.headers["cache-status"].endswith("detail=redis")
    assert "libhiredis.so" in hit.errors and "libpq.so" not in hit.errors


def test_the_same_answers_as_under_fastcgi(ask):
    assert ask("GET", "/healthz").status == 200
    problem(ask("GET", CORE), 401)
    problem(ask("GET", CORE + "?nonsense=1", bearer("ann")), 400)
    problem(ask("GET", "/nowhere", bearer("ann")), 404)
    problem(ask("GET", "/metrics"), 404)
    assert problem(ask("DELETE", CORE, bearer("ann")), 405)
    problem(ask("GET", "/healthz?" + "x" * 16384), 414)
    assert ask("OPTIONS", CORE, {"Origin": "https://a.example"}, CORS_ORIGINS="https://a.example").headers["access-control-allow-origin"] == "https://a.example"


def test_a_body_is_read_as_far_as_announced(ask, db):
    add_stock(db, "ann", 1)
    body = b'{"time_range": "7d"}'
    assert ask("POST", CORE, {**bearer("ann"), "Content-Type": "application/json"}, body, stdin=body + b"more that is not ours").status == 200
    problem(ask("POST", CORE, bearer("ann"), body, stdin=body[:-1]), 400)
    problem(ask("POST", CORE, {**bearer("ann"), "Content-Length": "300000"}, b"x" * 300000), 413)
    for lie in ("-1", "x", "99999999999999999999"):
        assert ask("POST", CORE, {**bearer("ann"), "Content-Length": lie}, stdin=body).status in (400, 413)


def test_a_webhook_takes_effect_for_the_next_process(ask, db):
    add_stock(db, "ann", 1)
    assert b'"total_trades":1' in ask("GET", CORE, bearer("ann")).body
    add_stock(db, "ann", 2)
    body = webhook_event("trade.created", "ann")
    assert ask("POST", "/api/webhooks/trades", sign_webhook(body), body).status == 202
    assert b'"total_trades":2' in ask("GET", CORE, bearer("ann")).body


def test_a_webhook_that_redis_does_not_acknowledge_is_refused_and_noted(ask, db, redis_proxy, servers):
    """Another process could still serve the older number, so the sender must not take it for done."""
    body = webhook_event("trade.created", "ann")
    redis_proxy.refuse()
    answer = ask("POST", "/api/webhooks/trades", sign_webhook(body), body, REDIS_URL=redis_proxy.url)
    assert problem(answer, 503) and "retry-after" in answer.headers
    with db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pnlcache.change_log WHERE user_id = 'ann'")
        assert cursor.fetchone()[0] >= 1


def test_redis_and_the_database_may_be_down(ask, db, redis_proxy, postgres_proxy):
    add_stock(db, "ann", 1)
    urls = {"REDIS_URL": redis_proxy.url, "DATABASE_URL": postgres_proxy.url}
    assert ask("GET", "/readyz", **urls).status == 200
    redis_proxy.refuse()
    assert b'"total_trades":1' in ask("GET", CORE, bearer("ann"), **urls).body
    assert b'"redis":"down"' in ask("GET", "/readyz", **urls).body
    postgres_proxy.refuse()
    assert problem(ask("GET", CORE, bearer("ann"), **urls), 503)
    assert ask("GET", "/readyz", **urls).status == 503
    redis_proxy.accept()
    assert b'"database":"down"' in ask("GET", "/readyz", **urls).body


def test_rate_limits_hold_over_processes(ask, db):
    add_stock(db, "ann", 1)
    assert [ask("GET", CORE, bearer("ann"), RATE_LIMIT_READS="fixed:2/3600").status for _ in range(3)] == [200, 200, 429]
    body = webhook_event("trade.created", "ann")
    statuses = [ask("POST", "/api/webhooks/trades", sign_webhook(body), body, RATE_LIMIT_WEBHOOKS="fixed:1/3600").status for _ in range(2)]
    assert statuses == [202, 429]


def test_a_dataset_is_served(ask, db):
    datasets = {"DATASET_DIR": ROOT / "sql/datasets"}
    uri = "/api/stocks/count"
    assert [ask("GET", uri, bearer("ann"), **datasets).headers["cache-status"].split("; ")[1] for _ in range(2)] == ["fwd=miss", "hit"]
    assert ask("OPTIONS", uri, **datasets).headers["allow"] == "GET, HEAD, OPTIONS"
    problem(ask("GET", uri, {**bearer("ann"), "Accept": "text/html"}, **datasets), 406)
    problem(ask("GET", "/nowhere", bearer("ann"), **datasets), 404)


def test_a_login_prepares_what_the_next_processes_answer_from(ask, db):
    add_stock(db, "ann", 1)
    done = ask("POST", "/api/user/initialize?wait=1", bearer("ann"))
    data = json.loads(done.body)["data"]
    assert done.status == 200 and data["done"] is True and data["collections"]["stocks"] == "warm"
    for path in (CORE, "/api/stocks?limit=all"):
        assert ask("GET", path, bearer("ann")).headers["cache-status"].endswith("detail=redis"), path


def test_readers_are_noted_as_active(ask, db, servers):
    ask("GET", CORE, bearer("ann"))
    wait_until(lambda: servers.redis("ZSCORE", "active:users", "ann"), what="the note")


def test_wrong_settings_are_told_in_the_log_alone(ask):
    answer = ask("GET", "/healthz", JWT_SECRET="short-and-secret")
    assert answer.status == 500 and answer.headers["content-type"] == "text/plain"
    assert "JWT_SECRET" in answer.errors and b"JWT" not in answer.body and answer.returncode == 1
    assert ask("GET", "/healthz", MISS_QUEUE="many").status == 500


def test_the_cache_is_looked_into_and_cleared(ask, db):
    """Also the tags that only datasets bring along."""
    datasets, admin = {"DATASET_DIR": ROOT / "sql/datasets"}, bearer("root", role="admin")
    add_stock(db, "ann", 1)
    for uri in (CORE, "/api/stocks/count"):
        assert [ask("GET", uri, bearer("ann"), **datasets).headers["cache-status"].split("; ")[1] for _ in range(2)] == ["fwd=miss", "hit"]
    found = json.loads(ask("GET", "/api/cache/key?name=analytics:combined:%7Bann%7D:all_time:core", admin).body)
    assert found["data"]["valid"] is True
    answer = ask("POST", "/api/cache/clear", admin, b'{"user_id": "ann"}', **datasets)
    assert answer.status == 200 and set(json.loads(answer.body)["data"]["tags"]) > {"stocks", "profile"}, answer
    for uri in (CORE, "/api/stocks/count"):
        assert ask("GET", uri, bearer("ann"), **datasets).headers["cache-status"].split("; ")[1] == "fwd=miss"
    assert ask("POST", "/api/cache/clear", admin, b'{"dataset": "market-gainers"}', **datasets).status == 200
    assert json.loads(ask("GET", "/api/cache/stats", admin).body)["data"]["redis"]["role"] == "master"
    problem(ask("POST", "/api/cache/warm", admin, b'{"dataset": "market-gainers"}', **datasets), 503)  # no thread that could


def test_an_event_may_name_a_tag_of_a_dataset(ask, db):
    body = webhook_event("data.changed", "ann", tag="profile")
    assert ask("POST", "/api/webhooks/trades", sign_webhook(body), body, DATASET_DIR=ROOT / "sql/datasets").status == 202
