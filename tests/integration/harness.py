"""What the integration tests stand on: private servers, our two programs, an HTTP client, tokens and signatures.

Everything is real. conftest.py makes the fixtures out of these classes.
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("BUILD_DIR", "build/release")).resolve()
SERVERS = ROOT / "tools/private_servers.sh"

JWT_SECRET = "integration-test-secret-0123456789abcdef"
WEBHOOK_KEY = b"integration test webhook key"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(WEBHOOK_KEY).decode()

SANITIZER_REPORT = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehavior|runtime error:|SUMMARY: )")


def wait_until(condition, timeout=20.0, what="the condition"):
    """Polls until condition() is truthy and returns that value; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def may_mount():
    """Whether this user, on this machine, may mount file systems."""
    return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode == 0


# --- tokens and signatures ------------------------------------------------------------------------


def _b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user, role=None, ttl=600, secret=JWT_SECRET, header=None, **claims):
    """An HS256 token; header and claims may be overridden to make it wrong."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    now = int(time.time())
    body = {"sub": user, "iat": now, "exp": now + ttl}
    if role:
        body["role"] = role
    body.update(claims)
    signed = _b64url(json.dumps(head).encode()) + "." + _b64url(json.dumps(body).encode())
    return signed + "." + _b64url(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def sign_webhook(body, id=None, timestamp=None, key=WEBHOOK_KEY):
    """The Standard Webhooks headers for a body (bytes)."""
    id = id or "msg_" + secrets.token_hex(8)
    timestamp = str(int(time.time()) if timestamp is None else timestamp)
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def webhook_event(type="trade.updated", user="alice", **data):
    """A webhook's body with one event; a user of None is left out."""
    if user is not None:
        data = {"user_id": user, **data}
    return json.dumps({"type": type, "timestamp": "2026-01-01T00:00:00Z", "data": data}).encode()


# --- HTTP -----------------------------------------------------------------------------------------


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # http.client.HTTPMessage: case-insensitive
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {dict(self.headers.items())} {self.body[:400]!r}>"


class Web:
    """A client of one web server; every request on a new connection."""

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def request(self, method, path, user=None, token_=None, headers=None, body=None, timeout=30):
        """`user`: sends a good token of that user; `token_`: sends this one."""
        headers = dict(headers or {})
        if user is not None:
            token_ = token(user)
        if token_ is not None:
            headers["Authorization"] = "Bearer " + token_
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, user=None, **more):
        return self.request("GET", path, user=user, **more)

    def head(self, path, user=None, **more):
        return self.request("HEAD", path, user=user, **more)

    def post(self, path, body, user=None, **more):
        return self.request("POST", path, user=user, body=body, **more)

    def webhook(self, event, id=None, timestamp=None, key=WEBHOOK_KEY):
        """Sends a signed webhook; `event` is a dict, or the body's bytes."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.post("/api/webhooks/trades", body, headers=sign_webhook(body, id, timestamp, key))

    def trade_event(self, user, type="trade.updated", asset="stocks", ids=(1,)):
        """The webhook of a changed trade."""
        data = {"user_id": user, "asset": asset, "trade_ids": list(ids)}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return self.webhook({"type": type, "timestamp": stamp, "data": data})


# --- servers and programs ----------------------------------------------------------------------------


class Servers:
    """Private PostgreSQL, Redis and web servers under one state directory."""

    def __init__(self, state):
        self.state = Path(state)
        self.environment = dict(os.environ, SERVERS_OWNER=str(os.getpid()))
        self.start("redis", "postgres")
        words = shlex.split(self._run("env").stdout)
        values = dict(word.split("=", 1) for word in words)
        self.run_dir = Path(values["RUN_DIR"])
        self.owner_url = values["DATABASE_URL"]
        self.program_url = values["PNLCACHE_DATABASE_URL"]
        self.redis_url = values["REDIS_URL"]
        self.redis_socket = str(self.run_dir / "redis.sock")
        self.listen = str(self.run_dir / "pnlcache.sock")

    def _run(self, command, *arguments, **environment):
        done = subprocess.run([SERVERS, command, self.state, *arguments], env={**self.environment, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    def start(self, *names, **environment):
        self._run("start", *names, **environment)

    def spawn(self, name, *command):
        self._run("spawn", name, *command)

    def stop(self, *names):
        self._run("stop", *names)

    def pid(self, name):
        """The pid of a running server, else None."""
        for line in self._run("status").stdout.splitlines():
            words = line.split()
            if words[0] == name and words[1] == "running":
                return int(words[2])
        return None

    def apply_schema(self):
        done = subprocess.run([ROOT / "sql/apply.sh", self.owner_url], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def redis(self, *words):
        """Runs a Redis command; the reply's bytes without the final line end."""
        done = subprocess.run(["redis-cli", "--raw", "-s", self.redis_socket, *map(str, words)], capture_output=True, check=True)
        return done.stdout[:-1] if done.stdout.endswith(b"\n") else done.stdout

    def settings(self, **overrides):
        """The environment of our programs. An override of None removes a name."""
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
        environment.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
        environment.update(
            PNLCACHE_CONF="/dev/null", DATABASE_URL=self.program_url, REDIS_URL=self.redis_url, LISTEN=self.listen,
            JWT_SECRET=JWT_SECRET, WEBHOOK_SECRETS=WEBHOOK_SECRET, LOG_FORMAT="logfmt", STOP_TIMEOUT="10",
            DATASET_DIR=ROOT / "sql/datasets", WARM_USERS="0")  # a worker's start warms nobody unless a test asks for it
        if os.getuid() == 0:
            environment["LISTEN_GROUP"] = "www-data"  # Apache gives up root
        environment.update(overrides)
        return {name: str(value) for name, value in environment.items() if value is not None}


