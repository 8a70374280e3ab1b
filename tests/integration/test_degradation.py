"""What is answered while Redis or PostgreSQL is gone, hangs, refuses or lies. Each test ends with everything working again."""
import json
import os
import re
import select
import signal
import threading
import time

import psycopg2
import pytest
import stored_value
from fastcgi_client import Client, request
from harness import add_stock, sign_webhook, token, wait_until

CORE = "/api/analytics/core"
CORE_KEY = "analytics:combined:{%s}:all_time:core"
NO_L1 = {"CACHE_MAX_MEMORY_ENTRIES": "0"}  # every hit asks Redis


def bearer(user="alice"):
    return {"Authorization": "Bearer " + token(user)}


def ask(servers, user="alice", path=CORE, listen=None, **headers):
    with Client(listen or servers.listen) as c:
        return c.ask("GET", path, {**bearer(user), **headers})


def trades_in(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)["data"]["total_trades"]


def is_hit(answer):
    return answer.status == 200 and answer.headers["cache-status"].startswith("pnlcache; hit")


def is_unavailable(answer):
    """503 as it has to be."""
    return (answer.status == 503 and answer.headers["retry-after"] == "1"
            and answer.headers["content-type"] == "application/problem+json")


def tell(servers, user="alice"):
    body = json.dumps({"type": "trade.updated", "data": {"user_id": user, "asset": "stocks"}}).encode()
    with Client(servers.listen) as c:
        return c.ask("POST", "/api/webhooks/trades", sign_webhook(body), body)


def readiness(servers, listen=None):
    with Client(listen or servers.listen) as c:
        return json.loads(c.ask("GET", "/readyz").body)


def open_many(servers, n, path_of=lambda i: CORE, user_of=lambda i: f"user{i}", listen=None):
    """n requests at once, each on a connection of its own."""
    clients = [Client(listen or servers.listen) for _ in range(n)]
    for i, c in enumerate(clients):
        c.send(request("GET", path_of(i), bearer(user_of(i))))
    return clients


def read_all(clients):
    answers = [c.read_answer() for c in clients]
    for c in clients:
        c.close()
    return answers


def take_answered(clients, n):
    """Waits until n of the clients have an answer and takes them out of the list."""
    def answered():
        return [c for c in clients if select.select([c.socket], [], [], 0)[0]]

    done = wait_until(lambda: len(answered()) >= n and answered(), what=f"{n} answers")
    clients[:] = [c for c in clients if c not in done]
    return done


def check_all_works(servers, listen=None):
    """Redis and the database are back in use, and no thread is held up: more misses at once than there are threads."""
    wait_until(lambda: readiness(servers, listen)["degraded"] is False, what="the end of degradation")
    users = [f"after{i}" for i in range(12)]
    assert all(a.status == 200 for a in read_all(open_many(servers, 12, user_of=lambda i: users[i], listen=listen)))
    for user in users:
        wait_until(lambda user=user: is_hit(ask(servers, user, listen=listen)), what="a hit")


def lines_of(daemon, message):
    return [line for line in daemon.log().splitlines() if message in line]


def lock_waiters(db):
    with db.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'pnlcache%'")
        return [pid for (pid,) in cursor.fetchall()]


class LockedStocks:
    """The table stocks, locked: computations hang until release()."""

    def __init__(self, servers):
        self.connection = psycopg2.connect(servers.owner_url)
        with self.connection.cursor() as cursor:
            cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")

    def release(self):
        if not self.connection.closed:
            self.connection.commit()
            self.connection.close()


@pytest.fixture
def lock_stocks(servers, clean):
    locks = []

    def lock():
        locks.append(LockedStocks(servers))
        return locks[-1]

    yield lock
    for one in locks:
        one.release()


# --- Redis --------------------------------------------------------------------------------------


