"""Where the time of one event goes, from the COMMIT of a trade to the stored documents, seen from outside: Redis's MONITOR tells when
each command arrived, PostgreSQL's log how long each statement took."""
import re
import statistics
import threading
import time

import redis


class Monitor(threading.Thread):
    """Collects (time, client address, command) of everything Redis is sent."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.client = redis.Redis(unix_socket_path=path)
        self.seen = []
        self.monitor = self.client.monitor().__enter__()

    def run(self):
        try:
            for command in self.monitor.listen():
                self.seen.append((command["time"], command["command"]))
        except (redis.exceptions.RedisError, OSError, ValueError, AttributeError):
            pass  # closed

    def since(self, start, pattern, what=min):
        times = [at for at, command in list(self.seen) if at >= start and re.match(pattern, command)]
        return what(times) if times else None


def statement_ms(text, pattern):
    """The duration of the first statement that matches."""
    found = re.search(r"duration: ([\d.]+) ms  [^\n]*" + pattern, text)
    return float(found.group(1)) if found else 0.0


STAGES = ["COMMIT -> claimed and HDEL sent", "  of it the claim's query", "HDEL -> XADD", "XADD -> taken, turn asked for",
          "turn -> epochs read", "epochs -> documents judged", "snapshot opened", "COPY (PostgreSQL's part)",
          "rows decoded, all computed and written", "stored", "stored -> job finished", "all"]


def one_event(monitor, log, start, user):
    """Milliseconds of each stage; None: MONITOR missed one."""
    text = log()
    hdel = monitor.since(start, rf"HDEL epoch:{{{user}}}")
    xadd = monitor.since(start, r"XADD jobs ")
    turn = monitor.since(start, rf"SET lock:job:{{{user}}}")
    if None in (hdel, xadd, turn):
        return None
    epochs = monitor.since(turn, rf"HMGET epoch:{{{user}}}")
    judged = monitor.since(turn, r"GETRANGE analytics")
    stores = [at for at, command in list(monitor.seen) if at >= turn and command.startswith("GETRANGE analytics")]
    stored_first = monitor.since(turn, r"SET analytics")
    published = monitor.since(turn, r"PUBLISH", max)
    finished = monitor.since(turn, r"XACK jobs")
    if None in (epochs, judged, stored_first, published, finished):
        return None
    # Judging reads every header, storing those of what was computed: the widest gap between two is the computation.
    gap, at = max((b - a, i) for i, (a, b) in enumerate(zip(stores, stores[1:])))
    judge_end, store_begin = stores[at], stores[at + 1]
    snapshot = statement_ms(text, "BEGIN ISOLATION LEVEL REPEATABLE")
    copy = statement_ms(text, r"COPY \(")
    ms = lambda seconds: seconds * 1e3
    return [ms(hdel - start), statement_ms(text, "FOR UPDATE SKIP LOCKED"), ms(xadd - hdel), ms(turn - xadd), ms(epochs - turn),
            ms(judge_end - epochs), snapshot, copy, ms(gap) - snapshot - copy, ms(published - store_begin), ms(finished - published),
            ms(finished - start)]


def measure(redis_socket, log_path, events):
    """events(): makes one event, waits until it is done, and gives (time of COMMIT, user). The medians by stage."""
    monitor = Monitor(redis_socket)
    monitor.start()
    rows = []
    for event in events:
        offset = log_path.stat().st_size
        start, user = event()
        time.sleep(0.3)  # for the last commands to be reported

        def log(offset=offset):
            with open(log_path, "rb") as file:
                file.seek(offset)
                return file.read().decode(errors="replace")

        row = one_event(monitor, log, start, user)
        if row:
            rows.append(row)
    monitor.client.close()
    return [(name, statistics.median(row[i] for row in rows)) for i, name in enumerate(STAGES)], len(rows)
