"""docs/openapi.yaml and the running responder say the same: paths, methods, parameters with their bounds, and for every operation
every documented status, provoked at least once."""
import json
import re
import subprocess

import jsonschema
import pytest
import specification
from fastcgi_client import Client, bearer
from harness import ROOT, add_option, add_stock, sign_webhook, webhook_event
from openapi import Document, bad_examples, edges, example

WITH_SESSIONS = {"AUTH_MODE": "jwt,session", "RATE_LIMIT_LOGINS": "off"}
USER = "active"  # of the sample

# What neither the generated sample nor the calendar fills, for datasets of one row: SQL.
ROWS = ["INSERT INTO latest_price (symbol, price, observed_at) VALUES ('ACME', 12, now())",
        "INSERT INTO daily_bars (symbol, date, close, volume) VALUES ('ACME', current_date - 1, 11, 1000)"]


@pytest.fixture(scope="module")
def document():
    return Document()


@pytest.fixture
def sample(servers, db):
    subprocess.run(["psql", "-qX", "-v", "whale=1000", "-d", servers.owner_url, "-f", ROOT / "sql/sample/generate.sql"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with db.cursor() as cursor:
        for statement in ROWS:
            cursor.execute(statement)


@pytest.fixture
def client(servers, start_responder):
    start_responder(**WITH_SESSIONS)
    with Client(servers.listen) as client:
        yield client


# --- the document itself ----------------------------------------------------------------------------


def test_the_document_holds_together(document):
    for reference in document.references():
        assert document.resolved({"$ref": reference}), reference
    for where, schema in document.schemas():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema, where
    identifiers = [operation.content["operationId"] for operation in document.operations()]
    assert len(identifiers) == len(set(identifiers))
    tags = {tag["name"] for tag in document.content["tags"]}
    for operation in document.operations():
        assert set(operation.named("path")) == set(re.findall(r"{(\w+)}", operation.path)), operation
        assert set(operation.content["tags"]) <= tags, operation
    unused = {f"#/components/{kind}/{name}" for kind, entries in document.content["components"].items() if kind != "securitySchemes"
              for name in entries} - set(document.references())
    assert not unused


@pytest.mark.parametrize("schema, table", [
    ("CoreMetrics", "CORE"), ("RiskMetrics", "RISK"), ("PerformanceMetrics", "PERFORMANCE"), ("OptionsMetrics", "OPTIONS"),
    ("DurationBucket", "BUCKET"), ("OpenPositions", "POSITIONS"), ("OpenPosition", "POSITION"), ("TradeAnalytics", "TRADE"),
    ("SymbolAnalytics", "SYMBOL"), ("PnlCalendar", "CALENDAR"), ("CalendarDay", "DAY"), ("CalendarWeek", "WEEK"),
    ("PlaybookAnalytics", "PLAYBOOK"), ("AnalyticsMeta", "META"), ("TimeRange", "TIME_RANGE"), ("NamedTrade", "NAMED_TRADE")])
def test_sections_have_the_fields_of_the_specification(document, schema, table):
    fields, found = getattr(specification, table), document.content["components"]["schemas"][schema]
    assert list(found["properties"]) == list(found["required"]) == list(fields)
    assert found["additionalProperties"] is False
    for name, field in fields.items():
        may_be_null = not document.problems(found["properties"][name], None)
        assert may_be_null == any(condition.co_names or True in condition.co_consts for condition in (field.null, field.either)), name


# --- paths and parameters ---------------------------------------------------------------------------


def test_it_has_every_route_and_dataset_and_nothing_else(document, client, run_worker):
    routes = re.findall(r'^ +{"(/[^"]*)", ', (ROOT / "fcgi/router.c").read_text(), re.M)
    datasets = re.findall(r"  (/api/\S+)", run_worker("datasets").stdout)
    assert len(routes) > 15 and len(datasets) > 10
    assert set(document.content["paths"]) == {*routes, *datasets}
    for path in document.content["paths"]:
        methods = {operation.method for operation in document.operations() if operation.path == path}
        allow = client.ask("OPTIONS", re.sub(r"{\w+}", "1", path)).headers["allow"]
        assert set(allow.split(", ")) == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()), path


def values_of(operation, client, **more):
    """Values of the parameters that an operation needs. An id of the path is that of a row of the collection above it."""
    values = {p["name"]: example(operation.document, p["schema"]) for p in operation.parameters
              if p.get("required") and p["in"] != "header"}
    collection, _, name = operation.path.rpartition("/")
    if name.startswith("{") and collection in operation.document.content["paths"]:
        rows = json.loads(client.ask("GET", collection, bearer(USER)).body)["data"]
        if isinstance(rows, list) and rows and name[1:-1] in rows[0]:
            values[name[1:-1]] = rows[0][name[1:-1]]
    return {**values, **more}


def of_users(document):
    """Those that a token and parameters ask; not webhooks, not operations."""
    return [operation for operation in document.operations() if {"bearer": []} in operation.content.get("security", [{"bearer": []}])]


def test_parameters_are_what_is_documented(document, sample, client):
    """Each is taken with a value that fits, also one that just does, and refused with one that does not."""
    tried = 0
    for operation in of_users(document):
        needed = values_of(operation, client)
        for name, parameter in {**operation.named("path"), **operation.named("query")}.items():
            good = needed.get(name, example(document, parameter["schema"]))
            if name == "cursor":
                good = json.loads(client.ask("GET", operation.uri({**needed, "limit": 1}), bearer(USER)).body)["meta"]["next_cursor"]
            values = {**needed, name: USER if name == "user_id" else good}
            if name in ("start_date", "end_date") and "time_range" in operation.named("query"):
                values["time_range"] = "custom"
            for text in [values[name], *edges(document, parameter["schema"])]:
                answer = client.ask(operation.method, operation.uri({**values, name: text}), bearer(USER, role="admin"))
                assert answer.status in (200, 202, 404), (str(operation), name, text, answer)
            for bad in bad_examples(document, parameter["schema"]):
                answer = client.ask(operation.method, operation.uri({**values, name: bad}), bearer(USER, role="admin"))
                if parameter["in"] == "path":
                    assert answer.status == 404, (str(operation), name, bad, answer)
                    continue
                assert answer.status == 400, (str(operation), name, bad, answer)
                assert any(problem["field"] == name for problem in json.loads(answer.body)["errors"]), (str(operation), answer)
                tried += 1
    assert tried > 150


# --- statuses ---------------------------------------------------------------------------------------


class Site:
    """A client of each of four responders: one as usual, one that lets nobody in, one without any server, and one that takes any
    list for too long."""

    def __init__(self, usual, limited, alone, short):
        self.usual, self.limited, self.alone, self.short = usual, limited, alone, short

    def ask(self, operation, client=None, headers=None, body=None, changes=None, role=None, **more):
        client = client or self.usual
        if body is None:
            body = BODIES.get(operation.path, b"")
        if operation.path == SESSION and operation.method != "POST":
            headers = {**self.session(), **(headers or {})}
        elif operation.path == WEBHOOK:
            headers = {**sign_webhook(body, **more), **(headers or {})}
        else:
            role = role or ("admin" if operation.path.startswith(CACHE) and operation.path != WRITE else "user")
            headers = {**bearer(USER, role=role), **(headers or {})}
        return client.ask(operation.method, operation.uri(values_of(operation, self.usual, **(changes or {}))), headers, body)

    def session(self):
        """The headers of somebody who has just logged in."""
        answer = self.usual.ask("POST", SESSION, bearer(USER))
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0], "X-CSRF-Token": json.loads(answer.body)["data"]["csrf_token"]}

    def write(self, operation, client=None, changes=None):
        return self.ask(operation, client, bearer("svc", role="service_role"), changes={"name": "market-gainers", **(changes or {})})

    def not_modified(self, operation):
        etag = self.ask(operation).headers["etag"]
        return self.ask(operation, headers={"If-None-Match": etag})

    def not_found(self, operation):
        unknown = {name: "9223372036854775807" if operation.document.resolved(p["schema"]).get("type") == "integer" else "NO-SUCH-THING"
                   for name, p in {**operation.named("path"), **operation.named("query")}.items() if name in operation.path or name == "trade_id"}
        return self.ask(operation, changes=unknown)