def test_redis_gone_no_request_fails_and_the_log_says_it_once(servers, db, responder):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1 and is_hit(ask(servers))
    os.kill(servers.pid("redis"), signal.SIGKILL)
    for _ in range(50):
        assert trades_in(ask(servers)) == 1
    wait_until(lambda: readiness(servers)["redis"] == "down", what="the end of Redis to be noticed")  # L1 needs no Redis
    state = readiness(servers)
    assert (state["ready"], state["redis"], state["database"], state["degraded"]) == (True, "down", "ok", True)
    assert state["breakers"]["redis"] in ("open", "probing")
    servers.start("redis")
    check_all_works(servers)
    assert len(lines_of(responder, 'msg="server is down" server=redis')) == 1, responder.log()
    assert len(lines_of(responder, 'msg="server is back" server=redis')) == 1, responder.log()


def time_outs(daemon):
    """Commands that waited REDIS_TIMEOUT for nothing; the breaker's refusals, which repeat the text, do not count."""
    return [line for line in lines_of(daemon, "no answer within") if "next attempt" not in line and "is down" not in line]


def hang(servers):
    pid = servers.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def test_redis_hung_costs_each_thread_one_time_out_at_most(servers, db, start_responder):
    add_stock(db, "alice", 1)
    responder = start_responder(LOG_LEVEL="debug", REDIS_TIMEOUT="150", THREADS="2", MISS_THREADS="2", **NO_L1)
    for _ in range(10):  # every thread gets to know Redis
        assert trades_in(ask(servers)) == 1
    resume = hang(servers)
    try:
        readers = Readers(servers, ["alice"] * 8, n=8)
        time.sleep(3)  # many pauses of the breaker, after each of which somebody has to try
        readers.end()
        assert readiness(servers)["redis"] == "down"
        assert len(time_outs(responder)) <= 4, time_outs(responder)
    finally:
        resume()
    check_all_works(servers)


def test_redis_slower_than_its_time_out_is_as_if_it_hung(servers, db, start_responder, redis_proxy):
    add_stock(db, "alice", 1)
    responder = start_responder(REDIS_URL=redis_proxy.url, REDIS_TIMEOUT="150", LOG_LEVEL="debug", THREADS="2", MISS_THREADS="2", **NO_L1)
    assert trades_in(ask(servers)) == 1
    redis_proxy.delay(200)
    for _ in range(100):
        assert trades_in(ask(servers)) == 1
    wait_until(lambda: readiness(servers)["redis"] == "down", what="the breaker to open")
    assert len(time_outs(responder)) <= 4, time_outs(responder)
    redis_proxy.let_pass()
    check_all_works(servers)


@pytest.fixture
def full_redis(servers, clean):
    limit, policy = (servers.redis("CONFIG", "GET", name).split()[1].decode() for name in ("maxmemory", "maxmemory-policy"))

    def fill():
        servers.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
        servers.redis("CONFIG", "SET", "maxmemory", "1")

    def empty():
        servers.redis("CONFIG", "SET", "maxmemory", limit)
        servers.redis("CONFIG", "SET", "maxmemory-policy", policy)

    fill.undo = empty
    yield fill
    empty()


def test_redis_full_reads_hit_stores_are_refused_and_events_count(servers, db, responder, full_redis):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    full_redis()
    assert is_hit(ask(servers))
    for _ in range(3):
        answer = ask(servers, "bob")
        assert answer.status == 200 and answer.headers["cache-status"] == "pnlcache; fwd=miss", answer
    state = readiness(servers)
    assert (state["redis"], state["stores_refused"], state["degraded"]) == ("ok", True, True)
    add_stock(db, "alice", 2)
    assert tell(servers).status == 202
    assert trades_in(ask(servers)) == 2
    full_redis.undo()
    assert ask(servers, "carol").status == 200  # the first store that is accepted ends it
    check_all_works(servers)
    assert len(lines_of(responder, "Redis refuses to store")) == 1 and "OOM" in lines_of(responder, "Redis refuses to store")[0]
    assert len(lines_of(responder, "Redis stores again")) == 1


def test_redis_has_room_again_and_nobody_stores_the_degradation_ends(servers, db, responder, full_redis):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    full_redis()
    assert ask(servers, "bob").status == 200
    assert readiness(servers)["stores_refused"] is True
    full_redis.undo()
    wait_until(lambda: readiness(servers)["degraded"] is False, what="the room to be noticed")
    assert len(lines_of(responder, "Redis stores again")) == 1
    check_all_works(servers)


