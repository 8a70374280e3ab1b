"""What the machine runs out of, and a responder that is killed while others wait in its socket."""
import shutil
import signal
import subprocess
import threading

import pytest
from harness import add_stock, may_mount, wait_until
from test_degradation import ask, check_all_works, is_hit, is_unavailable, outbox_rows, tell, trades_in
from test_schedule import SocketOwner

PATH = "/api/analytics/core?time_range=30d"


class WebReaders:
    """Threads that each ask once more when they have an answer."""

    def __init__(self, web, n, times=None):
        self.web, self.statuses, self.over = web, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(times,)) for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def run(self, times):
        while not self.over.is_set() and times != 0:
            self.statuses.append(self.web.get(PATH, user="ann").status)
            times = times and times - 1

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


def test_a_full_backlog_is_502_at_once_and_over_when_there_is_room(servers, db, web, start_responder):
    add_stock(db, "ann", 1)
    responder = start_responder(LISTEN_BACKLOG="4")
    assert web.get(PATH, user="ann").status == 200
    responder.signal(signal.SIGSTOP)
    try:
        readers = WebReaders(web, 40, times=1)
        wait_until(lambda: readers.statuses.count(502) > 20, what="requests to be refused by the web server")
        assert set(readers.statuses) == {502}
    finally:
        responder.signal(signal.SIGCONT)
    readers.end()
    assert len(readers.statuses) == 40 and set(readers.statuses) == {200, 502}
    readers = WebReaders(web, 4, times=10)  # as many as there is room for
    wait_until(lambda: len(readers.statuses) == 40, what="answers")
    readers.end()
    assert set(readers.statuses) == {200}


def test_a_killed_responder_fails_what_it_had_in_hand_and_no_more(servers, db, run_worker, web, tmp_path):
    add_stock(db, "ann", 1)
    run_worker("job", "precompute", "--user", "ann")
    owner, kills = SocketOwner(servers, tmp_path / "responder.log"), 10
    readers = None
    try:
        responder = owner.start()
        readers = WebReaders(web, 4)
        for _ in range(kills):
            before = len(readers.statuses)
            wait_until(lambda before=before: len(readers.statuses) > before + 40, what="answers")
            responder.kill()
            responder.wait()
            responder = owner.start()
        before = len(readers.statuses)
        wait_until(lambda: len(readers.statuses) > before + 40, what="answers of the last one")
        readers.end()
        responder.send_signal(signal.SIGTERM)
        assert responder.wait(30) == 0
    finally:
        if readers:
            readers.over.set()
        owner.close()
    failed = [status for status in readers.statuses if status != 200]
    assert len(failed) <= kills * 4 and set(failed) <= {502}, failed


@pytest.fixture
def small_outbox(servers, db):
    """The outbox in a file system of one megabyte; fill() leaves no room in it, make_room() some again."""
    directory = servers.state / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=True)
    shutil.chown(directory, (servers.run_dir / "pg").owner())
    rest = directory / "rest"

    class Small:
        def fill(self):
            with open(rest, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(bytes(4096))
                except OSError:
                    pass

        def make_room(self):
            rest.unlink(missing_ok=True)

    with db.cursor() as cursor:
        cursor.execute(f"CREATE TABLESPACE small LOCATION '{directory}'")
        cursor.execute("ALTER TABLE pnlcache.change_log SET TABLESPACE small")
    small = Small()
    yield small
    small.make_room()
    with db.cursor() as cursor:
        cursor.execute("ALTER TABLE pnlcache.change_log SET TABLESPACE pg_default")
        cursor.execute("CHECKPOINT")  # whose files are unlinked by then
        cursor.execute("DROP TABLESPACE small")
    subprocess.run(["umount", "--lazy", directory], check=True)  # a backend may still hold a file


@pytest.mark.skipif(not may_mount(), reason="a small file system needs a mount, which is not allowed here")
def test_an_outbox_without_room_refuses_the_webhooks_that_redis_cannot_take(servers, db, responder, small_outbox):
    with db.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # what changes the journal here leaves the outbox alone
    add_stock(db, "alice", 1)
    assert trades_in(ask(servers)) == 1
    wait_until(lambda: is_hit(ask(servers)), what="a hit")
    small_outbox.fill()
    add_stock(db, "alice", 2)
    assert tell(servers).status == 202  # Redis has it
    assert trades_in(ask(servers)) == 2
    servers.stop("redis")
    try:
        add_stock(db, "alice", 3)
        assert is_unavailable(tell(servers))
        small_outbox.make_room()
        assert tell(servers).status == 202 and outbox_rows(db) == 1
        assert trades_in(ask(servers)) == 3
    finally:
        servers.start("redis")
    check_all_works(servers)
    assert trades_in(ask(servers)) == 3