SESSION, WEBHOOK, CACHE, WRITE = "/api/session", "/api/webhooks/trades", "/api/cache/", "/api/cache/dataset/{name}"
BODIES = {WEBHOOK: webhook_event(user=USER), CACHE + "clear": b'{"user_id": "active"}', CACHE + "warm": b'{"user_id": "active"}'}
INITIALIZE = "/api/user/initialize"
PROVOKE = {  # how an operation is brought to a status: everywhere, or at one path
    "200": Site.ask,
    "201": Site.ask,
    ("200", INITIALIZE): lambda site, operation: site.ask(operation, changes={"wait": "true"}),
    "202": Site.ask,
    ("202", CACHE + "clear"): lambda site, operation: site.ask(operation, body=b'{"all": true}'),
    "304": Site.not_modified,
    "400": lambda site, operation: site.ask(operation, changes={"no_such_parameter": "1"}),
    "401": lambda site, operation: site.ask(operation, headers={"Authorization": "Bearer no-token"}),
    ("401", SESSION): lambda site, operation: site.ask(operation, headers={"Authorization": "Bearer no-token", "Cookie": "theme=dark"}),
    ("401", WEBHOOK): lambda site, operation: site.ask(operation, key=b"another key"),
    "403": lambda site, operation: site.ask(operation, changes={"user_id": "somebody-else"}),
    ("403", SESSION): lambda site, operation: site.ask(operation, headers={"X-CSRF-Token": "x", **bearer(USER, role="service_role")}),
    ("200", WRITE): lambda site, operation: site.write(operation),
    ("400", WRITE): lambda site, operation: site.write(operation, changes={"no_such_parameter": "1"}),
    ("404", WRITE): lambda site, operation: site.write(operation, changes={"name": "no-such-dataset"}),
    ("503", WRITE): lambda site, operation: site.write(operation, site.alone),
    ("403", WEBHOOK): lambda site, operation: site.ask(operation, timestamp=1_000_000),
    ("403", CACHE + "stats"): lambda site, operation: site.ask(operation, role="service_role"),
    ("403", CACHE + "key"): lambda site, operation: site.ask(operation, role="service_role"),
    ("403", CACHE + "clear"): lambda site, operation: site.ask(operation, body=b'{"all": true}', role="service_role"),
    ("403", CACHE + "warm"): lambda site, operation: site.ask(operation, role="service_role"),
    "404": Site.not_found,
    "406": lambda site, operation: site.ask(operation, headers={"Accept": "image/png"}),
    "413": lambda site, operation: site.ask(operation, body=b" " * (2 << 20)),
    "414": lambda site, operation: site.ask(operation, changes={"x": "y" * 17000}),
    "415": lambda site, operation: site.ask(operation, headers={"Content-Type": "text/plain"}, body=b"{}"),
    "422": lambda site, operation: site.ask(operation, site.short, changes={"limit": "all"}),
    ("422", WEBHOOK): lambda site, operation: site.ask(operation, body=webhook_event("no.such.event", USER)),
    "429": lambda site, operation: site.ask(operation, site.limited),
    "503": lambda site, operation: site.ask(operation, site.alone),
}


