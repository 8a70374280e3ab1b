"""The example configurations of the web servers, as shipped: the same requests through each."""
import gzip
import http.client
import io
import json
import os
import re
import socket

import pytest

from harness import add_stock, sign_webhook, token, wait_until, webhook_event

ANALYTICS = "/api/stocks/analytics?time_range=all_time"


SERVERS = {"nginx": "web", "apache": "apache_web", "apache-connecting": "apache_connecting_web", "apache-fcgid": "apache_fcgid_web", "apache-cgi": "apache_cgi_web",
           "lighttpd": "lighttpd_web", "caddy": "caddy_web"}


@pytest.fixture(params=SERVERS, scope="module")
def server_name(request):
    return request.param


@pytest.fixture
def server(request, server_name, servers, clean):
    if server_name in ("apache-fcgid", "apache-cgi"):  # which starts the responder itself, as a user whom our private servers do not know
        os.chmod(servers.run_dir / "pg", 0o711)
        for name in ("pg/.s.PGSQL.5432", "redis.sock"):
            os.chmod(servers.run_dir / name, 0o777)
    else:
        request.getfixturevalue("start_responder")(AUTH_MODE="jwt,session")
    return request.getfixturevalue(SERVERS[server_name])


def test_the_page_is_served(server):
    answer = server.get("/")
    assert answer.status == 200
    assert b"<!doctype html>" in answer.body


def test_health_answers_without_a_token(server):
    assert server.get("/healthz").status == 200
    assert server.get("/readyz").status == 200


def test_a_token_reaches_the_responder(server, db):
    add_stock(db, "ann", 1)
    answer = server.get(ANALYTICS, user="ann")
    assert answer.status == 200, answer
    assert answer.json()["meta"]["user_id"] == "ann"
    assert answer.json()["meta"]["trade_count"] == 1


def test_no_token_is_401_with_a_problem_document(server):
    answer = server.get(ANALYTICS)
    assert answer.status == 401, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["success"] is False


def test_the_query_string_arrives(server):
    assert server.get("/api/stocks/analytics?time_range=yesterday", user="ann").status == 400
    assert server.get("/api/stocks/analytics?nonsense=1", user="ann").status == 400


def test_a_second_read_is_a_hit_and_an_etag_gives_304(server, db):
    add_stock(db, "ann", 1)
    first = server.get(ANALYTICS, user="ann")
    second = server.get(ANALYTICS, user="ann")
    assert first.body == second.body
    assert "hit" in second.headers["Cache-Status"]
    unchanged = server.get(ANALYTICS, user="ann", headers={"If-None-Match": second.headers["ETag"]})
    assert unchanged.status == 304
    assert unchanged.body == b""


def test_head_has_the_headers_and_no_body(server, db):
    add_stock(db, "ann", 1)
    full = server.get(ANALYTICS, user="ann")
    head = server.head(ANALYTICS, user="ann")
    assert head.status == 200
    assert head.body == b""
    assert head.headers["ETag"] == full.headers["ETag"]


