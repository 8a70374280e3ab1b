"""Webhooks: every answer of the HTTP surface's section 7, repeats, rotation, erasure, and servers that fail at each step of the path."""
import base64
import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time

import prometheus_text
import psycopg2
import pytest
from fastcgi_client import Client, bearer, problem, request
from harness import ROOT, WEBHOOK_KEY, WEBHOOK_SECRET, Daemon, add_option, add_stock, free_port, sign_webhook, wait_until, webhook_event

CORE = "/api/analytics/core"
PATH = "/api/webhooks/trades"
SHORT = {"REDIS_TIMEOUT": "300", "DATABASE_TIMEOUT": "500"}


@pytest.fixture
def client(servers, responder):
    with Client(servers.listen) as c:
        yield c


def counts(answer, http_status=202):
    """(accepted, invalidated, jobs) of an accepted webhook."""
    assert answer.status == http_status, answer
    document = json.loads(answer.body)
    assert document["success"] is True and answer.headers["content-type"] == "application/json"
    numbers = tuple(document["data"][name] for name in ("accepted", "invalidated", "jobs"))
    assert numbers == tuple(document[name] for name in ("accepted", "invalidated", "jobs"))
    return numbers


def several(*bodies):
    return b"[" + b",".join(bodies) + b"]"


def cache_status(client, path=CORE, user="alice"):
    answer = client.ask("GET", path, bearer(user))
    assert answer.status == 200, answer
    return answer.headers["cache-status"]


def trades(client, user="alice"):
    answer = client.ask("GET", CORE, bearer(user))
    assert answer.status == 200, answer
    return json.loads(answer.body)["data"]["total_trades"]


def trades_when_back(client):
    """The same after PostgreSQL was away: its breaker lets requests fail until it has been tried."""
    wait_until(lambda: client.ask("GET", CORE, bearer()).status == 200, what="the database's return")
    return trades(client)


def outbox(db):
    with db.cursor() as cursor:
        cursor.execute("SELECT user_id, tag FROM pnlcache.change_log ORDER BY user_id, tag")
        return cursor.fetchall()


def empty_outbox(db):
    with db.cursor() as cursor:
        cursor.execute("DELETE FROM pnlcache.change_log")


def readable(client):
    return bool(select.select([client.socket], [], [], 0)[0])


def jobs(servers):
    return int(servers.redis("XLEN", "jobs"))


# --- what is accepted -------------------------------------------------------------------------------


def test_after_a_webhook_the_next_read_is_new(client, db, servers):
    add_stock(db, "alice", 1)
    assert trades(client) == 1
    add_stock(db, "alice", 2, exit_price=5)
    assert trades(client) == 1, "nobody has said so yet"
    assert counts(client.webhook(webhook_event(asset="stocks"))) == (1, 1, 1)
    assert jobs(servers) == 1
    assert cache_status(client) == "pnlcache; fwd=miss; stored"
    assert trades(client) == 2
    assert counts(client.webhook(webhook_event())) == (1, 2, 1)


DOCUMENTS = {
    "stocks": "/api/stocks/analytics", "options": "/api/options/analytics", "both": CORE, "playbooks": "/api/playbooks/analytics",
    "by tag": "/api/analytics/grouped?grouping_types=tag", "positions": "/api/analytics/positions",
}


@pytest.mark.parametrize("type, data, stale, queued", [
    ("trade.created", {"asset": "stocks"}, "stocks, both, playbooks, by tag, positions", 1),
    ("trade.updated", {"asset": "options", "trade_ids": [1]}, "options, both, playbooks, by tag, positions", 1),
    ("trade.deleted", {}, "stocks, options, both, playbooks, by tag, positions", 1),
    ("trades.imported", {"asset": "stocks", "count": 7}, "stocks, both, playbooks, by tag, positions", 1),
    ("settings.changed", {}, "stocks, options, both, playbooks, by tag, positions", 1),
    ("playbook.changed", {}, "playbooks", None),
    ("notes.changed", {}, "", 0),
    ("notebook.changed", {}, "", 0),
    ("images.changed", {}, "", 0),
    ("calendar.synced", {}, "", 0),
    ("data.changed", {"tag": "tags"}, "by tag", None),
    ("data.changed", {"tag": "prices"}, "positions", 0),
    ("prices.changed", {"user": None}, "positions", 0),
])
def test_each_type_makes_its_documents_stale_and_no_other(client, db, type, data, stale, queued):
    for user in ("alice", "bob"):
        add_stock(db, user, 1)
        add_option(db, user, 1)
        for path in DOCUMENTS.values():
            cache_status(client, path, user)
    _, _, got = counts(client.webhook(webhook_event(type, **data)))
    assert queued is None or got == queued  # None: what is kept fresh besides the precomputed documents is no promise
    expected = set(filter(None, stale.split(", ")))
    assert {name for name, path in DOCUMENTS.items() if "hit" not in cache_status(client, path)} == expected
    shared = expected if "positions" in expected and "both" not in expected else set()
    assert {name for name, path in DOCUMENTS.items() if "hit" not in cache_status(client, path, "bob")} == shared


