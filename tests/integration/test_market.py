"""Market data: the shared datasets that come with pnlcache, through nginx."""
import datetime

from harness import add_stock, cache_state, execute, wait_until


def add_bar(db, symbol, date, close, open=None, high=None, low=None, volume=None):
    execute(db, "INSERT INTO daily_bars (symbol, date, open, high, low, close, volume) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            symbol, date, open, high, low, close, volume)


def data(web, path):
    answer = web.get(path)
    assert answer.status == 200, answer
    return answer.json()["data"]


def test_weekly_bars_are_made_of_the_days_there_are(web, db, responder):
    # Friday; then Monday, Wednesday without high and low, Friday; nothing for a week; Tuesday
    add_bar(db, "ACME", "2025-01-03", 10, 9, 11, 8, 100)
    add_bar(db, "ACME", "2025-01-06", 12, 10, 13, 9.5, 200)
    add_bar(db, "ACME", "2025-01-08", 11, volume=50)
    add_bar(db, "ACME", "2025-01-10", 14, 11, 14.5, 7, 300)
    add_bar(db, "ACME", "2025-01-21", 20, None, 21, 19)
    assert data(web, "/api/market/historical/weekly?symbol=acme") == [
        {"week": "2024-12-30", "first_date": "2025-01-03", "last_date": "2025-01-03", "open": 9, "high": 11, "low": 8, "close": 10, "volume": 100, "sessions": 1},
        {"week": "2025-01-06", "first_date": "2025-01-06", "last_date": "2025-01-10", "open": 10, "high": 14.5, "low": 7, "close": 14, "volume": 550, "sessions": 3},
        {"week": "2025-01-20", "first_date": "2025-01-21", "last_date": "2025-01-21", "open": None, "high": 21, "low": 19, "close": 20, "volume": None, "sessions": 1}]
    assert [row["week"] for row in data(web, "/api/market/historical/weekly?symbol=ACME&weeks=2")] == ["2025-01-20"]
    assert [row["week"] for row in data(web, "/api/market/historical/weekly?symbol=ACME&weeks=3")] == ["2025-01-06", "2025-01-20"]
    assert data(web, "/api/market/historical/weekly?symbol=NONE") == []


def test_symbols_are_those_described_and_those_with_bars(web, db, responder):
    add_bar(db, "ACME", "2025-01-02", 1)
    execute(db, "INSERT INTO symbols (symbol, name, exchange) VALUES ('ACME', 'Acme', 'XNYS'), ('NEW', 'New', NULL)")
    add_bar(db, "ZZZ", "2025-01-03", 1)
    add_bar(db, "ZZZ", "2025-01-06", 1)
    assert data(web, "/api/market/symbols") == [
        {"symbol": "ACME", "name": "Acme", "kind": None, "exchange": "XNYS", "first_date": "2025-01-02", "last_date": "2025-01-02"},
        {"symbol": "NEW", "name": "New", "kind": None, "exchange": None, "first_date": None, "last_date": None},
        {"symbol": "ZZZ", "name": None, "kind": None, "exchange": None, "first_date": "2025-01-03", "last_date": "2025-01-06"}]


def test_symbols_are_listed_without_reading_their_bars(web, db, responder):
    """Counted in rows: a step to each symbol, and its first and last day."""
    symbols, bars = 20, 2000
    execute(db, "INSERT INTO daily_bars (symbol, date, close) SELECT 'S' || s, date '2020-01-01' + d, 1"
                " FROM generate_series(1, %s) AS s, generate_series(1, %s) AS d", symbols, bars)
    execute(db, "ANALYZE daily_bars")
    with db.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM pnlcache.symbols ORDER BY symbol")
        plans = [cursor.fetchone()[0][0]["Plan"]]
    read = 0
    while plans:
        plan = plans.pop()
        plans += plan.get("Plans", [])
        if plan.get("Relation Name") == "daily_bars":
            read += plan["Actual Rows"] * plan["Actual Loops"]  # a rounded average
    assert 2 * symbols < read < 4 * symbols
    assert len(data(web, "/api/market/symbols")) == symbols


def test_info_of_a_symbol(web, servers, db, responder):
    add_bar(db, "ACME", "2024-01-01", 500, high=600, low=1)  # a year and a day before the last bar
    add_bar(db, "ACME", "2024-01-03", 30, high=40, low=20, volume=100)
    add_bar(db, "ACME", "2025-01-01", 50, volume=301)
    execute(db, "INSERT INTO symbols (symbol, name, currency) VALUES ('ACME', 'Acme', 'USD')")
    execute(db, "INSERT INTO earnings (symbol, date) VALUES ('ACME', '2025-01-01'), ('ACME', '2025-02-01'), ('ACME', '2025-05-01')")
    expected = {"symbol": "ACME", "name": "Acme", "kind": None, "exchange": None, "currency": "USD", "sector": None, "industry": None,
                "first_date": "2024-01-01", "last_date": "2025-01-01", "bars": 3, "year_high": 50, "year_low": 20,
                "year_average_volume": 201, "next_earnings": "2025-02-01"}
    for spelling in ("acme", "ACME"):
        assert data(web, f"/api/market/symbols/{spelling}") == expected
    assert servers.redis("KEYS", "symbol:info:*") == b"symbol:info:ACME"


def test_info_needs_either_bars_or_a_description(web, db, responder):
    add_bar(db, "BARS", "2025-01-02", 1)
    execute(db, "INSERT INTO symbols (symbol, name) VALUES ('NAMED', 'Named')")
    assert (data(web, "/api/market/symbols/bars")["name"], data(web, "/api/market/symbols/named")["bars"]) == (None, 0)
    assert web.get("/api/market/symbols/none").status == 404


def test_earnings_calendar_is_of_both_days_and_what_lies_between(web, db, responder):
    execute(db, "INSERT INTO earnings (symbol, date, session, eps_actual) VALUES ('B', '2025-01-02', NULL, 1.25), ('A', '2025-01-02', 'during', NULL),"
                " ('A', '2025-01-05', NULL, NULL), ('A', '2025-01-06', NULL, NULL), ('A', '2025-01-01', NULL, NULL)")
    path = "/api/market/earnings-calendar?start=2025-01-02&end=2025-01-05"
    assert [(row["symbol"], row["date"], row["eps_actual"]) for row in data(web, path)] == [
        ("A", "2025-01-02", None), ("B", "2025-01-02", 1.25), ("A", "2025-01-05", None)]
    assert [row["symbol"] for row in data(web, path + "&symbol=b")] == ["B"]
    assert [row["date"] for row in data(web, path + "&limit=1&offset=2")] == ["2025-01-05"]
    assert web.get("/api/market/earnings-calendar?start=2025-01-02").status == 400


def test_prices_of_options(web, db, responder):
    execute(db, "INSERT INTO latest_price (symbol, expiration_date, option_type, strike_price, price, observed_at) VALUES"
                " ('ACME', '2025-02-21', 'Put', 50, 1, now()), ('ACME', '2025-02-21', 'Call', 55, 2, now()), ('ACME', '2025-02-21', 'Call', 50, 3, now()),"
                " ('ACME', '2025-01-17', 'Call', 50, 4, now()), ('ACME', NULL, NULL, NULL, 5, now()), ('B', '2025-01-17', 'Call', 50, 6, now())")
    assert [row["price"] for row in data(web, "/api/market/options?symbol=acme")] == [4, 3, 2, 1]
    assert [row["price"] for row in data(web, "/api/market/options?symbol=ACME&expiration_date=2025-02-21&option_type=call")] == [3, 2]


def test_triggers_reach_earnings_and_symbols(web, db, worker, responder):
    earnings, symbols = "/api/market/earnings-calendar?start=2025-01-01&end=2025-12-31", "/api/market/symbols"
    assert data(web, earnings) == data(web, symbols) == []
    execute(db, "INSERT INTO earnings (symbol, date) VALUES ('ACME', '2025-01-02')")
    execute(db, "INSERT INTO symbols (symbol) VALUES ('ACME')")
    wait_until(lambda: data(web, earnings) and data(web, symbols), what="earnings and symbols")
    assert "unknown tag" not in worker.log()


def test_job_market_keeps_what_was_asked_for_ready(web, servers, db, responder, run_worker):
    for symbol in ("ASKED", "HELD"):
        add_bar(db, symbol, "2025-01-02", 1)
    add_stock(db, "ann", 1, symbol="HELD", exit="NULL", exit_price=None)
    assert web.get("/api/stocks/count", "ann").status == 200
    wait_until(lambda: servers.redis("ZCARD", "active:users") == b"1", what="ann's activity")
    asked = ["/api/market/quotes?symbols=HELD,ASKED", "/api/market/symbols/ASKED", "/api/market/historical/weekly?symbol=ASKED&weeks=9",
             "/api/market/options?symbol=ASKED", f"/api/market/earnings-calendar?start=2025-01-01&end={datetime.date.today()}"]
    for path in asked:
        assert web.get(path).status == 200, path
    for tag in ("prices", "earnings", "symbols"):
        event = {"type": "data.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"tag": tag}}
        assert web.webhook(event).status == 202
    run_worker("job", "market")
    for path in [*asked, "/api/market/symbols/HELD", "/api/market/historical/weekly?symbol=held"]:
        assert cache_state(web.get(path)) == "hit", path
