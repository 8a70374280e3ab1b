"""Redis over TLS, as hosted ones are reached."""
import subprocess

import pytest
from harness import add_stock, free_port, wait_until

CORE = "/api/analytics/core"


@pytest.fixture
def tls_url(servers, clean, tmp_path):
    """The session's Redis, on a TLS port as well."""
    certificate, key = tmp_path / "redis.crt", tmp_path / "redis.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=redis",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    port = free_port()
    settings = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate, "tls-auth-clients": "no", "bind": "127.0.0.1",
                "tls-port": port}
    assert servers.redis("CONFIG", "SET", *(word for pair in settings.items() for word in pair)) == b"OK"
    yield {"REDIS_URL": f"rediss://127.0.0.1:{port}", "REDIS_TLS_CA": str(certificate)}
    servers.redis("CONFIG", "SET", "tls-port", 0)


def test_the_whole_path_over_tls(servers, db, web, start_responder, start_worker, run_worker, tls_url):
    add_stock(db, "ann", 1)
    run_worker("job", "precompute", "--all", **tls_url)
    start_responder(**tls_url)
    first = web.get(CORE, "ann")
    assert (first.json()["data"]["total_trades"], "hit" in first.headers["Cache-Status"]) == (1, True)
    add_stock(db, "ann", 2)
    assert web.trade_event("ann").status == 202
    assert web.get(CORE, "ann").json()["data"]["total_trades"] == 2
    start_worker(**tls_url)
    add_stock(db, "ann", 3)
    wait_until(lambda: web.get(CORE, "ann").json()["data"]["total_trades"] == 3, what="the worker's invalidation")
    encrypted = [line for line in servers.redis("CLIENT", "LIST").decode().splitlines() if "laddr=127.0.0.1:" in line]
    assert {"pnlcache.fcgi", "pnlcache-worker"} <= {field[5:] for line in encrypted for field in line.split() if field.startswith("name=")}


def test_a_certificate_that_is_not_trusted_is_said(run_worker, tls_url):
    done = run_worker("job", "precompute", "--all", check=False, **{**tls_url, "REDIS_TLS_CA": ""})
    assert done.returncode != 0 and "its certificate is not trusted: self-signed certificate" in done.stderr
