"""Servers that are several: a Redis Cluster, a promoted replica, a PostgreSQL standby, and a name that moves to another address."""
import os
import shutil
import signal
import socket
import subprocess
import threading

import psycopg2
import pytest
from fault_proxy import FaultProxy
from harness import BUILD, Daemon, add_stock, free_port, may_mount, wait_until
from test_degradation import CORE_KEY, ask, check_all_works, is_hit, is_unavailable, lines_of, readiness, tell, trades_in

USER_KEYS = ["epoch:{%s}", "analytics:stocks:{%s}:7d", "analytics:combined:{%s}:all_time:core", "analytics:{%s}:custom:0123",
             "lock:analytics:combined:{%s}:all_time:core", "wanted:{%s}", "trades:stocks:{%s}:list:0123", "data:stock:{%s}:0123"]


def redis_cli(port, *words):
    done = subprocess.run(["redis-cli", "--raw", "-p", str(port), *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.fixture
def start_redis(tmp_path):
    """start_redis(*options): a Redis of its own on a loopback port, which is returned."""
    started = {}

    def start(*options, address="127.0.0.1", port=None):
        port = port or free_port()
        directory = tmp_path / f"redis.{address}.{port}"
        directory.mkdir(exist_ok=True)
        started[address, port] = Daemon(["redis-server", "--port", port, "--bind", address, "--dir", directory, "--save", "", *options],
                                        dict(os.environ), directory / "log")
        wait_until(lambda: redis_cli(port, "-h", address, "PING") == "PONG", what="the other Redis")
        return port

    start.kill = lambda port: started.pop(("127.0.0.1", port)).kill()
    yield start
    for daemon in started.values():
        if daemon.alive():
            daemon.stop()


# --- Redis --------------------------------------------------------------------------------------


def test_a_master_of_a_redis_cluster_is_refused_and_all_is_computed(servers, db, start_redis, start_responder, run_worker):
    """All keys of a user have one hash tag; but who is asked for another one's slot answers MOVED, so such a server is not used."""
    buses = [free_port() for _ in range(3)]
    ports = [start_redis("--cluster-enabled", "yes", "--cluster-port", bus) for bus in buses]
    for i, port in enumerate(ports):
        redis_cli(port, "CLUSTER", "ADDSLOTSRANGE", i * 5462, min(16383, i * 5462 + 5461))
        redis_cli(port, "CLUSTER", "MEET", "127.0.0.1", ports[0], buses[0])
    wait_until(lambda: all("cluster_size:3" in redis_cli(port, "CLUSTER", "INFO") for port in ports), what="the cluster")
    add_stock(db, "alice", 1)
    url = f"redis://127.0.0.1:{ports[0]}"
    responder = start_responder(REDIS_URL=url)
    for _ in range(5):
        answer = ask(servers)
        assert trades_in(answer) == 1 and "stored" not in answer.headers["cache-status"]
    assert tell(servers).status == 202
    assert readiness(servers)["redis"] == "down"
    [line] = lines_of(responder, "server is down")
    assert "one of 3 masters of a Redis Cluster, which is not supported" in line
    done = run_worker("check", check=False, REDIS_URL=url)
    assert done.returncode == 1 and "is not supported" in done.stdout
    slots = {redis_cli(ports[0], "CLUSTER", "KEYSLOT", key % "alice") for key in USER_KEYS}
    assert len(slots) == 1


def test_a_cluster_of_one_is_as_good_as_any_redis(servers, db, start_redis, start_responder):
    port = start_redis("--cluster-enabled", "yes", "--cluster-port", free_port())
    redis_cli(port, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: "cluster_state:ok" in redis_cli(port, "CLUSTER", "INFO"), what="the cluster")
    add_stock(db, "alice", 1)
    start_responder(REDIS_URL=f"redis://127.0.0.1:{port}")
    assert trades_in(ask(servers)) == 1 and is_hit(ask(servers))
    add_stock(db, "alice", 2)
    assert tell(servers).status == 202
    assert trades_in(ask(servers)) == 2
    wait_until(lambda: is_hit(ask(servers)), what="a hit")
    check_all_works(servers)


def test_after_a_failover_no_value_of_the_old_master_is_served(servers, db, start_redis, start_responder):
    """What follows Sentinel (a proxy, an address that moves) leads to the promoted replica."""
    old = start_redis()
    new = start_redis("--replicaof", "127.0.0.1", str(old))
    wait_until(lambda: "master_link_status:up" in redis_cli(new, "INFO", "replication"), what="the replica")
    address = f"unix:{servers.run_dir}/failover.sock"
    add_stock(db, "alice", 1)
    with FaultProxy(address, f"tcp:127.0.0.1:{old}"):
        start_responder(REDIS_URL=address.replace("unix:", "unix://"))
        assert trades_in(ask(servers)) == 1 and is_hit(ask(servers))
        wait_until(lambda: redis_cli(new, "EXISTS", CORE_KEY % "alice") == "1", what="the replica to have it too")
        start_redis.kill(old)
    redis_cli(new, "REPLICAOF", "NO", "ONE")
    add_stock(db, "alice", 2)  # nobody says so, as when the old master took the event with it
    with FaultProxy(address, f"tcp:127.0.0.1:{new}"):
        wait_until(lambda: readiness(servers)["redis"] == "ok", what="the promoted replica to be used")
        assert trades_in(ask(servers)) == 2
        wait_until(lambda: is_hit(ask(servers)), what="a hit")
        check_all_works(servers)


# --- names --------------------------------------------------------------------------------------

WITH_OWN_NAMES = """#!/bin/sh
exec unshare --mount sh -c 'for file in hosts nsswitch.conf resolv.conf; do mount --bind "$OWN_ETC/$file" /etc/$file || exit 1; done; exec "$PROGRAM"'
"""


@pytest.fixture
def start_with_own_names(start_responder, tmp_path):
    """start(port, hosts, sources, resolver): a responder that looks redis.example up in files of its own; the one of hosts is returned."""

    def start(port, hosts, sources, resolver=""):
        etc, script = tmp_path / "etc", tmp_path / "with_own_names"
        etc.mkdir()
        (etc / "hosts").write_text(hosts)
        (etc / "nsswitch.conf").write_text(f"passwd: files\ngroup: files\nhosts: {sources}\n")
        (etc / "resolv.conf").write_text(resolver)
        script.write_text(WITH_OWN_NAMES)
        script.chmod(0o755)
        start_responder(str(script), REDIS_URL=f"redis://redis.example:{port}", PROGRAM=BUILD / "pnlcache.fcgi", OWN_ETC=etc)
        return etc / "hosts"

    if not may_mount():
        pytest.skip("names of its own need a mount, which is not allowed here")
    return start


def test_a_name_that_moves_or_is_unknown_is_looked_up_again(servers, db, start_redis, start_with_own_names):
    port = start_redis()
    add_stock(db, "alice", 1)
    hosts = start_with_own_names(port, "127.0.0.1 redis.example\n", "files")
    assert trades_in(ask(servers)) == 1 and is_hit(ask(servers))
    hosts.write_text("")
    start_redis.kill(port)
    wait_until(lambda: readiness(servers)["redis"] == "down", what="the end to be noticed")
    for _ in range(5):
        assert trades_in(ask(servers)) == 1
    start_redis(address="127.0.0.2", port=port)
    hosts.write_text("127.0.0.2 redis.example\n")
    check_all_works(servers)
    assert redis_cli(port, "-h", "127.0.0.2", "EXISTS", CORE_KEY % "after0") == "1"


class Resolver:
    """A name server for one address, on a loopback address of its own. What it is asked while it is silent waits in `held`."""

    ADDRESS = "127.0.0.153"

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ADDRESS, 53))
        self.lock, self.held, self.mode = threading.Lock(), [], "tells"
        threading.Thread(target=self._serve, daemon=True).start()

    def _answer(self, question, client):
        """RFC 1035, 4.1: the question again, and behind it an address when one of IPv4 was asked for."""
        name_end = question.index(b"\0", 12) + 1
        found = self.mode == "tells" and question[name_end:name_end + 2] == b"\0\1"
        flags = b"\x81\x80" if self.mode == "tells" else b"\x81\x83"  # no error; no such name
        head = question[:2] + flags + b"\0\1" + (b"\0\1" if found else b"\0\0") + bytes(4)
        address = b"\xc0\x0c\0\1\0\1" + bytes(4) + b"\0\4" + socket.inet_aton("127.0.0.1")
        self.socket.sendto(head + question[12:name_end + 4] + (address if found else b""), client)

    def _serve(self):
        while True:
            try:
                question, client = self.socket.recvfrom(1000)
            except OSError:
                return
            with self.lock:
                if self.mode == "silent":
                    self.held.append((question, client))
                else:
                    self._answer(question, client)

    def become(self, mode):
        """`tells`, `denies` (there is no such name) or `silent`; what was held is answered unless it stays silent."""
        with self.lock:
            self.mode = mode
            while mode != "silent" and self.held:
                self._answer(*self.held.pop())

    def n_waiting(self):
        """How many look-ups wait: each asks from a port of its own, for both kinds of address."""
        with self.lock:
            return len({client for _, client in self.held})