def test_redis_replaced_while_epochs_are_opened_has_refused_nothing(servers, db, start_responder, redis_proxy):
    responder = start_responder(REDIS_URL=redis_proxy.url, MISS_THREADS="1")
    assert ask(servers, "bob").status == 200  # the thread knows this instance
    redis_proxy.hold("HSETNX")
    clients = open_many(servers, 1, user_of=lambda i: "alice")
    redis_proxy.wait_sprung()  # the epochs have been looked for, and are about to be made
    servers.redis("REPLICAOF", "127.0.0.1", "1")
    servers.redis("REPLICAOF", "NO", "ONE")
    redis_proxy.close_all()
    assert [a.status for a in read_all(clients)] == [200]
    assert not lines_of(responder, "Redis refuses to store"), responder.log()
    redis_proxy.let_pass()
    check_all_works(servers)


def outbox_rows(db, user="alice"):
    with db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pnlcache.change_log WHERE user_id = %s", (user,))
        return cursor.fetchone()[0]


def test_redis_that_became_a_replica_is_not_used(servers, db, responder):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    servers.redis("REPLICAOF", "127.0.0.1", "1")
    try:
        wait_until(lambda: readiness(servers)["redis"] == "down", what="the replica to be noticed")
        add_stock(db, "alice", 2)
        before = outbox_rows(db)
        assert tell(servers).status == 202
        assert outbox_rows(db) == before + 1
        assert trades_in(ask(servers)) == 2
        assert readiness(servers)["pending_invalidations"] == 1
    finally:
        servers.redis("REPLICAOF", "NO", "ONE")
    check_all_works(servers)
    wait_until(lambda: readiness(servers)["pending_invalidations"] == 0, what="the invalidation to be carried out")
    assert trades_in(ask(servers)) == 2


def test_redis_that_cannot_save_reads_hit_and_events_go_to_the_outbox(servers, db, responder):
    """MISCONF: even HDEL is refused; so is PING, but nobody asks it."""
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    in_the_way = servers.run_dir / "dump.rdb"
    in_the_way.mkdir()
    try:
        servers.redis("CONFIG", "SET", "save", "3600 1")
        servers.redis("BGSAVE")
        wait_until(lambda: b"rdb_last_bgsave_status:err" in servers.redis("INFO", "persistence"), what="the save to fail")
        assert is_hit(ask(servers))
        answer = ask(servers, "bob")
        assert answer.status == 200 and "stored" not in answer.headers["cache-status"]
        add_stock(db, "alice", 2)
        before = outbox_rows(db)
        assert tell(servers).status == 202
        assert outbox_rows(db) == before + 1
        assert trades_in(ask(servers)) == 2
        assert readiness(servers)["stores_refused"] is True
    finally:
        servers.redis("CONFIG", "SET", "save", "")
        in_the_way.rmdir()
    wait_until(lambda: "bypass" not in ask(servers).headers["cache-status"], what="the end of the bypass")
    assert ask(servers, "carol").status == 200
    check_all_works(servers)


class Readers:
    """Threads that read documents again and again; their answers by status."""

    def __init__(self, servers, users, n=4):
        self.servers, self.users = servers, users
        self.stop = threading.Event()
        self.problems, self.n_answers = [], 0
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(n)]
        for thread in self.threads:
            thread.start()

    def run(self, i):
        while not self.stop.is_set():
            for user in self.users[i::len(self.threads)]:
                answer = ask(self.servers, user)
                self.n_answers += 1
                if answer.status != 200:
                    self.problems.append(repr(answer))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.problems, self.problems[:3]


def test_redis_flushed_again_and_again_under_load(servers, db, responder):
    readers = Readers(servers, [f"user{i}" for i in range(20)])
    for _ in range(30):
        servers.redis("FLUSHALL")
        n = readers.n_answers
        wait_until(lambda n=n: readers.n_answers > n, what="answers after the flush")
    readers.end()
    check_all_works(servers)


