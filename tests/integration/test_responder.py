"""pnlcache.fcgi over the FastCGI protocol itself, without a web server in between."""
import base64
import gzip
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

import fastcgi_client as fcgi
import pytest
import stored_value
from fastcgi_client import Client, bearer, begin, pairs, params_of, problem, record, request, stream
from harness import BUILD, JWT_SECRET, add_option, add_stock, sign_webhook, token, wait_until, webhook_event

CORE = "/api/analytics/core"
STOCKS = "/api/stocks/analytics"


@pytest.fixture
def client(servers, responder):
    with Client(servers.listen) as c:
        yield c


# --- documents ----------------------------------------------------------------------------------


def test_the_first_read_computes_and_the_second_hits(client, db):
    add_stock(db, "alice", 1)
    first = client.ask("GET", CORE, bearer())
    assert first.status == 200, first
    assert first.headers["cache-status"] == "pnlcache; fwd=miss; stored"
    second = client.ask("GET", CORE, bearer())
    assert second.headers["cache-status"].startswith("pnlcache; hit; ttl=")
    assert second.headers["cache-status"].endswith("; detail=redis")
    assert second.body == first.body and second.headers["etag"] == first.headers["etag"]
    document = json.loads(second.body)
    assert document["success"] is True and document["data"]
    assert second.headers["cache-control"] == "private, no-cache"
    assert second.headers["vary"] == "Authorization, Cookie, Accept-Encoding"
    assert int(second.headers["age"]) >= 0
    assert int(second.headers["content-length"]) == len(second.body)


@pytest.mark.parametrize("path", [STOCKS, "/api/options/analytics", CORE, "/api/analytics/risk", "/api/analytics/performance",
                                  CORE + "?asset=stocks&time_range=7d", CORE + "?asset=options", STOCKS + "?time_range=ytd",
                                  CORE + "?time_range=custom&start_date=2024-01-01&end_date=2024-12-31",
                                  STOCKS + "?time_range=custom&start_date=2024-01-01"])
def test_every_document_is_served_and_cached(client, db, path):
    add_stock(db, "alice", 1)
    add_option(db, "alice", 2)
    assert client.ask("GET", path, bearer()).status == 200
    again = client.ask("GET", path, bearer())
    assert again.status == 200 and "hit" in again.headers["cache-status"]