def test_gzip_reaches_the_client_as_the_responder_made_it(server, db):
    add_stock(db, "ann", 1)
    plain = server.get(ANALYTICS, user="ann")
    packed = server.get(ANALYTICS, user="ann", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


def test_a_webhook_takes_effect_before_the_next_read(server, db):
    add_stock(db, "ann", 1)
    assert server.get(ANALYTICS, user="ann").json()["meta"]["trade_count"] == 1
    add_stock(db, "ann", 2)
    answer = server.trade_event("ann", type="trade.created", ids=[2])
    assert answer.status == 202, answer
    assert server.get(ANALYTICS, user="ann").json()["meta"]["trade_count"] == 2


def test_a_pool_of_processes_keeps_nothing_in_their_memories(server, server_name):
    """Otherwise a read could meet a process that has not yet heard of the webhook another one acknowledged."""
    assert (server.get("/readyz").json()["l1"] == "off") == (server_name in ("apache-fcgid", "apache-cgi"))


def test_a_body_over_the_limit_is_413(server):
    for size in (270_000, 400_000):  # above the responder's limit, above the web server's own
        assert server.webhook(json.dumps({"filler": "x" * size}).encode()).status == 413


def test_a_client_cannot_make_up_the_remote_user(server):
    answer = server.get(ANALYTICS, headers={"Remote-User": "ann", "X-Remote-User": "ann", "Proxy": "http://evil"})
    assert answer.status == 401


def test_a_session_from_login_to_logout(server, db):
    add_stock(db, "ann", 1)
    login = server.post("/api/session", b"", user="ann")
    assert login.status == 201, login
    assert login.headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Lax; Secure") and login.headers["Cache-Control"] == "no-store"
    cookie = {"Cookie": "theme=dark; " + login.headers["Set-Cookie"].partition(";")[0]}
    assert server.get(ANALYTICS, headers=cookie).json()["meta"]["user_id"] == "ann"
    csrf = server.get("/api/session", headers=cookie).json()["data"]["csrf_token"]
    assert csrf == login.json()["data"]["csrf_token"]
    log_out = lambda **more: server.request("DELETE", "/api/session", headers={**cookie, **more})
    assert log_out().status == 403
    assert server.get(ANALYTICS, headers=cookie).status == 200
    gone = log_out(**{"X-CSRF-Token": csrf})
    assert gone.status == 200 and "Max-Age=0" in gone.headers["Set-Cookie"], gone
    assert server.get(ANALYTICS, headers=cookie).status == 401


def test_the_headers_of_caching_arrive(server, db):
    add_stock(db, "ann", 1)
    server.get(ANALYTICS, user="ann")
    wait_until(lambda: server.get(ANALYTICS, user="ann").headers["Last-Modified"], what="a date that tells documents apart")
    answer = server.get(ANALYTICS, user="ann", headers={"X-Request-Id": "r-1"})
    assert answer.headers["X-Request-Id"] == "r-1" and answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"].replace(" ", "") == "Authorization,Cookie,Accept-Encoding"  # Apache leaves the blanks out
    assert re.fullmatch(r"pnlcache; hit; ttl=\d+; detail=(l1|redis)", answer.headers["Cache-Status"])
    assert re.fullmatch(r"total;dur=\d+\.\d", answer.headers["Server-Timing"]) and answer.headers["Age"].isdigit()
    for condition in ({"If-Modified-Since": answer.headers["Last-Modified"]}, {"If-None-Match": answer.headers["ETag"]}, {"If-None-Match": "W/" + answer.headers["ETag"]}):
        unchanged = server.get(ANALYTICS, user="ann", headers={**condition, "X-Request-Id": "r-2"})
        assert (unchanged.status, unchanged.body) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary"):  # RFC 9110, 15.4.5
            assert unchanged.headers[name] == answer.headers[name], name
    assert server.get(ANALYTICS, user="ann", headers={"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}).status == 200
    shared = server.get("/api/market/movers")
    assert shared.status == 200 and re.fullmatch(r"public, max-age=\d+, stale-while-revalidate=60", shared.headers["Cache-Control"])
    assert shared.headers["Vary"] == "Accept-Encoding"


def test_an_admin_has_it_computed_anew(server, db):
    add_stock(db, "ann", 1)
    server.get(ANALYTICS, user="ann")
    ask = lambda role: server.get(ANALYTICS + "&user_id=ann", token_=token("ann" if role is None else "root", role=role), headers={"Cache-Control": "no-cache"})
    assert "fwd=miss" in ask("admin").headers["Cache-Status"] and "fwd=miss" in ask("service_role").headers["Cache-Status"]
    assert "hit" in ask(None).headers["Cache-Status"]


def test_methods_types_and_paths_are_refused_alike(server):
    wrong = server.request("DELETE", ANALYTICS, user="ann")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    options = server.request("OPTIONS", ANALYTICS)
    assert (options.status, options.headers["Allow"], options.body) == (204, "GET, HEAD, OPTIONS", b"")
    assert server.get(ANALYTICS, user="ann", headers={"Accept": "text/html"}).status == 406
    assert server.post("/api/analytics/core", b"x=1", user="ann", headers={"Content-Type": "application/x-www-form-urlencoded"}).status == 415
    assert server.get("/api/nothing", user="ann").status == 404


TOO_LONG = {400, 413, 414, 431}  # which of them is the web server's own choice


def bad_requests():
    """{name: (statuses, request line's target, header lines, body)}"""
    core, body = b"/api/analytics/core", webhook_event(user="ann", asset="stocks")
    signed = [f"{name}: {value}".encode() for name, value in sign_webhook(body).items()]
    webhook, length = b"POST /api/webhooks/trades", b"Content-Length: "
    targets = {"CR LF in the path": b"/api/%0d%0aX-Injected:1", "NUL in the path": b"/api/analytics%00/core", "bad percent": b"/api/%zz", "bad percent in the query": core + b"?time_range=%zz",
               "no UTF-8": b"/api/%ff%fe", "overlong": b"/api/%c0%ae%c0%ae/x", "a raw byte": b"/api/\xff", "CR LF in the query": core + b"?user_id=a%0d%0aX-Injected:1",
               "NUL in the query": core + b"?user_id=a%00b", "twice": core + b"?time_range=7d&time_range=7d", "two users": core + b"?user_id=ann&user_id=bob"}
    cases = {name: ({400, 404}, b"GET " + target, [], b"") for name, target in targets.items()}
    for target in (b"/api/../../../etc/passwd", b"/api/%2e%2e/%2e%2e/etc/passwd", b"/api/..%2f..%2fetc%2fpasswd", b"/api/stocks/../../etc/passwd", b"//api//analytics/core"):
        cases["traversal " + target.decode()] = ({400, 403, 404}, b"GET " + target, [], b"")
    return {
        **cases,
        "a long URI": ({400}, b"GET " + core + b"?time_range=" + b"x" * 7000, [], b""),
        "too long a URI": (TOO_LONG, b"GET " + core + b"?time_range=" + b"x" * 30_000, [], b""),
        "NUL in a header": ({400}, b"GET " + core, [b"X-Request-Id: a\0b"], b""),
        "CR in a header": ({400}, b"GET " + core, [b"X-Request-Id: a\rb"], b""),
        "a header continued": ({200, 400}, b"GET " + core, [b"X-Request-Id: a", b" X-Injected: 1"], b""),
        "huge cookies": (TOO_LONG | {200}, b"GET " + core, [b"Cookie: a=" + b"x" * 60_000], b""),
        "two tokens": ({400, 401}, b"GET " + core, [b"Authorization: Bearer x"], b""),
        "a short length": ({400, 401}, webhook, [*signed, length + b"5"], body),
        "a negative length": ({400}, webhook, [*signed, length + b"-1"], body),
        "no length": ({400}, webhook, [*signed, length + b"x"], body),
        "two lengths": ({400}, webhook, [*signed, length + b"5", length + b"%d" % len(body)], body),
        "a huge length": ({400, 413}, webhook, [*signed, length + b"99999999999999999999"], body),
        "a body of GET": ({400}, b"GET " + core, [length + b"5"], b"hello"),
        "a bad chunk": ({400, 401, 502}, webhook, [*signed, b"Transfer-Encoding: chunked"], b"zz\r\n"),
        "too many chunks": ({413}, webhook, [*signed, b"Transfer-Encoding: chunked"], chunked(b"x" * 400_000, 50_000)),
    }


def chunked(body, size):
    return b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size]) for i in range(0, len(body), size)) + b"0\r\n\r\n"


