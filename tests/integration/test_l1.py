"""The responder's own memory (L1): it saves the way to Redis, and is never the reason for an old number."""
import gzip
import json
import os
import signal

import pytest
from fastcgi_client import Client, request
from harness import add_stock, sign_webhook, token, wait_until
from relay import Relay

CORE = "/api/analytics/core"
EPOCHS = "epoch:{alice}"


def bearer(user="alice"):
    return {"Authorization": "Bearer " + token(user)}


class Reader:
    """Reads one user's document, and says where the answer came from and how many trades it knows."""

    def __init__(self, listen, user="alice"):
        self.listen, self.user = listen, user

    def ask(self, path=CORE, **headers):
        with Client(self.listen) as c:
            return c.ask("GET", path, {**bearer(self.user), **headers})

    def read(self, path=CORE):
        answer = self.ask(path)
        assert answer.status == 200, answer
        source = answer.headers["cache-status"].removeprefix("pnlcache; ").split("; ttl=")
        source = source[0] if len(source) == 1 else source[1].partition("detail=")[2]
        return source, json.loads(answer.body)["data"]["total_trades"]

    def until(self, source=None, trades=None, path=CORE):
        """Reads until the answer comes from there and has that many trades."""
        def fits():
            got = self.read(path)
            return (source is None or got[0] == source) and (trades is None or got[1] == trades)

        wait_until(fits, what=f"an answer from {source} with {trades} trades")

    def tell(self, asset="stocks"):
        body = json.dumps({"type": "trade.updated", "data": {"user_id": self.user, "asset": asset}}).encode()
        with Client(self.listen) as c:
            answer = c.ask("POST", "/api/webhooks/trades", sign_webhook(body), body)
        assert answer.status == 202, answer


@pytest.fixture
def alice(servers, db):
    add_stock(db, "alice", 1)
    return Reader(servers.listen)


@pytest.fixture
def relay(servers, tmp_path):
    relay = Relay(servers.run_dir / "relay.sock", servers.redis_socket)
    yield relay
    relay.close()


def start_behind(relay, start_responder, **settings):
    return start_responder(REDIS_URL=f"unix://{relay.path}", **settings)


def all_calls(servers):
    """How often Redis has run each command."""
    stats = {}
    for line in servers.redis("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_"):
            name, _, values = line.removeprefix("cmdstat_").partition(":")
            stats[name] = int(values.split(",")[0].removeprefix("calls="))
    return stats


def calls(servers, *commands):
    stats = all_calls(servers)
    return [stats.get(command, 0) for command in commands]


def client_id(servers, name):
    """The number Redis gave to the connection of that name."""
    def find():
        for line in servers.redis("CLIENT", "LIST").decode().splitlines():
            fields = dict(field.partition("=")[::2] for field in line.split())
            if fields["name"] == name:
                return fields["id"]
        return None

    return wait_until(find, what=f"a connection named {name}")


def sessions(responder):
    return responder.log().count("L1 is on")


def settle(relay):
    """Until the tracking thread has taken in what has arrived: it did so before it asks for one more proof."""
    def beats():
        return sum(c.asked.count(b"epoch:beat:") for c in relay.connections)

    before = beats()
    wait_until(lambda: beats() >= before + 3, what="three more beats")


# --- hits ---------------------------------------------------------------------------------------


def test_a_hit_from_l1_asks_redis_nothing_and_is_the_same_answer(servers, responder, alice):
    alice.until("redis")
    from_redis = alice.ask()
    alice.until("l1")
    before, all_before = calls(servers, "get", "hmget"), sum(all_calls(servers).values())
    for _ in range(500):
        answer = alice.ask()
        assert answer.headers["cache-status"].endswith("; detail=l1")
        assert answer.body == from_redis.body and answer.headers["etag"] == from_redis.headers["etag"]
    assert calls(servers, "get", "hmget") == before
    assert sum(all_calls(servers).values()) - all_before < 500, "each hit costs a command of some kind"  # beats and heartbeats are a few a second


