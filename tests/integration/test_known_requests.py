"""Requests whose bytes came before are not parsed again (fcgi/known_requests.h). Everything else about them is decided anew: who asks,
whether he may, how often, what the answer is and how old. Each test first has the responder know the request, then changes something."""
import gzip
import json
import signal
import time

import pytest
from fastcgi_client import Client, bearer, params_of, pairs, begin, stream, PARAMS, STDIN
from harness import JWT_SECRET, add_stock, sign_webhook, token, wait_until
from prometheus_text import parse
from test_sessions import Browser

CORE = "/api/analytics/core"
LIST = "/api/stocks?limit=5"


class Asker:
    """Asks with the same bytes again and again."""

    def __init__(self, client):
        self.client = client

    def n_known(self):
        return parse(self.client.ask("GET", "/metrics").body.decode())["pnlcache_http_requests_known_total", ()]

    def knows(self, method="GET", uri=CORE, headers=None, status=200, **more):
        """Asks until the request is known, and the document so old that header lines are kept, too; its answer."""
        def ask():
            before = self.n_known()
            answer = self.client.ask(method, uri, headers, **more)
            return answer if self.n_known() > before and int(answer.headers.get("age", 0)) >= 1 else None

        answer = wait_until(ask, what="the request to be known")
        assert answer.status == status and "detail=l1" in answer.headers["cache-status"], answer
        return answer


@pytest.fixture
def start(start_responder, servers):
    clients = []

    def start(**settings):
        responder = start_responder(**{"THREADS": "1", "AUTH_MODE": "jwt,session", "RATE_LIMIT_LOGINS": "off", **settings})
        clients.append(Client(servers.listen))
        asker = Asker(clients[-1])
        asker.responder = responder
        return asker

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def ann(db):
    for n in (1, 2):
        add_stock(db, "ann", n)
    return bearer("ann")


def trades(answer):
    return json.loads(answer.body)["data"]["total_trades"]


def age_and_ttl(answer):
    return int(answer.headers["age"]), int(answer.headers["cache-status"].split("ttl=")[1].split(";")[0])


def without(headers, *names):
    return {name: value for name, value in headers.items() if name not in names}


# --- what stays the same ------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", [CORE, CORE + "?time_range=7d&asset=stocks", LIST, "/api/analytics/trade?trade_id=1&trade_type=stock",
                                 "/api/notebook/holidays?year=2025"])
@pytest.mark.parametrize("more", [{}, {"Accept-Encoding": "gzip"}, {"Accept": "text/html, application/json;q=0.5", "Accept-Encoding": "gzip;q=0, *"}])
def test_a_known_request_is_answered_like_an_unknown_one(start, ann, uri, more):
    asker = start()
    known = asker.knows("GET", uri, ann | more)
    unknown = asker.client.ask("GET", uri, ann | more | {"X-Unread": "makes the bytes others"})
    changing = ("x-request-id", "age", "cache-status", "server-timing", "cache-control")
    assert (known.status, known.body) == (unknown.status, unknown.body)
    assert without(known.headers, *changing) == without(unknown.headers, *changing) and list(known.headers) == list(unknown.headers)


def test_methods_and_conditions_are_known_apart(start, ann):
    asker = start()
    plain = asker.knows("GET", CORE, ann)
    packed = asker.knows("GET", CORE, ann | {"Accept-Encoding": "gzip"})
    head = asker.knows("HEAD", CORE, ann)
    condition = {"If-None-Match": plain.headers["etag"]}
    unmodified = asker.knows("GET", CORE, ann | condition, status=304)
    for _ in range(3):
        assert asker.client.ask("GET", CORE, ann).body == plain.body == gzip.decompress(packed.body)
        assert asker.client.ask("GET", CORE, ann | {"Accept-Encoding": "gzip"}).body == packed.body
        assert (asker.client.ask("HEAD", CORE, ann).body, head.body) == (b"", b"")
        again = asker.client.ask("GET", CORE, ann | condition)
        assert (again.status, again.body, unmodified.body) == (304, b"", b"")
        assert "content-length" not in again.headers and head.headers["content-length"] == str(len(plain.body))