@pytest.fixture
def resolver():
    r = Resolver()
    yield r
    r.socket.close()


def test_a_silent_resolver_holds_up_who_watches_the_server_and_no_request(servers, db, start_redis, resolver, start_with_own_names):
    """Nothing here waits for the resolver's time-out, which is longer than that of the client."""
    port = start_redis()
    add_stock(db, "alice", 1)
    start_with_own_names(port, "", "dns", f"nameserver {Resolver.ADDRESS}\noptions timeout:30 attempts:1\n")
    assert trades_in(ask(servers)) == 1 and is_hit(ask(servers))
    resolver.become("denies")
    start_redis.kill(port)
    wait_until(lambda: readiness(servers)["redis"] == "down", what="the end to be noticed")
    resolver.become("silent")
    wait_until(lambda: resolver.n_waiting() == 1, what="a look-up")
    for i in range(20):
        assert trades_in(ask(servers)) == 1 and trades_in(ask(servers, f"bob{i}")) == 0
    assert tell(servers).status == 202
    assert resolver.n_waiting() == 1, "others look the name up as well"
    start_redis(port=port)
    resolver.become("tells")
    check_all_works(servers)


# --- PostgreSQL ---------------------------------------------------------------------------------


class Standby:
    """A hot standby of the private PostgreSQL; its sockets are in `directory`."""

    def __init__(self, servers):
        self.data, self.directory = servers.state / "standby", servers.run_dir / "standby"
        self.owner_url = servers.owner_url.replace(f"{servers.run_dir}/pg", str(self.directory))
        user = (servers.run_dir / "pg").owner()
        self.as_owner = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"] if os.getuid() == 0 else []
        self.bin = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        for directory in (self.data, self.directory):
            directory.mkdir(mode=0o700)
            shutil.chown(directory, user)
        subprocess.run([*self.as_owner, f"{self.bin}/pg_basebackup", "-h", f"{servers.run_dir}/pg", "-U", "journal", "-D", self.data, "-R", "-N",
                        "--checkpoint=fast"], check=True, cwd="/")
        self.daemon = Daemon([*self.as_owner, f"{self.bin}/postgres", "-D", self.data, "-c", f"unix_socket_directories={self.directory}",
                              "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"], dict(os.environ), servers.state / "log/standby.log")
        wait_until(lambda: self.ask("SELECT 1") == "1", what="the standby")

    def ask(self, sql):
        return subprocess.run(["psql", "-X", "-A", "-t", "-d", self.owner_url, "-c", sql], capture_output=True, text=True, check=False).stdout.strip()

    def end(self):
        self.daemon.signal(signal.SIGQUIT)
        self.daemon.process.wait(20)
        for directory in (self.data, self.directory):
            shutil.rmtree(directory)