class Received:
    """Bytes of an answer where http.client looks for a socket."""

    def __init__(self, data):
        self.data = data

    def makefile(self, _):
        return io.BytesIO(self.data)


def ask_raw(port, start, lines, body):
    """(status, headers, body) of a request of these bytes."""
    head = [start + b" HTTP/1.1", b"Host: 127.0.0.1:%d" % port, b"Connection: close", b"Authorization: Bearer " + token("ann").encode(), *lines, b"", b""]
    received = b""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"\r\n".join(head) + body)
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionResetError:  # closed before it had read all that was sent
            pass
    answer = http.client.HTTPResponse(Received(received))
    answer.begin()
    return answer.status, answer.headers, answer.read()


def test_bad_requests_are_refused_and_leave_nothing_behind(server, db):
    add_stock(db, "ann", 1)
    for name, (statuses, start, lines, body) in bad_requests().items():
        status, headers, answer = ask_raw(server.port, start, lines, body)
        assert status in statuses, (name, status, headers.items(), answer[:300])
        assert "X-Injected" not in headers and b"root:" not in answer, (name, headers.items())
        if headers["Content-Type"] == "application/problem+json":
            assert json.loads(answer)["detail"], name
        assert server.get(ANALYTICS, user="ann").json()["meta"]["trade_count"] == 1, name


def test_an_upload_in_chunks_arrives_whole(server, server_name, db):
    add_stock(db, "ann", 1)
    body = webhook_event(user="ann", asset="stocks")
    signed = [f"{name}: {value}".encode() for name, value in sign_webhook(body).items()]
    status, headers, answer = ask_raw(server.port, b"POST /api/webhooks/trades", [*signed, b"Transfer-Encoding: chunked"], chunked(body, 20))
    # Caddy 2.6 announces a length of -1.
    assert status == (400 if server_name == "caddy" else 202), (headers.items(), answer)
    assert server.get(ANALYTICS, user="ann").json()["meta"]["trade_count"] == 1


def test_many_requests_on_one_connection_all_succeed(server, db):
    add_stock(db, "ann", 1)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": "Bearer " + token("ann")}
    for _ in range(300):
        connection.request("GET", ANALYTICS, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read() != b"") == (200, True)
    connection.close()
