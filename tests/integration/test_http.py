"""HTTP as docs/api.md has it: methods, media types, headers, other origins. At the responder's socket, except where it says so."""
import re
import time
from email.utils import formatdate

import pytest
import stored_value
from fastcgi_client import Client, bearer, problem
from harness import ROOT, add_stock, webhook_event

CORE = "/api/analytics/core"
KEY = "analytics:combined:{ann}:all_time:core"
ORIGIN = "https://journal.example"


def routes():
    """{path: methods} of the router's table."""
    text = (ROOT / "fcgi/router.c").read_text()
    named = {"READ": "GET, HEAD, OPTIONS", "READ_OR_POST": "GET, HEAD, POST, OPTIONS", "METHOD_POST": "POST, OPTIONS",
             "READ_POST_DELETE": "GET, HEAD, POST, DELETE, OPTIONS", "METHOD_DELETE": "DELETE, OPTIONS", "METHOD_PUT": "PUT, OPTIONS"}
    found = re.findall(r'^    \{"(/[^"]*)", (\w+),', text, re.M)
    assert len(found) > 15
    return {path: named[methods] for path, methods in found}


@pytest.fixture
def client(responder, servers):
    with Client(servers.listen) as c:
        yield c


@pytest.mark.parametrize("path,methods", routes().items())
def test_each_route_knows_its_methods(client, path, methods):
    uri = path.replace("{metric}", "pnl").replace("{id}", "1")
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", ""):
        answer = client.ask(method, uri)
        if method and method in methods.split(", "):
            assert answer.status in (200, 400, 401, 404, 415), (method, answer)
        else:
            assert (answer.status, answer.headers["allow"]) == (405, methods), (method, answer)
            assert answer.body == b"" if method == "HEAD" else problem(answer, 405)
    answer = client.ask("OPTIONS", uri)
    assert (answer.status, answer.headers["allow"], answer.body) == (204, methods, b"")
    assert "access-control-allow-origin" not in answer.headers


def test_head_is_get_without_a_body(client, db):
    add_stock(db, "ann", 1)
    for uri in (CORE, "/healthz", "/readyz", "/nowhere", CORE + "?time_range=never"):
        client.ask("GET", uri, bearer("ann"))
        full, head = client.ask("GET", uri, bearer("ann")), client.ask("HEAD", uri, bearer("ann"))
        assert (head.status, head.body) == (full.status, b"") and full.body
        for name in set(full.headers) - {"age", "cache-status", "server-timing", "x-request-id", "content-length", "last-modified"}:
            assert head.headers[name] == full.headers[name], (uri, name)


def test_a_document_has_every_header_of_caching(client, db):
    add_stock(db, "ann", 1)
    for expected in (r"pnlcache; fwd=miss; stored", r"pnlcache; hit; ttl=\d+; detail=(l1|redis)"):
        answer = client.ask("GET", CORE, bearer("ann"))
        assert answer.status == 200
        assert re.fullmatch(r'"[0-9a-f]{32}"', answer.headers["etag"])
        assert answer.headers["vary"] == "Authorization, Cookie, Accept-Encoding"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert re.fullmatch(expected, answer.headers["cache-status"])
        assert re.fullmatch(r"total;dur=\d+\.\d", answer.headers["server-timing"])
        assert re.fullmatch(r"\d+", answer.headers["age"])
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert int(answer.headers["content-length"]) == len(answer.body)
        # Web servers and clients read each line byte by byte: there is none that does not have to be there.
        assert set(answer.headers) - {"last-modified"} == {"etag", "vary", "cache-control", "cache-status", "server-timing", "age", "content-type",
                                                           "x-content-type-options", "content-length", "x-request-id"}
        unchanged = client.ask("GET", CORE, {**bearer("ann"), "If-None-Match": answer.headers["etag"]})
        assert (unchanged.status, unchanged.body) == (304, b"")
        for name in ("etag", "vary", "cache-control", "cache-status", "age"):  # RFC 9110, 15.4.5
            assert name in unchanged.headers
        assert "content-length" not in unchanged.headers


def make_older(servers, key, seconds):
    """The stored value as if it had been computed that much earlier."""
    value = servers.redis("GET", key).partition(b"\n")[0].decode()
    computed = int(re.search(r" computed=(\d{17}) ", value)[1])
    servers.redis("SETRANGE", key, value.index(" computed=") + 10, f"{computed - seconds * 1_000_000:017}")
    return computed / 1e6 - seconds


