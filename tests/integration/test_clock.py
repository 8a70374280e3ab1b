"""The wall clock steps: values end by it, as they must; everything that waits, waits by the monotonic clock and does not notice."""
import os
import re
import signal
import time

import pytest
from fastcgi_client import Client, bearer
from harness import add_stock, sign_webhook, wait_until, webhook_event
from test_degradation import CORE, check_all_works, is_hit, trades_in
from wall_clock import WallClock

HOUR = 3600


class Reader:
    """One kept connection, and a token that is good at any time of the test."""

    def __init__(self, servers, clock):
        self.client, self.clock = Client(servers.listen), clock
        self.headers = bearer(iat=int(time.time()) - 10 * HOUR, exp=int(time.time()) + 10 * HOUR)

    def ask(self):
        answer = self.client.ask("GET", CORE, self.headers)
        assert answer.status == 200 and re.fullmatch("[0-9]+", answer.headers.get("age", "0")), answer
        return answer

    def until_l1(self):
        wait_until(lambda: "detail=l1" in self.ask().headers["cache-status"], what="a hit from L1")

    def tell(self):
        body = webhook_event(user="alice")
        return self.client.ask("POST", "/api/webhooks/trades", sign_webhook(body, timestamp=int(self.clock.now())), body)


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path / "clock")


@pytest.fixture
def at_noon(db):
    """alice lives where it is noon: her day does not end within the steps."""
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO account_settings (user_id, timezone) VALUES ('alice', %s)", (f"Etc/GMT{time.gmtime().tm_hour - 12:+d}",))


def test_a_clock_that_steps_ends_values_and_disturbs_no_timer(servers, db, at_noon, start_responder, clock):
    add_stock(db, "alice", 1)
    responder = start_responder(**clock.settings)
    reader = Reader(servers, clock)
    reader.until_l1()
    clock.set_offset(HOUR)
    late = reader.ask()
    assert trades_in(late) == 1 and "fwd=miss" in late.headers["cache-status"], late
    reader.until_l1()
    clock.set_offset(-HOUR)  # what is stored comes from the future; no event speaks against it
    assert is_hit(reader.ask())
    add_stock(db, "alice", 2)
    assert reader.tell().status == 202
    assert trades_in(reader.ask()) == 2
    reader.until_l1()
    assert "L1 is in doubt" not in responder.log() and responder.log().count("L1 is on") == 1
    os.kill(servers.pid("redis"), signal.SIGKILL)
    clock.set_offset(HOUR)
    assert trades_in(reader.ask()) == 2
    clock.set_offset(0)
    servers.start("redis")
    check_all_works(servers)
    reader.until_l1()


def test_a_clock_that_steps_delays_no_job(servers, db, at_noon, start_responder, start_worker, clock):
    start_responder(**clock.settings)
    start_worker(**clock.settings)
    reader = Reader(servers, clock)

    def all_done():
        with db.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pnlcache.change_log")
            return cursor.fetchone() == (0,) and servers.redis("XLEN", "jobs") == b"0"

    for n, offset in enumerate((0, HOUR, -HOUR, 0), 1):
        clock.set_offset(offset)
        add_stock(db, "alice", n)
        wait_until(all_done, what="the worker to have done its job")
        answer = reader.ask()
        assert is_hit(answer) and trades_in(answer) == n, (offset, answer)
