"""Precompute: everything, against the bare COPY of the same rows and against SQL."""
import os
import statistics
import subprocess
import threading
import time

import psycopg2
from harness import BUILD

from common import RANGES, ROOT, ROUNDS, TRADES, USERS, figure, part, run_timed, say, stored

SQL_USERS = int(os.environ.get("SQL_USERS", 20))
# What the worker's own sessions are set to; the yardsticks get the same.
SESSION = {"jit": "off", "random_page_cost": "1.1", "TimeZone": "UTC"}
BATCH = 500  # users of one COPY: the default of PRECOMPUTE_BATCH
SECTIONS = ("core", "risk", "performance")
ASSETS = {"combined": "all", "stocks": "stocks", "options": "options"}


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


@part("precompute", 50)
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
