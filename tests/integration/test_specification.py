"""Every document of whole journals against specification.py: its fields and their order, the decimals of its numbers, and no null
where the specification promises a number. On hand-made corner cases, on the generated sample, and, when REAL_DATA names a folder
of CSV files, on those, moved to today."""
import copy
import itertools
import json
import os
import subprocess
from decimal import Decimal
from urllib.parse import quote

import pytest

from harness import ROOT, add_option, add_stock
from specification import COMPREHENSIVE, ENVELOPE, GROUP_TYPES, OPTIONS, PLAYBOOK, SYMBOL, TEXTS, TRADE, Check

RANGES = ("today", "7d", "30d", "90d", "6m", "1y", "ytd", "all_time")
CUSTOM = "custom&start_date=2024-02-29&end_date=2025-12-31"
ASSETS = ("all", "stocks", "options")
DIMENSIONS = list(GROUP_TYPES)


def data(check, web, user, path):
    """The data and meta of an answer, whose envelope is looked at here."""
    answer = web.get(path, user)
    assert answer.status == 200, answer
    document = json.loads(answer.body, parse_float=Decimal)
    check.names(document, ENVELOPE, path)
    check.meta(document["meta"], path)
    if document["success"] is not True or document["meta"]["user_id"] != user:
        check.note(path, "success or user_id")
    return document["data"], document["meta"]


def walk_range(check, web, user, asset, range_):
    query = f"?time_range={range_}&asset={asset}"

    def get(section, more=""):
        return data(check, web, user, f"/api/analytics/{section}{query}{more}")

    core, meta = get("core")
    risk, _ = get("risk")
    performance, _ = get("performance")
    where = f"{user} {asset} {range_}"
    check.names(performance, ["performance_metrics", "duration_performance"], where)
    free = asset != "stocks"
    facts = check.sections(core, risk, performance["performance_metrics"], where, meta["range_opening_equity"], free)
    check.duration(performance["duration_performance"], core, where)
    if risk["return_basis"] != meta["return_basis"] or core["total_trades"] != meta["trade_count"]:
        check.note(where, "meta differs from the data")
    series, _ = get("time-series")
    check.time_series(series, facts, where)
    for dimension in DIMENSIONS if range_ == "all_time" else ["symbol"]:
        groups, _ = get("grouped", f"&grouping_types={dimension}")
        check.groups(groups, [dimension], f"{where} {dimension}")
    all_groups, _ = get("grouped", "&grouping_types=" + ",".join(DIMENSIONS))
    check.groups(all_groups, DIMENSIONS, where)
    whole, _ = get("comprehensive", "&include_grouped_analytics=true&grouping_types=" + ",".join(DIMENSIONS))
    check.names(whole, COMPREHENSIVE, where)
    if [whole["core_metrics"], whole["risk_metrics"], whole["time_series"], whole["grouped_analytics"]] != [core, risk, series, all_groups]:
        check.note(where, "comprehensive differs from the single sections")
    check.object(whole["options_metrics"], OPTIONS, where)
    check.positions(whole["open_positions"], where)
    bare, _ = get("comprehensive", "&include_time_series=false")
    check.time_series(bare["time_series"], facts, where, empty=True)
    if asset != "all":
        walk_summary(check, web, user, asset, range_, facts)


def walk_summary(check, web, user, asset, range_, facts):
    where = f"{user} {asset} {range_} summary"
    summary, _ = data(check, web, user, f"/api/{asset}/analytics?time_range={range_}")
    sections = ["core_metrics", "risk_metrics", "performance_metrics"] + (["options_metrics"] if asset == "options" else [])
    check.names(summary, [*TEXTS, *sections], where)
    check.sections(*(summary[name] for name in sections[:3]), where)
    if asset == "options":
        check.object(summary["options_metrics"], OPTIONS, where)
    for name, (path, _, _) in TEXTS.items():
        check.text(name, summary[name], facts, where)
        if range_ not in ("today", "all_time"):
            continue
        one, _ = data(check, web, user, f"/api/{asset}/analytics/{path}?time_range={range_}")
        if one != {name: summary[name]}:
            check.note(where, f"{path} gives {one}")


