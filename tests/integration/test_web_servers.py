"""The example configurations of the web servers, as shipped: the same requests through each."""
import gzip
import http.client
import json
import os

import pytest

from harness import add_stock, token

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


def test_many_requests_on_one_connection_all_succeed(server, db):
    add_stock(db, "ann", 1)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": "Bearer " + token("ann")}
    for _ in range(300):
        connection.request("GET", ANALYTICS, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read() != b"") == (200, True)
    connection.close()
