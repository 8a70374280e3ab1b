"""Random journals: risk, performance and duration numbers equal SQL numeric (engine.sql) to the last printed digit; every
document is clean JSON; the order of insertion and the splitting of a position do not matter where metrics.md says so."""
import json
import os
import random
import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from psycopg2.extras import execute_values

from test_numbers import ASSETS, RANGES, ROOT, SQL, TRADING_DAY, Path, assert_user, parse, psql

ENGINE = (Path(__file__).parent / "engine.sql").read_text()
# The trades of numbers.sql, all of them, with the outcome of the close before each entry.
HISTORY = "CREATE TEMP TABLE history AS " + SQL[:SQL.index("), runs AS")] + """)
SELECT closed.*, pg_temp.trading_day(exit_date, zone, starts) AS day, NULL::numeric AS previous FROM closed, bounds"""
PREVIOUS = """
CREATE INDEX ON history (exit_date, position);
UPDATE history AS t SET previous = (SELECT outcome FROM history AS h WHERE h.exit_date <= t.entry_date AND h.position <> t.position
                                    ORDER BY h.exit_date DESC, h.position DESC LIMIT 1)"""
BAD_NUMBER = re.compile(r"NaN|Infinity|[:,\[]-0(?:\.0*)?[,}\]]|[:,\[]-?[0-9.]+[eE]")
NEVER_NULL = {
    "core": "total_trades winning_trades losing_trades break_even_trades total_pnl net_profit_loss pnl_before_costs gross_profit"
            " gross_loss max_consecutive_wins max_consecutive_losses current_streak total_commissions total_fees total_costs",
    "risk": "return_basis observations maximum_drawdown maximum_drawdown_duration_days current_drawdown"
            " current_drawdown_duration_days risk_trade_count",
}
WITH_TRADES = {"core": "win_rate loss_rate average_position_size average_commission_per_trade"}
STOCK = "user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, commissions, fees, entry_date, exit_date"
OPTION = ("user_id, id, symbol, strategy_type, option_type, strike_price, expiration_date, number_of_contracts, entry_price,"
          " exit_price, status, side, commissions, fees, entry_date, exit_date")


def bodies(run_worker, user, as_of):
    lines = run_worker("job", "precompute", "--print", "--user", user, "--as-of", as_of).stdout.splitlines()
    return dict(line.split("\t", 1) for line in lines)


def without_strings(body):
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', body)


def assert_clean(documents):
    for key, body in documents.items():
        assert not BAD_NUMBER.search(without_strings(body)), key
        section, document = key.rsplit(":", 1)[-1], json.loads(body)
        if section in NEVER_NULL:
            data = document["data"]
            names = NEVER_NULL[section] + (" " + WITH_TRADES.get(section, "") if document["meta"]["trade_count"] else "")
            assert [name for name in names.split() if data[name] is None] == [], key


def assert_engine(db, documents, user, as_of):
    with db.cursor() as cursor:
        cursor.execute(TRADING_DAY)
        for key_asset, asset in ASSETS.items():
            values = {"user": user, "asset": asset, "as_of": as_of, "range": "all_time"}
            cursor.execute("DROP TABLE IF EXISTS history")
            cursor.execute(HISTORY, values)
            cursor.execute(PREVIOUS)
            cursor.execute("ANALYZE history")
            cursor.execute("SELECT pg_temp.trading_day(%s, coalesce(max(timezone), 'America/New_York'),"
                           " coalesce(max(trading_day_start), 0)) FROM account_settings WHERE user_id = %s", (as_of, user))
            values["today"] = cursor.fetchone()[0]
            for range_name in RANGES:
                key = f"analytics:{key_asset}:{{{user}}}:{range_name}"
                cursor.execute(ENGINE, {**values, "range": range_name})
                expected = parse(cursor.fetchone()[0])
                performance = documents[key + ":performance"]["data"]
                actual = {"risk": documents[key + ":risk"]["data"], "performance": performance["performance_metrics"]}
                for section, numbers in actual.items():
                    shown = {name: numbers[name] for name in expected[section]}
                    assert shown == expected[section], f"{key} {section}"
                assert performance["duration_performance"]["duration_buckets"] == expected["duration"], key


