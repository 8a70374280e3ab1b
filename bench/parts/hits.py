"""Hits: the responder against the least a FastCGI program can do, and against webdis."""
import json
import re
import signal
import statistics
import subprocess
import tempfile
from pathlib import Path

from fastcgi_client import Client
from harness import BUILD, Daemon, free_port, token, wait_until

from common import HIT_PATH, HIT_USER, ROOT, ROUNDS, SECONDS, answers, figure, part, say


def wrk(url, headers=()):
    """Requests per second of 64 kept connections; every answer must be a success."""
    command = ["wrk", "-t1", "-c64", f"-d{SECONDS}s", "--timeout", "5s"]
    for header in headers:
        command += ["-H", header]
    out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def without_l1(conf, servers, port, redis_port):
    """The shipped upstream and server once more, for a responder whose every hit comes from Redis."""
    block = conf[conf.index("upstream pnlcache"):conf.rindex("}")]
    for old, new in (("upstream pnlcache ", "upstream redis "), ("fastcgi_pass pnlcache;", "fastcgi_pass redis;"),
                     (servers.listen, f"{servers.run_dir}/redis-hits.sock"), (f"127.0.0.1:{port};", f"127.0.0.1:{redis_port};")):
        assert old in block, old
        block = block.replace(old, new)
    return block


def bench_nginx_conf(servers, port, redis_port, webdis_port):
    """The shipped configuration, for two responders, with two rivals added behind the same nginx."""
    conf = subprocess.run([ROOT / "tools/nginx_conf.sh", servers.run_dir, str(port), servers.state / "web"],
                          capture_output=True, text=True, check=True).stdout
    rivals = f"""
    upstream echo {{ server unix:{servers.run_dir}/echo.sock; keepalive 64; }}
    upstream webdis {{ server 127.0.0.1:{webdis_port}; keepalive 64; }}
    """
    locations = """
        location = /echo { include fastcgi_params; fastcgi_pass echo; fastcgi_keep_conn on; }
        location /GET/ { proxy_pass http://webdis; proxy_http_version 1.1; proxy_set_header Connection ""; }
    """
    params = Path("/etc/nginx/fastcgi_params")
    end = conf.rindex("}")
    conf = conf[:end] + without_l1(conf, servers, port, redis_port) + conf[end:]
    at = conf.index("server {")
    conf = conf[:at] + rivals + "server {" + locations + conf[at + len("server {"):]
    return conf.replace("include fastcgi_params;", f"include {params};")


def start_rivals(servers, body_bytes, threads):
    servers.spawn("echo", BUILD / "bench/fastcgi_echo", f"{servers.run_dir}/echo.sock", str(threads), str(body_bytes))
    port = free_port()
    conf = servers.state / "webdis.json"
    conf.write_text(json.dumps({
        "redis_host": servers.redis_socket, "redis_port": 0, "http_host": "127.0.0.1", "http_port": port, "threads": threads,
        "daemonize": False, "verbosity": 0, "logfile": str(servers.state / "webdis.log"), "pidfile": str(servers.state / "webdis.pid")}))
    servers.spawn("webdis", "webdis", conf)
    return port


def count_system_calls(pid, run):
    """System calls of all the process's threads for one request of run(), which says how many a second it made."""
    with tempfile.NamedTemporaryFile("r") as table:
        tracer = subprocess.Popen(["strace", "-f", "-c", "-q", "-p", str(pid), "-o", table.name])
        wait_until(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text(), what="strace to follow")
        requests = run() * SECONDS
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        calls = {line.split()[-1]: int(line.split()[3]) for line in table.read().splitlines() if re.match(r"\s*[\d.]+ +[\d.]+ ", line)}
    total = calls.pop("total")
    frequent = ", ".join(f"{name} {n / requests:.2f}" for name, n in sorted(calls.items(), key=lambda c: -c[1])[:5])
    say(f"  system calls of a hit from L1, under strace: {frequent}")
    return total / requests


