"""One user with very many trades."""
import os
import statistics

from harness import BUILD

from common import ROUNDS, figure, fill, owner_sql, part, run_timed, say, stored

WHALE_TRADES = int(os.environ.get("WHALE_TRADES", 1000000))


@part("whale", 70)
def bench_whale(servers):
    say(f"one user with {WHALE_TRADES} trades, all documents")
    fill(servers, ["whale"], WHALE_TRADES)
    runs = [run_timed([BUILD / "pnlcache-worker", "job", "precompute", "--user", "whale"],
                      env=servers.settings(LOG_LEVEL="warn")) for _ in range(ROUNDS)]
    core = stored(servers, "whale", "combined", "all_time", "core")["data"]
    assert core["total_trades"] == WHALE_TRADES, core
    seconds = statistics.median(seconds for seconds, _ in runs)
    say(f"  {seconds:.2f} s, {seconds / WHALE_TRADES * 1e6:.2f} us for a trade, reading included")
    figure("whale_peak_mb", max(peak for _, peak in runs), 1)
    owner_sql(servers, "ALTER TABLE stocks DISABLE TRIGGER USER; DELETE FROM stocks WHERE user_id = 'whale'; "
                       "ALTER TABLE stocks ENABLE TRIGGER USER;", "VACUUM ANALYZE stocks")
