"""Time series, calendar, open positions, single trades, symbols and numbers, through nginx."""
import json

import pytest
from harness import add_option, add_stock, wait_until

SERIES = "/api/analytics/time-series"
CALENDAR = "/api/analytics/calendar"
POSITIONS = "/api/analytics/positions"
TRADE = "/api/analytics/trade"
SYMBOL = "/api/analytics/symbol"


def run(db, sql, *values):
    with db.cursor() as cursor:
        cursor.execute(sql, values)


def at(instant):
    return f"timestamptz '{instant}'"


@pytest.fixture
def journal(db):
    """Trades of the specification's example A, two of a week in March 2025, one on a Friday evening in New York, and what is open."""
    add_stock(db, "alice", 2, symbol="TSLA", trade_type="SELL", shares=20, entry_price=300, exit_price=309, stop_loss=306,
              profit_target=288, commissions=1.2, fees=0.3, entry=at("2025-02-25T15:00:00Z"), exit=at("2025-02-26T16:00:00Z"))
    add_stock(db, "alice", 6, symbol="AAPL", shares=40, entry_price=155, exit_price=161.25, commissions=0.8,
              entry=at("2025-02-20T15:30:00Z"), exit=at("2025-03-03T15:30:00Z"))
    add_stock(db, "alice", 7, symbol="META", shares=5, entry_price="600.123456", exit_price=640.5, commissions=0.5,
              entry=at("2025-03-05T15:00:00Z"), exit=at("2025-03-08T04:30:00Z"))
    add_option(db, "alice", 2, symbol="AAPL", entry=at("2025-03-03T15:30:00Z"), exit=at("2025-03-03T15:30:00Z"))
    add_stock(db, "alice", 11, symbol="GOOG", shares=15, entry_price=170, exit_price=None, stop_loss=165, commissions=0.5,
              entry="now() - interval '2 days'", exit="NULL")
    add_option(db, "alice", 10, symbol="IWM", side="short", option_type="Put", strike_price=205, expiration_date="2099-07-18",
               entry_price=2.1, exit_price=None, stop_loss=4.2, commissions=0.65, status="open",
               entry="now() - interval '1 day'", exit="NULL")


def document(answer, status=200):
    assert answer.status == status, answer
    return json.loads(answer.body)


def data(answer):
    return document(answer)["data"]


def test_time_series_follow_the_trades(web, responder, journal, servers):
    answer = web.get(SERIES, "alice")
    series = data(answer)
    assert series["daily_pnl"] == [
        {"date": "2025-02-26", "value": -181.5, "cumulative_value": -181.5, "trade_count": 1},
        {"date": "2025-03-03", "value": 349.2, "cumulative_value": 167.7, "trade_count": 2},
        {"date": "2025-03-07", "value": 201.3827, "cumulative_value": 369.0827, "trade_count": 1}]
    assert [(w["date"], w["start_date"], w["value"]) for w in series["weekly_pnl"]] == [
        ("2025-W09", "2025-02-24", -181.5), ("2025-W10", "2025-03-03", 550.5827)]
    assert [m["date"] for m in series["monthly_pnl"]] == ["2025-02", "2025-03"]
    assert [p["value"] for p in series["drawdown_curve"]] == [181.5, 0, 0]
    assert series["profit_by_day_of_week"]["Friday"] == 201.3827 and len(series["profit_by_hour"]) == 24
    assert series["profit_by_hour"]["23"] == 201.3827 and series["profit_by_entry_hour"]["10"] == 369.0827
    assert [p["trade_count"] for p in series["rolling_win_rate_20"]] == [1, 3, 4]
    assert series["total_trades"] == 4 and series["cumulative_return"] == 369.0827
    assert servers.redis("EXISTS", "analytics:combined:{alice}:all_time:time-series") == b"1"
    assert "hit" in web.get(SERIES, "alice").headers["cache-status"]
    stocks = data(web.get(SERIES + "?asset=stocks&time_range=custom&start_date=2025-03-01&end_date=2025-03-31", "alice"))
    assert [p["cumulative_value"] for p in stocks["daily_pnl"]] == [249.2, 450.5827]
    assert [p["trade_count"] for p in stocks["rolling_win_rate_50"]] == [2, 3], "history before the range counts"
    assert data(web.post(SERIES, '{"time_range": "all_time", "time_series_interval": "weekly"}', "alice")) == series


