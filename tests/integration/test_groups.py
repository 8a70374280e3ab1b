"""Groups, playbooks and the older clients' POST form, through nginx."""
import json

import pytest
from harness import add_option, add_stock, wait_until

GROUPED = "/api/analytics/grouped"
PLAYBOOKS = "/api/playbooks/analytics"
DIMENSIONS = ["symbol", "strategy", "trade_direction", "side", "asset_type", "option_type", "dte", "holding_time", "position_size",
              "playbook", "tag", "mistake", "brokerage", "day_of_week", "month", "hour", "time_period"]


def run(db, sql, *values):
    with db.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.fixture
def journal(db):
    """Three share trades (+100, +100, -100) and an option trade (+100), with playbooks, tags and mistakes."""
    add_stock(db, "alice", 1, symbol="AAA", mistakes="late; fomo,late", brokerage_name="IB")
    add_stock(db, "alice", 2, symbol="BBB")
    add_stock(db, "alice", 3, symbol="AAA", exit_price=9, trade_type="BUY", exit="now() - interval '40 days'",
              entry="now() - interval '41 days'")
    add_option(db, "alice", 1, symbol="CCC")
    run(db, "INSERT INTO playbook (user_id, id, name) VALUES ('alice', 1, 'Gap'), ('alice', 2, 'Fade'), ('bob', 1, 'Bob''s')")
    run(db, "INSERT INTO playbook_rules (user_id, id, playbook_id, title) VALUES ('alice', 1, 1, 'a'), ('alice', 2, 1, 'b')")
    run(db, "INSERT INTO stock_trade_playbook (user_id, stock_trade_id, setup_id) VALUES ('alice', 1, 1), ('alice', 3, 1)")
    run(db, "INSERT INTO option_trade_playbook (user_id, option_trade_id, setup_id) VALUES ('alice', 1, 1)")
    run(db, "INSERT INTO stock_trade_rule_compliance (user_id, stock_trade_id, playbook_id, rule_id, is_followed)"
            " VALUES ('alice', 1, 1, 1, true), ('alice', 1, 1, 2, true), ('alice', 3, 1, 1, false)")
    run(db, "INSERT INTO option_trade_rule_compliance (user_id, option_trade_id, playbook_id, rule_id, is_followed)"
            " VALUES ('alice', 1, 1, 1, true)")
    run(db, "INSERT INTO missed_trades (user_id, id, playbook_id, opportunity_date)"
            " VALUES ('alice', 1, 1, now() - interval '1 hour'), ('alice', 2, 1, now() - interval '50 days')")
    run(db, "INSERT INTO trade_tags (user_id, id, category, name) VALUES ('alice', 1, 'general', 'x'), ('alice', 2, 'mood', 'x'),"
            " ('alice', 3, 'mood', 'calm \"y\"')")
    run(db, "INSERT INTO stock_trade_tags (user_id, stock_trade_id, tag_id) VALUES ('alice', 1, 1), ('alice', 1, 2), ('alice', 2, 3)")
    run(db, "INSERT INTO option_trade_tags (user_id, option_trade_id, tag_id) VALUES ('alice', 1, 1)")


def data(answer, status=200):
    assert answer.status == status, answer
    return json.loads(answer.body)["data"]


def totals(groups):
    return {name: group["core_metrics"]["total_pnl"] for name, group in groups.items()}


def test_each_dimension_is_an_object_by_group_name(web, responder, journal, servers):
    expected = {
        "symbol": {"AAA": 0, "BBB": 100, "CCC": 100}, "strategy": {"Long Call": 100}, "asset_type": {"option": 100, "stock": 100},
        "option_type": {"Call": 100}, "dte": {"91_plus": 100}, "side": {"long": 200}, "trade_direction": {"Bullish": 200},
        "playbook": {"Gap": 100}, "tag": {"calm \"y\"": 100, "x": 200}, "mistake": {"fomo": 100, "late": 100},
        "brokerage": {"IB": 100}, "position_size": {"1k_5k": 100, "under_1k": 100}, "holding_time": {"2h_1d": 300, "1d_7d": -100}}
    for dimension in DIMENSIONS:
        answer = web.get(f"{GROUPED}?grouping_types={dimension}", "alice")
        groups = data(answer)
        if dimension == "time_period":
            assert list(groups) == ["Today", "Last 7 Days", "Last 30 Days", "Last 90 Days", "Last 6 Months", "Last Year",
                                    "Year to Date", "All Time"]
        else:
            assert list(groups) == sorted(groups), dimension
        if dimension in expected:
            assert totals(groups) == expected[dimension], dimension
        for name, group in groups.items():
            assert group["group_name"] == name and group["risk_metrics"]["return_basis"] == "pnl"
            assert "median_trade" in group["performance_metrics"]
        assert servers.redis("EXISTS", f"analytics:combined:{{alice}}:all_time:grouped:{dimension}") == b"1"
        assert "hit" in web.get(f"{GROUPED}?grouping_types={dimension.upper()}", "alice").headers["cache-status"]


