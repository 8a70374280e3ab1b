#!/usr/bin/python3
"""make bench: speed, measured side by side with a yardstick in the same run, reported as ratios.

    bench.py [engine] [json] [l1] [hits] [precompute] [webhooks] [whale] [events] [timeline] [outbox] [warm]
             [slow_db] [degraded] [recovery]        no name: all of them

Environment: BUILD_DIR (default build/release), ROUNDS (5), SECONDS (3) a measurement, USERS (1000), TRADES (2000), SQL_USERS (20),
WEBHOOKS (10000), WHALE_TRADES (1000000), EVENTS (200).
The last lines are `bench: NAME = VALUE`. docs/benchmarks.md says what each figure means.
"""
import gzip
import io
import json
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

import psycopg2  # noqa: E402
import event_timeline  # noqa: E402
import outages  # noqa: E402
import redis  # noqa: E402
import warm_replay  # noqa: E402
from fastcgi_client import Client  # noqa: E402
from harness import BUILD, Daemon, Servers, free_port, sign_webhook, token, wait_until, webhook_event  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", 5))
SECONDS = int(os.environ.get("SECONDS", 3))
USERS = int(os.environ.get("USERS", 1000))
TRADES = int(os.environ.get("TRADES", 2000))
SQL_USERS = int(os.environ.get("SQL_USERS", 20))
WEBHOOKS = int(os.environ.get("WEBHOOKS", 10000))
WHALE_TRADES = int(os.environ.get("WHALE_TRADES", 1000000))
HIT_PATH = "/api/analytics/core?time_range=30d"
HIT_USER = "bench-0001"

figures = []


def say(text):
    print(text, flush=True)


def figure(name, value, decimals=2):
    figures.append(f"bench: {name} = {value:.{decimals}f}")


# --- the journal everything is measured on -----------------------------------------------------------


def owner_sql(servers, *statements):
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", servers.owner_url]
    for statement in statements:
        command += ["-c", statement]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def fill(servers, users, trades):
    """Gives each user closed stock trades over the last two years, prices and sizes varied."""
    owner_sql(servers, f"""
        ALTER TABLE stocks DISABLE TRIGGER USER;
        INSERT INTO stocks (user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price, stop_loss,
                            commissions, fees, entry_date, exit_date)
        SELECT name, t,
               (ARRAY['AAPL','MSFT','NVDA','AMD','TSLA','SPY','QQQ','META'])[1 + (u + t) % 8],
               CASE (u * 7 + t) % 5 WHEN 0 THEN 'SELL' ELSE 'BUY' END, 'LIMIT',
               10 + (u * 31 + t * 17) % 490, price, price + ((u * 13 + t * 29) % 400 - 190) / 100.0,
               CASE t % 3 WHEN 0 THEN price - 1.5 END,
               1.25, 0.0325, exit - interval '1 hour' * (1 + (u + t) % 200), exit
        FROM unnest('{{{",".join(users)}}}'::text[]) WITH ORDINALITY AS users (name, u), generate_series(1, {trades}) t,
             LATERAL (SELECT 20 + (u * 37 + t * 11) % 480 + (t % 100) / 100.0 AS price,
                             now() - interval '1 second' * ((730.0 * 86400 / {trades}) * ({trades} - t) + 3600) AS exit) x;
        ALTER TABLE stocks ENABLE TRIGGER USER;""", "VACUUM ANALYZE stocks")


def fill_journal(servers):
    say(f"filling the journal: {USERS} users x {TRADES} trades")
    fill(servers, [f"bench-{u:04d}" for u in range(1, USERS + 1)], TRADES)


# --- hits: the responder against the least a FastCGI program can do, and against webdis -----------------


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


def answers(run):
    try:
        return run() > 0
    except (subprocess.CalledProcessError, AssertionError, OSError):
        return False


# --- precompute: everything, against the bare COPY of the same rows and against SQL ------------------------

# What the worker's own sessions are set to; the yardsticks get the same.
SESSION = {"jit": "off", "random_page_cost": "1.1", "TimeZone": "UTC"}
BATCH = 500  # users of one COPY: the default of PRECOMPUTE_BATCH
RANGES = ("today", "7d", "30d", "90d", "6m", "1y", "ytd", "all_time")
SECTIONS = ("core", "risk", "performance")
ASSETS = {"combined": "all", "stocks": "stocks", "options": "options"}


