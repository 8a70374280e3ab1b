"""Memory cannot be had: each allocation of a request fails once, in turn, whichever library makes it (tests/preload/no_memory.c)."""
import mmap
import struct
import subprocess

import pytest
from fastcgi_client import Client, bearer, request
from harness import BUILD, add_stock, sign_webhook, webhook_event
from test_degradation import CORE, CORE_KEY, is_hit, lines_of, readiness, trades_in

EVENT = webhook_event(asset="stocks")

pytestmark = pytest.mark.skipif(BUILD.name in ("asan", "tsan"), reason="a sanitizer's allocator takes the place of the one that fails")


class Memory:
    """Whose n-th allocation from now on fails."""

    def __init__(self, path):
        path.write_bytes(struct.pack("=q", 0))
        with open(path, "r+b") as f:
            self.file = mmap.mmap(f.fileno(), 8)
        self.settings = {"LD_PRELOAD": str(BUILD / "tests/preload/no_memory.so"), "PNLCACHE_NO_MEMORY": str(path)}

    def fail(self, n):
        self.file[:8] = struct.pack("=q", n)

    def is_left(self):
        """The allocation never came; from now on none fails."""
        left = struct.unpack("=q", self.file[:8])[0] > 0
        self.fail(0)
        return left


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "countdown")


@pytest.fixture
def responder_of(memory, start_responder):
    # one thread of each kind, and nothing in L1, so that each round allocates the same
    return start_responder(**memory.settings, THREADS="1", MISS_THREADS="1", WEBHOOK_THREADS="1", CACHE_MAX_MEMORY_ENTRIES="0", DATABASE_TIMEOUT="1000")


def each_allocation(memory, responder, act):
    """Runs act(n) with the n-th allocation failing, until there are fewer. The number of those that failed."""
    for n in range(1, 10000):
        enough = act(n)
        assert responder.alive(), (n, responder.log()[-3000:])
        if enough:
            return n - 1
    raise AssertionError("it allocates without end")


def statuses_of(memory, ask, right):
    """ask() while memory fails: the right answer or 503; then the right one."""
    statuses = set()

    def act(n):
        memory.fail(n)
        answer = ask()
        enough = memory.is_left()
        statuses.add(answer.status)
        assert answer.status == 503 or right(answer), (n, answer)
        answer = ask()
        assert right(answer), (n, answer)
        return enough

    return act, statuses


@pytest.mark.parametrize("stored", [False, True])
def test_a_read_without_memory_is_503_or_right_and_the_next_one_right(servers, db, memory, responder_of, stored):
    for i in range(1, 31):
        add_stock(db, "alice", i)
    with Client(servers.listen) as client:
        def ask():
            if not stored:
                servers.redis("DEL", CORE_KEY % "alice")
            return client.ask("GET", CORE, bearer())

        assert trades_in(ask()) == 30  # connections and the user's activity are made, tables are filled
        act, statuses = statuses_of(memory, ask, lambda answer: trades_in(answer) == 30)
        assert each_allocation(memory, responder_of, act) > (0 if stored else 50)  # of a hit, the key alone
        assert statuses == ({200} if stored else {200, 503})  # a hit has only what can be done without
        assert is_hit(client.ask("GET", CORE, bearer()))
    assert readiness(servers)["degraded"] is False
    assert not lines_of(responder_of, "Redis refuses to store"), responder_of.log()


def test_a_body_that_cannot_be_taken_in_ends_the_connection(servers, memory, responder_of):
    """The part of it that is there first, which we have to keep; libfcgi, which then parses the whole, ends the process when
    one of its own few allocations fails."""
    whole = request("POST", "/api/webhooks/trades", sign_webhook(EVENT), EVENT)
    with Client(servers.listen) as client:
        assert client.webhook(EVENT).status == 202
        memory.fail(1)
        client.send(whole[:-100])
        assert client.is_closed()
        assert not memory.is_left()
    with Client(servers.listen) as client:
        assert client.webhook(EVENT).status == 202


def test_a_check_without_memory_ends_with_a_message(servers, clean, memory):
    command = [BUILD / "pnlcache-worker", "check"]
    for n in [*range(1, 60), *range(60, 3000, 97)]:
        memory.fail(n)
        done = subprocess.run(command, env=servers.settings(**memory.settings), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode >= 0, (n, done)
        assert done.returncode == 0 or done.stderr or "FAILED" in done.stdout, (n, done)
    memory.fail(0)
