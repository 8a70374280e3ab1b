"""A journal whose version can be read from every document about it.

Version k of a user's journal, all of one asset class: a base trade (+BASE), one loss of k, WINDOW wins of
k - WINDOW + 1 ... k, and an open position of k shares or contracts. The next version is one transaction that inserts
the win k + 1, deletes the oldest one, and updates the loss and the position; a document that mixed two versions could
not add up. The first version is WINDOW, so that the size of a journal never changes.
"""
import hashlib
import json

WINDOW = 20
BASE = 1000
LOSS_ENTRY = 1_000_000  # its exit price is this less the version
BASE_ID, LOSS_ID, OPEN_ID, FIRST_WIN_ID = 1, 2, 3, 10
LOSS_DAY = 25  # days ago; the base trade was a day before, the wins came after

ADD_STOCK = """INSERT INTO stocks (user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date)
 VALUES (%(user)s, %(id)s, %(symbol)s, 'BUY', %(size)s, %(entry)s, %(exit)s,
 date_trunc('day', now()) - %(days)s * interval '1 day' + interval '15 hours',
 CASE WHEN %(exit)s IS NOT NULL THEN date_trunc('day', now()) - %(days)s * interval '1 day' + interval '16 hours' END)"""
ADD_OPTION = """INSERT INTO options (user_id, id, symbol, strategy_type, option_type, strike_price, expiration_date,
 number_of_contracts, multiplier, entry_price, exit_price, status, entry_date, exit_date)
 VALUES (%(user)s, %(id)s, %(symbol)s, 'Long Call', 'Call', 50, '2099-01-15', %(size)s, 1, %(entry)s, %(exit)s,
 CASE WHEN %(exit)s IS NULL THEN 'open' ELSE 'closed' END,
 date_trunc('day', now()) - %(days)s * interval '1 day' + interval '15 hours',
 CASE WHEN %(exit)s IS NOT NULL THEN date_trunc('day', now()) - %(days)s * interval '1 day' + interval '16 hours' END)"""


class Versions:
    """One user's journal. All methods take a cursor inside a transaction of the caller."""

    def __init__(self, user, asset):
        self.user, self.asset = user, asset
        self.insert = ADD_STOCK if asset == "stocks" else ADD_OPTION
        self.size = "number_shares" if asset == "stocks" else "number_of_contracts"

    def _add(self, cursor, id, symbol, size, entry, exit, days):
        cursor.execute(self.insert, {"user": self.user, "id": id, "symbol": symbol, "size": size, "entry": entry, "exit": exit, "days": days})

    def _add_win(self, cursor, k):
        self._add(cursor, FIRST_WIN_ID + k, "WIN", 1, 10, 10 + k, 6 + k % 15)

    def create(self, cursor):
        self._add(cursor, BASE_ID, "BASE", 1, 10, 10 + BASE, LOSS_DAY + 1)
        self._add(cursor, LOSS_ID, "LOSS", 1, LOSS_ENTRY, LOSS_ENTRY - WINDOW, LOSS_DAY)
        self._add(cursor, OPEN_ID, "OPEN", WINDOW, 1, None, LOSS_DAY)
        for k in range(1, WINDOW + 1):
            self._add_win(cursor, k)

    def advance(self, cursor):
        """Makes the next version, one writer at a time; its number."""
        where = "user_id = %s AND id = %s"
        cursor.execute(f"SELECT exit_price FROM {self.asset} WHERE {where} FOR UPDATE", (self.user, LOSS_ID))
        k = LOSS_ENTRY - int(cursor.fetchone()[0]) + 1
        self._add_win(cursor, k)
        cursor.execute(f"DELETE FROM {self.asset} WHERE {where}", (self.user, FIRST_WIN_ID + k - WINDOW))
        cursor.execute(f"UPDATE {self.asset} SET exit_price = %s WHERE {where}", (LOSS_ENTRY - k, self.user, LOSS_ID))
        cursor.execute(f"UPDATE {self.asset} SET {self.size} = %s WHERE {where}", (k, self.user, OPEN_ID))
        return k

    def event(self):
        return {"type": "trade.updated", "data": {"user_id": self.user, "asset": self.asset}}


# --- reading the version off a document ----------------------------------------------------------------


def gross_profit(k):
    return BASE + sum(range(k - WINDOW + 1, k + 1))


def total_pnl(k):
    return gross_profit(k) - k


