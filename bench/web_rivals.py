"""One nginx in front of everything that answers the same document: the responder from its own memory and from Redis, the least a
FastCGI program can do, a static file, Lua in nginx that asks Redis, and webdis. Every one has two threads (nginx: two workers) and,
where nginx passes the request on, the very location block that we ship, with another upstream."""
import json
import re
import subprocess
from pathlib import Path

import redis
from fastcgi_client import Client
from harness import BUILD, JWT_SECRET, ROOT, Daemon, Web, free_port, token, wait_until

from common import HIT_PATH, HIT_USER, USERS

THREADS = 2
USERS_IN_TURN = min(USERS, 64)
MODULES = Path("/usr/lib/nginx/modules")
LUA_PACKAGES = "/usr/share/lua/5.1/?.lua;;"

# HS256 through the libcrypto that nginx has loaded, and the verdicts of a worker process kept until the token ends: what a careful team
# writes. verified_user(): nil when there is none.
LUA_JWT = """
        local ffi = require "ffi"
        ffi.cdef[[
            const void *EVP_sha256(void);
            unsigned char *HMAC(const void *md, const void *key, int key_len, const char *d, size_t n, unsigned char *out, unsigned int *out_len);
        ]]
        local crypto, verified, secret = ffi.load("libcrypto.so.3"), {}, "%s"

        local function decode(text)
            return ngx.decode_base64(text:gsub("-", "+"):gsub("_", "/") .. ("="):rep(-#text %% 4))
        end

        local function verify(token)
            local signed, payload, signature = token:match("^([%%w_-]+%%.([%%w_-]+))%%.([%%w_-]+)$")
            if not signed then return nil end
            local out, len = ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")
            crypto.HMAC(crypto.EVP_sha256(), secret, #secret, signed, #signed, out, len)
            if ffi.string(out, 32) ~= decode(signature) then return nil end
            local claims = decode(payload)
            return {user = claims:match('"sub"%%s*:%%s*"([^"]*)"'), ends = tonumber(claims:match('"exp"%%s*:%%s*(%%d+)'))}
        end

        function verified_user()
            local authorization = ngx.var.http_authorization
            local token = authorization and authorization:match("^Bearer +(.+)$")
            if not token then return nil end
            local known = verified[token] or verify(token)
            verified[token] = known
            return known and ngx.time() < known.ends and known.user or nil
        end
"""

LUA = """
            local redis = require "nginx.redis"
            local connection = redis:new()
            assert(connection:connect("unix:%s"))
            local body = assert(connection:get(%s))
            assert(connection:set_keepalive(60000, 512))
            ngx.header.content_type = "application/json"
            ngx.header.content_encoding = "gzip"
            ngx.header.content_length = #body
            ngx.print(body)
"""


def bearer(user):
    return f"Bearer {token(user, ttl=86400)}"


def bench_users():
    return [f"bench-{n:04d}" for n in range(1, USERS_IN_TURN + 1)]


