"""Very many requests: none fails, and none leaves memory behind."""
import os
import re
import subprocess
from pathlib import Path

import pytest
from fastcgi_client import Client, bearer, request
from harness import BUILD, add_stock, wait_until

CORE = "/api/analytics/core?time_range=30d"
ROUNDS = 10
REQUESTS = int(os.environ.get("REQUESTS", 10_000_000))  # of the long test
GROWTH_KB = 1024  # of which the allocator and the kernel may make use as they like


def load(path, status, connections, requests, asked):
    """Sends `asked` so often; every answer must have that status."""
    done = subprocess.run([BUILD / "tests/programs/fastcgi_load", path, str(status), str(connections), str(requests)],
                          input=asked, capture_output=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"requests={requests} failed=0 ".encode() in done.stdout


def resident_kb(daemon):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{daemon.pid}/status").read_text()).group(1))


def read(headers=None, **more):
    return request("GET", CORE, {**bearer("ann", ttl=86400), "Accept-Encoding": "gzip", **(headers or {})}, **more)


def wait_for_hits(path, tier):
    """The document's ETag, once it comes from there."""
    with Client(path) as client:
        def answer():
            client.send(read())
            answer = client.read_answer()
            return answer if f"detail={tier}" in answer.headers["cache-status"] else None

        return wait_until(answer, what=f"a hit from {tier}").headers["etag"]


def test_a_thousand_busy_connections_and_no_request_fails(servers, db, start_responder):
    add_stock(db, "ann", 1)
    start_responder(THREADS="2")
    wait_for_hits(servers.listen, "l1")
    load(servers.listen, 200, 1000, 20_000, read())


def test_a_thousand_connections_that_end_with_their_request_and_none_fails(servers, db, start_responder):
    """As from a web server that keeps no connection: each is accepted, answered and closed."""
    add_stock(db, "ann", 1)
    start_responder(THREADS="2")
    wait_for_hits(servers.listen, "l1")
    for _ in range(3):
        clients = [Client(servers.listen) for _ in range(1000)]
        for client in clients:
            client.send(read(keep=False))
        for client in clients:
            assert client.read_answer().status == 200 and client.is_closed()
            client.close()


@pytest.mark.long
def test_ten_million_requests_leave_no_memory_behind(servers, db, start_responder):
    """Every way through the responder that needs no computation; what is taken once is taken in the first round."""
    add_stock(db, "ann", 1)
    other = str(servers.run_dir / "redis-hits.sock")
    daemons = {servers.listen: start_responder(), other: start_responder(LISTEN=other, CACHE_MAX_MEMORY_ENTRIES="0")}
    etag = wait_for_hits(servers.listen, "l1")
    wait_for_hits(other, "redis")
    body = b'{"time_range": "30d"}'
    posted = request("POST", "/api/analytics/core", {**bearer("ann", ttl=86400), "Content-Type": "application/json"}, body)
    kinds = [  # share of a hundred
        (50, servers.listen, 200, read()),
        (20, other, 200, read()),
        (10, servers.listen, 304, read({"If-None-Match": etag})),
        (5, servers.listen, 200, request("GET", CORE, bearer("ann", ttl=86400))),
        (5, servers.listen, 200, posted),
        (5, servers.listen, 401, request("GET", CORE)),
        (5, servers.listen, 404, request("GET", "/nowhere", bearer("ann", ttl=86400))),
    ]
    assert sum(share for share, *_ in kinds) == 100
    sizes = []
    for _ in range(ROUNDS):
        for share, path, status, asked in kinds:
            load(path, status, 64, REQUESTS * share // 100 // ROUNDS, asked)
        sizes.append([resident_kb(daemon) for daemon in daemons.values()])
    print(f"resident kB after each tenth: {sizes}")
    for first, last in zip(sizes[0], sizes[-1]):
        assert last - first < GROWTH_KB, sizes
