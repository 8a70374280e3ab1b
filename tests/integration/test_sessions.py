"""Sessions: a cookie instead of a token. At the responder's socket, except where it says so."""
import hashlib
import json
import re
import subprocess
import time

import pytest
from fastcgi_client import PARAMS, STDIN, Client, bearer, begin, pairs, problem, stream
from harness import BUILD, ROOT, add_stock, wait_until, webhook_event

CORE = "/api/analytics/core"
SESSION, SESSIONS = "/api/session", "/api/sessions"
NAME = "__Host-pnlcache"
SET_COOKIE = re.compile(NAME + r"=([A-Za-z0-9_-]{43}); Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure")


class Browser:
    """Somebody with a session: the cookie, and the token that changes need."""

    def __init__(self, client, user="ann", **claims):
        self.client, self.user = client, user
        answer = client.ask("POST", SESSION, bearer(user, **claims))
        assert answer.status == 201, answer
        self.id = SET_COOKIE.fullmatch(answer.headers["set-cookie"])[1]
        self.document = json.loads(answer.body)["data"]
        self.csrf = self.document["csrf_token"]
        self.key = "session:" + hashlib.sha256(self.id.encode()).hexdigest()

    def ask(self, method="GET", uri=CORE, headers=None, csrf=None, client=None, **more):
        headers = {"Cookie": f"{NAME}={self.id}", **(headers or {})}
        if csrf:
            headers["X-CSRF-Token"] = csrf
        return (client or self.client).ask(method, uri, headers, **more)

    def status(self, *arguments, **more):
        return self.ask(*arguments, **more).status

    def log_out(self, client=None, uri=SESSION):
        return self.ask("DELETE", uri, csrf=self.csrf, client=client)


def user_of(answer):
    return json.loads(answer.body)["meta"]["user_id"] if answer.status == 200 else answer.status


def ended(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)["data"]["ended"]


def l1_state(client):
    return json.loads(client.ask("GET", "/readyz").body)["l1"]


@pytest.fixture
def start(start_responder, servers, db):
    """start(NAME=value): a client of a responder with sessions."""
    clients = []

    def start(**settings):
        start_responder(**{"AUTH_MODE": "jwt,session", "RATE_LIMIT_LOGINS": "off", **settings})
        clients.append(Client(settings.get("LISTEN", servers.listen)))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def client(start):
    return start()


# --- from login to logout ---------------------------------------------------------------------------


def test_from_login_to_logout(client, servers, db):
    add_stock(db, "ann", 1)
    ann = Browser(client)
    assert ann.document["user_id"] == "ann" and ann.document["role"] == "user"
    assert ann.document["created_at"] < ann.document["expires_at"]
    for _ in range(3):
        assert user_of(ann.ask()) == "ann"
    shown = ann.ask("GET", SESSION)
    assert (shown.status, shown.headers["cache-control"]) == (200, "no-store")
    assert json.loads(shown.body)["data"]["csrf_token"] == ann.csrf
    assert "set-cookie" not in shown.headers and "set-cookie" not in ann.ask().headers
    head = ann.ask("HEAD", SESSION)
    assert (head.status, head.body) == (200, b"")
    gone = ann.log_out()
    assert ended(gone) == 1
    assert gone.headers["set-cookie"] == f"{NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
    assert "log in again" in problem(ann.ask(), 401)["detail"]
    assert ann.status("GET", SESSION) == 401 and ann.log_out().status == 401
    assert servers.redis("KEYS", "*session*") == b""


def test_what_redis_holds_lets_nobody_in(client, servers):
    ann = Browser(client)
    keys = servers.redis("KEYS", "*session*").split()
    assert sorted(keys) == [ann.key.encode(), b"sessions:{ann}"]
    held = b" ".join(keys) + servers.redis("GET", ann.key) + servers.redis("ZRANGE", "sessions:{ann}", "0", "-1", "WITHSCORES")
    assert ann.id.encode() not in held and ann.csrf.encode() not in held
    digest = ann.key.partition(":")[2]
    assert ann.status(headers={"Cookie": f"{NAME}={digest}"}) == 401
    assert ann.status(headers={"Cookie": f"{NAME}={digest[:43]}"}) == 401
    assert 86000 < int(servers.redis("TTL", ann.key)) <= 86400 and 0 < int(servers.redis("TTL", "sessions:{ann}")) <= 604800