def test_every_form_of_a_request_is_answered_from_l1(servers, responder, alice):
    alice.until("l1")
    plain = alice.ask()
    packed = alice.ask(**{"Accept-Encoding": "gzip"})
    assert packed.headers["cache-status"].endswith("detail=l1")
    assert "content-encoding" not in packed.headers or gzip.decompress(packed.body) == plain.body
    unmodified = alice.ask(**{"If-None-Match": packed.headers["etag"]})
    assert unmodified.status == 304 or packed.headers["etag"] != plain.headers["etag"]
    assert alice.ask(**{"If-None-Match": plain.headers["etag"]}).status == 304
    with Client(servers.listen) as c:
        head = c.ask("HEAD", CORE, bearer())
        assert head.body == b"" and head.headers["content-length"] == plain.headers["content-length"]
        assert head.headers["cache-status"].endswith("detail=l1")


def test_another_users_epochs_do_not_make_a_hit(servers, db, responder, alice):
    add_stock(db, "bob", 1)
    add_stock(db, "bob", 2)
    bob = Reader(servers.listen, "bob")
    alice.until("l1", 1)
    bob.until("l1", 2)
    assert alice.read() == ("l1", 1)
    add_stock(db, "alice", 2)
    alice.tell()
    assert alice.read() == ("fwd=miss; stored", 2)
    assert bob.read() == ("l1", 2)


def test_the_entry_limit_holds(servers, start_responder, alice):
    start_responder(CACHE_MAX_MEMORY_ENTRIES="2")
    paths = [f"{CORE}?time_range={r}" for r in ("7d", "30d", "90d")]
    for path in paths:
        alice.until("l1", path=path)
    assert alice.read(paths[2])[0] == "l1"
    assert alice.read(paths[0])[0] == "redis", "the one used longest ago was dropped"


@pytest.mark.parametrize("settings", [{"CACHE_MAX_MEMORY_ENTRIES": "0"}, {"CACHE_ENABLED": "false"}])
def test_l1_can_be_switched_off(servers, start_responder, alice, settings):
    start_responder(**settings)
    sources = {alice.read()[0] for _ in range(6)}
    assert sources == ({"fwd=miss"} if "CACHE_ENABLED" in settings else {"fwd=miss; stored", "redis"})
    with Client(servers.listen) as c:
        assert json.loads(c.ask("GET", "/readyz").body)["l1"] == "off"


# --- events -------------------------------------------------------------------------------------


def test_after_a_webhook_no_thread_answers_with_the_old_number(servers, db, start_responder, alice):
    start_responder(THREADS="4")
    clients = [Client(servers.listen) for _ in range(16)]  # among all threads
    for trades in range(1, 40):
        alice.until("l1", trades)
        add_stock(db, "alice", trades + 1)
        alice.tell()
        for c in clients:
            c.send(request("GET", CORE, bearer()))
        for c in clients:
            answer = c.read_answer()
            assert json.loads(answer.body)["data"]["total_trades"] == trades + 1, answer
    for c in clients:
        c.close()


def test_after_a_webhook_the_old_number_is_gone_without_any_message(servers, db, start_responder, alice, relay):
    """The subscriber hears nothing: the process that took the event must not depend on it."""
    start_behind(relay, start_responder)
    alice.until("l1", 1)
    relay.hold(relay.of(b"SUBSCRIBE"))
    add_stock(db, "alice", 2)
    alice.tell()
    assert alice.read()[1] == 2


def test_another_responder_follows_the_event(servers, db, start_responder, alice):
    start_responder()
    start_responder(LISTEN=f"{servers.run_dir}/second.sock")
    other = Reader(f"{servers.run_dir}/second.sock")
    for trades in range(1, 20):
        alice.until("l1", trades)
        other.until("l1", trades)
        add_stock(db, "alice", trades + 1)
        alice.tell()
        other.until(trades=trades + 1)
        for _ in range(5):
            assert other.read()[1] == trades + 1, "it went back"