def run_timed(command, **more):
    """Wall seconds and peak resident megabytes of the command."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return time.monotonic() - start, usage.ru_maxrss / 1024


def bare_copy(servers):
    """The psql command that fetches, in binary, the very rows and columns that jobs/trade_reader.c reads, in its order and its
    batches, and throws them away: whatever computes from the trades must at least wait for this."""
    users = [f"bench-{u:04d}" for u in range(1, USERS + 1)]
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", servers.owner_url]
    for at in range(0, USERS, BATCH):
        array = "{" + ",".join(users[at:at + BATCH]) + "}"
        query = subprocess.run([BUILD / "bench/reader_query", array], capture_output=True, text=True, check=True).stdout
        command += ["-c", f"COPY ({query.strip()}) TO STDOUT (FORMAT binary)"]
    return command


def bench_precompute(servers):
    say(f"precompute of {USERS} users x {TRADES} trades against the bare binary COPY of the same rows")
    copy, copies, runs, peaks = bare_copy(servers), [], [], []
    options = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    for round_ in range(ROUNDS):
        seconds, _ = run_timed(copy, stdout=subprocess.DEVNULL, env=dict(os.environ, PGOPTIONS=options))
        copies.append(seconds)
        servers.redis("FLUSHALL")
        seconds, peak = run_timed([BUILD / "pnlcache-worker", "job", "precompute", "--all"],
                                  env=servers.settings(LOG_LEVEL="warn", PRECOMPUTE_BATCH=BATCH))
        runs.append(seconds)
        peaks.append(peak)
        say(f"  round {round_ + 1}/{ROUNDS}: COPY {copies[-1]:.2f} s, precompute {runs[-1]:.2f} s, peak {peaks[-1]:.1f} MB, "
            f"{int(servers.redis('DBSIZE'))} keys")
    figure("precompute_vs_copy", statistics.median(runs) / statistics.median(copies))
    figure("precompute_peak_mb", max(peaks), 1)
    bench_sql(servers, statistics.median(runs))


def stored(servers, user, asset, range_name, section):
    """A stored document."""
    line, body = servers.redis("GET", f"analytics:{asset}:{{{user}}}:{range_name}:{section}").split(b"\n", 1)
    return json.loads(gzip.decompress(body) if b" enc=g " in line else body)


def sql_session(servers):
    connection = psycopg2.connect(servers.owner_url)
    connection.autocommit = True
    cursor = connection.cursor()
    for name, value in SESSION.items():
        cursor.execute(f"SET {name} = {value}")
    for section in SECTIONS:
        text = (ROOT / f"bench/sql_yardstick/{section}.sql").read_text()
        cursor.execute(f"PREPARE {section} (text, timestamptz, timestamptz, text) AS {text}")
    return cursor


def compute_with_sql(cursor, user, bounds, seen=None):
    """Every section of every range and asset class of one user, each with its own query; seen() gets each row by column."""
    for range_name, (start, end) in bounds.items():
        for asset, parameter in ASSETS.items():
            for section in SECTIONS:
                cursor.execute(f"EXECUTE {section} (%s, %s, %s, %s)", (user, start, end, parameter))
                row = cursor.fetchone()
                if seen:
                    seen(asset, range_name, section, {column.name: value for column, value in zip(cursor.description, row)})


def check_same_work(servers, cursor, user, bounds):
    """The queries do the work that they are timed for only if they come to the documents' numbers."""
    compared = 0

    def compare(asset, range_name, section, row):
        nonlocal compared
        data = stored(servers, user, asset, range_name, section)["data"]
        data = data.get("performance_metrics", data)
        for name in row.keys() & data.keys():
            ours, theirs = data[name], row[name]
            same = ours is theirs is None or (None not in (ours, theirs) and abs(ours - float(theirs)) <= 1e-4 + 1e-6 * abs(ours))
            assert same, f"{asset} {range_name} {section} {name}: {ours} in the document, {theirs} by SQL"
            compared += 1

    compute_with_sql(cursor, user, bounds, compare)
    return compared


def bench_sql(servers, precompute_seconds):
    """The same sections with one SQL query for each metric group, range and asset class, as journals do it: prepared, on two
    connections at once (one for each core), for a sample of users, scaled to all of them."""
    users = [f"bench-{1 + i * USERS // SQL_USERS:04d}" for i in range(SQL_USERS)]
    cursors = [sql_session(servers), sql_session(servers)]
    periods = {name: stored(servers, users[0], "combined", name, "core")["meta"]["time_range"] for name in RANGES}
    bounds = {name: (period["start"] or "-infinity", period["end"]) for name, period in periods.items()}
    compared = check_same_work(servers, cursors[0], users[0], bounds)
    say(f"the same sections by SQL: {len(RANGES) * len(ASSETS) * len(SECTIONS)} queries a user, {SQL_USERS} users on 2 connections; "
        f"{compared} numbers of one user agree with the documents")
    seconds = []
    for round_ in range(ROUNDS):
        start = time.monotonic()
        shares = [threading.Thread(target=lambda c=cursor, n=n: [compute_with_sql(c, user, bounds) for user in users[n::2]])
                  for n, cursor in enumerate(cursors)]
        for share in shares:
            share.start()
        for share in shares:
            share.join()
        seconds.append((time.monotonic() - start) * USERS / SQL_USERS)
        say(f"  round {round_ + 1}/{ROUNDS}: {seconds[-1]:.1f} s for {USERS} users")
    figure("precompute_vs_sql", statistics.median(seconds) / precompute_seconds, 1)
    for cursor in cursors:
        cursor.connection.close()


# --- one user with very many trades ----------------------------------------------------------------------


