"""What the parts of the benchmark share: sizes, the register of parts, the figures, the journal, small helpers."""
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))  # for the parts: harness.py, fastcgi_client.py

ROUNDS = int(os.environ.get("ROUNDS", 5))
SECONDS = int(os.environ.get("SECONDS", 3))
USERS = int(os.environ.get("USERS", 1000))
TRADES = int(os.environ.get("TRADES", 2000))
HIT_PATH = "/api/analytics/core?time_range=30d"
HIT_USER = "bench-0001"
RANGES = ("today", "7d", "30d", "90d", "6m", "1y", "ytd", "all_time")

figures = []
parts = {}  # name: (rank, function)


def part(name, rank):
    """Registers a function of the servers as a part of the benchmark; all parts together run in the order of their ranks."""
    def register(function):
        assert name not in parts, name
        parts[name] = rank, function
        return function
    return register


def say(text):
    print(text, flush=True)


def figure(name, value, decimals=2):
    figures.append(f"bench: {name} = {value:.{decimals}f}")


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


def run_timed(command, **more):
    """Wall seconds and peak resident megabytes of the command."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return time.monotonic() - start, usage.ru_maxrss / 1024


def stored(servers, user, asset, range_name, section):
    """A stored document."""
    line, body = servers.redis("GET", f"analytics:{asset}:{{{user}}}:{range_name}:{section}").split(b"\n", 1)
    return json.loads(gzip.decompress(body) if b" enc=g " in line else body)


def answers(run):
    try:
        return run() > 0
    except (subprocess.CalledProcessError, AssertionError, OSError):
        return False