def wrk(url, seconds, headers=(), connections=64, script=None):
    """Requests per second over kept connections; every answer must be a success or 304. `script`: a file that makes the requests."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", *(["-s", script] if script else [])]
    for header in headers:
        command += ["-H", header]
    out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


class Rivals:
    """Started together, stopped by close(). asks: name -> function of a number of connections that returns requests per second."""

    def __init__(self, servers, seconds):
        self.servers, self.seconds = servers, seconds
        self.daemons = []
        subprocess.run([BUILD / "pnlcache-worker", "job", "precompute", "--user", HIT_USER], env=servers.settings(), check=True)
        with redis.Redis(unix_socket_path=servers.redis_socket) as store:  # redis-cli takes no NUL
            header, self.body = store.get(f"analytics:combined:{{{HIT_USER}}}:30d:core").split(b"\n", 1)
            store.set("bench-body", self.body)
            store.set(f"bench:{HIT_USER}:30d", self.body)
        self.etag = f'"{re.search(rb" etag=([0-9a-f]+)", header).group(1).decode()}-gzip"'
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        web = self.servers.state / "web"
        web.mkdir(exist_ok=True)
        (web / "body.json").write_bytes(self.body)
        self.responder = self._start_responder("responder")
        self._start_responder("redis-hits", CACHE_MAX_MEMORY_ENTRIES=0, LISTEN=self._socket("redis"))
        self._start_echo("echo", b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(self.body) + self.body)
        self._start_echo("same", self._whole_answer())
        ports = {name: free_port() for name in ("l1", "redis", "echo", "same", "webdis")}
        self._start_webdis(ports["webdis"])
        (self.servers.state / "nginx.conf").write_text(self._nginx_conf(ports))
        self.servers.start("nginx", PORT=str(ports["l1"]))
        self.asks = self._asks({name: f"http://127.0.0.1:{port}" for name, port in ports.items()})
        self._check(ports)

    def _socket(self, name):
        return f"{self.servers.run_dir}/rival-{name}.sock"

    def _start_responder(self, name, **settings):
        daemon = Daemon([BUILD / "pnlcache.fcgi"], self.servers.settings(THREADS=THREADS, **settings), self.servers.state / f"{name}.log")
        self.daemons.append(daemon)
        return daemon

    def _start_echo(self, name, answer):
        path = self.servers.state / f"{name}.answer"
        path.write_bytes(answer)
        self.servers.spawn(name, "bash", "-c", 'exec "$0" "$1" "$2" <"$3"', BUILD / "bench/fastcgi_echo", self._socket(name), str(THREADS), path)

    def _whole_answer(self):
        """What the responder says of a hit, header lines included."""
        def hit():
            with Client(self.servers.listen) as client:
                answer = client.ask("GET", HIT_PATH, {"Authorization": f"Bearer {token(HIT_USER)}", "Accept-Encoding": "gzip"})
            return answer if "detail=l1" in answer.headers["cache-status"] else None

        wait_until(lambda: "msg=ready" in self.responder.log(), what="the responder")
        answer = wait_until(hit, what="a hit from L1")
        return "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()).encode() + b"\r\n" + answer.body

    def _start_webdis(self, port):
        conf = self.servers.state / "webdis.json"
        conf.write_text(json.dumps({
            "redis_host": self.servers.redis_socket, "redis_port": 0, "http_host": "127.0.0.1", "http_port": port, "threads": THREADS,
            "daemonize": False, "verbosity": 0, "logfile": str(self.servers.state / "webdis.log"),
            "pidfile": str(self.servers.state / "webdis.pid")}))
        self.servers.spawn("webdis", "webdis", conf)

    def _upstream(self, conf, name, port, l1_port):
        """The shipped upstream and server once more, for another socket and port."""
        block = conf[conf.index("upstream pnlcache"):conf.rindex("}")]
        for old, new in (("upstream pnlcache ", f"upstream {name} "), ("fastcgi_pass pnlcache;", f"fastcgi_pass {name};"),
                         (self.servers.listen, self._socket(name)), (f"127.0.0.1:{l1_port};", f"127.0.0.1:{port};")):
            assert old in block, old
            block = block.replace(old, new)
        return block

    def _nginx_conf(self, ports):
        """The shipped configuration, four times, and the rivals that speak no FastCGI beside it."""
        conf = subprocess.run([ROOT / "tools/nginx_conf.sh", self.servers.run_dir, str(ports["l1"]), self.servers.state / "web"],
                              capture_output=True, text=True, check=True).stdout
        rivals = f"""
    lua_package_path "{LUA_PACKAGES}";
    init_by_lua_block {{{LUA_JWT % JWT_SECRET}}}
    open_file_cache max=10;
    upstream webdis {{ server 127.0.0.1:{ports["webdis"]}; keepalive 512; }}
    """
        locations = f"""
        location = /body.json {{ add_header Content-Encoding gzip; }}
        location = /lua {{ content_by_lua_block {{
            local user = verified_user()
            if not user then return ngx.exit(401) end
            {LUA % (self.servers.redis_socket, '"bench:" .. user .. ":" .. ngx.var.arg_time_range')} }} }}
        location = /lua-open {{ content_by_lua_block {{{LUA % (self.servers.redis_socket, '"bench-body"')}}} }}
        location /GET/ {{ proxy_pass http://webdis; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    """
        end = conf.rindex("}")
        more = "".join(self._upstream(conf, name, ports[name], ports["l1"]) for name in ("redis", "echo", "same"))
        conf = conf[:end] + more + conf[end:]
        conf = conf.replace("server {", rivals + "server {" + locations, 1)
        return f"load_module {MODULES}/ndk_http_module.so;\nload_module {MODULES}/ngx_http_lua_module.so;\n{conf}"

    def _users_script(self):
        """For wrk: every request is another user's, in turn."""
        path = self.servers.state / "users.lua"
        tokens = ", ".join(f'"{bearer(user)}"' for user in bench_users())
        path.write_text(f"""
            local requests, i = {{}}, 0
            function init(args) -- only now there is a Host
                for n, token in ipairs({{ {tokens} }}) do
                    local headers = {{["Host"] = wrk.headers["Host"], ["Authorization"] = token, ["Accept-Encoding"] = "gzip"}}
                    requests[n] = wrk.format("GET", "{HIT_PATH}", headers)
                end
            end
            request = function() i = i % #requests + 1; return requests[i] end""")
        return path

    def _asks(self, urls):
        gzip, script = "Accept-Encoding: gzip", self._users_script()

        def rival(url, *headers):
            return lambda connections: wrk(url, self.seconds, [f"Authorization: {bearer(HIT_USER)}", *headers], connections)

        def users(name):
            return lambda connections: wrk(urls[name], self.seconds, connections=connections, script=script)

        return {
            "l1": rival(urls["l1"] + HIT_PATH, gzip),
            "redis": rival(urls["redis"] + HIT_PATH, gzip),
            "not_modified": rival(urls["l1"] + HIT_PATH, gzip, f"If-None-Match: {self.etag}"),
            "identity": rival(urls["l1"] + HIT_PATH),
            "echo": rival(urls["echo"] + HIT_PATH, gzip),
            "same": rival(urls["same"] + HIT_PATH, gzip),
            "static": rival(urls["l1"] + "/body.json"),
            "lua": rival(urls["l1"] + "/lua?time_range=30d"),
            "lua_open": rival(urls["l1"] + "/lua-open"),
            "webdis": rival(urls["l1"] + "/GET/bench-body.txt"),
            **{f"{name}_users": users(name) for name in ("l1", "redis", "echo")},
        }

    def _check(self, ports):
        """That each answers what its name says."""
        def get(port, path, user=HIT_USER, **headers):
            return Web(ports[port]).get(path, user=user, headers={name.replace("_", "-"): value for name, value in headers.items()})

        def hits(port, detail, user=HIT_USER):
            answer = get(port, HIT_PATH, user, Accept_Encoding="gzip")
            return detail in answer.headers.get("Cache-Status", "") and (answer.body == self.body or user != HIT_USER)

        def status(port, path, **headers):
            try:
                return get(port, path, **headers).status
            except OSError:
                return None

        wait_until(lambda: hits("l1", "detail=l1"), what="a hit from L1")
        wait_until(lambda: hits("redis", "detail=redis"), what="a hit from Redis")
        for user in bench_users():
            wait_until(lambda user=user: hits("l1", "detail=l1", user), what=f"a hit of {user}")
        wait_until(lambda: status("l1", "/GET/bench-body.txt") == 200, what="webdis")
        assert status("l1", HIT_PATH, Accept_Encoding="gzip", If_None_Match=self.etag) == 304
        assert get("echo", HIT_PATH).body == get("same", HIT_PATH).body == self.body
        for path in "/lua", "/lua?time_range=30d":
            assert get("l1", path, user=None).status == 401
            assert get("l1", path, user=None, Authorization=bearer(HIT_USER)[:-2] + "AA").status == 401
        for path in "/body.json", "/lua?time_range=30d", "/lua-open", "/GET/bench-body.txt":
            assert get("l1", path).body == self.body, (path, get("l1", path))

    def close(self):
        for daemon in self.daemons:
            daemon.stop()
        self.servers.stop("nginx", "echo", "same", "webdis")
