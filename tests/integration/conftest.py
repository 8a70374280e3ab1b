"""Fixtures of the integration tests. Servers live for the session; data, caches and our programs for one test.

    servers          private PostgreSQL (schema applied) and Redis: harness.Servers
    web              an HTTP client through nginx (harness.Web); apache_web the same through Apache
    db               a connection as the journal's owner, autocommit
    responder        pnlcache.fcgi with the default settings; start_responder(NAME=value, ...) for others
    worker           pnlcache-worker run; start_worker(NAME=value, ...) for others
    redis_proxy      a fault_proxy.FaultProxy in front of Redis; start_redis_proxy() for more of them
    postgres_proxy   the same in front of PostgreSQL; start_postgres_proxy()
    run_worker       run_worker("job", "precompute", ..., NAME=value): one command of pnlcache-worker, to its end

A program that a test started must still live at the end (unless the test stopped it itself), stop with status 0 on
SIGTERM, and have left no sanitizer report. BUILD_DIR says which build is tested.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile

import psycopg2
import pytest

from fault_proxy import FaultProxy
from harness import BUILD, ROOT, SANITIZER_REPORT, Daemon, Servers, Web, free_port, wait_until


@pytest.fixture(scope="session")
def servers():
    state = tempfile.mkdtemp(prefix="pnlcache-state.", dir="/tmp")
    os.chmod(state, 0o711)
    servers = None
    try:
        servers = Servers(state)
        servers.apply_schema()
        yield servers
        for name in ("redis", "postgres"):
            assert servers.pid(name), f"{name} did not survive the tests"
    finally:
        if servers:
            servers.stop()
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def web_dir(servers):
    directory = servers.state / "web"
    directory.mkdir()
    (directory / "index.html").write_text("<!doctype html><title>page</title>\n")
    return directory


@pytest.fixture(scope="session")
def web(servers, web_dir):
    port = free_port()
    conf = subprocess.run([ROOT / "tools/nginx_conf.sh", servers.run_dir, str(port), web_dir],
                          capture_output=True, text=True, check=True).stdout
    (servers.state / "nginx.conf").write_text(conf)
    servers.start("nginx", PORT=str(port))
    yield Web(port)
    assert servers.pid("nginx"), "nginx did not survive the tests"


def _first_answer(servers, name, client):
    def answers():
        assert servers.pid(name), (servers.state / f"log/{name}.log").read_text()
        try:
            return client.get("/").status == 200
        except OSError:
            return False

    wait_until(answers, what=f"{name}'s first answer")


@pytest.fixture(scope="session")
def start_web_server(servers):
    """start_web_server(name, port, command...): a web server of our own, which must survive the tests."""
    names = []

    def start(name, port, *command):
        servers.spawn(name, *command)
        names.append(name)
        client = Web(port)
        _first_answer(servers, name, client)
        return client

    yield start
    for name in names:
        assert servers.pid(name), f"{name} did not survive the tests"


@pytest.fixture(scope="session")
def start_apache(servers, web_dir, start_web_server):
    """start_apache(name, example, change): Apache with that file of conf/, its text passed through `change`."""

    def start(name, example, change=lambda text: text):
        port, run_dir = free_port(), servers.run_dir / name
        run_dir.mkdir(mode=0o755)
        if os.getuid() == 0:
            shutil.chown(run_dir, "www-data")  # whom Apache hands over to
        text = subprocess.run([ROOT / "tools/apache_conf.sh", run_dir, str(port), web_dir, example],
                              capture_output=True, text=True, check=True).stdout
        conf = servers.state / f"{name}.conf"
        conf.write_text(change(text.replace(f"{run_dir}/pnlcache.sock", servers.listen)))
        return start_web_server(name, port, "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", conf)

    return start


@pytest.fixture(scope="session")
def apache_web(start_apache):
    return start_apache("apache", "apache-proxy-fcgi.conf.example")


@pytest.fixture(scope="session")
def apache_connecting_web(start_apache):
    """A connection a request, which is Apache's default."""
    return start_apache("apache-connecting", "apache-proxy-fcgi.conf.example", lambda text: text.replace("enablereuse=on ttl=60 ", ""))


