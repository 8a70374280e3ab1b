"""AUTH_MODE with remote_user: the user is whom the web server has authenticated, and nobody whom a client names."""
import base64
import subprocess

import pytest
from fastcgi_client import Client, bearer, problem
from harness import BUILD, ROOT, free_port, token

CORE = "/api/analytics/core"


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def user_of(answer):
    return answer.json()["meta"]["user_id"] if answer.status == 200 else answer.status


@pytest.fixture
def ask(servers, db):
    """ask(headers, PARAMETER=value): the user who was served, or the refusal's status; at the responder's socket."""
    clients = []

    def ask(headers=None, uri=CORE, **params):
        if not clients:
            clients.append(Client(servers.listen))
        answer = clients[0].ask("GET", uri, headers or {}, **params)
        if answer.status != 200:
            problem(answer, answer.status)
            return answer.status
        return answer.body.split(b'"user_id":"')[1].split(b'"')[0].decode()

    yield ask
    for client in clients:
        client.close()


def test_without_jwt_no_secret_is_needed_and_no_token_counts(ask, start_responder):
    start_responder(AUTH_MODE="remote_user", JWT_SECRET=None)
    assert ask(REMOTE_USER="ann") == "ann"
    assert ask(REMOTE_USER="bob") == "bob"
    assert ask() == 401
    assert ask(REMOTE_USER="") == 401
    assert ask(bearer("eve")) == 401
    assert ask(bearer("eve"), REMOTE_USER="ann") == "ann"


def test_a_token_comes_first_and_a_bad_one_is_not_made_good(ask, start_responder):
    start_responder(AUTH_MODE="jwt, remote_user")
    assert ask(bearer("eve"), REMOTE_USER="ann") == "eve"
    assert ask(bearer("eve")) == "eve"
    assert ask(REMOTE_USER="ann") == "ann"
    assert ask(basic("ann", "x"), REMOTE_USER="ann") == "ann"
    assert ask(bearer("eve", ttl=-600), REMOTE_USER="ann") == 401
    assert ask({"Authorization": "Bearer nonsense"}, REMOTE_USER="ann") == 401


def test_by_default_the_remote_user_counts_for_nothing(ask, responder):
    assert ask(REMOTE_USER="ann") == 401
    assert ask(bearer("eve"), REMOTE_USER="ann") == "eve"


def test_no_header_is_the_remote_user(ask, start_responder):
    start_responder(AUTH_MODE="remote_user", JWT_SECRET=None)
    for name in ("Remote-User", "X-Remote-User", "REMOTE_USER", "X-Forwarded-User"):
        assert ask({name: "ann"}) == 401
    assert ask(basic("ann", "x")) == 401


def test_a_remote_user_is_never_more_than_a_user(ask, start_responder):
    start_responder(AUTH_MODE="remote_user", JWT_SECRET=None)
    assert ask(uri=CORE + "?user_id=bob", REMOTE_USER="ann") == 403
    assert ask(uri=CORE + "?user_id=ann", REMOTE_USER="ann") == "ann"
    for user in ("x" * 129, "a\tb", b"\xff"):
        assert ask(REMOTE_USER=user) == 401
    assert ask(REMOTE_USER="x" * 128) == "x" * 128


@pytest.mark.parametrize("mode", ["", "basic", "jwt,basic", "jwtx", "remote-user", "JWT"])
def test_an_unknown_mode_stops_the_start(servers, mode):
    done = subprocess.run([BUILD / "pnlcache.fcgi", "--check"], env=servers.settings(AUTH_MODE=mode + ","), capture_output=True, text=True, check=False)
    assert done.returncode == 78 and "AUTH_MODE" in done.stderr and "a list of jwt, session and remote_user" in done.stderr


def test_jwt_in_the_list_needs_its_secret(servers):
    done = subprocess.run([BUILD / "pnlcache.fcgi", "--check"], env=servers.settings(AUTH_MODE="remote_user,jwt", JWT_SECRET=None),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 78 and "JWT_SECRET" in done.stderr


# --- through the web servers ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def password_file(servers):
    path = servers.run_dir / "htpasswd"
    digest = subprocess.run(["openssl", "passwd", "-apr1", "secret"], capture_output=True, text=True, check=True).stdout
    path.write_text("ann:" + digest)
    path.chmod(0o644)
    return path


def expect_basic(web):
    assert user_of(web.get(CORE, headers=basic("ann", "secret"))) == "ann"
    for headers in ({}, basic("ann", "wrong"), basic("bob", "secret"), {"Remote-User": "ann"}, {"REMOTE_USER": "ann"}, {"Remote_User": "ann"}):
        assert web.get(CORE, headers=headers).status == 401
    assert web.trade_event("ann").status == 202


def test_nginx_as_shipped_passes_no_name_that_nobody_checked(web, db, start_responder):
    start_responder(AUTH_MODE="jwt,remote_user")
    assert web.get(CORE, headers=basic("ann", "x")).status == 401
    assert user_of(web.get(CORE, token_=token("ann"))) == "ann"


def test_nginx_with_auth_basic_as_the_manual_has_it(servers, web_dir, start_web_server, start_responder, db, password_file):
    start_responder(AUTH_MODE="remote_user", JWT_SECRET=None)
    port = free_port()
    text = subprocess.run([ROOT / "tools/nginx_conf.sh", servers.run_dir, str(port), web_dir], capture_output=True, text=True, check=True).stdout
    opening = "    location ^~ /api/ {\n"
    place = text[text.index(opening):text.index("    # Operations")]
    secured = place.replace(opening, f'{opening}auth_basic "journal";\nauth_basic_user_file {password_file};\n'
                                     "fastcgi_param REMOTE_USER $remote_user if_not_empty;\n")
    text = text.replace(place, secured + place.replace("/api/", "/api/webhooks/")).replace("nginx_pid", "nginx_basic_pid")
    conf = servers.state / "nginx-basic.conf"
    conf.write_text(text)
    expect_basic(start_web_server("nginx-basic", port, "/usr/sbin/nginx", "-e", "/dev/stderr", "-g", "daemon off;", "-c", conf))


def test_apache_with_basic_as_the_manual_has_it(start_apache, start_responder, db, password_file):
    start_responder(AUTH_MODE="remote_user", JWT_SECRET=None)
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in ("authn_core", "authn_file", "authz_user", "auth_basic"))
    protect = (f"<Location /api/>\nAuthType Basic\nAuthName journal\nAuthUserFile {password_file}\nRequire valid-user\n</Location>\n"
               "<Location /api/webhooks/>\nRequire all granted\n</Location>\n")
    expect_basic(start_apache("apache-basic", "apache-proxy-fcgi.conf.example", lambda text: modules + text + protect))
