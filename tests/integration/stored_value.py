"""Values as they stand in Redis (docs/decisions/0001-value-header.md), taken apart and put together with other bodies, as a program
gone wrong, or another one, would have stored them."""
import ctypes
import ctypes.util
import re

import redis


def xxh3(text):
    """XXH3-64, as the programs' library computes it."""
    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_64bits.restype = ctypes.c_uint64
    return b"%016x" % library.XXH3_64bits(text, ctypes.c_size_t(len(text)))


def get(servers, key):
    """The header line and the body."""
    with redis.Redis(unix_socket_path=servers.redis_socket) as client:
        line, _, body = client.get(key).partition(b"\n")
        return line, body


def put(servers, key, value):
    """Any bytes, which redis-cli's arguments could not carry; the time to live stays."""
    with redis.Redis(unix_socket_path=servers.redis_socket) as client:
        client.set(key, value, keepttl=True)


def put_body(servers, key, body, encoding=b"i"):
    """Another body under the header that is there, whose size and sum are made to fit."""
    line, _ = get(servers, key)
    fitting = b" enc=%s size=%09d sum=%s" % (encoding, len(body), xxh3(body))
    line, n = re.subn(rb" enc=. size=\d{9} sum=[0-9a-f]{16}", fitting, line)
    assert n == 1, line
    put(servers, key, line + b"\n" + body)