def test_a_deleted_epoch_is_noticed(servers, db, responder, alice):
    """What a worker does when it drains the outbox, and what eviction does."""
    alice.until("l1", 1)
    add_stock(db, "alice", 2)
    servers.redis("HDEL", EPOCHS, "stocks")
    alice.until(trades=2)
    assert sessions(responder) == 1


def test_an_epoch_in_flight_while_it_is_invalidated_is_not_kept(servers, db, start_responder, alice, relay):
    start_behind(relay, start_responder, REDIS_TIMEOUT="20000")
    alice.until("l1", 1)
    subscriber = relay.of(b"SUBSCRIBE")[-1]
    heard = subscriber.told.count(EPOCHS.encode())
    servers.redis("EXPIRE", EPOCHS, "1000")  # so that the next read asks Redis
    wait_until(lambda: subscriber.told.count(EPOCHS.encode()) > heard, what="the message of EXPIRE")
    settle(relay)
    (asked,) = calls(servers, "hmget")
    relay.hold_replies_to(b"HMGET")
    with Client(servers.listen) as early:
        early.send(request("GET", CORE, bearer()))
        wait_until(lambda: calls(servers, "hmget")[0] > asked, what="the read to be answered by Redis")
        add_stock(db, "alice", 2)
        heard = subscriber.told.count(EPOCHS.encode())
        servers.redis("HDEL", EPOCHS, "stocks")
        wait_until(lambda: subscriber.told.count(EPOCHS.encode()) > heard, what="the message of HDEL")
        settle(relay)
        relay.release()
        answer = early.read_answer()
        assert answer.headers["cache-status"].endswith("detail=redis"), answer
        assert json.loads(answer.body)["data"]["total_trades"] == 1, "it was asked before the change"
    assert alice.read() == ("fwd=miss; stored", 2)


# --- tracking that fails --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tracking", "beat"])
def test_a_killed_connection_of_the_tracking_is_replaced(servers, db, responder, alice, name):
    for trades in range(1, 6):
        alice.until("l1", trades)
        begun = sessions(responder)
        add_stock(db, "alice", trades + 1)
        killed = client_id(servers, "pnlcache.fcgi:" + name)
        assert servers.redis("CLIENT", "KILL", "ID", killed) == b"1"
        servers.redis("HDEL", EPOCHS, "stocks")
        alice.until(trades=trades + 1)
        wait_until(lambda begun=begun: sessions(responder) > begun, what="a new session")
        assert alice.read()[1] == trades + 1
    assert "L1 is in doubt" in responder.log()


def test_a_killed_connection_of_readers_is_replaced(servers, db, start_responder, alice):
    responder = start_responder(THREADS="1")
    alice.until("l1", 1)
    assert servers.redis("CLIENT", "KILL", "ID", client_id(servers, "pnlcache.fcgi")) == b"1"
    assert alice.read() == ("l1", 1)
    add_stock(db, "alice", 2)
    alice.tell()
    assert alice.read()[1] == 2
    alice.until("l1", 2)
    assert sessions(responder) == 1


def test_a_subscriber_that_hears_nothing_is_not_believed(servers, db, start_responder, alice, relay):
    responder = start_behind(relay, start_responder)
    alice.until("l1", 1)
    relay.hold(relay.of(b"SUBSCRIBE"))
    add_stock(db, "alice", 2)
    servers.redis("HDEL", EPOCHS, "stocks")
    alice.until(trades=2)
    wait_until(lambda: "no message of a key written" in responder.log(), what="the doubt")
    assert alice.read()[1] == 2
    relay.release()
    alice.until("l1", 2)


def test_while_no_subscriber_hears_anything_every_read_asks_redis(servers, db, start_responder, alice, relay):
    relay.hold_replies_to(b"SUBSCRIBE")
    responder = start_behind(relay, start_responder)
    wait_until(lambda: "L1 is in doubt" in responder.log(), what="the doubt")
    alice.until("redis", 1)
    for _ in range(20):
        assert alice.read() == ("redis", 1)
    with Client(servers.listen) as c:
        assert json.loads(c.ask("GET", "/readyz").body)["l1"] == "in doubt"
    relay.release()
    alice.until("l1", 1)


