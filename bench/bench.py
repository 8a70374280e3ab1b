#!/usr/bin/python3
"""make bench: speed, measured side by side with a yardstick in the same run, reported as ratios.

    bench.py [engine] [hits] [precompute]        no name: all of them

Environment: BUILD_DIR (default build/release), ROUNDS (5), SECONDS (3) a measurement, USERS (1000), TRADES (2000).
The last lines are `bench: NAME = VALUE`. docs/benchmarks.md says what each figure means.
"""
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import BUILD, Daemon, Servers, free_port, token, wait_until  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", 5))
SECONDS = int(os.environ.get("SECONDS", 3))
USERS = int(os.environ.get("USERS", 1000))
TRADES = int(os.environ.get("TRADES", 2000))
HIT_PATH = "/api/analytics/core?time_range=30d"
HIT_USER = "bench-0001"

figures = []


def say(text):
    print(text, flush=True)


def figure(name, value, decimals=2):
    figures.append(f"bench: {name} = {value:.{decimals}f}")


# --- the journal everything is measured on -----------------------------------------------------------


def fill_journal(servers):
    """USERS users with TRADES closed stock trades each over the last two years, prices and sizes varied."""
    say(f"filling the journal: {USERS} users x {TRADES} trades")
    sql = f"""
        ALTER TABLE stocks DISABLE TRIGGER USER;
        INSERT INTO stocks (user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss,
                            commissions, fees, entry_date, exit_date)
        SELECT 'bench-' || lpad(u::text, 4, '0'), t,
               (ARRAY['AAPL','MSFT','NVDA','AMD','TSLA','SPY','QQQ','META'])[1 + (u + t) % 8],
               CASE (u * 7 + t) % 5 WHEN 0 THEN 'SELL' ELSE 'BUY' END, 'LIMIT',
               10 + (u * 31 + t * 17) % 490, price, price + ((u * 13 + t * 29) % 400 - 190) / 100.0,
               CASE t % 3 WHEN 0 THEN price - 1.5 END,
               1.25, 0.0325, exit - interval '1 hour' * (1 + (u + t) % 200), exit
        FROM generate_series(1, {USERS}) u, generate_series(1, {TRADES}) t,
             LATERAL (SELECT 20 + (u * 37 + t * 11) % 480 + (t % 100) / 100.0 AS price,
                             now() - interval '1 second' * ((730.0 * 86400 / {TRADES}) * ({TRADES} - t) + 3600) AS exit) x;
        ALTER TABLE stocks ENABLE TRIGGER USER;
        ANALYZE stocks;"""
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", servers.owner_url], input=sql, text=True, check=True)


# --- hits: the responder against the least a FastCGI program can do, and against webdis -----------------


def wrk(url, headers=()):
    """Requests per second of 64 kept connections; every answer must be a success."""
    command = ["wrk", "-t1", "-c64", f"-d{SECONDS}s", "--timeout", "5s"]
    for header in headers:
        command += ["-H", header]
    out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def bench_nginx_conf(servers, port, webdis_port):
    """The shipped configuration with two rivals added behind the same nginx."""
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


def bench_hits(servers):
    say("hits through nginx: responder (from Redis), bare FastCGI echo, webdis; 64 connections, JWT verified")
    subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--user", HIT_USER], env=servers.settings(), check=True)
    responder = Daemon([BUILD / "pnlcache.fcgi"], servers.settings(THREADS=2), servers.state / "responder.log")
    try:
        value = servers.redis("GET", f"analytics:combined:{{{HIT_USER}}}:30d:core")
        body = value[value.index(b"\n") + 1:]
        (servers.state / "web").mkdir(exist_ok=True)
        webdis_port = start_rivals(servers, len(body), 2)
        port = free_port()
        (servers.state / "nginx.conf").write_text(bench_nginx_conf(servers, port, webdis_port))
        servers.start("nginx", PORT=str(port))
        servers.redis("SET", "bench-body", body)
        base = f"http://127.0.0.1:{port}"
        bearer = f"Authorization: Bearer {token(HIT_USER, ttl=86400)}"
        rivals = {
            "responder": lambda: wrk(base + HIT_PATH, [bearer, "Accept-Encoding: gzip"]),
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
        figure("hit_redis_vs_echo", medians["responder"] / medians["echo"])
        figure("hit_redis_vs_webdis", medians["responder"] / medians["webdis"])
    finally:
        responder.stop()
        servers.stop("nginx", "echo", "webdis")


def answers(run):
    try:
        return run() > 0
    except (subprocess.CalledProcessError, AssertionError):
        return False


# --- precompute: everything, against the bare COPY of the same rows --------------------------------------

# The columns the metrics read, in the order the engine wants them: what any precompute must at least fetch.
COPY_ROWS = """COPY (SELECT user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, stop_loss, initial_risk, take_profit,
                            profit_target, intended_entry_price, commissions, fees, entry_date, exit_date, mistakes, brokerage_name
                     FROM pnlcache.stock_trades ORDER BY user_id, exit_date, id) TO STDOUT (FORMAT binary)"""


def run_timed(command, **more):
    """Wall seconds and peak resident megabytes of the command."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return time.monotonic() - start, usage.ru_maxrss / 1024


def bench_precompute(servers):
    say(f"precompute of {USERS} users x {TRADES} trades against the bare binary COPY of the same rows")
    copies, runs, peaks = [], [], []
    for round_ in range(ROUNDS):
        seconds, _ = run_timed(["psql", "-X", "-q", "-d", servers.owner_url, "-c", COPY_ROWS], stdout=subprocess.DEVNULL)
        copies.append(seconds)
        servers.redis("FLUSHALL")
        seconds, peak = run_timed([BUILD / "pnlcache-worker", "job", "precompute", "--all"],
                                  env=servers.settings(LOG_LEVEL="warn"))
        runs.append(seconds)
        peaks.append(peak)
        say(f"  round {round_ + 1}/{ROUNDS}: COPY {copies[-1]:.2f} s, precompute {runs[-1]:.2f} s, peak {peaks[-1]:.1f} MB, "
            f"{int(servers.redis('DBSIZE'))} keys")
    figure("precompute_vs_copy", statistics.median(runs) / statistics.median(copies))
    figure("precompute_peak_mb", max(peaks), 1)


# --- the engine from memory -------------------------------------------------------------------------------


def bench_engine(_):
    say("the engine from memory: core, risk and performance over all eight ranges together")
    runs = [subprocess.run([BUILD / "bench/engine_bench"], capture_output=True, text=True, check=True).stdout for _ in range(ROUNDS)]
    say("".join(f"  {line}\n" for line in runs[0].splitlines() if line.startswith("engine:")).rstrip())
    figure("engine_mtrades_per_s", statistics.median(float(re.search(r"engine_mtrades_per_s = ([\d.]+)", run).group(1)) for run in runs))


BENCHES = {"engine": bench_engine, "hits": bench_hits, "precompute": bench_precompute}


def main():
    names = sys.argv[1:] or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            sys.exit(f"bench: unknown benchmark '{name}'; there are: {', '.join(BENCHES)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    state = tempfile.mkdtemp(prefix="pnlcache-state.", dir="/tmp")
    os.chmod(state, 0o711)
    servers = None
    try:
        os.environ.setdefault("REDIS_MAXMEMORY", "2gb")
        servers = Servers(state)
        servers.apply_schema()
        fill_journal(servers)
        for name in names:
            BENCHES[name](servers)
    finally:
        if servers:
            servers.stop()
        shutil.rmtree(state, ignore_errors=True)
    print("\n".join(figures))


if __name__ == "__main__":
    main()
