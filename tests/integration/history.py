"""What the consistency tests judge: a history of commits, webhooks and reads, and the rule it has to obey.

A user's journal goes through numbered versions. The rule, for every read of a user that begins after a webhook was
acknowledged: through the responder that acknowledged it, the read shows a version no older than what had been
committed when that webhook was sent; through any other responder, no older after at most BOUND seconds. It never
shows a version that nobody had begun to commit, and two reads of the same version and document show the same data.

A read may well go back from 8 to 7 as long as no webhook covers 8: a value is exact for the events that were told.
"""
import bisect
import collections
import json
import threading
import time

KEPT_EVENTS = 200_000
KEPT_VERSIONS = 500  # of a document, to compare reads of the same version
KEPT_ACKS = 5_000


class Checker:
    """The rule as a state machine. Events come in the order in which they happened; problems are collected."""

    def __init__(self, bound):
        self.bound = bound
        self.problems = []
        self.begun = collections.Counter()  # user -> the newest version whose COMMIT was sent
        self.committed = collections.Counter()  # ... whose COMMIT was answered
        self.sent = {}  # webhook -> (user, responder, version it covers)
        self.acknowledged = collections.defaultdict(collections.Counter)  # responder -> user -> version
        self.acks = collections.defaultdict(list)  # (responder, user) -> [(version, when)], both rising
        self.reads = {}  # read -> (when, user, responder, document, floor)
        self.digests = {}  # (user, document) -> {version: digest}
        self.staleness = []  # of reads behind another responder's acknowledgement, in seconds
        self.n_reads = 0

    def apply(self, when, event, *arguments):
        getattr(self, "_" + event)(when, *arguments)

    def _problem(self, text, when, *details):
        self.problems.append(f"{when:.6f}: {text}: {', '.join(map(str, details))}")

    def _begin(self, _, user, version):
        self.begun[user] = max(self.begun[user], version)

    def _commit(self, _, user, version):
        self.committed[user] = max(self.committed[user], version)

    def _send(self, _, webhook, user, responder):
        self.sent[webhook] = (user, responder, self.committed[user])

    def _refused(self, _, webhook):
        del self.sent[webhook]

    def _ack(self, when, webhook):
        user, responder, version = self.sent.pop(webhook)
        if version <= self.acknowledged[responder][user]:
            return
        self.acknowledged[responder][user] = version
        acks = self.acks[responder, user]
        acks.append((version, when))
        if len(acks) > KEPT_ACKS:
            del acks[:KEPT_ACKS // 2]

    def _read(self, when, read, user, responder, document):
        self.reads[read] = (when, user, responder, document, self.acknowledged[responder][user])

    def _unanswered(self, _, read):
        del self.reads[read]

    def _answer(self, when, read, version, digest):
        """digest: of the data, None when it was not sent again (304)."""
        began, user, responder, document, floor = self.reads.pop(read)
        what = (f"user {user}", f"responder {responder}", document, f"version {version}", f"read {read} begun {began:.6f}")
        self.n_reads += 1
        if version < floor:
            self._problem("older than what this responder had acknowledged", when, *what, f"acknowledged {floor}")
        if version > self.begun[user]:
            self._problem("a version that nobody had written", when, *what, f"written {self.begun[user]}")
        stale = self._stale_for(began, user, responder, version)
        if stale > 0:
            self.staleness.append(stale)
        if stale > self.bound:
            self._problem(f"older than what another responder had acknowledged {stale:.3f} s before", when, *what)
        if digest is not None:
            self._compare(when, user, document, version, digest, what)

    def _stale_for(self, began, user, responder, version):
        """How long before the read another responder had acknowledged something newer than what it showed."""
        longest = 0.0
        for (other, of), acks in self.acks.items():
            if of != user or other == responder:
                continue
            i = bisect.bisect_right(acks, version, key=lambda ack: ack[0])
            if i < len(acks):
                longest = max(longest, began - acks[i][1])
        return longest

    def _compare(self, when, user, document, version, digest, what):
        seen = self.digests.setdefault((user, document), {})
        if seen.setdefault(version, digest) != digest:
            self._problem("other data than an earlier read of the same version", when, *what)
        if len(seen) > KEPT_VERSIONS:
            del seen[min(seen)]

    def percentiles(self, *wanted):
        """Of the staleness across responders over all reads, those that were not stale included, in seconds."""
        stale = sorted(self.staleness)
        fresh = self.n_reads - len(stale)

        def at(percent):
            i = int(self.n_reads * percent / 100) - fresh
            return stale[min(i, len(stale) - 1)] if stale and i >= 0 else 0.0

        return {percent: at(percent) for percent in wanted}


class Recorder:
    """Puts what the threads of a test do into one order, lets the checker judge it, and keeps it for whoever has to
    find out. An event is recorded before its request is sent or after its answer has come, whichever is weaker."""

    def __init__(self, bound):
        self.checker = Checker(bound)
        self.events = collections.deque(maxlen=KEPT_EVENTS)
        self.lock = threading.Lock()
        self.n = 0
        self.began = time.monotonic()

    def record(self, event, *arguments):
        with self.lock:
            when = time.monotonic() - self.began
            self.events.append((when, event, *arguments))
            self.checker.apply(when, event, *arguments)

    def number(self):
        """A name for a webhook or a read."""
        with self.lock:
            self.n += 1
            return self.n

    def note(self, text):
        """What the nemesis does; it is no part of the rule."""
        with self.lock:
            self.events.append((time.monotonic() - self.began, "note", text))

    def problems(self):
        with self.lock:
            return list(self.checker.problems)

    def save(self, path):
        with self.lock, open(path, "w", encoding="utf-8") as out:
            for event in self.events:
                out.write(json.dumps(event) + "\n")


def judge(events, bound):
    """The problems of a whole history, [(when, event, argument...)], such as Recorder.save() writes."""
    checker = Checker(bound)
    for when, event, *arguments in events:
        if event != "note":
            checker.apply(when, event, *arguments)
    return checker.problems