def test_a_session_needs_a_good_token_of_a_user(client, servers):
    problem(client.ask("POST", SESSION), 401)
    problem(client.ask("POST", SESSION, bearer("ann", ttl=-600)), 401)
    problem(client.ask("POST", SESSION, {"Authorization": "Bearer nonsense"}), 401)
    problem(client.ask("POST", SESSION, bearer("job", role="service_role")), 403)
    problem(client.ask("POST", SESSION, bearer(None, role="admin", sub="")), 401)
    problem(client.ask("POST", SESSION + "?x=1", bearer("ann")), 400)
    ann = Browser(client)
    problem(ann.ask("POST", SESSION), 401)  # a session begins no other
    assert client.ask("GET", CORE, {"Authorization": "Bearer " + ann.id}).status == 401
    assert ann.status() == 200 and client.ask("GET", CORE, {"Authorization": "Bearer " + ann.id}).status == 401
    assert servers.redis("ZCARD", "sessions:{ann}") == b"1"


def test_without_sessions_in_the_list_there_are_none(responder, servers):
    with Client(servers.listen) as client:
        for method, uri in (("GET", SESSION), ("POST", SESSION), ("DELETE", SESSION), ("DELETE", SESSIONS)):
            problem(client.ask(method, uri, bearer("ann")), 404)


# --- changes ----------------------------------------------------------------------------------------


def test_a_change_needs_the_token_of_its_own_session(client):
    ann, other, bob = Browser(client), Browser(client), Browser(client, "bob")
    for csrf in (None, "", "x", other.csrf, bob.csrf, ann.csrf[:-1], ann.csrf + "x", ann.csrf.swapcase(), ann.id):
        for uri in (SESSION, SESSIONS):
            answer = ann.ask("DELETE", uri, csrf=csrf)
            assert "X-CSRF-Token" in problem(answer, 403)["detail"]
    assert ann.status() == 200  # nothing was changed
    for method in ("GET", "HEAD", "POST"):  # a POST that asks for an answer changes nothing
        assert ann.status(method) == 200
    assert ended(ann.log_out()) == 1
    assert (ann.status(), other.status(), bob.status()) == (401, 200, 200)


def changing_routes():
    """[(method, path)] of the router's table, of what changes something."""
    found = re.findall(r'^    \{"(/[^"]*)", (\w+),', (ROOT / "fcgi/router.c").read_text(), re.M)
    methods = {"READ_POST_DELETE": ["DELETE"], "METHOD_POST": ["POST"], "METHOD_PUT": ["PUT"], "METHOD_DELETE": ["DELETE"]}  # POST begins a session
    return [(method, path) for path, named in found for method in methods.get(named, []) if path != "/api/webhooks/trades"]


def test_every_route_that_changes_something_asks_a_session_for_the_token(client):
    """Whatever route comes to the table: that is decided where the caller is identified."""
    admin = Browser(client, "root", role="admin")
    assert len(changing_routes()) >= 5
    for method, path in changing_routes():
        answer = admin.ask(method, path.replace("{name}", "stocks"), {"Content-Type": "application/json"}, body=b"{}")
        assert "X-CSRF-Token" in problem(answer, 403)["detail"], (method, path)
    cleared = admin.ask("POST", "/api/cache/clear", {"Content-Type": "application/json"}, csrf=admin.csrf, body=b'{"user_id": "ann"}')
    assert cleared.status in (200, 202), cleared
    assert client.ask("POST", "/api/cache/clear", {**bearer("root", role="admin"), "Content-Type": "application/json"}, b'{"user_id": "ann"}').status in (200, 202)


