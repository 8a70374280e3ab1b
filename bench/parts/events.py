"""Events: from COMMIT to fresh values."""
import json
import os
import re
import statistics
import subprocess
import time

import psycopg2
import redis
from harness import BUILD, Daemon, wait_until

import event_timeline
from common import RANGES, ROUNDS, TRADES, USERS, figure, owner_sql, part, say

EVENTS = int(os.environ.get("EVENTS", 200))
# One more closed trade for every user of an array; the user's next number is its id.
ADD_TRADES = """
    INSERT INTO stocks (user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, entry_date, exit_date)
    SELECT u, (SELECT max(id) + 1 FROM stocks WHERE user_id = u), 'AAPL', 'BUY', 'LIMIT', 10, 100, 101, now() - interval '2 hours',
           now() - interval '1 hour'
    FROM unnest(%s::text[]) AS u"""


class Updates:
    """The messages on pnlcache:updated."""

    def __init__(self, client):
        self.subscription = client.pubsub(ignore_subscribe_messages=True)
        self.subscription.subscribe("pnlcache:updated")
        wait_until(lambda: client.pubsub_numsub("pnlcache:updated")[0][1] == 1)

    def next(self, timeout):
        """The next message; None: none came. (What the library gives for a confirmed subscription is None, too.)"""
        deadline = time.monotonic() + timeout
        message = None
        while message is None and time.monotonic() < deadline:
            message = self.subscription.get_message(timeout=deadline - time.monotonic())
        return message and json.loads(message["data"])

    def wait(self, users):
        """Until summaries of all these users were stored; when that was."""
        users = set(users)
        while users:
            message = self.next(30)
            assert message, f"{len(users)} users are not fresh, {sorted(users)[:3]} for instance"
            if "summary" in message["sections"]:
                users.discard(message["user"])
        return time.monotonic()


def add_trades(connection, users, clock=time.monotonic):
    """When the COMMIT was sent."""
    with connection.cursor() as cursor:
        cursor.execute(ADD_TRADES, (users,))
    start = clock()
    connection.commit()
    return start


def is_quiet(connection, client):
    """Nothing is left to do."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pnlcache.change_log")
        return cursor.fetchone() == (0,) and client.xlen("jobs") == client.zcard("jobs:later") == 0


def valid_documents(client, user):
    """How many stored documents of the user are valid under its present epochs."""
    present = {tag.decode(): epoch for tag, epoch in client.hgetall(f"epoch:{{{user}}}").items()}
    keys = [f"analytics:{asset}:{{{user}}}:{range_name}{section}" for range_name in RANGES for asset in ("stocks", "options", "combined")
            for section in ("", ":core", ":risk", ":performance") if section or asset != "combined"]
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.getrange(key, 0, 511)
    heads = [re.search(rb" epochs=([^\n]*)\n", head) for head in pipe.execute()]
    return sum(bool(head) and all(present.get(tag.decode()) == epoch for tag, epoch in
                                  (pair.split(b":") for pair in head.group(1).split(b","))) for head in heads)


@part("events", 80)
def bench_events(servers):
    say(f"from the COMMIT of a trade to the new summary in Redis: {EVENTS} events, no webhook, {TRADES} trades a user; "
        f"then {USERS} users at once")
    users = [f"bench-{u:04d}" for u in range(1, USERS + 1)]
    client = redis.Redis(unix_socket_path=servers.redis_socket)
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--all"], env=servers.settings(LOG_LEVEL="warn"), check=True)
    worker = Daemon([BUILD / "pnlcache-worker", "run"], servers.settings(), servers.state / "worker.log")
    connection = psycopg2.connect(servers.owner_url)
    try:
        updates = Updates(client)
        wait_until(lambda: b"workers" in servers.redis("XINFO", "GROUPS", "jobs"))
        latencies = []
        for i in range(EVENTS + 5):
            user = users[i % len(users)]
            start = add_trades(connection, [user])
            latencies.append((updates.wait([user]) - start) * 1e3)
            time.sleep(0.02)  # one event at a time: what is measured is not a queue
        latencies = sorted(latencies[5:])
        say(f"  least {latencies[0]:.1f} ms, most {latencies[-1]:.1f} ms")
        figure("event_p50_ms", statistics.median(latencies), 1)
        figure("event_p99_ms", latencies[int(len(latencies) * 0.99)], 1)
        bursts = []
        for round_ in range(ROUNDS):
            start = add_trades(connection, users)
            wait_until(lambda: is_quiet(connection, client), timeout=120)
            bursts.append(time.monotonic() - start)
            assert all(valid_documents(client, user) == 88 for user in users)
            say(f"  round {round_ + 1}/{ROUNDS}: {USERS} users fresh after {bursts[-1]:.2f} s")
        figure("mutated_users_fresh_s", statistics.median(bursts))
    finally:
        connection.close()
        worker.stop()


@part("timeline", 90)
def bench_timeline(servers):
    """Not a figure but a table: docs/reliability.md."""
    users = [f"bench-{u:04d}" for u in range(1, 31)]
    client = redis.Redis(unix_socket_path=servers.redis_socket)
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", *(word for user in users for word in ("--user", user))],
                   env=servers.settings(LOG_LEVEL="warn"), check=True)
    owner_sql(servers, "ALTER ROLE pnlcache SET log_min_duration_statement = 0")
    worker = Daemon([BUILD / "pnlcache-worker", "run"], servers.settings(), servers.state / "worker.log")
    connection = psycopg2.connect(servers.owner_url)
    try:
        updates = Updates(client)
        wait_until(lambda: b"workers" in servers.redis("XINFO", "GROUPS", "jobs"))

        def event(user):
            begin = add_trades(connection, [user], time.time)
            updates.wait([user])
            return begin, user

        for user in users[:5]:
            event(user)
        medians, n = event_timeline.measure(servers.redis_socket, servers.state / "log/postgres.log",
                                            [lambda user=user: event(user) for user in users[5:]])
    finally:
        connection.close()
        worker.stop()
        owner_sql(servers, "ALTER ROLE pnlcache RESET log_min_duration_statement")
    say(f"the stages of one event, medians of {n}, {TRADES} trades a user")
    for name, ms in medians:
        say(f"  {name:42} {ms:7.2f} ms")