def test_the_calendar_has_the_month_that_was_asked_for(web, responder, journal, db):
    answer = document(web.get(CALENDAR + "?month=2025-03", "alice"))
    month = answer["data"]
    assert (month["year"], month["month"], month["month_profit"]) == (2025, 3, 550.5827)
    assert (month["trade_count"], month["trading_days"], len(month["days"])) == (3, 2, 31)
    assert (month["grid_start"], month["grid_end"]) == ("2025-02-23", "2025-04-05")
    assert month["days"][6] == {"date": "2025-03-07", "profit": 201.3827, "trade_count": 1, "win_rate": 100}
    assert [w["profit"] for w in month["weeks"]] == [0, 550.5827, 0, 0, 0, 0]
    assert answer["meta"]["trade_count"] == 3
    assert (answer["meta"]["time_range"]["start_date"], answer["meta"]["time_range"]["end_date"]) == ("2025-03-01", "2025-03-31")
    assert data(web.get(CALENDAR + "?month=2025-03&asset=options", "alice"))["month_profit"] == 100
    run(db, "INSERT INTO account_settings (user_id, week_start) VALUES ('bob', 'monday')")
    assert data(web.get(CALENDAR + "?month=2025-03", "bob"))["grid_start"] == "2025-02-24"
    present = document(web.get(CALENDAR, "alice"))
    today = present["meta"]["time_range"]["end_date"]
    assert f"{present['data']['year']}-{present['data']['month']:02}" == today[:7]


def test_positions_are_valued_at_latest_prices_and_follow_them(web, responder, worker, journal, db):
    run(db, "INSERT INTO latest_price (symbol, price) VALUES ('GOOG', 166.20)")
    run(db, "INSERT INTO latest_price (symbol, expiration_date, option_type, strike_price, price)"
            " VALUES ('IWM', '2099-07-18', 'Put', 205, 1.45)")

    def positions(query=""):
        return data(web.get(POSITIONS + query, "alice"))

    wait_until(lambda: positions()["priced_count"] == 2, what="the prices")
    got = positions()
    assert {k: got[k] for k in ("open_count", "open_stock_count", "open_option_count", "open_long_count", "open_short_count",
                                "cost_basis", "gross_exposure", "net_exposure", "unrealized_pnl", "open_risk")} == {
        "open_count": 2, "open_stock_count": 1, "open_option_count": 1, "open_long_count": 1, "open_short_count": 1,
        "cost_basis": 2760, "gross_exposure": 2638, "net_exposure": 2348, "unrealized_pnl": 6.85, "open_risk": 285}
    goog, iwm = got["positions"]
    assert (goog["symbol"], goog["unrealized_pnl"], goog["unrealized_r_multiple"]) == ("GOOG", -57.5, -0.766667)
    assert (iwm["side"], iwm["market_value"], iwm["unrealized_pnl_percentage"]) == ("short", -145, 30.6429)
    assert 2 <= goog["days_held"] < 2.1
    assert positions("?asset=stocks")["open_count"] == 1
    assert ttl(web, POSITIONS, "alice") <= 120
    run(db, "UPDATE latest_price SET price = 172.50 WHERE symbol = 'GOOG'")
    wait_until(lambda: positions()["positions"][0]["unrealized_pnl"] == 37, what="the new price")
    run(db, "DELETE FROM latest_price WHERE symbol = 'GOOG'")
    wait_until(lambda: positions()["unpriced_count"] == 1, what="no price")
    assert positions()["positions"][0]["unrealized_pnl"] is None


def ttl(web, path, user):
    """Seconds that a hit has left."""
    answer = wait_until(lambda: (a := web.get(path, user)) and "hit" in a.headers["cache-status"] and a, what="a hit")
    return int(answer.headers["cache-status"].split("ttl=")[1].split(";")[0])


def test_an_answer_without_open_positions_does_not_age_with_the_prices(web, responder, worker, db):
    add_option(db, "alice", 1, symbol="IWM", entry="now() - interval '1 day'", exit="NULL", exit_price=None, status="open")
    for path in POSITIONS, "/api/analytics/comprehensive":
        assert ttl(web, path, "alice") <= 120 < ttl(web, path + "?asset=stocks", "alice") <= 900, path
        assert ttl(web, path + "?asset=options", "alice") <= 120, path
        assert ttl(web, path, "nobody") > 120, path
    add_stock(db, "alice", 1, symbol="GOOG", entry="now() - interval '1 day'", exit="NULL", exit_price=None)
    wait_until(lambda: data(web.get(POSITIONS + "?asset=stocks", "alice"))["open_count"] == 1, what="the new position")
    assert ttl(web, POSITIONS + "?asset=stocks", "alice") <= 120


def test_one_trade(web, responder, journal, db):
    assert data(web.get(TRADE + "?trade_id=2&trade_type=stock", "alice")) == {
        "trade_id": 2, "trade_type": "stock", "symbol": "TSLA", "status": "closed", "side": "short", "net_pnl": -181.5,
        "pnl_before_costs": -180, "total_costs": 1.5, "return_percentage": -3.025, "position_size": 6000, "initial_risk": 120,
        "planned_risk_to_reward": 2, "realized_risk_to_reward": -1.5, "r_multiple": -1.5125, "commission_impact": 0.8333,
        "hold_time_days": 1.041667}
    option = data(web.get(TRADE + "?trade_id=2&trade_type=option", "alice"))
    assert (option["trade_type"], option["symbol"], option["net_pnl"]) == ("option", "AAPL", 100)
    assert data(web.get(TRADE + "?trade_id=11&trade_type=stock", "alice"))["net_pnl"] is None
    for query, user in (("trade_id=3&trade_type=stock", "alice"), ("trade_id=11&trade_type=option", "alice"),
                        ("trade_id=2&trade_type=stock", "bob")):
        answer = web.get(f"{TRADE}?{query}", user)
        assert document(answer, 404)["error"] == "there is no such trade"
        assert answer.headers["cache-control"] == "no-store"
    add_stock(db, "bob", 2)
    assert web.trade_event("bob").status == 202
    assert data(web.get(TRADE + "?trade_id=2&trade_type=stock", "bob"))["net_pnl"] == 100, "a 404 ends with the user's next event"