def random_journal(rng, user, count, last):
    stocks, options = [], []
    exit = last
    for id in range(1, count + 1):
        exit -= rng.choice((timedelta(0), timedelta(microseconds=1), timedelta(hours=rng.randrange(40)), timedelta(days=rng.randrange(4))))
        closed = exit if id % 50 else datetime(1901 + id // 50, 2, 28, 23, 59, 59, tzinfo=timezone.utc)
        if id % 7 == 0:  # midnight in New York, in summer and winter; 18:30 UTC is midnight in Kolkata
            closed = closed.replace(hour=rng.choice((4, 5, 18)), minute=rng.choice((0, 30)), second=0, microsecond=0)
        closed = min(closed, last)
        entry = closed - rng.choice((timedelta(0), timedelta(minutes=5), timedelta(days=1), timedelta(days=7), timedelta(days=rng.randrange(120))))
        price = rng.choice((10, 33.33333333, rng.randrange(1, 10**10) / 10**8))
        cost = rng.choice((0, 0, 0.65)), rng.choice((0, 0, -0.00000001))
        change = rng.choice((0, 0.00000001, -0.00000001, 1, -1)) * min(1, price / 2 if price > 1e-6 else 0)
        if rng.random() < 0.6:
            stocks.append((user, id, "ACME", rng.choice(("BUY", "SELL")), rng.choice((1, 0.5, 3.33333333)), f"{price:.8f}",
                           f"{price + change:.8f}", *(f"{c:.8f}" for c in cost), entry, closed))
        else:
            status = rng.choice(("closed", "expired", "assigned", "exercised"))
            options.append((user, id, "ACME", "Long Call", rng.choice(("Call", "Put")), 50, entry.date() + timedelta(days=30), rng.randrange(1, 9),
                            f"{price:.8f}", f"{price + change:.8f}" if status == "closed" else None, status,
                            rng.choice(("long", "short")), *(f"{c:.8f}" for c in cost), entry, closed))
    return stocks, options


def insert(db, stocks, options):
    with db.cursor() as cursor:
        for table, names, rows in (("stocks", STOCK, stocks), ("options", OPTION, options)):
            if rows:
                execute_values(cursor, f"INSERT INTO {table} ({names}) VALUES %s", rows)


@pytest.mark.parametrize("zone, starts, count, as_of", [
    ("America/New_York", 0, 700, "2025-03-31T20:00:00Z"), ("Asia/Kolkata", 0, 150, "2024-02-29T18:30:00Z"),
    ("America/Chicago", 17, 300, "2025-11-09T23:00:00Z"), ("Europe/Berlin", 6, 1, "2096-02-29T12:00:00Z")])
def test_random_journals(db, run_worker, zone, starts, count, as_of):
    seed = int(os.environ.get("SEED", random.randrange(10**9)))
    print(f"SEED={seed}")
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO account_settings (user_id, timezone, trading_day_start, starting_equity, market_holidays)"
                       " VALUES ('any', %s, %s, 100000, '{2025-01-01,2024-12-25}')", (zone, starts))
    stocks, options = random_journal(random.Random(seed), "any", count, datetime.fromisoformat(as_of.replace("Z", "+00:00")))
    insert(db, stocks, options)
    texts = bodies(run_worker, "any", as_of)
    assert_clean(texts)
    documents = {key: parse(body) for key, body in texts.items()}
    assert assert_user(db, documents, "any") > 0
    assert_engine(db, documents, "any", as_of)


def test_order_of_insertion(db, run_worker):
    as_of = "2025-03-31T20:00:00Z"
    rng = random.Random(5)
    stocks, options = random_journal(rng, "any", 200, datetime(2025, 3, 31, 20, tzinfo=timezone.utc))
    insert(db, stocks, options)
    before = bodies(run_worker, "any", as_of)
    with db.cursor() as cursor:
        cursor.execute("DELETE FROM stocks; DELETE FROM options")
    rng.shuffle(stocks)
    insert(db, stocks, options[::-1])
    strip = re.compile(r'"(?:computed_at|source_version|version|computation_time_ms|valid_until)":[^,}]*')
    after = bodies(run_worker, "any", as_of)
    assert {k: strip.sub("", b) for k, b in after.items()} == {k: strip.sub("", b) for k, b in before.items()}


def test_split_position(db, run_worker):
    as_of = "2025-03-31T20:00:00Z"
    last = datetime(2025, 3, 31, 20, tzinfo=timezone.utc)
    rows = [("any", i, "ACME", "BUY", 4, 10, 10 + (-1) ** i * i % 7, 2, 0, last - timedelta(days=i), last - timedelta(days=i // 2)) for i in range(1, 60)]
    insert(db, rows, [])
    before = bodies(run_worker, "any", as_of)
    with db.cursor() as cursor:
        cursor.execute("UPDATE stocks SET number_shares = 2, commissions = 1")
    insert(db, [(r[0], r[1] + 1000, *r[2:4], 2, *r[5:7], 1, *r[8:]) for r in rows], [])
    after = bodies(run_worker, "any", as_of)
    for range_name in RANGES:
        key = f"analytics:combined:{{any}}:{range_name}"
        was, now = (parse(texts[key + ":core"])["data"] for texts in (before, after))
        assert now["total_trades"] == 2 * was["total_trades"]
        for name in ("total_pnl", "gross_profit", "gross_loss", "total_costs", "profit_factor", "win_rate"):
            assert now[name] == was[name], (key, name)
        was, now = (parse(texts[key + ":risk"])["data"] for texts in (before, after))
        for name in was:
            if name.startswith(("maximum_", "current_", "var_", "expected_", "volatility", "observations")):
                assert now[name] == was[name], (key, name)


def test_documents_of_the_sample(servers, run_worker):
    psql(servers, "-v", "whale=2000", "-f", ROOT / "sql/sample/generate.sql")
    for user in ("beginner", "active", "whale"):
        assert_clean(bodies(run_worker, user, datetime.now(timezone.utc).isoformat()))


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA names no folder of CSV files")
def test_documents_of_real_data(servers, db, run_worker):
    subprocess.run([ROOT / "tools/load_sample.sh", os.environ["REAL_DATA"]], check=True, stdin=subprocess.DEVNULL,
                   env=dict(os.environ, DATABASE_URL=servers.owner_url))
    with db.cursor() as cursor:
        cursor.execute("SELECT user_id, max(exit_date) FROM (SELECT user_id, exit_date FROM stocks UNION ALL"
                       " SELECT user_id, exit_date FROM options) AS t GROUP BY user_id")
        journals = cursor.fetchall()
    assert journals
    for user, as_of in journals:
        assert_clean(bodies(run_worker, user, as_of.isoformat()))