def test_redis_restarted_empty_under_load(servers, db, responder):
    readers = Readers(servers, [f"user{i}" for i in range(20)])
    for _ in range(2):
        n = readers.n_answers
        os.kill(servers.pid("redis"), signal.SIGKILL)
        wait_until(lambda n=n: readers.n_answers > n + 20, what="answers without Redis")
        servers.start("redis")
        wait_until(lambda: is_hit(ask(servers)), what="a hit after the restart")
    readers.end()
    check_all_works(servers)


def test_redis_restarted_with_old_data_serves_none_of_it(servers, db, responder):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    dump = servers.run_dir / "dump.rdb"
    try:
        servers.redis("SAVE")
        os.kill(servers.pid("redis"), signal.SIGKILL)
        add_stock(db, "alice", 2)
        assert tell(servers).status == 202
        servers.start("redis")
        assert servers.redis("EXISTS", CORE_KEY % "alice") == b"1"
        assert trades_in(ask(servers)) == 2
        wait_until(lambda: is_hit(ask(servers)), what="a hit")
        assert trades_in(ask(servers)) == 2
        check_all_works(servers)
    finally:
        dump.unlink()


def test_redis_that_refuses_our_password_is_down_until_it_is_right_again(servers, db, responder):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    servers.redis("CONFIG", "SET", "requirepass", "rotated")
    try:
        servers.redis("-a", "rotated", "--no-auth-warning", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        for _ in range(20):
            assert trades_in(ask(servers)) == 1
        assert readiness(servers)["redis"] == "down"
    finally:
        servers.redis("-a", "rotated", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")
    check_all_works(servers)
    down = lines_of(responder, "server is down")
    assert len(down) == 1 and "NOAUTH" in down[0], down


def test_redis_rights_taken_away_every_request_is_computed(servers, db, responder):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    servers.redis("ACL", "SETUSER", "default", "-get", "-set", "-hsetnx")
    try:
        for user in ("alice", "alice", "bob"):
            assert ask(servers, user).status == 200
    finally:
        servers.redis("ACL", "SETUSER", "default", "+@all")
    assert ask(servers, "carol").status == 200
    check_all_works(servers)


def reply_size(servers):
    """About what a hit makes Redis send."""
    return len(servers.redis("GET", CORE_KEY % "alice")) + 100


@pytest.mark.parametrize("harm", ["cut", "reset", "flip"])
def test_redis_replies_harmed_at_any_byte_are_never_taken_for_answers(servers, db, start_responder, redis_proxy, harm):
    add_stock(db, "alice", 1)
    start_responder(REDIS_URL=redis_proxy.url, THREADS="1", MISS_THREADS="1", **NO_L1)
    assert trades_in(ask(servers)) == 1
    good = ask(servers)
    assert is_hit(good)
    for n in range(0, reply_size(servers), 41):
        getattr(redis_proxy, harm)(n)
        for _ in range(2):
            answer = ask(servers)
            assert trades_in(answer) == 1, (n, answer)
            assert json.loads(answer.body)["data"] == json.loads(good.body)["data"], n
    redis_proxy.let_pass()
    check_all_works(servers)


def test_readiness_names_the_versions_of_the_servers_it_has_seen(servers, db, responder):
    redis = re.search(r"redis_version:(\S+)", servers.redis("INFO", "server").decode()).group(1)
    postgresql = f"{db.server_version // 10000}.{db.server_version % 10000}"
    seen = wait_until(lambda: (v := readiness(servers)["versions"])["redis"] and v["postgresql"] and v, what="a look at both")
    assert (seen["redis"], seen["postgresql"]) == (redis, postgresql) and re.fullmatch(r"\d+\.\d+\.\d+", seen["pnlcache"])
    servers.stop("redis")
    try:
        wait_until(lambda: readiness(servers)["redis"] == "down", what="the end to be noticed")
        assert readiness(servers)["versions"] == seen
    finally:
        servers.start("redis")
    check_all_works(servers)


@pytest.mark.parametrize("name", ["garbage", "empty", "other version", "cut", "list", "hash", "swapped body"])
def test_a_foreign_or_damaged_value_is_a_miss_and_replaced(servers, db, responder, name):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    key = CORE_KEY % "alice"
    value = servers.redis("GET", key)
    assert value.startswith(b"PNLC1 ")
    line, body = value.split(b"\n", 1)
    servers.redis("DEL", key)
    if name == "list":
        servers.redis("RPUSH", key, "x")
    elif name == "hash":
        servers.redis("HSET", key, "field", "x")
    else:
        harmed = {"garbage": b"x" * 500, "empty": b"", "other version": value.replace(b"PNLC1", b"PNLC9", 1),
                  "cut": value[:-5], "swapped body": line + b"\n" + body[::-1]}[name]
        stored_value.put(servers, key, harmed)
    answer = ask(servers)
    assert trades_in(answer) == 1 and "fwd=miss" in answer.headers["cache-status"]
    again = ask(servers)
    assert is_hit(again) and again.body == answer.body
    assert len(lines_of(responder, "a damaged or foreign value is replaced")) == 1
    check_all_works(servers)


def test_a_value_that_looks_whole_and_does_not_unpack_is_replaced(servers, db, responder):
    for i in range(1, 6):
        add_stock(db, "alice", i)
    path, key = "/api/stocks/analytics", "analytics:stocks:{alice}:all_time"
    good = ask(servers, path=path)
    assert good.status == 200
    head, body = stored_value.get(servers, key)
    assert b" enc=g " in head
    stored_value.put_body(servers, key, body[:20] + bytes(len(body) - 40) + body[-20:], encoding=b"g")
    answer = ask(servers, path=path)
    assert answer.status == 200 and "fwd=miss" in answer.headers["cache-status"], answer
    assert json.loads(answer.body)["data"] == json.loads(good.body)["data"]
    again = ask(servers, path=path)
    assert is_hit(again) and again.body == answer.body
    assert len(lines_of(responder, "a damaged or foreign value is replaced")) == 1
    check_all_works(servers)


ODD_USERS = ["{x}", "a}b", "a:b:c", "*", "a b", "%41", "ü", "[a-z]", "?", "\\", '"', "'; DROP TABLE stocks; --"]


@pytest.mark.parametrize("user", ODD_USERS)
def test_no_odd_byte_of_a_user_id_reaches_a_key(servers, db, responder, user):
    add_stock(db, user, 1)
    assert trades_in(ask(servers, user)) == 1
    assert is_hit(ask(servers, user))
    assert tell(servers, user).status == 202
    for key in servers.redis("KEYS", "*").decode().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.@|:%-]*(\{[A-Za-z0-9_.@|%-]+\}[A-Za-z0-9_.@|:%-]*)?", key), key


@pytest.mark.parametrize("user", ["a\nb", "a\tb", "x" * 129, "x" * 10000, "\x7f"])
def test_ids_that_are_none_are_refused_and_leave_no_key(servers, responder, user):
    assert ask(servers, user).status in (400, 401)
    assert servers.redis("KEYS", "analytics:*") == b""


# --- PostgreSQL ---------------------------------------------------------------------------------


def test_postgres_gone_hits_go_on_misses_are_503_and_it_comes_back(servers, db, responder):
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    servers.stop("postgres")
    try:
        for i in range(30):
            assert is_hit(ask(servers))
            assert is_unavailable(ask(servers, f"user{i}"))
        state = readiness(servers)
        assert (state["ready"], state["database"], state["degraded"]) == (True, "down", True)
        assert state["breakers"]["database"] in ("open", "probing")
    finally:
        servers.start("postgres")
    check_all_works(servers)
    assert len(lines_of(responder, 'msg="server is down" server=database')) == 1, responder.log()
    assert len(lines_of(responder, "request failed")) == 0, responder.log()


def test_postgres_locked_hits_go_on_and_the_lock_time_out_ends_the_misses(servers, db, start_responder, lock_stocks):
    start_responder(DATABASE_TIMEOUT="1000", MISS_THREADS="2")
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    lock = lock_stocks()
    waiting = open_many(servers, 6)
    wait_until(lambda: len(lock_waiters(db)) == 2, what="misses to hang")
    for _ in range(50):
        assert is_hit(ask(servers))
    assert readiness(servers)["database"] == "ok"
    assert all(is_unavailable(a) for a in read_all(waiting))
    lock.release()
    check_all_works(servers)


def test_postgres_concurrency_is_bounded_and_a_full_queue_refuses_at_once(servers, db, start_responder, lock_stocks):
    start_responder(MISS_THREADS="2", MISS_QUEUE="20")
    lock = lock_stocks()
    clients = open_many(servers, 40)
    refused = read_all(take_answered(clients, 20))
    assert len(refused) == 20 and all(is_unavailable(a) for a in refused)
    assert len(wait_until(lambda: len(lock_waiters(db)) >= 2 and lock_waiters(db), what="misses to hang")) == 2
    lock.release()
    assert [a.status for a in read_all(clients)] == [200] * 20
    check_all_works(servers)


def test_postgres_backend_stopped_costs_one_request_and_no_thread(servers, db, start_responder, lock_stocks):
    start_responder(DATABASE_TIMEOUT="1000", MISS_THREADS="1")
    lock = lock_stocks()
    [client] = open_many(servers, 1)
    [pid] = wait_until(lambda: lock_waiters(db), what="a miss to hang")
    os.kill(pid, signal.SIGSTOP)
    try:
        lock.release()
        assert is_unavailable(read_all([client])[0])
        assert ask(servers, "alice").status == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    check_all_works(servers)


def terminate(db, pids):
    with db.cursor() as cursor:
        for pid in pids:
            cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))


