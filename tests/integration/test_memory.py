"""How much memory the programs take, whatever they are given."""
import os
import subprocess

import pytest
from harness import BUILD, ROOT

LIMIT_MB = 64

pytestmark = pytest.mark.skipif(BUILD.name != "release", reason="sanitizers take memory of their own")


def peak_mb(servers, *arguments):
    """Runs a command of pnlcache-worker to its good end; its peak resident memory (ours, if that is more)."""
    with subprocess.Popen([BUILD / "pnlcache-worker", *arguments], env=servers.settings(), cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


def test_precompute_stays_under_64_mb_however_many_users(servers, db):
    """3,000 users make 264,000 documents, some 300 MB of them, and six snapshots' worth of batches."""
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                       " SELECT i, 'user' || u, 'ACME' || i % 7, 'BUY', 1, 10, 9 + i % 3, now() - i * interval '9 hours', now() - i * interval '8 hours'"
                       " FROM generate_series(1, 3000) u, generate_series(1, 20) i")
    peak = peak_mb(servers, "job", "precompute", "--all")
    assert servers.redis("EXISTS", "analytics:stocks:{user2999}:7d") == b"1"
    assert peak < LIMIT_MB, f"{peak:.0f} MB"