def allocations_of(servers, n):
    """Blocks that the responder allocates in its life when one connection reads the same document n times."""
    log = servers.state / f"valgrind.{n}.log"
    command = ["valgrind", "--tool=memcheck", "--leak-check=no", f"--log-file={log}", BUILD / "pnlcache.fcgi"]
    listen = f"{servers.run_dir}/valgrind.sock"
    responder = Daemon(command, servers.settings(LISTEN=listen, THREADS=1, MISS_THREADS=1), servers.state / f"valgrind.{n}.err")
    wait_until(lambda: "msg=ready" in responder.log() and "L1 is on" in responder.log(), timeout=60, what="L1 under valgrind")
    headers = {"Authorization": "Bearer " + token(HIT_USER, ttl=86400), "Accept-Encoding": "gzip"}
    with Client(listen) as client:
        wait_until(lambda: "detail=l1" in client.ask("GET", HIT_PATH, headers).headers["cache-status"], what="a hit from L1")
        for _ in range(n):
            assert "detail=l1" in client.ask("GET", HIT_PATH, headers).headers["cache-status"]
    responder.stop()
    return int(re.search(r"total heap usage: ([\d,]+) allocs", log.read_text()).group(1).replace(",", ""))


@part("hits", 40)
def bench_hits(servers):
    say("hits through nginx: responder (from its own memory, from Redis), bare FastCGI echo, webdis; 64 connections, JWT verified")
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--user", HIT_USER], env=servers.settings(), check=True)
    responder = Daemon([BUILD / "pnlcache.fcgi"], servers.settings(THREADS=2), servers.state / "responder.log")
    from_redis = Daemon([BUILD / "pnlcache.fcgi"], servers.settings(
        THREADS=2, CACHE_MAX_MEMORY_ENTRIES=0, LISTEN=f"{servers.run_dir}/redis-hits.sock"), servers.state / "redis-hits.log")
    try:
        value = servers.redis("GET", f"analytics:combined:{{{HIT_USER}}}:30d:core")
        body = value[value.index(b"\n") + 1:]
        (servers.state / "web").mkdir(exist_ok=True)
        webdis_port = start_rivals(servers, len(body), 2)
        port, redis_port = free_port(), free_port()
        (servers.state / "nginx.conf").write_text(bench_nginx_conf(servers, port, redis_port, webdis_port))
        servers.start("nginx", PORT=str(port))
        servers.redis("SET", "bench-body", body)
        base = f"http://127.0.0.1:{port}"
        bearer = f"Authorization: Bearer {token(HIT_USER, ttl=86400)}"
        rivals = {
            "l1": lambda: wrk(base + HIT_PATH, [bearer, "Accept-Encoding: gzip"]),
            "redis": lambda: wrk(f"http://127.0.0.1:{redis_port}{HIT_PATH}", [bearer, "Accept-Encoding: gzip"]),
            "echo": lambda: wrk(base + "/echo", [bearer]),
            "webdis": lambda: wrk(base + "/GET/bench-body.txt", [bearer]),
        }
        wait_until(lambda: all(answers(run) for run in rivals.values()), what="every rival's first answer")
        rates = {name: [] for name in rivals}
        for round_ in range(ROUNDS):
            for name, run in rivals.items():
                rates[name].append(run())
            say(f"  round {round_ + 1}/{ROUNDS}: " + ", ".join(f"{name} {rates[name][-1]:.0f}/s" for name in rivals))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        say(f"  body {len(body)} bytes; medians: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in medians.items()))
        figure("hit_l1_vs_echo", medians["l1"] / medians["echo"])
        figure("hit_redis_vs_echo", medians["redis"] / medians["echo"])
        figure("hit_redis_vs_webdis", medians["redis"] / medians["webdis"])
        figure("syscalls_per_hit", count_system_calls(responder.pid, rivals["l1"]))
    finally:
        responder.stop()
        from_redis.stop()
        servers.stop("nginx", "echo", "webdis")
    few, many = allocations_of(servers, 100), allocations_of(servers, 5100)
    figure("allocations_per_hit", (many - few) / 5000, 3)
