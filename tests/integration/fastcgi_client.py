"""A raw FastCGI client: it can say everything a web server says, and everything none would."""
import json
import socket
import struct

from harness import sign_webhook, token

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = range(1, 12)
RESPONDER, AUTHORIZER = 1, 2
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)


def record(type, id=1, content=b"", version=1, padding=0):
    return struct.pack(">BBHHBB", version, type, id, len(content), padding, 0) + content + b"\0" * padding


def begin(id=1, keep=True, role=RESPONDER):
    return record(BEGIN, id, struct.pack(">HB5x", role, 1 if keep else 0))


def pair(name, value):
    def length(text):
        return bytes([len(text)]) if len(text) < 128 else struct.pack(">I", len(text) | 0x80000000)

    name = name.encode() if isinstance(name, str) else name
    value = value.encode() if isinstance(value, str) else value
    return length(name) + length(value) + name + value


def pairs(params):
    return b"".join(pair(name, value) for name, value in (params.items() if isinstance(params, dict) else params))


def stream(type, content, id=1, piece=65535):
    """The records of a stream and the empty one that ends it."""
    parts = [record(type, id, content[i:i + piece]) for i in range(0, len(content), piece)]
    return b"".join(parts) + record(type, id)


def params_of(method, uri, headers=None, body=b"", **more):
    params = {"REQUEST_METHOD": method, "REQUEST_URI": uri, "QUERY_STRING": uri.partition("?")[2],
              "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1"}
    if body:
        params["CONTENT_LENGTH"] = str(len(body))
    for name, value in (headers or {}).items():
        name = name.upper().replace("-", "_")
        params[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name] = value
    params.update(more)
    return params


def request(method, uri, headers=None, body=b"", id=1, keep=True, piece=65535, **more):
    """The bytes of one whole request."""
    return (begin(id, keep) + stream(PARAMS, pairs(params_of(method, uri, headers, body, **more)), id, piece)
            + stream(STDIN, body, id, piece))


class Answer:
    def __init__(self, stdout, protocol_status):
        self.protocol_status = protocol_status
        head, _, self.body = stdout.partition(b"\r\n\r\n")
        self.headers = {}
        for line in head.decode().split("\r\n") if head else []:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.status = int(self.headers.get("status", "200" if head else "0")[:3])  # RFC 3875, 6.3.3

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Client:
    """One connection."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _read(self, n):
        while len(self.buffer) < n:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_record(self):
        """(type, id, content); EOFError when the responder closed."""
        version, type, id, length, padding, _ = struct.unpack(">BBHHBB", self._read(8))
        assert version == 1
        content = self._read(length)
        self._read(padding)
        return type, id, content

    def read_answer(self, id=1):
        stdout = b""
        while True:
            type, got, content = self.read_record()
            assert got == id, (type, got)
            if type == STDOUT:
                stdout += content
            elif type == END:
                return Answer(stdout, content[4])
            else:
                raise AssertionError(f"unexpected record {type}")

    def webhook(self, body, **how):
        """Sends a signed webhook; `how` as sign_webhook() takes it."""
        return self.ask("POST", "/api/webhooks/trades", sign_webhook(body, **how), body)

    def is_closed(self):
        """Waits for the responder to close; nothing else may come."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def ask(self, method, uri, headers=None, body=b"", **more):
        self.send(request(method, uri, headers, body, **more))
        return self.read_answer(more.get("id", 1))


def bearer(user="alice", **more):
    return {"Authorization": "Bearer " + token(user, **more)}


# What RFC 9110 (15.5.2, 15.5.6) and docs/api.md have an answer of this status say besides.
HEADERS_OF = {401: "www-authenticate", 405: "allow", 429: "retry-after", 503: "retry-after"}


def problem(answer, status):
    """Checks a problem document and returns it."""
    assert answer.status == status, answer
    assert HEADERS_OF.get(status, "content-type") in answer.headers, answer
    assert answer.headers["content-type"] == "application/problem+json"
    document = json.loads(answer.body)
    assert document["success"] is False and document["status"] == status
    assert document["error"] == document["detail"] and document["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    return document
