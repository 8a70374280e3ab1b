"""Who asks too often is told so, by every responder alike, with Redis and without."""
import re
import time

import pytest
from fastcgi_client import Client, bearer
from harness import add_stock, sign_webhook, token, wait_until, webhook_event

CORE = "/api/analytics/core"


def expect_refusal(answer, name, quota, window):
    """The headers and the document of a 429; the seconds to wait."""
    assert answer.status == 429, answer
    assert answer.json()["status"] == 429 and answer.json()["success"] is False
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 2 * window
    assert answer.headers["RateLimit"] == f'"{name}";r=0;t={wait}'
    assert answer.headers["RateLimit-Policy"] == f'"{name}";q={quota};w={window}'
    assert len(answer.headers.get_all("Retry-After")) == 1
    return wait


@pytest.mark.parametrize("algorithm", ["sliding", "bucket", "fixed"])
def test_a_user_over_the_limit_gets_429_and_others_do_not(web, db, start_responder, algorithm):
    start_responder(RATE_LIMIT_READS=f"{algorithm}:5/3600")
    add_stock(db, "ann", 1)
    assert [web.get(CORE, user="ann").status for _ in range(5)] == [200] * 5
    expect_refusal(web.get(CORE, user="ann"), "reads", 5, 3600)
    expect_refusal(web.get("/api/analytics/risk", user="ann"), "reads", 5, 3600)  # a miss is refused as well
    assert web.get(CORE, user="bob").status == 200
    assert web.get(CORE + "?user_id=ann", token_=token("job", role="service_role")).status == 200
    assert web.head(CORE, user="ann").status == 429
    assert web.get("/healthz").status == 200


def test_by_default_reads_are_not_limited(web, db, responder):
    with Client(responder.environment["LISTEN"]) as client:
        for _ in range(700):
            assert client.ask("GET", CORE, bearer("ann")).status == 200


def test_an_address_over_the_limit_gets_429_before_its_token_is_looked_at(start_responder, servers):
    start_responder(RATE_LIMIT_ADDRESS="bucket:3/3600")

    def status(address, uri=CORE):
        with Client(servers.listen) as client:
            return client.ask("GET", uri, {"Authorization": "Bearer nonsense"}, REMOTE_ADDR=address).status

    assert [status("192.0.2.1") for _ in range(4)] == [401, 401, 401, 429]
    assert status("192.0.2.1", "/healthz") == 200
    assert status("192.0.2.1", "/unknown") == 429
    assert status("192.0.2.2") == 401
    # An IPv6 site has all addresses of its /64.
    assert [status(f"2001:db8:0:1::{i}") for i in range(1, 5)] == [401, 401, 401, 429]
    assert status("2001:db8:0:2::1") == 401


def test_responders_settle_with_each_other(start_responder, servers, db):
    """Hits are counted in the process and settled within a second; the other responder then knows."""
    other = str(servers.run_dir / "other.sock")
    limit = {"RATE_LIMIT_READS": "fixed:1000/3600"}
    start_responder(**limit)
    start_responder(LISTEN=other, **limit)
    add_stock(db, "ann", 1)

    def burst(path, n):
        with Client(path) as client:
            return [client.ask("GET", CORE, bearer("ann")).status for _ in range(n)]

    assert set(burst(servers.listen, 600)) == {200}
    wait_until(lambda: servers.redis("GET", "ratelimit:reads:ann").split()[1:2] == [b"600"], what="the settling")
    assert burst(other, 1) == [200]
    wait_until(lambda: servers.redis("GET", "ratelimit:reads:ann").split()[1] == b"601", what="the other's settling")
    assert burst(other, 500).count(200) == 399


def test_misses_are_counted_exactly(start_responder, servers, db):
    """No settling in between: what another process counted in Redis decides about a miss at once."""
    start_responder(RATE_LIMIT_READS="fixed:10/3600")
    with Client(servers.listen) as client:
        ask = lambda uri: client.ask("GET", uri, bearer("ann")).status
        assert ask(CORE) == 200
        at, used, previous = servers.redis("GET", "ratelimit:reads:ann").split()
        assert (used, previous) == (b"1", b"0")
        servers.redis("SET", "ratelimit:reads:ann", f"{at.decode()} 10 0")
        assert ask("/api/analytics/risk") == 429


def test_without_redis_each_responder_holds_the_limit(web, db, start_responder, redis_proxy):
    start_responder(REDIS_URL=redis_proxy.url, RATE_LIMIT_READS="bucket:5/3600")
    add_stock(db, "ann", 1)
    redis_proxy.refuse()
    redis_proxy.reset_all()
    wait_until(lambda: web.get("/readyz").json()["redis"] == "down", what="the outage")
    assert [web.get(CORE, user="ann").status for _ in range(7)] == [200] * 5 + [429] * 2
    redis_proxy.accept()


def test_webhooks_over_the_limit_get_429_and_in_time_go_through(web, start_responder, db):
    start_responder(RATE_LIMIT_WEBHOOKS="bucket:3/3")
    add_stock(db, "ann", 1)
    assert [web.trade_event("ann").status for _ in range(3)] == [202] * 3
    wait = expect_refusal(web.trade_event("ann"), "webhooks", 3, 3)
    assert wait == 1
    wait_until(lambda: web.trade_event("ann").status == 202, what="room for one more")
    assert web.get(CORE, user="ann").status == 200


def test_webhooks_are_counted_exactly(web, start_responder, db, servers):
    """What another responder counted a moment ago decides."""
    start_responder(RATE_LIMIT_WEBHOOKS="fixed:100/3600")
    now_us = int(time.time() * 1e6)
    servers.redis("SET", "ratelimit:webhooks:127.0.0.1", f"{now_us - now_us % 3_600_000_000} 98 0")
    assert [web.trade_event("ann").status for _ in range(3)] == [202, 202, 429]


def test_a_webhook_is_refused_before_its_signature_is_looked_at(web, start_responder, servers):
    start_responder(RATE_LIMIT_WEBHOOKS="fixed:1/3600")
    body = webhook_event()
    assert web.post("/api/webhooks/trades", body, headers=sign_webhook(body, key=b"x" * 32)).status == 401
    assert web.post("/api/webhooks/trades", body, headers=sign_webhook(body)).status == 429


def test_a_wrong_rate_stops_the_start(start_daemon, servers):
    daemon = start_daemon("pnlcache.fcgi", "--check", RATE_LIMIT_READS="sliding:many")
    daemon.expected_end = True
    assert daemon.process.wait(20) == 78
    assert re.search(r"RATE_LIMIT_READS.*sliding:many.*sliding:600/60", daemon.log())
