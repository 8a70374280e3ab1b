"""sql/ and the sample loader: constraints, views, grants, the outbox and its triggers, sample data.

Rules cited as "1.1" and so on are sections of the metric specification.
"""
import datetime
import subprocess
from decimal import Decimal

import psycopg2
import pytest

from harness import ROOT

STOCK = dict(id=1, user_id="ann", symbol="AAPL", trade_type="BUY", number_shares=10, entry_price=100, exit_price=101,
             entry_date="2025-03-03T15:00:00Z", exit_date="2025-03-03T16:00:00Z")
OPTION = dict(id=1, user_id="ann", symbol="SPY", strategy_type="Long Call", side="long", option_type="Call", strike_price=500,
              expiration_date="2025-04-17", number_of_contracts=2, entry_price=3.5, exit_price=4,
              entry_date="2025-03-03T15:00:00Z", exit_date="2025-03-04T15:00:00Z", status="closed")
OPEN = dict(exit_price=None, exit_date=None)


def insert(cursor, table, row):
    columns = ", ".join(row)
    cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))


def notes(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id, tag FROM pnlcache.change_log ORDER BY id")
        return cursor.fetchall()


@pytest.fixture
def cursor(db):
    with db.cursor() as cursor:
        yield cursor


@pytest.fixture
def other(servers):
    """A second connection of the owner, not autocommit."""
    connection = psycopg2.connect(servers.owner_url)
    yield connection
    connection.close()


# --- constraints ----------------------------------------------------------------------------------

NUMBER_BREAKS = [({c: "NaN"}, "23514") for c in ("take_profit", "profit_target", "initial_target", "intended_entry_price", "fees")]
SHARED_BREAKS = NUMBER_BREAKS + [
    ({"id": 0}, "23514"),
    ({"id": None}, "23502"),
    ({"user_id": None}, "23502"),
    ({"user_id": ""}, "23514"),
    ({"user_id": "x" * 129}, "23514"),
    ({"symbol": None}, "23502"),
    ({"symbol": ""}, "23514"),
    ({"symbol": "aapl"}, "23514"),
    ({"order_type": "ICEBERG"}, "23514"),
    ({"entry_price": None}, "23502"),
    ({"entry_price": "NaN"}, "23514"),
    ({"entry_price": -1}, "23514"),
    ({"entry_price": 10**10}, "22003"),
    ({"exit_price": -1}, "23514"),
    ({"exit_price": "NaN"}, "23514"),
    ({"stop_loss": 0}, "23514"),
    ({"stop_loss": "NaN"}, "23514"),
    ({"initial_risk": 0}, "23514"),
    ({"commissions": -1}, "23514"),
    ({"commissions": None}, "23502"),
    ({"commissions": "NaN"}, "23514"),
    ({"fees": None}, "23502"),
    ({"entry_date": None}, "23502"),
    ({"entry_date": "1899-12-31T23:59:59Z"}, "23514"),
    ({"entry_date": "infinity", "exit_date": "infinity"}, "23514"),
    ({"exit_date": "2025-03-03T14:59:59Z"}, "23514"),
    ({"trade_ratings": 0}, "23514"),
    ({"trade_ratings": 6}, "23514"),
    ({"reviewed": None}, "23502"),
    ({"is_deleted": None}, "23502"),
]
STOCK_BREAKS = SHARED_BREAKS + [
    ({"trade_type": None}, "23502"),
    ({"trade_type": "buy"}, "23514"),
    ({"entry_price": 0}, "23514"),
    ({"number_shares": 0}, "23514"),
    ({"number_shares": None}, "23502"),
    ({"number_shares": "NaN"}, "23514"),
    ({"exit_date": None}, "23514"),
    ({"exit_price": None}, "23514"),
    ({"entry_price": 100000, "number_shares": 100000}, "23514"),
    ({"exit_price": 100000, "number_shares": 100000}, "23514"),
]
OPTION_BREAKS = SHARED_BREAKS + [
    ({"strategy_type": None}, "23502"),
    ({"strategy_type": ""}, "23514"),
    ({"trade_direction": "Sideways"}, "23514"),
    ({"side": "both"}, "23514"),
    ({"side": None}, "23502"),
    ({"option_type": "call"}, "23514"),
    ({"option_type": None}, "23502"),
    ({"strike_price": 0}, "23514"),
    ({"strike_price": "NaN"}, "23514"),
    ({"strike_price": None}, "23502"),
    ({"expiration_date": None}, "23502"),
    ({"expiration_date": "infinity"}, "23514"),
    ({"number_of_contracts": 0}, "23514"),
    ({"number_of_contracts": 1000001}, "23514"),
    ({"multiplier": 0}, "23514"),
    ({"multiplier": 100001}, "23514"),
    ({"implied_volatility": -1}, "23514"),
    ({"implied_volatility": "NaN"}, "23514"),
    ({"status": None}, "23502"),
    ({"status": "done"}, "23514"),
    ({"status": "open"}, "23514"),
    ({"status": "closed", "exit_price": None}, "23514"),
    ({"status": "expired", "exit_date": None, "exit_price": None}, "23514"),
    ({"status": "open", "exit_date": None}, "23514"),
    ({"entry_price": 100, "number_of_contracts": 1000000}, "23514"),
    ({"exit_price": 100, "number_of_contracts": 1000000}, "23514"),
]
SETTINGS_BREAKS = [
    ({"user_id": ""}, "23514"),
    ({"timezone": "Mars/Olympus"}, "23503"),
    ({"timezone": "america/new_york"}, "23503"),
    ({"timezone": "EDT"}, "23503"),
    ({"timezone": "<X>+3"}, "23503"),
    ({"timezone": None}, "23502"),
    ({"trading_day_start": 24}, "23514"),
    ({"trading_day_start": -1}, "23514"),
    ({"week_start": "friday"}, "23514"),
    ({"starting_equity": "NaN"}, "23514"),
    ({"starting_equity": 10**10}, "22003"),
    ({"risk_free_rate": "NaN"}, "23514"),
    ({"risk_free_rate": None}, "23502"),
    ({"market_holidays": "{2025-01-01,NULL}"}, "23514"),
    ({"market_holidays": "{infinity}"}, "23514"),
    ({"market_holidays": None}, "23502"),
    ({"currency": "usd"}, "23514"),
    ({"currency": "DOLLAR"}, "23514"),
]
BAR = dict(symbol="AAPL", date="2025-03-03", open=1, high=3, low=1, close=2, volume=100)
BAR_BREAKS = [
    ({"symbol": "aapl"}, "23514"), ({"date": None}, "23502"), ({"close": 0}, "23514"), ({"close": None}, "23502"),
    ({"low": 4}, "23514"), ({"open": "NaN"}, "23514"), ({"volume": -1}, "23514"),
]
SHARE_PRICE = dict(symbol="AAPL", price=150)
PRICE = dict(symbol="IWM", expiration_date="2025-07-18", option_type="Put", strike_price=205, price=1.45)
PRICE_BREAKS = [
    ({"symbol": "iwm"}, "23514"), ({"symbol": None}, "23502"), ({"price": None}, "23502"), ({"price": -1}, "23514"),
    ({"price": "NaN"}, "23514"), ({"option_type": "put"}, "23514"), ({"strike_price": 0}, "23514"), ({"strike_price": "NaN"}, "23514"),
    ({"expiration_date": "infinity"}, "23514"), ({"expiration_date": None}, "23514"), ({"option_type": None}, "23514"),
    ({"strike_price": None, "option_type": None}, "23514"), ({"observed_at": None}, "23502"), ({"observed_at": "infinity"}, "23514"),
]
SETTINGS = dict(user_id="ann")
PLAYBOOK = dict(user_id="ann", id=1, name="Breakout")
TAG = dict(user_id="ann", id=1, name="momentum")
NAME_BREAKS = [
    ({"id": 0}, "23514"), ({"id": None}, "23502"), ({"user_id": None}, "23502"), ({"user_id": ""}, "23514"), ({"user_id": "x" * 129}, "23514"),
    ({"name": None}, "23502"), ({"name": ""}, "23514"), ({"name": " x"}, "23514"), ({"name": "x\n"}, "23514"),
]
TAG_BREAKS = NAME_BREAKS + [({"category": None}, "23502"), ({"category": ""}, "23514"), ({"category": "x "}, "23514")]
CASES = [(table, row, change, state)
         for table, row, changes in (("stocks", STOCK, STOCK_BREAKS), ("options", OPTION, OPTION_BREAKS),
                                     ("account_settings", SETTINGS, SETTINGS_BREAKS), ("daily_bars", BAR, BAR_BREAKS),
                                     ("latest_price", PRICE, PRICE_BREAKS), ("playbook", PLAYBOOK, NAME_BREAKS),
                                     ("trade_tags", TAG, TAG_BREAKS))
         for change, state in changes]


@pytest.mark.parametrize("table,row,change,state", CASES, ids=lambda v: str(v) if isinstance(v, dict) and len(v) < 4 else None)
def test_constraint_refuses_row_that_breaks_rule(cursor, table, row, change, state):
    with pytest.raises(psycopg2.Error) as refused:
        insert(cursor, table, {**row, **change})
    assert refused.value.pgcode == state, refused.value


@pytest.mark.parametrize("table,row,change", [
    ("stocks", STOCK, OPEN),
    ("stocks", STOCK, {"exit_price": 0}),
    ("stocks", STOCK, {"exit_date": STOCK["entry_date"]}),
    ("stocks", STOCK, {"fees": -1}),
    ("stocks", STOCK, {"number_shares": "0.00000001"}),
    ("stocks", STOCK, {"entry_price": 99999, "exit_price": 1, "number_shares": 100000}),
    ("stocks", STOCK, {"user_id": "x" * 128}),
    ("options", OPTION, {**OPEN, "status": "open"}),
    ("options", OPTION, {"status": "expired", "exit_price": None}),
    ("options", OPTION, {"status": "assigned", "side": "short", "exit_price": None}),
    ("options", OPTION, {"entry_price": 0}),
    ("options", OPTION, {"expiration_date": "2025-01-01"}),
    ("options", OPTION, {"total_premium": -12345}),
    ("account_settings", SETTINGS, {}),
    ("account_settings", SETTINGS, {"timezone": "Etc/GMT+5", "market_holidays": "{2025-01-01,2025-12-25}", "starting_equity": -5}),
    ("daily_bars", BAR, {"open": None, "high": None, "low": None, "volume": None}),
    ("latest_price", PRICE, {"price": 0}),
    ("latest_price", SHARE_PRICE, {}),
    ("playbook", PLAYBOOK, {"name": "a;b, \"c\""}),
    ("trade_tags", TAG, {"category": "mood"}),
])
def test_constraint_takes_row_within_rules(cursor, table, row, change):
    insert(cursor, table, {**row, **change})


def test_primary_key_is_user_and_id(cursor):
    insert(cursor, "stocks", STOCK)
    insert(cursor, "stocks", {**STOCK, "user_id": "bob"})
    with pytest.raises(psycopg2.errors.UniqueViolation):
        insert(cursor, "stocks", STOCK)


# Ann's trades and what is linked to them; Bob has the same ids, so that a mix-up of users would not be noticed by ids alone.
RULE = dict(user_id="ann", id=1, playbook_id=1, title="Wait")
MISSED = dict(user_id="ann", id=1, playbook_id=1, opportunity_date="2025-03-03T15:00:00Z")
STOCK_SETUP = dict(user_id="ann", stock_trade_id=1, setup_id=1)
OPTION_SETUP = dict(user_id="ann", option_trade_id=1, setup_id=1)
STOCK_TAG = dict(user_id="ann", stock_trade_id=1, tag_id=1)
OPTION_TAG = dict(user_id="ann", option_trade_id=1, tag_id=1)
STOCK_ANSWER = dict(user_id="ann", stock_trade_id=1, playbook_id=1, rule_id=1, is_followed=True)
OPTION_ANSWER = dict(user_id="ann", option_trade_id=1, playbook_id=1, rule_id=1, is_followed=True)
LINKED = {"stocks": STOCK, "options": OPTION, "playbook": PLAYBOOK, "trade_tags": TAG, "playbook_rules": RULE, "missed_trades": MISSED,
          "stock_trade_playbook": STOCK_SETUP, "option_trade_playbook": OPTION_SETUP, "stock_trade_tags": STOCK_TAG,
          "option_trade_tags": OPTION_TAG, "stock_trade_rule_compliance": STOCK_ANSWER, "option_trade_rule_compliance": OPTION_ANSWER}


def insert_linked(cursor, user="ann", without=()):
    for table, row in LINKED.items():
        if table not in without:
            insert(cursor, table, {**row, "user_id": user})


@pytest.mark.parametrize("table,change,state", [
    *((table, {key: 2}, "23503") for table, key in (
        ("playbook_rules", "playbook_id"), ("missed_trades", "playbook_id"), ("stock_trade_playbook", "stock_trade_id"),
        ("stock_trade_playbook", "setup_id"), ("option_trade_playbook", "option_trade_id"), ("option_trade_playbook", "setup_id"),
        ("stock_trade_tags", "stock_trade_id"), ("stock_trade_tags", "tag_id"), ("option_trade_tags", "option_trade_id"),
        ("option_trade_tags", "tag_id"), ("stock_trade_rule_compliance", "stock_trade_id"), ("stock_trade_rule_compliance", "rule_id"),
        ("option_trade_rule_compliance", "option_trade_id"), ("option_trade_rule_compliance", "rule_id"))),
    *((table, {"user_id": "bob"}, "23503") for table in LINKED if table not in ("stocks", "options", "playbook", "trade_tags")),
    *((table, {}, "23505") for table in LINKED),
    ("playbook", {"id": 2}, "23505"),  # a name once
    ("trade_tags", {"id": 2}, "23505"),
    ("playbook_rules", {"id": 0}, "23514"),
    ("playbook_rules", {"title": ""}, "23514"),
    ("missed_trades", {"id": 0}, "23514"),
    ("missed_trades", {"opportunity_date": "infinity"}, "23514"),
    ("missed_trades", {"opportunity_date": None}, "23502"),
    ("stock_trade_rule_compliance", {"is_followed": None}, "23502"),
    ("option_trade_rule_compliance", {"is_followed": None}, "23502"),
    ("stock_trade_rule_compliance", {"playbook_id": 9}, "23503"),  # another playbook's rule
    ("option_trade_rule_compliance", {"playbook_id": 9}, "23503"),
], ids=str)
def test_linked_row_must_belong_to_rows_of_its_user(cursor, table, change, state):
    answers = [t for t in LINKED if t.endswith("compliance")]
    insert_linked(cursor, without=[] if state == "23505" else [table, *answers])
    if table in answers and state != "23505":
        insert(cursor, "playbook", {**PLAYBOOK, "id": 9, "name": "other"})
    with pytest.raises(psycopg2.Error) as refused:
        insert(cursor, table, {**LINKED[table], **change})
    assert refused.value.pgcode == state, refused.value


def test_users_share_ids_and_names(cursor):
    insert_linked(cursor)
    insert_linked(cursor, "bob")


def test_price_is_there_once(cursor):
    for row in (PRICE, SHARE_PRICE):
        insert(cursor, "latest_price", row)
        with pytest.raises(psycopg2.errors.UniqueViolation):
            insert(cursor, "latest_price", row)
    insert(cursor, "latest_price", {**PRICE, "strike_price": 210})
    insert(cursor, "latest_price", {"symbol": "IWM", "price": 200})


def test_implied_volatility_zero_is_stored_as_null(cursor):
    insert(cursor, "options", {**OPTION, "implied_volatility": 0})
    cursor.execute("SELECT implied_volatility FROM options")
    assert cursor.fetchall() == [(None,)]
    cursor.execute("UPDATE options SET implied_volatility = 35.25")
    cursor.execute("UPDATE options SET implied_volatility = 0.00 RETURNING implied_volatility")
    assert cursor.fetchall() == [(None,)]


def test_defaults_are_those_of_the_specification(cursor):
    insert(cursor, "account_settings", SETTINGS)
    cursor.execute("SELECT timezone, trading_day_start, week_start, starting_equity, risk_free_rate, market_holidays, currency"
                   " FROM pnlcache.account_settings")
    assert cursor.fetchall() == [("America/New_York", 0, "sunday", None, Decimal("0.02"), [], "USD")]
    insert(cursor, "options", {k: v for k, v in OPTION.items() if k != "side"})
    cursor.execute("SELECT side, multiplier, commissions, fees FROM pnlcache.option_trades")
    assert cursor.fetchall() == [("long", 100, 0, 0)]


def test_views_hide_deleted_rows(cursor):
    for table, row, view in (("stocks", STOCK, "stock_trades"), ("options", OPTION, "option_trades")):
        insert(cursor, table, row)
        insert(cursor, table, {**row, "id": 2, "is_deleted": True})
        cursor.execute(f"SELECT id FROM pnlcache.{view}")
        assert cursor.fetchall() == [(1,)]


def test_playbook_views_count_rules_and_answers_of_one_user_and_playbook(cursor):
    insert_linked(cursor)
    insert_linked(cursor, "bob")
    insert(cursor, "playbook", {**PLAYBOOK, "id": 2, "name": "Gap"})
    for rule in (2, 3):
        insert(cursor, "playbook_rules", {**RULE, "id": rule})
    insert(cursor, "playbook_rules", {**RULE, "id": 4, "playbook_id": 2})
    insert(cursor, "stock_trade_playbook", {**STOCK_SETUP, "setup_id": 2})
    insert(cursor, "stock_trade_rule_compliance", {**STOCK_ANSWER, "rule_id": 2, "is_followed": False})
    insert(cursor, "option_trade_rule_compliance", {**OPTION_ANSWER, "rule_id": 4, "playbook_id": 2})  # not linked to that playbook
    cursor.execute("SELECT user_id, id, name, rules FROM pnlcache.playbooks ORDER BY 1, 2")
    assert cursor.fetchall() == [("ann", 1, "Breakout", 3), ("ann", 2, "Gap", 1), ("bob", 1, "Breakout", 1)]
    cursor.execute("SELECT user_id, is_option, trade_id, playbook_id, rules_recorded, rules_followed FROM pnlcache.trade_playbooks"
                   " ORDER BY user_id, is_option, trade_id, playbook_id")
    assert cursor.fetchall() == [("ann", False, 1, 1, 2, 1), ("ann", False, 1, 2, 0, 0), ("ann", True, 1, 1, 1, 1),
                                 ("bob", False, 1, 1, 1, 1), ("bob", True, 1, 1, 1, 1)]


def test_tag_missed_trade_and_price_views(cursor):
    insert_linked(cursor)
    insert(cursor, "trade_tags", {**TAG, "id": 2, "category": "mood", "name": "Zoë"})
    insert(cursor, "option_trade_tags", {**OPTION_TAG, "tag_id": 2})
    insert(cursor, "trade_tags", {**TAG, "user_id": "bob", "name": "not Ann's"})
    cursor.execute("SELECT user_id, is_option, trade_id, tag_id, category, name FROM pnlcache.trade_tags ORDER BY user_id, is_option, trade_id, name")
    assert cursor.fetchall() == [("ann", False, 1, 1, "general", "momentum"), ("ann", True, 1, 2, "mood", "Zoë"),
                                 ("ann", True, 1, 1, "general", "momentum")]
    cursor.execute("SELECT user_id, playbook_id, id, opportunity_date FROM pnlcache.missed_trades")
    assert cursor.fetchall() == [("ann", 1, 1, datetime.datetime(2025, 3, 3, 15, tzinfo=datetime.timezone.utc))]
    insert(cursor, "latest_price", PRICE)
    insert(cursor, "latest_price", SHARE_PRICE)
    cursor.execute("SELECT symbol, expiration_date, option_type, strike_price, price, observed_at <= now() FROM pnlcache.latest_prices ORDER BY 1")
    assert cursor.fetchall() == [("AAPL", None, None, None, 150, True),
                                 ("IWM", datetime.date(2025, 7, 18), "Put", 205, Decimal("1.45"), True)]


# --- applying again, and who may do what ----------------------------------------------------------------


def test_apply_again_keeps_data_and_says_nothing(servers, db, cursor):
    insert(cursor, "stocks", STOCK)
    for _ in range(2):
        done = subprocess.run([ROOT / "sql/apply.sh", servers.owner_url], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    cursor.execute("SELECT count(*) FROM stocks")
    assert cursor.fetchone() == (1,)
    assert notes(db) == [("ann", "stocks")]


def test_apply_fails_as_a_whole(servers):
    done = subprocess.run([ROOT / "sql/apply.sh", servers.program_url], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "permission denied" in done.stderr


@pytest.fixture
def program(servers, clean):
    connection = psycopg2.connect(servers.program_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


def test_role_reads_views_and_works_the_outbox(cursor, program):
    insert(cursor, "stocks", STOCK)
    for view in ("stock_trades", "option_trades", "account_settings", "playbooks", "trade_playbooks", "trade_tags", "missed_trades",
                 "latest_prices"):
        program.execute(f"SELECT * FROM pnlcache.{view}")
    program.execute("INSERT INTO pnlcache.change_log (user_id, tag) VALUES ('bob', 'settings')")
    program.execute("SELECT user_id FROM pnlcache.change_log ORDER BY id FOR UPDATE SKIP LOCKED")
    assert program.fetchall() == [("ann",), ("bob",)]
    program.execute("UPDATE pnlcache.change_log SET noted_at = now() WHERE user_id = 'bob'")
    program.execute("DELETE FROM pnlcache.change_log")
    assert program.rowcount == 2
    program.execute("LISTEN pnlcache_change")


@pytest.mark.parametrize("statement", [
    "SELECT FROM public.stocks", "SELECT FROM public.options", "SELECT FROM public.account_settings", "SELECT FROM public.daily_bars",
    *(f"SELECT FROM public.{table}" for table in ("latest_price", "playbook", "playbook_rules", "missed_trades", "trade_tags")),
    "SELECT FROM public.stock_trade_tags", "INSERT INTO pnlcache.latest_prices (symbol, price) VALUES ('X', 1)",
    "UPDATE pnlcache.playbooks SET name = ''", "DELETE FROM pnlcache.missed_trades",
    "SELECT FROM public.time_zones", "INSERT INTO public.stocks (id) VALUES (1)",
    "UPDATE pnlcache.stock_trades SET mistakes = ''", "DELETE FROM pnlcache.option_trades", "DELETE FROM pnlcache.account_settings",
    "TRUNCATE pnlcache.change_log", "CREATE TABLE pnlcache.mine ()", "CREATE TABLE public.mine ()", "CREATE ROLE more",
    "CALL pnlcache.watch_table('pnlcache.change_log', 'x')", "SELECT nextval('pnlcache.change_log_id_seq')",
    "CREATE TEMP TABLE t (user_id text); CREATE TRIGGER t AFTER TRUNCATE ON t EXECUTE FUNCTION pnlcache.note_change('stocks')",
])
def test_role_may_do_nothing_else(program, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        program.execute(statement)


def test_role_has_no_privilege_beside_the_documented(cursor):
    cursor.execute("SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolpassword IS NULL"
                   " FROM pg_authid WHERE rolname = 'pnlcache'")
    assert cursor.fetchone() == (False, False, False, False, False, True)
    cursor.execute("SELECT table_schema || '.' || table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)"
                   " FROM information_schema.role_table_grants WHERE grantee IN ('pnlcache', 'PUBLIC')"
                   " AND table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1 ORDER BY 1")
    views = [(f"pnlcache.{view}", "SELECT") for view in VIEWS]
    assert cursor.fetchall() == sorted([*views, ("pnlcache.change_log", "DELETE INSERT SELECT UPDATE")])


# --- the outbox -------------------------------------------------------------------------------------------


def test_insert_notes_each_user_once(db, cursor):
    cursor.execute("INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, entry_date)"
                   " SELECT n, 'u' || n % 3, 'AAPL', 'BUY', 1, 1, now() FROM generate_series(1, 30) AS n")
    assert sorted(notes(db)) == [("u0", "stocks"), ("u1", "stocks"), ("u2", "stocks")]


@pytest.mark.parametrize("table,row,tag", [("stocks", STOCK, "stocks"), ("options", OPTION, "options"),
                                           ("account_settings", SETTINGS, "settings")])
def test_each_kind_of_statement_is_noted(db, cursor, table, row, tag):
    insert(cursor, table, row)
    assert notes(db) == [("ann", tag)]
    for statement in (f"UPDATE {table} SET created_at = now()", f"DELETE FROM {table}"):
        cursor.execute("DELETE FROM pnlcache.change_log")
        cursor.execute(statement)
        assert notes(db) == [("ann", tag)], statement
    cursor.execute("DELETE FROM pnlcache.change_log")
    cursor.execute(f"TRUNCATE {table} CASCADE")  # takes along what is linked to trades
    linked = [] if table == "account_settings" else [(None, "images"), (None, "notes"), (None, "playbooks"), (None, "tags")]
    assert sorted(notes(db), key=str) == sorted([(None, tag), *linked], key=str)


# The column to set to itself in an UPDATE.
@pytest.mark.parametrize("table,column,tag", [
    ("playbook", "description", "playbooks"), ("playbook_rules", "title", "playbooks"), ("missed_trades", "notes", "playbooks"),
    ("stock_trade_playbook", "setup_id", "playbooks"), ("option_trade_playbook", "setup_id", "playbooks"),
    ("stock_trade_rule_compliance", "is_followed", "playbooks"), ("option_trade_rule_compliance", "is_followed", "playbooks"),
    ("trade_tags", "category", "tags"), ("stock_trade_tags", "tag_id", "tags"), ("option_trade_tags", "tag_id", "tags"),
])
def test_each_kind_of_statement_on_labels_is_noted(db, cursor, table, column, tag):
    needed = {"stocks", "options", "playbook", "trade_tags"} | ({"playbook_rules"} if table.endswith("compliance") else set())
    insert_linked(cursor, without=LINKED.keys() - needed | {table})
    statements = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"]
    cursor.execute("DELETE FROM pnlcache.change_log")
    insert(cursor, table, LINKED[table])
    assert notes(db) == [("ann", tag)]
    for statement, user in zip(statements, ("ann", "ann", None)):
        cursor.execute("DELETE FROM pnlcache.change_log")
        cursor.execute(statement)
        assert notes(db) == [(user, tag)], statement


def test_cascading_delete_is_noted_for_what_it_takes_along(db, cursor):
    insert_linked(cursor)
    insert_linked(cursor, "bob")
    cursor.execute("DELETE FROM pnlcache.change_log")
    cursor.execute("DELETE FROM stocks WHERE user_id = 'ann'")
    assert sorted(notes(db)) == [("ann", "playbooks"), ("ann", "stocks"), ("ann", "tags")]
    cursor.execute("DELETE FROM pnlcache.change_log")
    cursor.execute("DELETE FROM playbook WHERE user_id = 'bob'")
    assert notes(db) == [("bob", "playbooks")]
    cursor.execute("SELECT (SELECT count(*) FROM pnlcache.trade_playbooks WHERE NOT is_option), (SELECT count(*) FROM missed_trades)"
                   ", (SELECT count(*) FROM option_trade_rule_compliance), (SELECT count(*) FROM stock_trade_tags)")
    assert cursor.fetchone() == (0, 1, 1, 1)


def test_latest_price_belongs_to_nobody(db, cursor):
    insert(cursor, "latest_price", SHARE_PRICE)
    cursor.execute("INSERT INTO latest_price (symbol, price) VALUES ('AAPL', 151)"
                   " ON CONFLICT (symbol) WHERE expiration_date IS NULL DO UPDATE SET price = excluded.price")
    assert notes(db) == [(None, "prices")] * 2


def test_copy_and_upsert_are_noted(db, cursor):
    insert(cursor, "account_settings", SETTINGS)
    cursor.execute("DELETE FROM pnlcache.change_log")
    cursor.execute("INSERT INTO account_settings (user_id) VALUES ('ann') ON CONFLICT (user_id) DO UPDATE SET currency = 'EUR'")
    assert notes(db) == [("ann", "settings")]


def test_statement_without_rows_notes_nothing(db, cursor):
    cursor.execute("UPDATE stocks SET reviewed = true")
    cursor.execute("DELETE FROM stocks")
    cursor.execute("INSERT INTO stocks SELECT * FROM stocks")
    assert notes(db) == []


def test_changed_user_notes_both(db, cursor):
    insert(cursor, "stocks", STOCK)
    insert(cursor, "stocks", {**STOCK, "id": 2, "user_id": "eve"})
    cursor.execute("DELETE FROM pnlcache.change_log")
    cursor.execute("UPDATE stocks SET user_id = 'bob' WHERE id = 1")
    assert sorted(notes(db)) == [("ann", "stocks"), ("bob", "stocks")]


def test_prices_belong_to_nobody(db, cursor):
    insert(cursor, "daily_bars", BAR)
    assert notes(db) == [(None, "prices")]


def test_transaction_notes_user_and_tag_once(db, other):
    with other, other.cursor() as cursor:
        for n in range(1, 20):
            insert(cursor, "stocks", {**STOCK, "id": n})
            insert(cursor, "options", {**OPTION, "id": n})
        cursor.execute("UPDATE stocks SET reviewed = true")
        cursor.execute("DELETE FROM stocks WHERE id = 5")
        cursor.execute("TRUNCATE daily_bars")
        cursor.execute("TRUNCATE daily_bars")
    assert sorted(notes(db), key=str) == [("ann", "options"), ("ann", "stocks"), (None, "prices")]
    with other, other.cursor() as cursor:  # the next transaction notes again
        cursor.execute("UPDATE stocks SET reviewed = false")
    assert notes(db).count(("ann", "stocks")) == 2


def test_rollback_leaves_nothing(db, other):
    with other.cursor() as cursor:
        insert(cursor, "stocks", STOCK)
    other.rollback()
    assert notes(db) == []


def test_change_after_savepoint_rollback_is_noted(db, other):
    with other, other.cursor() as cursor:
        cursor.execute("SAVEPOINT s")
        insert(cursor, "stocks", STOCK)
        cursor.execute("ROLLBACK TO s")
        insert(cursor, "stocks", STOCK)
    assert notes(db) == [("ann", "stocks")]


def test_concurrent_transactions_do_not_wait_for_each_other(servers, db, other):
    third = psycopg2.connect(servers.owner_url)
    with other.cursor() as a, third.cursor() as b:
        b.execute("SET lock_timeout = '2s'")  # a wait would end here as an error
        insert(a, "stocks", STOCK)
        insert(b, "stocks", {**STOCK, "id": 2})
        assert notes(db) == []
        third.commit()
        other.commit()
    third.close()
    assert notes(db) == [("ann", "stocks")] * 2


def test_worker_holding_a_row_does_not_block_writers(db, cursor, other):
    insert(cursor, "stocks", STOCK)
    with other.cursor() as worker:
        worker.execute("SELECT id FROM pnlcache.change_log FOR UPDATE SKIP LOCKED")
        worker.execute("DELETE FROM pnlcache.change_log")
        cursor.execute("SET lock_timeout = '2s'")
        cursor.execute("UPDATE stocks SET reviewed = true")
        other.commit()
    assert notes(db) == [("ann", "stocks")]


def notifications(connection):
    """What has arrived: a session is handed everything committed before its present command at the command's end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.poll()
    arrived = [(n.channel, n.payload) for n in connection.notifies]
    connection.notifies.clear()
    return arrived


def test_notify_rings_once_per_transaction_and_can_be_switched_off(db, cursor, other):
    cursor.execute("LISTEN pnlcache_change")
    with other, other.cursor() as writer:
        writer.execute("SET pnlcache.notify = off")
        insert(writer, "stocks", STOCK)
    assert notifications(db) == []
    with other, other.cursor() as writer:
        writer.execute("SET pnlcache.notify = on")
        for n in range(2, 9):
            insert(writer, "stocks", {**STOCK, "id": n})
            insert(writer, "options", {**OPTION, "id": n})
        writer.execute("TRUNCATE daily_bars")
    assert notifications(db) == [("pnlcache_change", "")]
    with other, other.cursor() as writer:
        writer.execute("RESET pnlcache.notify")
        writer.execute("UPDATE stocks SET reviewed = true")
    assert notifications(db) == [("pnlcache_change", "")]


@pytest.fixture
def application(db, cursor):
    """An application's own tables, and a role that may only write them."""
    cursor.execute("DROP SCHEMA IF EXISTS app CASCADE; DROP ROLE IF EXISTS app_writer; CREATE ROLE app_writer;"
                   'CREATE SCHEMA app; CREATE TABLE app.fills (n int, "the owner" uuid); CREATE TABLE app.rates (rate numeric);'
                   "GRANT USAGE ON SCHEMA app TO app_writer; GRANT ALL ON app.fills, app.rates TO app_writer")
    yield cursor
    cursor.execute("RESET ROLE; DROP SCHEMA app CASCADE; DROP ROLE app_writer")


def test_watch_table_works_for_foreign_tables_and_needs_no_right_of_the_writer(db, application):
    for _ in range(2):  # again is harmless
        application.execute("CALL pnlcache.watch_table('app.fills', 'executions', 'the owner')")
        application.execute("CALL pnlcache.watch_table('app.rates', 'rates', NULL)")
    ann, bob = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
    application.execute("SET ROLE app_writer")
    application.execute("INSERT INTO app.fills VALUES (1, %s), (2, NULL)", [ann])
    application.execute("UPDATE app.fills SET \"the owner\" = %s", [bob])
    application.execute("DELETE FROM app.fills")
    application.execute("INSERT INTO app.rates VALUES (1)")
    application.execute("TRUNCATE app.fills")
    application.execute("RESET ROLE")
    noted = notes(db)
    assert noted[0] == (ann, "executions")
    assert sorted(noted[1:3]) == [(ann, "executions"), (bob, "executions")]
    assert noted[3:] == [(bob, "executions"), (None, "rates"), (None, "executions")]


def test_watch_table_works_for_partitioned_table_with_quoted_names(db, application):
    application.execute('CREATE TABLE app."The Fills" ("User" text, n int) PARTITION BY RANGE (n);'
                        'CREATE TABLE app."Low" PARTITION OF app."The Fills" FOR VALUES FROM (0) TO (10);'
                        'CREATE TABLE app."High" PARTITION OF app."The Fills" FOR VALUES FROM (10) TO (20)')
    for _ in range(2):
        application.execute("""CALL pnlcache.watch_table('app."The Fills"', 'fills', 'User')""")
    for statement, users in (("INSERT INTO app.\"The Fills\" VALUES ('ann', 1), ('bob', 11)", ["ann", "bob"]),
                             ('UPDATE app."The Fills" SET n = n + 10 WHERE n = 1', ["ann"]),  # into the other partition
                             ("DELETE FROM app.\"The Fills\" WHERE \"User\" = 'bob'", ["bob"]),
                             ('TRUNCATE app."The Fills"', [None]),
                             ("INSERT INTO app.\"Low\" VALUES ('eve', 1)", [])):  # past the parent, as sql/README.md says
        application.execute("DELETE FROM pnlcache.change_log")
        application.execute(statement)
        assert sorted(notes(db)) == [(user, "fills") for user in users], statement
    application.execute("""CALL pnlcache.watch_table('app."Low"', 'fills', 'User')""")
    application.execute("INSERT INTO app.\"Low\" VALUES ('eve', 2)")
    application.execute("INSERT INTO app.\"The Fills\" VALUES ('ann', 3)")  # once, by the parent's trigger
    assert notes(db) == [("eve", "fills"), ("ann", "fills")]


def test_user_id_too_long_to_be_cached_does_not_fail_the_write(db, application):
    application.execute("CREATE TABLE app.notes (user_id text)")
    application.execute("CALL pnlcache.watch_table('app.notes', 'notes')")
    application.execute("INSERT INTO app.notes VALUES (repeat('x', 100000)), ('ann')")
    assert notes(db) == [("ann", "notes")]


@pytest.mark.parametrize("call", [
    "CALL pnlcache.watch_table('app.fills', 'Bad Tag', 'the owner')",
    "CALL pnlcache.watch_table('app.fills', NULL, 'the owner')",
    "CALL pnlcache.watch_table('app.fills', 'executions')",
])
def test_watch_table_refuses_what_could_not_work(application, call):
    with pytest.raises(psycopg2.Error):
        application.execute(call)
    application.execute("INSERT INTO app.fills VALUES (1, NULL)")


# --- the generated journal ----------------------------------------------------------------------------------


def psql(servers, *arguments):
    return subprocess.run(["psql", "-X", "-d", servers.owner_url, *arguments], capture_output=True, text=True, check=False)


def generate(servers, now, whale=1000):
    done = psql(servers, "-v", f"now='{now}'", "-v", f"whale={whale}", "-f", ROOT / "sql/sample/generate.sql")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Closed trades by user, asset and range start: what a reader of the ranges needs to see.
CONTENT = """
WITH day AS (SELECT (%(now)s::timestamptz AT TIME ZONE 'America/New_York')::date AS today),
trades AS (SELECT user_id, 'stocks' AS asset, exit_date FROM pnlcache.stock_trades
           UNION ALL SELECT user_id, 'options', exit_date FROM pnlcache.option_trades)
SELECT user_id, asset, range, count(exit_date) FILTER (WHERE (exit_date AT TIME ZONE 'America/New_York')::date BETWEEN first AND today)
FROM trades, day, LATERAL (VALUES ('today', today), ('7d', today - 6), ('30d', today - 29), ('90d', today - 89),
    ('6m', (today - interval '6 months')::date + 1), ('1y', (today - interval '1 year')::date + 1),
    ('ytd', date_trunc('year', today)::date), ('all_time', '-infinity'::date)) AS r (range, first)
GROUP BY 1, 2, 3
"""


@pytest.mark.parametrize("now", [
    "2026-03-04T18:00:00Z",  # during a session
    "2026-03-07T16:00:00Z",  # a Saturday
    "2026-03-08T11:00:00Z",  # a Sunday, hours after the clocks went forward
    "2026-11-01T05:45:00Z",  # a Sunday, in the hour that the clocks are about to repeat
    "2026-11-01T06:10:00Z",  # in the repeated hour
    "2027-01-01T05:00:00Z",  # the first instant of a year in New York
    "2026-07-03T23:00:00Z",  # a holiday observed on a Friday
])
def test_generated_journal_fills_every_range_on_any_day(servers, cursor, now):
    generate(servers, now)
    cursor.execute(CONTENT, {"now": now})
    rows = cursor.fetchall()
    assert len(rows) == 4 * 8
    assert [row for row in rows if row[3] == 0] == []
    # nothing lies in the future
    cursor.execute("SELECT count(*) FROM (SELECT entry_date, exit_date FROM stocks UNION ALL SELECT entry_date, exit_date FROM options) AS t"
                   " WHERE entry_date > %s OR exit_date > %s", [now, now])
    assert cursor.fetchone() == (0,)


def test_generated_journal_has_the_promised_size_and_variety(servers, db, cursor):
    generate(servers, "2026-03-04T18:00:00Z", whale=1000)
    cursor.execute("SELECT user_id, count(*) FROM pnlcache.stock_trades GROUP BY 1 ORDER BY 1")
    assert cursor.fetchall() == [("active", 3000), ("beginner", 40), ("whale", 1000)]
    cursor.execute("SELECT user_id, count(*), count(DISTINCT status), count(DISTINCT side), count(DISTINCT option_type) > 1"
                   " FROM pnlcache.option_trades GROUP BY 1")
    assert cursor.fetchall() == [("active", 800, 5, 2, True)]
    cursor.execute("SELECT count(*) FILTER (WHERE exit_date IS NULL) > 0, count(stop_loss) > 0, count(mistakes) > 0,"
                   " count(initial_risk) > 0, bool_or(commissions > 0), bool_or(number_shares <> trunc(number_shares))"
                   " FROM pnlcache.stock_trades WHERE user_id <> 'whale'")
    assert cursor.fetchone() == (True,) * 6
    # entries lie within the day's bar; shares trade in New York's session
    cursor.execute("SELECT count(*) FROM stocks AS s LEFT JOIN daily_bars AS b ON b.symbol = s.symbol"
                   " AND b.date = (s.entry_date AT TIME ZONE 'America/New_York')::date WHERE NOT coalesce(entry_price BETWEEN low AND high, false)")
    assert cursor.fetchone() == (0,)
    cursor.execute("SELECT count(*) FROM stocks, LATERAL (VALUES (entry_date AT TIME ZONE 'America/New_York'),"
                   " (exit_date AT TIME ZONE 'America/New_York')) AS t (local) WHERE symbol NOT LIKE '%-USD'"
                   " AND NOT (local::time BETWEEN '09:30' AND '16:00' AND extract(isodow FROM local) < 6)")
    assert cursor.fetchone() == (0,)
    assert sorted(notes(db), key=str) == sorted(
        [(u, t) for u in ("active", "beginner", "whale")
         for t in ("settings", "stocks", "playbooks", "tags", "notes", "images", "notebook", "calendar", "profile")]
        + [("active", "options"), (None, "prices"), (None, "symbols"), (None, "earnings")], key=str)


def test_generated_journal_has_playbooks_tags_and_prices(servers, cursor):
    now = "2026-03-04T18:00:00Z"
    generate(servers, now)
    # with a playbook that has rules: linked trades answered in full and followed, partly, not at all, not answered
    cursor.execute("SELECT user_id, bool_or(rules_followed = rules), bool_or(rules_followed BETWEEN 1 AND rules - 1),"
                   " bool_or(rules_recorded > 0 AND rules_followed = 0), bool_or(rules_recorded = 0), max(rules_recorded - rules) <= 0"
                   " FROM pnlcache.trade_playbooks AS l JOIN pnlcache.playbooks AS p USING (user_id) WHERE p.id = playbook_id AND rules > 0"
                   " AND user_id <> 'beginner' GROUP BY 1 ORDER BY 1")
    assert cursor.fetchall() == [("active", *[True] * 5), ("whale", *[True] * 5)]
    cursor.execute("SELECT user_id, is_option, count(DISTINCT name) FROM pnlcache.trade_tags GROUP BY 1, 2 ORDER BY 1, 2")
    assert [row[:2] for row in cursor.fetchall()] == [("active", False), ("active", True), ("beginner", False), ("whale", False)]
    cursor.execute("SELECT user_id, min(rules) FROM pnlcache.playbooks GROUP BY 1 ORDER BY 1")
    assert cursor.fetchall() == [("active", 0), ("beginner", 3), ("whale", 0)]
    cursor.execute("SELECT user_id, bool_and(opportunity_date <= %s) FROM missed_trades GROUP BY 1 ORDER BY 1", [now])
    assert cursor.fetchall() == [("active", True), ("beginner", True), ("whale", True)]
    # every open position has its price, but for one option
    cursor.execute("SELECT count(*) FROM stocks AS s WHERE exit_date IS NULL"
                   " AND NOT EXISTS (SELECT FROM latest_price AS p WHERE p.symbol = s.symbol AND expiration_date IS NULL)")
    assert cursor.fetchone() == (0,)
    cursor.execute("SELECT id FROM options AS o WHERE status = 'open' AND NOT EXISTS (SELECT FROM latest_price AS p WHERE"
                   " (p.symbol, p.expiration_date, p.option_type, p.strike_price) = (o.symbol, o.expiration_date, o.option_type, o.strike_price))")
    assert cursor.fetchall() == [(795,)]
    cursor.execute("SELECT max(observed_at) <= %s FROM latest_price", [now])
    assert cursor.fetchone() == (True,)


WRITTEN = ("trade_notes", "images", "notebook_notes", "notebook_tags", "notebook_note_tags", "notebook_templates", "notebook_reminders",
           "calendar_events", "external_calendar_connections", "external_calendar_events", "user_profile")
MARKET = ("symbols", "earnings", "latest_price")


@pytest.mark.parametrize("now", ["2026-03-04T18:00:00Z", "2026-11-01T05:45:00Z"])  # on a Sunday, too
def test_generated_journal_leaves_no_list_empty(servers, cursor, now):
    generate(servers, now)
    for view in ("stock_list", "trade_notes", "images", "notebook_notes", "notebook_tags", "notebook_templates", "notebook_reminders",
                 "calendar_events", "playbook_list", "user_profile"):
        cursor.execute(f"SELECT DISTINCT user_id FROM pnlcache.{view} ORDER BY 1")
        assert cursor.fetchall() == [("active",), ("beginner",), ("whale",)], view
    # notes are on trades that are shown, and written after their entry; what is written lies before now
    cursor.execute("SELECT count(*), count(*) FILTER (WHERE n.created_at >= t.entry_date) FROM trade_notes AS n"
                   " LEFT JOIN (SELECT user_id, 'stock' AS kind, id, entry_date FROM pnlcache.stock_trades"
                   "            UNION ALL SELECT user_id, 'option', id, entry_date FROM pnlcache.option_trades) AS t"
                   " ON (t.user_id, t.kind, t.id) = (n.user_id, n.trade_type, coalesce(n.stock_trade_id, n.option_trade_id))")
    notes_, after_entry = cursor.fetchone()
    assert 400 < notes_ == after_entry
    for table in WRITTEN:
        if table not in ("notebook_note_tags", "external_calendar_events"):
            cursor.execute(f"SELECT max(greatest(created_at, updated_at)) <= %s FROM {table}", [now])
            assert cursor.fetchone() == (True,), table
    # both what is past and what is to come
    for table, when in (("notebook_reminders", "reminder_time"), ("calendar_events", "start_date"), ("external_calendar_events", "start_time"),
                        ("earnings", "date")):
        cursor.execute(f"SELECT min({when}) < %(now)s, max({when}) > %(now)s FROM {table}", {"now": now})
        assert cursor.fetchone() == (True, True), table
    cursor.execute("SELECT bool_and((date < %s::date) = (eps_actual IS NOT NULL)), count(DISTINCT symbol) FROM earnings", [now])
    assert cursor.fetchone() == (True, 26)
    cursor.execute("SELECT count(*) FROM pnlcache.symbols WHERE name IS NULL OR first_date IS NULL")
    assert cursor.fetchone() == (0,)


def test_generated_journal_is_the_same_again(servers, cursor):
    fingerprint = ("SELECT (SELECT md5(string_agg(s::text, ';' ORDER BY user_id, id)) FROM stocks AS s),"
                   " (SELECT md5(string_agg(o::text, ';' ORDER BY user_id, id)) FROM options AS o),"
                   " (SELECT md5(string_agg(b::text, ';' ORDER BY symbol, date)) FROM daily_bars AS b),"
                   + ",".join(f" (SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {table} AS t)"
                              for table in (*LINKED, *WRITTEN, *MARKET)))
    generate(servers, "2026-03-04T18:00:00Z")
    cursor.execute(fingerprint)
    first = cursor.fetchone()
    generate(servers, "2026-03-04T18:00:00Z")
    cursor.execute(fingerprint)
    assert cursor.fetchone() == first


# --- CSV -------------------------------------------------------------------------------------------------

HEADER = "id,user_id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date\n"
GOOD = "{},ann,AAPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z\n"
OPTIONS_HEADER = "id,user_id,symbol,strategy_type,option_type,strike_price,expiration_date,number_of_contracts,entry_price,exit_price,entry_date,exit_date,status\n"


@pytest.fixture
def load(servers, clean, tmp_path):
    def run(*arguments, environment=None, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return subprocess.run([ROOT / "tools/load_sample.sh", tmp_path, *arguments],
                              env={"PATH": "/usr/bin:/bin", "DATABASE_URL": servers.owner_url, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    return run


def count(cursor, table):
    cursor.execute(f"SELECT count(*) FROM {table}")
    return cursor.fetchone()[0]


def test_csv_takes_columns_in_any_order_and_defaults(load, db, cursor):
    done = load(
        stocks="\ufeffexit_price,symbol,user_id,ID,trade_type,number_shares,entry_price,entry_date,exit_date,mistakes,reviewed,tags\r\n"
               '3,aapl,ann,7,SELL,0.123456789,2,2024-01-02T10:00:00,2024-01-02T11:30:00.5+01:00,"No plan, ""FOMO""",true,a;b\r\n'
               "\r\n"
               ",MSFT,bob,8,BUY,1,2,2024-01-02T10:00:00Z,,,0,\r\n",
        options=OPTIONS_HEADER.replace("strategy_type", "implied_volatility,strategy_type")
        + "1,ann,SPY,0,Long Call,Call,500,2024-02-16,2,3.5,,2024-01-02T15:00:00Z,2024-02-16T21:00:00Z,expired\n",
        daily_bars="date,symbol,close\n2024-01-02,AAPL,185.64\n")
    assert done.returncode == 0, done.stderr
    assert "linked 0 playbooks and 2 tags to them" in done.stdout
    assert "loaded 2 stock trades, 1 option trades and 1 daily bars of 2 users" in done.stdout
    cursor.execute("SELECT id, user_id, symbol, trade_type, number_shares, exit_date, mistakes, reviewed, commissions FROM stocks ORDER BY id")
    utc = datetime.timezone.utc
    assert cursor.fetchall() == [
        (7, "ann", "AAPL", "SELL", Decimal("0.12345679"), datetime.datetime(2024, 1, 2, 10, 30, 0, 500000, utc), 'No plan, "FOMO"', True, 0),
        (8, "bob", "MSFT", "BUY", 1, None, None, False, 0)]
    cursor.execute("SELECT implied_volatility, multiplier, exit_price FROM options")
    assert cursor.fetchall() == [(None, 100, None)]
    assert count(cursor, "account_settings") == 2
    assert sorted(notes(db), key=str) == [("ann", "options"), ("ann", "settings"), ("ann", "stocks"), ("ann", "tags"), ("bob", "settings"), ("bob", "stocks"), (None, "prices")]


@pytest.mark.parametrize("line,reason", [
    ("1,ann,AAPL,BUY,0,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "breaks stocks_number_shares_check: CHECK (number_shares > 0"),
    ("1,ann,AAPL,BUY,1e3,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", 'number_shares is "1e3", expected a decimal number'),
    ("1,ann,AAPL,BUY,NaN,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", 'number_shares is "NaN"'),
    ("1,ann,AAPL,BUY,99999999999,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "numeric field overflow"),
    ("1,ann,AAPL,BUY,1,2,3,yesterday,2024-01-02T16:00:00Z", 'entry_date is "yesterday", expected a time'),
    ("1,ann,AAPL,BUY,1,2,3,2024-02-30T15:00:00Z,2024-03-02T16:00:00Z", "out of range"),
    ("1,ann,AAPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T14:00:00Z", "breaks stocks_exit_after_entry"),
    ("1,ann,AAPL,HOLD,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "breaks stocks_trade_type_check"),
    ("x,ann,AAPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", 'id is "x", expected a whole number'),
    ("1,,AAPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "user_id is missing"),
    ("1,ann,AAPL,BUY,1,2,3,2024-01-02T15:00:00Z", "8 cells, but the header has 9"),
    ("9,ann,AAPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "is there twice: (user_id, id)=(ann, 9)"),
    ('1,ann,"AAPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z', "not CSV"),
    (b"1,ann,A\xffPL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "not valid UTF-8"),
    (b"1,ann,A\x00PL,BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z", "not valid UTF-8"),
])
def test_csv_bad_line_is_named_and_nothing_is_loaded(load, cursor, line, reason):
    before = HEADER + '9,ann,"A\nB",BUY,1,2,3,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z\n'  # a record over lines 2 and 3
    done = load(stocks=before.encode() + (line if isinstance(line, bytes) else line.encode()) + b"\n",
                daily_bars="symbol,date,close\nAAPL,2024-01-02,1\n")
    assert done.returncode != 0
    first = done.stderr.splitlines()[0]
    assert first.startswith("stocks.csv:4: ") and reason in first, done.stderr
    assert "bad lines: 1; nothing was loaded" in done.stderr
    assert (count(cursor, "stocks"), count(cursor, "daily_bars"), count(cursor, "pnlcache.change_log")) == (0, 0, 0)


@pytest.mark.parametrize("header,reason", [
    (HEADER.replace("symbol", "ticker"), "unknown column ticker"),
    (HEADER.replace("symbol", "id"), "column id is there twice"),
    (HEADER.replace("symbol", ""), "a column has no name"),
    ("", "the header line is missing"),
])
def test_csv_bad_header_is_one_bad_line(load, cursor, header, reason):
    done = load(stocks=header + GOOD.format(1) if header else "")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == f"stocks.csv:1: {reason}"
    assert "bad lines: 1;" in done.stderr
    assert count(cursor, "stocks") == 0


def test_csv_reports_twenty_bad_lines_and_counts_the_rest(load):
    done = load(stocks=HEADER + "".join(GOOD.format(n if n % 2 else -n) for n in range(1, 61)))
    assert sum(line.startswith("stocks.csv:") for line in done.stderr.splitlines()) == 20
    assert "bad lines: 30; nothing was loaded" in done.stderr


def test_csv_is_utf8_whatever_the_locale(load, cursor):
    text = "Zoë ≥ 3 \\ 'x'\ttab"
    done = load(stocks=HEADER.replace("symbol", "mistakes,symbol") + GOOD.format(1).replace("AAPL", f"{text},AAPL"),
                environment={"LC_ALL": "C", "PGCLIENTENCODING": "LATIN1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert done.returncode == 0, done.stderr
    cursor.execute("SELECT mistakes FROM stocks")
    assert cursor.fetchall() == [(text,)]


@pytest.fixture
def turkish_url(servers, cursor):
    """A database whose own order of text is not that of bytes, and whose upper case of i is not I."""
    cursor.execute("SELECT current_setting('server_version_num')::integer >= 150000")
    if cursor.fetchone() != (True,):
        pytest.skip("PostgreSQL 14 has no databases with ICU collations")
    cursor.execute("CREATE DATABASE turkish TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'")
    yield servers.owner_url.replace("/journal?", "/turkish?")
    cursor.execute("DROP DATABASE turkish WITH (FORCE)")


def test_schema_and_csv_do_not_depend_on_the_databases_collation(load, turkish_url):
    done = subprocess.run([ROOT / "sql/apply.sh", turkish_url], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = load(stocks=HEADER.replace("\n", ",tags\n") + GOOD.format(1).replace("AAPL", "iwm").strip() + ",B;a\n",
                latest_price="symbol,price\niwm,2\n", environment={"DATABASE_URL": turkish_url})
    assert done.returncode == 0, done.stderr
    connection = psycopg2.connect(turkish_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT symbol, price FROM pnlcache.stock_trades JOIN pnlcache.latest_prices USING (symbol)")
        assert cursor.fetchall() == [("IWM", 2)]
        cursor.execute("SELECT name FROM pnlcache.trade_tags ORDER BY name")
        assert cursor.fetchall() == [("B",), ("a",)]
    connection.close()


def test_csv_does_not_overwrite(load, cursor):
    assert load(stocks=HEADER + GOOD.format(1)).returncode == 0
    done = load(stocks=HEADER + GOOD.format(2) + GOOD.format(1))
    assert done.returncode != 0
    assert "stocks.csv:3: is already in the database" in done.stderr
    assert count(cursor, "stocks") == 1


def test_load_sample_refuses_wrong_calls(load, servers):
    assert "no stocks.csv, options.csv, daily_bars.csv or latest_price.csv" in load().stderr
    done = load("SHIFT_TO=yesterday", stocks=HEADER + GOOD.format(1))
    assert done.returncode == 2 and "expected SHIFT_TO=today" in done.stderr


def test_csv_playbooks_and_tags_become_linked_rows(load, db, cursor):
    insert(cursor, "playbook", {**PLAYBOOK, "id": 7})
    insert(cursor, "trade_tags", {**TAG, "id": 4, "category": "mood"})
    insert(cursor, "trade_tags", {**TAG, "id": 9})
    stock = HEADER.replace("\n", ",playbooks,tags\n")
    done = load(stocks=stock
                + GOOD.format(1).strip() + ",Breakout; Gap fade ;;Breakout,momentum; swing\n"
                + GOOD.format(2).strip() + ",Gap fade,\n"
                + GOOD.format(3).strip() + ",;,;\n"
                + GOOD.format(1).replace("ann", "bob").strip() + ",breakout,swing\n",
                options=OPTIONS_HEADER.replace("\n", ",playbooks,tags\n")
                + '1,ann,SPY,Long Call,Call,500,2024-02-16,2,3.5,4,2024-01-02T15:00:00Z,2024-01-02T16:00:00Z,closed,"Gap fade","Zoë, ""A+"""\n')
    assert done.returncode == 0, done.stderr
    assert "linked 5 playbooks and 4 tags to them" in done.stdout
    cursor.execute("SELECT user_id, id, name, rules FROM pnlcache.playbooks ORDER BY 1, 2")
    assert cursor.fetchall() == [("ann", 7, "Breakout", 0), ("ann", 8, "Gap fade", 0), ("bob", 1, "breakout", 0)]
    cursor.execute("SELECT user_id, is_option, trade_id, playbook_id FROM pnlcache.trade_playbooks ORDER BY 1, 2, 3, 4")
    assert cursor.fetchall() == [("ann", False, 1, 7), ("ann", False, 1, 8), ("ann", False, 2, 8), ("ann", True, 1, 8), ("bob", False, 1, 1)]
    cursor.execute("SELECT user_id, is_option, trade_id, tag_id, category, name FROM pnlcache.trade_tags ORDER BY 1, 2, 3, 4")
    assert cursor.fetchall() == [("ann", False, 1, 4, "mood", "momentum"), ("ann", False, 1, 11, "general", "swing"),
                                 ("ann", True, 1, 10, "general", 'Zoë, "A+"'), ("bob", False, 1, 1, "general", "swing")]
    assert {("ann", "playbooks"), ("ann", "tags"), ("bob", "playbooks"), ("bob", "tags")} <= set(notes(db))


def test_csv_latest_prices_replace_older_ones(load, db, cursor):
    insert(cursor, "latest_price", {**PRICE, "price": 9, "observed_at": "2024-01-01T00:00:00Z"})
    insert(cursor, "latest_price", {**SHARE_PRICE, "observed_at": "2999-01-01T00:00:00Z"})
    cursor.execute("DELETE FROM pnlcache.change_log")
    done = load(latest_price="price,symbol,strike_price,option_type,expiration_date\n1.45,iwm,205,Put,2025-07-18\n166.2,GOOG,,,\n2,AAPL,,,\n")
    assert done.returncode == 0, done.stderr
    assert "loaded 3 latest prices" in done.stdout
    cursor.execute("SELECT symbol, expiration_date, option_type, strike_price, price FROM latest_price ORDER BY 1")
    assert cursor.fetchall() == [("AAPL", None, None, None, 150), ("GOOG", None, None, None, Decimal("166.2")),
                                 ("IWM", datetime.date(2025, 7, 18), "Put", 205, Decimal("1.45"))]
    assert notes(db) == [(None, "prices")]
    done = load(latest_price="symbol,price\nGOOG,167\n")
    assert done.returncode == 0, done.stderr
    cursor.execute("SELECT price FROM latest_price WHERE symbol = 'GOOG'")
    assert cursor.fetchall() == [(167,)]


@pytest.mark.parametrize("lines,reason", [
    ("symbol,price\nGOOG,1\nGOOG,2\n", "latest_price.csv:3: is there twice: (symbol)=(GOOG)"),
    ("symbol,price,strike_price\nGOOG,1,\nIWM,2,5\n", "latest_price.csv:3: breaks latest_price_share_or_option"),
    ("symbol,price\nGOOG,1\nIWM,-2\n", "latest_price.csv:3: breaks latest_price_price_check"),
    ("symbol,price,tags\nGOOG,1,x\n", "latest_price.csv:1: unknown column tags"),
    ("symbol\nGOOG\n", "latest_price.csv:2: price is missing"),
])
def test_csv_bad_latest_price_is_named(load, cursor, lines, reason):
    done = load(latest_price=lines, stocks=HEADER + GOOD.format(1))
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(reason), done.stderr
    assert (count(cursor, "latest_price"), count(cursor, "stocks")) == (0, 0)


def test_shift_moves_prices_with_the_options_they_belong_to(load, cursor):
    option = "{},{},SPY,Long Call,Call,{},2009-07-17,1,3,{},{},{},{}\n"
    done = load("SHIFT_TO=today",
                options=OPTIONS_HEADER + option.format(1, "ann", 500, "", "2009-07-15T13:30:00Z", "", "open")
                + option.format(1, "bob", 500, "", "2010-07-15T13:30:00Z", "", "open"),
                latest_price="symbol,expiration_date,option_type,strike_price,price\nSPY,2009-07-17,Call,500,7\nSPY,2009-07-17,Put,500,8\nSPY,,,,9\n")
    assert done.returncode == 0, done.stderr
    cursor.execute("SELECT user_id, price FROM options AS o LEFT JOIN latest_price AS p USING (symbol, expiration_date, option_type, strike_price)"
                   " ORDER BY 1")
    assert cursor.fetchall() == [("ann", 7), ("bob", 7)]
    cursor.execute("SELECT expiration_date, option_type, price FROM latest_price ORDER BY price")
    rows = cursor.fetchall()
    assert len({row[0] for row in rows[:2]}) == 2 and (datetime.date(2009, 7, 17), "Call", 7) not in rows
    assert rows[2:] == [(datetime.date(2009, 7, 17), "Put", 8), (None, None, 9)]


def test_shift_moves_each_user_by_whole_weeks_and_keeps_local_times(load, cursor):
    cursor.execute("INSERT INTO account_settings (user_id, timezone) VALUES ('lon', 'Europe/London')")
    done = load(
        "SHIFT_TO=today",
        stocks=HEADER
        + "1,ann,AAPL,BUY,1,2,3,2009-01-14T14:30:00Z,2009-01-14T21:00:00Z\n"   # winter: 09:30 and 16:00 in New York
        + "2,ann,AAPL,BUY,1,2,3,2009-07-15T13:30:00Z,2009-07-15T20:00:00Z\n"   # summer: the same
        + "3,ann,AAPL,BUY,1,2,,2009-07-15T13:30:00Z,\n"
        + "4,lon,VOD,BUY,1,2,3,2012-07-04T07:00:00Z,2012-07-04T15:30:00Z\n"    # 08:00 and 16:30 in London
        + "5,opn,AAPL,BUY,1,2,,2012-07-05T13:30:00Z,\n"
        + "6,fld,AAPL,BUY,1,2,3,2009-11-01T05:50:00Z,2009-11-01T06:10:00Z\n",  # 01:50, and 01:10 after the clocks went back
        options=OPTIONS_HEADER + "1,ann,SPY,Long Call,Call,500,2009-07-17,1,3,4,2009-07-15T13:30:00Z,2009-07-16T13:30:00Z,closed\n")
    assert done.returncode == 0, done.stderr
    cursor.execute("SELECT id, entry_date AT TIME ZONE 'America/New_York', exit_date AT TIME ZONE 'America/New_York' FROM stocks"
                   " WHERE user_id = 'ann' ORDER BY id")
    rows = cursor.fetchall()
    half_past_nine, four = datetime.time(9, 30), datetime.time(16)
    assert [(r[1].time(), r[2] and r[2].time()) for r in rows] == [(half_past_nine, four)] * 2 + [(half_past_nine, None)]
    moved = rows[1][1] - datetime.datetime(2009, 7, 15, 9, 30)
    assert moved.seconds == 0 and moved.days % 7 == 0
    assert rows[0][1] - datetime.datetime(2009, 1, 14, 9, 30) == moved
    cursor.execute("SELECT expiration_date, exit_date <= now(), exit_date > now() - interval '7 days 1 hour' FROM options")
    assert cursor.fetchall() == [(datetime.date(2009, 7, 17) + moved, True, True)]
    cursor.execute("SELECT (exit_date AT TIME ZONE 'Europe/London')::time, extract(isodow FROM exit_date), exit_date <= now(),"
                   " exit_date > now() - interval '7 days 1 hour' FROM stocks WHERE user_id = 'lon'")
    assert cursor.fetchall() == [(datetime.time(16, 30), 3, True, True)]
    cursor.execute("SELECT exit_date >= entry_date, exit_date - entry_date <= interval '20 minutes' FROM stocks WHERE user_id = 'fld'")
    assert cursor.fetchall() == [(True, True)]
    cursor.execute("SELECT entry_date <= now() AND entry_date > now() - interval '7 days 1 hour' FROM stocks WHERE user_id = 'opn'")
    assert cursor.fetchall() == [(True,)]


# --- the README's promises ------------------------------------------------------------------------------------


VIEWS = ["account_settings", "calendar_connections", "calendar_events", "daily_bars", "earnings", "holidays", "images",
         "latest_prices", "latest_session", "missed_trades", "notebook_notes", "notebook_reminders", "notebook_tags",
         "notebook_templates", "option_list", "option_trades", "playbook_list", "playbooks", "share_prices", "stock_list",
         "stock_trades", "symbol_info", "symbols", "trade_notes", "trade_playbooks", "trade_tags", "user_profile"]


def readme():
    return (ROOT / "sql/README.md").read_text()


def test_readme_lists_the_columns_of_the_views(cursor):
    documented = {}
    for line in readme().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 4 and cells[1].strip("`") in VIEWS:
            columns, waiting = [], []
            for item in cells[2].split(","):
                name, _, type_ = item.strip().partition("` ")
                waiting.append(name.strip("`"))
                if type_:
                    columns += [(w, type_) for w in waiting]
                    waiting = []
            documented[cells[1].strip("`")] = columns
    short = {"timestamp with time zone": "timestamptz"}
    for view, columns in documented.items():
        cursor.execute("SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                       " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", [f"pnlcache.{view}"])
        assert [(name, short.get(type_, type_)) for name, type_ in cursor.fetchall()] == columns, view
    assert sorted(documented) == VIEWS
    cursor.execute("SELECT viewname FROM pg_views WHERE schemaname = 'pnlcache' ORDER BY 1")
    assert [name for (name,) in cursor.fetchall()] == VIEWS


def test_readme_queries_run_as_the_programs_role(cursor, program):
    insert_linked(cursor)
    insert(cursor, "latest_price", SHARE_PRICE)
    block = next(b for b in readme().split("```sql\n")[1:] if "$1" in b).split("```")[0]
    queries = [q for q in block.split(";") if q.strip()]
    assert len(queries) == 5
    for query in queries:
        program.execute(query.replace("$1", "%s"), [["ann", "AAPL"]])
        assert program.rowcount in (1, 2), query


def test_readme_empty_view_has_the_types_of_the_view(other):
    example = next(b for b in readme().split("```sql\n")[1:] if "WHERE false" in b).split("```")[0]
    columns = ("SELECT attname, atttypid, attcollation FROM pg_attribute WHERE attrelid = 'pnlcache.playbooks'::regclass AND attnum > 0 ORDER BY attnum")
    with other.cursor() as cursor:
        cursor.execute(columns)
        wanted = cursor.fetchall()
        cursor.execute("DROP VIEW pnlcache.playbooks;" + example + columns)
        assert cursor.fetchall() == wanted
    other.rollback()


def test_readme_example_serves_an_applications_own_tables(other):
    example = readme().split("```sql\n")[1].split("```")[0]
    with other.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE wanted ON COMMIT DROP AS SELECT attnum, attname, atttypid FROM pg_attribute"
                       " WHERE attrelid = 'pnlcache.stock_trades'::regclass; DROP VIEW pnlcache.stock_trades CASCADE")
        cursor.execute(example)
        cursor.execute("SELECT count(*) FROM (SELECT attnum, attname, atttypid FROM wanted EXCEPT SELECT attnum, attname, atttypid"
                       " FROM pg_attribute WHERE attrelid = 'pnlcache.stock_trades'::regclass) AS differing")
        assert cursor.fetchone() == (0,)
        cursor.execute("INSERT INTO app.deals VALUES (1, '00000000-0000-0000-0000-00000000000a', 'aapl', false, 10, now(), 100)")
        cursor.execute("SET LOCAL ROLE pnlcache; SELECT user_id, id, symbol, trade_type FROM pnlcache.stock_trades")
        assert cursor.fetchall() == [("00000000-0000-0000-0000-00000000000a", 1, "AAPL", "BUY")]
        cursor.execute("SELECT user_id, tag FROM pnlcache.change_log")
        assert cursor.fetchall() == [("00000000-0000-0000-0000-00000000000a", "stocks")]
    other.rollback()