def test_age_and_last_modified_tell_when_it_was_computed(start_responder, servers, db):
    start_responder(CACHE_MAX_MEMORY_ENTRIES="0")  # which would not see the change
    with Client(servers.listen) as client:
        ask = lambda **headers: client.ask("GET", CORE, {**bearer("ann"), **headers})
        ask()
        computed = make_older(servers, "analytics:combined:{ann}:all_time:core", 500)
        before = time.time()
        answer = ask()
        assert int(before - computed) <= int(answer.headers["age"]) <= int(time.time() - computed)
        date = answer.headers["last-modified"]
        assert date == formatdate(int(computed), usegmt=True)
        for since, status in ((date, 304), (formatdate(int(computed) + 1, usegmt=True), 304), (formatdate(int(computed) - 1, usegmt=True), 200),
                              ("", 200), ("nonsense", 200), (date.replace("GMT", "UTC"), 200), (date + "x", 200), (date[:-4], 200)):
            answer = ask(**{"If-Modified-Since": since})
            assert answer.status == status, (since, answer)
            assert answer.headers["last-modified"] == date and (answer.body == b"") == (status == 304)
        # If-None-Match outranks it (RFC 9110, 13.2.2); no condition holds for a POST.
        assert ask(**{"If-Modified-Since": date, "If-None-Match": '"other"'}).status == 200
        assert client.ask("POST", CORE, {**bearer("ann"), "If-Modified-Since": date, "If-None-Match": "*"}).status == 200
        assert client.ask("HEAD", CORE, {**bearer("ann"), "If-Modified-Since": date}).status == 304


def kept_for(answer):
    """For how long a browser may use an answer from now on: a max-age counts from what Age says (RFC 9111, 4.2)."""
    kind, _, max_age = answer.headers["cache-control"].partition(", max-age=")
    assert kind == "private", answer
    return int(max_age) - int(answer.headers["age"])


def test_a_browser_may_keep_a_users_answer_when_configured_so(start_responder, servers, db):
    start_responder(HTTP_MAX_AGE_PRIVATE="30", CACHE_MAX_MEMORY_ENTRIES="0")
    with Client(servers.listen) as client:
        for _ in range(2):  # computed, found
            answer = client.ask("GET", CORE, bearer("ann"))
            assert (answer.status, kept_for(answer)) == (200, 30)
        unchanged = client.ask("GET", CORE, {**bearer("ann"), "If-None-Match": answer.headers["etag"]})
        assert (unchanged.status, kept_for(unchanged)) == (304, 30)
        # However long ago it was computed, as precomputed ones are.
        line, body = stored_value.get(servers, KEY)
        older = re.sub(rb" computed=(\d{17})", lambda m: b" computed=%017d" % (int(m[1]) - 500_000_000), line)
        stored_value.put(servers, KEY, older + b"\n" + body)
        old = client.ask("GET", CORE, bearer("ann"))
        assert int(old.headers["age"]) >= 500 and kept_for(old) == 30, old


def test_a_browser_keeps_no_answer_past_its_end(start_responder, servers, db):
    """Its TTL's, or that of its day: after that the number may be another one."""
    start_responder(HTTP_MAX_AGE_PRIVATE="3600", CACHE_TTL_ANALYTICS="100")
    with Client(servers.listen) as client:
        for _ in range(2):  # computed, found
            answer = client.ask("GET", CORE, bearer("ann"))
            assert answer.status == 200 and 0 < kept_for(answer) <= 100, answer


def test_nobody_keeps_a_change_or_a_refusal(client):
    assert client.webhook(webhook_event()).headers["cache-control"] == "no-store"
    for answer in (client.ask("GET", "/healthz"), client.ask("GET", "/readyz"), client.ask("OPTIONS", CORE), client.ask("GET", CORE),
                   client.ask("GET", "/nowhere", bearer("ann")), client.ask("PUT", CORE, bearer("ann")), client.ask("GET", "/api/analytics/trade?trade_id=1&trade_type=stock", bearer("ann"))):
        assert answer.headers["cache-control"] == "no-store", answer


@pytest.mark.parametrize("accept,status", [
    (None, 200), ("", 200), ("*/*", 200), ("application/json", 200), ("Application/JSON", 200), ("application/*", 200),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200), ("text/html, application/json;q=0.1", 200),
    ("application/json;version=1;q=0.5", 200), ("*/*;q=0, application/json", 200), ("nonsense, */*", 200),
    ("text/html", 406), ("application/xml", 406), ("application/json;q=0", 406), ("application/json;q=0, */*", 406),
    ("application/*;q=0, */*", 406), ("*/*;q=0", 406), ("application/json;q=7", 406), ("nonsense", 406)])
