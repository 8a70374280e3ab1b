"""The fault proxy does what its commands say, seen from both of its sides."""
import socket
import subprocess
import time

import pytest
from fault_proxy import FaultProxy, redis_words
from harness import BUILD, wait_until

FAMILIES = ["unix", "tcp"]


class Side:
    """One end of a connection through the proxy."""

    def __init__(self, sock):
        sock.settimeout(20)
        self.socket = sock

    def send(self, data):
        self.socket.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError(data)
            data += more
        return data

    def read_to_end(self):
        """What comes before the end of the stream; ConnectionResetError when it ended abruptly."""
        data = b""
        while more := self.socket.recv(65536):
            data += more
        return data

    def nothing_arrives(self):
        """True when there is nothing to read now. What proves that something could have come is up to the caller."""
        self.socket.settimeout(0)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(20)


class Line:
    """A listening socket, the proxy in front of it, and connections through both."""

    def __init__(self, family, directory):
        if family == "unix":
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(directory / "server"))
            upstream, listen = f"unix:{directory}/server", f"unix:{directory}/proxy"
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            upstream, listen = "tcp:127.0.0.1:%d" % self.listener.getsockname()[1], "tcp:127.0.0.1:0"
        self.listener.listen(16)
        self.listener.settimeout(20)
        self.proxy = FaultProxy(listen, upstream)
        self.open = []

    def connect(self):
        """(client, server): a new connection; the proxy joins them."""
        kind, _, where = self.proxy.address.partition(":")
        client = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        client.settimeout(20)
        client.connect(where if kind == "unix" else ("127.0.0.1", int(where.split(":")[1])))
        server, _ = self.listener.accept()
        self.open += [client, server]
        return Side(client), Side(server)

    def end(self):
        for sock in (*self.open, self.listener):
            sock.close()
        self.proxy.end()


@pytest.fixture(params=FAMILIES)
def line(request, tmp_path):
    line = Line(request.param, tmp_path)
    yield line
    line.end()


def test_bytes_pass_unchanged_both_ways(line):
    client, server = line.connect()
    data = bytes(range(256)) * 8192  # more than every buffer on the way
    for sender, receiver in ((client, server), (server, client)):
        sender.socket.settimeout(0)
        sent = got = 0
        arrived = bytearray()
        while got < len(data):
            try:
                sent += sender.socket.send(data[sent:])
            except BlockingIOError:
                pass
            if sent:
                arrived += receiver.socket.recv(65536)
                got = len(arrived)
        assert arrived == data
        sender.socket.settimeout(20)
    assert line.proxy.status() == {"connections": 1, "accepted": 1, "sprung": 0, "up": len(data), "down": len(data)}


def test_an_end_is_passed_on_in_its_direction(line):
    client, server = line.connect()
    client.send(b"question")
    client.socket.shutdown(socket.SHUT_WR)
    assert server.read_to_end() == b"question"
    server.send(b"answer")
    server.socket.close()
    assert client.read_to_end() == b"answer"
    wait_until(lambda: line.proxy.status()["connections"] == 0)


def test_delay_holds_every_byte_back_for_its_time(line):
    client, server = line.connect()
    line.proxy.delay(200, "down")
    began = time.monotonic()
    client.send(b"up")
    assert server.read(2) == b"up"
    server.send(b"down")
    assert client.read(4) == b"down"
    assert time.monotonic() - began >= 0.2
    assert line.proxy.command("delay both 3600000") == "ok"
    server.send(b"late")
    wait_until(lambda: client.nothing_arrives() and line.proxy.status()["down"] == 4)
    line.proxy.let_pass()
    assert client.read(4) == b"late"


def test_stall_is_a_black_hole_until_it_ends(line):
    client, server = line.connect()
    line.proxy.stall("down")
    client.send(b"question")
    assert server.read(8) == b"question"
    server.send(b"answer")
    late, late_server = line.connect()
    late_server.send(b"too")
    client.send(b"more")
    assert server.read(4) == b"more"  # the proxy has been round since
    assert client.nothing_arrives() and late.nothing_arrives()
    line.proxy.let_pass()
    assert client.read(6) == b"answer" and late.read(3) == b"too"


def test_stall_keeps_no_more_than_its_bound(line):
    client, _ = line.connect()
    line.proxy.stall("up")
    client.socket.settimeout(0)
    sent, quiet = 0, time.monotonic() + 1
    while time.monotonic() < quiet:
        try:
            sent += client.socket.send(bytes(65536))
            quiet = time.monotonic() + 1
        except BlockingIOError:
            time.sleep(0.01)
    assert 1 << 20 <= sent < 1 << 25


@pytest.mark.parametrize("n", [0, 1, 7])
def test_stall_after_bytes_takes_one_connection(line, n):
    client, server = line.connect()
    other, other_server = line.connect()
    line.proxy.stall_after(n)
    server.send(b"0123456789")
    assert client.read(n) == b"0123456789"[:n]
    line.proxy.wait_sprung()
    other_server.send(b"goes on")
    assert other.read(7) == b"goes on" and client.nothing_arrives()
    line.proxy.let_pass()
    assert client.read(10 - n) == b"0123456789"[n:]