def test_postgres_backend_terminated_the_request_is_computed_on_a_new_connection(servers, db, start_responder, lock_stocks):
    start_responder(MISS_THREADS="1")
    add_stock(db, "alice", 1)
    lock = lock_stocks()
    [client] = open_many(servers, 1, user_of=lambda i: "alice")
    [pid] = wait_until(lambda: lock_waiters(db), what="a miss to hang")
    terminate(db, [pid])
    wait_until(lambda: lock_waiters(db) not in ([], [pid]), what="the second attempt")
    lock.release()
    assert trades_in(read_all([client])[0]) == 1
    check_all_works(servers)


def test_postgres_restarted_under_load(servers, db, responder):
    for i in range(10):
        assert ask(servers, f"user{i}").status == 200
    servers.stop("postgres")
    assert is_unavailable(ask(servers, "bob"))
    servers.start("postgres")
    wait_until(lambda: ask(servers, "bob").status == 200, what="the database to be used again")
    check_all_works(servers)


def test_postgres_silent_opens_the_breaker(servers, db, start_responder, start_postgres_proxy):
    """As a network that swallows everything: connections are accepted and nothing comes back."""
    proxy = start_postgres_proxy()
    start_responder(DATABASE_URL=proxy.url, DATABASE_TIMEOUT="500", MISS_THREADS="2")
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    proxy.stall()
    wait_until(lambda: readiness(servers)["database"] == "down", what="the breaker to open")
    for i in range(20):
        assert is_hit(ask(servers))
        assert is_unavailable(ask(servers, f"user{i}"))
    proxy.let_pass()
    check_all_works(servers)


