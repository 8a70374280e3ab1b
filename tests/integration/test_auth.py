"""Who is let in: tokens of public keys and their rotation. Keys and signatures are made by the openssl command."""
import base64
import json
import os
import re
import subprocess
import time

import pytest
from harness import BUILD, add_stock, token, wait_until

CORE = "/api/analytics/core"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, stdin=b""):
    return subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=True).stdout


class Issuer:
    """A key pair, and what an issuer does with it. algorithm: RS256 or ES256."""

    def __init__(self, folder, algorithm, kid=None):
        self.algorithm, self.kid = algorithm, kid
        self.private = folder / f"{algorithm}.{kid}.pem"
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "RS256" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", "-algorithm", *kind, "-out", self.private)

    def public_pem(self):
        return openssl("pkey", "-in", self.private, "-pubout").decode()

    def jwk(self):
        text = openssl("pkey", "-in", self.private, "-pubout", "-text_pub", "-noout").decode()
        digits = lambda name: bytes.fromhex(re.sub(r"[\s:]", "", re.search(name + r":\n((?: +[0-9a-f:]+\n)+)", text)[1]))
        if self.algorithm == "RS256":
            key = {"kty": "RSA", "n": b64url(digits("Modulus").lstrip(b"\0")), "e": "AQAB"}
        else:
            point = digits("pub")
            key = {"kty": "EC", "crv": "P-256", "x": b64url(point[1:33]), "y": b64url(point[33:])}
        return {**key, "use": "sig", "alg": self.algorithm, **({"kid": self.kid} if self.kid else {})}

    def sign(self, text):
        signature = openssl("dgst", "-sha256", "-sign", self.private, stdin=text.encode())
        if self.algorithm == "RS256":
            return signature
        lines = openssl("asn1parse", "-inform", "DER", stdin=signature).decode()
        return b"".join(int(number, 16).to_bytes(32, "big") for number in re.findall(r"INTEGER +:([0-9A-F]+)", lines))

    def token(self, user, **header):
        head = {"alg": self.algorithm, "typ": "JWT", **({"kid": self.kid} if self.kid else {}), **header}
        body = {"sub": user, "exp": int(time.time()) + 600}
        signed = b64url(json.dumps(head).encode()) + "." + b64url(json.dumps(body).encode())
        return signed + "." + b64url(self.sign(signed))


def put(path, text):
    """As a careful operator replaces a file: whole."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def key_set(*issuers):
    return json.dumps({"keys": [issuer.jwk() for issuer in issuers]})


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_of_a_pem_key(web, db, start_responder, tmp_path, algorithm):
    issuer, stranger = Issuer(tmp_path, algorithm, "ours"), Issuer(tmp_path, algorithm, "theirs")
    keys = tmp_path / "keys.pem"
    put(keys, issuer.public_pem())
    start_responder(JWT_SECRET=None, JWT_KEYS=str(keys))
    add_stock(db, "ann", 1)
    assert web.get(CORE, token_=issuer.token("ann")).json()["data"]["total_trades"] == 1
    refused = web.get(CORE, token_=stranger.token("ann"))
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    # The public key, which everybody knows, is no HMAC secret; and without JWT_SECRET there is no HS256 at all.
    assert web.get(CORE, token_=token("ann", secret=issuer.public_pem())).status == 401
    assert web.get(CORE, token_=token("ann")).status == 401


def test_secret_and_keys_side_by_side(web, db, start_responder, tmp_path):
    issuer = Issuer(tmp_path, "ES256", "k1")
    keys = tmp_path / "jwks.json"
    put(keys, key_set(issuer))
    start_responder(JWT_KEYS=str(keys))
    assert web.get(CORE, token_=issuer.token("ann")).status == 200
    assert web.get(CORE, token_=token("ann")).status == 200
    assert web.get(CORE, token_=issuer.token("ann", kid="k2")).status == 401
    assert web.get(CORE, token_=issuer.token("ann", alg="HS256")).status == 401


def test_replacing_the_key_file_rotates_the_keys(web, db, start_responder, tmp_path):
    old, new = Issuer(tmp_path, "RS256", "2025"), Issuer(tmp_path, "ES256", "2026")
    keys = tmp_path / "jwks.json"
    put(keys, key_set(old))
    responder = start_responder(JWT_SECRET=None, JWT_KEYS=str(keys))
    of_old, of_new = old.token("ann"), new.token("ann")
    status = lambda token_: web.get(CORE, token_=token_).status
    assert (status(of_old), status(of_new)) == (200, 401)
    put(keys, key_set(old, new))
    wait_until(lambda: status(of_new) == 200, what="the new key")
    assert status(of_old) == 200
    put(keys, key_set(new))
    wait_until(lambda: status(of_old) == 401, what="the end of the old key")
    assert status(of_new) == 200

    # A version that cannot be used is complained about once, and the keys before it stay.
    for text, reason in (("{", "JWT_KEYS="), (new.private.read_text(), "private"), ('{"keys": []}', "no RSA or P-256")):
        before = responder.log().count("settings not reloaded")
        put(keys, text)
        wait_until(lambda: responder.log().count("settings not reloaded") > before, what="the complaint")  # noqa: B023
        assert reason in responder.log() and status(of_new) == 200
    keys.unlink()
    wait_until(lambda: "No such file" in responder.log(), what="the complaint about a missing file")
    assert status(of_new) == 200
    put(keys, key_set(old))
    wait_until(lambda: status(of_old) == 200, what="the file that came back")
    assert responder.log().count("settings not reloaded") == 4


def test_keys_rotate_while_a_dataset_is_being_written(web, db, start_responder, tmp_path):
    """Only SIGHUP looks at the rest of the settings: half a file of somebody else's keeps no revoked key alive."""
    old, new = Issuer(tmp_path, "ES256", "2025"), Issuer(tmp_path, "ES256", "2026")
    keys, datasets = tmp_path / "jwks.json", tmp_path / "datasets"
    datasets.mkdir()
    put(keys, key_set(old))
    responder = start_responder(JWT_KEYS=str(keys), DATASET_DIR=datasets)
    (datasets / "half.sql").write_text("-- name: half\n")
    put(keys, key_set(new))
    wait_until(lambda: web.get(CORE, token_=new.token("ann")).status == 200, what="the new key")
    assert web.get(CORE, token_=old.token("ann")).status == 401
    assert "msg=\"keys reloaded\"" in responder.log() and "not reloaded" not in responder.log()


def test_an_unusable_key_file_stops_the_start(servers, tmp_path):
    keys = tmp_path / "keys.pem"
    keys.write_text("no key")
    done = subprocess.run([BUILD / "pnlcache.fcgi", "--check"], env=servers.settings(JWT_KEYS=keys), capture_output=True, text=True, check=False)
    assert done.returncode == 78 and f"JWT_KEYS={keys}: it holds no RSA or P-256 public key" in done.stderr
