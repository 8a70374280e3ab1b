"""Lists of the journal: what a hit of one costs beside one of analytics, a whole list computed for a reader beside psql, and what a login
prepares."""
import re
import statistics
import subprocess
import time

from fastcgi_client import Client
from harness import BUILD, ROOT, Daemon, token, wait_until
from parts.hit_cost import precompute, valgrind_count

from common import HIT_PATH, ROUNDS, figure, fill, owner_sql, part, say

ROWS = 10000
LOGIN_STOCKS, LOGIN_OPTIONS, LOGIN_NOTES = 2200, 800, 500
REPEATS = 5


def clear(servers, user):
    owner_sql(servers, "ALTER TABLE stocks DISABLE TRIGGER USER; DELETE FROM trade_notes; DELETE FROM options; "
                       f"DELETE FROM stocks WHERE user_id = '{user}'; ALTER TABLE stocks ENABLE TRIGGER USER;", "VACUUM ANALYZE stocks")


class Responder:
    """On a socket of its own; ask() gives an answer that was 200."""

    def __init__(self, servers):
        self.listen = f"{servers.run_dir}/lists.sock"
        log = servers.state / "lists.log"
        log.unlink(missing_ok=True)
        self.daemon = Daemon([BUILD / "pnlcache.fcgi"], servers.settings(LISTEN=self.listen), log)
        wait_until(lambda: "msg=ready" in self.daemon.log(), what="the responder")
        self.client = Client(self.listen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.daemon.stop()

    def ask(self, method, path, **headers):
        bearer = "Bearer " + token("bench", role="service_role")
        answer = self.client.ask(method, path, {"Authorization": bearer, **{n.replace("_", "-"): v for n, v in headers.items()}})
        assert answer.status == 200, answer
        return answer


def timed(run):
    start = time.monotonic()
    run()
    return time.monotonic() - start


def statement(name, **values):
    """A dataset's SELECT with these values in the place of its parameters; any other is NULL."""
    header, _, select = (ROOT / f"sql/datasets/{name}.sql").read_text().partition("\n\n")
    types = dict(re.findall(r"^--   (\w+) +(\w+)", header, re.M)) | {"after_" + n: t for n, t in re.findall(r"(\w+) (\w+)", header.partition("cursor: ")[2].partition("\n")[0])}
    casts = {"integer": "bigint", "decimal": "numeric", "date": "date", "time": "timestamptz", "boolean": "boolean"}

    def value(match):
        name = match.group(1)
        text = f"'{values[name]}'" if name in values else "NULL"
        return f"{text}::{casts.get(types.get(name), 'text')}"

    return re.sub(r"(?<!:):(\w+)", value, select)


def psql_seconds(servers, sql):
    """Of one run of the statement: what REPEATS of them take more than none, connecting left out."""
    def run(n):
        subprocess.run(["psql", "-X", "-q", "-o", "/dev/null", "-d", servers.program_url], input=(sql + ";\n") * n, text=True, check=True)

    return (timed(lambda: run(REPEATS)) - timed(lambda: run(0))) / REPEATS


@part("collection", 72)
def bench_collection(servers):
    say(f"a list of {ROWS} trades, whole, computed for its reader and stored; beside the same SELECT in psql to /dev/null")
    fill(servers, ["lister"], ROWS)
    sql = statement("stocks", user="lister", open_only="false", date_field="entry", sort="entry_date", order="desc", limit=ROWS + 1, offset=0)
    ratios = []
    with Responder(servers) as responder:
        path = "/api/stocks?limit=all&user_id=lister"
        assert responder.ask("GET", path).body.count(b'"id":') == ROWS
        for round_ in range(ROUNDS):
            ours = timed(lambda: [responder.ask("GET", path, Cache_Control="no-cache", Accept_Encoding="gzip") for _ in range(REPEATS)]) / REPEATS
            yardstick = psql_seconds(servers, sql)
            ratios.append(ours / yardstick)
            say(f"  round {round_ + 1}/{ROUNDS}: {ours * 1000:.0f} ms, psql {yardstick * 1000:.0f} ms")
    figure("collection_vs_psql", statistics.median(ratios))
    clear(servers, "lister")


@part("preload", 73)
def bench_preload(servers):
    say(f"a login: {LOGIN_STOCKS} share trades, {LOGIN_OPTIONS} legs of options, {LOGIN_NOTES} notes; analytics and whole lists")
    fill(servers, ["login"], LOGIN_STOCKS)
    owner_sql(servers, f"""
        INSERT INTO options (user_id, id, symbol, strategy_type, option_type, strike_price, expiration_date, number_of_contracts, entry_price,
                             exit_price, status, entry_date, exit_date)
        SELECT 'login', t, 'SPY', 'Long Call', 'Call', 400, now()::date, 1 + t % 5, 2, 1.5 + (t % 20) / 10.0, 'closed',
               now() - interval '1 hour' * (t * 20 + 9), now() - interval '1 hour' * (t * 20 + 1)
        FROM generate_series(1, {LOGIN_OPTIONS}) AS t;
        INSERT INTO trade_notes (user_id, id, name, content, trade_type, stock_trade_id)
        SELECT 'login', n, 'Note ' || n, repeat('What went well, and what did not. ', 20), 'stock', n FROM generate_series(1, {LOGIN_NOTES}) AS n""",
              "VACUUM ANALYZE options, trade_notes")
    command, request = [], []
    with Responder(servers) as responder:
        for _ in range(ROUNDS):
            servers.redis("FLUSHALL")
            command.append(timed(lambda: subprocess.run([BUILD / "pnlcache-worker", "preload", "--user", "login"], env=servers.settings(LOG_LEVEL="warn"),
                                                        check=True, stdout=subprocess.DEVNULL)))
            servers.redis("FLUSHALL")
            request.append(timed(lambda: responder.ask("POST", "/api/user/initialize?wait=1&user_id=login")))
    say(f"  the command, its start included: {statistics.median(command) * 1000:.0f} ms")
    figure("preload_ms", statistics.median(request) * 1000, 0)
    clear(servers, "login")


@part("dataset_hit", 43)
def bench_dataset_hit(servers):
    say("instructions of a hit from L1: a page of a list, and analytics")
    precompute(servers)
    instructions = r"Collected : (\d+)"
    analytics = valgrind_count(servers, "callgrind", instructions, "l1", HIT_PATH)
    page = valgrind_count(servers, "callgrind", instructions, "l1", "/api/stocks?limit=5")
    say(f"  analytics {analytics:.0f}, a page {page:.0f}")
    figure("dataset_hit_vs_analytics_hit", page / analytics)