def test_postgres_read_only_after_a_failover_reads_go_on(servers, db, responder):
    add_stock(db, "alice", 1)
    with db.cursor() as cursor:
        cursor.execute("ALTER ROLE pnlcache SET default_transaction_read_only = on")
    try:
        terminate(db, [pid for pid in backends(db)])
        assert trades_in(ask(servers)) == 1
    finally:
        with db.cursor() as cursor:
            cursor.execute("ALTER ROLE pnlcache RESET default_transaction_read_only")
    check_all_works(servers)


def backends(db):
    with db.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pnlcache%'")
        return [pid for (pid,) in cursor.fetchall()]


# --- both, and neither fully --------------------------------------------------------------------


def test_both_gone_is_503_and_both_come_back(servers, db, responder):
    assert ask(servers).status == 200
    servers.stop("redis", "postgres")
    try:
        wait_until(lambda: is_unavailable(ask(servers)), what="the last value of this process to age")
        for _ in range(20):
            assert is_unavailable(ask(servers))
        with Client(servers.listen) as c:
            ready = c.ask("GET", "/readyz")
            assert ready.status == 503 and ready.headers["retry-after"] == "1"
            assert c.ask("GET", "/healthz").status == 200
    finally:
        servers.start("redis", "postgres")
    check_all_works(servers)