def test_a_group_needs_a_trade_in_the_range_and_of_the_asset(web, responder, journal):
    assert totals(data(web.get(GROUPED + "?time_range=30d", "alice"))) == {"AAA": 100, "BBB": 100, "CCC": 100}
    assert totals(data(web.get(GROUPED + "?time_range=30d&asset=options", "alice"))) == {"CCC": 100}
    assert data(web.get(GROUPED, "nobody")) == {}


def test_several_dimensions_prefix_their_keys_in_any_spelling(web, responder, journal):
    groups = data(web.get(GROUPED + "?grouping_types=symbol,TradeDirection,symbol", "alice"))
    assert list(groups) == ["symbol:AAA", "symbol:BBB", "symbol:CCC", "trade_direction:Bullish"]
    assert groups["symbol:BBB"]["group_type"] == "Symbol"
    again = web.get(GROUPED + "?grouping_types=trade_direction,Symbol", "alice")
    assert "hit" in again.headers["cache-status"] and data(again) == groups


def test_playbooks_and_one_playbook(web, responder, journal):
    listed = data(web.get(PLAYBOOKS, "alice"))
    assert [p["playbook_name"] for p in listed] == ["Gap", "Fade"]
    assert listed[0] == {
        "playbook_id": 1, "playbook_name": "Gap", "total_trades": 3, "stock_trades": 2, "option_trades": 1, "win_rate": 66.6667,
        "net_pnl": 100, "missed_trades": 2, "profit_factor": 2, "expectancy": 33.3333, "average_winner": 100, "average_loser": -100,
        "total_trades_with_compliance_data": 3, "fully_compliant_trades": 1, "partially_compliant_trades": 1,
        "non_compliant_trades": 1, "fully_compliant_win_rate": 100}
    assert data(web.get("/api/playbooks/1/analytics", "alice")) == listed[0]
    assert data(web.get("/api/playbooks/2/analytics", "alice")) == listed[1]
    assert listed[1]["win_rate"] is None
    recent = data(web.get("/api/playbooks/1/analytics?time_range=30d", "alice"))
    assert (recent["total_trades"], recent["missed_trades"], recent["non_compliant_trades"]) == (2, 1, 0)
    assert data(web.get("/api/playbooks/2/analytics?null_as_zero=true", "alice"))["win_rate"] == 0
    assert data(web.get(PLAYBOOKS, "nobody")) == []
    for path in ("/api/playbooks/3/analytics", "/api/playbooks/x/analytics", "/api/playbooks/-1/analytics",
                 "/api/playbooks/9223372036854775808/analytics"):
        assert web.get(path, "alice").status == 404, path
    assert web.get("/api/playbooks/1/analytics", "carol").status == 404


def test_a_change_of_playbooks_or_tags_is_seen(web, responder, worker, journal, db):
    """The documents depend on the tags of what they read: the triggers invalidate them."""
    grouped = GROUPED + "?grouping_types="
    assert list(data(web.get(grouped + "tag", "alice"))) == ["calm \"y\"", "x"]
    assert list(data(web.get(grouped + "playbook", "alice"))) == ["Gap"]
    assert data(web.get(PLAYBOOKS, "alice"))[0]["missed_trades"] == 2
    run(db, "UPDATE trade_tags SET name = 'z' WHERE user_id = 'alice' AND id = 3")
    wait_until(lambda: list(data(web.get(grouped + "tag", "alice"))) == ["x", "z"], what="the new tag")
    run(db, "UPDATE playbook SET name = 'Gap 2' WHERE user_id = 'alice' AND id = 1")
    wait_until(lambda: list(data(web.get(grouped + "playbook", "alice"))) == ["Gap 2"], what="the new playbook")
    run(db, "DELETE FROM missed_trades WHERE user_id = 'alice'")
    wait_until(lambda: data(web.get(PLAYBOOKS, "alice"))[0]["missed_trades"] == 0, what="no missed trade")