@pytest.mark.parametrize("n", [0, 1, 5, 10])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_cut_closes_both_sides_after_bytes(line, direction, n):
    client, server = line.connect()
    sender, receiver = (client, server) if direction == "up" else (server, client)
    line.proxy.cut(n, direction)
    sender.send(b"0123456789")
    assert receiver.read_to_end() == b"0123456789"[:n]
    line.proxy.wait_sprung()
    wait_until(lambda: line.proxy.status()["connections"] == 0)
    again, again_server = line.connect()
    again_server.send(b"0123456789")
    assert again.read(10) == b"0123456789"  # a trap is sprung once


def test_reset_is_abrupt(line):
    client, server = line.connect()
    line.proxy.reset(4)
    server.send(b"0123456789")
    if client.socket.family == socket.AF_UNIX:
        assert client.read_to_end() == b"0123"
        return
    line.proxy.wait_sprung()
    with pytest.raises(ConnectionResetError):
        client.read_to_end()


def test_reset_of_all_ends_every_connection(line):
    pairs = [line.connect() for _ in range(3)]
    line.proxy.reset_all()
    for side in (side for pair in pairs for side in pair):
        if side.socket.family == socket.AF_UNIX:
            assert side.read_to_end() == b""
        else:
            with pytest.raises(ConnectionResetError):
                side.read_to_end()


def test_close_of_all_is_in_order(line):
    client, server = line.connect()
    line.proxy.close_all()
    assert client.read_to_end() == b"" and server.read_to_end() == b""


@pytest.mark.parametrize("n", [0, 3, 9])
def test_flip_inverts_one_byte(line, n):
    client, server = line.connect()
    line.proxy.flip(n)
    for piece in (b"01234", b"56789"):
        server.send(piece)
    expected = bytearray(b"0123456789")
    expected[n] ^= 0xff
    assert client.read(10) == expected
    server.send(b"0123456789")
    assert client.read(10) == b"0123456789"


def test_half_close_ends_one_direction(line):
    client, server = line.connect()
    line.proxy.half_close(4, "down")
    server.send(b"0123456789")
    assert client.read_to_end() == b"0123"
    client.send(b"still")
    assert server.read(5) == b"still"


def test_throttle_passes_at_its_rate(line):
    client, server = line.connect()
    line.proxy.throttle(100_000, "down")
    began = time.monotonic()
    server.send(bytes(50_000))
    client.read(50_000)
    assert time.monotonic() - began >= 0.4


def test_hold_stops_one_connection_before_its_text(line):
    def ask(user):
        return ("*2\r\n" + redis_words("HMGET", f"epoch:{{{user}}}")).encode()

    client, server = line.connect()
    other, other_server = line.connect()
    line.proxy.hold(redis_words("HMGET", "epoch:{ann}"))
    for sender, receiver, data in ((other, other_server, ask("bob")), (client, server, b"before")):
        sender.send(data)
        assert receiver.read(len(data)) == data
    client.send(ask("ann"))
    line.proxy.wait_sprung()
    other.send(ask("ann"))
    assert other_server.read(len(ask("ann"))) == ask("ann")
    assert server.nothing_arrives()
    line.proxy.let_pass()
    assert server.read(len(ask("ann"))) == ask("ann")


def test_refusing_is_as_if_nothing_listened(line):
    client, server = line.connect()
    line.proxy.refuse()
    with pytest.raises(OSError):
        line.connect()
    client.send(b"present ones stay")
    assert server.read(17) == b"present ones stay"
    line.proxy.accept()
    line.connect()


def test_a_server_that_is_away_ends_the_connection(line):
    line.listener.close()
    kind, _, where = line.proxy.address.partition(":")
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as client:
        client.settimeout(20)
        try:
            client.connect(where if kind == "unix" else ("127.0.0.1", int(where.split(":")[1])))
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("command", ["", "fly", "stall", "stall sideways", "cut down", "cut down -1", "hold up ", "hold up \\x",
                                     "delay both many", "throttle down 0"])
def test_a_wrong_command_is_refused(line, command):
    line.proxy.process.stdin.write(command + "\n")
    assert line.proxy.process.stdout.readline() == "error: no such command\n"
    client, server = line.connect()
    server.send(b"unharmed")
    assert client.read(8) == b"unharmed"


def test_the_private_servers_are_reached_through_proxies(servers, redis_proxy, postgres_proxy, run_worker):
    through = {"REDIS_URL": redis_proxy.url, "DATABASE_URL": postgres_proxy.url}
    assert "FAILED" not in run_worker("check", **through).stdout
    assert redis_proxy.status()["accepted"] > 0 and postgres_proxy.status()["accepted"] > 0
    redis_proxy.refuse()
    postgres_proxy.refuse()
    done = run_worker("check", check=False, **through)
    assert done.returncode == 1 and done.stdout.count("FAILED") == 2


def test_addresses_are_judged():
    for listen in ("tcp:localhost:1", "tcp:127.0.0.1:x", "unix:" + "x" * 108, "/tmp/x"):
        done = subprocess.run([BUILD / "tests/programs/fault_proxy", listen, "unix:/tmp/x"], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.startswith("fault_proxy: ")