def test_without_redis_two_hundred_documents_are_all_answered(servers, db, responder):
    servers.stop("redis")
    try:
        for _ in range(3):
            answers = read_all(open_many(servers, 200, user_of=lambda i: f"user{i % 25}",
                                         path_of=lambda i: f"{CORE}?time_range=custom&start_date=2024-01-{i // 25 + 1:02}"))
            assert [a.status for a in answers] == [200] * 200
    finally:
        servers.start("redis")
    check_all_works(servers)


def test_without_redis_more_than_the_database_bears_is_refused_at_once(servers, db, start_responder, lock_stocks):
    start_responder(MISS_THREADS="1", MISS_QUEUE="20")
    servers.stop("redis")
    try:
        lock = lock_stocks()
        clients = open_many(servers, 100)
        refused = read_all(take_answered(clients, 80))  # while the others still wait
        assert len(refused) == 80 and all(is_unavailable(a) for a in refused)
        lock.release()
        assert [a.status for a in read_all(clients)] == [200] * 20
    finally:
        servers.start("redis")
    check_all_works(servers)


# --- stale if the database fails ----------------------------------------------------------------


def test_stale_values_are_served_when_allowed_and_never_past_an_invalidation(servers, db, start_responder):
    start_responder(CACHE_TTL_ANALYTICS="1", CACHE_STALE_IF_ERROR="600")
    add_stock(db, "alice", 1)
    add_stock(db, "bob", 1)
    fresh = ask(servers)
    assert trades_in(fresh) == 1 and trades_in(ask(servers, "bob")) == 1
    servers.stop("postgres")
    try:
        stale = wait_until(lambda: not is_hit(answer := ask(servers)) and answer, what="the value to expire")
        assert trades_in(stale) == 1 and stale.body == fresh.body
        assert re.fullmatch(r"pnlcache; fwd=stale; ttl=-[1-9]\d*; detail=redis", stale.headers["cache-status"]), stale
        assert ask(servers, **{"If-None-Match": stale.headers["etag"]}).status == 304
        assert tell(servers).status == 202  # Redis has the invalidation
        for _ in range(3):
            assert is_unavailable(ask(servers))
        assert "fwd=stale" in wait_until(lambda: not is_hit(a := ask(servers, "bob")) and a, what="expiry").headers["cache-status"]
    finally:
        servers.start("postgres")
    check_all_works_now(servers)
    assert "stored" in wait_until(lambda: "stale" not in (a := ask(servers)).headers["cache-status"] and a,
                                  what="a new value").headers["cache-status"]


def check_all_works_now(servers):
    """Where values live for a second only, nobody can count on a hit."""
    wait_until(lambda: readiness(servers)["degraded"] is False, what="the end of degradation")
    assert all(a.status == 200 for a in read_all(open_many(servers, 12, user_of=lambda i: f"after{i}")))


def test_stale_values_are_not_served_by_default(servers, db, start_responder):
    start_responder(CACHE_TTL_ANALYTICS="1")
    assert ask(servers).status == 200
    servers.stop("postgres")
    try:
        assert is_unavailable(wait_until(lambda: not is_hit(a := ask(servers)) and a, what="the value to expire"))
    finally:
        servers.start("postgres")
    check_all_works_now(servers)


# --- one computation for many -------------------------------------------------------------------


@pytest.fixture
def two_responders(servers, start_responder):
    listens = [servers.listen, f"{servers.run_dir}/second.sock"]

    def start(**settings):
        return [start_responder(LISTEN=listen, **settings) for listen in listens]

    start.listens = listens
    return start


def count_reads(statements):
    return sum(s.startswith("COPY ") for s in statements())


def test_a_thousand_requests_for_a_cold_key_are_one_query_for_each_responder(servers, db, two_responders, statements):
    add_stock(db, "alice", 1)
    two_responders()
    ask(servers, "bob")
    before = count_reads(statements)
    per_request = before
    assert per_request >= 1, "the queries are not seen"
    clients = [c for listen in two_responders.listens
               for c in open_many(servers, 500, user_of=lambda i: "alice", listen=listen)]
    answers = read_all(clients)
    assert [a.status for a in answers] == [200] * 1000
    assert len({a.body for a in answers}) <= 2
    assert per_request <= count_reads(statements) - before <= 2 * per_request
    for listen in two_responders.listens:
        check_all_works(servers, listen)


