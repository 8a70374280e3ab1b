"""pnlcache-worker import: market data from CSV, checked line by line, loaded in batches, announced once it is there."""
import csv
import datetime
import os
import random
import re
import signal
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from harness import BUILD, add_stock, cache_state, first_miss, wait_until

HEAD = "symbol,date,open,high,low,close,volume\n"


def rows(db, sql):
    with db.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def bars(db):
    return rows(db, "SELECT symbol, date::text, open, high, low, close, volume FROM daily_bars ORDER BY symbol, date")


@pytest.fixture
def load(servers, run_worker, tmp_path):
    """load(kind, text, *options): the finished command; what it loads comes from a file."""

    def run(kind, text, *options, check=True, **settings):
        path = tmp_path / f"{kind}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        settings.setdefault("IMPORT_DATABASE_URL", servers.owner_url)
        return run_worker("import", kind, path, *options, check=check, **settings)

    return run


def bad_lines(done):
    return [(int(line), reason.strip('"')) for line, reason in re.findall(r'msg="line not loaded" .*line=(\d+) reason=("[^"]*"|\S+)', done.stderr)]


def counts(done):
    return {name: int(value) for name, value in re.findall(r"\b(lines|rows|bad_lines|last_line)=(\d+)", done.stderr)}


# --- what a file may look like ----------------------------------------------------------------------


def test_bars_keep_every_decimal(db, load):
    done = load("bars", HEAD + "acme,2025-01-02,0.1,9999999999.99999999,0.00000001,0.123456785,3\nBRK.B,2025-01-02,,,,1,\n")
    assert counts(done) == {"lines": 2, "rows": 2, "bad_lines": 0, "last_line": 3}
    assert bars(db) == [
        ("ACME", "2025-01-02", Decimal("0.1"), Decimal("9999999999.99999999"), Decimal("0.00000001"), Decimal("0.12345679"), 3),
        ("BRK.B", "2025-01-02", None, None, None, 1, None)]


def test_header_decides_the_columns_and_what_it_does_not_name_stays(db, load):
    load("bars", HEAD + "ACME,2025-01-02,1,2,1,2,500\n")
    load("bars", b"\xef\xbb\xbfDate , \"Close\",SYMBOL\r\n\r\n2025-01-02,\"3\" ,acme\r\n2025-01-03, 4,ACME")
    assert [(close, volume) for *_, close, volume in bars(db)] == [(3, 500), (4, None)]


def test_quotes_and_prices_of_options(db, load):
    load("quotes", "symbol,price,observed_at\nacme,10.5,2025-01-02T10:00:00-05:00\n")
    load("prices", "symbol,expiration_date,option_type,strike_price,price,observed_at\n"
                   "ACME,2025-02-21,call,50,1.25,2025-01-02T15:00:00Z\nACME,,,,11,2025-01-02T15:00:01Z\n")
    assert rows(db, "SELECT symbol, option_type, strike_price, price FROM latest_price ORDER BY strike_price") == [
        ("ACME", "Call", 50, Decimal("1.25")), ("ACME", None, None, 11)]


def test_a_price_observed_earlier_does_not_replace_a_later_one(db, load):
    text = "symbol,price,observed_at\nACME,3,2025-01-02T12:00:00Z\nACME,2,2025-01-02T11:00:00Z\n"
    load("quotes", text)
    load("quotes", "symbol,price,observed_at\nACME,1,2025-01-02T11:59:59Z\n")
    assert rows(db, "SELECT price FROM latest_price") == [(3,)]


def test_a_price_without_time_was_observed_now(db, load):
    load("quotes", "symbol,price\nACME,3\n")
    [(age,)] = rows(db, "SELECT now() - observed_at FROM latest_price")
    assert abs(age) < datetime.timedelta(minutes=5)