class Daemon:
    """One of our programs in the background. It dies with the test process."""

    def __init__(self, command, environment, log):
        self.log_path = Path(log)
        self.environment = environment
        with open(log, "ab") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, as the kernel's memory killer would."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=30):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {timeout} s after SIGTERM: {self.log()[-2000:]}") from None

    def check_log(self):
        assert not SANITIZER_REPORT.search(self.log()), self.log()[-8000:]


def first_miss(ask):
    """The first answer of ask() that is no hit. A responder hears of what another process has invalidated a moment after that."""
    def look():
        answer = ask()
        return None if cache_state(answer) == "hit" else answer

    return wait_until(look, what="a read that is no hit")


def cache_state(answer):
    """What Cache-Status says first: "hit", "fwd=miss", "fwd=bypass", ..."""
    return answer.headers["Cache-Status"].split(";")[1].strip()


def execute(db, sql, *arguments):
    """Runs SQL; arguments take the places of %s in it."""
    with db.cursor() as cursor:
        cursor.execute(sql, arguments or None)


# --- the journal --------------------------------------------------------------------------------------


def add_stock(db, user, id, entry_price=10, exit_price=11, shares=100, entry="now() - interval '1 day'",
              exit="now() - interval '1 hour'", **columns):
    """Inserts a share trade: by default closed an hour ago with a profit of 100. entry and exit are SQL expressions."""
    columns = {"user_id": user, "id": id, "symbol": "ACME", "trade_type": "BUY", "number_shares": shares,
               "entry_price": entry_price, "exit_price": exit_price, **columns}
    names = ", ".join([*columns, "entry_date", "exit_date"])
    marks = ", ".join(["%s"] * len(columns))
    with db.cursor() as cursor:
        cursor.execute(f"INSERT INTO stocks ({names}) VALUES ({marks}, {entry}, {exit})", list(columns.values()))


def add_option(db, user, id, entry_price=2, exit_price=3, contracts=1, entry="now() - interval '1 day'",
               exit="now() - interval '1 hour'", **columns):
    """Inserts an option leg: by default a long call closed an hour ago with a profit of 100."""
    columns = {"user_id": user, "id": id, "symbol": "ACME", "strategy_type": "Long Call", "option_type": "Call",
               "strike_price": 50, "expiration_date": "2099-01-15", "number_of_contracts": contracts,
               "entry_price": entry_price, "exit_price": exit_price, "status": "closed", **columns}
    names = ", ".join([*columns, "entry_date", "exit_date"])
    marks = ", ".join(["%s"] * len(columns))
    with db.cursor() as cursor:
        cursor.execute(f"INSERT INTO options ({names}) VALUES ({marks}, {entry}, {exit})", list(columns.values()))