def test_all_sessions_of_a_user_end_together(client, servers):
    mine, bob = [Browser(client) for _ in range(3)], Browser(client, "bob")
    assert ended(mine[0].log_out(uri=SESSIONS)) == 3
    assert [b.status() for b in [*mine, bob]] == [401, 401, 401, 200]
    mine = [Browser(client) for _ in range(2)]
    assert ended(client.ask("DELETE", SESSIONS, bearer("ann"))) == 2  # a token comes from no other site's page
    assert ended(client.ask("DELETE", SESSIONS, bearer("ann"))) == 0
    problem(client.ask("DELETE", SESSIONS + "?user_id=bob", bearer("ann")), 403)
    problem(bob.ask("DELETE", SESSIONS + "?user_id=ann", csrf=bob.csrf), 403)
    for query in ("?user=bob", "?user_id=bob&user_id=ann", "?user_id="):
        problem(client.ask("DELETE", SESSIONS + query, bearer("job", role="service_role")), 400)
    assert bob.status() == 200
    assert ended(client.ask("DELETE", SESSIONS + "?user_id=bob", bearer("job", role="service_role"))) == 1
    assert bob.status() == 401
    assert servers.redis("KEYS", "*session*") == b""


def test_one_session_too_many_ends_the_one_that_would_end_first(client, servers):
    first = Browser(client)
    servers.redis("ZADD", "sessions:{ann}", int(time.time()) + 1000, first.key.partition(":")[2])
    rest = [Browser(client) for _ in range(99)]
    assert first.status() == 200
    rest.append(Browser(client))
    wait_until(lambda: first.status() == 401, what="the end of the first session")
    assert {b.status() for b in rest} == {200}
    assert servers.redis("ZCARD", "sessions:{ann}") == b"100"


# --- who is who -------------------------------------------------------------------------------------


def test_token_session_and_remote_user_in_this_order(start):
    client = start(AUTH_MODE="remote_user session, jwt")
    ann = Browser(client)
    served = lambda headers, **params: user_of(client.ask("GET", CORE, headers, **params))
    cookie = {"Cookie": f"{NAME}={ann.id}"}
    assert served(cookie) == "ann"
    assert served({**cookie, **bearer("eve")}, REMOTE_USER="bob") == "eve"
    assert served(cookie, REMOTE_USER="bob") == "ann"
    assert served({}, REMOTE_USER="bob") == "bob"
    assert served({"Cookie": "theme=dark"}, REMOTE_USER="bob") == "bob"
    # One that is no good is not made good by the next.
    assert served({**cookie, "Authorization": "Bearer nonsense"}, REMOTE_USER="bob") == 401
    ann.log_out()
    assert served(cookie, REMOTE_USER="bob") == 401
    assert served({"Cookie": NAME + "=nonsense"}, REMOTE_USER="bob") == 401


def test_with_session_alone_a_token_only_logs_in(start):
    client = start(AUTH_MODE="session")
    ann = Browser(client)
    assert user_of(ann.ask()) == "ann"
    assert user_of(ann.ask(headers=bearer("eve"))) == "ann"
    assert "session" in problem(client.ask("GET", CORE, bearer("eve")), 401)["detail"]


def test_an_admins_session_is_an_admins(client, db):
    add_stock(db, "ann", 1)
    admin, ann = Browser(client, "root", role="admin"), Browser(client)
    assert admin.document["role"] == "admin"
    assert user_of(admin.ask(uri=CORE + "?user_id=ann")) == "ann"
    assert user_of(ann.ask(uri=CORE + "?user_id=bob")) == 403
    assert ann.ask().headers["cache-status"].startswith("pnlcache; hit")
    no_cache = {"Cache-Control": "no-cache"}
    assert ann.ask(headers=no_cache).headers["cache-status"].startswith("pnlcache; hit")
    assert admin.ask(uri=CORE + "?user_id=ann", headers=no_cache).headers["cache-status"] == "pnlcache; fwd=miss; stored"


