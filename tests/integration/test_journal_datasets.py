"""The journal's own lists through nginx: their shape, order, filters and paging; whole collections; what invalidates each."""
import base64
import json

import pytest

from harness import add_option, add_stock, wait_until


def execute(db, sql, *arguments):
    with db.cursor() as cursor:
        cursor.execute(sql, arguments)


def add(db, table, **columns):
    """Inserts a row of ann's."""
    columns = {"user_id": "ann", **columns}
    execute(db, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", *columns.values())


def state(answer):
    return answer.headers["Cache-Status"].split(";")[1].strip()


def data(web, path, user="ann"):
    answer = web.get(path, user)
    assert answer.status == 200, answer
    return answer.json()["data"]


def ids(web, path):
    return [row["id"] for row in data(web, path)]


@pytest.fixture
def journal(db):
    """One row of everything for ann, and of what others have nothing must be seen."""
    add_stock(db, "ann", 1, symbol="ACME")
    add_option(db, "ann", 2, symbol="ACME")
    add(db, "trade_notes", id=3, name="Opening", content="Waited for the *range*", trade_type="stock", stock_trade_id=1,
        created_at="2025-03-04T15:00:00Z", updated_at="2025-03-04T15:00:00Z")
    add(db, "images", id=4, trade_note_id=3, uploadcare_file_id="f-1", original_filename="chart.png", mime_type="image/png", file_size=1234,
        width=640, height=480, position_in_note=1)
    add(db, "notebook_notes", id=5, title="Plan", content="Trade less", position=1)
    add(db, "notebook_tags", id=6, name="weekly")
    add(db, "notebook_note_tags", note_id=5, tag_id=6)
    add(db, "notebook_templates", id=7, name="Review", content="## What went well", description="after each week")
    add(db, "notebook_reminders", id=8, note_id=5, title="Read it", reminder_time="2025-03-07T21:00:00Z")
    add(db, "calendar_events", id=9, reminder_id=8, event_title="Read it", start_date="2025-03-07", end_date="2025-03-07", start_time="16:00")
    add(db, "external_calendar_connections", id=10, provider="google", access_token="secret-a", refresh_token="secret-r",
        token_expiry="2025-04-01T00:00:00Z", calendar_id="primary")
    add(db, "external_calendar_events", id=11, connection_id=10, external_event_id="e-1", title="CPI", start_time="2025-03-12T12:30:00Z",
        end_time="2025-03-12T13:00:00Z", location="BLS")
    add(db, "playbook", id=12, name="Breakout", description="Buy strength", color="#0a0")
    add(db, "playbook_rules", id=14, playbook_id=12, title="Stop below", rule_type="exit_criteria", order_position=2)
    add(db, "playbook_rules", id=13, playbook_id=12, title="Volume", description="twice the mean", order_position=1)
    add(db, "user_profile", display_name="Ann", trading_style="swing")


# --- shapes ---------------------------------------------------------------------------------------

LISTS = {
    "/api/stocks": 1, "/api/options": 1, "/api/trade-notes": 1, "/api/images": 1, "/api/notebook/notes": 1, "/api/notebook/tags": 1,
    "/api/notebook/templates": 1, "/api/notebook/reminders": 1, "/api/notebook/calendar/events": 2,
    "/api/notebook/calendar/connections": 1, "/api/playbooks": 1, "/api/playbook": 1,
}


@pytest.mark.parametrize("path", LISTS)
def test_list_has_the_callers_rows_only_and_is_cached(web, journal, responder, path):
    answer = web.get(path, "ann")
    assert answer.status == 200, answer
    body = answer.json()
    assert len(body["data"]) == LISTS[path]
    assert body["meta"].items() >= {"count": LISTS[path], "limit": 100, "offset": 0, "next_cursor": None, "valid_until": None}.items()
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert state(web.get(path, "ann")) == "hit"
    assert data(web, path, "bob") == []
    assert web.get(path).status == 401


def test_rows_look_as_documented(web, journal, responder):
    option = data(web, "/api/options")[0]
    assert {k: option[k] for k in ("id", "strategy_type", "option_type", "side", "strike_price", "number_of_contracts", "multiplier", "status", "pnl")} == {
        "id": 2, "strategy_type": "Long Call", "option_type": "Call", "side": "long", "strike_price": 50, "number_of_contracts": 1,
        "multiplier": 100, "status": "closed", "pnl": 100}
    assert data(web, "/api/options/2") == option
    assert data(web, "/api/options/count") == {"count": 1}
    assert data(web, "/api/trade-notes") == [{
        "id": 3, "name": "Opening", "content": "Waited for the *range*", "trade_type": "stock", "stock_trade_id": 1, "option_trade_id": None,
        "ai_metadata": None, "created_at": "2025-03-04T15:00:00+00:00", "updated_at": "2025-03-04T15:00:00+00:00"}]
    image = data(web, "/api/images")[0]
    assert (image["trade_note_id"], image["original_filename"], image["mime_type"], image["file_size"], image["width"]) == (3, "chart.png", "image/png", 1234, 640)
    note = data(web, "/api/notebook/notes")[0]
    assert (note["id"], note["parent_id"], note["title"], note["content"], note["tag_ids"]) == (5, None, "Plan", "Trade less", [6])
    assert data(web, "/api/notebook/tags")[0]["name"] == "weekly"
    assert data(web, "/api/notebook/templates")[0]["content"] == "## What went well"
    reminder = data(web, "/api/notebook/reminders")[0]
    assert (reminder["note_id"], reminder["reminder_time"], reminder["is_completed"]) == (5, "2025-03-07T21:00:00+00:00", False)
    assert data(web, "/api/playbooks/12")["rules"] == [
        {"id": 13, "rule_type": "entry_criteria", "title": "Volume", "description": "twice the mean", "order_position": 1},
        {"id": 14, "rule_type": "exit_criteria", "title": "Stop below", "description": None, "order_position": 2}]
    assert data(web, "/api/playbooks")[0] == data(web, "/api/playbook/12")
    assert web.get("/api/playbooks/13", "ann").status == 404


def test_calendar_shows_own_and_connected_events_in_the_users_time_zone(web, db, journal, responder):
    own, external = data(web, "/api/notebook/calendar/events")
    assert (own["source"], own["event_title"], own["start_date"], own["start_time"], own["reminder_id"]) == ("notebook", "Read it", "2025-03-07", "16:00:00", 8)
    assert (external["source"], external["event_title"], external["start_date"], external["start_time"], external["end_time"]) == (
        "google", "CPI", "2025-03-12", "08:30:00", "09:00:00")
    assert (external["connection_id"], external["external_event_id"], external["location"]) == (10, "e-1", "BLS")


def test_calendar_range_holds_what_overlaps_it(web, db, journal, responder):
    add(db, "calendar_events", id=20, event_title="Trip", start_date="2025-03-01", end_date="2025-03-31", is_all_day=True)
    expected = {"start=2025-03-08&end=2025-03-11": [20], "start=2025-03-07&end=2025-03-07": [20, 9], "start=2025-03-12": [20, 11],
                "end=2025-02-28": [], "start=2025-04-01": [], "end=2025-03-01": [20]}
    for query, found in expected.items():
        assert ids(web, "/api/notebook/calendar/events?" + query) == found, query


def test_tokens_of_connections_are_not_shown(web, journal, responder):
    assert set(data(web, "/api/notebook/calendar/connections")[0]) == {
        "id", "provider", "calendar_id", "is_active", "token_expiry", "last_sync_timestamp", "created_at", "updated_at"}


def test_profile_is_there_for_everybody_and_shows_settings(web, db, journal, worker, responder):
    profile = data(web, "/api/user/profile")
    assert (profile["display_name"], profile["trading_style"], profile["timezone"], profile["currency"]) == ("Ann", "swing", "America/New_York", "USD")
    assert data(web, "/api/user/profile", "bob")["risk_free_rate"] == 0.02
    add(db, "account_settings", timezone="Europe/Berlin", currency="EUR")
    wait_until(lambda: data(web, "/api/user/profile")["timezone"] == "Europe/Berlin", what="the new settings")
    execute(db, "UPDATE user_profile SET nickname = 'A'")
    wait_until(lambda: data(web, "/api/user/profile")["nickname"] == "A", what="the new nickname")


def test_deleted_rows_are_not_shown(web, db, journal, responder):
    execute(db, "UPDATE images SET is_deleted = true")
    execute(db, "UPDATE notebook_notes SET is_deleted = true")
    execute(db, "UPDATE options SET is_deleted = true")
    for path in ("/api/images", "/api/notebook/notes", "/api/notebook/reminders", "/api/options"):
        assert data(web, path) == [], path


@pytest.mark.parametrize("path, shown", [
    ("/api/stocks", lambda d: d[0]["status"]), ("/api/stocks?limit=all", lambda d: d[0]["status"]), ("/api/stocks/1", lambda d: d["status"]),
    ("/api/stocks?status=closed", lambda d: "closed" if d else "open"), ("/api/stocks/count?status=closed", lambda d: "closed" if d["count"] else "open"),
    ("/api/options", lambda d: d[0]["status"]), ("/api/options/1", lambda d: d["status"]),
    ("/api/options/count?open_only=1", lambda d: "open" if d["count"] else "closed")])
def test_a_trade_that_exits_later_is_closed_from_then_on(web, db, responder, path, shown):
    """Nobody changes a row at that instant, so what was cached before must end there by itself."""
    add_stock(db, "ann", 1, exit="now() + interval '3 seconds'")
    add_option(db, "ann", 1, exit="now() + interval '3 seconds'")
    with db.cursor() as cursor:
        cursor.execute("SELECT to_char(exit_date AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM " + path[5:].partition("?")[0].partition("/")[0])
        exit = cursor.fetchone()[0]
    first = web.get(path, "ann").json()
    assert shown(first["data"]) == "open" and first["meta"]["valid_until"] == exit
    wait_until(lambda: shown(data(web, path)) == "closed", what="the exit")
    assert web.get(path, "ann").json()["meta"]["valid_until"] is None


# --- filters --------------------------------------------------------------------------------------


def test_every_filter_of_options(web, db, responder):
    add_option(db, "ann", 1, symbol="AAA", entry="'2025-01-02T15:00Z'", exit="'2025-01-10T15:00Z'", strategy_type="Iron Condor",
               trade_direction="Neutral", option_type="Put", side="short")
    add_option(db, "ann", 2, symbol="BBB", entry="'2025-02-02T15:00Z'", exit="'2025-02-03T15:00Z'", exit_price=None, status="expired", trade_direction="Bullish")
    add_option(db, "ann", 3, symbol="AAA", entry="'2025-03-02T15:00Z'", exit="NULL", exit_price=None, status="open")
    expected = {
        "": [3, 2, 1], "symbol=aaa": [3, 1], "strategy_type=iron%20condor": [1], "option_type=put": [1], "trade_direction=bullish": [2],
        "status=open": [3], "status=closed": [2, 1], "status=expired": [2], "open_only=1": [3], "start_date=2025-02-02": [3, 2],
        "end_date=2025-02-02": [2, 1], "start_date=2025-01-10&end_date=2025-02-02&date_field=exit": [1], "min_pnl=-150": [1],
        "max_pnl=-150": [2], "order=asc": [1, 2, 3], "sort=pnl": [1, 2, 3], "sort=pnl&order=asc": [2, 1, 3],
        "sort=symbol&order=asc": [1, 3, 2], "sort=symbol": [2, 3, 1], "sort=exit_date": [2, 1, 3], "limit=1&offset=1": [2],
    }
    for query, found in expected.items():
        assert ids(web, "/api/options?" + query) == found, query
        if not any(word in query for word in ("sort", "order", "limit")):
            assert data(web, "/api/options/count?" + query) == {"count": len(found)}, query


def test_days_are_those_of_the_account(web, db, responder):
    """As in the analytics: a list and a custom range of the same days hold the same trades."""
    add(db, "account_settings", timezone="Asia/Tokyo")
    add_stock(db, "ann", 1, entry="'2025-02-01 14:59Z'", exit="'2025-02-02 14:59Z'")
    add_stock(db, "ann", 2, entry="'2025-02-01 15:00Z'", exit="'2025-02-02 15:00Z'")
    add_option(db, "ann", 3, entry="'2025-02-01 15:00Z'", exit="'2025-02-02 14:59Z'")
    add(db, "trade_notes", id=4, name="n", content="c", created_at="2025-02-01T15:00:00Z")

    def holds(path, day, found):
        bounds = f"start_date={day}&end_date={day}"
        assert ids(web, f"{path}?{bounds}") == found, (path, bounds)
        if path != "/api/trade-notes":
            assert data(web, f"{path}/count?{bounds}") == {"count": len(found)}
            exits = ids(web, f"{path}?{bounds}&date_field=exit")
            core = data(web, f"/api/analytics/core?time_range=custom&{bounds}&asset={path[5:]}")
            assert core["total_trades"] == len(exits), (path, bounds, exits)

    for path, day, found in (("/api/stocks", "2025-02-01", [1]), ("/api/stocks", "2025-02-02", [2]), ("/api/stocks", "2025-02-03", []),
                             ("/api/options", "2025-02-01", []), ("/api/options", "2025-02-02", [3]),
                             ("/api/trade-notes", "2025-02-01", []), ("/api/trade-notes", "2025-02-02", [4])):
        holds(path, day, found)
    # The session of 3 February opens at 18:00 of the day before; and what was cached before goes.
    execute(db, "UPDATE account_settings SET timezone = 'America/New_York', trading_day_start = 18 WHERE user_id = 'ann'")
    execute(db, "UPDATE stocks SET entry_date = '2025-02-02 22:59Z', exit_date = '2025-02-02 23:00Z' WHERE id = 1")
    assert web.webhook({"type": "settings.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"user_id": "ann"}}).status == 202
    holds("/api/stocks", "2025-02-02", [1])
    holds("/api/stocks", "2025-02-01", [2])
    assert ids(web, "/api/stocks?start_date=2025-02-03&end_date=2025-02-03&date_field=exit") == [1]
    holds("/api/trade-notes", "2025-02-01", [4])


@pytest.mark.parametrize("name", ["stocks", "stocks-count", "options", "options-count"])
def test_plan_of_a_list_goes_through_its_filter_function(db, run_worker, name):
    """The planner has put the body in the place of the call: it sees the table, and what it may use an index for."""
    plan = run_worker("datasets", "--explain", name, "--user", "ann").stdout
    assert f"on public.{name.partition('-')[0]}" in plan and "user_id = 'ann'" in plan, plan
    assert "Function Scan" not in plan and "filtered_" not in plan, plan


def test_filters_of_notes_images_and_reminders(web, db, journal, responder):
    add(db, "trade_notes", id=30, name="Loose", content="100% sure_thing", created_at="2025-05-01T02:00:00Z")
    add(db, "notebook_notes", id=31, parent_id=5, title="Below", position=0)
    add(db, "notebook_reminders", id=32, note_id=5, title="Done", reminder_time="2025-04-01T00:00:00Z", is_completed=True)
    expected = {
        "/api/trade-notes?search=RANGE": [3], "/api/trade-notes?search=100%25": [30], "/api/trade-notes?search=sure_": [30],
        "/api/trade-notes?search=%25": [30], "/api/trade-notes?trade_type=stock": [3], "/api/trade-notes?stock_trade_id=1": [3],
        "/api/trade-notes?option_trade_id=1": [], "/api/trade-notes?start_date=2025-04-30": [30], "/api/trade-notes?end_date=2025-03-04": [3],
        "/api/trade-notes?end_date=2025-04-30": [30, 3], "/api/images?trade_note_id=3": [4], "/api/images?trade_note_id=30": [],
        "/api/images?mime_type=IMAGE/png": [4], "/api/notebook/notes": [31, 5], "/api/notebook/notes?parent_id=5": [31],
        "/api/notebook/notes?top_only=true": [5], "/api/notebook/notes?tag_id=6": [5], "/api/notebook/notes?search=less": [5],
        "/api/notebook/reminders": [8, 32], "/api/notebook/reminders?is_completed=false": [8], "/api/notebook/reminders?note_id=5": [8, 32],
        "/api/notebook/reminders?start=2025-03-31T20:00:00-04:00": [32], "/api/notebook/reminders?end=2025-04-01": [8],
    }
    for path, found in expected.items():
        assert ids(web, path) == found, path


# --- whole collections ----------------------------------------------------------------------------

COLLECTIONS = {"/api/stocks": "stocks", "/api/options": "options", "/api/trade-notes": "notes", "/api/images": "images",
               "/api/notebook/notes": "notebook", "/api/notebook/calendar/events": "calendar", "/api/playbooks": "playbooks"}
TTLS = {"stocks": 1800, "options": 1800, "notes": 1800, "images": 3600, "notebook": 600, "calendar": 300, "playbooks": 3600}


@pytest.mark.parametrize("path", COLLECTIONS)
def test_whole_collection_has_its_own_key_and_ttl(web, servers, journal, responder, path):
    name = COLLECTIONS[path]
    answer = web.get(path + "?limit=ALL", "ann")
    assert answer.json()["meta"].items() >= {"count": LISTS[path], "limit": "all", "next_cursor": None}.items()
    assert servers.redis("KEYS", "user:*").split() == [f"user:{{ann}}:{name}:all".encode()]
    assert TTLS[name] * 0.9 - 5 <= int(servers.redis("TTL", f"user:{{ann}}:{name}:all")) <= TTLS[name]
    assert state(web.get(path + "?limit=all&offset=0", "ann")) == "hit"
    assert state(web.get(path + "?limit=all&offset=1", "ann")) == "fwd=miss"  # not the whole of it
    assert len(servers.redis("KEYS", "user:*").split()) == 1


def test_filtered_list_with_limit_all_is_not_the_collection(web, servers, db, responder):
    for id in range(1, 151):
        add_stock(db, "ann", id, symbol="ODD" if id % 2 else "EVEN")
    assert len(data(web, "/api/stocks?limit=all")) == 150
    assert len(data(web, "/api/stocks?limit=all&symbol=odd")) == 75
    assert len(data(web, "/api/stocks")) == 100
    assert len(data(web, "/api/stocks?limit=all")) == 150
    assert servers.redis("KEYS", "user:*").split() == [b"user:{ann}:stocks:all"]


def test_collection_over_its_limit_is_422_and_not_kept(web, servers, db, start_responder):
    start_responder(COLLECTION_MAX_ROWS="3")
    for id in range(1, 5):
        add_stock(db, "ann", id)
    for path in ("/api/stocks?limit=all", "/api/stocks?limit=all&symbol=acme"):
        answer = web.get(path, "ann")
        assert answer.status == 422, answer
        assert answer.json()["detail"] == "more than 3 rows: read them in pages, with limit and cursor"
    assert servers.redis("KEYS", "*:all") == b""
    assert len(data(web, "/api/stocks?limit=500")) == 4
    execute(db, "DELETE FROM stocks WHERE id = 4")
    assert len(data(web, "/api/stocks?limit=all")) == 3


# --- cursors --------------------------------------------------------------------------------------


def follow(web, path, between=lambda page: None, user="ann"):
    """All rows of all pages; between() runs after each."""
    rows, cursor, page = [], None, 0
    while page == 0 or cursor is not None:
        answer = web.get(path + (f"&cursor={cursor}" if cursor else ""), user)
        assert answer.status == 200, answer
        body = answer.json()
        rows += body["data"]
        cursor = body["meta"]["next_cursor"]
        page += 1
        between(page)
    return rows


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["entry_date", "exit_date", "symbol", "pnl", "id"])
def test_trades_by_cursor_come_once_each_in_order_while_others_are_added(web, db, responder, sort, order):
    for id in range(1, 24):
        is_open = id % 5 == 0
        add_stock(db, "ann", id, symbol=f"S{id % 3}", entry=f"'2025-01-{1 + id % 4:02}T15:00:00.123456Z'", exit_price=None if is_open else 10 + id % 4,
                  exit="NULL" if is_open else f"'2025-02-{1 + id % 6:02}T15:00Z'")
    path = f"/api/stocks?sort={sort}&order={order}"
    expected = ids(web, path + "&limit=500")
    assert sorted(expected) == list(range(1, 24))

    def add_more(page):
        for k in range(2):
            add_stock(db, "ann", 1000 + 2 * page + k, symbol=("A", "Z")[k], entry=("'2024-01-01T15:00Z'", "'2025-06-01T15:00Z'")[k],
                      exit="'2025-07-01T15:00Z'", exit_price=(1, 99)[k])
        assert web.trade_event("ann").status == 202

    seen = [row["id"] for row in follow(web, path + "&limit=4", add_more)]
    assert len(seen) == len(set(seen))
    assert [id for id in seen if id < 1000] == expected


FILL = {
    "/api/trade-notes": ("trade_notes", lambda i: {"name": "n", "updated_at": f"2025-01-01T00:00:{i % 5:02}.5Z"}),
    "/api/images": ("images", lambda i: {"trade_note_id": 1, "uploadcare_file_id": f"f{i}", "original_filename": "", "mime_type": "x", "file_size": 1,
                                         "created_at": f"2025-01-{1 + i % 4:02}"}),
    "/api/notebook/notes": ("notebook_notes", lambda i: {"title": "t", "position": i % 3}),
    "/api/notebook/tags": ("notebook_tags", lambda i: {"name": f"tag\n{(i * 7) % 50:02} ä{i}"}),
    "/api/notebook/templates": ("notebook_templates", lambda i: {"name": "t", "content": "", "created_at": f"2025-01-{1 + i % 4:02}"}),
    "/api/notebook/reminders": ("notebook_reminders", lambda i: {"note_id": 1, "title": "t", "reminder_time": f"2025-01-{1 + i % 4:02}"}),
    "/api/notebook/calendar/events": ("calendar_events", lambda i: {"event_title": "t", "start_date": "2025-01-02", "end_date": "2025-01-02",
                                                                     "start_time": None if i % 3 == 0 else f"1{i % 4}:00:00.5"}),
    "/api/notebook/calendar/connections": ("external_calendar_connections", lambda i: {"provider": "google"}),
    "/api/playbooks": ("playbook", lambda i: {"name": f"p{i}"}),
    "/api/options": ("options", lambda i: {"symbol": "A", "strategy_type": "x", "option_type": "Put", "strike_price": 1, "expiration_date": "2025-01-02",
                                           "number_of_contracts": 1, "entry_price": 1, "status": "open", "entry_date": f"2025-01-{1 + i % 4:02}"}),
}
PARENTS = {"/api/images": ("trade_notes", {"name": "n"}), "/api/notebook/reminders": ("notebook_notes", {"title": "t"})}


@pytest.mark.parametrize("path", FILL)
def test_list_by_cursor_is_complete_while_others_are_added(web, db, responder, path):
    table, columns = FILL[path]
    if path in PARENTS:
        add(db, PARENTS[path][0], id=1, **PARENTS[path][1])
    for i in range(1, 18):
        add(db, table, id=i, **columns(i))
    expected = ids(web, path + "?limit=500")
    assert sorted(expected) == list(range(1, 18))

    def add_more(page):
        add(db, table, id=100 + page, **columns(100 + page))

    seen = [row["id"] for row in follow(web, path + "?limit=3", add_more)]
    assert len(seen) == len(set(seen))
    assert [id for id in seen if id < 100] == expected


def test_page_after_the_last_row_is_empty(web, db, responder):
    for id in range(1, 5):
        add_stock(db, "ann", id)
    assert [row["id"] for row in follow(web, "/api/stocks?limit=2&sort=id&order=asc")] == [1, 2, 3, 4]
    last = web.get("/api/stocks?limit=4&sort=id", "ann").json()["meta"]["next_cursor"]
    assert web.get(f"/api/stocks?limit=4&sort=id&cursor={last}", "ann").json()["meta"].items() >= {"count": 0, "next_cursor": None}.items()
    # the rest of it, in one answer
    assert ids(web, "/api/stocks?limit=all&sort=id&cursor=" + web.get("/api/stocks?limit=1&sort=id", "ann").json()["meta"]["next_cursor"]) == [3, 2, 1]


def test_cursor_that_does_not_fit_is_refused(web, db, responder):
    for id in range(1, 4):
        add_stock(db, "ann", id)
        add_option(db, "ann", id)
    cursor = web.get("/api/stocks?limit=1", "ann").json()["meta"]["next_cursor"]
    plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    row = json.loads(plain[16:])
    refused = "is not a cursor of this list with these filters and order"

    def forge(values):
        return base64.urlsafe_b64encode(plain[:16] + json.dumps(values).encode()).decode().rstrip("=")

    assert web.get(f"/api/stocks?limit=2&cursor={cursor}", "ann").status == 200
    for query in (f"sort=pnl&cursor={cursor}", f"order=asc&cursor={cursor}", f"symbol=acme&cursor={cursor}", "cursor=x", "cursor=", "cursor=%00",
                  f"cursor={cursor[:-2]}", f"cursor={cursor}AA", f"cursor={forge(row[:-1] + ['99'])}", f"cursor={forge(row[:-1])}", "cursor=MDAwMDAwMDAwMDAwMDAwMA",
                  "cursor=%27%3B%20DROP%20TABLE%20stocks"):
        answer = web.get("/api/stocks?" + query, "ann")
        assert answer.status == 400, (query, answer)
        if "%00" not in query:
            assert answer.json()["errors"] == [{"field": "cursor", "message": refused}], query
    assert web.get(f"/api/options?cursor={cursor}", "ann").status == 400
    assert web.get(f"/api/stocks?cursor={cursor}&offset=1", "ann").json()["errors"] == [{"field": "cursor", "message": "goes without offset"}]
    assert web.get("/api/stocks?after_id=1", "ann").json()["errors"] == [{"field": "after_id", "message": "is not a parameter here"}]
    # another user's cursor is a place in one's own list
    assert data(web, f"/api/stocks?cursor={cursor}", "bob") == []


# --- invalidation ---------------------------------------------------------------------------------

CHANGES = [
    ("UPDATE stocks SET number_shares = 7", "/api/stocks", "stocks", "trade.updated"),
    ("UPDATE options SET number_of_contracts = 7", "/api/options", "options", "trade.updated"),
    ("UPDATE trade_notes SET content = 'new'", "/api/trade-notes", "notes", "notes.changed"),
    ("UPDATE images SET caption = 'new'", "/api/images", "images", "images.changed"),
    ("UPDATE notebook_notes SET content = 'new'", "/api/notebook/notes", "notebook", "notebook.changed"),
    ("DELETE FROM notebook_note_tags", "/api/notebook/notes", "notebook", "notebook.changed"),
    ("UPDATE notebook_tags SET color = 'new'", "/api/notebook/tags", "notebook", "notebook.changed"),
    ("UPDATE notebook_templates SET content = 'new'", "/api/notebook/templates", "notebook", "notebook.changed"),
    ("UPDATE notebook_reminders SET is_completed = true", "/api/notebook/reminders", "notebook", "notebook.changed"),
    ("UPDATE calendar_events SET event_title = 'new'", "/api/notebook/calendar/events", "calendar", "calendar.synced"),
    ("UPDATE external_calendar_events SET title = 'new'", "/api/notebook/calendar/events", "calendar", "calendar.synced"),
    ("UPDATE external_calendar_connections SET is_active = false", "/api/notebook/calendar/connections", "calendar", "calendar.synced"),
    ("INSERT INTO account_settings (user_id, timezone) VALUES ('ann', 'Asia/Tokyo')", "/api/notebook/calendar/events", "settings", "settings.changed"),
    ("UPDATE playbook SET description = 'new'", "/api/playbooks", "playbooks", "playbook.changed"),
    ("UPDATE playbook_rules SET title = 'new'", "/api/playbooks", "playbooks", "playbook.changed"),
    ("UPDATE user_profile SET nickname = 'new'", "/api/user/profile", "profile", "data.changed"),  # without a type of its own
]


def whole(path):
    return path if path == "/api/user/profile" else path + "?limit=all"


@pytest.mark.parametrize("sql, path, tag, event", CHANGES, ids=[f"{c[2]}-{c[0].split()[1 if c[0].startswith('UPDATE') else 2]}" for c in CHANGES])
def test_change_of_a_row_reaches_its_lists_by_trigger(web, db, journal, worker, responder, sql, path, tag, event):
    before = [data(web, path), data(web, whole(path))]
    execute(db, sql)
    wait_until(lambda: data(web, path) != before[0] and data(web, whole(path)) != before[1], what=f"the change of {tag} in {path}")


@pytest.mark.parametrize("sql, path, tag, event", CHANGES, ids=[f"{c[3]}-{c[0].split()[1 if c[0].startswith('UPDATE') else 2]}" for c in CHANGES])
def test_event_reaches_the_lists_of_its_tag_at_once(web, db, journal, responder, sql, path, tag, event):
    others = [p for p in LISTS if p not in (path, "/api/playbook")]
    before = data(web, whole(path))
    for other in others:
        data(web, other)
    execute(db, sql)
    assert data(web, whole(path)) == before  # nobody has said so yet: there is no worker
    about = {"user_id": "ann", **{"trade.updated": {"asset": tag}, "data.changed": {"tag": tag}}.get(event, {})}
    assert web.webhook({"type": event, "timestamp": "2026-01-01T00:00:00Z", "data": about}).status == 202
    assert data(web, whole(path)) != before
    by_days = ("/api/stocks", "/api/options", "/api/trade-notes")  # of the account: they depend on the profile, which shows its settings
    depends = {"notebook": ("/api/notebook/",), "calendar": ("/api/notebook/calendar/",), "profile": by_days,
               "settings": ("/api/notebook/calendar/events", *by_days)}.get(tag, (path,))
    for other in others:
        invalidated = other.startswith(depends) and (tag != "notebook" or "calendar" not in other)
        assert state(web.get(other, "ann")) == ("fwd=miss" if invalidated else "hit"), other


def test_deleting_a_trade_takes_its_note_and_images_along(web, db, journal, worker, responder):
    assert ids(web, "/api/images") == [4]
    execute(db, "DELETE FROM stocks")
    wait_until(lambda: data(web, "/api/images") == [] and data(web, "/api/trade-notes") == [], what="the end of note and image")


# --- an exchange's calendar as the account's own ------------------------------------------------------


def test_account_that_keeps_to_a_countrys_calendar_has_its_market_holidays(web, db, worker, responder, settle):
    execute(db, "SELECT pnlcache.renew_market_calendars()")
    execute(db, "INSERT INTO account_settings (user_id, holiday_country, starting_equity) VALUES ('ann', 'US', 10000)")
    execute(db, "INSERT INTO account_settings (user_id, market_holidays, starting_equity)"
                " SELECT 'bob', array_agg(date), 10000 FROM pnlcache.holidays WHERE country = 'US' AND kind = 'market'")
    execute(db, "INSERT INTO account_settings (user_id, starting_equity) VALUES ('eve', 10000)")
    for user in ("ann", "bob", "eve"):
        for id, day in enumerate(("2025-07-01", "2025-07-02", "2025-07-10"), 1):
            add_stock(db, user, id, entry=f"'{day}T14:00Z'", exit=f"'{day}T18:00Z'", exit_price=10 + id)
    settle()
    of = {user: data(web, "/api/analytics/risk?asset=stocks", user) for user in ("ann", "bob", "eve")}
    assert of["ann"] == of["bob"] != of["eve"]  # 4 July lies between
    assert data(web, "/api/user/profile")["market_holidays"] == sorted(data(web, "/api/user/profile", "bob")["market_holidays"])

    execute(db, "UPDATE account_settings SET holiday_country = 'NO', market_holidays = '{2025-01-02}' WHERE user_id = 'ann'")
    wait_until(lambda: data(web, "/api/user/profile")["market_holidays"] == ["2025-01-02"], what="another country, which has none yet")
    execute(db, "INSERT INTO holidays (country, date, name, kind) VALUES ('NO', '2025-05-17', 'Grunnlovsdagen', 'market')")
    wait_until(lambda: data(web, "/api/user/profile")["market_holidays"] == ["2025-01-02", "2025-05-17"], what="the new holiday")
    execute(db, "DELETE FROM holidays")
    wait_until(lambda: data(web, "/api/user/profile")["market_holidays"] == ["2025-01-02"], what="its end")
