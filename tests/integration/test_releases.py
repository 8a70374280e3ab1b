"""Two releases that serve the same journals from the same Redis while their stored values differ, as during an upgrade."""
import planted
import pytest
from fastcgi_client import Client, bearer
from harness import BUILD, add_stock, execute, wait_until, webhook_event
from test_degradation import CORE, CORE_KEY, NO_L1, is_hit, trades_in


@pytest.fixture(scope="module")
def other_release(tmp_path_factory):
    return planted.build_with_other_values(tmp_path_factory.mktemp("release"))


@pytest.fixture
def start_both(servers, start_responder, other_release):
    """start_both(...): a responder of each release; a client of each, and the version of its values."""
    clients = []

    def start(**settings):
        for programs, listen in ((BUILD, servers.listen), (other_release, f"{servers.run_dir}/other.sock")):
            start_responder(programs / "pnlcache.fcgi", LISTEN=listen, **settings)
            clients.append(Client(listen))
        return list(zip(clients, (b"PNLC1", b"PNLC2")))

    yield start
    for client in clients:
        client.close()


def test_each_release_replaces_the_others_values_and_serves_none_of_them(servers, db, start_both):
    both = start_both(**NO_L1)
    for n in range(1, 5):
        add_stock(db, "alice", n)
        teller, _ = both[n % 2]
        assert teller.webhook(webhook_event(asset="stocks")).status == 202
        for client, version in both * 2:
            answer = client.ask("GET", CORE, bearer())
            assert trades_in(answer) == n and answer.headers["cache-status"] == "pnlcache; fwd=miss; stored"
            assert servers.redis("GET", CORE_KEY % "alice").startswith(version + b" ")
            again = client.ask("GET", CORE, bearer())
            assert is_hit(again) and again.body == answer.body


def test_an_event_told_to_one_release_counts_for_the_other(servers, db, start_both):
    """What each holds in its own memory ends with the same epochs; and who takes an event out of the outbox does not matter."""
    both = start_both()
    for n in range(1, 9):
        add_stock(db, "alice", n)
        teller, _ = both[n % 2]
        assert teller.webhook(webhook_event(asset="stocks")).status == 202
        assert trades_in(teller.ask("GET", CORE, bearer())) == n
        for client, _ in both:
            wait_until(lambda n=n, client=client: trades_in(client.ask("GET", CORE, bearer())) == n, what="the other's number")


def test_jobs_of_one_release_are_done_by_a_worker_of_the_other(servers, db, start_both, start_daemon, other_release):
    [(ours, _), (theirs, _)] = start_both(**NO_L1)
    add_stock(db, "alice", 1)
    execute(db, "TRUNCATE pnlcache.change_log")  # the webhook alone tells of it, once
    start_daemon(other_release / "pnlcache-worker", "run", ready=lambda _: b"workers" in servers.redis("XINFO", "GROUPS", "jobs"))
    assert ours.webhook(webhook_event(asset="stocks")).status == 202
    wait_until(lambda: servers.redis("GET", CORE_KEY % "alice").startswith(b"PNLC2 "), what="the document of the other release's worker")
    assert is_hit(theirs.ask("GET", CORE, bearer())) and trades_in(ours.ask("GET", CORE, bearer())) == 1
