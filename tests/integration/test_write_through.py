"""PUT /api/cache/dataset/NAME: what a service has written is invalidated and computed before the answer."""
import json
import re

import pytest

from fastcgi_client import Client, request
from harness import add_stock, cache_state, execute, token, wait_until

# Tokens made while the tests are collected have to last until they run.
DAY_S = 86400
SERVICE = token("svc", role="service_role", ttl=DAY_S)
PRICE = "/api/market/price/ACME"


def add_bar(db, symbol, date, close):
    execute(db, "INSERT INTO daily_bars (symbol, date, close) VALUES (%s, %s, %s)", symbol, date, close)


def put(web, name, query="", token_=SERVICE, **body):
    text = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json"} if body else {}
    return web.request("PUT", f"/api/cache/dataset/{name}{query}", token_=token_, body=text, headers=headers)


def test_the_answer_is_the_fresh_value_as_readers_get_it(web, db, responder):
    add_bar(db, "ACME", "2025-01-02", 10)
    assert web.get(PRICE).json()["data"]["price"] == 10
    execute(db, "UPDATE daily_bars SET close = 11")
    answer = put(web, "market-price", symbol="acme")
    assert (answer.status, answer.json()["data"]["price"], cache_state(answer)) == (200, 11, "fwd=miss"), answer
    assert answer.headers["Cache-Control"] == "no-store"
    reader = web.get(PRICE)
    assert (cache_state(reader), reader.body, reader.headers["ETag"]) == ("hit", answer.body, answer.headers["ETag"])


def test_other_answers_of_the_same_rows_are_invalid_too(web, db, responder):
    add_bar(db, "ACME", "2025-01-02", 10)
    for path in (PRICE, "/api/market/historical?symbol=ACME"):
        assert web.get(path).status == 200
    assert put(web, "market-price", "?symbol=ACME").status == 200
    assert cache_state(web.get("/api/market/historical?symbol=ACME")) == "fwd=miss"


def test_another_responder_serves_nothing_older(web, servers, db, responder, start_responder):
    other = start_responder(LISTEN=f"{servers.run_dir}/other.sock")
    add_bar(db, "ACME", "2025-01-02", 10)
    with Client(other.environment["LISTEN"]) as client:
        assert b'"price":10' in client.ask("GET", PRICE).body
        assert "hit" in client.ask("GET", PRICE).headers["cache-status"]
        execute(db, "UPDATE daily_bars SET close = 11")
        assert put(web, "market-price", symbol="ACME").status == 200
        wait_until(lambda: b'"price":11' in client.ask("GET", PRICE).body, what="the new price at the other responder")


def test_rows_of_a_user(web, db, responder):
    add_stock(db, "ann", 1)
    assert web.get("/api/stocks/count", "ann").json()["data"] == {"count": 1}
    assert web.get("/api/analytics/core", "ann").status == 200
    add_stock(db, "ann", 2)
    for answer in (put(web, "stocks-count", user_id="ann"), put(web, "stocks-count", "?user_id=ann")):
        assert (answer.status, answer.json()["data"]) == (200, {"count": 2}), answer
    assert cache_state(web.get("/api/stocks/count", "ann")) == "hit"
    assert web.get("/api/analytics/core", "ann").json()["data"]["total_trades"] == 2
    assert put(web, "stock", user_id="ann", id=2).json()["data"]["id"] == 2


@pytest.mark.parametrize("token_, status", [(None, 401), ("nonsense", 401), (token("ann", ttl=DAY_S), 403),
                                            (token("root", role="admin", ttl=DAY_S), 200)], ids=["none", "nonsense", "user", "admin"])
def test_only_services_and_admins_may(web, db, responder, token_, status):
    assert put(web, "market-gainers", token_=token_).status == status


def test_what_is_refused(web, responder):
    assert put(web, "nothing").json()["detail"] == "there is no such dataset"
    assert put(web, "nothing").status == 404
    assert put(web, "market-price").json()["errors"] == [{"field": "symbol", "message": "is needed"}]
    assert put(web, "market-price", symbol="a b").status == 400
    assert put(web, "market-price", "?symbol=A", symbol="A").json()["errors"] == [{"field": "symbol", "message": "is given twice"}]
    assert put(web, "stock", user_id="x" * 129, id=1).json()["errors"] == [{"field": "user_id", "message": "is not a user id"}]
    assert put(web, "market-price", "?user_id=ann&symbol=A").status == 400
    assert web.request("PUT", "/api/cache/dataset/market-gainers", token_=SERVICE, body=b"{", headers={"Content-Type": "application/json"}).status == 400
    assert web.request("PUT", "/api/cache/dataset/market-gainers", token_=SERVICE, body=b"x", headers={"Content-Type": "text/plain"}).status == 415
    answer = web.get("/api/cache/dataset/market-gainers", token_=SERVICE)
    assert (answer.status, answer.headers["Allow"]) == (405, "PUT, OPTIONS")


