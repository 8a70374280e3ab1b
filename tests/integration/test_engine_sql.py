"""Random journals: risk, performance and duration numbers equal SQL numeric (engine.sql) to the last printed digit; every
document is clean JSON; the order of insertion and the splitting of a position do not matter where metrics.md says so."""
import json
import os
import random
import re
import subprocess
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from psycopg2.extras import execute_values

import harness
from specification import CORE, OPTIONS, PERFORMANCE, RISK
from test_numbers import ASSETS, RANGES, SQL, TRADING_DAY, Path, assert_user, load_real_data, parse, real_journals

ENGINE = (Path(__file__).parent / "engine.sql").read_text()
# The trades of numbers.sql, all of them, with the outcome of the close before each entry.
HISTORY = "CREATE TEMP TABLE history AS " + SQL[:SQL.index("), runs AS")] + """)
SELECT closed.*, pg_temp.trading_day(exit_date, zone, starts) AS day, NULL::numeric AS previous FROM closed, bounds"""
PREVIOUS = """
CREATE INDEX ON history (exit_date, position);
UPDATE history AS t SET previous = (SELECT outcome FROM history AS h WHERE h.exit_date <= t.entry_date AND h.position <> t.position
                                    ORDER BY h.exit_date DESC, h.position DESC LIMIT 1)"""
BAD_NUMBER = re.compile(r"NaN|Infinity|[:,\[]-0(?:\.0*)?[,}\]]|[:,\[]-?[0-9.]+[eE]")
PLAN = "commissions, fees, stop_loss, initial_risk, profit_target, intended_entry_price, mistakes, entry_date, exit_date"
STOCK = "user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, " + PLAN
OPTION = ("user_id, id, symbol, strategy_type, option_type, strike_price, expiration_date, number_of_contracts, multiplier,"
          " implied_volatility, status, side, entry_price, exit_price, " + PLAN)


def bodies(run_worker, user, as_of, **settings):
    lines = run_worker("job", "precompute", "--print", "--user", user, "--as-of", as_of, **settings).stdout.splitlines()
    return dict(line.split("\t", 1) for line in lines)


def without_strings(body):
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', body)


def assert_clean(documents):
    for key, body in documents.items():
        json.loads(body)
        assert not BAD_NUMBER.search(without_strings(body)), key


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
                if asset == "options":
                    actual["options"] = documents[key]["data"]["options_metrics"]
                    assert list(actual["options"]) == list(OPTIONS)
                for section, numbers in actual.items():
                    wrong = {name: (numbers[name], value) for name, value in expected[section].items() if numbers[name] != value}
                    assert not wrong, f"{key} {section}: (shown, expected) {wrong}"
                assert performance["duration_performance"]["duration_buckets"] == expected["duration"], key


