"""Equal requests share one cache key however they are spelled, different ones never do: random requests, each in random spellings, and
with each a neighbour that differs in one thing.

What shares a key is seen from outside: the first request is computed, and any other spelling of it is a hit.
"""
import json
import random
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from fastcgi_client import Client, bearer
from harness import add_stock

PRESETS = ["today", "7d", "30d", "90d", "6m", "1y", "ytd", "all_time"]
DIMENSIONS = {"symbol": ["symbol"], "trade_direction": ["trade_direction", "TradeDirection"], "dte": ["dte", "days_to_expiration"],
              "playbook": ["playbook"], "tag": ["tag"], "hour": ["hour"], "month": ["month"], "side": ["side"]}
OVER_ALL = ["core", "risk", "performance", "time-series", "grouped", "comprehensive"]
FLAGS = {True: ["true", "1"], False: ["false", "0"]}


def with_zeros(rng, text):
    return text + "0" * rng.randrange(0, 4)


# --- analytics ----------------------------------------------------------------------------------


def random_bound(rng, year):
    """A day, or an instant as seconds since 1970."""
    if rng.random() < 0.5:
        return f"{year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return int(datetime(year, rng.randint(1, 12), rng.randint(1, 28), rng.randrange(24), tzinfo=timezone.utc).timestamp())


def random_range(rng):
    if rng.random() < 0.6:
        return rng.choice(PRESETS)
    bounds = {"start_date": random_bound(rng, 2020), "end_date": random_bound(rng, 2025)}
    if rng.random() < 0.5:
        del bounds[rng.choice(list(bounds))]
    return tuple(sorted(bounds.items()))


def random_analytics(rng):
    """What is asked, in one form: equal dictionaries are equal requests."""
    section = rng.choice(OVER_ALL)
    asked = {"section": section, "range": random_range(rng), "asset": rng.choice(["all", "stocks", "options"]),
             "zero": rng.random() < 0.3, "rate": rng.choice([None, None, "0.01", "0.025", "-0.5"])}
    if section == "grouped" or (section == "comprehensive" and rng.random() < 0.5):
        asked["dimensions"] = tuple(sorted(rng.sample(list(DIMENSIONS), rng.randint(1, 3))))
    if section == "comprehensive":
        asked["series"] = rng.random() < 0.5
    return asked


def neighbour(rng, asked):
    """With another value of one thing, as another request for the same path would have it."""
    name, other = rng.choice([name for name in asked if name != "section"]), None
    while other is None or other.get(name) == asked[name]:
        other = random_analytics(rng)
    return {**asked, name: other[name]} if name in other else asked


def spell_bound(rng, bound):
    """An instant with any offset from UTC."""
    if isinstance(bound, str):
        return bound
    hours = rng.randint(-11, 11)
    return (datetime.fromtimestamp(bound, timezone(timedelta(hours=hours)))).isoformat().replace("+00:00", rng.choice(["Z", "+00:00"]))


def spell_dimensions(rng, dimensions):
    names = [rng.choice(DIMENSIONS[name]) for name in dimensions]
    names += rng.sample(names, rng.randrange(0, 2))  # named twice
    rng.shuffle(names)
    return names


def spell_analytics(rng, asked):
    """A list of (name, value), in any order, with defaults or without, and with what makes no difference."""
    said = []

    def say(name, value, default=False):
        if not default or rng.random() < 0.5:
            said.append((name, value))

    if isinstance(asked["range"], str):
        say("time_range", asked["range"], asked["range"] == "all_time")
    else:
        say("time_range", "custom")
        said.extend((name, spell_bound(rng, bound)) for name, bound in asked["range"])
    say("asset", rng.choice({"all": ["all"], "stocks": ["stocks", "stock"], "options": ["options", "option"]}[asked["asset"]]), asked["asset"] == "all")
    say("null_as_zero", rng.choice(FLAGS[asked["zero"]]), not asked["zero"])
    if asked["rate"]:
        say("risk_free_rate", with_zeros(rng, asked["rate"]))
    grouped, dimensions = asked["section"] == "grouped", asked.get("dimensions")
    if dimensions:
        say("grouping_types", spell_dimensions(rng, dimensions), dimensions == ("symbol",))
    elif rng.random() < 0.3:
        say("grouping_types", spell_dimensions(rng, ["hour", "side"]))
    if asked["section"] == "comprehensive":
        say("include_grouped_analytics", rng.choice(FLAGS[bool(dimensions)]), not dimensions)
        say("include_time_series", rng.choice(FLAGS[asked["series"]]), asked["series"])
    else:
        say("include_grouped_analytics", rng.choice(["true", "0"]), default=True)
        say("include_time_series", rng.choice(["true", "0"]), default=True)
    say("time_series_interval", rng.choice(["daily", "weekly", "monthly"]), default=True)
    assert not grouped or dimensions
    rng.shuffle(said)
    return said


def percent_encoded(rng, text):
    return "".join(f"%{ord(c):02x}" if rng.random() < 0.1 else quote(c, safe=":,") for c in text)


def as_query(rng, path, said):
    words = [(name, ",".join(value) if isinstance(value, list) else value) for name, value in said]
    query = "&".join(percent_encoded(rng, name) + "=" + percent_encoded(rng, value) for name, value in words)
    return "GET", path + ("?" + query if query else ""), b""