def test_one_symbol_in_any_spelling(web, responder, journal):
    aapl = data(web.get(SYMBOL + "?symbol=aapl", "alice"))
    assert {k: aapl[k] for k in ("symbol", "total_trades", "stock_trades", "option_trades", "net_pnl", "average_loss")} == {
        "symbol": "AAPL", "total_trades": 2, "stock_trades": 1, "option_trades": 1, "net_pnl": 349.2, "average_loss": None}
    assert "hit" in web.get(SYMBOL + "?symbol=AAPL", "alice").headers["cache-status"]
    assert data(web.get(SYMBOL + "?symbol=AAPL&time_range=30d", "alice"))["total_trades"] == 0
    assert data(web.get(SYMBOL + "?symbol=TSLA", "alice"))["average_loss"] == 181.5
    odd = data(web.get(SYMBOL + "?symbol=%22x%5C%C3%A4", "alice"))
    assert odd["symbol"] == '"X\\ä' and odd["net_pnl"] == 0 and odd["win_rate"] is None
    assert data(web.get(SYMBOL + "?symbol=nope&null_as_zero=true", "alice"))["win_rate"] == 0


NUMBERS = ["pnl", "net-pnl", "profit-factor", "win-rate", "loss-rate", "avg-gain", "avg-loss", "biggest-winner", "biggest-loser",
           "avg-hold-time-winners", "avg-hold-time-losers", "risk-reward-ratio", "trade-expectancy", "avg-position-size"]


@pytest.mark.parametrize("asset", ["stocks", "options"])
def test_each_number_of_the_summary_has_a_path(web, responder, journal, servers, asset):
    summary = data(web.get(f"/api/{asset}/analytics?time_range=all_time", "alice"))
    for number in NUMBERS:
        answer = web.get(f"/api/{asset}/analytics/{number}", "alice")
        field = "total_pnl" if number == "pnl" else number.replace("-", "_")
        assert data(answer) == {field: summary[field]}, number
        assert "hit" in web.get(f"/api/{asset}/analytics/{number}?time_range=all_time", "alice").headers["cache-status"]
    assert servers.redis("EXISTS", f"analytics:{asset}:{{alice}}:all_time:pnl") == b"1"
    assert data(web.get(f"/api/{asset}/analytics/pnl?time_range=30d", "alice")) == {"total_pnl": "0.0000"}
    for path in ("pnl/", "PNL", "pnl/pnl", "total_pnl", ""):
        assert web.get(f"/api/{asset}/analytics/{path}", "alice").status == 404, path
    assert web.get(f"/api/{asset}/analytics/pnl?asset=all", "alice").status == 400
    assert web.get(f"/api/{asset}/analytics/pnl").status == 401


@pytest.mark.parametrize("path, fields", [
    (CALENDAR + "?month=2025-3", ["month"]), (CALENDAR + "?month=2025-13", ["month"]), (CALENDAR + "?month=2025-03-01", ["month"]),
    (CALENDAR + "?month=", ["month"]), (CALENDAR + "?month=1899-12", ["month"]),
    (CALENDAR + "?month=9999-12", ["month"]), (CALENDAR + "?time_range=7d", ["time_range"]), (POSITIONS + "?time_range=7d", ["time_range"]),
    (POSITIONS + "?month=2025-03", ["month"]), (TRADE, ["trade_id", "trade_type"]), (TRADE + "?trade_id=1", ["trade_type"]),
    (TRADE + "?trade_id=0&trade_type=stock", ["trade_id"]), (TRADE + "?trade_id=1e3&trade_type=stock", ["trade_id"]),
    (TRADE + "?trade_id=9223372036854775808&trade_type=stock", ["trade_id"]), (TRADE + "?trade_id=1&trade_type=bond", ["trade_type"]),
    (SYMBOL, ["symbol"]), (SYMBOL + "?symbol=", ["symbol"]), (SYMBOL + "?symbol=" + "x" * 65, ["symbol"]),
    (SYMBOL + "?symbol=X&asset=all", ["asset"]), (SERIES + "?month=2025-03", ["month"]),
    (SERIES + "?symbol=X", ["symbol"])])
def test_a_bad_query_names_the_fields(web, responder, path, fields):
    assert [e["field"] for e in document(web.get(path, "alice"), 400)["errors"]] == fields


@pytest.mark.parametrize("path", [SERIES, CALENDAR, POSITIONS, SYMBOL + "?symbol=X"])
def test_a_user_without_trades_gets_a_document(web, responder, path):
    assert document(web.get(path, "nobody"))["success"] is True
    assert web.head(path, "nobody").status == 200