@pytest.mark.parametrize("missing", ["-client|tracking", "-client|id", "-subscribe", "resetchannels", "-del", "-eval"])
def test_where_redis_refuses_tracking_l1_is_off_until_it_does_not(servers, start_responder, alice, missing):
    servers.redis("ACL", "SETUSER", "limited", "reset", "on", ">secret", "~*", "&*", "+@all", missing)
    try:
        responder = start_responder(REDIS_URL=f"unix://limited:secret@{servers.redis_socket}")
        wait_until(lambda: "L1 is off: Redis refuses" in responder.log(), what="the reason in the log")
        alice.until("redis", 1)
        for _ in range(20):
            assert alice.read() == ("redis", 1)
        servers.redis("ACL", "SETUSER", "limited", "+@all", "&*")
        alice.until("l1", 1)
        assert responder.log().count("L1 is off") == 1
    finally:
        servers.redis("ACL", "DELUSER", "limited")


@pytest.fixture
def redis_settings(servers, clean):
    """redis_settings(name, value): until the end of the test."""
    before = {}

    def change(name, value):
        before.setdefault(name, servers.redis("CONFIG", "GET", name).split()[1].decode())
        servers.redis("CONFIG", "SET", name, value)

    yield change
    for name, value in before.items():
        servers.redis("CONFIG", "SET", name, value)


def test_a_full_redis_leaves_l1_on(servers, db, start_responder, alice, relay, redis_settings):
    """A beat is a write that Redis never refuses for want of memory; so is the invalidation that L1 has to hear of."""
    first = start_behind(relay, start_responder)
    alice.until("l1", 1)
    redis_settings("maxmemory-policy", "noeviction")
    redis_settings("maxmemory", "1")
    settle(relay)
    second = start_responder(LISTEN=f"{servers.run_dir}/second.sock")  # it begins while Redis is full
    other = Reader(f"{servers.run_dir}/second.sock")
    other.until("l1", 1)
    assert alice.read() == ("l1", 1)
    add_stock(db, "alice", 2)
    other.tell()
    assert other.read() == ("fwd=miss", 2)
    alice.until("fwd=miss", 2)
    for responder in (first, second):
        assert sessions(responder) == 1 and "L1 is in doubt" not in responder.log()


def test_where_redis_takes_no_writes_l1_is_in_doubt(servers, db, responder, alice, redis_settings):
    """As with MISCONF: an invalidation is refused too, so that no message would tell of it."""
    alice.until("l1", 1)
    redis_settings("min-replicas-to-write", "1")
    wait_until(lambda: "L1 is in doubt" in responder.log(), what="the doubt")
    assert "NOREPLICAS" in responder.log()
    for _ in range(5):
        assert alice.read() == ("redis", 1)
    add_stock(db, "alice", 2)
    alice.tell()
    assert alice.read() == ("fwd=bypass", 2)
    redis_settings("min-replicas-to-write", "0")
    alice.until("l1", 2)


def test_a_master_that_became_a_replica_is_as_if_gone(servers, db, start_responder, alice):
    responder = start_responder(CACHE_DEGRADED_TTL="2")
    alice.until("l1", 1)
    servers.redis("REPLICAOF", "127.0.0.1", "1")
    try:
        wait_until(lambda: "L1 is in doubt" in responder.log(), what="the doubt")
        alice.until("fwd=miss", 1)
        for _ in range(5):
            assert alice.read() == ("fwd=miss", 1), "the time is over"
        add_stock(db, "alice", 2)
        alice.tell()
        assert alice.read() == ("fwd=bypass", 2)
    finally:
        servers.redis("REPLICAOF", "NO", "ONE")
    alice.until("l1", 2)


# --- a Redis that forgets or goes back ----------------------------------------------------------------


