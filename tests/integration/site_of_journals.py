"""Writers, webhook senders and readers of journals in versions (versions.py), all of whose acts are recorded (history.py).

    site = Site(servers, {"A": socket path, "B": ...}, bound)
    site.add_user("ann", "stocks")
    with site.asker() as asker:
        site.write("ann"); asker.tell("ann", "A"); asker.read("ann", "A", *document)

or site.start_threads() for many of them at once.
"""
import collections
import json
import os
import queue
import random
import threading
import time

import psycopg2
from fastcgi_client import Client
from harness import sign_webhook, token
from history import Recorder
from versions import WINDOW, Mixed, Versions, digest, pick_document

ANSWERS = {200, 202, 304, 503}


class Asker:
    """What one thread asks with: a kept connection to each responder. Not for two threads."""

    def __init__(self, site):
        self.site = site
        self.clients = {}
        self.etags = {}  # (user, path) -> (etag, version): what a browser keeps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients.values():
            client.close()

    def ask(self, responder, *arguments):
        """None: the responder is gone, which only a restart excuses."""
        try:
            if responder not in self.clients:
                self.clients[responder] = Client(self.site.listen[responder])
            return self.clients[responder].ask(*arguments)
        except (OSError, EOFError) as reason:
            self.clients.pop(responder, None)
            self.site.count("broken", f"{responder}: {reason!r}")
            return None

    def tell(self, user, responder, id=None):
        """One webhook; true when it was acknowledged."""
        site, webhook = self.site, self.site.recorder.number()
        body = json.dumps(site.users[user].event()).encode()
        site.recorder.record("send", webhook, user, responder)
        answer = self.ask(responder, "POST", "/api/webhooks/trades", sign_webhook(body, id), body)
        acknowledged = answer is not None and answer.status == 202
        site.recorder.record("ack" if acknowledged else "refused", webhook)
        site.count("webhooks", answer.status if answer else "none")
        return acknowledged

    def read(self, user, responder, path, version_of, revalidate=False):
        """One read; the version it showed, None when it was not answered with one."""
        site, read = self.site, self.site.recorder.number()
        headers = {"Authorization": site.tokens[user]}
        kept = self.etags.get((user, path)) if revalidate else None
        if kept:
            headers["If-None-Match"] = kept[0]
        site.recorder.record("read", read, user, responder, path)
        answer = self.ask(responder, "GET", path, headers)
        return self.judge(read, user, responder, path, version_of, answer, kept)

    def judge(self, read, user, responder, path, version_of, answer, kept=None):
        """Records what the answer to a recorded read showed. kept: the etag and version sent along with it."""
        site = self.site
        site.count("reads", answer.status if answer else "none")
        if answer is None or answer.status == 503:
            site.recorder.record("unanswered", read)
            return None
        source, _, detail = answer.headers.get("cache-status", "none").partition("; detail=")
        site.count("sources", source.split("; ttl")[0].removeprefix("pnlcache; "))
        site.count("details", detail or "none")
        if answer.status == 304:
            version, data = kept[1], None
        else:
            try:
                document = json.loads(answer.body)
                version, data = version_of(document["data"]), digest(document)
            except (ValueError, KeyError, TypeError, Mixed) as reason:
                site.recorder.record("unanswered", read)
                site.problem(f"user {user}, responder {responder}, {path}, read {read}: {reason!r}: {answer!r}")
                return None
            self.etags[user, path] = (answer.headers["etag"], version)
        site.recorder.record("answer", read, version, data)
        return version


