"""What one hit takes of the machine, counted rather than timed, so that a change shows in spite of noise; and of memory and time
where many connections, or a process for each request, take it."""
import os
import re
import signal
import statistics
import subprocess
from pathlib import Path

from fastcgi_client import Client, params_of, request
from harness import BUILD, Daemon, token, wait_until

from common import HIT_PATH, HIT_USER, ROUNDS, SECONDS, figure, part, say

REQUESTS = 5000  # counted ones
LOAD = BUILD / "tests/programs/fastcgi_load"


def hit_headers():
    return {"Authorization": "Bearer " + token(HIT_USER, ttl=86400), "Accept-Encoding": "gzip"}


def precompute(servers):
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--user", HIT_USER], env=servers.settings(), check=True)


class Responder:
    """pnlcache.fcgi, perhaps under a tool, on a socket of its own; ready when what is at `path` comes from `tier`."""

    def __init__(self, servers, tier, tool=(), path=HIT_PATH, **settings):
        self.listen, self.path = f"{servers.run_dir}/cost.sock", path
        self.tier, self.headers = f"detail={tier}", hit_headers()
        if tier == "redis":
            settings["CACHE_MAX_MEMORY_ENTRIES"] = 0
        self.log = servers.state / "cost.log"
        self.log.unlink(missing_ok=True)
        self.daemon = Daemon([*tool, BUILD / "pnlcache.fcgi"], servers.settings(LISTEN=self.listen, **settings), self.log)
        wait_until(lambda: "msg=ready" in self.daemon.log(), timeout=60, what="the responder")
        with Client(self.listen) as client:
            wait_until(lambda: self.hits(client), timeout=60, what=f"a hit from {tier}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()

    def hits(self, client):
        return self.tier in client.ask("GET", self.path, self.headers).headers["cache-status"]

    def load(self, connections, requests, rate=None):
        """What fastcgi_load says."""
        command = [LOAD, self.listen, "200", str(connections), str(requests), *([str(rate)] if rate else [])]
        done = subprocess.run(command, input=request("GET", self.path, self.headers), capture_output=True, check=True)
        return {name: float(value) for name, value in (word.split("=") for word in done.stdout.decode().split())}


def valgrind_count(servers, tool, pattern, tier, path=HIT_PATH):
    """What valgrind counts for one hit: the life of a responder that serves REQUESTS more of them than another's."""
    counts = []
    for n in 100, 100 + REQUESTS:
        log = servers.state / f"{tool}.log"
        options = ["--callgrind-out-file=/dev/null"] if tool == "callgrind" else ["--leak-check=no"]
        with Responder(servers, tier, ["valgrind", f"--tool={tool}", f"--log-file={log}", *options], path, THREADS=1, MISS_THREADS=1) as responder:
            with Client(responder.listen) as client:
                assert all(responder.hits(client) for _ in range(n))
        counts.append(int(re.search(pattern, log.read_text()).group(1).replace(",", "")))
    return (counts[1] - counts[0]) / REQUESTS


def count_system_calls(servers):
    """System calls of all the responder's threads for one hit."""
    table = servers.state / "strace.txt"
    with Responder(servers, "l1", THREADS=2) as responder:
        pid = responder.daemon.pid
        tracer = subprocess.Popen(["strace", "-f", "-c", "-q", "-p", str(pid), "-o", table])
        wait_until(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text(), what="strace to follow")
        requests = 4 * REQUESTS
        responder.load(64, requests)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    calls = {line.split()[-1]: int(line.split()[3]) for line in table.read_text().splitlines() if re.match(r"\s*[\d.]+ +[\d.]+ ", line)}
    total = calls.pop("total")
    frequent = ", ".join(f"{name} {n / requests:.2f}" for name, n in sorted(calls.items(), key=lambda c: -c[1])[:5])
    say(f"  system calls of a hit from L1, under strace: {frequent}")
    return total / requests


def resident_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def measure_memory(servers):
    """With 1,000 connections open that have all been answered, and one document in L1."""
    with Responder(servers, "l1", THREADS=2) as responder:
        clients = [Client(responder.listen) for _ in range(1000)]
        assert all(responder.hits(client) for client in clients)
        mb = resident_mb(responder.daemon.pid)
        for client in clients:
            client.close()
    return mb


def cgi_times(servers):
    """Processor milliseconds of processes that answer one hit as plain CGI each, loading included."""
    environment = {**servers.settings(), "GATEWAY_INTERFACE": "CGI/1.1", **params_of("GET", HIT_PATH, hit_headers())}
    for _ in range(20 * ROUNDS):
        process = subprocess.Popen([BUILD / "pnlcache.fcgi"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        with process.stdout as out:
            assert b"detail=redis" in out.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        yield (usage.ru_utime + usage.ru_stime) * 1000


@part("hit_cost", 41)
def bench_hit_cost(servers):
    say("what a hit costs: instructions, system calls, memory; a process for each request")
    precompute(servers)
    instructions = r"Collected : (\d+)"
    figure("instructions_per_hit", valgrind_count(servers, "callgrind", instructions, "l1"), 0)
    figure("instructions_per_redis_hit", valgrind_count(servers, "callgrind", instructions, "redis"), 0)
    figure("allocations_per_hit", valgrind_count(servers, "memcheck", r"total heap usage: ([\d,]+) allocs", "l1"), 3)
    figure("syscalls_per_hit", count_system_calls(servers))
    figure("cgi_cpu_ms", statistics.median(cgi_times(servers)))
    figure("rss_mb_1000", measure_memory(servers), 1)


@part("half_peak", 42)
def bench_half_peak(servers):
    say("hits from L1 over the responder's own socket, 1,000 connections: the peak, then half of it, whatever the answers do")
    precompute(servers)
    p99 = []
    with Responder(servers, "l1", THREADS=2) as responder:
        for round_ in range(ROUNDS):
            rate = 20000 / responder.load(1000, 20000)["seconds"]
            peak = responder.load(1000, int(rate * SECONDS))
            rate = int(peak["requests"] / peak["seconds"] / 2)
            half = responder.load(1000, rate * SECONDS, rate)
            p99.append(half["p99_ms"])
            say(f"  round {round_ + 1}/{ROUNDS}: peak {2 * rate}/s; at half p50 {half['p50_ms']:.2f} ms, p99 {half['p99_ms']:.2f} ms, longest {half['max_ms']:.1f} ms")
    figure("p99_ms_half_peak_1000", statistics.median(p99))
