"""Requests that no well-meaning client sends: each is refused with a reason, and nothing of it is seen by the next."""
import itertools
import json
import re

import pytest
from fastcgi_client import PARAMS, STDIN, Client, bearer, begin, pairs, params_of, problem, stream
from harness import add_stock, sign_webhook, token, webhook_event

CORE = "/api/analytics/core"
WEBHOOK = "/api/webhooks/trades"
OURS = {"status", "x-content-type-options", "x-request-id", "cache-control", "content-type", "content-length", "etag", "last-modified", "vary", "age",
        "cache-status", "server-timing", "www-authenticate", "allow", "retry-after", "content-encoding"}


@pytest.fixture
def client(start_responder, servers, db):
    start_responder(AUTH_MODE="jwt,session")
    add_stock(db, "ann", 1)
    with Client(servers.listen) as c:
        yield c


def is_well(client):
    """On the same connection, and for another user."""
    answer = client.ask("GET", CORE, bearer("ann"))
    return answer.status == 200 and json.loads(answer.body)["meta"]["user_id"] == "ann" and json.loads(answer.body)["data"]["total_trades"] == 1


def refused(client, statuses, method, uri, headers=None, body=b"", **params):
    answer = client.ask(method, uri, headers or {}, body, **params)
    assert answer.status in statuses, (uri, headers, answer)
    assert set(answer.headers) <= OURS, answer
    if method != "HEAD":
        assert problem(answer, answer.status)["detail"]
    assert is_well(client), (uri, headers)
    return answer


BAD_TEXTS = ["%0d%0aX-Injected:%201", "%0a", "%0D", "%00", "a%00b", "%7f", "%1b[31m", "%", "%4", "%zz", "%4g", "%%41", "%ff", "%c0%af", "%e0%80%af", "%ed%a0%80",
             "%f4%90%80%80", "%f8%88%80%80%80", "%c3", "%c3%28", b"\xff", b"\xc3\x28", b"\x01", b"a\rb", b"a\nX-Injected: 1"]


@pytest.mark.parametrize("place", [CORE + "?time_range=@", CORE + "?@=1", CORE + "?@", CORE + "?time_range=7d&@", CORE + "?user_id=@", "/api/@", "/api/analytics/@",
                                   "/api/stocks/@", "/api/market/price/@", "/@"])
def test_text_that_is_badly_encoded_or_injects_is_refused_wherever_it_is(client, place):
    for bad in BAD_TEXTS:
        bad = bad.encode() if isinstance(bad, str) else bad
        uri = place.encode().replace(b"@", bad)
        for more in ({}, {"REQUEST_METHOD": "HEAD"}):
            answer = client.ask("GET", "/", bearer("ann"), REQUEST_URI=uri, QUERY_STRING=uri.partition(b"?")[2], **more)
            assert answer.status == 400, (uri, answer)
            assert set(answer.headers) <= OURS and b"\r\n" not in answer.body
        assert is_well(client), uri


HEADERS = ["Accept", "Accept-Encoding", "Authorization", "Cache-Control", "Content-Type", "Cookie", "If-Modified-Since", "If-None-Match", "Origin", "X-CSRF-Token",
           "X-Request-Id", "webhook-id", "webhook-timestamp", "webhook-signature", "Host", "Range", "Expect", "Transfer-Encoding", "X-Forwarded-For"]
BAD_VALUES = [b"", b" ", b"\r\nX-Injected: 1", b"x\nSet-Cookie: a=b", b"\0", b"x\0y", b"\xff\xfe", b"\xc3\x28", b"x" * 60_000, b"," * 5000, b";" * 5000, b'"' * 5000, b"q=" * 3000,
              b"*/*;q=" + b"9" * 5000, b"%00%0d%0a", b"${jndi:ldap://x}", b"' OR 1=1 --", b"../../etc/passwd", b"-1", b"9" * 400]


@pytest.mark.parametrize("name", HEADERS)
def test_no_header_breaks_or_injects_anything(client, name):
    """Some of these are as good as none, the others are refused."""
    for value, (method, uri) in itertools.product(BAD_VALUES, (("GET", CORE), ("HEAD", CORE), ("POST", CORE), ("DELETE", "/api/session"), ("POST", WEBHOOK))):
        body = webhook_event() if uri == WEBHOOK else b""
        headers = {**(sign_webhook(body) if body else bearer("ann")), name: value}
        answer = client.ask(method, uri, headers, body)
        assert answer.status in (200, 202, 304, 400, 401, 403, 406, 415, 422), (name, value[:40], answer)
        assert set(answer.headers) <= OURS, (name, value[:40], answer)
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.headers["x-request-id"])
        if answer.status >= 400 and method != "HEAD":
            assert problem(answer, answer.status)["detail"]
    assert is_well(client)


def test_a_path_leads_nowhere_else(client):
    """There are no files behind a path; one that is not exactly a route's is unknown."""
    for path in ("/api/../etc/passwd", "/api/stocks/../stocks/analytics", "/api/%2e%2e/%2e%2e/etc/passwd", "/api/..%2f..%2fetc%2fpasswd", "/../../etc/shadow",
                 "//api/stocks/analytics", "/api//stocks/analytics", "/api/stocks/analytics/", "/api/stocks/./analytics", "/API/stocks/analytics",
                 "/api/stocks/analytics%2f", "/api/stocks\\analytics", "/api/stocks/analytics;x=1", "/api/stocks/analytics/..", "/api/market/price/..%2f..%2fx",
                 "/sql/datasets/stocks.sql", "/api/stocks/analytics/pnl/pnl"):
        refused(client, {404}, "GET", path, bearer("ann"))


