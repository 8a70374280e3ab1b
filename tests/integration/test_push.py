"""Messages on pnlcache:updated, and the example that pushes them to browsers."""
import asyncio
import json
import os
import socket

import pytest
import redis
import websockets

from harness import JWT_SECRET, ROOT, Daemon, add_option, add_stock, free_port, token, wait_until
from test_worker import value


@pytest.fixture
def listen(servers, clean):
    """listen(channel): a function that gives the next message, parsed; None: none came."""
    client = redis.Redis(unix_socket_path=servers.redis_socket)
    subscription = client.pubsub(ignore_subscribe_messages=True)

    def start(channel="pnlcache:updated"):
        subscription.subscribe(channel)
        wait_until(lambda: servers.redis("PUBSUB", "NUMSUB", channel).endswith(b"\n1"))

        def take(timeout=20):
            found = []

            def poll():
                message = subscription.get_message(timeout=0.05)
                found[:] = [json.loads(message["data"])] if message and message["type"] == "message" else []
                return found

            if timeout == 0:
                return poll()[0] if poll() else None
            return wait_until(poll, timeout=timeout, what="a message")[0]

        return take

    yield start
    subscription.close()
    client.close()


def epochs(servers, key):
    return dict(pair.split(":") for pair in value(servers, key)[0]["epochs"].split(","))


def test_worker_announces_what_it_stored_once_a_user(servers, db, start_worker, listen):
    take = listen("p:pnlcache:updated")
    start_worker(KEY_PREFIX="p:")
    add_stock(db, "a\"b", 1)
    message = take()
    assert message["user"] == "a\"b" and set(message["sections"]) == {"summary", "core", "risk", "performance"}
    assert set(message["tags"]) == set(message["epoch"]) == {"stocks", "options", "settings"}
    stored = wait_until(lambda: value(servers, "p:analytics:combined:{a%22b}:all_time:core"))[0]["epochs"]
    assert message["epoch"] == dict(pair.split(":") for pair in stored.split(","))
    add_option(db, "ann", 1)
    assert take()["user"] == "ann"  # and nothing more about the other


def test_responder_announces_a_computed_miss_and_no_hit(servers, db, web, responder, listen):
    add_stock(db, "ann", 1)
    take = listen()
    assert web.get("/api/analytics/core?time_range=30d", user="ann").status == 200
    message = take()
    assert message == {"user": "ann", "tags": message["tags"], "epoch": epochs(servers, "analytics:combined:{ann}:30d:core"),
                       "sections": ["core"]}
    for _ in range(3):
        assert web.get("/api/analytics/core?time_range=30d", user="ann").status == 200
    assert web.get("/api/analytics/risk?time_range=30d", user="ann").status == 200
    assert take()["sections"] == ["risk"]


def test_what_is_not_there_is_announced_to_nobody(servers, db, web, responder, listen):
    add_stock(db, "ann", 1)
    take = listen()
    for n in (77, 78):
        assert "stored" in web.get(f"/api/analytics/trade?trade_id={n}&trade_type=stock", "ann").headers["Cache-Status"]
    assert web.get("/api/analytics/trade?trade_id=1&trade_type=stock", "ann").status == 200
    assert take()["sections"] == ["trade"]
    assert web.get("/api/analytics/core", "ann").status == 200
    assert take()["sections"] == ["core"]


def test_renewed_documents_without_news_are_not_announced(servers, db, run_worker, listen):
    for user in ("ann", "bob"):
        add_stock(db, user, 1)
    take = listen()
    run_worker("job", "precompute", "--user", "ann")
    assert take()["user"] == "ann"
    run_worker("job", "precompute", "--user", "ann")
    run_worker("job", "precompute", "--user", "bob")
    assert take()["user"] == "bob"


def test_push_example_tells_each_user_of_its_own_updates_only(servers, db, worker, tmp_path):
    port = free_port()
    pusher = Daemon([ROOT / "docs/examples/push.py", "127.0.0.1", port],
                    {"PATH": os.environ["PATH"], "REDIS_URL": servers.redis_url, "JWT_SECRET": JWT_SECRET}, tmp_path / "push.log")

    async def next_message(address):
        return json.loads(await asyncio.wait_for(address.recv(), 20))

    async def scene():
        url = f"ws://127.0.0.1:{port}/?token="
        async with websockets.connect(url + "nonsense") as stranger:
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(stranger.recv(), 20)
            assert stranger.close_code == 1008
        async with websockets.connect(url + token("ann")) as ann, websockets.connect(url + token("bob")) as bob:
            await ann.ping()  # both are registered when their pings are answered
            await asyncio.wait_for(await bob.ping(), 20)
            add_stock(db, "ann", 1)
            assert (await next_message(ann))["user"] == "ann"
            add_stock(db, "bob", 1)
            assert (await next_message(bob))["user"] == "bob"

    try:
        def answers():
            assert pusher.alive(), pusher.log()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers)
        wait_until(lambda: servers.redis("PUBSUB", "NUMSUB", "pnlcache:updated").endswith(b"\n1"))
        asyncio.run(scene())
    finally:
        pusher.kill()