def bench_whale(servers):
    say(f"one user with {WHALE_TRADES} trades, all documents")
    fill(servers, ["whale"], WHALE_TRADES)
    runs = [run_timed([BUILD / "pnlcache-worker", "job", "precompute", "--user", "whale"],
                      env=servers.settings(LOG_LEVEL="warn")) for _ in range(ROUNDS)]
    core = stored(servers, "whale", "combined", "all_time", "core")["data"]
    assert core["total_trades"] == WHALE_TRADES, core
    seconds = statistics.median(seconds for seconds, _ in runs)
    say(f"  {seconds:.2f} s, {seconds / WHALE_TRADES * 1e6:.2f} us for a trade, reading included")
    figure("whale_peak_mb", max(peak for _, peak in runs), 1)
    owner_sql(servers, "ALTER TABLE stocks DISABLE TRIGGER USER; DELETE FROM stocks WHERE user_id = 'whale'; "
                       "ALTER TABLE stocks ENABLE TRIGGER USER;", "VACUUM ANALYZE stocks")


# --- webhooks ---------------------------------------------------------------------------------------------


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
# --- events: from COMMIT to fresh values ---------------------------------------------------------------------

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


# --- the outbox's price for who writes -------------------------------------------------------------------------

COPY_ROWS = 10000
COPY_USERS = 100


def bench_outbox(servers):
    say(f"COPY of {COPY_ROWS} rows of {COPY_USERS} users into stocks, with the triggers of the outbox and without, in turn")
    rows = "".join(f"copy-{i % COPY_USERS}\t{i + 1}\tAAPL\tBUY\tLIMIT\t10\t100\t101\t2024-05-0{1 + i % 9} 15:00Z\t2024-05-1{i % 9} 15:00Z\n"
                   for i in range(COPY_ROWS))
    connection = psycopg2.connect(servers.owner_url)
    connection.autocommit = True
    seconds = {"ENABLE": [], "DISABLE": []}
    with connection.cursor() as cursor:
        for round_ in range(2 * max(ROUNDS, 5)):
            for triggers in ("ENABLE", "DISABLE") if round_ % 2 else ("DISABLE", "ENABLE"):
                cursor.execute(f"ALTER TABLE stocks {triggers} TRIGGER USER; CHECKPOINT")
                start = time.monotonic()
                cursor.copy_expert("COPY stocks (user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price,"
                                   " entry_date, exit_date) FROM STDIN", io.StringIO(rows))
                seconds[triggers].append(time.monotonic() - start)
                cursor.execute("ALTER TABLE stocks DISABLE TRIGGER USER; DELETE FROM stocks WHERE user_id LIKE 'copy-%';"
                               " DELETE FROM pnlcache.change_log")
                cursor.execute("VACUUM stocks")
        cursor.execute("ALTER TABLE stocks ENABLE TRIGGER USER")
    connection.close()
    ratios = [with_ / without for with_, without in zip(seconds["ENABLE"], seconds["DISABLE"])]
    medians = {name: statistics.median(values) * 1e3 for name, values in seconds.items()}
    say(f"  {medians['ENABLE']:.1f} ms with, {medians['DISABLE']:.1f} ms without; ratios {min(ratios):.3f} to {max(ratios):.3f}")
    figure("trigger_copy_overhead_percent", (statistics.median(ratios) - 1) * 100, 1)


# --- the engine from memory -------------------------------------------------------------------------------


def program_figures(name):
    """Runs a benchmark program ROUNDS times: its remarks once, the median of each figure."""
    runs = [subprocess.run([BUILD / "bench" / name], capture_output=True, text=True, check=True).stdout for _ in range(ROUNDS)]
    for line in runs[0].splitlines():
        if not line.startswith("bench: "):
            say("  " + line)
    values = [dict(re.findall(r"^bench: (\w+) = ([\d.]+)$", run, re.MULTILINE)) for run in runs]
    for figure_name in values[0]:
        figure(figure_name, statistics.median(float(value[figure_name]) for value in values))


def bench_engine(_):
    say("the engine from memory: core, risk and performance over all eight ranges together")
    program_figures("engine_bench")


def bench_l1(_):
    say("a lookup in the responder's own memory, value and epochs, judged")
    program_figures("l1_bench")


def bench_json(_):
    say("writing JSON: the precomputed sections of one report, beside the generic library")
    program_figures("json_bench")


def bench_warm(_):
    say("warming: whom to keep ready, by a generated access log")
    figure("warm_predictive_gain", warm_replay.main(say))


def bench_slow_db(servers):
    outages.slow_db(servers, say, figure)


def bench_degraded(servers):
    outages.degraded(servers, say, figure)


def bench_recovery(servers):
    outages.recovery(servers, say, figure)


BENCHES = {"engine": bench_engine, "json": bench_json, "l1": bench_l1, "hits": bench_hits, "precompute": bench_precompute,
           "webhooks": bench_webhooks, "whale": bench_whale,
           "events": bench_events, "timeline": bench_timeline, "outbox": bench_outbox, "warm": bench_warm,
           "slow_db": bench_slow_db, "degraded": bench_degraded, "recovery": bench_recovery}


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