def _started_by_apache(servers, name):
    """A change of an example that makes Apache start a copy of the responder, as its own user, with our settings."""
    libexec = servers.state / name
    libexec.mkdir()
    shutil.copy(BUILD / "pnlcache.fcgi", libexec)
    shutil.copytree(ROOT / "sql/datasets", libexec / "datasets")  # where that user may read
    settings = libexec / "pnlcache.conf"
    settings.write_text("".join(f"{name}={value}\n" for name, value in servers.settings().items()
                                if name.endswith(("_URL", "_SECRET", "_SECRETS", "_TIMEOUT"))) + f"AUTH_MODE=jwt,session\nDATASET_DIR={libexec}/datasets\n")
    return lambda text: text.replace("/usr/local/libexec/pnlcache", str(libexec)).replace("/etc/pnlcache/pnlcache.conf", str(settings))


@pytest.fixture(scope="session")
def apache_fcgid_web(servers, start_apache):
    change = _started_by_apache(servers, "libexec")
    return start_apache("apache-fcgid", "apache-fcgid.conf.example", lambda text: (
        change(text) + f"FcgidIPCDir {servers.run_dir}/apache-fcgid\nFcgidProcessTableFile {servers.run_dir}/apache-fcgid/table\n"))


@pytest.fixture(scope="session")
def apache_cgi_web(servers, start_apache):
    """Apache starts a process for each request."""
    change = _started_by_apache(servers, "libexec-cgi")
    return start_apache("apache-cgi", "apache-cgi.conf.example", lambda text: change(text) + f"ScriptSock {servers.run_dir}/cgid.sock\n")


@pytest.fixture(scope="session")
def lighttpd_web(servers, web_dir, start_web_server):
    port, conf = free_port(), servers.state / "lighttpd.conf"
    text = (ROOT / "conf/lighttpd.conf.example").read_text()
    conf.write_text(f'server.port = {port}\nserver.bind = "127.0.0.1"\nmimetype.assign = ( ".html" => "text/html" )\n' +
                    f'server.upload-dirs = ( "{servers.run_dir}" )\n' +
                    text.replace("/run/pnlcache/pnlcache.sock", servers.listen).replace("/usr/local/share/pnlcache/web", str(web_dir)))
    return start_web_server("lighttpd", port, "/usr/sbin/lighttpd", "-D", "-f", conf)


@pytest.fixture(scope="session")
def caddy_web(servers, web_dir, start_web_server):
    port, conf = free_port(), servers.state / "Caddyfile"
    text = (ROOT / "conf/Caddyfile.example").read_text()
    conf.write_text("{\n\tadmin off\n}\n" +
                    text.replace("http://example.org", f"http://127.0.0.1:{port}").replace("/run/pnlcache/pnlcache.sock", servers.listen)
                    .replace("/usr/local/share/pnlcache/web", str(web_dir)))
    return start_web_server("caddy", port, "env", f"HOME={servers.state}", "/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", conf)