def test_a_row_that_is_not_there_is_404(web, db, responder):
    assert put(web, "market-price", symbol="NONE").status == 404
    add_bar(db, "NONE", "2025-01-02", 1)
    assert put(web, "market-price", symbol="NONE").status == 200


def test_a_precondition_is_not_looked_at(web, db, responder):
    add_bar(db, "ACME", "2025-01-02", 10)
    assert web.get(PRICE, headers={"If-None-Match": "*"}).status == 304
    answer = web.request("PUT", "/api/cache/dataset/market-price?symbol=ACME", token_=SERVICE, headers={"If-None-Match": "*"})
    assert (answer.status, bool(answer.body)) == (200, True)


def test_without_redis_the_change_goes_to_the_outbox_and_the_answer_comes_from_the_database(web, servers, db, responder):
    add_bar(db, "ACME", "2025-01-02", 10)
    assert web.get(PRICE).status == 200
    execute(db, "UPDATE daily_bars SET close = 11")
    execute(db, "DELETE FROM pnlcache.change_log")
    servers.stop("redis")
    answer = put(web, "market-price", symbol="ACME")
    assert (answer.status, answer.json()["data"]["price"], cache_state(answer)) == (200, 11, "fwd=bypass"), answer
    with db.cursor() as cursor:
        cursor.execute("SELECT user_id, tag FROM pnlcache.change_log")
        assert cursor.fetchall() == [(None, "prices")]
    assert web.get(PRICE).json()["data"]["price"] == 11
    servers.start("redis")
    wait_until(lambda: cache_state(web.get(PRICE)) == "hit", what="the cache to be used again")
    assert web.get(PRICE).json()["data"]["price"] == 11


def test_without_redis_and_database_it_is_refused(web, servers, db, responder):
    add_bar(db, "ACME", "2025-01-02", 10)
    assert web.get(PRICE).status == 200
    servers.stop("redis", "postgres")
    answer = put(web, "market-price", symbol="ACME")
    assert answer.status == 503, answer
    assert "Retry-After" in answer.headers


@pytest.fixture
def held(servers, tmp_path, start_responder, postgres_proxy):
    """Computations of /api/slow are held back from the first one on, until held.let_pass(); /api/other has the same tag."""
    for name, select in (("slow", "SELECT clock_timestamp() AS at"), ("other", "SELECT 1 AS one")):
        (tmp_path / f"{name}.sql").write_text(f"-- name: {name}\n-- path: /api/{name}\n-- scope: shared\n-- ttl: 60\n-- tags: slow\n\n{select}\n")
    start_responder(DATASET_DIR=tmp_path, THREADS="1", DATABASE_TIMEOUT="60000", REQUEST_TIMEOUT="60000", DATABASE_URL=postgres_proxy.url)
    postgres_proxy.hold("clock_timestamp() AS at")
    return postgres_proxy


AS_SERVICE = {"Authorization": "Bearer " + SERVICE}


def ask_all(servers, held, requests):
    """Sends each on a connection of its own, the others once the first one's computation has begun; their answers."""
    clients = [Client(servers.listen) for _ in requests]
    for client in clients:
        assert client.ask("GET", "/healthz").status == 200
    for client, one in zip(clients, requests):
        client.send(one)
        held.wait_sprung()
    with Client(servers.listen) as last:  # the one thread takes requests in the order they came
        wait_until(lambda: re.search(rb'pnlcache_queue_length{queue="misses"} [2-9]', last.ask("GET", "/metrics").body), what="a computation that waits")
    held.let_pass()
    answers = [client.read_answer() for client in clients]
    for client in clients:
        client.close()
    return answers


def test_those_who_come_while_one_is_computed_share_the_next_computation(servers, held):
    answers = ask_all(servers, held, [request("PUT", "/api/cache/dataset/slow", AS_SERVICE)] * 12)
    assert [answer.status for answer in answers] == [200] * 12
    assert len({answer.body for answer in answers}) == 2


def test_a_change_is_not_lost_among_those_who_only_ask_for_a_computation(web, servers, held):
    for _ in range(2):
        other = web.get("/api/other")
    assert cache_state(other) == "hit"
    fresh = request("GET", "/api/slow", {**AS_SERVICE, "Cache-Control": "no-cache"})
    answers = ask_all(servers, held, [fresh, fresh, request("PUT", "/api/cache/dataset/slow", AS_SERVICE)])
    assert [answer.status for answer in answers] == [200] * 3
    assert cache_state(web.get("/api/other")) == "fwd=miss"


def test_a_reader_meanwhile_gets_the_fresh_value_or_waits(web, db, responder):
    add_bar(db, "ACME", "2025-01-02", 10)
    for price in range(11, 31):
        execute(db, "UPDATE daily_bars SET close = %s", price)
        assert put(web, "market-price", symbol="ACME").json()["data"]["price"] == price
        assert web.get(PRICE).json()["data"]["price"] == price