class Site:
    def __init__(self, servers, listen, bound, seed=None):
        self.servers, self.listen = servers, listen
        self.recorder = Recorder(bound)
        self.seed = random.randrange(1 << 32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.users, self.tokens, self.busy_users = {}, {}, []
        self.counts = collections.defaultdict(collections.Counter)
        self.counts_lock = threading.Lock()
        self.own_problems = []
        self.stop = threading.Event()
        self.untold = queue.PriorityQueue()  # (when to send, number, user, webhook id): events on their way
        self.threads = []

    def count(self, what, which, n=1):
        with self.counts_lock:
            self.counts[what][str(which)] += n

    def total(self, what):
        with self.counts_lock:
            return sum(self.counts[what].values())

    def problem(self, text):
        with self.counts_lock:
            self.own_problems.append(text)

    def problems(self):
        with self.counts_lock:
            own = list(self.own_problems)
        return self.recorder.problems() + own

    def asker(self):
        return Asker(self)

    def connect(self):
        """As the journal's owner. A crash of the server must not take back what was committed."""
        return psycopg2.connect(self.servers.owner_url, options="-c synchronous_commit=on")

    def add_user(self, user, asset, busy=True):
        """busy: the threads change and read this journal."""
        versions = self.users[user] = Versions(user, asset)
        self.tokens[user] = "Bearer " + token(user, ttl=86400)
        connection = self.connect()
        with connection, connection.cursor() as cursor:
            versions.create(cursor)
        connection.close()
        for event in ("begin", "commit"):
            self.recorder.record(event, user, WINDOW)
        if busy:
            self.busy_users.append(user)

    def write(self, user, connection=None):
        """The next version of a user's journal; psycopg2.Error: it is unknown whether it was committed."""
        own = connection or self.connect()
        try:
            with own, own.cursor() as cursor:
                version = self.users[user].advance(cursor)
                self.recorder.record("begin", user, version)
            self.recorder.record("commit", user, version)
        finally:
            if connection is None:
                own.close()
        return version

    # --- many at once -----------------------------------------------------------------------------------

    def start_threads(self, writers=2, tellers=4, readers=3, pause=0.15):
        kinds = [(self._write, writers, pause), (self._tell, tellers, None), (self._read, readers, None)]
        for work, n, argument in kinds:
            for _ in range(n):
                own_random = random.Random(self.random.random())
                thread = threading.Thread(target=self._guard, args=(work, own_random, argument), daemon=True)
                thread.start()
                self.threads.append(thread)

    def stop_threads(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        for thread in self.threads:
            assert not thread.is_alive(), "a request got no answer within a minute"

    def _guard(self, work, own_random, argument):
        try:
            work(own_random, argument)
        except BaseException as reason:  # pylint: disable=broad-except
            self.problem(f"{work.__name__} ended: {reason!r}")
            raise

    def _write(self, own_random, pause):
        connection = None
        while not self.stop.wait(own_random.uniform(0, 2 * pause)):
            user = own_random.choice(self.busy_users)
            try:
                connection = connection or self.connect()
                self.write(user, connection)
            except psycopg2.Error:
                self.count("writes", "unknown")
                connection = connection and connection.close()
            else:
                self.count("writes", "committed")
            self._enqueue(own_random, user)
        if connection:
            connection.close()

    def _enqueue(self, own_random, user):
        """The webhook of a change: delayed, so reordered, and sometimes sent again."""
        id, now = "msg_" + os.urandom(8).hex(), time.monotonic()
        for _ in range(own_random.choice((1, 1, 1, 2, 3))):
            delay = own_random.choice((0, 0, own_random.uniform(0, 0.5)))
            self.untold.put((now + delay, self.recorder.number(), user, id))

    def _tell(self, own_random, _):
        """Sends what is due, again and again until it is acknowledged, then reads at once."""
        with self.asker() as asker:
            while not self.stop.is_set():
                try:
                    due, number, user, id = self.untold.get(timeout=0.1)
                except queue.Empty:
                    continue
                if self.stop.wait(max(0, due - time.monotonic())):
                    return
                responder = own_random.choice(list(self.listen))
                if asker.tell(user, responder, id):
                    asker.read(user, responder, *pick_document(own_random, self.users[user]))
                else:
                    self.untold.put((time.monotonic() + 0.05, number, user, id))

    def _read(self, own_random, _):
        responders = list(self.listen)
        with self.asker() as asker:
            while not self.stop.is_set():
                user, responder = own_random.choice(self.busy_users), own_random.choice(responders)
                asker.read(user, responder, *pick_document(own_random, self.users[user]), revalidate=own_random.random() < 0.3)

    # --- what came of it -----------------------------------------------------------------------------------

    def report(self):
        checker = self.recorder.checker
        percentiles = checker.percentiles(50, 90, 99, 99.9, 100)
        lines = [f"seed {self.seed}, {time.monotonic() - self.recorder.began:.0f} s, violations {len(self.problems())}"]
        with self.counts_lock:
            for what, counts in sorted(self.counts.items()):
                lines.append(f"{what}: {sum(counts.values())} ({', '.join(f'{k} {n}' for k, n in sorted(counts.items()))})")
        lines.append(f"reads behind another responder's acknowledgement: {len(checker.staleness)} of {checker.n_reads}; seconds "
                     + ", ".join(f"p{p:g} {s:.3f}" for p, s in percentiles.items()))
        return "\n".join(lines)

    def assert_consistent(self, history_path):
        problems = self.problems()
        if problems:
            self.recorder.save(history_path)
        assert not problems, f"{len(problems)} violations, the history is in {history_path}; seed {self.seed}: {problems[0]}"
        unexpected = set(self.counts["reads"]) | set(self.counts["webhooks"])
        assert unexpected <= {str(status) for status in ANSWERS}, self.counts