def test_codings_of_unknown_requests_in_turn(start, ann):
    """What serves one request after the other keeps nothing of what the last one accepted."""
    asker = start()
    body = asker.knows("GET", CORE, ann).body
    for n in range(10):
        packed = asker.client.ask("GET", CORE, ann | {"Accept-Encoding": "gzip", "X-Unread": f"{n}"})
        plain = asker.client.ask("GET", CORE, ann | {"X-Unread": f"{n}"})
        assert gzip.decompress(packed.body) == plain.body == body


# --- what is each answer's own ------------------------------------------------------------------------


def test_each_has_an_id_of_its_own_or_the_callers(start, ann):
    asker = start()
    asker.knows("GET", CORE, ann)
    ids = [asker.client.ask("GET", CORE, ann).headers["x-request-id"] for _ in range(50)]
    assert len(set(ids)) == 50 and {len(id) for id in ids} == {11}
    asker.knows("GET", CORE, ann | {"X-Request-Id": "the-callers.own_1"})
    assert asker.client.ask("GET", CORE, ann | {"X-Request-Id": "the-callers.own_1"}).headers["x-request-id"] == "the-callers.own_1"


@pytest.mark.parametrize("uri, max_age", [(CORE, None), (LIST, None), ("/api/notebook/holidays?year=2025", 300)])
def test_age_and_ttl_go_on(start, ann, uri, max_age):
    """Both are whole seconds of times that add up to the TTL: their sum is it, or one less. And they lie between those of requests
    that are not known, before and after."""
    asker = start()
    asker.knows("GET", uri, ann)
    sums, ages, n = set(), [], 0
    deadline = time.monotonic() + 20
    while len(set(ages)) < 4 and time.monotonic() < deadline:
        n += 1
        before, answer, after = (asker.client.ask("GET", uri, ann | more) for more in ({"X-Unread": f"{n}"}, {}, {"X-Unread": f"{n}+"}))
        age, ttl = age_and_ttl(answer)
        assert age_and_ttl(before)[0] <= age <= age_and_ttl(after)[0] and age_and_ttl(before)[1] >= ttl >= age_and_ttl(after)[1]
        sums.add(age + ttl)
        ages.append(age)
        assert answer.headers["server-timing"].startswith("total;dur=") and float(answer.headers["server-timing"][10:]) < 1000
        if max_age:
            assert f"max-age={min(ttl, max_age)}," in answer.headers["cache-control"]
    assert len(set(ages)) >= 4 and ages == sorted(ages)
    assert max(sums) - min(sums) <= 1
    assert asker.n_known() >= n


# --- what is decided anew -----------------------------------------------------------------------------


def test_a_change_is_seen_at_once(start, ann, db):
    asker = start()
    assert trades(asker.knows("GET", CORE, ann)) == 2
    for n in (3, 4, 5):
        add_stock(db, "ann", n)
        body = json.dumps({"type": "trade.created", "data": {"user_id": "ann", "asset": "stocks"}}).encode()
        assert asker.client.ask("POST", "/api/webhooks/trades", sign_webhook(body), body).status == 202
        assert trades(asker.client.ask("GET", CORE, ann)) == n
        assert trades(asker.knows("GET", CORE, ann)) == n


def test_a_token_ends(start, db):
    add_stock(db, "ann", 1)
    asker = start()
    headers = {"Authorization": "Bearer " + token("ann", ttl=-55)}  # a minute's leeway
    asker.knows("GET", CORE, headers)
    wait_until(lambda: asker.client.ask("GET", CORE, headers).status == 401, what="the token's end")
    assert asker.client.ask("GET", CORE, headers).status == 401


