"""The operations on the cache: statistics, one key, clearing, warming (docs/api.md)."""
import json

import pytest
from fastcgi_client import Client, bearer, problem
from harness import add_stock, token, wait_until

CORE = "/api/analytics/core"
ADMIN = {"role": "admin"}


class Site:
    """A connection to the responder, and what this file asks of it."""

    def __init__(self, path):
        self.client = Client(path)

    def get(self, path, user="ann", **claims):
        return self.client.ask("GET", path, bearer(user, **claims))

    def order(self, what, body, user="root", role="admin"):
        return self.client.ask("POST", f"/api/cache/{what}", bearer(user, **({"role": role} if role else {})), json.dumps(body).encode())

    def clear(self, body, status=200, **who):
        answer = self.order("clear", body, **who)
        assert answer.status == status, answer
        return json.loads(answer.body)["data"]

    def key(self, name):
        answer = self.get(f"/api/cache/key?name={name}", "root", **ADMIN)
        assert answer.status == 200, answer
        assert answer.headers["cache-control"] == "no-store"
        return json.loads(answer.body)["data"]

    def stats(self):
        answer = self.get("/api/cache/stats", "root", **ADMIN)
        assert answer.status == 200, answer
        return json.loads(answer.body)["data"]

    def is_hit(self, path, user="ann", **claims):
        answer = self.get(path, user, **claims)
        assert answer.status == 200, answer
        return "hit" in answer.headers["cache-status"]


@pytest.fixture
def site(servers, responder, db):
    site = Site(servers.listen)
    yield site
    site.client.close()


@pytest.fixture
def other_site(servers, site, start_responder):
    """Another responder on the same Redis."""
    path = str(servers.run_dir / "other.sock")
    start_responder(LISTEN=path)
    other = Site(path)
    yield other
    other.client.close()


def errors(answer):
    return {entry["field"]: entry["message"] for entry in problem(answer, 400)["errors"]}


def execute(db, statement, *values):
    with db.cursor() as cursor:
        cursor.execute(statement, values)


def add_price(db, symbol, price):
    execute(db, "INSERT INTO latest_price (symbol, price, observed_at) VALUES (%s, %s, now())", symbol, price)
    execute(db, "INSERT INTO daily_bars (symbol, date, close, volume) VALUES (%s, current_date - 1, 1, 1000)", symbol)


# --- who may ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path", [("GET", "/api/cache/stats"), ("GET", "/api/cache/key?name=x"), ("POST", "/api/cache/warm")])
def test_only_an_admin_may_look_and_warm(site, method, path):
    body = b'{"user_id": "ann"}' if method == "POST" else b""
    problem(site.client.ask(method, path, {}, body), 401)
    for role in (None, "service_role"):
        problem(site.client.ask(method, path, bearer("ann", role=role), body), 403)
    assert site.client.ask(method, path, bearer("ann", role="admin"), body).status in (200, 202)


def test_a_user_clears_their_own_data_and_nothing_else(site, db):
    add_stock(db, "ann", 1)
    add_stock(db, "bob", 1)
    for user in ("ann", "bob"):
        assert not site.is_hit(CORE, user) and site.is_hit(CORE, user)
    for body in ({"user_id": "bob"}, {"tag": "stocks"}, {"symbol": "ACME"}, {"dataset": "stocks"}, {"all": True}):
        problem(site.order("clear", body, user="ann", role=None), 403)
    assert site.is_hit(CORE, "ann") and site.is_hit(CORE, "bob")
    assert site.clear({"user_id": "ann"}, user="ann", role=None)["in_effect"] is True
    assert not site.is_hit(CORE, "ann") and site.is_hit(CORE, "bob")
    for body in ({"tag": "stocks"}, {"all": True}):
        problem(site.order("clear", body, role="service_role"), 403)
    site.clear({"user_id": "bob"}, role="service_role")
    assert not site.is_hit(CORE, "bob")