def test_reads_of_many_users_are_noted_once_a_minute_each(servers, client):
    """Names that differ in their last digits: their marks fell upon one another, and nearly every read was written to Redis."""
    users = [f"user-{n:04d}" for n in range(64)]
    servers.redis("CONFIG", "RESETSTAT")
    first_minute = int(time.monotonic() // 60)
    for _ in range(3):
        for user in users:
            assert client.ask("GET", CORE, bearer(user)).status == 200
    wait_until(lambda: servers.redis("ZCARD", "active:users") == b"64", what="everybody's activity")
    minutes = int(time.monotonic() // 60) - first_minute + 1
    notes = int(re.search(rb"cmdstat_zincrby:calls=(\d+)", servers.redis("INFO", "commandstats"))[1])
    assert 64 <= notes <= 64 * minutes


def test_a_user_without_trades_gets_a_document(client):
    assert client.ask("GET", CORE, bearer("nobody")).status == 200


def test_head_is_get_without_the_body(client):
    got = client.ask("GET", CORE, bearer())
    head = client.ask("HEAD", CORE, bearer())
    assert head.status == 200 and head.body == b""
    assert head.headers["content-length"] == str(len(got.body)) and head.headers["etag"] == got.headers["etag"]


def test_conditional_requests_answer_304_without_a_body(client):
    client.ask("GET", CORE, bearer())
    got = client.ask("GET", CORE, bearer())
    for etag in (got.headers["etag"], "W/" + got.headers["etag"], '"x", ' + got.headers["etag"], "*"):
        answer = client.ask("GET", CORE, {**bearer(), "If-None-Match": etag})
        assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == got.headers["etag"], etag
        assert "content-length" not in answer.headers
    assert client.ask("GET", CORE, {**bearer(), "If-None-Match": '"other"'}).status == 200
    wait_until(lambda: "last-modified" in client.ask("GET", CORE, bearer()).headers, what="a date that tells documents apart")
    since = {"If-Modified-Since": client.ask("GET", CORE, bearer()).headers["last-modified"]}
    assert client.ask("GET", CORE, {**bearer(), **since}).status == 304
    assert client.ask("GET", CORE, {**bearer(), **since, "If-None-Match": '"other"'}).status == 200
    assert client.ask("GET", CORE, {**bearer(), "If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}).status == 200


def test_a_change_within_the_same_second_is_no_304(client, db):
    """A date of whole seconds must not make an old number pass for the new one."""
    for i in range(1, 6):  # five of them: hardly each one is split by a second's turn
        old = client.ask("GET", CORE, bearer())
        add_stock(db, "alice", i)
        assert client.webhook(webhook_event(asset="stocks")).status == 202
        since = {"If-Modified-Since": old.headers["last-modified"]} if "last-modified" in old.headers else {}
        new = client.ask("GET", CORE, {**bearer(), **since})
        assert new.status == 200 and json.loads(new.body)["data"]["total_trades"] == i


def test_gzip_goes_as_stored_to_those_who_accept_it(client, servers, db):
    for i in range(1, 4):
        add_stock(db, "alice", i, symbol=f"S{i}")
    plain = client.ask("GET", STOCKS, bearer())
    assert len(plain.body) > 1024, "the document is too small to be compressed"
    stored = servers.redis("GET", "analytics:stocks:{alice}:all_time").split(b"\n", 1)[1]
    for attempt in range(2):
        packed = client.ask("GET", STOCKS, {**bearer(), "Accept-Encoding": "br, gzip;q=0.5"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body and packed.body == stored, attempt
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["etag"].endswith('-gzip"')
    refused = client.ask("GET", STOCKS, {**bearer(), "Accept-Encoding": "gzip;q=0, *"})
    assert "content-encoding" not in refused.headers and refused.body == plain.body


def test_gzip_is_not_made_anew_for_each_answer(start_responder, servers, db, run_worker):
    """What another hand packed is sent as it packed it, from Redis and from memory: no hit costs a compression."""
    key, wants = "analytics:stocks:{alice}:all_time", {**bearer(), "Accept-Encoding": "gzip"}
    add_stock(db, "alice", 1)
    run_worker("job", "precompute", "--all")
    ours = stored_value.get(servers, key)[1]
    theirs = gzip.compress(gzip.decompress(ours), compresslevel=1, mtime=1)
    assert theirs != ours
    stored_value.put_body(servers, key, theirs, encoding=b"g")
    start_responder()
    with Client(servers.listen) as client:
        for tier in ("redis", "l1"):
            answer = wait_until(lambda tier=tier: f"detail={tier}" in (a := client.ask("GET", STOCKS, wants)).headers["cache-status"] and a, what=tier)
            assert answer.headers["content-encoding"] == "gzip" and answer.body == theirs
        assert client.ask("GET", STOCKS, bearer()).body == gzip.decompress(theirs)


def test_a_service_may_name_a_user_and_force_a_recompute(client, db):
    add_stock(db, "bob", 1)
    service = bearer("svc", role="service_role")
    own = client.ask("GET", CORE, bearer("bob"))
    named = client.ask("GET", CORE + "?user_id=bob", service)
    assert "hit" in named.headers["cache-status"] and named.body == own.body
    forced = client.ask("GET", CORE + "?user_id=bob", {**service, "Cache-Control": "no-cache"})
    assert forced.headers["cache-status"].startswith("pnlcache; fwd=miss")
    mine = client.ask("GET", CORE, {**bearer("bob"), "Cache-Control": "no-cache"})
    assert "hit" in mine.headers["cache-status"], "only a service or an admin may force it"
    assert client.ask("GET", CORE + "?user_id=bob", bearer("bob")).status == 200


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("query, field", [
    ("time_range=fortnight", "time_range"), ("time_rage=7d", "time_rage"), ("time_range=7d&time_range=7d", "time_range"),
    ("asset=bonds", "asset"), ("time_range=custom", "start_date"), ("time_range=7d&start_date=2024-01-01", "start_date"),
    ("time_range=custom&start_date=2024-02-30", "start_date"),
    ("time_range=custom&start_date=2024-02-02&end_date=2024-02-01", "end_date"),
    ("time_range=custom&start_date=2024-02-02T00:00:01Z&end_date=2024-02-02T01:00:00%2B01:00", "end_date"),
    ("time_range=custom&start_date=2024-02-04&end_date=2024-02-01T23:59:59Z", "end_date"),
    ("time_range=custom&start_date=2024-02-04T00:00:00Z&end_date=2024-02-01", "end_date")])
def test_a_bad_query_names_the_field(client, query, field):
    document = problem(client.ask("GET", CORE + "?" + query, bearer()), 400)
    assert [e["field"] for e in document["errors"]] == [field]


def test_a_day_and_an_instant_that_may_be_in_order_somewhere_are_no_error(client, db):
    """West of UTC, and where a trading day begins the evening before, an instant's day is up to two days off from UTC's."""
    add_stock(db, "alice", 1, entry="'2024-02-01 12:00Z'", exit="'2024-02-01 20:00Z'")
    for bounds, n in (("start_date=2024-02-03&end_date=2024-02-01T12:00:00Z", 0), ("start_date=2024-02-03T12:00:00Z&end_date=2024-02-01", 0),
                      ("start_date=2024-02-01&end_date=2024-02-02T04:00:00Z", 1), ("start_date=2024-02-02T04:00:00Z&end_date=2024-02-01", 1)):
        assert json.loads(client.ask("GET", f"{CORE}?time_range=custom&{bounds}", bearer()).body)["data"]["total_trades"] == n, bounds


@pytest.mark.parametrize("uri", [CORE + "?time_range=%zz", CORE + "?time_range=7d%00", CORE + "?a=%ff", "/api/%c0%af", "api", "/a%0d%0ab"])
def test_bad_encoding_is_400(client, uri):
    problem(client.ask("GET", uri, bearer()), 400)


def test_what_does_not_exist_is_404_and_a_wrong_method_405(client):
    problem(client.ask("GET", "/api/nothing", bearer()), 404)
    problem(client.ask("GET", "/api/stocks/../stocks/analytics", bearer()), 404)
    answer = client.ask("DELETE", CORE, bearer())
    problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    answer = client.ask("POST", STOCKS, bearer())
    problem(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    answer = client.ask("GET", "/api/webhooks/trades")
    problem(answer, 405)
    assert answer.headers["allow"] == "POST, OPTIONS"
    problem(client.ask("GET", CORE + "?x=" + "y" * 20000, bearer()), 414)


def test_tokens_that_prove_nothing_are_401(client):
    problem(client.ask("GET", CORE), 401)
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    body = token("alice").split(".")[1]
    for bad in (token("alice", secret="another secret that is long enough!!"), token("alice", ttl=-120), f"{none}.{body}.",
                token("alice", nbf=int(time.time()) + 600), "x", "a.b.c", token("alice", header={"alg": "HS512"})):
        answer = client.ask("GET", CORE, {"Authorization": "Bearer " + bad})
        problem(answer, 401)
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_flood_of_bad_tokens_does_not_fill_the_log(client, responder):
    for _ in range(500):
        assert client.ask("GET", CORE, {"Authorization": "Bearer x.y.z"}).status == 401
    assert 1 <= responder.log().count("token refused") < 100


def test_another_users_data_is_403(client):
    problem(client.ask("GET", CORE + "?user_id=bob", bearer("alice")), 403)


def test_a_request_id_is_kept_when_it_is_plain(client):
    assert client.ask("GET", "/healthz", {"X-Request-Id": "abc-123"}).headers["x-request-id"] == "abc-123"
    for odd in ("a b", "x" * 65, "é"):
        made = client.ask("GET", "/healthz", {"X-Request-Id": odd}).headers["x-request-id"]
        assert made != odd and re.fullmatch(r"[A-Za-z0-9._]{11}", made)


def test_parameters_over_64_kb_are_taken_and_far_more_refused(client):
    assert client.ask("GET", "/healthz", HTTP_X_LONG="y" * 100_000).status == 200
    problem(client.ask("GET", "/healthz", HTTP_X_LONG="y" * 300_000), 431)
    assert client.ask("GET", "/healthz").status == 200


def test_a_body_that_lies_about_its_length_is_400(client):
    body = webhook_event(asset="stocks")
    for length in ("1", str(len(body) + 1), "-1", "x", "99999999999999999999"):
        problem(client.ask("POST", "/api/webhooks/trades", sign_webhook(body), body, CONTENT_LENGTH=length), 400)


# --- the servers behind ---------------------------------------------------------------------------


def test_redis_down_reads_are_computed(client, db, servers):
    add_stock(db, "alice", 1)
    assert client.ask("GET", CORE, bearer()).status == 200
    servers.stop("redis")
    answer = client.ask("GET", CORE, bearer())
    assert answer.status == 200 and answer.headers["cache-status"] == "pnlcache; fwd=miss", answer
    ready = client.ask("GET", "/readyz")
    assert ready.status == 200 and json.loads(ready.body)["redis"] == "down"
    servers.start("redis")
    wait_until(lambda: "hit" in client.ask("GET", CORE, bearer()).headers["cache-status"], what="a hit")


def test_postgres_down_hits_are_served_and_misses_are_503(client, db, servers):
    add_stock(db, "alice", 1)
    client.ask("GET", CORE, bearer())
    servers.stop("postgres")
    try:
        assert "hit" in client.ask("GET", CORE, bearer()).headers["cache-status"]
        answer = client.ask("GET", CORE, bearer("bob"))
        problem(answer, 503)
        assert answer.headers["retry-after"] == "1"
        assert client.ask("GET", "/readyz").status == 200
        assert client.ask("GET", "/healthz").status == 200
        servers.stop("redis")
        problem(client.ask("GET", CORE, bearer("bob")), 503)
        assert client.ask("GET", "/readyz").status == 503
        assert client.ask("GET", "/healthz").status == 200
    finally:
        servers.start("redis", "postgres")
    wait_until(lambda: client.ask("GET", CORE, bearer("bob")).status == 200, what="recovery")


def test_it_starts_without_redis_and_postgres(servers, start_responder):
    servers.stop("redis", "postgres")
    try:
        start_responder()
        with Client(servers.listen) as c:
            assert c.ask("GET", "/healthz").status == 200
            problem(c.ask("GET", CORE, bearer()), 503)
    finally:
        servers.start("redis", "postgres")


@pytest.mark.parametrize("settings", [{"REDIS_ENABLED": "false", "CACHE_MAX_MEMORY_ENTRIES": "0"}, {"CACHE_ENABLED": "false"}])
def test_it_works_without_a_cache(servers, start_responder, db, settings):
    add_stock(db, "alice", 1)
    start_responder(**settings)
    with Client(servers.listen) as c:
        for _ in range(2):
            answer = c.ask("GET", CORE, bearer())
            assert answer.status == 200 and answer.headers["cache-status"] == "pnlcache; fwd=miss"


def test_many_misses_of_one_key_are_computed_together(servers, start_responder, db):
    """While the table is locked the misses wait; when it is free again all are answered alike by one computation."""
    add_stock(db, "alice", 1)
    start_responder(MISS_THREADS="2")
    clients = [Client(servers.listen) for _ in range(20)]
    db.autocommit = False
    with db.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
        for c in clients:
            c.send(request("GET", CORE, bearer()))
        with Client(servers.listen) as c:
            assert c.ask("GET", "/healthz").status == 200
    db.commit()
    db.autocommit = True
    bodies = {c.read_answer().body for c in clients}
    for c in clients:
        c.close()
    assert len(bodies) == 1


def test_a_full_queue_is_503_with_retry_after(servers, start_responder, db):
    start_responder(MISS_THREADS="1", MISS_QUEUE="2", THREADS="1")
    db.autocommit = False
    clients = [Client(servers.listen) for _ in range(5)]
    with db.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
        for i, c in enumerate(clients):
            c.send(request("GET", CORE, bearer(f"user{i}")))
        refused = []
        for c in clients:
            c.socket.settimeout(0.5)
            try:
                answer = c.read_answer()
            except TimeoutError:
                continue
            problem(answer, 503)
            assert answer.headers["retry-after"] == "1"
            refused.append(c)
        assert len(refused) == 3
    db.commit()
    db.autocommit = True
    for c in clients:
        if c not in refused:
            c.socket.settimeout(20)
            assert c.read_answer().status == 200
        c.close()


# --- the protocol ---------------------------------------------------------------------------------


def test_a_request_split_at_every_byte(client):
    whole = request("GET", "/healthz")
    for i in range(1, len(whole)):
        client.send(whole[:i])
        client.send(whole[i:])
        assert client.read_answer().status == 200, i


def test_a_body_in_many_small_records_and_a_late_end(client):
    body = webhook_event(asset="stocks")
    headers = sign_webhook(body)
    whole = request("POST", "/api/webhooks/trades", headers, body, piece=3)
    client.send(whole[:-8])
    with pytest.raises(TimeoutError):
        client.socket.settimeout(0.1)
        client.socket.recv(1)
    client.socket.settimeout(20)
    client.send(whole[-8:])
    assert client.read_answer().status == 202


def test_a_body_that_arrives_byte_by_byte_does_not_fill_the_socket(client):
    """Thousands of small writes fill a socket's buffer long before the request is whole."""
    body = webhook_event(asset="stocks", note="x" * 3000)
    client.send(begin() + stream(fcgi.PARAMS, pairs(params_of("POST", "/api/webhooks/trades", sign_webhook(body), body))))
    for i in range(len(body)):
        client.send(record(fcgi.STDIN, content=body[i:i + 1]))
    client.send(record(fcgi.STDIN))
    assert client.read_answer().status == 202


def test_requests_in_one_write_are_answered_in_order(client):
    client.send(b"".join(request("GET", "/healthz", {"X-Request-Id": f"r{i}"}, id=i) for i in range(1, 9)))
    for i in range(1, 9):
        assert client.read_answer(i).headers["x-request-id"] == f"r{i}"


def test_without_keep_the_connection_is_closed(client):
    client.send(request("GET", "/healthz", keep=False))
    assert client.read_answer().status == 200
    assert client.is_closed()


def test_a_half_closed_client_gets_its_answer(client):
    client.send(request("GET", "/healthz"))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.read_answer().status == 200
    assert client.is_closed()


def test_padding_is_skipped(client):
    content = pairs(params_of("GET", "/healthz"))
    client.send(begin() + record(fcgi.PARAMS, 1, content, padding=255) + record(fcgi.PARAMS, 1, padding=7) + record(fcgi.STDIN, 1, padding=1))
    assert client.read_answer().status == 200


def test_management_records_are_answered_by_us(client):
    client.send(record(fcgi.GET_VALUES, 0, pairs({"FCGI_MPXS_CONNS": "", "FCGI_MAX_CONNS": "", "OTHER": ""})))
    type, id, content = client.read_record()
    assert (type, id) == (fcgi.GET_VALUES_RESULT, 0)
    assert content == pairs([("FCGI_MPXS_CONNS", "0"), ("FCGI_MAX_CONNS", "10000")])
    client.send(record(99, 0, b"what?"))
    assert client.read_record() == (fcgi.UNKNOWN_TYPE, 0, b"\x63" + b"\0" * 7)
    # Also in the middle of a request.
    content = pairs(params_of("GET", "/healthz"))
    client.send(begin() + record(fcgi.PARAMS, 1, content[:10]) + record(fcgi.GET_VALUES, 0, pairs({"FCGI_MPXS_CONNS": ""}))
                + stream(fcgi.PARAMS, content[10:]) + record(fcgi.STDIN, 1))
    assert client.read_record()[0] == fcgi.GET_VALUES_RESULT
    assert client.read_answer().status == 200


def test_roles_and_multiplexing_are_refused(client):
    client.send(begin(7, role=fcgi.AUTHORIZER) + stream(fcgi.PARAMS, b"", 7))
    assert client.read_answer(7).protocol_status == fcgi.UNKNOWN_ROLE
    content = pairs(params_of("GET", "/healthz"))
    client.send(begin(1) + stream(fcgi.PARAMS, content) + begin(2) + stream(fcgi.PARAMS, content, 2) + record(fcgi.STDIN, 2)
                + record(fcgi.STDIN, 1))
    assert client.read_answer(2).protocol_status == fcgi.CANT_MPX_CONN
    assert client.read_answer(1).status == 200


def test_an_aborted_request_is_ended_and_the_next_one_served(client):
    client.send(begin(3) + stream(fcgi.PARAMS, pairs(params_of("GET", "/healthz")), 3) + record(fcgi.ABORT, 3))
    assert client.read_answer(3).protocol_status == fcgi.REQUEST_COMPLETE
    client.send(record(fcgi.ABORT, 3))  # too late: ignored
    assert client.ask("GET", "/healthz").status == 200


MALFORMED = [
    b"GET / HTTP/1.1\r\n\r\n",
    record(fcgi.BEGIN, 1, b"\0\1\1\0\0\0\0\0", version=2),
    record(fcgi.BEGIN, 1, b"\0\1\1"),
    record(fcgi.BEGIN, 0, b"\0\1\1\0\0\0\0\0"),
    begin() + begin(),
    begin() + record(fcgi.STDIN),
    begin() + stream(fcgi.PARAMS, b"") + record(fcgi.PARAMS, 1, b"x"),
    begin() + stream(fcgi.PARAMS, b"\x05\x05abc"),
    begin() + record(fcgi.PARAMS, 1, b"\xff\xff\xff\xff\x01"),
    begin() + record(fcgi.DATA, 1, b"x"),
    begin() + record(fcgi.STDOUT, 1, b"x"),
    begin() + record(77, 1, b"x"),
    record(fcgi.GET_VALUES, 0, b"\x7f"),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_records_close_the_connection_and_nothing_else(client, servers, data):
    client.send(data)
    assert client.is_closed()
    with Client(servers.listen) as other:
        assert other.ask("GET", "/healthz").status == 200


def test_no_parameters_and_repeated_ones_are_400(client):
    client.send(begin() + record(fcgi.PARAMS) + record(fcgi.STDIN))
    assert client.read_answer().status == 400
    twice = list(params_of("GET", CORE, bearer()).items()) + [("HTTP_AUTHORIZATION", "Bearer x")]
    client.send(begin() + stream(fcgi.PARAMS, pairs(twice)) + record(fcgi.STDIN))
    assert client.read_answer().status == 400


# --- many connections ------------------------------------------------------------------------------


def test_a_thousand_idle_connections_starve_nobody(servers, start_responder):
    start_responder(THREADS="2")
    idle = [Client(servers.listen) for _ in range(1000)]
    for c in idle:
        c.send(request("GET", "/healthz"))
    for c in idle:
        assert c.read_answer().status == 200
    with Client(servers.listen) as new:
        assert new.ask("GET", "/healthz").status == 200
    for c in idle[::100]:
        assert c.ask("GET", "/healthz").status == 200
    for c in idle:
        c.close()


def test_half_sent_requests_time_out_and_starve_nobody(servers, start_responder):
    start_responder(THREADS="2", REQUEST_TIMEOUT="500")
    whole = request("POST", "/api/webhooks/trades", {}, b"x" * 100)
    halves = [Client(servers.listen) for _ in range(100)]
    for i, c in enumerate(halves):
        c.send(whole[:1 + i * (len(whole) - 2) // 100])
    with Client(servers.listen) as new:
        assert new.ask("GET", "/healthz").status == 200
        for c in halves:
            assert c.is_closed()
            c.close()
        assert new.ask("GET", "/healthz").status == 200


def test_idle_connections_are_closed_after_idle_timeout(servers, start_responder):
    start_responder(IDLE_TIMEOUT="1")
    with Client(servers.listen) as c:
        assert c.ask("GET", "/healthz").status == 200
        assert c.is_closed()


def test_clients_that_vanish_are_forgotten(servers, responder, db):
    for _ in range(50):
        c = Client(servers.listen)
        c.send(request("GET", CORE, bearer()))
        c.close()
    with Client(servers.listen) as c:
        assert c.ask("GET", CORE, bearer()).status == 200
    wait_until(lambda: len(os.listdir(f"/proc/{responder.pid}/fd")) < 40, what="closed sockets")


def test_a_slow_reader_gets_a_large_answer_whole(servers, responder):
    with Client(servers.listen) as c:
        n = 2000
        sent = b"".join(request("GET", "/api/" + "n" * 200, {"X-Request-Id": f"r{i}"}) for i in range(n))
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.socket.setblocking(False)
        position, answers, waiting = 0, 0, b""
        while answers < n:
            try:
                position += c.socket.send(sent[position:position + 5000]) if position < len(sent) else 0
            except BlockingIOError:
                pass
            try:
                waiting += c.socket.recv(1000)
            except BlockingIOError:
                time.sleep(0.0005)
            answers = waiting.count(b'"request_id":"')
        for i in range(n):
            assert f'"request_id":"r{i}"'.encode() in waiting


def test_out_of_descriptors_pauses_and_recovers(servers, start_responder):
    responder = start_responder(MAX_CONNECTIONS="20")
    clients = [Client(servers.listen) for _ in range(40)]
    for c in clients[:20]:
        c.ask("GET", "/healthz")
    for c in clients[:20]:
        c.close()
    for c in clients[20:]:
        assert c.ask("GET", "/healthz").status == 200
        c.close()
    assert "accepting pauses" in responder.log()


def test_without_descriptors_what_needs_none_is_answered(servers, start_responder, db):
    """A connection that waits is accepted when there is one again; what needs a server's connection is 503 until then."""
    add_stock(db, "alice", 1)
    responder = start_responder(AUTH_MODE="jwt,session", RATE_LIMIT_LOGINS="off", MISS_THREADS="1", THREADS="1")
    with Client(servers.listen) as client:
        assert client.ask("GET", CORE, bearer()).status == 200  # the loop's and the miss thread's connections are made
        wait_until(lambda: client.ask("GET", CORE, bearer()).headers["cache-status"].endswith("l1"), what="a hit in L1")
        usual = resource.prlimit(responder.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(responder.pid, resource.RLIMIT_NOFILE, (max(map(int, os.listdir(f"/proc/{responder.pid}/fd"))) + 1, usual[1]))
        waiting = [Client(servers.listen) for _ in range(30)]  # lower numbers that are free are used up first
        for c in waiting:
            c.send(request("GET", CORE, bearer()))
        wait_until(lambda: "Too many open files" in responder.log(), what="the end of the descriptors")
        for _ in range(10):
            assert client.ask("GET", CORE, bearer()).status == 200
        refused = client.ask("POST", "/api/session", bearer())  # whose thread has no connection yet
        assert problem(refused, 503) and refused.headers["retry-after"] == "1"
        resource.prlimit(responder.pid, resource.RLIMIT_NOFILE, usual)
        for c in waiting:
            assert c.read_answer().status == 200
            c.close()
        wait_until(lambda: client.ask("POST", "/api/session", bearer()).status == 201, what="a login")


# --- starting and stopping ----------------------------------------------------------------------


def run_to_end(servers, **settings):
    return subprocess.run([BUILD / "pnlcache.fcgi"], env=servers.settings(**settings), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=20, check=False)


@pytest.mark.parametrize("settings, name", [
    ({"JWT_SECRET": "short"}, "JWT_SECRET"), ({"JWT_SECRET": None}, "JWT_SECRET"),
    ({"DATABASE_URL": "postgresql://%zz"}, "DATABASE_URL"), ({"REDIS_URL": "http://x"}, "REDIS_URL"),
    ({"WEBHOOK_SECRETS": "whsec_abc"}, "WEBHOOK_SECRETS"), ({"LISTEN": "nowhere"}, "LISTEN"),
    ({"LISTEN_GROUP": "no-such-group"}, "LISTEN_GROUP"), ({"THREADS": "0"}, "THREADS")])
def test_a_bad_setting_is_one_line_that_names_it(servers, settings, name):
    done = run_to_end(servers, **settings)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1 and name in done.stderr, done.stderr


def test_a_second_responder_is_refused_and_a_stale_socket_replaced(servers, start_responder):
    first = start_responder()
    done = run_to_end(servers)
    assert done.returncode != 0 and "another process answers" in done.stderr
    first.expected_end = True
    first.kill()
    start_responder()
    with Client(servers.listen) as c:
        assert c.ask("GET", "/healthz").status == 200


def test_sigterm_finishes_what_is_in_flight_and_removes_the_socket(servers, start_responder, db):
    responder = start_responder()
    db.autocommit = False
    with Client(servers.listen) as c, Client(servers.listen) as idle:
        assert idle.ask("GET", "/healthz").status == 200
        with db.cursor() as cursor:
            cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
            c.send(request("GET", CORE, bearer()))
            with db.cursor() as watch:
                wait_until(lambda: watch.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") or watch.fetchone()[0] > 0,
                           what="the waiting computation")
            responder.expected_end = True
            responder.signal(signal.SIGTERM)
            assert idle.is_closed()
        db.commit()
        assert c.read_answer().status == 200
        assert c.is_closed()
    assert responder.process.wait(20) == 0
    assert not os.path.exists(servers.listen)
    db.autocommit = True


@pytest.mark.parametrize("stop_timeout", [0, 1])
def test_what_does_not_end_does_not_hold_up_the_stop(servers, start_responder, db, stop_timeout):
    responder = start_responder(STOP_TIMEOUT=stop_timeout, DATABASE_TIMEOUT="600000", REQUEST_TIMEOUT="600000")
    db.autocommit = False
    with Client(servers.listen) as c:
        with db.cursor() as cursor:
            cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
            c.send(request("GET", CORE, bearer()))
            wait_until(lambda: cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") or cursor.fetchone()[0] > 0,
                       what="the waiting computation")
        responder.expected_end = True
        responder.signal(signal.SIGTERM)
        assert responder.process.wait(20) == 0  # the table is still locked
        assert c.is_closed()
    db.rollback()
    db.autocommit = True
    assert "stopped with work in flight" in responder.log()
    assert not os.path.exists(servers.listen)


def test_sighup_takes_new_secrets_and_keeps_the_old_ones_on_error(servers, start_responder, tmp_path):
    conf = tmp_path / "pnlcache.conf"
    second = "another-secret-0123456789abcdefghijkl"
    conf.write_text(f"JWT_SECRET={JWT_SECRET}\n")
    responder = start_responder(PNLCACHE_CONF=str(conf), JWT_SECRET=None)
    with Client(servers.listen) as c:
        assert c.ask("GET", CORE, bearer()).status == 200
        conf.write_text("JWT_SECRET=short\n")
        responder.signal(signal.SIGHUP)
        wait_until(lambda: "settings not reloaded" in responder.log(), what="the refusal")
        assert c.ask("GET", CORE, bearer()).status == 200
        conf.write_text(f"JWT_SECRET={second}\n")
        responder.signal(signal.SIGHUP)
        wait_until(lambda: "settings reloaded" in responder.log(), what="the reload")
        problem(c.ask("GET", CORE, bearer()), 401)
        assert c.ask("GET", CORE, bearer(secret=second)).status == 200


def test_sighup_takes_all_of_the_new_or_nothing(servers, start_responder, db, tmp_path):
    """New secrets beside datasets that cannot be used: the line in the log says that the old settings stay, all of them."""
    conf, datasets = tmp_path / "pnlcache.conf", tmp_path / "datasets"
    second = "another-secret-0123456789abcdefghijkl"
    datasets.mkdir()
    (datasets / "bad.sql").write_text("-- name: bad\n\nSELECT")
    conf.write_text(f"JWT_SECRET={JWT_SECRET}\n")
    responder = start_responder(PNLCACHE_CONF=str(conf), JWT_SECRET=None, DATASET_DIR=None)
    conf.write_text(f"JWT_SECRET={second}\nDATASET_DIR={datasets}\n")
    responder.signal(signal.SIGHUP)
    wait_until(lambda: "settings not reloaded, the old ones stay" in responder.log(), what="the refusal")
    with Client(servers.listen) as c:
        problem(c.ask("GET", CORE, bearer(secret=second)), 401)
        assert c.ask("GET", CORE, bearer()).status == 200
        (datasets / "bad.sql").unlink()
        responder.signal(signal.SIGHUP)
        wait_until(lambda: "settings reloaded" in responder.log(), what="the reload")
        problem(c.ask("GET", CORE, bearer()), 401)
        assert c.ask("GET", CORE, bearer(secret=second)).status == 200


def test_sighup_names_what_needs_a_restart_and_goes_on_with_the_old(servers, start_responder, db, tmp_path):
    add_stock(db, "alice", 1)
    conf = tmp_path / "pnlcache.conf"
    old = f"REDIS_URL={servers.redis_url}\nDATABASE_URL={servers.program_url}\n"
    conf.write_text(old)
    responder = start_responder(PNLCACHE_CONF=str(conf), REDIS_URL=None, DATABASE_URL=None)
    conf.write_text("REDIS_URL=unix:///nowhere/redis.sock\nDATABASE_URL=postgresql:///nowhere\nAUTH_MODE=remote_user\nLOG_LEVEL=debug\n")
    responder.signal(signal.SIGHUP)
    [line] = wait_until(lambda: [line for line in responder.log().splitlines() if "need a restart" in line], what="the warning")
    assert 'settings="DATABASE_URL REDIS_URL AUTH_MODE"' in line, line
    with Client(servers.listen) as c:
        answer = c.ask("GET", CORE, bearer())
        assert answer.status == 200 and "stored" in answer.headers["cache-status"], answer
        assert c.ask("GET", CORE, bearer()).headers["cache-status"].startswith("pnlcache; hit")
    conf.write_text(old)
    responder.signal(signal.SIGHUP)
    wait_until(lambda: responder.log().count("settings reloaded") == 2, what="the second reload")
    assert responder.log().count("need a restart") == 1


def test_a_socket_on_descriptor_0_is_served(servers, tmp_path):
    path = str(tmp_path / "zero.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        process = subprocess.Popen([BUILD / "pnlcache.fcgi"], stdin=listener, env=servers.settings())
    try:
        with Client(path) as c:
            assert c.ask("GET", "/healthz").status == 200
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert os.path.exists(path), "an inherited socket is not ours to remove"


def test_a_socket_from_systemd_is_served(servers, tmp_path):
    path = str(tmp_path / "three.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        os.set_inheritable(listener.fileno(), True)
        shell = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "{BUILD / "pnlcache.fcgi"}"'
        process = subprocess.Popen(["bash", "-c", shell], stdin=subprocess.DEVNULL, env=servers.settings(),
                                   pass_fds=[listener.fileno()])
    try:
        with Client(path) as c:
            assert c.ask("GET", "/healthz").status == 200
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_version_help_and_check(servers):
    def run(option):
        return subprocess.run([BUILD / "pnlcache.fcgi", option], env=servers.settings(), capture_output=True, text=True,
                              timeout=20, check=False)

    assert run("--version").stdout.startswith("pnlcache.fcgi ")
    assert "JWT_SECRET" in run("--help").stdout
    assert run("--check").returncode == 0
    assert run("--nonsense").returncode == 2