@pytest.fixture
def standby(servers, clean):
    standby = Standby(servers)
    yield standby
    standby.end()
    servers.start("postgres")


def test_a_standby_is_used_when_it_is_promoted_and_not_before(servers, db, standby, start_responder):
    both = servers.program_url.replace(f"{servers.run_dir}/pg", f"{servers.run_dir}/pg,{standby.directory}") + "&target_session_attrs=read-write"
    start_responder(DATABASE_URL=both)
    assert standby.ask("SELECT pg_wal_replay_pause()") == ""
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1  # the standby lags, and is not asked
    assert standby.ask("SELECT pg_wal_replay_resume()") == ""
    wait_until(lambda: standby.ask("SELECT count(*) FROM stocks") == "1", what="the standby to have the trade")
    servers.stop("postgres")
    assert is_hit(ask(servers))
    wait_until(lambda: readiness(servers)["database"] == "down", what="the end of the primary to be noticed")
    assert is_unavailable(ask(servers, "bob"))
    assert standby.ask("SELECT pg_promote()") == "t"
    wait_until(lambda: readiness(servers)["database"] == "ok", what="the promoted one to be used")
    connection = psycopg2.connect(standby.owner_url)
    connection.autocommit = True
    add_stock(connection, "alice", 2)
    connection.close()
    assert tell(servers).status == 202
    assert trades_in(ask(servers)) == 2
    check_all_works(servers)