def test_every_field_that_is_wrong_is_named(site):
    for body, fields in (({"user_id": "", "tag": "stocks", "who": 1}, {"user_id", "tag", "who"}), ({}, {""}),
                         ({"tag": "no-such"}, {"tag"}), ({"dataset": "no-such"}, {"dataset"}), ({"dataset": 1}, {"dataset"}),
                         ({"symbol": "a b"}, {"symbol"}), ({"symbol": "A,B"}, {"symbol"}), ({"all": False}, {"all"}),
                         ({"all": "true"}, {"all"}), ({"symbols": ["A"]}, {"symbols"})):
        assert set(errors(site.order("clear", body))) == fields, body
    for body, fields in (({"symbols": []}, {"symbols"}), ({"symbols": "A"}, {"symbols"}), ({"symbols": ["A", 1]}, {"symbols"}),
                         ({"symbols": [f"A{i}" for i in range(101)]}, {"symbols"}), ({"dataset": "stocks"}, {"dataset"}),
                         ({"dataset": "market-historical"}, {"dataset"}), ({"tag": "stocks"}, {"tag"}), ({"all": True}, {"all"})):
        assert set(errors(site.order("warm", body))) == fields, body
    for what in ("clear", "warm"):
        path = f"/api/cache/{what}"
        problem(site.client.ask("POST", path, bearer("root", role="admin"), b"[1]"), 400)
        problem(site.client.ask("POST", path, bearer("root", role="admin"), b"{"), 400)
        problem(site.client.ask("POST", path, {**bearer("root", role="admin"), "Content-Type": "text/plain"}, b"{}"), 415)
        assert set(errors(site.client.ask("POST", path + "?x=1", bearer("root", role="admin"), b'{"user_id": "ann"}'))) == {"x"}
    assert set(errors(site.get("/api/cache/key", "root", **ADMIN))) == {"name"}
    assert set(errors(site.get("/api/cache/key?name=a&name=b&x=1", "root", **ADMIN))) == {"name", "x"}
    assert set(errors(site.get("/api/cache/stats?x=1", "root", **ADMIN))) == {"x"}


# --- clearing -----------------------------------------------------------------------------------------


def test_a_cleared_user_is_computed_anew_everywhere(site, other_site, db):
    """Also where nobody told of a change, in each responder's own memory, and for datasets."""
    add_stock(db, "ann", 1)
    paths = (CORE, "/api/stocks", "/api/stocks/count", "/api/playbooks/analytics")
    for s in (site, other_site):
        for path in paths:
            s.get(path)
            assert s.is_hit(path)
    execute(db, "UPDATE stocks SET exit_price = 13 WHERE user_id = 'ann'")  # no worker runs: the outbox is not drained
    assert site.is_hit(CORE)
    assert set(site.clear({"user_id": "ann"})["tags"]) >= {"stocks", "options", "playbooks", "settings"}
    for path in paths:
        assert not site.is_hit(path)
    assert json.loads(site.get(CORE).body)["data"]["total_pnl"] == 300
    wait_until(lambda: json.loads(other_site.get(CORE).body)["data"]["total_pnl"] == 300, what="the other responder's number")


def test_a_symbol_is_cleared_with_all_that_hangs_on_prices(site, db):
    add_price(db, "ACME", 10)
    add_price(db, "OTHER", 20)
    paths = ("/api/market/price/ACME", "/api/market/price/OTHER", "/api/market/historical?symbol=ACME")
    for path in paths:
        site.get(path)
        assert site.is_hit(path)
    holidays = "/api/notebook/holidays"
    site.get(holidays)
    done = site.clear({"symbol": "acme"})
    assert "prices" in done["tags"] and "holidays" not in done["tags"] and done["in_effect"] is True
    for path in paths:
        assert not site.is_hit(path)
    assert site.is_hit(holidays)


