"""Replays a generated access log against two ways of choosing whom to warm, with an equal budget.

The log is generated, not recorded: nobody's traffic was at hand. It is seeded, so that it is the same everywhere, and made of kinds of
users a trading journal has (KINDS below). What it cannot tell is how many of each kind a real journal has; the remarks show each kind
by itself.

The model: a visit begins with a dashboard, which asks for four documents at once, and goes on with some pages a few minutes apart, each
of one document out of the precomputed set. A document is a hit while its user is warm, or for TTL seconds after somebody asked for it.
Every STEP seconds a policy chooses `budget` users who are warm until the next step:

    recent      those seen last
    predictive  first those seen within the TTL (their visit may go on), then those with the highest weight in the present and the next
                hour of the week, each for its part, then as recent. What `pnlcache-worker job warm` does: lib/store/activity_hours.h.

Both know only what happened before. The first weeks only teach; the hit rate is that of the last one.
"""
import heapq
import random
from itertools import chain, islice, takewhile

from common import figure, part, say

SEED = 20250602
USERS = 5000
WEEKS = 6
LEARN_WEEKS = 5
STEP = 300
TTL = 900
DASHBOARD = 4
DOCUMENTS = 88
DOUBLING = 4  # weeks
HOUR = 3600
DAY = 86400
WEEK = 7 * DAY

# share of the users; then what their week looks like
KINDS = {
    "morning": 0.22,    # before the open and after the close, on most weekdays
    "evening": 0.26,    # reviews the day after dinner, on most weekdays
    "weekend": 0.12,    # reviews the week on Saturday or Sunday
    "irregular": 0.25,  # now and then, at any hour of the day
    "newcomer": 0.08,   # an evening user who joined during the log
    "churned": 0.07,    # a morning user who left during the log
}
ZONES = [(0.65, 5), (0.15, 8), (0.15, 0), (0.05, -8)]  # share, hours behind UTC: New York, California, London, Singapore


def pick(rng, pairs):
    x = rng.random()
    for share, value in pairs:
        x -= share
        if x < 0:
            return value
    return pairs[-1][1]


def visits_of(rng, kind):
    """The local times (seconds from a Monday's midnight) at which a user of this kind comes."""
    morning, evening, weekend = rng.gauss(8.7, 0.8), rng.gauss(20.0, 1.3), rng.gauss(11.0, 2.5)
    steadiness = rng.uniform(0.5, 0.95)
    first, last = 0, WEEKS * 7
    if kind == "newcomer":
        first = rng.randrange(LEARN_WEEKS * 7 - 14, WEEKS * 7)
    if kind == "churned":
        last = rng.randrange(14, WEEKS * 7)
    for day in range(first, last):
        weekday = day % 7
        at = []
        if kind in ("morning", "churned") and weekday < 5:
            at = [h for h in (morning, morning + 7.6) if rng.random() < steadiness * (1 if h == morning else 0.6)]
        elif kind in ("evening", "newcomer") and weekday < 5:
            at = [evening] if rng.random() < steadiness else []
        elif kind == "weekend" and weekday >= 5:
            at = [weekend] if rng.random() < steadiness * 0.8 else []
        elif kind == "irregular":
            at = [rng.uniform(7, 23.5)] if rng.random() < 0.3 else []
        for hour in at:
            yield day * DAY + (hour + rng.gauss(0, 0.5)) * HOUR


def generate(seed=SEED, users=USERS):
    """[(time, user, document)] in order, and the kind of each user."""
    rng = random.Random(seed)
    kinds = [pick(rng, [(share, kind) for kind, share in KINDS.items()]) for _ in range(users)]
    log = []
    for user, kind in enumerate(kinds):
        behind = pick(rng, ZONES) * HOUR
        for local in visits_of(rng, kind):
            t = local + behind
            log += [(t, user, document) for document in range(DASHBOARD)]
            for _ in range(min(12, int(rng.expovariate(1 / 4)))):
                t += rng.uniform(20, 240)
                log.append((t, user, rng.randrange(DOCUMENTS)))
    log = [entry for entry in log if 0 <= entry[0] < WEEKS * WEEK]
    log.sort()
    return log, kinds


class Recent:
    def __init__(self):
        self.seen = {}  # in order, who was seen last at the end

    def note(self, t, user):
        self.seen.pop(user, None)
        self.seen[user] = t

    def choose(self, t, budget):
        return set(islice(reversed(self.seen), budget))


class Predictive(Recent):
    def __init__(self):
        super().__init__()
        self.weights = [{} for _ in range(168)]
        self.counted = {}

    def note(self, t, user):
        if t - self.counted.get(user, -60) >= 60:  # the responder notes a user at most once a minute
            weights = self.weights[int(t % WEEK // HOUR)]
            weights[user] = weights.get(user, 0) + 2 ** (t / WEEK / DOUBLING)
            self.counted[user] = t
        super().note(t, user)

    def likely(self, t, budget):
        """As activity_hours_likely(): the first `budget` of both hours, merged."""
        hour, part = int(t % WEEK // HOUR), t % HOUR / HOUR
        score = {}
        for weights, share in ((self.weights[hour], 1 - part), (self.weights[(hour + 1) % 168], part)):
            for user in heapq.nlargest(budget, weights, key=weights.get):
                score[user] = score.get(user, 0) + weights[user] * share
        return sorted(score, key=score.get, reverse=True)

    def choose(self, t, budget):
        present = takewhile(lambda user: self.seen[user] > t - TTL, reversed(self.seen))
        chosen = {}
        for user in chain(present, self.likely(t, budget), reversed(self.seen)):
            if len(chosen) == budget:
                break
            chosen[user] = True
        return chosen


def replay(log, kinds, policy, budget):
    """(hits, requests) of the last week by kind."""
    counts = {kind: [0, 0] for kind in KINDS}
    cached = {}
    warm, next_step = set(), 0.0
    from_t = LEARN_WEEKS * WEEK
    for t, user, document in log:
        if t >= next_step:
            if t >= from_t - DAY:
                warm = policy.choose(t, budget)
            next_step = t - t % STEP + STEP
        if t >= from_t:
            hit = user in warm or cached.get((user, document), -1) > t
            counts[kinds[user]][0] += hit
            counts[kinds[user]][1] += 1
            if not hit:
                cached[user, document] = t + TTL
        policy.note(t, user)
    return counts


def rate(counts):
    hits, requests = map(sum, zip(*counts.values()))
    return 100 * hits / requests


def rate_of(counts, kind):
    return 100 * counts[kind][0] / max(1, counts[kind][1])


def compare(budget, log, kinds):
    """Hit rates by kind under both policies: (recent, predictive)."""
    return replay(log, kinds, Recent(), budget), replay(log, kinds, Predictive(), budget)


@part("warm", 110)
def bench_warm(_):
    """The gain in points of hit rate at a budget of a tenth of the users."""
    say("warming: whom to keep ready, by a generated access log")
    log, kinds = generate()
    say(f"{len(log)} requests of {USERS} users in {WEEKS} weeks")
    gains = {}
    for share in (2, 5, 10, 20, 50, 100):
        recent, predictive = compare(USERS * share // 100, log, kinds)
        gains[share] = rate(predictive) - rate(recent)
        say(f"budget {share} % of the users: recent {rate(recent):.1f} %, predictive {rate(predictive):.1f} %, "
            + ", ".join(f"{kind} {rate_of(recent, kind):.0f} -> {rate_of(predictive, kind):.0f}" for kind in KINDS))
    figure("warm_predictive_gain", gains[10])
