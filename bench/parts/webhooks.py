"""Signed webhooks through nginx, and the jobs they make."""
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import time

from harness import BUILD, Daemon, free_port, sign_webhook, wait_until, webhook_event

from common import ROOT, ROUNDS, USERS, answers, figure, part, say

WEBHOOKS = int(os.environ.get("WEBHOOKS", 10000))


def webhook_requests(n):
    """n HTTP requests, each a trade event of its own id and signature, over all users in turn."""
    requests = []
    for i in range(n):
        body = webhook_event(user=f"bench-{1 + i % USERS:04d}", asset="stocks", trade_ids=[i])
        headers = "".join(f"{name}: {value}\r\n" for name, value in sign_webhook(body).items())
        requests.append(f"POST /api/webhooks/trades HTTP/1.1\r\nHost: bench\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return requests


def post_all(port, requests, connections=64):
    """Sends all of them over kept connections, on each the next one when the answer is there. Seconds; jobs that were queued."""
    todo, left, jobs = iter(requests), len(requests), 0
    selector = selectors.DefaultSelector()
    start = time.monotonic()
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        selector.register(sock, selectors.EVENT_READ, bytearray())
        sock.sendall(next(todo))
    while left > 0:
        events = selector.select(30)
        assert events, f"{left} webhooks have no answer"
        for key, _ in events:
            key.data.extend(key.fileobj.recv(65536))
            head = key.data.find(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", key.data)
            if head < 0 or not length or len(key.data) < head + 4 + int(length[1]):
                continue
            assert key.data.startswith(b"HTTP/1.1 202 "), bytes(key.data)
            jobs += json.loads(key.data[head + 4:])["data"]["jobs"]
            key.data.clear()
            left -= 1
            request = next(todo, None)
            if request:
                key.fileobj.sendall(request)
    seconds = time.monotonic() - start
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return seconds, jobs


@part("webhooks", 60)
def bench_webhooks(servers):
    say(f"{WEBHOOKS} signed webhooks of {USERS} users through nginx, 64 connections, while a worker recomputes")
    (servers.state / "web").mkdir(exist_ok=True)
    port = free_port()
    (servers.state / "nginx.conf").write_text(subprocess.run(
        [ROOT / "tools/nginx_conf.sh", servers.run_dir, str(port), servers.state / "web"], capture_output=True, text=True, check=True).stdout)
    settings = servers.settings(LOG_LEVEL="warn")
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--all"], env=settings, check=True)
    responder = Daemon([BUILD / "pnlcache.fcgi"], settings, servers.state / "responder.log")
    worker = Daemon([BUILD / "pnlcache-worker", "run"], settings, servers.state / "worker.log")
    try:
        servers.start("nginx", PORT=str(port))
        wait_until(lambda: answers(lambda: post_all(port, webhook_requests(1), 1)[0]), what="the first answer")
        rates, drains = [], []
        for round_ in range(ROUNDS):
            requests = webhook_requests(WEBHOOKS)
            seconds, jobs = post_all(port, requests)
            assert jobs == WEBHOOKS, f"{jobs} jobs"
            rates.append(WEBHOOKS / seconds)
            start = time.monotonic()
            wait_until(lambda: servers.redis("XLEN", "jobs") == b"0", timeout=300, what="the end of the jobs")
            drains.append(time.monotonic() - start)
            say(f"  round {round_ + 1}/{ROUNDS}: {rates[-1]:.0f}/s; the jobs were done {drains[-1]:.1f} s later")
        assert servers.redis("XLEN", "jobs:dead") == b"0"
        figure("webhooks_per_s", statistics.median(rates), 0)
        figure("webhooks_drain_s", statistics.median(drains), 1)
    finally:
        worker.stop()
        responder.stop()
        servers.stop("nginx")