def test_a_shared_tag_or_dataset_is_cleared_at_once(site, db):
    add_price(db, "ACME", 10)
    for body in ({"tag": "prices"}, {"dataset": "market-gainers"}):
        site.get("/api/market/gainers")
        assert site.is_hit("/api/market/gainers")
        done = site.clear(body)
        assert done == {"tags": ["prices"], "in_effect": True}
        assert not site.is_hit("/api/market/gainers")


@pytest.mark.parametrize("body, tags", [({"tag": "stocks"}, {"stocks"}), ({"dataset": "stocks-count"}, {"stocks"}), ({"all": True}, None)])
def test_what_is_every_users_is_cleared_by_a_worker(site, db, start_worker, body, tags):
    users = ("ann", "bob", "carl")
    for user in users:
        add_stock(db, user, 1)
    execute(db, "DELETE FROM pnlcache.change_log")
    add_price(db, "ACME", 10)
    for user in users:
        site.get("/api/stocks/count", user)
        assert site.is_hit("/api/stocks/count", user)
    site.get("/api/market/gainers")
    done = site.clear(body, 202)
    assert done["in_effect"] is False and (tags is None or set(done["tags"]) == tags)
    assert site.is_hit("/api/stocks/count")  # not yet, and it does not say so
    assert site.is_hit("/api/market/gainers") == (tags is not None)  # shared data at once
    start_worker()
    wait_until(lambda: not any(site.is_hit("/api/stocks/count", user) for user in users), what="the walk over all users")


def test_a_walk_over_ten_thousand_users_ends_and_readers_go_on(site, servers, db, start_worker):
    add_stock(db, "ann", 1)
    site.get("/api/playbooks/analytics")
    execute(db, "DELETE FROM pnlcache.change_log")
    script = "for i = 1, 10000 do redis.call('HSET', 'epoch:{u' .. i .. '}', 'images', '0123456789abcdef', 'notes', '0123456789abcdef') end"
    servers.redis("EVAL", script, 0)
    left = "local n = 0; for i = 1, 10000 do n = n + redis.call('HEXISTS', 'epoch:{u' .. i .. '}', ARGV[1]) end; return n"
    assert int(servers.redis("EVAL", left, 0, "images")) == 10000
    start_worker()
    site.clear({"tag": "images"}, 202)
    reads = 0
    while int(servers.redis("EVAL", left, 0, "images")) > 0:
        assert site.is_hit("/api/playbooks/analytics")
        reads += 1
        assert reads < 100_000, "the walk does not end"
    assert int(servers.redis("EVAL", left, 0, "notes")) == 10000
    assert site.is_hit("/api/playbooks/analytics")


def test_without_redis_a_clearing_is_durable_and_holds_at_once(site, servers, db, start_worker):
    add_stock(db, "ann", 1)
    site.get(CORE)
    assert site.is_hit(CORE)
    servers.stop("redis")
    wait_until(lambda: json.loads(site.get("/readyz").body)["redis"] == "down", what="the end of Redis")
    execute(db, "DELETE FROM pnlcache.change_log")
    assert site.clear({"user_id": "ann"}, 202)["in_effect"] is False
    with db.cursor() as cursor:
        cursor.execute("SELECT DISTINCT user_id FROM pnlcache.change_log WHERE tag = 'stocks'")
        assert cursor.fetchall() == [("ann",)]
    assert not site.is_hit(CORE)
    servers.start("redis")