def test_a_key_is_taken_away(start, ann, tmp_path):
    conf = tmp_path / "pnlcache.conf"
    conf.write_text(f"JWT_SECRET={JWT_SECRET}\n")
    asker = start(PNLCACHE_CONF=str(conf), JWT_SECRET=None)
    asker.knows("GET", CORE, ann)
    conf.write_text("JWT_SECRET=another-secret-0123456789abcdefghijkl\n")
    asker.responder.signal(signal.SIGHUP)
    wait_until(lambda: asker.client.ask("GET", CORE, ann).status == 401, what="the new key")


def test_each_counts_against_the_limits(start, ann):
    asker = start(RATE_LIMIT_READS="fixed:200/3600")
    asker.knows("GET", CORE, ann)
    statuses = [asker.client.ask("GET", CORE, ann).status for _ in range(200)]
    n = statuses.index(429)
    assert set(statuses[:n]) == {200} and set(statuses[n:]) == {429}
    assert asker.client.ask("GET", CORE, ann | {"X-Unread": "other bytes, the same caller"}).status == 429


def test_a_session_ends_and_an_admin_is_one_no_more(start, ann, db, servers):
    asker = start()
    add_stock(db, "bob", 1)
    admin = Browser(asker.client, "root", role="admin")
    headers = {"Cookie": f"__Host-pnlcache={admin.id}"}
    others = CORE + "?user_id=ann"
    assert trades(asker.knows("GET", others, headers)) == 2
    asker.knows("GET", CORE, headers)
    # What only an operator can do, by hand; whoever keeps sessions in memory is told of it like of a log-out.
    role_of_a_user = servers.redis("GET", Browser(asker.client, "eve").key).decode().split(" ")[-2]
    *start_of_value, _, user = servers.redis("GET", admin.key).decode().split(" ")
    servers.redis("SET", admin.key, " ".join([*start_of_value, role_of_a_user, user]), "KEEPTTL")
    wait_until(lambda: asker.client.ask("GET", others, headers).status == 403, what="the loss of the role")
    assert asker.client.ask("GET", CORE, headers).status == 200
    asker.knows("GET", CORE, headers)
    assert admin.log_out().status == 200
    assert asker.client.ask("GET", CORE, headers).status == 401


def test_a_user_is_never_answered_with_anothers(start, ann, db):
    """Two users in turn whose requests differ in the token alone; then one user of several connections."""
    asker = start()
    add_stock(db, "bob", 1)
    bob = bearer("bob")
    asker.knows("GET", CORE, ann)
    asker.knows("GET", CORE, bob)
    for _ in range(100):
        assert trades(asker.client.ask("GET", CORE, ann)) == 2
        assert trades(asker.client.ask("GET", CORE, bob)) == 1


def test_one_known_request_twice_in_a_turn(start, ann, servers):
    """Both are sent before either is read; the second finds what the first has given back."""
    asker = start()
    asker.knows("GET", CORE, ann)
    message = begin() + stream(PARAMS, pairs(params_of("GET", CORE, ann))) + stream(STDIN, b"")
    with Client(servers.listen) as one, Client(servers.listen) as two:
        for _ in range(20):
            for c in (one, two):
                c.send(message)
            assert [trades(c.read_answer()) for c in (one, two)] == [2, 2]


def test_datasets_that_change_are_read_anew(start, ann, tmp_path):
    """The text of the request stays, what it means does not."""
    def write(default):
        (tmp_path / "fruit.sql").write_text("-- name: fruit\n-- path: /api/fruit\n-- scope: shared\n-- ttl: 600\n-- tags: fruit\n-- params:\n"
                                            f"--   n  integer 1..9 = {default}\n\nSELECT :n AS n\n")

    def fruit(answer):
        return json.loads(answer.body)["data"][0]["n"]

    write(3)
    asker = start(DATASET_DIR=str(tmp_path))
    assert fruit(asker.knows("GET", "/api/fruit", ann)) == 3
    write(4)
    asker.responder.signal(signal.SIGHUP)
    wait_until(lambda: fruit(asker.client.ask("GET", "/api/fruit", ann)) == 4, what="the new default")
    assert fruit(asker.knows("GET", "/api/fruit", ann)) == 4