COOKIES = [  # {0}: the session's cookie; {1}: its value
    ("{0}", 200), ("a=b; {0}", 200), ("{0};a=b", 200), ("a=b;{0} ; c", 200), ("; ;;={0};{0};", 200), ("a; b=; {0}; ===", 200),
    ("{0}; {0}", 200), ('a="x; {0}; y"', 200), ("\xe9\xff=\x80; {0}", 200), ("  {0}\t", 200), ("a=" + "x" * 100_000 + "; {0}", 200),
    ("; ".join(f"c{i}=x" for i in range(10_000)) + "; {0}", 200),
    ("", 401), (";", 401), ("=", 401), (NAME, 401), (NAME + "=", 401), ("x{0}", 401), ("x; x{0}", 401), ("{0}x", 401), ("{0}=", 401), ('"{0}"', 401),
    (NAME.lower() + "={1}", 401), (NAME + ' ={1}', 401), (NAME + '="{1}"', 401), (NAME + "=" + "A" * 43, 401), (NAME + "=" + "A" * 5000, 401),
    ("{0}; " + NAME + "=" + "A" * 43, 401), (NAME + "=; {0}", 401), ("{0}; " + NAME + "=%41", 401), ("{0}; {0}\n", 401)]


def test_a_cookie_header_may_hold_anything(client):
    for cookies, status in COOKIES:
        ann = Browser(client)
        header = cookies.replace("{0}", f"{NAME}={ann.id}").replace("{1}", ann.id)
        for _ in range(2):  # not known yet, known
            answer = ann.ask(headers={"Cookie": header.encode("latin-1")})
            assert answer.status == status, (cookies[:100], answer)
        assert ann.status() == 200, cookies[:100]  # nothing of it stays behind


def test_cookies_that_are_too_many_and_two_headers_of_them_are_refused(client):
    ann = Browser(client)
    problem(ann.ask(headers={"Cookie": f"{NAME}={ann.id}; a=" + "x" * 300_000}), 431)
    params = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", CORE), ("HTTP_COOKIE", f"{NAME}={ann.id}"), ("HTTP_COOKIE", "a=b")]
    client.send(begin() + stream(PARAMS, pairs(params)) + stream(STDIN, b""))
    assert "HTTP_COOKIE was sent twice" in problem(client.read_answer(), 400)["detail"]
    assert ann.status() == 200


# --- time -------------------------------------------------------------------------------------------


def calls(servers, command):
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", servers.redis("INFO", "commandstats").decode())
    return int(found[1]) if found else 0


def test_use_lets_a_session_slide_and_is_written_at_most_once_a_minute(client, servers):
    ann = Browser(client)
    began = time.monotonic()
    servers.redis("EXPIRE", ann.key, 1000)
    assert ann.status() == 200
    wait_until(lambda: int(servers.redis("TTL", ann.key)) > 86000, what="the slide")
    score = float(servers.redis("ZSCORE", "sessions:{ann}", ann.key.partition(":")[2]))
    assert abs(score - time.time() - 86400) < 100
    slides = 0
    for _ in range(100):
        slides += int(servers.redis("TTL", ann.key)) > 1000
        servers.redis("EXPIRE", ann.key, 1000)
        assert ann.status() == 200
    assert slides <= 1 + 1 + (time.monotonic() - began) // 60  # the first, and one for each minute that began since


def test_a_session_ends_with_its_lifetime_however_much_it_is_used(start, servers):
    client = start(SESSION_LIFETIME="120")
    answer = client.ask("POST", SESSION, bearer("ann"))
    id = re.match(NAME + "=([^;]*); Path=/; Max-Age=120;", answer.headers["set-cookie"])[1]
    key = "session:" + hashlib.sha256(id.encode()).hexdigest()
    ask = lambda: client.ask("GET", CORE, {"Cookie": f"{NAME}={id}"}).status
    assert 0 < int(servers.redis("TTL", key)) <= 120
    servers.redis("EXPIRE", key, 10)
    assert ask() == 200
    wait_until(lambda: int(servers.redis("TTL", key)) > 10, what="the slide")
    assert int(servers.redis("TTL", key)) <= 120
    # Whatever its TTL says: a session that began too long ago is none.
    began = int(servers.redis("GET", key).split()[1])
    servers.redis("SET", key, f"1 {began - 130} 0 ann", "KEEPTTL")
    wait_until(lambda: ask() == 401, what="the end")
    servers.redis("SET", key, f"1 {began} 0 ann")  # without a TTL
    wait_until(lambda: ask() == 200, what="a session")