COMPREHENSIVE = "/api/analytics/comprehensive"


def test_comprehensive_holds_what_the_others_hold(web, responder, journal, db):
    add_stock(db, "alice", 4, symbol="OPEN", exit="NULL", exit_price=None)
    run(db, "INSERT INTO latest_price (symbol, price) VALUES ('OPEN', 12)")
    whole = data(web.get(COMPREHENSIVE + "?time_range=30d", "alice"))
    assert list(whole) == ["core_metrics", "risk_metrics", "performance_metrics", "duration_performance", "time_series",
                           "grouped_analytics", "options_metrics", "open_positions"]
    for name in ("core", "risk"):
        assert whole[name + "_metrics"] == data(web.get(f"/api/analytics/{name}?time_range=30d", "alice"))
    performance = data(web.get("/api/analytics/performance?time_range=30d", "alice"))
    assert {k: whole[k] for k in ("performance_metrics", "duration_performance")} == performance
    assert whole["grouped_analytics"] == {} and len(whole["time_series"]["daily_pnl"]) >= 1
    assert whole["open_positions"]["unrealized_pnl"] == 200 and whole["options_metrics"]["total_trades"] == 1
    bare = data(web.get(COMPREHENSIVE + "?time_range=30d&include_time_series=false&asset=stocks", "alice"))
    series, empty = whole["time_series"], bare["time_series"]
    assert list(series) == list(empty)
    for name, value in series.items():
        if isinstance(value, (list, dict)):
            assert empty[name] == type(value)(), name
    assert empty["total_trades"] == 2 and bare["options_metrics"]["total_trades"] == 0
    body = {"options": {"time_range": "30d", "include_grouped_analytics": True, "grouping_types": ["tag", "symbol"]}}
    grouped = data(web.post(COMPREHENSIVE, json.dumps(body), "alice"))["grouped_analytics"]
    assert grouped == data(web.get(GROUPED + "?time_range=30d&grouping_types=symbol,tag", "alice"))


def test_comprehensive_follows_prices(web, responder, worker, db):
    add_stock(db, "alice", 4, symbol="OPEN", exit="NULL", exit_price=None)
    assert data(web.get(COMPREHENSIVE, "alice"))["open_positions"]["unrealized_pnl"] is None
    run(db, "INSERT INTO latest_price (symbol, price) VALUES ('OPEN', 12)")
    wait_until(lambda: data(web.get(COMPREHENSIVE, "alice"))["open_positions"]["unrealized_pnl"] == 200, what="the new price")


@pytest.mark.parametrize("path", ["/api/analytics/core", "/api/analytics/risk", "/api/analytics/performance", GROUPED, COMPREHENSIVE])
def test_a_post_asks_the_same_as_a_get(web, responder, journal, path):
    """All three forms of time_range, flat and in `options`; what the section does not use changes nothing."""
    get = data(web.get(path + "?time_range=30d&asset=stocks", "alice"))
    for body in ({"time_range": "30d", "asset": "stocks"},
                 {"options": {"time_range": "30d", "asset": "stock", "include_time_series": path == COMPREHENSIVE,
                          "time_series_interval": "weekly"}},
                 {"time_range": "30d", "options": {"asset": "stocks", "grouping_types": ["Symbol"], "risk_free_rate": None}}):
        answer = web.post(path, json.dumps(body), "alice")
        assert data(answer) == get, body
        assert "hit" in answer.headers["cache-status"], body
    custom = {"start_date": "2020-01-01", "end_date": "2020-12-31"}
    want = data(web.get(path + "?time_range=custom&start_date=2020-01-01&end_date=2020-12-31", "alice"))
    assert data(web.post(path, json.dumps({"time_range": {"custom": custom}}), "alice")) == want
    assert data(web.post(path, json.dumps({"time_range": "custom", **custom}), "alice")) == want
    assert data(web.post(path, b"", "alice")) == data(web.get(path, "alice"))
    assert data(web.post(path, b"{}", "alice")) == data(web.get(path, "alice"))