def test_after_a_flush_nothing_from_before_is_served(servers, db, responder, alice):
    alice.until("l1", 1)
    add_stock(db, "alice", 2)  # nobody says so; but what is computed anew knows it
    servers.redis("FLUSHALL")
    alice.until("fwd=miss; stored", 2)
    alice.until("l1", 2)
    assert sessions(responder) == 1


def restart(servers):
    os.kill(servers.pid("redis"), signal.SIGKILL)
    wait_until(lambda: not servers.pid("redis"), what="the end of Redis")
    servers.start("redis")


def test_after_a_restart_without_data_nothing_from_before_is_served(servers, db, responder, alice):
    alice.until("l1", 1)
    add_stock(db, "alice", 2)
    restart(servers)
    alice.until(trades=2)
    alice.until("l1", 2)
    assert alice.read() == ("l1", 2)
    assert sessions(responder) == 2


def test_after_a_restart_with_old_data_the_old_number_does_not_return(servers, db, responder, alice):
    dump = servers.run_dir / "dump.rdb"
    alice.until("l1", 1)
    servers.redis("SAVE")
    try:
        add_stock(db, "alice", 2)
        alice.tell()
        alice.until("l1", 2)
        restart(servers)
        assert servers.redis("EXISTS", EPOCHS) == b"1", "the old epochs are back"
        for _ in range(20):
            assert alice.read()[1] == 2
        wait_until(lambda: sessions(responder) == 2, what="a new session")
        for _ in range(20):
            assert alice.read()[1] == 2
        alice.until("l1", 2)
    finally:
        dump.unlink()


def test_a_master_that_became_another_is_not_believed(servers, db, responder, alice):
    alice.until("l1", 1)
    servers.redis("REPLICAOF", "127.0.0.1", "1")
    servers.redis("REPLICAOF", "NO", "ONE")
    add_stock(db, "alice", 2)  # nobody says so; but what is computed anew knows it
    alice.until(trades=2)
    alice.until("l1", 2)


# --- without Redis --------------------------------------------------------------------------------------


def test_without_redis_what_was_valid_is_served_for_a_while(servers, db, start_responder, alice):
    start_responder(CACHE_DEGRADED_TTL="2")
    alice.until("l1", 1)
    servers.stop("redis")
    assert alice.read() == ("l1", 1)
    alice.until("fwd=miss", 1)
    for _ in range(5):
        assert alice.read() == ("fwd=miss", 1), "the time is over"
    servers.start("redis")
    alice.until("l1", 1)


def test_without_redis_a_user_with_an_event_is_not_served_from_memory(servers, db, start_responder, alice):
    responder = start_responder(CACHE_DEGRADED_TTL="3600")
    add_stock(db, "bob", 1)
    bob = Reader(servers.listen, "bob")
    alice.until("l1", 1)
    bob.until("l1", 1)
    servers.stop("redis")
    wait_until(lambda: "L1 is in doubt" in responder.log(), what="the doubt")
    add_stock(db, "alice", 2)
    alice.tell()
    for _ in range(5):
        assert alice.read() == ("fwd=bypass", 2)
        assert bob.read() == ("l1", 1)
    servers.start("redis")
    alice.until("l1", 2)
    bob.until("l1", 1)


def test_with_redis_switched_off_answers_are_kept_for_a_while_only(servers, db, start_responder, alice):
    start_responder(REDIS_ENABLED="false", CACHE_DEGRADED_TTL="2")
    before = int(servers.redis("INFO", "stats").decode().partition("total_connections_received:")[2].split()[0])
    assert alice.read() == ("fwd=miss; stored", 1)
    assert alice.read() == ("l1", 1)
    add_stock(db, "alice", 2)
    alice.until("fwd=miss; stored", 2)  # nobody said so: its time has to pass
    alice.until("l1", 2)
    add_stock(db, "alice", 3)
    alice.tell()
    assert alice.read() == ("fwd=miss; stored", 3)
    after = int(servers.redis("INFO", "stats").decode().partition("total_connections_received:")[2].split()[0])
    assert after == before + 1, "only the test's own"