def test_a_foreign_value_is_no_session(client, servers):
    ann = Browser(client)
    for value in ("", "x", "2 1 0 ann", "1 {now} 0 ", "1 {now} 0", "1 {now} ann", "1 -1 0 ann", "1 {now} 10 ann", "1 {now} 0 " + "x" * 129, "1 {now} 0 a\nb"):
        good = servers.redis("GET", ann.key).decode()
        servers.redis("SET", ann.key, value.replace("{now}", str(int(time.time()))), "EX", 1000)
        wait_until(lambda: ann.status() == 401, what=f"the refusal of {value!r}")  # noqa: B023
        servers.redis("SET", ann.key, good, "EX", 1000)
        wait_until(lambda: ann.status() == 200, what="the good one")
    servers.redis("DEL", ann.key)
    servers.redis("RPUSH", ann.key, "list")
    wait_until(lambda: ann.status() == 401, what="the refusal of a list")


# --- servers ----------------------------------------------------------------------------------------


def test_with_l1_a_known_session_costs_no_round_trip(client, servers, db):
    add_stock(db, "ann", 1)
    ann = Browser(client)
    wait_until(lambda: l1_state(client) == "on", what="L1")
    wait_until(lambda: ann.ask().headers.get("cache-status", "").endswith("detail=l1"), what="a hit in L1")
    ann.ask()
    servers.redis("CONFIG", "RESETSTAT")
    for _ in range(100):
        assert ann.status() == 200
    # With several threads each reads it once.
    assert calls(servers, "get") <= 2 and calls(servers, "pttl") <= 2


def test_without_l1_sessions_are_read_with_each_request(start, servers, db):
    client = start(CACHE_MAX_MEMORY_ENTRIES="0")
    ann = Browser(client)
    for _ in range(3):
        assert ann.status() == 200
    servers.redis("DEL", ann.key)
    assert ann.status() == 401


def test_a_logout_counts_at_every_responder(start, servers):
    """The others hear of it from Redis: as of the epochs."""
    other = str(servers.run_dir / "other.sock")
    here, there = start(), start(LISTEN=other)
    for client in (here, there):
        wait_until(lambda: l1_state(client) == "on", what="L1")  # noqa: B023
    ann, second = Browser(here), Browser(here)
    for _ in range(5):
        assert [b.status(client=c) for b in (ann, second) for c in (here, there)] == [200] * 4
    assert ended(ann.log_out(client=there)) == 1
    assert ann.status(client=there) == 401
    wait_until(lambda: ann.status(client=here) == 401, what="the other responder's refusal")
    assert second.status(client=here) == 200
    assert ended(second.log_out(client=there, uri=SESSIONS)) == 1
    wait_until(lambda: second.status(client=here) == 401, what="the other responder's refusal")


def test_a_logout_does_not_wait_for_the_message_of_it(start, servers, redis_proxy):
    """At the responder that answered it. The messages hang; what proves that they arrive is young enough for a moment."""
    client = start(REDIS_URL=redis_proxy.url)
    wait_until(lambda: l1_state(client) == "on", what="L1")
    ann, bob = Browser(client), Browser(client)
    for _ in range(5):  # both threads know both
        assert [b.status() for b in (ann, bob)] == [200, 200]
    redis_proxy.hold("__redis__:invalidate", "down")
    redis_proxy.wait_sprung()
    assert ended(ann.log_out()) == 1
    assert ann.status() == 401
    assert ended(bob.log_out(uri=SESSIONS)) == 1
    assert bob.status() == 401
    redis_proxy.let_pass()


