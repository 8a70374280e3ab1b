"""Datasets: SQL files that are endpoints, through nginx, with their caching, invalidation, parameters and reloading."""
import signal
import subprocess

import pytest

from fastcgi_client import Client, bearer
from harness import BUILD, ROOT, add_stock, cache_state, execute, token, wait_until

SHIPPED = ROOT / "sql/datasets"


def add_bars(db, symbol, *closes, first="2025-01-01"):
    for day, close in enumerate(closes):
        execute(db, "INSERT INTO daily_bars (symbol, date, close, volume) VALUES (%s, %s::date + %s, %s, 1000)", symbol, first, day, close)


@pytest.fixture
def directory(tmp_path):
    """A directory of dataset files to write into."""
    path = tmp_path / "datasets"
    path.mkdir()
    return path


def write(directory, name, header, select):
    lines = [line.strip() for line in header.strip().splitlines()]
    text = "".join(f"-- {line}\n" if not line.startswith("+") else f"--   {line[1:].strip()}\n" for line in lines)
    (directory / f"{name}.sql").write_text(f"-- name: {name}\n{text}\n{select}\n")


GUIDES = """path: /api/guides
            scope: shared
            ttl: 600
            tags: guides"""


# --- shared ---------------------------------------------------------------------------------------


def test_shared_dataset_needs_no_token_and_may_be_kept_by_any_cache(web, db, responder):
    add_bars(db, "ACME", 10, 11)
    first = web.get("/api/market/price/acme")
    assert first.status == 200, first
    assert first.json()["data"]["symbol"] == "ACME"
    assert first.json()["data"]["price"] == 11
    assert first.json()["data"]["change"] == 1
    assert first.json()["data"]["change_percent"] == 10
    assert first.headers["Vary"] == "Accept-Encoding"
    assert first.headers["Cache-Status"] == "pnlcache; fwd=miss; stored"
    kind, age, stale = first.headers["Cache-Control"].split(", ")
    assert (kind, stale) == ("public", "stale-while-revalidate=60")
    assert 200 < int(age.removeprefix("max-age=")) <= 300
    again = web.get("/api/market/price/ACME")
    assert cache_state(again) == "hit"
    assert again.body == first.body
    assert web.get("/api/market/price/acme", headers={"If-None-Match": first.headers["ETag"]}).status == 304


def test_symbol_in_any_case_is_one_key(web, servers, db, responder):
    add_bars(db, "ACME", 10, 11)
    for spelling in ("acme", "Acme", "ACME"):
        assert web.get(f"/api/market/price/{spelling}").status == 200
    assert servers.redis("KEYS", "price:latest:*").split() == [b"price:latest:ACME"]


def test_shared_dataset_needs_a_token_when_data_is_not_public(web, db, start_responder):
    start_responder(PUBLIC_DATA="false")
    add_bars(db, "ACME", 10)
    assert web.get("/api/market/price/ACME").status == 401
    assert web.get("/api/market/price/ACME", "ann").status == 200


def test_bad_token_is_refused_where_none_is_needed(web, responder):
    assert web.get("/api/market/symbols", token_="nonsense").status == 401


def test_unknown_symbol_is_404_and_known_as_soon_as_it_has_a_bar(web, db, worker, responder):
    assert web.get("/api/market/price/NEW").status == 404
    assert cache_state(web.get("/api/market/price/NEW")) == "hit"
    add_bars(db, "NEW", 5)
    wait_until(lambda: web.get("/api/market/price/NEW").status == 200, what="the new symbol")


def test_price_change_is_against_the_session_before_the_observation(web, db, responder):
    add_bars(db, "ACME", 10, 20, first="2025-03-03")
    execute(db, "INSERT INTO latest_price (symbol, price, observed_at) VALUES ('ACME', 15, '2025-03-04T15:00:00Z')")
    data = web.get("/api/market/price/ACME").json()["data"]
    assert (data["price"], data["previous_close"], data["change"], data["change_percent"]) == (15, 10, 5, 50)


