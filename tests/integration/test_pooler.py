"""Everything through PgBouncer in transaction mode, with fewer server sessions than clients, so that they are really shared."""
import os
import pwd
import threading

import psycopg2
import pytest

from harness import add_option, add_stock, wait_until
from test_worker import execute, has_trades, queue

CONF = """
[databases]
journal = host={postgres} port=5432 dbname=journal pool_size=2
[pgbouncer]
unix_socket_dir = {directory}
unix_socket_mode = 0777
listen_port = 6432
auth_type = trust
auth_file = {directory}/users
pool_mode = transaction
max_client_conn = 100
stats_users = {stats_users}
"""


@pytest.fixture
def pooler(servers):
    """pooler(stats_users): starts a private PgBouncer; a DATABASE_URL through it."""
    directory = servers.state / "pgbouncer"

    def start(stats_users="pnlcache"):
        directory.mkdir(mode=0o777, exist_ok=True)
        directory.chmod(0o777)
        (directory / "users").write_text('"pnlcache" ""\n"journal" ""\n')
        conf = directory / "pgbouncer.ini"
        conf.write_text(CONF.format(postgres=servers.run_dir / "pg", directory=directory, stats_users=stats_users))
        command = ["/usr/sbin/pgbouncer", str(conf)]
        if os.getuid() == 0:  # it refuses to be root; PostgreSQL's socket is for PostgreSQL's user
            user = pwd.getpwuid((servers.run_dir / "pg").stat().st_uid)
            command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--", *command]
        servers.spawn("pgbouncer", *command)
        url = f"postgresql://pnlcache@/journal?host={directory}&port=6432"
        wait_until(lambda: connects(url), what="PgBouncer to answer")
        return url

    yield start
    servers.stop("pgbouncer")


def connects(url):
    try:
        psycopg2.connect(url).close()
        return True
    except psycopg2.OperationalError:
        return False


def test_changes_reach_the_reader_through_the_pooler(servers, db, web, start_responder, start_worker, run_worker, pooler, settle):
    url = pooler()
    start_responder(DATABASE_URL=url, MISS_THREADS="4")
    worker = start_worker(DATABASE_URL=url, WORKER_CONCURRENCY="4", OUTBOX_POLL="50")
    wait_until(lambda: "passes no notifications" in worker.log(), what="the worker to notice the pooler")
    for n in range(1, 11):
        for user in ("ann", "bob", "carl"):
            add_stock(db, user, n)
            add_option(db, user, n)
    for user in ("ann", "bob", "carl"):
        wait_until(lambda user=user: has_trades(servers, user, 20), what=f"{user}'s trades")
    settle()
    assert queue(run_worker)["dead"] == 0
    for path in ("core", "risk", "time-series", "grouped"):
        answer = web.get(f"/api/analytics/{path}?time_range=all_time", user="ann")
        assert answer.status == 200, answer
    assert web.get("/api/analytics/core?time_range=all_time", user="ann").json()["data"]["total_trades"] == 20
    assert web.get("/readyz").json()["database"] == "ok"
    run_worker("job", "precompute", "--all", DATABASE_URL=url)
    assert queue(run_worker)["outbox_depth"] == 0 and "outbox_depth 0" in run_worker("jobs", DATABASE_URL=url).stdout


def test_misses_at_once_share_the_sessions_of_the_pooler(servers, db, web, start_responder, pooler):
    for user in range(20):
        add_stock(db, f"user{user}", 1)
    start_responder(DATABASE_URL=pooler(), MISS_THREADS="8")
    answers = []
    threads = [threading.Thread(target=lambda u=user: answers.append(web.get("/api/analytics/core?time_range=30d", user=f"user{u}")))
               for user in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20 and all(answer.status == 200 and answer.json()["data"]["total_trades"] == 1 for answer in answers)


def test_nothing_of_ours_stays_in_the_sessions_of_others(servers, db, run_worker, pooler):
    add_stock(db, "ann", 1)
    url = pooler()
    run_worker("job", "precompute", "--user", "ann", DATABASE_URL=url)
    other = psycopg2.connect(url)
    other.autocommit = True
    shown = {name: execute(other, f"SHOW {name}")[0][0]
             for name in ("statement_timeout", "search_path", "default_transaction_read_only", "jit", "random_page_cost")}
    assert shown == {"statement_timeout": "0", "search_path": '"$user", public', "default_transaction_read_only": "off",
                     "jit": "off", "random_page_cost": "4"}  # jit: as the harness starts PostgreSQL
    assert execute(other, "SELECT count(*) FROM pg_prepared_statements") == [(0,)]
    assert execute(other, "SELECT count(*) FROM pg_listening_channels()") == [(0,)]
    other.close()


def test_slow_query_through_the_pooler_ends_in_time(servers, db, web, start_responder, pooler):
    add_stock(db, "ann", 1)
    start_responder(DATABASE_URL=pooler(), DATABASE_TIMEOUT="500")
    blocker = psycopg2.connect(servers.owner_url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE stocks IN ACCESS EXCLUSIVE MODE")
    assert web.get("/api/analytics/core?time_range=30d", user="ann").status == 503
    wait_until(lambda: execute(db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(0,)],
               what="the server to end the query itself")
    blocker.rollback()
    blocker.close()
    wait_until(lambda: web.get("/api/analytics/core?time_range=30d", user="ann").status == 200)


def test_check_names_the_pooler_it_found(servers, run_worker, pooler):
    assert "pooler" not in run_worker("check").stdout
    done = run_worker("check", DATABASE_URL=pooler())
    assert "DATABASE_URL leads through PgBouncer 1." in done.stdout and "FAILED" not in done.stdout
    servers.stop("pgbouncer")
    assert "leads through PgBouncer" in run_worker("check", DATABASE_URL=pooler(stats_users="journal")).stdout