def test_where_messages_do_not_arrive_a_logout_counts_within_the_proof(start, servers, redis_proxy):
    """Everything Redis sends to that responder hangs, so it hears of nothing: soon it trusts its memory no more."""
    other = str(servers.run_dir / "other.sock")
    here, there = start(REDIS_URL=redis_proxy.url), start(LISTEN=other)
    wait_until(lambda: l1_state(here) == "on", what="L1")
    ann = Browser(here)
    for _ in range(5):
        assert ann.status() == 200
    redis_proxy.stall("down")
    assert ended(ann.log_out(client=there)) == 1
    wait_until(lambda: ann.status() == 503, what="the end of trust")
    redis_proxy.let_pass()
    redis_proxy.reset_all()
    seen = []
    wait_until(lambda: seen.append(ann.status()) or seen[-1] == 401, what="the refusal")
    assert set(seen) <= {401, 503}


def test_without_redis_a_session_is_503_and_never_401(start, servers, db, redis_proxy):
    client = start(REDIS_URL=redis_proxy.url)
    add_stock(db, "ann", 1)
    ann = Browser(client)
    assert ann.status() == 200
    for fail, heal in ((redis_proxy.refuse, redis_proxy.accept), (lambda: redis_proxy.stall("both"), redis_proxy.let_pass)):
        fail()
        redis_proxy.reset_all()
        statuses = []
        wait_until(lambda: statuses.append(ann.status()) or statuses[-1] == 503, what="the refusal")
        assert set(statuses) <= {200, 503}
        for method, uri in (("GET", CORE), ("GET", SESSION), ("HEAD", CORE), ("POST", CORE), ("GET", "/api/stocks")):
            answer = ann.ask(method, uri)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1"), answer
        assert ann.log_out().status == 503 and client.ask("POST", SESSION, bearer("ann")).status == 503
        assert client.ask("DELETE", SESSIONS, bearer("ann")).status == 503
        assert client.ask("GET", CORE, bearer("ann")).status == 200  # a token needs no Redis
        assert ann.status(uri="/api/market/movers") == 200  # nor does what anybody may read
        assert ann.status(uri="/api/market/movers", headers={"Cache-Control": "no-cache"}) == 200
        assert client.ask("GET", CORE, {"Cookie": NAME + "=nonsense"}).status == 401
        heal()
        redis_proxy.reset_all()
        statuses.clear()
        wait_until(lambda: statuses.append(ann.status()) or statuses[-1] == 200, what="the session's return")
        assert set(statuses) <= {200, 503}
    assert ended(ann.log_out()) == 1


def test_a_redis_that_forgot_everything_logs_everybody_out(client, servers):
    ann = Browser(client)
    assert ann.status() == 200
    servers.stop("redis")
    wait_until(lambda: ann.status() == 503, what="the outage")
    servers.start("redis")
    statuses = []
    wait_until(lambda: statuses.append(ann.status()) or statuses[-1] == 401, what="the refusal")
    assert set(statuses) <= {401, 503}
    assert user_of(Browser(client).ask()) == "ann"