def test_earnings_and_symbols(db, load):
    load("earnings", "symbol,date,session,eps_estimate,eps_actual,revenue_actual,fiscal_period\n"
                     "ACME,2025-05-01,AFTER_CLOSE,-1.5,,94836000000,Q2 2025\n")
    load("symbols", 'symbol,name,kind,currency\nACME,"Acme, the ""Inc.""",stock,USD\n')
    assert rows(db, "SELECT session, eps_estimate, eps_actual, revenue_actual, fiscal_period FROM earnings") == [
        ("after_close", Decimal("-1.5"), None, 94836000000, "Q2 2025")]
    assert rows(db, "SELECT name, kind, currency, sector FROM symbols") == [('Acme, the "Inc."', "stock", "USD", None)]


def test_the_last_of_several_lines_of_one_day_counts(db, load):
    load("bars", "symbol,date,close\nACME,2025-01-02,1\nACME,2025-01-02,2\n")
    assert [row[5] for row in bars(db)] == [2]


def test_random_bars_in_many_batches_are_what_was_written(db, load):
    chosen = random.Random(7)
    expected, lines = {}, []
    for _ in range(12000):
        key = (chosen.choice(["AAA", "BBB", "CCC", "DDD"]), (datetime.date(2000, 1, 1) + datetime.timedelta(chosen.randrange(4000))).isoformat())
        close = Decimal(chosen.randrange(1, 10**chosen.randrange(1, 18))).scaleb(-8)
        expected[key] = close
        lines.append(f"{key[0]},{key[1]},{close:f}\n")
    done = load("bars", "symbol,date,close\n" + "".join(lines))
    assert counts(done)["lines"] == 12000
    assert {(symbol, date): close for symbol, date, _, _, _, close, _ in bars(db)} == expected


# --- bad input ------------------------------------------------------------------------------------


def test_bad_lines_are_named_and_lose_nothing_else(db, load):
    lines = [
        ("ACME,2025-01-02,1,2,1,2,5", None),
        ("ACME,2025-02-30,1,2,1,2,5", "date must be a date, YYYY-MM-DD"),
        ("ACME,2025-01-03,1,2,1,NaN,5", "close must be a decimal number from 0.00000001 to 9999999999.99999999"),
        ("ACME,2025-01-03,1,2,1,1e2,5", "close must be a decimal number from 0.00000001 to 9999999999.99999999"),
        ("ACME,2025-01-03,1,2,1,0.000000001,5", "close must be a decimal number from 0.00000001 to 9999999999.99999999"),
        ("ACME,2025-01-03,1,2,1,,5", "close is empty"),
        ("ACME,2025-01-03,1,1,2,2,5", "low is above high"),
        ("ACME,2025-01-03,1,2,1,2,-5", "volume must be a whole number from 0 to 9223372036854775807"),
        ("A'; DROP TABLE,2025-01-03,1,2,1,2,5", "symbol must be a symbol: 1 to 32 letters, digits and . _ - / ^ = : +"),
        ("ACME,2025-01-03,1,2,1,2", "it has 6 cells, the header 7"),
        ('"ACME,2025-01-03,1,2,1,2,5', "cell 1: its quote does not end on this line"),
        ('"ACME"x,2025-01-03,1,2,1,2,5', "cell 1: there is more behind its closing quote"),
        ("x" * 70000, "it has more than 65536 bytes"),
        ("ACME\\,2025-01-03,1,2,1,2,5", "symbol must be a symbol: 1 to 32 letters, digits and . _ - / ^ = : +"),
        ("ZZZ,2025-01-04,1,2,1,2,5", None),
    ]
    done = load("bars", HEAD + "".join(line + "\n" for line, _ in lines), check=False)
    assert bad_lines(done) == [(number, reason) for number, (_, reason) in enumerate(lines, 2) if reason]
    assert "/bars.csv" in done.stderr
    assert done.returncode == 4
    assert [row[:2] for row in bars(db)] == [("ACME", "2025-01-02"), ("ZZZ", "2025-01-04")]


def test_lines_that_are_no_text_are_named(db, load):
    done = load("bars", b"symbol,date,close\nACME,2025-01-02,1\nA\0B,2025-01-02,1\n\xff,2025-01-02,1\nZ,2025-01-02,1\n", check=False)
    assert bad_lines(done) == [(3, "it is not UTF-8 text"), (4, "it is not UTF-8 text")]
    assert [row[0] for row in bars(db)] == ["ACME", "Z"]