def as_json_value(rng, name, value):
    if value in ("true", "false"):
        return value == "true"
    if name == "risk_free_rate" and rng.random() < 0.5:
        return float(value)
    if isinstance(value, list) and rng.random() < 0.3:
        return ",".join(value)
    return value


def as_body(rng, path, said):
    """A JSON object as older clients send it."""
    members = {name: as_json_value(rng, name, value) for name, value in said}
    if members.get("time_range") == "custom" and rng.random() < 0.5:
        bounds = {name: members.pop(name) for name in ("start_date", "end_date") if name in members}
        members["time_range"] = {"custom": bounds}
    inner = {name: members.pop(name) for name in list(members) if rng.random() < 0.3}
    if inner:
        members["options"] = inner
    body = json.dumps(members, indent=rng.choice([None, 2]), ensure_ascii=rng.random() < 0.5).encode()
    return "POST", path, b"" if not members and rng.random() < 0.5 else body


def ask(client, method, uri, body):
    headers = {**bearer(), "Content-Type": "application/json"} if body else bearer()
    answer = client.ask(method, uri, headers, body)
    assert answer.status == 200, (method, uri, body, answer)
    return answer.headers["cache-status"].startswith("pnlcache; hit")


def check_keys(client, requests, spellings):
    """requests: [(what is asked, function that spells it)]."""
    known = set()
    for asked, spell in requests:
        form = json.dumps(asked, sort_keys=True)
        for _ in range(spellings):
            request = spell()
            assert ask(client, *request) == (form in known), (form, request, "another key than before" if form in known else "another's key")
            known.add(form)
    assert len(known) >= len(requests) / 2


@pytest.mark.parametrize("seed", range(3))
def test_spellings_of_an_analytics_request_share_one_key(servers, db, responder, seed):
    rng = random.Random(seed)
    add_stock(db, "alice", 1)

    def spelled(asked):
        path = "/api/analytics/" + asked["section"]
        return lambda: rng.choice([as_query, as_body])(rng, path, spell_analytics(rng, asked))

    with Client(servers.listen) as client:
        pairs = [(asked, neighbour(rng, asked)) for asked in (random_analytics(rng) for _ in range(50))]
        check_keys(client, [(asked, spelled(asked)) for pair in pairs for asked in pair], 3)


# --- datasets -------------------------------------------------------------------------------------


def in_any_case(rng, text):
    return "".join(rng.choice([c.lower(), c.upper()]) for c in text)


# name: (values, how one is spelled, the default)
STOCKS = {
    "symbol": (["ACME", "BRK.B"], in_any_case, None),
    "trade_type": (["BUY", "SELL"], in_any_case, None),
    "status": (["open", "closed"], in_any_case, None),
    "open_only": ([False, True], lambda rng, value: rng.choice(FLAGS[value]), False),
    "start_date": (["2024-01-02", "2024-02-03"], lambda rng, value: value, None),
    "min_pnl": (["1.5", "-20.25"], with_zeros, None),
    "date_field": (["entry", "exit"], in_any_case, "entry"),
    "sort": (["entry_date", "pnl", "id"], in_any_case, "entry_date"),
    "order": (["asc", "desc"], in_any_case, "desc"),
    "limit": ([100, 50], lambda rng, value: "0" * rng.randrange(3) + str(value), 100),
    "offset": ([0, 25], lambda rng, value: "0" * rng.randrange(3) + str(value), 0),
}
QUOTES = {"symbols": ([("ACME",), ("ACME", "BRK.B"), ("ACME", "BRK.B", "X")],
                      lambda rng, value: ",".join(in_any_case(rng, s) for s in rng.sample(value * 2, len(value) * 2)), None)}


def random_of(rng, parameters, p):
    asked = {name: rng.choice(values) for name, (values, _, _) in parameters.items() if rng.random() < p}
    return {name: value for name, value in asked.items() if value != parameters[name][2]}


def dataset_neighbour(rng, parameters, asked):
    """With another value of one parameter, or with a default instead."""
    name = rng.choice(list(parameters))
    values, _, default = parameters[name]
    value = rng.choice([v for v in [*values, default] if v != asked.get(name, default)])
    others = {other: v for other, v in asked.items() if other != name}
    return others if value == default else {**others, name: value}


def spell_dataset(rng, parameters, asked):
    said = [(name, parameters[name][1](rng, value)) for name, value in asked.items()]
    for name, (_, spell, default) in parameters.items():
        if default is not None and name not in asked and rng.random() < 0.3:
            said.append((name, spell(rng, default)))
    rng.shuffle(said)
    return said


@pytest.mark.parametrize("path, parameters, p", [("/api/stocks", STOCKS, 0.4), ("/api/market/quotes", QUOTES, 1)])
def test_spellings_of_a_dataset_request_share_one_key(servers, db, responder, path, parameters, p):
    rng = random.Random(path)
    requests = [random_of(rng, parameters, p) for _ in range(60 if path == "/api/stocks" else 3)]
    if path == "/api/stocks":
        requests = [asked for one in requests for asked in (one, dataset_neighbour(rng, parameters, one))]
    with Client(servers.listen) as client:
        check_keys(client, [(asked, lambda asked=asked: as_query(rng, path, spell_dataset(rng, parameters, asked))) for asked in requests], 3)
