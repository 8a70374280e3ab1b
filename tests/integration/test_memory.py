"""How much memory the programs take, whatever they are given."""
import subprocess
import sys

import pytest
from harness import BUILD, ROOT

LIMIT_MB = 64

pytestmark = pytest.mark.skipif(BUILD.name != "release", reason="sanitizers take memory of their own")


# A process's peak includes that of the one it was forked from, so a small one measures.
MEASURE = ("import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)\n"
           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")


def peak_mb(servers, *arguments):
    """Runs a command of pnlcache-worker to its good end; its peak resident memory (that of a bare Python, if that is more)."""
    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, BUILD / "pnlcache-worker", *arguments], env=servers.settings(), cwd=ROOT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def test_precompute_stays_under_64_mb_however_many_users(servers, db):
    """3,000 users make 264,000 documents, some 300 MB of them, and six snapshots' worth of batches."""
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO stocks (id, user_id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)"
                       " SELECT i, 'user' || u, 'ACME' || i % 7, 'BUY', 1, 10, 9 + i % 3, now() - i * interval '9 hours', now() - i * interval '8 hours'"
                       " FROM generate_series(1, 3000) u, generate_series(1, 20) i")
    peak = peak_mb(servers, "job", "precompute", "--all")
    assert servers.redis("EXISTS", "analytics:stocks:{user2999}:7d") == b"1"
    assert peak < LIMIT_MB, f"{peak:.0f} MB"
