"""From the outbox to fresh values while workers and servers die: many workers at once, every step of the path, and at random."""
import json
import os
import re
import threading
import time

import psycopg2
import pytest

from harness import add_stock, wait_until
from test_worker import execute, fresh, has_trades, queue, queue_is_empty, value

KILLS = int(os.environ.get("KILLS", 200))


def commit(servers, sql, *arguments):
    """One transaction on a connection of its own."""
    connection = psycopg2.connect(servers.owner_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(sql, arguments)
    connection.close()


def add_to_users(servers, users, id):
    commit(servers, "INSERT INTO stocks (user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                    " SELECT u, %s, 'ACME', 'BUY', 100, 10, 11, now() - interval '1 day', now() - interval '1 hour'"
                    " FROM unnest(%s::text[]) AS u", id, users)


def totals(worker):
    """What a stopped worker says it did."""
    line = re.search(r"msg=stopped (.*)", worker.log()).group(1)
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def check_stored(servers, run_worker, users):
    """Every stored document says what a computation from the database says now."""
    words = [word for user in users for word in ("--user", user)]
    lines = run_worker("job", "precompute", "--print", *words).stdout.splitlines()
    assert len(lines) == 88 * len(users)
    for line in lines:
        key, body = line.split("\t", 1)
        found = value(servers, key)
        assert found and found[1]["data"] == json.loads(body)["data"], key


def test_four_workers_share_the_outbox_and_do_nothing_twice(servers, db, start_worker, settle):
    workers = [start_worker(WORKER_CONCURRENCY="1") for _ in range(4)]
    wait_until(lambda: all("started" in worker.log() for worker in workers))
    groups = [[f"user{group}-{n}" for n in range(20)] for group in range(20)]
    writers = [threading.Thread(target=lambda w=w: [add_to_users(servers, group, 1) for group in groups[w::4]]) for w in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    settle(timeout=60)
    for group in groups:
        for user in group[::5]:
            assert has_trades(servers, user, 1), user
    for worker in workers:
        worker.expected_end = True
        assert worker.stop() == 0
    done = [totals(worker) for worker in workers]
    assert sum(one["events"] for one in done) == 400, done
    assert sum(one["jobs"] for one in done) == 400, done
    assert sum(one["failures"] for one in done) == 0, done


def test_doorbell_whose_peer_is_silently_gone_is_noticed(servers, db, start_worker, postgres_proxy):
    worker = start_worker(DATABASE_URL=postgres_proxy.url, OUTBOX_POLL="3600000", DATABASE_TIMEOUT="500")
    add_stock(db, "ann", 1)
    wait_until(lambda: has_trades(servers, "ann", 1))
    postgres_proxy.stall()
    add_stock(db, "ann", 2)
    wait_until(lambda: re.search("waiting for a server.*for=outbox", worker.log()), timeout=30)
    postgres_proxy.let_pass()
    wait_until(lambda: has_trades(servers, "ann", 2))


# The path of an event, by a word of what is sent at each step.
STEPS = [
    ("postgres", "outbox_claim"), ("redis", "HDEL"), ("redis", "XADD"), ("postgres", "outbox_delete"), ("postgres", "COMMIT"),
    ("redis", "lock:job"), ("redis", "HMGET"), ("postgres", "REPEATABLE READ"), ("postgres", "COPY ("), ("redis", "GETRANGE"),
    ("redis", "PUBLISH"), ("redis", "XACK"),
]
QUEUED = STEPS.index(("redis", "XADD"))  # after it the outbox has forgotten the event


@pytest.mark.parametrize("server, word", STEPS)
def test_worker_or_either_server_dies_at_a_step(servers, start_worker, run_worker, redis_proxy, postgres_proxy, server, word):
    proxy = {"redis": redis_proxy, "postgres": postgres_proxy}[server]
    settings = {"DATABASE_URL": postgres_proxy.url, "REDIS_URL": redis_proxy.url, "JOB_TIMEOUT": "1", "OUTBOX_POLL": "100",
                "WORKER_CONCURRENCY": "1"}
    users = ["ann", "bob", "carl"]

    def is_fresh(n):
        return all(has_trades(servers, user, n) for user in users) and queue_is_empty(run_worker)

    first = start_worker(**settings)
    add_to_users(servers, users, 1)
    wait_until(lambda: is_fresh(1))

    proxy.hold(word)
    add_to_users(servers, users, 2)
    proxy.wait_sprung(1)
    first.expected_end = True
    first.kill()
    proxy.let_pass()
    start_worker(**settings)
    wait_until(lambda: is_fresh(2), timeout=60, what=f"the death of a worker at {word} to be made up for")

    n = 2
    for times, victim in ((2, server), (3, "postgres" if server == "redis" else "redis")):
        n += 1
        proxy.hold(word)
        add_to_users(servers, users, n)
        proxy.wait_sprung(times)
        servers.stop(victim)
        {"redis": redis_proxy, "postgres": postgres_proxy}[victim].close_all()
        proxy.let_pass()
        servers.start(victim)
        if victim == "redis" and STEPS.index((server, word)) > QUEUED:
            # The queue died with it, and every value: a miss for whoever asks, until the next event.
            assert all(has_trades(servers, user, n) or fresh(servers, user) is None for user in users)
            n += 1
            add_to_users(servers, users, n)
        wait_until(lambda n=n: is_fresh(n), timeout=60, what=f"the death of {victim} at {server}'s {word} to be made up for")
    assert queue(run_worker)["dead"] == queue(run_worker)["outbox_depth"] == 0


def kill_workers(servers, db, start_worker, run_worker, settle, kills):
    """Changes go on while one of two workers is killed again and again; nothing is lost, whatever the moments were."""
    users = [f"user{i}" for i in range(20)]
    settings = {"JOB_TIMEOUT": "1", "OUTBOX_POLL": "50"}
    survivor = start_worker(**settings)
    for n in range(1, kills + 1):
        victim = start_worker(**settings)
        add_to_users(servers, users, n)
        time.sleep(0.004 * (n * 7 % 50))  # another moment each time; what is asserted does not depend on it
        victim.expected_end = True
        victim.kill()
    for user in users:
        wait_until(lambda user=user: has_trades(servers, user, kills), timeout=120, what=f"{user} to be fresh")
    settle(timeout=120)
    assert queue(run_worker)["dead"] == 0
    assert survivor.alive()
    check_stored(servers, run_worker, users)


def test_workers_killed_again_and_again_lose_nothing(servers, db, start_worker, run_worker, settle):
    kill_workers(servers, db, start_worker, run_worker, settle, 20)


@pytest.mark.long
def test_worker_killed_200_times_loses_nothing(servers, db, start_worker, run_worker, settle):
    kill_workers(servers, db, start_worker, run_worker, settle, KILLS)


def test_doorbell_carries_nothing_and_can_be_switched_off(servers, db):
    listener = psycopg2.connect(servers.owner_url)
    listener.autocommit = True
    execute(listener, "LISTEN pnlcache_change")
    execute(db, "SET pnlcache.notify = off")
    add_stock(db, "ann", 1)
    execute(db, "SET pnlcache.notify = on")
    for n in (2, 3):
        add_stock(db, "ann", n)
    wait_until(lambda: listener.poll() or len(listener.notifies) >= 2)
    assert [note.payload for note in listener.notifies] == ["", ""]
    assert execute(db, "SELECT count(*) FROM pnlcache.change_log") == [(3,)]
    listener.close()
