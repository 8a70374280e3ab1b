"""/api/market/indicators against an implementation of its own, in exact decimals, straight from the definitions."""
import datetime
import os
import random
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from harness import cache_state, wait_until

DEFAULTS = {"sma": 20, "ema": 20, "rsi": 14, "macd_fast": 12, "macd_slow": 26, "macd_signal": 9, "bollinger": 20, "bollinger_width": "2",
            "atr": 14, "volatility": 20}


def load(db, symbol, bars):
    with db.cursor() as cursor:
        for day, (high, low, close) in enumerate(bars):
            date = datetime.date(2020, 1, 1) + datetime.timedelta(day + day // 5 * 2)  # five days a week
            cursor.execute("INSERT INTO daily_bars (symbol, date, high, low, close) VALUES (%s, %s, %s, %s, %s)", (symbol, date, high, low, close))


# --- the definitions, each value from the whole series before it -----------------------------------------


def mean(values):
    return sum(values) / len(values)


def smoothed(values, n, weight):
    """Of each value: None until there are n, then an average that began as the mean of the first n."""
    out, average = [], None
    for i, value in enumerate(values):
        if i + 1 == n:
            average = mean(values[:n])
        elif i + 1 > n:
            average = weight * value + (1 - weight) * average
        out.append(average)
    return out


def ema(values, n):
    return smoothed(values, n, Decimal(2) / (n + 1))


def expected_rows(bars, p):
    closes = [close for _, _, close in bars]
    changes = [b - a for a, b in zip(closes, closes[1:])]
    rises = smoothed([max(c, Decimal(0)) for c in changes], p["rsi"], Decimal(1) / p["rsi"])
    falls = smoothed([max(-c, Decimal(0)) for c in changes], p["rsi"], Decimal(1) / p["rsi"])
    fast, slow = ema(closes, p["macd_fast"]), ema(closes, p["macd_slow"])
    macd = [None if f is None or s is None else f - s for f, s in zip(fast, slow)]
    first = next((i for i, m in enumerate(macd) if m is not None), len(macd))
    signal = [None] * first + ema(macd[first:], p["macd_signal"])
    returns = [(b / a).ln() for a, b in zip(closes, closes[1:])]
    true_ranges, atr = [], [None] * len(bars)
    for i, (high, low, _) in enumerate(bars):
        if i == 0 or high is None or low is None:
            true_ranges = []
            continue
        before = closes[i - 1]
        true_ranges.append(max(high - low, abs(high - before), abs(low - before)))
        atr[i] = smoothed(true_ranges, p["atr"], Decimal(1) / p["atr"])[-1]
    smoothed_closes, k, width = ema(closes, p["ema"]), p["bollinger"], Decimal(p["bollinger_width"])
    for i, close in enumerate(closes):
        row = dict.fromkeys(["sma", "rsi", "bollinger_middle", "bollinger_upper", "bollinger_lower", "volatility"])
        row |= {"close": close, "ema": smoothed_closes[i], "macd": macd[i], "macd_signal": signal[i], "atr": atr[i]}
        row["macd_histogram"] = None if signal[i] is None else macd[i] - signal[i]
        if i + 1 >= p["sma"]:
            row["sma"] = mean(closes[i + 1 - p["sma"]:i + 1])
        if i > 0 and rises[i - 1] is not None and rises[i - 1] + falls[i - 1] > 0:
            row["rsi"] = 100 - 100 / (1 + rises[i - 1] / falls[i - 1]) if falls[i - 1] > 0 else Decimal(100)
        if i + 1 >= k:
            window = closes[i + 1 - k:i + 1]
            deviation = mean([(c - mean(window)) ** 2 for c in window]).sqrt()
            row |= {"bollinger_middle": mean(window), "bollinger_upper": mean(window) + width * deviation, "bollinger_lower": mean(window) - width * deviation}
        if i >= p["volatility"]:
            window = returns[i - p["volatility"]:i]
            row["volatility"] = 100 * (sum((r - mean(window)) ** 2 for r in window) / (len(window) - 1) * 252).sqrt()
        yield row


def assert_same(actual, expected, what):
    assert len(actual) == len(expected), what
    for i, (got, wanted) in enumerate(zip(actual, expected)):
        assert set(got) == set(wanted) | {"date"}, what
        for name, value in wanted.items():
            if value is None or got[name] is None:
                assert got[name] is value, (what, i, name, got[name], value)
                continue
            unit = Decimal("0.0001") if name in ("rsi", "volatility") else Decimal("0.00000001")
            size = max(abs(value), wanted["close"] if unit < Decimal("0.0001") else Decimal(0))
            assert abs(Decimal(str(got[name])) - value) <= max(unit, size * Decimal("1e-9")), (what, i, name, got[name], value)


def random_bars(chosen, n):
    close, bars = Decimal(chosen.randrange(1, 10**chosen.choice([3, 6, 13]))).scaleb(-4), []
    for _ in range(n):
        close = max((close * Decimal(chosen.choice(["1", "0.5", "1.02", "0.97", "1.0001"]))).quantize(Decimal("0.00000001")), Decimal("0.00000001"))
        high, low = (close * Decimal("1.01")).quantize(Decimal("0.00000001")), (close * Decimal("0.9")).quantize(Decimal("0.00000001"))
        whole = low > 0 and chosen.random() > 0.02
        bars.append((high if whole else None, low if whole else None, close))
    return bars


def query(p):
    return "&".join(f"{name}={value}" for name, value in p.items())


@pytest.mark.parametrize("seed", range(6))
def test_random_series_agree_with_the_definitions(web, db, responder, seed):
    chosen = random.Random(seed)
    bars = random_bars(chosen, chosen.choice([3, 40, 150]))
    load(db, "ACME", bars)
    for p in (DEFAULTS, {name: chosen.randrange(2, 9) for name in DEFAULTS} | {"bollinger_width": "1.25"}):
        answer = web.get(f"/api/market/indicators?symbol=ACME&days=3650&{query(p)}")
        assert answer.status == 200, answer
        with localcontext() as context:
            context.prec = 60
            assert_same(answer.json()["data"], list(expected_rows(bars, p)), (seed, p))


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA names no folder")
def test_real_bars_agree_with_the_definitions(web, servers, db, responder, run_worker):
    run_worker("import", "bars", Path(os.environ["REAL_DATA"]) / "daily_bars.csv", IMPORT_DATABASE_URL=servers.owner_url)
    with db.cursor() as cursor:
        cursor.execute("SELECT high, low, close FROM daily_bars WHERE symbol = 'XOM' ORDER BY date")
        bars = cursor.fetchall()
    assert len(bars) > 1000
    answer = web.get("/api/market/indicators?symbol=XOM&days=3650")
    with localcontext() as context:
        context.prec = 40
        assert_same(answer.json()["data"], list(expected_rows(bars, DEFAULTS)), "XOM")


def test_days_cuts_what_is_shown_and_not_what_is_computed(web, db, responder):
    load(db, "ACME", random_bars(random.Random(9), 80))
    whole = web.get("/api/market/indicators?symbol=ACME").json()
    last = web.get("/api/market/indicators?symbol=acme&days=5").json()
    assert (whole["meta"]["count"], last["meta"]["count"]) == (80, 5)
    assert whole["data"][-5:] == last["data"]


def test_symbol_without_bars_has_no_rows(web, responder):
    answer = web.get("/api/market/indicators?symbol=NONE").json()
    assert (answer["data"], answer["meta"]["count"]) == ([], 0)


def test_equivalent_requests_share_a_key_and_bars_invalidate(web, servers, db, worker, responder, settle):
    load(db, "ACME", [(2, 1, Decimal(1))])
    settle()
    paths = ["/api/market/indicators?symbol=ACME", "/api/market/indicators?bollinger_width=2.00&rsi=014&symbol=acme"]
    assert [cache_state(web.get(path)) for path in paths] == ["fwd=miss", "hit"]
    assert len(servers.redis("KEYS", "data:market-indicators:*").split()) == 1
    with db.cursor() as cursor:
        cursor.execute("UPDATE daily_bars SET close = 1.5")
    wait_until(lambda: web.get(paths[0]).json()["data"][0]["close"] == 1.5, what="the new close")


@pytest.mark.parametrize("bad, message", [
    ("sma=0", "must be a whole number from 1 to 400"), ("bollinger=1", "must be a whole number from 2 to 400"),
    ("volatility=401", "must be a whole number from 2 to 400"), ("bollinger_width=0", "must be a decimal number from 0.1 to 10"),
    ("days=3651", "must be a whole number from 1 to 3650"), ("rsi=14.5", "must be a whole number from 1 to 400")])
def test_periods_are_bounded(web, responder, bad, message):
    answer = web.get("/api/market/indicators?symbol=ACME&" + bad)
    assert (answer.status, answer.json()["errors"][0]["message"]) == (400, message)


def test_job_market_computes_them_ahead(web, db, responder, run_worker):
    load(db, "ACME", random_bars(random.Random(3), 60))
    path = "/api/market/indicators?symbol=ACME&rsi=5"
    assert web.get(path).status == 200
    event = {"type": "prices.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {}}
    assert web.webhook(event).status == 202
    run_worker("job", "market")
    assert cache_state(web.get(path)) == "hit"