class Mixed(Exception):
    """A document that is right for no version."""


def whole(number):
    value = float(number)
    if value != int(value):
        raise Mixed(f"{number} is no whole number")
    return int(value)


def agree(what, got, expected):
    if float(got) != expected:
        raise Mixed(f"{what} is {got}, not {expected}")


def of_core(core):
    k = abs(whole(core["gross_loss"]))
    for name, expected in (("total_trades", WINDOW + 2), ("winning_trades", WINDOW + 1), ("losing_trades", 1),
                           ("total_pnl", total_pnl(k)), ("gross_profit", gross_profit(k)), ("biggest_loser", -k),
                           ("biggest_winner", max(BASE, k))):
        agree(name, core[name], expected)
    return k


def of_risk(risk):
    return whole(risk["maximum_drawdown"])


def of_summary(data):
    k = of_core(data["core_metrics"])
    agree("maximum_drawdown", data["risk_metrics"]["maximum_drawdown"], k)
    agree("total_pnl", data["total_pnl"], total_pnl(k))
    return k


def of_performance(data):
    return -whole(data["performance_metrics"]["worst_day"])


def of_time_series(data):
    k = -min(whole(day["value"]) for day in data["daily_pnl"])
    agree("the last cumulative value", data["daily_pnl"][-1]["cumulative_value"], total_pnl(k))
    return k


def of_groups(data):
    k = -whole(data["LOSS"]["core_metrics"]["total_pnl"])
    agree("all groups", sum(group["core_metrics"]["total_pnl"] for group in data.values()), total_pnl(k))
    return k


def of_trade(data):
    return -whole(data["net_pnl"])


def of_positions(data):
    (position,) = data["positions"]
    agree("cost_basis", data["cost_basis"], position["quantity"])
    return whole(position["quantity"])


def of_symbol(data):
    return -whole(data["net_pnl"])


def of_comprehensive(data):
    k = of_core(data["core_metrics"])
    for what, other in (("risk", of_risk(data["risk_metrics"])), ("positions", of_positions(data["open_positions"])),
                        ("time series", of_time_series(data["time_series"]))):
        agree(what, other, k)
    return k


def of_pnl(data):
    rest = whole(data["total_pnl"]) - total_pnl(0)
    if rest % (WINDOW - 1) != 0:
        raise Mixed(f"no version has a total of {data['total_pnl']}")
    return rest // (WINDOW - 1)


# The path after the asset and the range are filled in, and how its data is read.
DOCUMENTS = (
    ("/api/analytics/core?asset={any}&time_range={range}", of_core),
    ("/api/analytics/risk?asset={any}&time_range={range}", of_risk),
    ("/api/analytics/performance?asset={any}&time_range={range}", of_performance),
    ("/api/{asset}/analytics?time_range={range}", of_summary),
    ("/api/{asset}/analytics/pnl?time_range={range}", of_pnl),
    ("/api/analytics/time-series?asset={any}&time_range={range}", of_time_series),
    ("/api/analytics/grouped?asset={any}&grouping_types=symbol&time_range={range}", of_groups),
    ("/api/analytics/trade?trade_id=2&trade_type={kind}", of_trade),
    ("/api/analytics/positions?asset={any}", of_positions),
    ("/api/analytics/symbol?symbol=LOSS", of_symbol),
    ("/api/analytics/comprehensive?asset={any}", of_comprehensive),
)
RANGES = ("all_time", "90d", "30d")


def pick_document(random, versions):
    """(path, reader of its version)"""
    path, read = random.choice(DOCUMENTS)
    return path.format(any=random.choice(("all", versions.asset)), asset=versions.asset, kind=versions.asset[:-1],
                       range=random.choice(RANGES)), read


def digest(document):
    """Of what two computations of one version have in common: not the age of a position, nor what comes with the day."""
    data = json.dumps(document["data"], sort_keys=True, default=str)
    if '"days_held"' in data:
        data = json.dumps(_without_age(document["data"]), sort_keys=True)
    day = document["meta"].get("time_range", {}).get("end_date")
    return hashlib.blake2b(f"{day} {data}".encode(), digest_size=12).hexdigest()


def _without_age(data):
    if isinstance(data, dict):
        return {name: _without_age(value) for name, value in data.items() if name != "days_held"}
    return [_without_age(value) for value in data] if isinstance(data, list) else data
