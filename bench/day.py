"""A day of a trading journal, generated and seeded: who comes when, what is read, what is changed. Nothing is asked here.

Who comes when is the access log of parts/warm.py, by kinds of users; the day is the Tuesday of its sixth week. A visit begins with
the dashboard (what web/dashboard.js asks for), goes on with some actions minutes apart, and in every second one the user enters or
corrects trades, after each of which the page is loaded anew.
"""
import random
from collections import namedtuple

from parts.warm import DAY, KINDS, SEED, ZONES, pick, visits_of

TUESDAY = 36  # of the log, whose first day is a Monday
RUN_IN = 7  # days before it, which ACTIVE_WINDOW remembers
SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMD", "TSLA", "SPY", "QQQ", "META")
RANGES = [(0.35, "30d"), (0.2, "all_time"), (0.15, "ytd"), (0.15, "7d"), (0.1, "90d"), (0.05, "1y")]
ASSETS = [(0.6, "all"), (0.3, "stocks"), (0.1, "options")]
DIMENSIONS = ("symbol", "strategy", "day_of_week", "hour", "holding_time", "position_size", "tag", "mistake")

Read = namedtuple("Read", "t user path")
Change = namedtuple("Change", "t user kind told")  # kind: enter or correct; told: a webhook says so, not the triggers alone


def dashboard(time_range, asset):
    query = f"time_range={time_range}&asset={asset}"
    return [*(f"/api/analytics/{section}?{query}" for section in ("core", "risk", "performance", "time-series")),
            f"/api/analytics/grouped?grouping_types=symbol&{query}", f"/api/analytics/calendar?asset={asset}",
            f"/api/analytics/positions?asset={asset}"]


class Action:
    """What a user may do next: the paths it reads."""

    def __init__(self, rng, page, n_trades):
        self.rng, self.page, self.n_trades = rng, page, n_trades

    def back_to_the_dashboard(self):
        return self.page

    def another_range(self):
        return dashboard(pick(self.rng, RANGES), pick(self.rng, ASSETS))

    def trades(self):
        offset = self.rng.choice((0, 0, 0, 50, 100))
        return ["/api/stocks/count", f"/api/stocks?limit=50&offset={offset}&sort=exit_date&order=desc"]

    def one_trade(self):
        trade = max(1, self.n_trades - int(self.rng.expovariate(1 / 15)))
        return [f"/api/stocks/{trade}", f"/api/analytics/trade?trade_id={trade}&trade_type=stock"]

    def symbol(self):
        return [f"/api/analytics/symbol?symbol={self.rng.choice(SYMBOLS)}&time_range={pick(self.rng, RANGES)}"]

    def groups(self):
        return [f"/api/analytics/grouped?grouping_types={self.rng.choice(DIMENSIONS)}&time_range={pick(self.rng, RANGES)}"]

    def months(self):
        return [f"/api/analytics/calendar?asset=all&month=2025-{month:02d}" for month in (5, 4, 3)[:self.rng.randint(1, 3)]]

    def custom_range(self):
        return [f"/api/analytics/core?time_range=custom&start_date=2025-0{self.rng.randint(1, 5)}-{self.rng.randint(1, 28):02d}"]

    def comprehensive(self):
        return [f"/api/analytics/comprehensive?time_range={pick(self.rng, RANGES)}"]

    def market(self):
        symbol = self.rng.choice(SYMBOLS)
        return ["/api/market/movers", f"/api/market/quotes?symbols={','.join(SYMBOLS)}", f"/api/market/historical?symbol={symbol}&days=90"]

    SHARES = [(0.2, back_to_the_dashboard), (0.2, another_range), (0.18, trades), (0.15, one_trade), (0.08, symbol), (0.06, groups),
              (0.04, months), (0.03, custom_range), (0.02, comprehensive), (0.04, market)]

    def next(self):
        return pick(self.rng, self.SHARES)(self)


def visit(rng, t, user, favourite, n_trades):
    """The reads and changes of one visit, in order."""
    page = dashboard(favourite, "all")
    action = Action(rng, page, n_trades)
    enters = rng.random() < 0.5
    yield from (Read(t, user, path) for path in page)
    for _ in range(min(15, int(rng.expovariate(1 / 5)))):
        t += rng.uniform(20, 240)
        yield from (Read(t, user, path) for path in action.next())
    for _ in range(rng.randint(1, 4) if enters else 0):
        t += rng.uniform(30, 180)
        yield Change(t, user, "enter" if rng.random() < 0.8 else "correct", rng.random() < 0.9)
        t += rng.uniform(0.5, 2)
        yield from (Read(t, user, path) for path in page)


def generate(users, n_trades):
    """(what happens in the run-in and on the Tuesday, in order; all visits before): times in seconds of the log."""
    rng = random.Random(SEED)
    begin, end = (TUESDAY - RUN_IN) * DAY, (TUESDAY + 1) * DAY
    happenings, before = [], []
    for user in range(users):
        kind, behind = pick(rng, [(share, kind) for kind, share in KINDS.items()]), pick(rng, ZONES) * 3600
        favourite = pick(rng, RANGES)
        for local in visits_of(rng, kind):
            t = local + behind
            if t < begin:
                before.append((t, user))
            elif t < end:
                happenings += visit(rng, t, user, favourite, n_trades)
    happenings = [h for h in happenings if h.t < end]
    happenings.sort(key=lambda h: (h.t, h.user))
    return happenings, before


def traces(happenings):
    """Of the run-in, what is still known of it on the Tuesday: the last time that each user read each path."""
    last = {(h.user, h.path): h for h in happenings if isinstance(h, Read) and h.t < TUESDAY * DAY}
    return sorted(last.values(), key=lambda h: (h.t, h.user))
