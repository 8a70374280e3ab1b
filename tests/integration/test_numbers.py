"""Precomputed numbers equal an independent computation in SQL numeric (numbers.sql), to the last printed digit.

For every user, every asset and every range: all class E values of core metrics, in the core documents and, as decimal
strings, in the summaries. On hand-made edge cases, on the generated sample, and, when REAL_DATA names a folder with
stocks.csv and options.csv, on those, at several instants.
"""
import gzip
import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

import harness
from harness import ROOT

RANGES = ("today", "7d", "30d", "90d", "6m", "1y", "ytd", "all_time")
ASSETS = {"stocks": "stocks", "options": "options", "combined": "all"}
SQL = (Path(__file__).parent / "numbers.sql").read_text()
TRADING_DAY = """
CREATE OR REPLACE FUNCTION pg_temp.trading_day(t timestamptz, zone text, starts integer) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT (t AT TIME ZONE zone)::date
         + CASE WHEN starts BETWEEN 1 AND 11 AND extract(hour FROM t AT TIME ZONE zone) < starts THEN -1
                WHEN starts >= 12 AND extract(hour FROM t AT TIME ZONE zone) >= starts THEN 1
                ELSE 0 END
$$"""
SUMMARY_ONLY = {"trade_expectancy", "avg_hold_time_winners", "avg_hold_time_losers"}
# summary field -> (column of numbers.sql, decimals)
SUMMARY = {
    "total_pnl": ("total_pnl", 4), "profit_factor": ("profit_factor", 6), "win_rate": ("win_rate", 4),
    "loss_rate": ("loss_rate", 4), "avg_gain": ("average_win", 4), "avg_loss": ("average_loss", 4),
    "biggest_winner": ("biggest_winner", 4), "biggest_loser": ("biggest_loser", 4),
    "avg_hold_time_winners": ("avg_hold_time_winners", 6), "avg_hold_time_losers": ("avg_hold_time_losers", 6),
    "risk_reward_ratio": ("win_loss_ratio", 6), "trade_expectancy": ("trade_expectancy", 4),
    "avg_position_size": ("average_position_size", 4), "net_pnl": ("total_pnl", 4),
}


def parse(text):
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def expected_numbers(db, user, asset, as_of, range_name):
    with db.cursor() as cursor:
        cursor.execute(TRADING_DAY)
        cursor.execute(SQL, {"user": user, "asset": asset, "as_of": as_of, "range": range_name})
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone()))


def assert_same_trade(expected, actual, where):
    if expected is None:
        assert actual is None, where
        return
    shown = {name: actual[name] for name in expected}
    assert shown == parse(json.dumps(expected)), where


def assert_core(expected, core, where):
    for name, value in expected.items():
        if name in SUMMARY_ONLY:
            continue
        if name in ("biggest_winner_trade", "biggest_loser_trade"):
            assert_same_trade(value, core[name], f"{where} {name}")
        else:
            assert core[name] == value, f"{where} {name}: {core[name]} is not {value}"


def assert_summary(expected, summary, where):
    for field, (column, decimals) in SUMMARY.items():
        value = expected[column]
        text = None if value is None else f"{value:.{decimals}f}"
        assert summary[field] == text, f"{where} {field}: {summary[field]} is not {text}"
    assert_core(expected, summary["core_metrics"], where + " core_metrics")


def assert_user(db, documents, user):
    """documents: key -> body of everything precomputed for the user."""
    compared = 0
    for key_asset, asset in ASSETS.items():
        for range_name in RANGES:
            key = f"analytics:{key_asset}:{{{user}}}:{range_name}"
            core = documents[key + ":core"]
            as_of = core["meta"]["as_of"]
            expected = expected_numbers(db, user, asset, as_of, range_name)
            assert_core(expected, core["data"], key)
            assert core["meta"]["trade_count"] == expected["total_trades"]
            if asset != "all":
                assert documents[key]["meta"]["as_of"] == as_of
                assert_summary(expected, documents[key]["data"], key)
            compared += expected["total_trades"]
    return compared


def printed(run_worker, *arguments):
    documents = {}
    for line in run_worker("job", "precompute", "--print", *arguments).stdout.splitlines():
        key, body = line.split("\t", 1)
        documents[key] = parse(body)
    return documents


def stored(servers, user):
    """What Redis holds for the user, bodies unpacked by the header's word."""
    documents = {}
    for key in servers.redis("KEYS", f"analytics:*:{{{user}}}:*").decode().splitlines():
        header, body = servers.redis("GET", key).split(b"\n", 1)
        fields = dict(word.split(b"=", 1) for word in header.split()[1:])
        if fields[b"enc"] == b"g":
            body = gzip.decompress(body)
        documents[key] = parse(body)
    return documents


def psql(servers, *arguments):
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", servers.owner_url, *arguments],
                   check=True, stdin=subprocess.DEVNULL)


# --- hand-made cases --------------------------------------------------------------------------------


def at(instant):
    return "NULL" if instant is None else f"'{instant}'"


def add_stock(db, user, id, entry, exit, price=100, exit_price=101, shares=1, side="BUY", **costs):
    harness.add_stock(db, user, id, price, exit_price if exit else None, shares, at(entry), at(exit), trade_type=side, **costs)


def add_option(db, user, id, entry, exit, price=2, exit_price=3, contracts=1, **columns):
    harness.add_option(db, user, id, price, exit_price, contracts, at(entry), at(exit), **columns)