def test_recent_bars_are_the_last_days_oldest_first(web, db, responder):
    add_bars(db, "ACME", *range(10, 60))
    answer = web.get("/api/market/historical?days=3&symbol=acme").json()
    assert [row["close"] for row in answer["data"]] == [57, 58, 59]
    assert answer["meta"]["count"] == 3
    assert web.get("/api/market/historical?symbol=ACME").json()["meta"]["count"] == 30


def test_equivalent_requests_share_one_key(web, servers, db, responder):
    add_bars(db, "ACME", 10, 11)
    for query in ("symbol=acme", "symbol=ACME&days=30", "days=030&symbol=ACME", "days=30&symbol=Acme"):
        answer = web.get("/api/market/historical?" + query)
        assert answer.status == 200, answer
    assert len(servers.redis("KEYS", "data:market-historical:*").split()) == 1


def test_prices_changed_event_invalidates_shared_datasets(web, db, responder):
    add_bars(db, "ACME", 10, 11)
    assert web.get("/api/market/price/ACME").json()["data"]["price"] == 11
    execute(db, "UPDATE daily_bars SET close = 12 WHERE close = 11")
    assert web.webhook({"type": "prices.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {}}).status == 202
    answer = web.get("/api/market/price/ACME")
    assert cache_state(answer) == "fwd=miss"
    assert answer.json()["data"]["price"] == 12


def test_trigger_invalidates_shared_datasets(web, db, worker, responder):
    add_bars(db, "ACME", 10, 11)
    assert web.get("/api/market/symbols").json()["data"][0]["last_date"] == "2025-01-02"
    add_bars(db, "ACME", 12, first="2025-02-01")
    wait_until(lambda: web.get("/api/market/symbols").json()["data"][0]["last_date"] == "2025-02-01", what="the new bar")


# --- of a user --------------------------------------------------------------------------------------


def test_user_dataset_shows_only_the_callers_rows(web, db, responder):
    add_stock(db, "ann", 1)
    add_stock(db, "bob", 2)
    answer = web.get("/api/stocks", "ann")
    assert [row["id"] for row in answer.json()["data"]] == [1]
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Authorization, Cookie, Accept-Encoding"
    assert web.get("/api/stocks").status == 401
    assert web.get("/api/stocks?user_id=bob", "ann").status == 403
    of_bob = web.get("/api/stocks?user_id=bob", token_=token("svc", role="service_role")).json()
    assert [row["id"] for row in of_bob["data"]] == [2]


def test_single_row_and_its_404(web, db, responder):
    add_stock(db, "ann", 7, symbol="ACME")
    row = web.get("/api/stocks/7", "ann").json()["data"]
    assert (row["id"], row["symbol"], row["status"], row["pnl"]) == (7, "ACME", "closed", 100)
    assert web.get("/api/stocks/7", "bob").status == 404
    assert web.get("/api/stocks/8", "ann").json()["detail"] == "there is no such stock"
    for bad in ("0", "x", "9223372036854775808", "1%27%20OR%201=1"):
        assert web.get(f"/api/stocks/{bad}", "ann").status == 404, bad


def test_every_filter_of_trades(web, db, responder):
    add_stock(db, "ann", 1, symbol="AAA", entry="'2025-01-02T15:00Z'", exit="'2025-01-10T15:00Z'", entry_price=10, exit_price=12)
    add_stock(db, "ann", 2, symbol="BBB", trade_type="SELL", entry="'2025-02-02T15:00Z'", exit="'2025-02-03T15:00Z'", entry_price=10, exit_price=12)
    add_stock(db, "ann", 3, symbol="AAA", entry="'2025-03-02T15:00Z'", exit="NULL", exit_price=None)
    expected = {
        "": [3, 2, 1], "symbol=aaa": [3, 1], "trade_type=sell": [2], "status=open": [3], "status=closed": [2, 1], "open_only=true": [3],
        "start_date=2025-02-02": [3, 2], "end_date=2025-02-02": [2, 1], "start_date=2025-01-10&end_date=2025-02-02&date_field=exit": [1],
        "min_pnl=0": [1], "max_pnl=-0.5": [2], "min_pnl=-200&max_pnl=200": [2, 1], "order=asc": [1, 2, 3],
        "sort=pnl": [1, 2, 3], "sort=pnl&order=asc": [2, 1, 3], "sort=symbol&order=asc": [1, 3, 2], "sort=id": [3, 2, 1],
        "sort=exit_date": [2, 1, 3], "sort=exit_date&order=asc": [1, 2, 3], "limit=1": [3], "limit=1&offset=1": [2],
    }
    for query, ids in expected.items():
        answer = web.get("/api/stocks?" + query, "ann")
        assert [row["id"] for row in answer.json()["data"]] == ids, query
        if not any(word in query for word in ("sort", "order", "limit")):
            assert web.get("/api/stocks/count?" + query, "ann").json()["data"] == {"count": len(ids)}, query
    assert web.get("/api/stocks?limit=2&offset=1", "ann").json()["meta"].items() >= {"count": 2, "limit": 2, "offset": 1}.items()


def test_trigger_and_event_invalidate_lists(web, db, worker, responder):
    add_stock(db, "ann", 1)
    assert web.get("/api/stocks/count", "ann").json()["data"] == {"count": 1}
    add_stock(db, "ann", 2)
    wait_until(lambda: web.get("/api/stocks/count", "ann").json()["data"] == {"count": 2}, what="the second trade")
    wait_until(lambda: cache_state(web.get("/api/stocks/count", "ann")) == "hit", what="no more invalidation")
    assert web.trade_event("ann").status == 202
    assert cache_state(web.get("/api/stocks/count", "ann")) == "fwd=miss"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("query, message", [
    ("limt=5", ("limt", "is not a parameter here")),
    ("limit=0", ("limit", "must be a whole number from 1 to 500, or all")),
    ("limit=501", ("limit", "must be a whole number from 1 to 500, or all")),
    ("limit=1;DROP", ("limit", "must be a whole number from 1 to 500, or all")),
    ("limit=1&limit=2", ("limit", "is given twice")),
    ("symbol=%27%3B--", ("symbol", "must be a symbol: 1 to 32 letters, digits and . _ - / ^ = : +")),
    ("start_date=2025-02-30", ("start_date", "must be a date, YYYY-MM-DD")),
    ("order=up", ("order", "must be one of asc|desc")),
    ("open_only=yes", ("open_only", "must be true or false")),
    ("min_pnl=1e5", ("min_pnl", "must be a decimal number")),
    ("min_pnl=NaN", ("min_pnl", "must be a decimal number")),
])
def test_bad_parameter_is_named(web, responder, query, message):
    answer = web.get("/api/stocks?" + query, "ann")
    assert answer.status == 400, answer
    assert [(e["field"], e["message"]) for e in answer.json()["errors"]] == [message]


def test_missing_required_parameter_is_named(web, responder):
    assert web.get("/api/market/historical").json()["errors"] == [{"field": "symbol", "message": "is needed"}]


def test_only_get_and_head(web, responder):
    answer = web.post("/api/market/symbols", b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert web.head("/api/market/symbols").status == 200


def test_injection_in_a_text_parameter_is_only_text(web, directory, start_responder):
    write(directory, "echo", """path: /api/echo
        scope: shared
        ttl: 60
        tags: echo
        params:
        + word text 100 required""", "SELECT :word AS word")
    start_responder(DATASET_DIR=directory)
    for word, quoted in ((r"'; DROP TABLE stocks; --", "%27;%20DROP%20TABLE%20stocks;%20--"), (r"\x27 $1 {U}", "%5Cx27%20$1%20%7BU%7D")):
        assert web.get("/api/echo?word=" + quoted).json()["data"] == [{"word": word}]
    assert web.get("/api/echo?word=a%01b").status == 400


# --- operators' files ---------------------------------------------------------------------------------


def test_list_parameter_is_a_set(web, servers, directory, start_responder):
    write(directory, "few", """path: /api/few
        scope: shared
        ttl: 60
        tags: few
        params:
        + ids list 3 integer required""", "SELECT i FROM generate_series(1, 9) AS i WHERE i = ANY (:ids) ORDER BY i")
    start_responder(DATASET_DIR=directory)
    for query in ("ids=3,1", "ids=1,3", "ids=1,3,1"):
        assert web.get("/api/few?" + query).json()["data"] == [{"i": 1}, {"i": 3}]
    assert len(servers.redis("KEYS", "data:few:*").split()) == 1
    assert web.get("/api/few?ids=1,2,3,4").json()["errors"] == [{"field": "ids", "message": "must be at most 3 values"}]


def test_data_changed_invalidates_a_tag_of_a_dataset_and_what_depends_on_it(web, directory, start_responder):
    write(directory, "guides", GUIDES, "SELECT txid_current_snapshot() IS NOT NULL AS there")
    write(directory, "templates", """path: /api/templates
        scope: shared
        ttl: 600
        tags: templates
        depends-on: guides""", "SELECT 1 AS one")
    write(directory, "tours", """path: /api/tours
        scope: shared
        ttl: 600
        depends-on: templates""", "SELECT 1 AS one")
    start_responder(DATASET_DIR=directory)
    paths = ["/api/guides", "/api/templates", "/api/tours"]

    def states():
        return [cache_state(web.get(path)) for path in paths]

    def change(tag):
        return web.webhook({"type": "data.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"tag": tag}})

    assert states() == ["fwd=miss"] * 3
    assert states() == ["hit"] * 3
    assert change("guides").status == 202
    assert states() == ["fwd=miss"] * 3
    assert change("templates").status == 202
    assert states() == ["hit", "fwd=miss", "fwd=miss"]
    assert change("nothing").status == 422


def test_trigger_with_a_tag_of_a_dataset_reaches_it(web, servers, db, directory, start_responder, start_worker):
    execute(db, "CREATE TABLE guides (id int PRIMARY KEY); GRANT SELECT ON guides TO pnlcache; CALL pnlcache.watch_table('guides', 'guides', NULL)")
    try:
        write(directory, "guides", GUIDES, "SELECT id FROM public.guides ORDER BY id")
        start_responder(DATASET_DIR=directory)
        worker = start_worker(DATASET_DIR=directory)
        assert web.get("/api/guides").json()["data"] == []
        execute(db, "INSERT INTO guides VALUES (5)")
        wait_until(lambda: web.get("/api/guides").json()["data"] == [{"id": 5}], what="the new guide")
        assert "unknown tag" not in worker.log()
    finally:
        execute(db, "DROP TABLE guides")


def test_nothing_of_a_deleted_user_is_served_even_under_a_tag_of_a_dataset(web, servers, directory, start_responder):
    """At once, also by another responder; no worker has come to erase anything yet."""
    write(directory, "diary", """path: /api/diary
        scope: user
        ttl: 600
        tags: diary""", "SELECT :user AS whose")
    other = str(servers.run_dir / "other.sock")
    start_responder(DATASET_DIR=directory)
    start_responder(DATASET_DIR=directory, LISTEN=other)
    with Client(other) as client:
        def states():
            return [cache_state(web.get("/api/diary", "ann")), client.ask("GET", "/api/diary", bearer("ann")).headers["cache-status"].split("; ")[1],
                    cache_state(web.get("/api/diary", "bob"))]

        states()
        assert states() == ["hit"] * 3
        assert web.webhook({"type": "user.deleted", "timestamp": "2026-01-01T00:00:00Z", "data": {"user_id": "ann"}}).status == 202
        assert cache_state(web.get("/api/diary", "ann")) == "fwd=miss"
        wait_until(lambda: states() == ["fwd=miss", "fwd=miss", "hit"], what="the other responder to know")


def test_statement_over_its_time_is_ended(web, servers, db, directory, start_responder):
    """By the database, which then does something else; a request may wait for longer than a statement may take."""
    write(directory, "slow", """path: /api/slow
        scope: shared
        ttl: 60
        tags: slow""", "SELECT pg_sleep(60)::text AS slept")
    responder = start_responder(DATASET_DIR=directory, DATABASE_TIMEOUT="300", REQUEST_TIMEOUT="60000")
    answer = web.get("/api/slow")
    assert answer.status == 503, answer
    assert "pg_sleep" not in answer.body.decode() and "SQLSTATE" not in answer.body.decode()
    assert "SQLSTATE 57014" in responder.log()
    with db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
        assert cursor.fetchone() == (0,)
    assert servers.redis("KEYS", "data:slow*") == b""


def test_parameter_used_twice_in_a_statement_has_one_value(web, directory, start_responder):
    write(directory, "twice", """path: /api/twice
        scope: shared
        ttl: 60
        tags: twice
        params:
        + word text 100 = a
        + day date
        + ids list 5 integer = 1""", "SELECT :word AS one, :word || :word AS two, :day AS day, :day + 1 AS next, cardinality(:ids) AS n, :ids AS ids")
    start_responder(DATASET_DIR=directory)
    assert web.get("/api/twice?word=x%27x&day=2025-01-31&ids=3,2").json()["data"] == [
        {"one": "x'x", "two": "x'xx'x", "day": "2025-01-31", "next": "2025-02-01", "n": 2, "ids": [2, 3]}]
    assert web.get("/api/twice").json()["data"] == [{"one": "a", "two": "aa", "day": None, "next": None, "n": 1, "ids": [1]}]


def test_reload_takes_new_files_and_keeps_the_old_set_on_an_error(web, directory, start_responder):
    write(directory, "guides", GUIDES, "SELECT 1 AS version")
    responder = start_responder(DATASET_DIR=directory)
    assert web.get("/api/guides").json()["data"] == [{"version": 1}]
    for select, complaint in (("SELECT 2 AS version; DROP TABLE stocks", "guides.sql:7: more than one statement"),
                              ("SELECT nothing FROM nowhere", 'relation \\"nowhere\\" does not exist')):
        write(directory, "guides", GUIDES, select)
        responder.signal(signal.SIGHUP)
        wait_until(lambda: complaint in responder.log(), what=complaint)  # noqa: B023
        assert web.get("/api/guides").json()["data"] == [{"version": 1}]
    write(directory, "guides", GUIDES, "SELECT 3 AS version")
    responder.signal(signal.SIGHUP)
    wait_until(lambda: web.get("/api/guides").json()["data"] == [{"version": 3}], what="the new file")


def test_files_of_later_directories_take_the_place_of_those_of_earlier_ones(web, db, directory, tmp_path, start_responder, run_worker):
    write(directory, "guides", GUIDES, "SELECT 1 AS id")
    (directory / "market_gainers.sql").write_text((SHIPPED / "market_gainers.sql").read_text().partition("SELECT")[0] + "SELECT 'ours' AS symbol")
    both = f"{SHIPPED}:{directory}"
    n = len(list(SHIPPED.glob("*.sql")))
    assert run_worker("datasets", "--check", both).stdout == f"{n + 1} datasets are good\n"
    start_responder(DATASET_DIR=both)
    assert web.get("/api/guides").json()["data"] == [{"id": 1}]
    assert web.get("/api/market/gainers").json()["data"] == [{"symbol": "ours"}]
    assert web.get("/api/market/losers").json()["data"] == []
    # the name of a dataset is taken although the file has another
    (directory / "other.sql").write_text((SHIPPED / "market_losers.sql").read_text())
    twice = run_worker("datasets", "--check", both, check=False)
    assert twice.returncode != 0 and "'market-losers'" in twice.stderr, twice.stderr
    missing = run_worker("datasets", "--check", f"{SHIPPED}:{tmp_path}/nowhere", check=False)
    assert missing.returncode != 0 and f"{tmp_path}/nowhere: No such file" in missing.stderr


def test_ttl_of_a_file_and_of_the_settings(web, directory, start_responder):
    """The setting of its name, else what the file says, else the default."""
    without = [line for line in GUIDES.splitlines() if "ttl" not in line]
    for name in ("named", "said", "neither"):
        header = [line.replace("guides", name) for line in (GUIDES.splitlines() if name == "said" else without)]
        write(directory, name, "\n".join(header), "SELECT 1 AS one")
    start_responder(DATASET_DIR=directory, DATASET_TTL="named=100", CACHE_DEFAULT_TTL="300", HTTP_MAX_AGE_SHARED="1000")
    for name, ttl in (("named", 100), ("said", 600), ("neither", 300)):
        age = int(web.get(f"/api/{name}").headers["Cache-Control"].split("max-age=")[1].split(",")[0])
        assert ttl * 0.85 <= age <= ttl, name


# --- what does not go together ----------------------------------------------------------------------


def shared(path, *more):
    return "\n".join([f"path: {path}", "scope: shared", "ttl: 60", *more])


@pytest.mark.parametrize("files, complaint", [
    ({"a": shared("/api/a", "tags: a"), "b": shared("/api/a", "tags: a")}, "b.sql:2: path '/api/a' is answered by a.sql too"),
    ({"a": shared("/api/a", "tags: a", "key: k"), "b": shared("/api/b", "tags: a", "key: k")}, "b.sql:6: key 'k' is that of a.sql too"),
    ({"a": shared("/api/a", "tags: a", "depends-on: b"), "b": shared("/api/b", "tags: b", "depends-on: c"),
      "c": shared("/api/c", "tags: c", "depends-on: a")}, "a.sql:6: depends-on goes round in circles: a -> b -> c -> a"),
    ({"a": shared("/api/a", "depends-on: a")}, "a.sql:5: depends-on goes round in circles: a -> a"),
    ({"a": shared("/api/a", "depends-on: b")}, "a.sql:5: depends-on 'b': there is no such dataset"),
    ({"a": shared("/api/a", "tags: stocks")}, "a.sql:5: tag 'stocks' is each user's own"),
    ({"a": shared("/api/a", "tags: erase")}, "a.sql:5: tag 'erase' is reserved"),
    ({"a": shared("/api/stocks/analytics", "tags: a")}, "a.sql:2: path '/api/stocks/analytics' is one of the program's own"),
    ({"a": shared("/api/a", "tags: a1,a2,a3,a4,a5", "depends-on: b"), "b": shared("/api/b", "tags: b1,b2,b3,b4,b5")},
     "a.sql:5: with what it depends on it has more than 9 tags"),
])
def test_files_that_do_not_go_together_stop_the_start(servers, directory, files, complaint):
    for name, header in files.items():
        write(directory, name, header, "SELECT 1 AS one")
    done = subprocess.run([BUILD / "pnlcache.fcgi", "--check"], env=servers.settings(DATASET_DIR=directory), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (78, f"pnlcache.fcgi: {complaint}\n")


# --- movers, quotes, holidays -----------------------------------------------------------------------


def test_movers_of_the_latest_session(web, db, responder):
    for symbol, before, after, volume in (("UP", 10, 12, 5), ("MORE", 10, 15, 1), ("DOWN", 10, 4, 9), ("SAME", 10, 10, 7)):
        for day, close in (("2025-03-03", before), ("2025-03-04", after)):
            execute(db, "INSERT INTO daily_bars (symbol, date, close, volume) VALUES (%s, %s, %s, %s)", symbol, day, close, volume)
    execute(db, "INSERT INTO daily_bars (symbol, date, close, volume) VALUES ('OLD', '2025-03-03', 1, 99), ('OLD', '2025-02-28', 9, 99)")
    expected = {"gainers": ["MORE", "UP"], "losers": ["DOWN"], "actives": ["DOWN", "SAME", "UP", "MORE"], "movers": ["DOWN", "MORE", "UP"]}
    for path, symbols in expected.items():
        assert [row["symbol"] for row in web.get(f"/api/market/{path}").json()["data"]] == symbols, path
    assert web.get("/api/market/losers").json()["data"][0]["change_percent"] == -60
    quotes = web.get("/api/market/quotes?symbols=up,DOWN,none").json()
    assert [(row["symbol"], row["price"]) for row in quotes["data"]] == [("DOWN", 4), ("UP", 12)]


# Days on which the New York Stock Exchange was closed, as it published them.
NYSE_CLOSED = {
    2012: "01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25",
    2021: "01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24",
    2022: "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26",
    2023: "01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25",
    2024: "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25",
    2025: "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
    2026: "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
}


@pytest.mark.parametrize("year", NYSE_CLOSED)
def test_market_holidays_are_those_published(web, responder, year):
    rows = web.get(f"/api/notebook/calendar/holidays?year={year}&kind=market").json()["data"]
    assert [row["date"] for row in rows] == [f"{year}-{day}" for day in NYSE_CLOSED[year].split()]


def test_public_holidays_and_other_countries(web, db, worker, responder):
    path = "/api/notebook/holidays?country=us&kind=public&year="
    assert [row["date"] for row in web.get(path + "2021").json()["data"]] == [
        "2021-01-01", "2021-01-18", "2021-02-15", "2021-05-31", "2021-06-18", "2021-07-05", "2021-09-06", "2021-10-11", "2021-11-11",
        "2021-11-25", "2021-12-24", "2021-12-31"]
    years = {row["date"][:4] for row in web.get("/api/notebook/holidays").json()["data"]}
    assert years == {str(year) for year in range(2000, 2036)}
    assert web.get("/api/notebook/holidays?country=NO").json()["data"] == []
    execute(db, "INSERT INTO holidays (country, date, name) VALUES ('NO', '2025-05-17', 'Grunnlovsdagen')")
    wait_until(lambda: web.get("/api/notebook/holidays?country=NO").json()["data"], what="the new holiday")


# --- jobs -----------------------------------------------------------------------------------------------


def test_job_market_renews_what_was_asked_for_and_what_is_held(web, servers, db, responder, run_worker):
    add_bars(db, "ASKED", 1, 2)
    add_bars(db, "HELD", 3, 4)
    add_bars(db, "OTHER", 5, 6)
    add_stock(db, "ann", 1, symbol="HELD", exit="NULL", exit_price=None)
    add_stock(db, "ann", 2, symbol="OTHER")
    assert web.get("/api/stocks/count", "ann").status == 200  # ann is active
    wait_until(lambda: servers.redis("ZCARD", "active:users") == b"1", what="ann's activity")
    assert web.get("/api/market/price/ASKED").status == 200
    assert web.webhook({"type": "prices.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {}}).status == 202
    run_worker("job", "market")
    for path, expected in (("/api/market/price/ASKED", "hit"), ("/api/market/price/HELD", "hit"), ("/api/market/historical?symbol=HELD", "hit"),
                           ("/api/market/gainers", "hit"), ("/api/market/price/OTHER", "fwd=miss"), ("/api/market/symbols", "fwd=miss")):
        assert cache_state(web.get(path)) == expected, path
    again = run_worker("job", "market").stderr
    assert "stored=0 " in again and "valid=0 " not in again


def test_job_reference_renews_reference_data(web, db, responder, run_worker):
    add_bars(db, "ACME", 1)
    run_worker("job", "reference")
    assert cache_state(web.get("/api/market/symbols")) == "hit"
    assert cache_state(web.get("/api/notebook/holidays")) == "hit"
    assert cache_state(web.get("/api/market/gainers")) == "fwd=miss"


def test_job_names_a_dataset_that_cannot_be_computed_and_does_the_others(web, directory, start_responder, run_worker):
    write(directory, "bad", """path: /api/bad
        scope: shared
        ttl: 60
        tags: bad
        refresh: reference""", "SELECT 1 / (0 * random())::int AS one")
    write(directory, "good", GUIDES + "\n        refresh: reference", "SELECT 1 AS one")
    start_responder(DATASET_DIR=directory)
    done = run_worker("job", "reference", check=False, DATASET_DIR=directory)
    assert done.returncode == 1
    assert "dataset=bad" in done.stderr
    assert cache_state(web.get("/api/guides")) == "hit"


def test_an_answer_over_cache_max_value_is_no_failure_of_its_job(directory, run_worker):
    write(directory, "noise", GUIDES + "\n        refresh: reference", "SELECT md5(random()::text) AS noise FROM generate_series(1, 3500)")
    done = run_worker("job", "reference", DATASET_DIR=directory, CACHE_MAX_VALUE="64k")
    assert 'msg="too large to be cached" what=noise answers=1' in done.stderr
    assert "answers=1 valid=0 stored=0 " in done.stderr
    assert "too large" not in run_worker("job", "reference", DATASET_DIR=directory).stderr


# --- the command ----------------------------------------------------------------------------------------


def test_datasets_lists_checks_and_explains(db, directory, run_worker):
    listed = run_worker("datasets").stdout
    assert "market-price         shared     300  @prices  market  price:latest:$symbol  /api/market/price/{symbol}" in listed
    assert run_worker("datasets", "--check", SHIPPED).stdout.endswith(" datasets are good\n")
    write(directory, "guides", GUIDES, "SELECT nothing FROM nowhere")
    done = run_worker("datasets", "--check", directory, check=False)
    assert (done.returncode, done.stderr) == (1, 'pnlcache-worker: guides.sql:7: PostgreSQL: relation "nowhere" does not exist (SQLSTATE 42P01)\n')
    assert run_worker("datasets", "--explain", "none", check=False).returncode == 2


def test_a_statement_that_would_change_data_stops_the_start(servers, db, directory):
    write(directory, "guides", GUIDES, "WITH gone AS (DELETE FROM pnlcache.change_log RETURNING id)\nSELECT id FROM gone")
    done = subprocess.run([BUILD / "pnlcache.fcgi", "--check"], env=servers.settings(DATASET_DIR=directory), capture_output=True, text=True, check=False)
    assert (done.returncode, "guides.sql:7: PostgreSQL: WITH clause containing a data-modifying statement" in done.stderr) == (78, True), done


@pytest.mark.parametrize("select, line, complaint", [
    ("SELECT 1 AS one,\n  FROM pnlcache.daily_bars", 8, 'syntax error at or near "FROM"'),
    ("SELECT 'Zürich — 東京' AS city,\n  nothing\nFROM pnlcache.daily_bars", 8, 'column "nothing" does not exist'),
    ("-- a comment\n\nSELECT 1 AS one\nFROM", 10, 'syntax error at or near ")"'),
    ("SELECT :a + 1 AS next,\n\n  :a || true AS text", 9, "operator does not exist: bigint || boolean"),
    ("SELECT 1 AS one\nUNION SELECT 2, 3", 8, "each UNION query must have the same number of columns"),
    ("WITH gone AS (DELETE FROM pnlcache.change_log RETURNING id)\nSELECT id FROM gone", 7, "WITH clause containing a data-modifying statement must be at the top level"),
])
def test_what_the_database_finds_wrong_is_named_with_its_line(db, directory, run_worker, select, line, complaint):
    uses_a = ":a" in select
    write(directory, "guides", GUIDES + ("\nparams:\n+ a integer" if uses_a else ""), select)
    done = run_worker("datasets", "--check", directory, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"pnlcache-worker: guides.sql:{line + 2 * uses_a}: PostgreSQL: {complaint}"), done.stderr


def test_explain_warns_of_reading_a_big_table(db, directory, run_worker):
    execute(db, "INSERT INTO daily_bars (symbol, date, close) SELECT 'S' || n, '2025-01-01', 1 FROM generate_series(1, 20000) AS n")
    execute(db, "ANALYZE daily_bars")
    write(directory, "whole", """path: /api/whole
        scope: shared
        ttl: 60
        tags: prices""", "SELECT sum(close) AS sum FROM pnlcache.daily_bars")
    assert "warning: reads all of public.daily_bars, about 20000 rows" in run_worker("datasets", "--explain", "whole", DATASET_DIR=directory).stdout
    one = run_worker("datasets", "--explain", "market-historical").stdout
    assert "Index Scan" in one and "warning" not in one