def _tables(cursor):
    cursor.execute("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                   " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'time_zones'")
    return [name for (name,) in cursor.fetchall()]


@pytest.fixture(autouse=True)
def clean(request):
    """Empty tables and an empty Redis before a test that uses the servers."""
    if "servers" not in request.fixturenames:
        return
    servers = request.getfixturevalue("servers")
    servers.start("redis", "postgres")  # for the test before may have stopped one
    connection = psycopg2.connect(servers.owner_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no trigger notes the cleaning
        tables = _tables(cursor)
        if tables:
            cursor.execute("TRUNCATE " + ", ".join(tables))
    connection.close()
    servers.redis("FLUSHALL")


@pytest.fixture
def db(servers, clean):
    connection = psycopg2.connect(servers.owner_url)
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def trapped_views(db):
    """pnlcache.stock_trades calls a function on each row's user; trap(SQL body) says what that does, given $1."""
    with db.cursor() as cursor:
        cursor.execute("SELECT pg_get_viewdef('pnlcache.stock_trades')")
        original = cursor.fetchone()[0].rstrip().rstrip(";")

        def trap(body):
            cursor.execute(f"CREATE OR REPLACE FUNCTION pnlcache.trap(text) RETURNS boolean STABLE LANGUAGE plpgsql AS $$ {body} $$")
            cursor.execute(f"CREATE OR REPLACE VIEW pnlcache.stock_trades AS SELECT * FROM ({original}) AS t WHERE pnlcache.trap(user_id)")

        yield trap
        cursor.execute(f"CREATE OR REPLACE VIEW pnlcache.stock_trades AS {original}")
        cursor.execute("DROP FUNCTION IF EXISTS pnlcache.trap(text)")


@pytest.fixture
def statements(servers, db):
    """A function: the statements of the programs' role since the fixture was set up, from PostgreSQL's own log."""
    log = servers.state / "log/postgres.log"
    with db.cursor() as cursor:
        cursor.execute("ALTER ROLE pnlcache SET log_statement = 'all'")
    start = log.stat().st_size

    def read():
        with open(log, "rb") as file:
            file.seek(start)
            return re.findall(r"LOG:  (?:statement|execute [^:]*): (.*)", file.read().decode())

    yield read
    with db.cursor() as cursor:
        cursor.execute("ALTER ROLE pnlcache RESET log_statement")


def _end(daemon, name):
    daemon.check_log()
    if daemon.process.returncode is None and daemon.alive():
        status = daemon.stop()
        daemon.check_log()
        assert status == 0, f"{name} ended with status {status}: {daemon.log()[-4000:]}"
    elif not getattr(daemon, "expected_end", False):
        pytest.fail(f"{name} died during the test: {daemon.log()[-4000:]}")


@pytest.fixture
def start_daemon(servers, clean, tmp_path):
    """start_daemon(program, *arguments, ready=condition, **settings): a Daemon, stopped and checked after the test.
    A test that stops one itself sets daemon.expected_end."""
    started = []

    def start(program, *arguments, ready=None, **settings):
        """program: of BUILD, or a path."""
        log = tmp_path / f"{os.path.basename(program)}.{len(started)}.log"
        daemon = Daemon([BUILD / program, *arguments], servers.settings(**settings), log)
        started.append((daemon, program))

        def is_ready():
            assert daemon.alive(), f"{program} did not start: {daemon.log()}"
            return ready(daemon)

        if ready:
            wait_until(is_ready, what=f"{program} to be ready")
        return daemon

    yield start
    problems = []
    for daemon, name in reversed(started):
        try:
            _end(daemon, name)
        except (AssertionError, pytest.fail.Exception) as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def start_responder(servers, start_daemon):
    def start(program="pnlcache.fcgi", **settings):
        path = settings.get("LISTEN", servers.listen)

        def answers(daemon):
            with socket.socket(socket.AF_UNIX) as s:
                return s.connect_ex(path) == 0 and "msg=ready" in daemon.log()

        return start_daemon(program, ready=answers, **settings)

    return start


@pytest.fixture
def responder(start_responder):
    return start_responder()


@pytest.fixture
def start_worker(servers, start_daemon):
    def consumes(_):
        return b"workers" in servers.redis("XINFO", "GROUPS", "jobs")

    def start(**settings):
        ready = consumes if not settings else None
        return start_daemon("pnlcache-worker", "run", ready=ready, **settings)

    return start


@pytest.fixture
def worker(start_worker):
    return start_worker()


@pytest.fixture
def settle(servers, db):
    """A function that waits until the workers have carried out every change of rows and done every job."""

    def is_settled():
        with db.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pnlcache.change_log")
            outbox = cursor.fetchone()[0]
        return outbox == 0 and servers.redis("XLEN", "jobs") == servers.redis("EXISTS", "jobs:later") == b"0"

    return lambda timeout=20: wait_until(is_settled, timeout=timeout, what="an empty outbox and queue")


@pytest.fixture
def run_worker(servers, clean):
    def run(*arguments, check=True, timeout=120, **settings):
        done = subprocess.run([BUILD / "pnlcache-worker", *map(str, arguments)], env=servers.settings(**settings), cwd=ROOT,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        assert not SANITIZER_REPORT.search(done.stderr), done.stderr
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run


def _proxies(directory_of, upstream, url_of):
    """A function that starts proxies for one upstream, each in a directory of its own, and a function that ends them."""
    started = []

    def start():
        directory = directory_of(len(started))
        directory.mkdir()
        proxy = FaultProxy(f"unix:{directory}/{os.path.basename(upstream)}", f"unix:{upstream}")
        proxy.url = url_of(directory)
        started.append(proxy)
        return proxy

    def end():
        for i, proxy in enumerate(started):
            proxy.end()
            shutil.rmtree(directory_of(i))

    return start, end


@pytest.fixture
def start_redis_proxy(servers):
    start, end = _proxies(lambda i: servers.run_dir / f"redis-proxy{i}", servers.redis_socket, lambda d: f"unix://{d}/redis.sock")
    yield start
    end()


@pytest.fixture
def redis_proxy(start_redis_proxy):
    return start_redis_proxy()


@pytest.fixture
def start_postgres_proxy(servers):
    start, end = _proxies(lambda i: servers.run_dir / f"postgres-proxy{i}", f"{servers.run_dir}/pg/.s.PGSQL.5432",
                          lambda d: servers.program_url.replace(f"host={servers.run_dir}/pg", f"host={d}"))
    yield start
    end()


@pytest.fixture
def postgres_proxy(start_postgres_proxy):
    return start_postgres_proxy()