def walk_playbooks(check, web, user, range_):
    playbooks, _ = data(check, web, user, f"/api/playbooks/analytics?time_range={range_}")
    for playbook in playbooks:
        where = f"{user} {range_} playbook {playbook['playbook_id']}"
        check.object(playbook, PLAYBOOK, where)
        one, _ = data(check, web, user, f"/api/playbooks/{playbook['playbook_id']}/analytics?time_range={range_}")
        if one != playbook:
            check.note(where, "differs from its own answer")
    if [p["playbook_id"] for p in playbooks] != sorted(p["playbook_id"] for p in playbooks):
        check.note(f"{user} {range_}", "order of playbooks")


def some_trades(db, user, most=25):
    """Some trades of each kind: open and closed, first and last."""
    with db.cursor() as cursor:
        cursor.execute("""
            SELECT kind, id FROM (
                SELECT *, row_number() OVER (PARTITION BY kind, exit_date IS NULL ORDER BY exit_date DESC, id) AS k FROM (
                    SELECT 'stock' AS kind, id, exit_date FROM stocks WHERE user_id = %(user)s AND NOT is_deleted AND entry_date < now()
                    UNION ALL SELECT 'option', id, exit_date FROM options
                    WHERE user_id = %(user)s AND NOT is_deleted AND entry_date < now()) AS t) AS t
            WHERE k <= %(most)s""", {"user": user, "most": most})
        return cursor.fetchall()


def symbols_of(db, user):
    with db.cursor() as cursor:
        cursor.execute("SELECT symbol FROM stocks WHERE user_id = %s UNION SELECT symbol FROM options WHERE user_id = %s ORDER BY 1", (user, user))
        return [symbol for (symbol,) in cursor.fetchall()][:20]


def walk_the_rest(check, web, db, user):
    for asset in ASSETS:
        positions, _ = data(check, web, user, f"/api/analytics/positions?asset={asset}")
        check.positions(positions, f"{user} {asset} positions")
        for month in ("", "&month=2024-02", "&month=2025-12"):
            calendar, _ = data(check, web, user, f"/api/analytics/calendar?asset={asset}{month}")
            check.calendar(calendar, f"{user} {asset} calendar {month}")
    for kind, id in some_trades(db, user):
        trade, _ = data(check, web, user, f"/api/analytics/trade?trade_id={id}&trade_type={kind}")
        check.object(trade, TRADE, f"{user} {kind} {id}")
    for symbol, range_ in itertools.product([*symbols_of(db, user), "nosuch"], ("30d", "all_time")):
        one, _ = data(check, web, user, f"/api/analytics/symbol?symbol={quote(symbol)}&time_range={range_}")
        check.object(one, SYMBOL, f"{user} {symbol} {range_}")


def walk(web, db, user, ranges=(*RANGES, CUSTOM)):
    """Looks at every document there is for the user; the check that saw them."""
    check = Check()
    for asset, range_ in itertools.product(ASSETS, ranges):
        walk_range(check, web, user, asset, range_)
    for range_ in ranges:
        walk_playbooks(check, web, user, range_)
    walk_the_rest(check, web, db, user)
    return check


def assert_specified(web, db, user, **more):
    problems = walk(web, db, user, **more).problems
    assert problems == [], f"{len(problems)} problems, the first: " + "\n".join(problems[:20])


# --- corner cases ---------------------------------------------------------------------------------------


def days_ago(days):
    return f"now() - interval '{days} days'"


@pytest.fixture
def corners(db):
    """Users at the corners of metrics.md 17; the name says which."""
    for user in ("one", "winners", "losers", "even", "equity", "ruined"):
        for i in range(1, 2 if user == "one" else 30):
            price = {"losers": 9, "even": 10, "ruined": 9}.get(user, 11)
            add_stock(db, user, i, exit_price=price if user != "equity" or i % 3 else 9, entry=days_ago(i + 2), exit=days_ago(i + 1))
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO account_settings (user_id, starting_equity) VALUES ('one', 1000), ('winners', 1000), ('even', 1000),"
                       " ('equity', 5000), ('ruined', 2900), ('nobody', 1000)")
    for i in range(1, 6):  # bought and sold for nothing: no return, no risk, no rate
        add_option(db, "free", i, entry_price=0, exit_price=0 if i % 2 else 1, entry=days_ago(i), exit=days_ago(i))
    add_stock(db, "open", 1, exit_price=None, exit="NULL")
    add_option(db, "open", 1, exit_price=None, exit="NULL", status="open", side="short")
    return ("nobody", "one", "winners", "losers", "even", "equity", "ruined", "free", "open")