def test_an_array_is_merged_into_one_command_a_user(client, db, servers):
    for user in ("alice", "bob", "carol"):
        add_stock(db, user, 1)
        trades(client, user)
    servers.redis("CONFIG", "RESETSTAT")
    body = several(webhook_event("trade.created", "alice", asset="stocks"), webhook_event("trade.deleted", "bob", asset="options"),
                   webhook_event("trade.updated", "alice", asset="stocks"), webhook_event("notes.changed", "alice"),
                   webhook_event("prices.changed", None))
    assert counts(client.webhook(body)) == (5, 4, 2)
    assert b"cmdstat_hdel:calls=3," in servers.redis("INFO", "commandstats")
    assert jobs(servers) == 2
    assert "hit" not in cache_status(client, user="alice") and "hit" not in cache_status(client, user="bob")
    assert "hit" in cache_status(client, user="carol")


def test_an_array_of_a_thousand(client, db, servers):
    body = several(*[webhook_event(user=f"user{i % 500}", asset=("stocks", "options")[i // 500]) for i in range(1000)])
    assert counts(client.webhook(body)) == (1000, 1000, 500)
    assert jobs(servers) == 500
    problem(client.webhook(several(*[webhook_event("prices.changed", None)] * 1001)), 400)


def test_one_bad_event_refuses_all_and_every_problem_is_listed(client, db, servers):
    add_stock(db, "alice", 1)
    trades(client)
    body = several(webhook_event(), webhook_event("trade.exploded"), b"7", webhook_event(user=""), webhook_event(asset="bonds"), b"{}")
    refusal = problem(client.webhook(body), 400)
    assert [(e["field"], bool(e["message"])) for e in refusal["errors"]] == [
        ("[1].type", True), ("[2]", True), ("[3].data.user_id", True), ("[4].data.asset", True), ("[5].type", True), ("[5].data", True)]
    refusal = problem(client.webhook(several(webhook_event(), *[webhook_event(user="", asset="x")] * 999)), 422)
    assert len(refusal["errors"]) == 1998 and refusal["errors"][-1]["field"] == "[999].data.user_id"
    assert "hit" in cache_status(client)
    assert jobs(servers) == 0 and servers.redis("KEYS", "seen:*") == b""


# --- what is refused ----------------------------------------------------------------------------------


def test_bad_webhooks_get_their_status(client):
    good = webhook_event(asset="stocks")
    now = int(time.time())
    problem(client.webhook(good, key=b"some other key of some length"), 401)
    problem(client.ask("POST", PATH, {"Content-Type": "application/json"}, good), 401)
    for headers in ({"webhook-signature": ""}, {"webhook-signature": "v2,AAAA"}, {"webhook-signature": "v1,AAAA"}):
        problem(client.ask("POST", PATH, {**sign_webhook(good), **headers}, good), 401)
    for headers in ({"webhook-id": ""}, {"webhook-timestamp": ""}, {"webhook-timestamp": "soon"}, {"webhook-timestamp": "-5"},
                    {"webhook-timestamp": "1" * 12}):
        problem(client.ask("POST", PATH, {**sign_webhook(good), **headers}, good), 400)
    problem(client.webhook(good, timestamp=now - 301), 403)
    problem(client.webhook(good, timestamp=now + 330), 403)
    for id in ("a.b", "a b", "x" * 129):
        problem(client.webhook(good, id=id), 400)
    for body in (b"{", b"[]", b"7", b"", b'{"type":"trade.created"}', b"\xff", good + good):
        problem(client.webhook(body), 400)
    for body in (webhook_event("trade.exploded"), webhook_event(user=""), webhook_event(user="x" * 129), webhook_event(user=7),
                 webhook_event(user=None), webhook_event(asset="bonds"), webhook_event("data.changed"),
                 webhook_event("data.changed", tag="erase"), webhook_event("data.changed", None, tag="notes")):
        assert problem(client.webhook(body), 422)["errors"]
    for type in ("text/plain", "application/jsonp", ""):
        problem(client.ask("POST", PATH, {**sign_webhook(good), "Content-Type": type}, good), 415)
    problem(client.ask("POST", PATH, sign_webhook(good), good.replace(b"alice", b"mallo")), 401)
    problem(client.ask("POST", PATH + "?x=1", sign_webhook(good), good), 400)
    problem(client.ask("GET", PATH), 405)
    assert client.webhook(good, timestamp=now - 290).status == 202
    assert client.ask("POST", PATH, {**sign_webhook(good), "Content-Type": "Application/JSON; charset=utf-8"}, good).status == 202


def test_a_refusal_says_what_to_mend(client):
    good = webhook_event()
    now = int(time.time())

    def told(status, key=None, **headers):
        return problem(client.ask("POST", PATH, {**sign_webhook(good, **({"key": key} if key else {})), **headers}, good), status)["detail"]

    assert told(401, **{"webhook-signature": ""}) == "webhook-signature is missing"
    assert "fits a secret" in told(401, key=b"some other key of some length")
    assert "webhook-id" in told(400, **{"webhook-id": "a.b"})
    assert "Unix seconds" in told(400, **{"webhook-timestamp": f"{now}000"})
    late = problem(client.webhook(good, timestamp=now - 4000), 403)["detail"]
    assert re.fullmatch(r"webhook-timestamp is 40\d\d s behind this server's clock; up to 300 s are accepted", late), late
    assert "ahead of" in problem(client.webhook(good, timestamp=now + 4000), 403)["detail"]


def test_a_body_over_the_limit_is_413_and_the_connection_lives(client):
    for size in (256 * 1024 + 1, 2_000_000):
        problem(client.webhook(b" " * size), 413)
    assert client.ask("GET", "/healthz").status == 200
    large = webhook_event(asset="stocks", note="x" * 250_000)
    assert client.webhook(large).status == 202


def test_events_of_what_is_not_there_are_as_good_as_any(client, db, servers, worker):
    """A deleted trade's id, a user without trades, and one nobody has heard of."""
    add_stock(db, "alice", 1)
    trades(client)
    for body in (webhook_event("trade.deleted", asset="stocks", trade_ids=[1, 999999]), webhook_event("trade.created", "newcomer"),
                 webhook_event("settings.changed", "nobody \N{SNOWMAN}")):
        counts(client.webhook(body))
    wait_until(lambda: jobs(servers) == 0, what="the jobs' end")
    assert servers.redis("XLEN", "jobs:dead") == b"0"
    assert trades(client, "newcomer") == 0


# --- repeats -----------------------------------------------------------------------------------------


def test_a_repeat_invalidates_again_but_queues_no_second_job(client, db, servers):
    add_stock(db, "alice", 1)
    trades(client)
    assert counts(client.webhook(webhook_event(), id="msg_1")) == (1, 2, 1)
    assert 600 < int(servers.redis("TTL", "seen:webhook:msg_1")) <= 660
    add_stock(db, "alice", 2)
    assert cache_status(client) == "pnlcache; fwd=miss; stored"
    assert counts(client.webhook(webhook_event(), id="msg_1", timestamp=int(time.time()) - 5)) == (1, 2, 0)
    assert "hit" not in cache_status(client)
    assert jobs(servers) == 1
    assert counts(client.webhook(webhook_event(), id="msg_2")) == (1, 2, 1)


def test_fifty_copies_at_once_queue_one_job(client, db, servers):
    add_stock(db, "alice", 1)
    assert trades(client) == 1
    add_stock(db, "alice", 2)
    body = webhook_event()
    copy = request("POST", PATH, sign_webhook(body, id="msg_1"), body)
    clients = [Client(servers.listen) for _ in range(50)]
    for c in clients:
        c.send(copy)
    answers = [counts(c.read_answer()) for c in clients]
    for c in clients:
        c.close()
    assert sorted(answers) == [(1, 2, 0)] * 49 + [(1, 2, 1)]
    assert jobs(servers) == 1
    assert trades(client) == 2


def test_a_mark_never_answers_for_what_is_not_done(servers, start_responder, db):
    add_stock(db, "alice", 1)
    start_responder(**SHORT)
    with Client(servers.listen) as client:
        counts(client.webhook(webhook_event(), id="msg_1"))
        trades(client)
        add_stock(db, "alice", 2)
        servers.redis("CONFIG", "SET", "min-replicas-to-write", "1")
        servers.stop("postgres")
        try:
            refusal = client.webhook(webhook_event(), id="msg_1")
            problem(refusal, 503)
            assert refusal.headers["retry-after"] == "1"
        finally:
            servers.start("postgres")
            servers.redis("CONFIG", "SET", "min-replicas-to-write", "0")
        assert counts(client.webhook(webhook_event(), id="msg_1"))[2] == 0
        assert trades_when_back(client) == 2


def test_order_does_not_matter(client, db, servers, worker):
    """Events are thin: whatever comes first, the numbers are the database's."""
    add_stock(db, "alice", 1)
    assert trades(client) == 1
    with db.cursor() as cursor:
        cursor.execute("DELETE FROM stocks")
    add_stock(db, "alice", 2)
    add_stock(db, "alice", 3)
    early = int(time.time()) - 200
    for type, ids, timestamp in (("trade.deleted", [1], None), ("trade.created", [3], early + 2), ("trade.created", [2], early)):
        counts(client.webhook(webhook_event(type, asset="stocks", trade_ids=ids), timestamp=timestamp))
        assert trades(client) == 2
    wait_until(lambda: jobs(servers) == 0)
    assert trades(client) == 2


# --- secrets and clocks ------------------------------------------------------------------------------


def test_secrets_rotate_without_losing_a_webhook(servers, start_responder, tmp_path):
    fresh = b"the key that comes after the old one"
    fresh_secret = "whsec_" + base64.b64encode(fresh).decode()
    conf = tmp_path / "pnlcache.conf"
    conf.write_text(f"WEBHOOK_SECRETS={WEBHOOK_SECRET}\n")
    responder = start_responder(PNLCACHE_CONF=str(conf), WEBHOOK_SECRETS=None)
    body = webhook_event()

    def reload(secrets):
        before = responder.log().count("settings reloaded")
        conf.write_text(f"WEBHOOK_SECRETS={secrets}\n")
        responder.signal(signal.SIGHUP)
        wait_until(lambda: responder.log().count("settings reloaded") > before, what="the reload")

    refused, stop = [], threading.Event()

    def keep_sending(key, until):
        with Client(servers.listen) as c:
            while not until.is_set():
                answer = c.webhook(body, key=key)
                if answer.status != 202:
                    refused.append(answer)

    old_sender = threading.Thread(target=keep_sending, args=(WEBHOOK_KEY, stop))
    old_sender.start()
    with Client(servers.listen) as client:
        problem(client.webhook(body, key=fresh), 401)
        reload(f"{fresh_secret},{WEBHOOK_SECRET}")
        assert client.webhook(body, key=fresh).status == 202
        stop.set()
        old_sender.join()
        ends = threading.Event()
        new_sender = threading.Thread(target=keep_sending, args=(fresh, ends))
        new_sender.start()
        reload(fresh_secret)
        problem(client.webhook(body), 401)
        ends.set()
        new_sender.join()
        both = sign_webhook(body, id="msg_9", key=fresh)
        both["webhook-signature"] = sign_webhook(body, id="msg_9")["webhook-signature"] + " v1a,x " + both["webhook-signature"]
        assert client.ask("POST", PATH, both, body).status == 202
        assert not refused


def test_a_senders_wrong_clock_is_told_once_a_minute_by_how_much(client, responder):
    body = webhook_event()
    now = int(time.time())
    problem(client.webhook(body, timestamp=now - 4000, key=b"a key of somebody else ......"), 401)
    assert "clock" not in responder.log(), "a stranger fills no log"
    for _ in range(3):
        problem(client.webhook(body, timestamp=now - 4000), 403)
    lines = [line for line in responder.log().splitlines() if "clock is off" in line]
    assert len(lines) == 1 and int(lines[0].split("ahead_s=")[1].split()[0]) in range(-4030, -3999)


def test_half_the_tolerance_is_told_before_it_hurts(client, responder):
    assert client.webhook(webhook_event(), timestamp=int(time.time()) - 100).status == 202
    assert "clock is off" not in responder.log()
    assert client.webhook(webhook_event(), timestamp=int(time.time()) - 200).status == 202
    assert "clock is off" in responder.log()


# --- servers that fail ---------------------------------------------------------------------------------


def break_misconf(servers):
    """Saving is on and fails, so Redis refuses writes."""
    (servers.run_dir / "dump.rdb").mkdir()
    (servers.run_dir / "dump.rdb/in the way").touch()
    servers.redis("CONFIG", "SET", "save", "3600 1")
    servers.redis("SET", "x", "y")
    servers.redis("BGSAVE")
    wait_until(lambda: b"rdb_last_bgsave_status:err" in servers.redis("INFO", "persistence"), what="a failed save")


def mend_misconf(servers):
    shutil.rmtree(servers.run_dir / "dump.rdb")
    servers.redis("CONFIG", "SET", "save", "")
    servers.redis("BGSAVE")
    wait_until(lambda: b"rdb_last_bgsave_status:ok" in servers.redis("INFO", "persistence"), what="a good save")
    (servers.run_dir / "dump.rdb").unlink()


def set_maxmemory(servers, policy, value):
    servers.redis("CONFIG", "SET", "maxmemory-policy", policy)
    servers.redis("CONFIG", "SET", "maxmemory", value)


REDIS_FAULTS = {
    "well": (lambda s: None, lambda s: None),
    "down": (lambda s: s.stop("redis"), lambda s: s.start("redis")),
    "hung": (lambda s: os.kill(s.pid("redis"), signal.SIGSTOP), lambda s: os.kill(s.pid("redis"), signal.SIGCONT)),
    "a replica": (lambda s: s.redis("REPLICAOF", "127.0.0.1", "1"), lambda s: s.redis("REPLICAOF", "NO", "ONE")),
    "without replicas": (lambda s: s.redis("CONFIG", "SET", "min-replicas-to-write", "1"),
                         lambda s: s.redis("CONFIG", "SET", "min-replicas-to-write", "0")),
    "unable to save": (break_misconf, mend_misconf),
}


class PostgresFault:
    def __init__(self, servers, kind):
        self.servers, self.kind = servers, kind

    def __enter__(self):
        if self.kind == "down":
            self.servers.stop("postgres")
        if self.kind == "locked":
            self.blocker = psycopg2.connect(self.servers.owner_url)
            self.blocker.cursor().execute("LOCK TABLE pnlcache.change_log IN ACCESS EXCLUSIVE MODE")
        if self.kind == "hung":
            self.pids = [self.servers.pid("postgres")]
            os.kill(self.pids[0], signal.SIGSTOP)

    def __exit__(self, *_):
        if self.kind == "down":
            self.servers.start("postgres")
        if self.kind == "locked":
            self.blocker.close()
        if self.kind == "hung":
            os.kill(self.pids[0], signal.SIGCONT)


@pytest.mark.parametrize("postgres", ["well", "down", "locked", "hung"])
@pytest.mark.parametrize("redis", REDIS_FAULTS)
def test_whatever_fails_an_accepted_webhook_is_true(servers, start_responder, db, redis, postgres):
    """202: the next read is new, at once; else 503, and sent again after the repair it is 202."""
    add_stock(db, "alice", 1)
    start_responder(**SHORT)
    with Client(servers.listen) as client:
        assert trades(client) == 1
        add_stock(db, "alice", 2)
        empty_outbox(db)
        break_it, mend = REDIS_FAULTS[redis]
        break_it(servers)
        try:
            with PostgresFault(servers, postgres):
                answer = client.webhook(webhook_event(asset="stocks"), id="msg_1")
            if redis == "well":
                assert counts(answer) == (1, 1, 1)
            elif postgres == "well":
                assert counts(answer) == (1, 1, 0)
                assert outbox(db) == [("alice", "stocks")]
                assert "hit" not in cache_status(client)
                assert trades(client) == 2
            else:
                problem(answer, 503)
                assert answer.headers["retry-after"] == "1"
        finally:
            mend(servers)
        if answer.status == 503:
            wait_until(lambda: client.webhook(webhook_event(asset="stocks"), id="msg_1").status == 202, what="the repeat to be accepted")
        assert trades_when_back(client) == 2


def test_a_full_redis_takes_the_invalidation_and_no_job(client, db, servers):
    add_stock(db, "alice", 1)
    assert trades(client) == 1
    add_stock(db, "alice", 2)
    set_maxmemory(servers, "noeviction", "1")
    try:
        assert counts(client.webhook(webhook_event())) == (1, 2, 0)
        assert trades(client) == 2
    finally:
        set_maxmemory(servers, "allkeys-lru", "0")
    empty_outbox(db)
    set_maxmemory(servers, "noeviction", "1")
    try:
        counts(client.webhook(webhook_event("user.deleted")))
        assert outbox(db) == [("alice", "erase")], "a tombstone needs memory"
    finally:
        set_maxmemory(servers, "allkeys-lru", "0")


def test_the_outbox_is_trusted_until_the_invalidation_is_carried_out(client, db, servers, start_worker):
    for user in ("alice", "bob"):
        add_stock(db, user, 1)
        trades(client, user)
    add_stock(db, "alice", 2)
    empty_outbox(db)
    servers.redis("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        counts(client.webhook(several(webhook_event(asset="stocks"), webhook_event("notes.changed"))))
        assert outbox(db) == [("alice", "notes"), ("alice", "stocks")]
        assert cache_status(client) == "pnlcache; fwd=bypass"
        assert trades(client) == 2
        assert "hit" in cache_status(client, user="bob")
        counts(client.webhook(webhook_event("prices.changed", None)))
        assert cache_status(client, user="bob") == "pnlcache; fwd=bypass", "what all share may be anybody's"
        assert (None, "prices") in outbox(db)
    finally:
        servers.redis("CONFIG", "SET", "min-replicas-to-write", "0")
    wait_until(lambda: "bypass" not in cache_status(client), what="the end of the bypass")
    wait_until(lambda: "bypass" not in cache_status(client, user="bob"), what="the end of bob's bypass")
    assert trades(client) == 2
    start_worker()
    wait_until(lambda: outbox(db) == [] and jobs(servers) == 0, what="the worker")


def test_many_pending_users_are_carried_out(client, db, servers):
    servers.redis("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        body = several(*[webhook_event(user=f"user{i}", asset="stocks") for i in range(1000)])
        assert counts(client.webhook(body)) == (1000, 1000, 0)
        assert cache_status(client, user="user999") == "pnlcache; fwd=bypass"
        assert len(outbox(db)) == 1000
    finally:
        servers.redis("CONFIG", "SET", "min-replicas-to-write", "0")
    for user in ("user0", "user500", "user999"):
        wait_until(lambda user=user: "bypass" not in cache_status(client, user=user), what="the end of the bypass")


def test_a_hung_redis_holds_webhooks_but_nothing_else(servers, start_responder):
    """On the thread that serves everything else a webhook would wait for Redis with everybody."""
    start_responder(THREADS="1", REDIS_TIMEOUT="20000", REQUEST_TIMEOUT="60000")
    body = webhook_event()
    with Client(servers.listen) as sender, Client(servers.listen) as other:
        os.kill(servers.pid("redis"), signal.SIGSTOP)
        try:
            sender.send(request("POST", PATH, sign_webhook(body), body))
            for _ in range(3):
                assert other.ask("GET", "/healthz").status == 200
            sender.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                sender.socket.recv(1)
        finally:
            os.kill(servers.pid("redis"), signal.SIGCONT)
        sender.socket.settimeout(20)
        counts(sender.read_answer())


def test_more_webhooks_than_may_wait_are_503(servers, start_responder):
    start_responder(WEBHOOK_THREADS="1", WEBHOOK_QUEUE="2", REDIS_TIMEOUT="20000", REQUEST_TIMEOUT="60000")
    body = webhook_event()
    clients = [Client(servers.listen) for _ in range(5)]  # two may be in work at most, and two wait
    os.kill(servers.pid("redis"), signal.SIGSTOP)
    try:
        for c in clients:
            c.send(request("POST", PATH, sign_webhook(body), body))
        refused = wait_until(lambda: [c for c in clients if readable(c)], what="a refusal")
        answer = refused[0].read_answer()
        problem(answer, 503)
        assert answer.headers["retry-after"] == "1"
    finally:
        os.kill(servers.pid("redis"), signal.SIGCONT)
    statuses = [c.read_answer().status for c in clients if c is not refused[0]]
    assert 202 in statuses and set(statuses) <= {202, 503}
    samples = prometheus_text.parse(clients[0].ask("GET", "/metrics").body.decode())
    ours = (("queue", "webhooks"),)
    assert samples["pnlcache_queue_limit", ours] == 2 and samples["pnlcache_queue_length", ours] == 0
    assert samples["pnlcache_queue_refused_total", ours] == 1 + statuses.count(503)
    assert samples["pnlcache_queue_wait_seconds_count", ours] == statuses.count(202)
    assert samples["pnlcache_queue_wait_seconds_sum", ours] > 0
    for c in clients:
        c.close()


# --- replicas ------------------------------------------------------------------------------------------


@pytest.fixture
def replica(servers, tmp_path):
    """A live replica of the private Redis."""
    port = free_port()
    servers.redis("CONFIG", "SET", "bind", "127.0.0.1")
    servers.redis("CONFIG", "SET", "port", port)
    daemon = Daemon(["redis-server", "--port", "0", "--unixsocket", tmp_path / "replica.sock", "--dir", tmp_path, "--save", "",
                     "--replicaof", f"127.0.0.1 {port}", "--repl-diskless-sync-delay", "0"], dict(os.environ), tmp_path / "replica.log")
    try:
        wait_until(lambda: b"state=online" in servers.redis("INFO", "replication"), what="the replica")
        yield daemon
    finally:
        daemon.kill()
        wait_until(lambda: b"connected_slaves:0" in servers.redis("INFO", "replication"), what="the replica's end")
        servers.redis("CONFIG", "SET", "port", 0)


def test_with_a_replica_an_invalidation_counts_once_it_has_it(servers, start_responder, db, replica, tmp_path):
    add_stock(db, "alice", 1)
    start_responder(REDIS_TIMEOUT="1000")
    with Client(servers.listen) as client:
        trades(client)
        add_stock(db, "alice", 2)
        empty_outbox(db)
        servers.redis("CONFIG", "RESETSTAT")
        assert counts(client.webhook(webhook_event(asset="stocks"))) == (1, 1, 1)
        assert b"cmdstat_wait:calls=1," in servers.redis("INFO", "commandstats")
        left = subprocess.run(["redis-cli", "-s", tmp_path / "replica.sock", "HEXISTS", "epoch:{alice}", "stocks"],
                              capture_output=True, text=True, check=True).stdout
        assert left.strip() == "0" and outbox(db) == []


def test_a_replica_that_does_not_confirm_sends_the_event_to_the_outbox(servers, start_responder, db, replica):
    add_stock(db, "alice", 1)
    start_responder(REDIS_TIMEOUT="1000")
    with Client(servers.listen) as client:
        trades(client)
        add_stock(db, "alice", 2)
        empty_outbox(db)
        replica.signal(signal.SIGSTOP)
        try:
            assert counts(client.webhook(webhook_event(asset="stocks"))) == (1, 1, 0)
            assert outbox(db) == [("alice", "stocks")]
            assert cache_status(client) == "pnlcache; fwd=bypass"
            assert servers.redis("KEYS", "seen:*") == b"", "a mark comes after what it stands for"
        finally:
            replica.signal(signal.SIGCONT)
        wait_until(lambda: "bypass" not in cache_status(client), what="the replica's confirmation")


# --- erasure -------------------------------------------------------------------------------------------


def keys_of(servers, user):
    return sorted(key.decode() for key in servers.redis("KEYS", f"*{{{user}}}*").splitlines())


def fill(client, servers, db, *users):
    for user in users:
        add_stock(db, user, 1)
        for path in DOCUMENTS.values():
            cache_status(client, path, user)
        wait_until(lambda user=user: user.encode() in servers.redis("ZRANGE", "active:users", 0, -1).splitlines(), what="activity")


def is_erased(servers, user):
    gone = keys_of(servers, user) == [f"erased:{{{user}}}"]
    return gone and user.encode() not in servers.redis("ZRANGE", "active:users", 0, -1).splitlines() and jobs(servers) == 0


def test_a_deleted_user_is_erased_and_stays_so(client, db, servers, worker):
    fill(client, servers, db, "alice", "alice2")
    others = {key for key in keys_of(servers, "alice2") if not key.startswith("lock:")}
    with db.cursor() as cursor:
        cursor.execute("DELETE FROM stocks WHERE user_id = 'alice'")
    assert counts(client.webhook(webhook_event("user.deleted"))) == (1, 9, 1)
    wait_until(lambda: is_erased(servers, "alice"), what="the erasure")
    assert 86000 < int(servers.redis("TTL", "erased:{alice}")) <= 86400
    assert others <= set(keys_of(servers, "alice2"))

    # A token that is still good, an event that comes late, rows that come back: nothing is stored.
    assert cache_status(client) == "pnlcache; fwd=miss"
    counts(client.webhook(webhook_event()))
    add_stock(db, "alice", 2)
    wait_until(lambda: outbox(db) == [] and is_erased(servers, "alice"), what="the late events' end")
    assert trades(client) == 1
    for path in DOCUMENTS.values():
        assert cache_status(client, path) == "pnlcache; fwd=miss"
    wait_until(lambda: is_erased(servers, "alice"), what="no trace of the late reads")
    assert servers.redis("XLEN", "jobs:dead") == b"0"


def test_a_user_deleted_while_a_request_computes_leaves_nothing(client, db, servers, worker):
    add_stock(db, "alice", 1)
    trades(client, "bob")
    wait_until(lambda: outbox(db) == [] and jobs(servers) == 0, what="the worker to be idle")
    servers.redis("FLUSHALL")
    wait_until(lambda: b"workers" in servers.redis("XINFO", "GROUPS", "jobs") if servers.redis("EXISTS", "jobs") == b"1" else False,
               what="the worker to be back")
    blocker = psycopg2.connect(servers.owner_url)
    blocker.cursor().execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    with Client(servers.listen) as reader:
        reader.send(request("GET", CORE, bearer()))
        wait_until(lambda: servers.redis("EXISTS", "epoch:{alice}") == b"1", what="the epochs to be open")
        counts(client.webhook(webhook_event("user.deleted")))
        wait_until(lambda: is_erased(servers, "alice"), what="the erasure")
        blocker.close()
        answer = reader.read_answer()
        assert answer.status == 200 and answer.headers["cache-status"] == "pnlcache; fwd=miss", answer
    assert is_erased(servers, "alice")


def test_a_user_deleted_while_redis_is_down_is_erased_later(client, db, servers, start_worker):
    fill(client, servers, db, "alice")
    empty_outbox(db)
    servers.redis("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        assert counts(client.webhook(webhook_event("user.deleted"))) == (1, 9, 0)
        assert outbox(db) == [("alice", "erase")]
        assert cache_status(client) == "pnlcache; fwd=bypass"
    finally:
        servers.redis("CONFIG", "SET", "min-replicas-to-write", "0")
    # What it has accepted this responder carries out itself, as far as nothing of the user can be served any more.
    wait_until(lambda: servers.redis("GET", "erased:{alice}") == b"1", what="the tombstone")
    assert servers.redis("EXISTS", "epoch:{alice}") == b"0"
    start_worker()
    wait_until(lambda: is_erased(servers, "alice") and outbox(db) == [], what="the erasure")


def test_a_user_deleted_by_sql_alone_is_erased(client, db, servers, worker):
    fill(client, servers, db, "alice")
    with db.cursor() as cursor:
        cursor.execute("DELETE FROM stocks WHERE user_id = 'alice'; SELECT pnlcache.erase_user('alice')")
    wait_until(lambda: is_erased(servers, "alice") and outbox(db) == [], what="the erasure")
    for bad in ("''", "NULL", "repeat('x', 129)"):
        with db.cursor() as cursor, pytest.raises(psycopg2.errors.InvalidParameterValue):
            cursor.execute(f"SELECT pnlcache.erase_user({bad})")


# --- the examples --------------------------------------------------------------------------------------

EXAMPLES = ROOT / "docs/examples/webhooks"
EVENT = webhook_event(asset="stocks", trade_ids=[1], note="it's \"5\" – or not\\").decode()


@pytest.mark.parametrize("example", ["send.sh", "send.py", "send.mjs"])
def test_an_example_sends_a_webhook(web, responder, db, servers, example):
    def run(body, **environment):
        settings = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": WEBHOOK_SECRET, "PNLCACHE_URL": web.url, **environment}
        command = {"send.sh": ["sh"], "send.py": ["/usr/bin/python3"], "send.mjs": ["node"]}[example]
        return subprocess.run([*command, EXAMPLES / example, body], env=settings, capture_output=True, text=True, timeout=60, check=False)

    assert os.access(EXAMPLES / example, os.X_OK)
    add_stock(db, "alice", 1)
    first = web.get(CORE, "alice").json()["data"]["total_trades"]
    add_stock(db, "alice", 2)
    done = run(EVENT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"] == {"accepted": 1, "invalidated": 1, "jobs": 1}
    assert web.get(CORE, "alice").json()["data"]["total_trades"] == first + 1
    assert json.loads(run(f"[{EVENT},{EVENT}]").stdout)["data"]["accepted"] == 2
    for refused in (run("{}"), run(EVENT, WEBHOOK_SECRET="whsec_" + base64.b64encode(b"x" * 24).decode())):
        assert refused.returncode != 0 and "webhook refused: 4" in refused.stderr and refused.stdout == ""
    assert jobs(servers) == 2


@pytest.mark.parametrize("example", ["send.sh", "send.py", "send.mjs"])
def test_an_example_tries_again_with_the_same_id(web, start_responder, db, servers, example):
    """The first attempts find no responder (nginx answers 502), a later one does."""
    command = {"send.sh": ["sh"], "send.py": ["/usr/bin/python3"], "send.mjs": ["node"]}[example]
    settings = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": WEBHOOK_SECRET, "PNLCACHE_URL": web.url}
    access = servers.state / "log/nginx.log"
    before = access.read_text(errors="replace").count("connect() to unix:") if access.exists() else 0
    sender = subprocess.Popen([*command, EXAMPLES / example, EVENT], env=settings, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: access.exists() and access.read_text(errors="replace").count("connect() to unix:") > before, what="a failed attempt")
    start_responder()
    out, _ = sender.communicate(timeout=60)
    assert sender.returncode == 0
    assert json.loads(out)["data"]["jobs"] == 1
    assert len(servers.redis("KEYS", "seen:webhook:msg_*").splitlines()) == 1


NET = """
CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public;
CREATE SCHEMA net;
CREATE TABLE net.calls (url text, body text, headers jsonb);
-- pg_net's function, which leaves the sending to us
CREATE FUNCTION net.http_post(url text, body jsonb DEFAULT '{}', params jsonb DEFAULT '{}', headers jsonb DEFAULT
    '{"Content-Type": "application/json"}', timeout_milliseconds integer DEFAULT 5000) RETURNS bigint LANGUAGE sql AS
    $$ INSERT INTO net.calls VALUES ($1, $2::text, $4) RETURNING 1 $$;
"""


@pytest.fixture
def net(servers, db):
    try:
        with db.cursor() as cursor:
            cursor.execute(NET)
            cursor.execute((EXAMPLES / "trigger.sql").read_text())
        yield db
    finally:
        with db.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS app, net CASCADE; DROP EXTENSION IF EXISTS pgcrypto")


def test_the_sql_trigger_signs_what_the_responder_accepts(web, responder, net, servers):
    with net.cursor() as cursor:
        cursor.execute("INSERT INTO app.pnlcache_webhook (url, secret) VALUES (%s, %s)", (web.url, WEBHOOK_SECRET))
    add_stock(net, "alice", 1)
    assert web.get(CORE, "alice").json()["data"]["total_trades"] == 1
    add_stock(net, "alice \N{SNOWMAN} \"it's\"", 1)
    with net.cursor() as cursor:
        cursor.execute("UPDATE stocks SET fees = 5")
        cursor.execute("DELETE FROM stocks")
        cursor.execute("SELECT url, body, headers FROM net.calls")
        calls = cursor.fetchall()
    types = []
    for url, body, headers in calls:
        assert url == web.url + PATH
        answer = web.post(PATH, body.encode(), headers=headers)
        assert answer.status == 202, answer
        types.append([(event["type"], event["data"]["user_id"][:5]) for event in json.loads(body)])
    assert types == [[("trade.created", "alice")], [("trade.created", "alice")], [("trade.updated", "alice")] * 2,
                     [("trade.deleted", "alice")] * 2]
    assert web.get(CORE, "alice").json()["data"]["total_trades"] == 0
    with net.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM net.calls")
        cursor.execute("INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, entry_date)"
                       " SELECT 1, 'user' || i, 'ACME', 'BUY', 1, 10, now() FROM generate_series(1, 1001) AS i")
        cursor.execute("SELECT count(*) FROM net.calls")
        assert cursor.fetchone() == (len(calls),), "a bulk load is the outbox's"