def test_a_full_redis_takes_no_login_and_lets_out(client, servers):
    ann = Browser(client)
    servers.redis("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction")
    try:
        problem(client.ask("POST", SESSION, bearer("ann")), 503)
        assert ann.status() == 200
        assert ended(ann.log_out()) == 1 and ann.status() == 401
    finally:
        servers.redis("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "allkeys-lru")
    assert user_of(Browser(client).ask()) == "ann"


def test_a_deleted_user_is_logged_out_and_cannot_log_in(client, servers, worker):
    ann, bob = Browser(client), Browser(client, "bob")
    assert client.webhook(webhook_event("user.deleted", "ann")).status == 202
    wait_until(lambda: ann.status() == 401, what="the erasure")
    assert bob.status() == 200
    assert servers.redis("KEYS", "*{ann}*") == b"erased:{ann}" and servers.redis("EXISTS", ann.key) == b"0"
    assert "deleted" in problem(client.ask("POST", SESSION, bearer("ann")), 403)["detail"]
    assert servers.redis("KEYS", "session:*") == bob.key.encode()


# --- limits and settings ----------------------------------------------------------------------------


def test_logins_are_limited_exactly(start, servers):
    client = start(RATE_LIMIT_LOGINS="fixed:5/3600")
    log_in = lambda headers, address="192.0.2.1": client.ask("POST", SESSION, headers, REMOTE_ADDR=address)
    assert log_in({}).status == 401 and log_in(bearer("ann", ttl=-600)).status == 401  # tries count
    assert [log_in(bearer("ann")).status for _ in range(3)] == [201] * 3
    refused = log_in(bearer("ann"))
    problem(refused, 429)
    assert refused.headers["ratelimit-policy"] == '"logins";q=5;w=3600' and int(refused.headers["retry-after"]) >= 1
    assert log_in(bearer("ann"), "192.0.2.2").status == 201
    # Without any settling in between: what another responder counted decides.
    now_us = int(time.time() * 1e6)
    servers.redis("SET", "ratelimit:logins:192.0.2.3", f"{now_us - now_us % 3_600_000_000} 4 0")
    assert [log_in(bearer("ann"), "192.0.2.3").status for _ in range(2)] == [201, 429]
    assert client.ask("GET", CORE, bearer("ann"), REMOTE_ADDR="192.0.2.1").status == 200


def test_a_cookie_for_development(start):
    client = start(SESSION_COOKIE="dev", SESSION_COOKIE_SECURE="false", SESSION_COOKIE_SAMESITE="Strict", SESSION_LIFETIME="3600")
    answer = client.ask("POST", SESSION, bearer("ann"))
    found = re.fullmatch(r"dev=([A-Za-z0-9_-]{43}); Path=/; Max-Age=3600; HttpOnly; SameSite=Strict", answer.headers["set-cookie"])
    assert client.ask("GET", CORE, {"Cookie": "dev=" + found[1]}).status == 200
    assert client.ask("GET", CORE, {"Cookie": NAME + "=" + found[1]}).status == 401


@pytest.mark.parametrize("settings,expected", [
    ({"SESSION_COOKIE_SECURE": "false"}, "SESSION_COOKIE: '__Host-pnlcache' must go over https only"),
    ({"SESSION_COOKIE_SECURE": "false", "SESSION_COOKIE": "__Secure-x"}, "SESSION_COOKIE: '__Secure-x'"),
    ({"SESSION_COOKIE_SECURE": "false", "SESSION_COOKIE": "x", "SESSION_COOKIE_SAMESITE": "None"}, "None needs SESSION_COOKIE_SECURE"),
    ({"REDIS_ENABLED": "false"}, "AUTH_MODE: sessions need Redis"), ({"JWT_SECRET": None}, "JWT_SECRET"),
    ({"SESSION_COOKIE": "a b"}, "setting SESSION_COOKIE: 'a b' is not"), ({"SESSION_COOKIE": "a;b"}, "SESSION_COOKIE"),
    ({"SESSION_COOKIE_SAMESITE": "lax"}, "Lax, Strict or None"), ({"RATE_LIMIT_LOGINS": "many"}, "RATE_LIMIT_LOGINS"),
    ({"SESSION_IDLE_TIMEOUT": "119"}, "SESSION_IDLE_TIMEOUT"), ({"SESSION_LIFETIME": "0"}, "SESSION_LIFETIME")])
def test_settings_that_cannot_work_stop_the_start(servers, settings, expected):
    done = subprocess.run([BUILD / "pnlcache.fcgi", "--check"], env=servers.settings(AUTH_MODE="session", **settings), capture_output=True, text=True, check=False)
    assert done.returncode == 78 and expected in done.stderr, done.stderr