def test_documents_at_the_corners(web, responder, db, corners):
    for user in corners:
        assert_specified(web, db, user, ranges=("7d", "1y", "all_time"))


# --- whole journals -------------------------------------------------------------------------------------


def load_sample(servers, *arguments):
    subprocess.run([ROOT / "tools/load_sample.sh", *arguments], check=True, stdin=subprocess.DEVNULL,
                   env=dict(os.environ, DATABASE_URL=servers.owner_url))


@pytest.fixture
def sample(servers, clean):
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "whale=2000", "-d", servers.owner_url, "-f",
                    ROOT / "sql/sample/generate.sql"], check=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("user, ranges", [("beginner", (*RANGES, CUSTOM)), ("active", (*RANGES, CUSTOM)), ("whale", ("30d", "all_time"))])
def test_documents_of_the_sample(sample, web, responder, db, user, ranges):
    assert_specified(web, db, user, ranges=ranges)


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA names no folder of CSV files")
def test_documents_of_real_data(servers, web, responder, db):
    load_sample(servers, os.environ["REAL_DATA"], "SHIFT_TO=today")
    with db.cursor() as cursor:
        cursor.execute("SELECT user_id FROM stocks UNION SELECT user_id FROM options ORDER BY 1")
        users = [user for (user,) in cursor.fetchall()]
    assert users
    for user in users:
        assert_specified(web, db, user)


# --- the check itself -----------------------------------------------------------------------------------


def numbers(value, path=()):
    """The paths of all numbers in a document's data."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from numbers(member, (*path, name))
    elif isinstance(value, list):
        for i, member in enumerate(value):
            yield from numbers(member, (*path, i))
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        yield path


def with_null(value, path):
    changed = copy.deepcopy(value)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = None
    return changed


def test_the_check_sees_a_null_in_place_of_a_number(sample, web, responder):
    """Any number of the sections may not turn null unnoticed, but those whose condition is not in the documents."""
    unconditional = {"average_position_size_after_win", "average_position_size_after_loss", "average_planned_risk_reward",
                     "monthly_win_rate_standard_deviation", "average_slippage"}
    whole, meta = data(Check(), web, "active", "/api/analytics/comprehensive?time_range=90d")
    sections = [whole["core_metrics"], whole["risk_metrics"], whole["performance_metrics"]]
    seen = set()
    for path in numbers(sections):
        changed = with_null(sections, path)
        check = Check()
        try:
            check.sections(*changed, "", meta["range_opening_equity"])
        except TypeError:  # a count that conditions need
            check.note("", "no number")
        if not check.problems:
            seen.add(path[-1])
    assert seen - unconditional == {"average_win_percentage", "average_loss_percentage"}, "free options may be among the trades"


def test_the_check_is_the_jq_program(sample, web, responder, db, run_worker):
    """tests/promised_numbers.jq, for who has documents and no pytest: silent on good ones, it names a planted null."""
    lines = run_worker("job", "precompute", "--print", "--user", "active").stdout.splitlines()
    documents = [line.split("\t", 1)[1] for line in lines]

    def named(texts):
        done = subprocess.run(["jq", "-r", "-f", ROOT / "tests/promised_numbers.jq"], input="\n".join(texts), capture_output=True,
                              text=True, check=True)
        return done.stdout.split()

    assert named(documents) == []
    assert named([documents[0].replace('"total_trades":', '"total_trades":null,"x":', 1)]) != []
    core = next(d for line, d in zip(lines, documents) if ":all_time:core" in line)
    assert named([core.replace('"win_rate":', '"win_rate":null,"x":', 1)]) == ["data.win_rate"]
    # What needs an exit is null in an open trade's document, and only there.
    trades = [web.get(f"/api/analytics/trade?trade_id={id}&trade_type={kind}", "active").body.decode() for kind, id in some_trades(db, "active")]
    is_open = ['"status":"open"' in trade for trade in trades]
    assert any(is_open) and not all(is_open) and named(trades) == []
    assert named([trades[is_open.index(False)].replace('"pnl_before_costs":', '"pnl_before_costs":null,"x":', 1)]) == ["data.pnl_before_costs"]