def random_exit(rng, id, before, first):
    """An exit at or before `before`: ties, midnights, leap days, years long ago; not before `first`."""
    exit = before - rng.choice((timedelta(0), timedelta(microseconds=1), timedelta(hours=rng.randrange(40)), timedelta(days=rng.randrange(4))))
    closed = exit
    if id % 50 == 0:
        closed = datetime(1901 + id // 50 % 100, 2, 28, 23, 59, 59, tzinfo=timezone.utc)
    elif id % 53 == 0:
        closed = datetime(1904 + 4 * (id % 29), 2, 29, rng.randrange(24), 30, tzinfo=timezone.utc)
    elif id % 7 == 0:  # midnight in New York, in summer and winter; 18:30 UTC is midnight in Kolkata
        closed = exit.replace(hour=rng.choice((4, 5, 18)), minute=rng.choice((0, 30)), second=0, microsecond=0)
    elif id % 11 == 0:  # the hours in which clocks change, in Europe and America
        closed = exit.replace(month=rng.choice((3, 11)), day=rng.choice((2, 3, 9)), hour=rng.randrange(5, 9))
    return exit, closed if first <= closed <= before else exit


def random_plan(rng, price, units, entry, exit):
    """The values of PLAN: costs, stops on either side, targets, slippage, mistakes."""
    def near(most):
        return rng.choice((None, None, f"{price * rng.uniform(0.5, most):.8f}")) if price > 1e-6 else None

    risk = rng.choice((None, None, None, f"{max(price * units, 1e-6) * rng.choice((0.01, 1)):.8f}"))
    mistakes = rng.choice((None, None, "", " ; ,", "late", "fomo, late;late"))
    return (rng.choice((0, 0, 0.65)), rng.choice(("0", "0", "-0.00000001")), near(1.5), risk, near(2), near(1.2), mistakes, entry, exit)


def random_journal(rng, user, count, last, days=40000):
    stocks, options = [], []
    exit, first = last, max(last - timedelta(days=days), datetime(1901, 1, 1, tzinfo=timezone.utc))
    for id in range(1, count + 1):
        exit, closed = random_exit(rng, id, exit, first)
        exit = max(exit, first)
        entry = closed - rng.choice((timedelta(0), timedelta(minutes=5), timedelta(days=1), timedelta(days=7), timedelta(days=rng.randrange(120))))
        price = rng.choice((10, 33.33333333, rng.randrange(1, 10**10) / 10**8))
        left = price + rng.choice((0, 0.00000001, -0.00000001, 1, -1)) * min(1, price / 2 if price > 1e-6 else 0)
        if rng.random() < 0.6:
            shares = rng.choice((1, 0.5, 3.33333333))
            stocks.append((user, id, "ACME", rng.choice(("BUY", "SELL")), shares, f"{price:.8f}", f"{left:.8f}",
                           *random_plan(rng, price, shares, entry, closed)))
        else:
            status, price = rng.choice(("closed", "expired", "assigned", "exercised")), rng.choice((price, price, 0))
            contracts, multiplier = rng.randrange(1, 9), rng.choice((100, 10))
            options.append((user, id, "ACME", "Long Call", rng.choice(("Call", "Put")), 50, entry.date() + timedelta(days=rng.randrange(-1, 90)),
                            contracts, multiplier, rng.choice((None, "35.2500", "0.0001")), status, rng.choice(("long", "short")),
                            f"{price:.8f}", f"{left:.8f}" if status == "closed" else None,
                            *random_plan(rng, price, contracts * multiplier, entry, closed)))
    return stocks, options


def insert(db, stocks, options):
    with db.cursor() as cursor:
        for table, names, rows in (("stocks", STOCK, stocks), ("options", OPTION, options)):
            if rows:
                execute_values(cursor, f"INSERT INTO {table} ({names}) VALUES %s", rows)


@pytest.mark.parametrize("zone, starts, count, days, as_of", [
    ("America/New_York", 0, 0, 1, "2025-03-31T20:00:00Z"), ("Europe/Berlin", 6, 1, 1, "2096-02-29T12:00:00Z"),
    ("America/New_York", 0, 2, 40000, "2025-03-31T20:00:00Z"), ("Australia/Lord_Howe", 0, 7, 3, "2025-04-06T15:00:00Z"),
    ("America/New_York", 17, 60, 0.7, "2025-03-09T23:00:00Z"), ("Asia/Kolkata", 0, 150, 40000, "2024-02-29T18:30:00Z"),
    ("America/Chicago", 17, 300, 40000, "2025-11-09T23:00:00Z"), ("Pacific/Auckland", 0, 700, 40000, "2400-02-29T11:00:00Z"),
    ("America/New_York", 0, 5000, 40000, "2025-03-31T20:00:00Z")])
def test_random_journals(db, run_worker, zone, starts, count, days, as_of):
    seed = int(os.environ.get("SEED", random.randrange(10**9)))
    print(f"SEED={seed}")
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO account_settings (user_id, timezone, trading_day_start, starting_equity, market_holidays)"
                       " VALUES ('any', %s, %s, 100000, '{2025-01-01,2024-12-25}')", (zone, starts))
    insert(db, *random_journal(random.Random(seed), "any", count, datetime.fromisoformat(as_of.replace("Z", "+00:00")), days))
    texts = bodies(run_worker, "any", as_of)
    assert_clean(texts)
    documents = {key: parse(body) for key, body in texts.items()}
    assert (assert_user(db, documents, "any") > 0) == (count > 0)
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
    rows = [("any", i, "ACME", "BUY", 4, 10, 10 + (-1) ** i * i % 7, 2, 0, 9, None, None, None, None, last - timedelta(days=i),
             last - timedelta(days=i // 2)) for i in range(1, 60)]
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


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA names no folder of CSV files")
def test_engine_on_real_data(servers, db, run_worker):
    load_real_data(servers)
    for user, *instants in real_journals(db):
        for as_of in instants:
            texts = bodies(run_worker, user, as_of.isoformat())
            assert_clean(texts)
            assert_engine(db, {key: parse(body) for key, body in texts.items()}, user, as_of)


VOLATILE = re.compile(r'"(?:computed_at|as_of|valid_until)":[^,}]*')


@pytest.fixture
def comma_locale(tmp_path):
    """LOCPATH of a folder with a locale of decimal commas."""
    subprocess.run(["localedef", "-c", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], check=False, capture_output=True)
    probe = subprocess.run(["/bin/bash", "-c", "printf %.1f 1,5"], env={"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(tmp_path)},
                           capture_output=True, text=True, check=True)
    assert probe.stdout == "1,5", probe
    return tmp_path


def test_documents_are_the_same_bytes_in_any_locale_and_time_zone(db, run_worker, comma_locale):
    as_of = "2025-03-31T20:00:00Z"
    insert(db, *random_journal(random.Random(8), "any", 120, datetime(2025, 3, 31, 20, tzinfo=timezone.utc)))
    plain = bodies(run_worker, "any", as_of)
    again = bodies(run_worker, "any", as_of, LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8", LOCPATH=comma_locale, TZ="Asia/Kathmandu",
                   PGTZ="Asia/Kathmandu", PGDATESTYLE="SQL, DMY")
    assert {k: VOLATILE.sub("", b) for k, b in again.items()} == {k: VOLATILE.sub("", b) for k, b in plain.items()}


SECTIONS = {"core": CORE, "risk": RISK, "performance": PERFORMANCE}


def assert_rescaled(was, now, table, where):
    """Money is ten times as much, to what rounding its four decimals leaves; nothing else has changed."""
    for name, field in table.items():
        if was[name] is None or now[name] is None or field.kind not in "MPNDI":
            same = was[name] == now[name] or name.endswith("_trade")
        elif field.kind == "M":
            same = abs(10 * was[name] - now[name]) <= Decimal("0.0006")
        else:
            same = abs(was[name] - now[name]) <= Decimal("0.000001") * (100 if field.kind == "P" else 1)
        assert same, f"{where} {name}: {was[name]} became {now[name]}"


def test_another_unit_of_the_currency(db, run_worker):
    """All amounts ten times as large: every money value follows, every count, rate, ratio and day stays."""
    as_of = "2025-03-31T20:00:00Z"
    insert(db, *random_journal(random.Random(6), "any", 300, datetime(2025, 3, 31, 20, tzinfo=timezone.utc)))
    run = db.cursor().execute
    run("INSERT INTO account_settings (user_id, starting_equity) VALUES ('any', 100000)")
    run("UPDATE stocks SET number_shares = ceil(number_shares)")  # no product is rounded
    before = bodies(run_worker, "any", as_of)
    prices = "entry_price exit_price stop_loss initial_risk profit_target intended_entry_price commissions fees".split()
    for table in ("stocks", "options"):
        run(f"UPDATE {table} SET " + ", ".join(f"{name} = 10 * {name}" for name in prices))
    run("UPDATE account_settings SET starting_equity = 1000000")
    after = bodies(run_worker, "any", as_of)
    for key in before:
        section = key.rsplit(":", 1)[-1]
        if section not in SECTIONS:
            continue
        was, now = (parse(texts[key])["data"] for texts in (before, after))
        assert_rescaled(was.get("performance_metrics", was), now.get("performance_metrics", now), SECTIONS[section], key)


HOSTILE = ['"', "\\", "</script>", "\x01\x1f\x7f", "\u2028\u2029", "\U0001f4a9", "a\nb\tc", "'; DROP TABLE stocks; --", "%s%n", "NaN", "-0"]


def test_hostile_text_stays_text(db, web, responder):
    """Whatever a symbol, a tag, a playbook or a mistake is called: valid JSON, and the name comes back as it was."""
    run = db.cursor().execute
    for id, text in enumerate(HOSTILE, 1):
        harness.add_stock(db, "any", id, symbol=text.upper(), mistakes=text, brokerage_name=text)
        harness.add_option(db, "any", id, symbol=text.upper(), strategy_type=text)
        run("INSERT INTO playbook (user_id, id, name) VALUES ('any', %s, %s)", (id, "p" + text + "p"))
        run("INSERT INTO stock_trade_playbook (user_id, stock_trade_id, setup_id) VALUES ('any', %s, %s)", (id, id))
        run("INSERT INTO trade_tags (user_id, id, name) VALUES ('any', %s, %s)", (id, "t" + text + "t"))
        run("INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) VALUES ('any', %s, %s)", (id, id))
    expected = {"symbol": {t.upper() for t in HOSTILE}, "strategy": set(HOSTILE), "brokerage": set(HOSTILE),
                "playbook": {"p" + t + "p" for t in HOSTILE}, "tag": {"t" + t + "t" for t in HOSTILE},
                "mistake": {m.strip(" \t\n") for t in HOSTILE for m in re.split("[,;]", t)} - {""}}
    for dimension, names in expected.items():
        answer = web.get(f"/api/analytics/grouped?grouping_types={dimension}", "any")
        assert answer.status == 200, answer
        groups = json.loads(answer.body.decode("utf-8"), strict=True)["data"]
        assert set(groups) == names and {g["group_name"] for g in groups.values()} == names, dimension
        assert not BAD_NUMBER.search(without_strings(answer.body.decode())), dimension
    playbooks = json.loads(web.get("/api/playbooks/analytics", "any").body, strict=True)["data"]
    assert [p["playbook_name"] for p in playbooks] == ["p" + t + "p" for t in HOSTILE]
