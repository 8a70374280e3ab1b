"""The outbox's price for who writes."""
import io
import statistics
import time

import psycopg2

from common import ROUNDS, figure, part, say

COPY_ROWS = 10000
COPY_USERS = 100


@part("outbox", 100)
def bench_outbox(servers):
    say(f"COPY of {COPY_ROWS} rows of {COPY_USERS} users into stocks, with the triggers of the outbox and without, in turn")
    rows = "".join(f"copy-{i % COPY_USERS}\t{i + 1}\tAAPL\tBUY\tLIMIT\t10\t100\t101\t2024-05-0{1 + i % 9} 15:00Z\t2024-05-1{i % 9} 15:00Z\n"
                   for i in range(COPY_ROWS))
    connection = psycopg2.connect(servers.owner_url)
    connection.autocommit = True
    seconds = {"ENABLE": [], "DISABLE": []}
    with connection.cursor() as cursor:
        for round_ in range(2 * max(ROUNDS, 5)):
            for triggers in ("ENABLE", "DISABLE") if round_ % 2 else ("DISABLE", "ENABLE"):
                cursor.execute(f"ALTER TABLE stocks {triggers} TRIGGER USER; CHECKPOINT")
                start = time.monotonic()
                cursor.copy_expert("COPY stocks (user_id, id, symbol, trade_type, order_type, number_shares, entry_price, exit_price,"
                                   " entry_date, exit_date) FROM STDIN", io.StringIO(rows))
                seconds[triggers].append(time.monotonic() - start)
                cursor.execute("ALTER TABLE stocks DISABLE TRIGGER USER; DELETE FROM stocks WHERE user_id LIKE 'copy-%';"
                               " DELETE FROM pnlcache.change_log")
                cursor.execute("VACUUM stocks")
        cursor.execute("ALTER TABLE stocks ENABLE TRIGGER USER")
    connection.close()
    ratios = [with_ / without for with_, without in zip(seconds["ENABLE"], seconds["DISABLE"])]
    medians = {name: statistics.median(values) * 1e3 for name, values in seconds.items()}
    say(f"  {medians['ENABLE']:.1f} ms with, {medians['DISABLE']:.1f} ms without; ratios {min(ratios):.3f} to {max(ratios):.3f}")
    figure("trigger_copy_overhead_percent", (statistics.median(ratios) - 1) * 100, 1)