@pytest.fixture
def site(servers, sample, client, start_responder):
    limited, alone, short = (str(servers.run_dir / f"{name}.sock") for name in ("limited", "alone", "short"))
    start_responder(LISTEN=limited, RATE_LIMIT_ADDRESS="sliding:1/3600", RATE_LIMIT_WEBHOOKS="sliding:1/3600", **WITH_SESSIONS)
    start_responder(LISTEN=alone, REDIS_URL=f"unix://{servers.run_dir}/nowhere", **WITH_SESSIONS, DATABASE_URL=f"host={servers.run_dir}/nowhere dbname=none user=none")
    start_responder(LISTEN=short, COLLECTION_MAX_ROWS="1")
    with Client(limited) as limited_client, Client(alone) as alone_client, Client(short) as short_client:
        yield Site(client, limited_client, alone_client, short_client)


def test_every_documented_status_is_provoked_and_its_answer_fits(document, site):
    differences = []
    for operation in document.operations():
        if "429" in operation.answers:  # the one request that is let in
            site.ask(operation, site.limited)
        for status in operation.answers:
            provoke = PROVOKE.get((status, operation.path)) or PROVOKE[status]
            answer = provoke(site, operation)
            differences += operation.differences(answer)
            if str(answer.status) != status:
                differences.append(f"{operation}: {status} was to be provoked, not {answer}")
    assert not differences, "\n".join(differences)


def test_answers_that_end_by_themselves_fit(document, db, client):
    """What is exceptional in the sample: a trade whose exit is still to come."""
    add_stock(db, USER, 1, exit="now() + interval '10 minutes'")
    add_option(db, USER, 1, exit="now() + interval '10 minutes'")
    for path in ("/api/stocks", "/api/stocks/{id}", "/api/stocks/count", "/api/options", "/api/options/{id}", "/api/options/count"):
        [operation] = [o for o in document.operations() if (o.method, o.path) == ("GET", path)]
        answer = client.ask("GET", path.replace("{id}", "1"), bearer(USER))
        assert json.loads(answer.body)["meta"]["valid_until"]
        assert not operation.differences(answer)


def test_bodies_that_are_documented_are_taken(document, db, client):
    """Each member of the older clients' bodies, at the top or in `options`; and one that is not documented is refused."""
    add_stock(db, USER, 1)
    add_option(db, USER, 1)
    schema = document.content["components"]["schemas"]["AnalyticsRequest"]
    members = {"user_id": USER, "time_range": "30d", "null_as_zero": True, "asset": "stocks", "risk_free_rate": 0.01,
               "grouping_types": ["symbol", "dte"], "include_time_series": False, "include_grouped_analytics": True,
               "time_series_interval": "weekly"}
    custom = {"time_range": {"custom": {"start_date": "2026-01-01", "end_date": "2026-01-31"}}}
    bodies = [{name: value} for name, value in members.items()] + [members, {"options": members}, custom, {"options": custom}, {}]
    for operation in of_users(document):
        if operation.method != "POST" or operation.content["tags"] != ["analytics"]:
            continue
        for body in bodies:
            assert not document.problems(schema, body), body
            answer = client.ask("POST", operation.path, bearer(USER), json.dumps(body).encode())
            assert answer.status == 200, (str(operation), body, answer)
            assert not operation.differences(answer), (body, operation.differences(answer))
        for body in ({"no_such_member": 1}, {"options": {"no_such_member": 1}}, {"asset": "bonds"}):
            assert document.problems(schema, body), body
            assert client.ask("POST", operation.path, bearer(USER), json.dumps(body).encode()).status == 400, body