def test_range_boundaries_and_ties(db, run_worker):
    as_of = "2025-08-31T20:00:00Z"
    entry = "2023-01-02T15:00:00Z"
    edges = (
        "2025-08-31T03:59:59.999999Z", "2025-08-31T04:00:00Z",  # yesterday's last microsecond, today's first
        "2025-08-25T03:59:59Z", "2025-08-25T04:00:00Z",         # 7d
        "2025-08-02T03:59:59Z", "2025-08-02T04:00:00Z",         # 30d
        "2025-06-03T03:59:59Z", "2025-06-03T04:00:00Z",         # 90d
        "2025-03-01T04:59:59Z", "2025-03-01T05:00:00Z",         # 6m from 31 August: 1 March, EST
        "2024-09-01T03:59:59Z", "2024-09-01T04:00:00Z",         # 1y
        "2025-01-01T04:59:59Z", "2025-01-01T05:00:00Z",         # ytd
        "2025-08-31T20:00:00Z", "2025-08-31T20:00:00.000001Z",  # as_of itself, and just after: still open
    )
    for i, exit in enumerate(edges, 1):
        add_stock(db, "edge", i, entry, exit, exit_price=100 + (-1) ** i * i)
        add_option(db, "edge", i, entry, exit, exit_price=2 + Decimal(i % 3 - 1), commissions="0.65")
    add_stock(db, "edge", 100, "2025-08-31T20:00:00.000001Z", None)
    documents = printed(run_worker, "--user", "edge", "--as-of", as_of)
    assert assert_user(db, documents, "edge") > 0
    closed = [documents[f"analytics:combined:{{edge}}:{r}:core"]["data"]["total_trades"] for r in RANGES]
    assert closed == [4, 8, 12, 16, 20, 28, 24, 30]


def test_break_evens_fractions_and_rebates(db, run_worker):
    entry, exit = "2025-06-02T15:00:00Z", "2025-06-03T15:00:00Z"
    add_stock(db, "odd", 1, entry, exit, exit_price=100)                                        # break-even
    add_stock(db, "odd", 2, entry, exit, price="0.00000001", exit_price="0.00000002", shares="0.5")  # 0.5e-8, rounds up
    add_stock(db, "odd", 3, entry, exit, price="0.00000002", exit_price="0.00000001", shares="0.5")  # and away from zero
    add_stock(db, "odd", 4, entry, exit, price="33.33333333", exit_price="33.33333334", shares="3.33333333", side="SELL")
    add_stock(db, "odd", 5, entry, exit, fees="-0.125", commissions="0.00005")                  # a rebate
    add_stock(db, "odd", 6, entry, exit, price="9999999999.99999999", exit_price="0.00000001")  # nearly too large
    add_option(db, "odd", 1, entry, exit, exit_price=None, status="expired", side="short")
    add_option(db, "odd", 2, entry, exit, exit_price=None, status="assigned", contracts=7)
    documents = printed(run_worker, "--user", "odd", "--as-of", "2025-06-03T16:00:00Z")
    assert assert_user(db, documents, "odd") > 0


@pytest.mark.parametrize("zone, starts", [("Asia/Tokyo", 0), ("America/Chicago", 17), ("Europe/Berlin", 6), ("Australia/Lord_Howe", 11)])
def test_zones_and_day_starts(db, run_worker, zone, starts):
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO account_settings (user_id, timezone, trading_day_start) VALUES ('far', %s, %s)", (zone, starts))
    for hour in range(0, 24 * 12):  # every hour around the spring change of clocks
        exit = f"2025-03-{25 + hour // 24:02d}" if hour < 24 * 7 else f"2025-04-{hour // 24 - 6:02d}"
        add_stock(db, "far", hour + 1, "2025-03-01T00:00:00Z", f"{exit}T{hour % 24:02d}:00:00Z", exit_price=100 + hour % 7 - 3)
    for as_of in ("2025-03-30T01:30:00Z", "2025-04-05T22:59:59Z"):
        documents = printed(run_worker, "--user", "far", "--as-of", as_of)
        assert assert_user(db, documents, "far") > 0


def test_user_without_trades(db, run_worker):
    documents = printed(run_worker, "--user", "nobody")
    assert assert_user(db, documents, "nobody") == 0


# --- whole journals -------------------------------------------------------------------------------------


def test_generated_sample_in_redis(servers, db, run_worker):
    psql(servers, "-v", "whale=2000", "-f", ROOT / "sql/sample/generate.sql")
    run_worker("job", "precompute", "--all")
    for user in ("beginner", "active", "whale"):
        documents = stored(servers, user)
        assert len(documents) == 88
        assert assert_user(db, documents, user) > 0
        assert all(documents[f"analytics:stocks:{{{user}}}:{r}:core"]["data"]["total_trades"] > 0 for r in RANGES)


def load_real_data(servers):
    subprocess.run([ROOT / "tools/load_sample.sh", os.environ["REAL_DATA"]], check=True, stdin=subprocess.DEVNULL,
                   env=dict(os.environ, DATABASE_URL=servers.owner_url))


def real_journals(db):
    """Each user with the instants of its first, middle and last exit."""
    with db.cursor() as cursor:
        cursor.execute("SELECT user_id, min(exit_date), percentile_disc(0.5) WITHIN GROUP (ORDER BY exit_date), max(exit_date)"
                       " FROM (SELECT user_id, exit_date FROM stocks UNION ALL SELECT user_id, exit_date FROM options) AS t"
                       " GROUP BY user_id")
        journals = cursor.fetchall()
    assert journals
    return journals


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA names no folder of CSV files")
def test_real_data(servers, db, run_worker):
    load_real_data(servers)
    for user, *instants in real_journals(db):
        for as_of in instants:
            documents = printed(run_worker, "--user", user, "--as-of", as_of.isoformat())
            assert assert_user(db, documents, user) > 0