def test_a_custom_bound_may_be_an_instant(web, responder, db):
    """It stands for its trading day in the account's time zone: 03:30 UTC in March is the evening before in New York."""
    add_stock(db, "alice", 1, entry="'2025-03-03T15:00:00Z'", exit="'2025-03-03T16:00:00Z'")
    add_stock(db, "alice", 2, entry="'2025-03-04T15:00:00Z'", exit="'2025-03-04T16:00:00Z'")
    core = "/api/analytics/core?time_range=custom&"

    def days(query):
        answer = web.get(core + query, "alice")
        assert answer.status == 200, answer
        document = json.loads(answer.body)
        range_ = document["meta"]["time_range"]
        return range_["start_date"], range_["end_date"], document["data"]["total_trades"]

    assert days("start_date=2025-03-04T03:30:00Z&end_date=2025-03-04T03:30:00Z") == ("2025-03-03", "2025-03-03", 1)
    assert days("start_date=2025-03-04T03:30:00-05:00&end_date=2025-03-05") == ("2025-03-04", "2025-03-05", 1)
    assert days("start_date=2025-03-03&end_date=2025-03-05T03:30:00Z") == ("2025-03-03", "2025-03-04", 2)
    body = {"time_range": {"custom": {"start_date": "2025-03-04T03:30:00Z", "end_date": None}}}
    assert data(web.post("/api/analytics/core", json.dumps(body), "alice"))["total_trades"] == 2
    for query in ("start_date=2025-03-04T03:30:00Z&end_date=2025-03-04T03:29:59Z", "start_date=2025-03-04T25:00:00Z",
                  "start_date=yesterday"):
        assert web.get(core + query, "alice").status == 400, query


def test_null_as_zero_and_the_rate_are_the_requests_own(web, responder, journal, db):
    run(db, "INSERT INTO account_settings (user_id, starting_equity) VALUES ('alice', 10000)")
    risk = "/api/analytics/risk"
    plain = json.loads(web.get(risk, "alice").body)
    other = json.loads(web.get(risk + "?risk_free_rate=0.5", "alice").body)
    assert other["meta"]["risk_free_rate"] == 0.5 and plain["meta"]["risk_free_rate"] == 0.02
    assert other["data"]["sharpe_ratio"] < plain["data"]["sharpe_ratio"]
    assert json.loads(web.post(risk, '{"risk_free_rate": 0.5}', "alice").body)["data"] == other["data"]
    zero = json.loads(web.get(risk + "?time_range=today&null_as_zero=true", "nobody").body)
    assert zero["data"]["sharpe_ratio"] == 0 and zero["data"]["maximum_drawdown_peak_date"] is None
    assert zero["meta"]["starting_equity"] is None


@pytest.mark.parametrize("body, field", [
    ('{"time_range": 7}', "time_range"), ('{"time_range": {"custom": 1}}', "time_range"), ('{"time_rang": "7d"}', "time_rang"),
    ('{"grouping_types": ["symbol", "colour"]}', "grouping_types"), ('{"grouping_types": [1]}', "grouping_types"),
    ('{"null_as_zero": "perhaps"}', "null_as_zero"), ('{"risk_free_rate": -1}', "risk_free_rate"),
    ('{"time_range": "7d", "options": {"time_range": "7d"}}', "time_range"), ('{"options": {"options": {}}}', "options"),
    ('{"time_range": {"custom": {"start_date": "2025-01-01", "until": "x"}}}', "until"),
    ('{"include_time_series": 1}', "include_time_series"), ('{"time_series_interval": "hourly"}', "time_series_interval")])
def test_a_bad_body_names_the_field(web, responder, body, field):
    answer = web.post(GROUPED, body, "alice")
    assert answer.status == 400, answer
    assert [e["field"] for e in json.loads(answer.body)["errors"]] == [field]


def test_a_body_that_is_no_json_object_is_400(web, responder):
    for body in ("{", "[]", '"7d"', '{"asset": "all", "asset": "all"}', "nonsense"):
        assert web.post(GROUPED, body, "alice").status == 400, body
    assert web.get(GROUPED + "?grouping_types=symbol,,tag", "alice").status == 400
    assert web.get(PLAYBOOKS + "?asset=stocks", "alice").status == 400
    assert web.post(PLAYBOOKS, "{}", "alice").status == 405