def wait_for_key(servers, key):
    wait_until(lambda: servers.redis("EXISTS", key) == b"1", what=key)


LOCK = "lock:" + CORE_KEY % "alice"


def test_a_second_process_waits_for_the_first_ones_result(servers, db, two_responders, lock_stocks):
    add_stock(db, "alice", 1)
    two_responders()
    lock = lock_stocks()
    first = open_many(servers, 3, user_of=lambda i: "alice")
    wait_for_key(servers, LOCK)
    second = open_many(servers, 20, user_of=lambda i: "alice", listen=two_responders.listens[1])
    [other] = open_many(servers, 1, user_of=lambda i: "bob", listen=two_responders.listens[1])
    wait_until(lambda: len(lock_waiters(db)) == 2, what="the other key's computation: nobody waits behind a flight that waits")
    lock.release()
    assert [trades_in(a) for a in read_all(first)] == [1] * 3
    answers = read_all(second)
    assert all(is_hit(a) and trades_in(a) == 1 for a in answers), answers[0]
    assert read_all([other])[0].status == 200
    wait_until(lambda: servers.redis("EXISTS", LOCK) == b"0", what="the lock to be given back")
    check_all_works(servers)


def test_a_waiter_takes_no_result_that_an_event_has_overtaken(servers, db, two_responders, lock_stocks):
    """The first process's value is stored under epochs that the event has ended; the second computes for itself."""
    two_responders()
    lock = lock_stocks()
    first = open_many(servers, 1, user_of=lambda i: "alice")
    wait_until(lambda: lock_waiters(db), what="the computation, with its epochs and its snapshot, to hang")
    second = open_many(servers, 1, user_of=lambda i: "alice", listen=two_responders.listens[1])
    add_stock(lock.connection, "alice", 1)
    assert tell(servers).status == 202
    third = open_many(servers, 1, user_of=lambda i: "alice", listen=two_responders.listens[1])
    lock.release()
    assert read_all(first)[0].status == 200
    assert read_all(second)[0].status == 200
    assert trades_in(read_all(third)[0]) == 1
    check_all_works(servers)


def test_the_holder_dies_and_the_waiter_computes(servers, db, two_responders, lock_stocks):
    add_stock(db, "alice", 1)
    holder, _ = two_responders(REQUEST_TIMEOUT="6000")
    lock = lock_stocks()
    held = open_many(servers, 1, user_of=lambda i: "alice")
    wait_for_key(servers, LOCK)
    waiting = open_many(servers, 5, user_of=lambda i: "alice", listen=two_responders.listens[1])
    holder.expected_end = True
    holder.kill()
    lock.release()
    assert [trades_in(a) for a in read_all(waiting)] == [1] * 5
    for c in held:
        c.close()
    check_all_works(servers, two_responders.listens[1])


def test_a_lock_that_nobody_gives_back_delays_and_fails_nothing(servers, db, start_responder):
    start_responder(REQUEST_TIMEOUT="2000")
    add_stock(db, "alice", 1)
    servers.redis("SET", LOCK, "somebody else")
    assert trades_in(ask(servers)) == 1
    assert servers.redis("GET", LOCK) == b"somebody else"
    check_all_works(servers)


def test_a_long_computation_keeps_its_lock(servers, db, start_responder, lock_stocks):
    start_responder(REQUEST_TIMEOUT="4000", DATABASE_TIMEOUT="20000")  # a TTL of two seconds
    add_stock(db, "alice", 1)
    lock = lock_stocks()
    clients = open_many(servers, 1, user_of=lambda i: "alice")
    wait_for_key(servers, LOCK)
    owner = servers.redis("GET", LOCK)
    deadline = time.monotonic() + 5  # longer than twice its TTL
    while time.monotonic() < deadline:
        assert servers.redis("GET", LOCK) == owner
    lock.release()
    assert trades_in(read_all(clients)[0]) == 1
    check_all_works(servers)