def test_accept_is_negotiated(client, db, accept, status):
    headers = bearer("ann") if accept is None else {**bearer("ann"), "Accept": accept}
    answer = client.ask("GET", CORE, headers)
    assert answer.status == status, answer
    if status == 406:
        problem(answer, 406)


def test_metrics_are_plain_text(client):
    assert client.ask("GET", "/metrics", {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}).status == 200
    assert client.ask("GET", "/metrics", {"Accept": "application/json"}).status == 406


def test_a_body_of_another_type_is_415(client, db):
    body = b'{"time_range": "all_time"}'
    assert client.ask("POST", CORE, {**bearer("ann"), "Content-Type": "application/json; charset=utf-8"}, body).status == 200
    assert client.ask("POST", CORE, bearer("ann"), body).status == 200
    for type_ in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data; boundary=x"):
        problem(client.ask("POST", CORE, {**bearer("ann"), "Content-Type": type_}, body), 415)


def test_a_uri_that_is_too_long_is_414(client):
    assert client.ask("GET", "/healthz?" + "x" * 16300).status == 200
    problem(client.ask("GET", "/healthz?" + "x" * 16384), 414)


# --- other origins ----------------------------------------------------------------------------------


@pytest.fixture
def cors_client(start_responder, servers):
    start_responder(CORS_ORIGINS=f"{ORIGIN}, http://localhost:3000")
    with Client(servers.listen) as c:
        yield c


def test_a_configured_origin_may_read_every_answer(cors_client, db):
    add_stock(db, "ann", 1)
    for origin in (ORIGIN, "http://localhost:3000"):
        for uri, headers, status in ((CORE, bearer("ann"), 200), (CORE, bearer("ann"), 200), (CORE, {}, 401), ("/nowhere", {}, 404),
                                     (CORE + "?x=%zz", {}, 400)):
            answer = cors_client.ask("GET", uri, {**headers, "Origin": origin})
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == origin
            assert "ETag" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", [None, "", "null", "https://journal.example.evil.org", "https://journal.exampl", "http://journal.example",
                                    "https://evil.org, https://journal.example", "HTTPS://JOURNAL.EXAMPLE", "https://journal.example/"])
def test_no_other_origin_may(cors_client, db, origin):
    headers = bearer("ann") if origin is None else {**bearer("ann"), "Origin": origin}
    answer = cors_client.ask("GET", CORE, headers)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = cors_client.ask("OPTIONS", CORE, {k: v for k, v in headers.items() if k == "Origin"})
    assert preflight.status == 204 and not [name for name in preflight.headers if name.startswith("access-control")]


def test_a_preflight_is_answered_without_a_token(cors_client):
    answer = cors_client.ask("OPTIONS", CORE, {"Origin": ORIGIN, "Access-Control-Request-Method": "POST",
                                               "Access-Control-Request-Headers": "authorization,content-type"})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert {"authorization", "content-type", "if-none-match"} <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert answer.headers["vary"] == "Origin"
    problem(cors_client.ask("OPTIONS", "/nowhere", {"Origin": ORIGIN}), 404)


def test_answers_vary_by_origin_whoever_asks(start_responder, web, db):
    """Through nginx, where both lines of Vary arrive: a cache must not give one origin's answer to another."""
    start_responder(CORS_ORIGINS=ORIGIN)
    for headers in ({}, {"Origin": ORIGIN}, {"Origin": "https://evil.org"}):
        answer = web.get(CORE, user="ann", headers=headers)
        assert answer.headers.get_all("Vary") == ["Origin", "Authorization, Cookie, Accept-Encoding"]
        assert answer.headers["Access-Control-Allow-Origin"] == (ORIGIN if headers.get("Origin") == ORIGIN else None)


def test_any_origin_may_when_configured_so(start_responder, servers, db):
    start_responder(CORS_ORIGINS="*")
    with Client(servers.listen) as client:
        answer = client.ask("GET", CORE, {**bearer("ann"), "Origin": "https://anywhere.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["vary"] == "Authorization, Cookie, Accept-Encoding"


@pytest.mark.parametrize("origins", ["journal.example", "https://journal.example/", "https://JOURNAL.example", "https://", "ftp://a",
                                     "https://a\nb"])
def test_an_origin_that_no_browser_sends_stops_the_start(start_daemon, origins):
    daemon = start_daemon("pnlcache.fcgi", "--check", CORS_ORIGINS=origins)
    daemon.expected_end = True
    assert daemon.process.wait(20) == 78
    assert "CORS_ORIGINS" in daemon.log()