def test_a_parameter_given_twice_is_refused(client):
    for uri in (CORE + "?time_range=7d&time_range=7d", CORE + "?user_id=ann&user_id=bob", CORE + "?asset=stocks&%61sset=stocks", "/api/stocks?limit=1&limit=2",
                "/api/stocks?user_id=ann&user_id=ann", "/api/market/quotes?symbols=A&symbols=B"):
        assert "twice" in json.dumps(problem(refused(client, {400}, "GET", uri, bearer("ann")), 400)["errors"])
    refused(client, {400}, "GET", CORE + "?" + "&".join(f"p{i}=1" for i in range(17)), bearer("ann"))
    refused(client, {400}, "POST", CORE, {**bearer("ann"), "Content-Type": "application/json"}, b'{"asset": "stocks", "asset": "options"}')
    for name in ("REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "REMOTE_ADDR", "HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_X_REQUEST_ID", "HTTP_ORIGIN"):
        params = [*params_of("GET", CORE, bearer("ann")).items(), (name, "x")]
        if name not in dict(params[:-1]):
            params.append((name, "x"))
        client.send(begin() + stream(PARAMS, pairs(params)) + stream(STDIN, b""))
        assert f"{name} was sent twice" in problem(client.read_answer(), 400)["detail"]
        assert is_well(client)


def test_a_nul_in_a_parameter_is_refused_and_cuts_nothing(client):
    """However the request is read: at once, in several records, with a body."""
    forms = [{}, {"piece": 50}, {"HTTP_X_FILLER": "x" * 100_000}, {"method": "POST", "body": b"{}"}]
    for name, value in (("REQUEST_URI", CORE + "\0?x"), ("QUERY_STRING", "time_range=7d\0"), ("REQUEST_METHOD", "GET\0"), ("CONTENT_TYPE", "application/json\0"),
                        ("HTTP_AUTHORIZATION", bearer("ann")["Authorization"] + "\0"), ("REMOTE_USER", "ann\0"), ("REMOTE_ADDR", "127.0.0.1\0"), ("HTTP_COOKIE", "\0")):
        for form in forms:
            form = {"method": "GET", "uri": CORE, "headers": {**bearer("ann"), "Content-Type": "application/json"}, **form}
            assert "NUL" in problem(client.ask(**form, **{name: value}), 400)["detail"], (name, form)
    assert is_well(client)


def test_too_much_of_anything_is_refused(client):
    refused(client, {414}, "GET", CORE + "?time_range=" + "x" * 17_000, bearer("ann"))
    refused(client, {414}, "GET", "/api/" + "x/" * 9000, bearer("ann"))
    refused(client, {400}, "GET", CORE + "?time_range=" + "x" * 16_000, bearer("ann"))
    refused(client, {431}, "GET", CORE, {**bearer("ann"), "Cookie": "a=" + "x" * 300_000})
    refused(client, {401}, "GET", CORE, {"Authorization": "Bearer " + "x" * 200_000})
    refused(client, {401}, "GET", CORE, {"Authorization": "Bearer " + token("ann", filler="x" * 9000)})
    refused(client, {413}, "POST", WEBHOOK, sign_webhook(b"x"), b"x" * 300_000)
    refused(client, {400, 413}, "POST", CORE, {**bearer("ann"), "Content-Type": "application/json"}, b"[" * 100_000)


def test_a_length_that_lies_is_refused(client):
    body = webhook_event(user="ann", asset="stocks")
    for method, uri, headers in (("POST", WEBHOOK, sign_webhook(body)), ("POST", CORE, {**bearer("ann"), "Content-Type": "application/json"})):
        for length in ("0", "1", str(len(body) - 1), str(len(body) + 1), "-1", "+5", "x", " ", "0x10", "1e3", f"{len(body)},{len(body)}", f" {len(body)}", "99999999999999999999"):
            refused(client, {400}, method, uri, headers, body, CONTENT_LENGTH=length)
    refused(client, {400}, "GET", CORE, bearer("ann"), CONTENT_LENGTH="5")


def test_a_body_where_none_can_be_is_refused(client):
    for uri in (CORE, "/api/stocks", "/api/market/movers", "/api/session", "/healthz", "/readyz"):
        for method, type_ in itertools.product(("GET", "HEAD"), ("application/json", "text/plain", "")):
            refused(client, {400}, method, uri, {**bearer("ann"), "Content-Type": type_}, b'{"time_range": "7d"}')


def test_nothing_stays_behind_for_the_next_request(client):
    """A refused request leaves neither its user, nor its query, nor its body, nor its headers."""
    assert client.ask("POST", CORE, {**bearer("bob"), "Content-Type": "application/json", "X-Request-Id": "first"}, b'{"time_range": "never"}').status == 400
    bare = client.ask("GET", CORE)
    assert bare.status == 401 and bare.headers["x-request-id"] != "first" and b"never" not in bare.body
    assert client.ask("GET", CORE, {**bearer("ann"), "If-None-Match": "*"}).status in (200, 304)
    assert client.ask("GET", CORE, bearer("ann")).status == 200
    login = client.ask("POST", "/api/session", bearer("bob"))
    assert login.status == 201
    after = client.ask("GET", CORE, bearer("ann"))
    assert "set-cookie" not in after.headers and json.loads(after.body)["meta"]["user_id"] == "ann"
    assert client.ask("GET", CORE).status == 401