def test_what_redis_refuses_is_bypassed_until_redis_takes_it(site, servers, db):
    """Redis answers reads with values that look valid, and takes no HDEL."""
    add_stock(db, "ann", 1)
    site.get(CORE)
    assert site.is_hit(CORE)
    execute(db, "UPDATE stocks SET exit_price = 13 WHERE user_id = 'ann'")
    servers.redis("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        assert site.clear({"user_id": "ann"}, 202)["in_effect"] is False
        assert json.loads(site.get("/readyz").body)["pending_invalidations"] >= 1
        answer = site.get(CORE)
        assert "fwd=bypass" in answer.headers["cache-status"] and json.loads(answer.body)["data"]["total_pnl"] == 300
    finally:
        servers.redis("CONFIG", "SET", "min-replicas-to-write", 0)
    wait_until(lambda: json.loads(site.get("/readyz").body)["pending_invalidations"] == 0, what="the invalidation")
    wait_until(lambda: site.is_hit(CORE), what="a value of the new number")
    assert json.loads(site.get(CORE).body)["data"]["total_pnl"] == 300


def test_with_neither_server_nothing_is_claimed(servers, start_responder, db):
    start_responder(REDIS_ENABLED="false", DATABASE_URL=f"host={servers.run_dir}/nowhere dbname=none user=none")
    site = Site(servers.listen)
    for body in ({"user_id": "ann"}, {"tag": "stocks"}, {"all": True}):
        assert "retry-after" in site.order("clear", body).headers
        problem(site.order("clear", body), 503)
    problem(site.order("warm", {"user_id": "ann"}), 503)
    problem(site.order("warm", {"dataset": "market-gainers"}), 503)
    problem(site.get("/api/cache/key?name=x", "root", **ADMIN), 503)
    assert site.stats()["redis"] is None
    site.client.close()


# --- warming ------------------------------------------------------------------------------------------


def test_a_user_is_warmed_by_a_worker(site, db, worker):
    add_stock(db, "ann", 1)
    key = "analytics:all:{ann}:all_time:core"
    wait_until(lambda: site.key("analytics:combined:{ann}:all_time:core")["valid"], what="the job of the new trade")
    site.clear({"user_id": "ann"})
    assert site.key("analytics:combined:{ann}:all_time:core")["reason"] == "epoch", key
    answer = site.order("warm", {"user_id": "ann"})
    assert answer.status == 202 and json.loads(answer.body)["data"] == {"queued": 1}
    wait_until(lambda: site.key("analytics:combined:{ann}:all_time:core")["valid"], what="the warmed document")


def test_shared_data_are_warmed_without_a_worker(site, db):
    add_price(db, "ACME", 10)
    add_price(db, "OTHER", 20)
    assert site.key("market:movers:gainers")["exists"] is False
    assert json.loads(site.order("warm", {"dataset": "market-gainers"}).body)["data"] == {"queued": 1}
    wait_until(lambda: site.key("market:movers:gainers")["valid"], what="the warmed dataset")
    answer = site.order("warm", {"symbols": ["other", "ACME", "ACME"]})
    assert answer.status == 202
    queued = json.loads(answer.body)["data"]["queued"]
    assert queued >= 4 and queued % 2 == 0
    for symbol in ("ACME", "OTHER"):
        wait_until(lambda name=f"price:latest:{symbol}": site.key(name)["valid"], what=symbol)
        assert site.is_hit(f"/api/market/price/{symbol}")
    wait_until(lambda: site.is_hit("/api/market/historical?symbol=OTHER"), what="the bars")


# --- one key ------------------------------------------------------------------------------------------


def test_a_key_tells_why_it_is_not_served(site, servers, db):
    add_stock(db, "ann", 1)
    name = "analytics:combined:{ann}:all_time:core"
    assert site.key(name) == {"key": name, "exists": False, "type": "none", "valid": False, "reason": "absent"}
    answer = site.get(CORE)
    found = site.key(name)
    assert found["valid"] is True and found["reason"] is None and found["type"] == "string"
    assert 0 < found["ttl"] <= 900 and found["size"] == int(servers.redis("STRLEN", name)) and found["memory"] > found["size"]
    assert found["encoding"] == "gzip" and found["etag"] in answer.headers["etag"]
    assert found["computed_at"][:16] == json.loads(answer.body)["meta"]["computed_at"][:16]
    assert found["of_this_instance"] is True
    assert {(e["tag"], e["shared"]) for e in found["epochs"]} >= {("stocks", False), ("options", False)}
    assert all(e["of_value"] == e["present"] == servers.redis("HGET", "epoch:{ann}", e["tag"]).decode() for e in found["epochs"])
    servers.redis("HDEL", "epoch:{ann}", "stocks")
    found = site.key(name)
    assert found["exists"] is True and found["valid"] is False and found["reason"] == "epoch"
    assert [e["present"] for e in found["epochs"] if e["tag"] == "stocks"] == [None]


def test_keys_of_others_are_described_and_not_shown(site, servers, db):
    servers.redis("SET", "strange", "a secret of somebody else")
    servers.redis("HSET", "epoch:{ann}", "stocks", "0123456789abcdef")
    assert site.key("strange")["reason"] == "damaged" and site.key("strange")["size"] == 25
    found = site.key("epoch:{ann}")
    assert found["type"] == "hash" and found["reason"] == "damaged" and found["ttl"] is None
    assert b"secret" not in site.get("/api/cache/key?name=strange", "root", **ADMIN).body
    site.get("/api/analytics/trade?trade_id=5&trade_type=stock")
    kept = [key for key in servers.redis("KEYS", "analytics:*").decode().split("\n") if key]
    assert len(kept) == 1 and site.key(kept[0].replace("{", "%7B").replace("}", "%7D"))["encoding"] == "not_found"
    before = site.stats()["values"]["invalid"]["damaged"]
    assert before == 0  # looking is no reading


def test_a_shared_value_is_judged_by_shared_epochs(site, db):
    add_price(db, "ACME", 10)
    site.get("/api/market/price/ACME")
    found = site.key("price:latest:ACME")
    assert found["valid"] is True and all(e["shared"] for e in found["epochs"])
    site.clear({"symbol": "ACME"})
    assert site.key("price:latest:ACME")["reason"] == "epoch"


# --- statistics ---------------------------------------------------------------------------------------


def test_statistics_count_what_was_read(site, servers, db, run_worker):
    add_stock(db, "ann", 1)
    for _ in range(4):
        site.get(CORE)
    site.get("/api/stocks")
    site.get(CORE, "ann", secret="wrong")
    found = site.stats()
    routes = {entry["route"]: entry for entry in found["endpoints"]}
    assert routes[CORE]["requests"] == 5 and routes[CORE]["misses"] == 1 and routes[CORE]["hits_l1"] + routes[CORE]["hits_redis"] == 3
    assert routes[CORE]["hit_rate"] == 0.75 and routes[CORE]["errors"] == 0
    assert routes["dataset:stocks"]["misses"] == 1 and routes["dataset:stocks"]["hit_rate"] == 0
    assert found["total"]["hits"] == 3 and found["total"]["misses"] == 2 and found["total"]["hit_rate"] == 0.6
    assert found["total"]["average_miss_seconds"] > found["total"]["average_hit_seconds"] > 0
    assert found["values"]["stored"] == 2

    def memory():
        site.get(CORE)
        return site.stats()["memory"]

    wait_until(lambda: memory()["entries"] >= 1, what="a value in memory")
    assert memory()["state"] == "on"
    redis = found["redis"]
    assert redis["role"] == "master" and redis["used_memory"] > 100_000 and redis["keys"] == int(servers.redis("DBSIZE"))
    assert redis["keys_by_family"] == {"counted_at": None, "families": {}}
    run_worker("job", "prune")
    counted = site.stats()["redis"]["keys_by_family"]
    assert counted["counted_at"] and counted["families"]["analytics"] == 1 and counted["families"]["epoch"] == 1
    assert counted["families"]["trades"] == 1


def test_statistics_before_anything_was_read_have_no_rates(site):
    found = site.stats()
    assert found["endpoints"] == [] and found["total"]["hit_rate"] is None
    assert found["total"]["average_hit_seconds"] is None
    assert token("ann") not in json.dumps(found)