@pytest.mark.parametrize("kind, line, reason", [
    ("symbols", "symbol,currency\nACME,usd\n", "currency must be three capital letters, as USD"),
    ("prices", "symbol,price,strike_price\nACME,1,50\n", "an option has expiration_date, option_type and strike_price, a share none of them"),
    ("quotes", "symbol,price,observed_at\nACME,1,yesterday\n", "observed_at must be a time, YYYY-MM-DDTHH:MM:SS with Z or an offset"),
    ("earnings", "symbol,date,session\nACME,2025-01-02,noon\n", "session must be one of before_open|during|after_close"),
    ("earnings", "symbol,date,revenue_actual\nACME,2025-01-02,1.5\n", "revenue_actual must be a whole number"),
])
def test_rules_of_each_kind(db, load, kind, line, reason):
    done = load(kind, line, check=False)
    assert (bad_lines(done), done.returncode) == ([(2, reason)], 4)


@pytest.mark.parametrize("text, complaint", [
    ("", "the file is empty: a header line with the columns' names is needed"),
    ("symbol,date\n", "line 1: column 'close' is missing"),
    ("symbol,date,close,adj close\n", "line 1: column 'adj close': bars has symbol, date, open, high, low, close, volume"),
    ("symbol,date,close,Close\n", "line 1: there are two columns 'close'"),
    ("\n\"symbol\n", "line 2: cell 1: its quote does not end on this line"),
])
def test_a_bad_header_loads_nothing(db, load, text, complaint):
    done = load("bars", text, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(complaint)


def test_too_many_bad_lines_end_it_and_keep_what_was_good(db, load):
    done = load("bars", "symbol,date,close\nACME,2025-01-02,1\n" + "bad,line,x\n" * 3 + "ZZZ,2025-01-02,1\n", "--max-errors", "2", check=False)
    assert done.returncode == 1
    assert "loaded up to line 5: more than 2 bad lines" in done.stderr
    assert [row[0] for row in bars(db)] == ["ACME"]
    assert load("bars", "symbol,date,close\nbad,line,x\n", "--max-errors", "0", check=False).returncode == 1


@pytest.mark.parametrize("arguments, complaint", [
    ((), "import needs KIND and FILE"),
    (("bars",), "import needs KIND and FILE"),
    (("trades", "-"), "import 'trades': expected bars, quotes, prices, earnings or symbols"),
    (("bars", "/nowhere/x.csv"), "/nowhere/x.csv: No such file or directory"),
    (("bars", "-", "--max-errors", "-1"), "--max-errors '-1' is not a whole number"),
])
def test_wrong_command_lines(run_worker, arguments, complaint):
    done = run_worker("import", *arguments, check=False)
    assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr


def test_the_programs_own_role_may_not_write(db, load, servers):
    done = load("bars", HEAD, check=False, IMPORT_DATABASE_URL="")
    assert done.returncode == 1
    assert "the database role may not write public.daily_bars: name a connection of its owner with --database or IMPORT_DATABASE_URL" in done.stderr
    load("bars", HEAD + "ACME,2025-01-02,1,2,1,2,5\n", "--database", servers.owner_url, IMPORT_DATABASE_URL="")
    assert len(bars(db)) == 1


# --- again, and interrupted ---------------------------------------------------------------------------


def test_running_it_again_writes_nothing(db, load):
    text = HEAD + "".join(f"ACME,2025-01-{day:02},1,2,1,2,5\n" for day in range(1, 29))
    load("bars", text)
    before = rows(db, "SELECT xmin, ctid, date FROM daily_bars ORDER BY date")
    assert counts(load("bars", text))["rows"] == 0
    assert rows(db, "SELECT xmin, ctid, date FROM daily_bars ORDER BY date") == before
    assert counts(load("bars", text.replace("-28,1,2,1,2,5", "-28,1,2,1,1.5,5")))["rows"] == 1


def test_a_signal_ends_it_after_what_was_read_and_again_completes_it(servers, db, load):
    first = "".join(f"S{n},2025-01-02,1\n" for n in range(5000))
    last = "LAST,2025-01-02,1\n"
    process = subprocess.Popen([BUILD / "pnlcache-worker", "import", "bars", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=servers.settings(IMPORT_DATABASE_URL=servers.owner_url))
    process.stdin.write("symbol,date,close\n" + first)
    process.stdin.flush()
    wait_until(lambda: rows(db, "SELECT count(*) FROM daily_bars") == [(5000,)], what="the first batch")
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate("HALF,2025-01-02,1\n" + last)
    assert process.returncode == 128 + signal.SIGTERM, log
    assert rows(db, "SELECT count(*) FROM daily_bars WHERE symbol = 'LAST'") == [(0,)]
    assert counts(load("bars", "symbol,date,close\n" + first + "HALF,2025-01-02,1\n" + last))["lines"] == 5002
    assert rows(db, "SELECT count(*) FROM daily_bars") == [(5002,)]


# --- what it tells ------------------------------------------------------------------------------------


def test_prices_reach_readers_and_positions_without_a_worker(web, db, responder, load):
    load("bars", "symbol,date,close\nACME,2025-01-02,10\n")
    add_stock(db, "ann", 1, entry_price=10, exit_price=None, exit="NULL", shares=100)
    paths = [("/api/market/price/ACME", None), ("/api/analytics/positions", "ann")]
    for path, user in paths:
        assert web.get(path, user).status == 200
        assert cache_state(web.get(path, user)) == "hit"
    load("quotes", "symbol,price\nACME,12\n")
    answers = [first_miss(lambda path=path, user=user: web.get(path, user)) for path, user in paths]
    assert [cache_state(answer) for answer in answers] == ["fwd=miss", "fwd=miss"]
    assert answers[0].json()["data"]["price"] == 12
    assert answers[1].json()["data"]["unrealized_pnl"] == 200


def test_each_kind_invalidates_what_reads_it(web, db, responder, load):
    paths = {"bars": "/api/market/historical?symbol=ACME", "prices": "/api/market/options?symbol=ACME",
             "earnings": "/api/market/earnings-calendar?start=2025-01-01&end=2025-12-31", "symbols": "/api/market/symbols"}
    texts = {"bars": "symbol,date,close\nACME,2025-01-02,1\n", "earnings": "symbol,date\nACME,2025-01-02\n", "symbols": "symbol,name\nACME,Acme\n",
             "prices": "symbol,price,expiration_date,option_type,strike_price\nACME,1,2025-02-21,Put,5\n"}
    for kind, path in paths.items():
        before = web.get(path)
        assert cache_state(web.get(path)) == "hit"
        load(kind, texts[kind])
        assert first_miss(lambda path=path: web.get(path)).json()["data"] != before.json()["data"], kind


def test_without_redis_the_change_is_left_to_the_outbox(servers, db, load):
    done = load("quotes", "symbol,price\nACME,12\n", REDIS_URL="redis://127.0.0.1:1/0")
    assert "Redis was not told" in done.stderr
    assert ("prices", None) in rows(db, "SELECT tag, user_id FROM pnlcache.change_log")


# --- real bars ----------------------------------------------------------------------------------------


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA names no folder")
def test_real_bars_are_what_the_file_says(db, load):
    text = (Path(os.environ["REAL_DATA"]) / "daily_bars.csv").read_text()
    assert counts(load("bars", text))["bad_lines"] == 0
    expected = [(r["symbol"], r["date"], Decimal(r["open"]) if r["open"] else None, Decimal(r["close"]), int(r["volume"]))
                for r in csv.DictReader(text.splitlines())]
    assert rows(db, "SELECT symbol, date::text, open, close, volume FROM daily_bars ORDER BY symbol, date") == sorted(expected, key=lambda r: r[:2])
    assert counts(load("bars", text))["rows"] == 0
