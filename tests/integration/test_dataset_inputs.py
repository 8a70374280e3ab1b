"""Every parameter of every dataset that is shipped, with values that are wrong, out of bounds or attacks. What is tried is made from
what `pnlcache-worker datasets` says of the files, so a new dataset is covered by being there."""
import re
import subprocess
from urllib.parse import quote

import pytest

from harness import BUILD, ROOT, add_stock

ATTACKS = ["'", "' OR '1'='1", "'; DROP TABLE stocks; --", "1; DELETE FROM stocks", "1 UNION SELECT 1", "\\'; --", "$1", "$$;", "(SELECT 1)", "%27",
           "{U}", "$H", "/**/", "E'\\x27'", "\u02bc OR 1=1", "pg_sleep(9)", "1,2", "null", "NaN", "1e3", "0x10", "../..", "A\u00a0B"]
BAD = {
    "integer": ["x", "1.5", "", " 1", "9223372036854775808", "-9223372036854775809", "0x1", "1_000", "١"],
    "decimal": ["x", "", "1e5", "NaN", "Infinity", "99999999999999999999", "1,5"],
    "date": ["x", "", "2025-02-30", "2025-1-1", "20250101", "2025-01-01T00:00:00Z", "today", "infinity"],
    "time": ["x", "", "2025-02-30", "2025-01-01T25:00:00Z", "2025-01-01T00:00:00.1234567Z", "now", "infinity"],
    "text": ["", "a\x01b", "a\nb", "\x7f", "x" * 1001],
    "choice": ["x", "", "ASCDESC", "|"],
    "boolean": ["x", "", "yes", "TRUE", "2", "t"],
    "symbol": ["", "A B", "A;B", "A'B", "X" * 33, "Ä"],
}


def datasets():
    """[(path, {name: type as the file says})]"""
    text = subprocess.run([BUILD / "pnlcache-worker", "datasets", "--markdown"], env={"DATASET_DIR": str(ROOT / "sql/datasets"), "PNLCACHE_CONF": "/dev/null"},
                          capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        if not line.startswith("| `/api"):
            continue
        paths, params = re.split(r"(?<!\\)\|", line)[1:3]
        found = {}
        for item in filter(None, (p.strip() for p in params.replace("\\|", "|").split(";"))):
            name, _, kind = item.partition("` ")
            found[name.strip("`")] = kind or "cursor"
        for path in re.findall(r"`([^`]+)`", paths):
            yield path, found


ALL = list(datasets())


def base_type(kind):
    """(type, whether a list, its lowest and highest number or None)"""
    words = kind.split()
    is_list = words[0] == "list"
    words = words[2:] if is_list else words
    bounds = re.match(r"(-?[\d.]+?)\.\.(-?[\d.]+)", words[1]) if len(words) > 1 else None
    return words[0], is_list, bounds.groups() if bounds else None


def bad_values(kind):
    if kind == "cursor":
        return ["x", "", "AAAA", "MDAwMDAwMDAwMDAwMDAwMA", "'; DROP TABLE stocks; --"]
    name, _, bounds = base_type(kind)
    values = list(BAD[name])
    if name == "integer" and bounds:
        values += [str(int(bounds[0]) - 1), str(int(bounds[1]) + 1), "-0" * 40]
    return values


def good_value(kind):
    name, _, bounds = base_type(kind)
    if name == "choice":
        return re.search(r"choice (\w+)", kind).group(1)
    return {"integer": bounds[0] if bounds else "1", "decimal": "1", "date": "2025-01-02", "time": "2025-01-02T15:00:00Z", "text": "a",
            "boolean": "true", "symbol": "ACME"}[name]


def ask(web, path, params, name=None, value=None):
    """The dataset with what it needs, and this value for one parameter."""
    values = {n: good_value(k) for n, k in params.items() if k.endswith("required") or "{" + n + "}" in path}
    if name is not None:
        values[name] = value
    for n in re.findall(r"\{(\w+)\}", path):
        path = path.replace("{" + n + "}", quote(values.pop(n), safe=""))
    query = "&".join(f"{n}={quote(v, safe='')}" for n, v in values.items())
    return web.get(path + ("?" + query if query else ""), "ann")


def test_there_are_datasets_of_every_type():
    assert len(ALL) > 25
    used = {base_type(kind)[0] for _, params in ALL for kind in params.values() if kind != "cursor"}
    assert used == set(BAD)


@pytest.mark.parametrize("path, params", ALL, ids=[path for path, _ in ALL])
def test_bad_values_are_refused_by_name(web, responder, path, params):
    assert ask(web, path, params).status in (200, 404)
    for name, kind in params.items():
        for value in bad_values(kind):
            answer = ask(web, path, params, name, value)
            if "{" + name + "}" in path:
                assert answer.status == 404, (name, value, answer)
                continue
            assert answer.status == 400, (name, value, answer)
            if value.isprintable():  # the rest is refused before anybody looks at parameters
                assert [e["field"] for e in answer.json()["errors"]] == [name], (value, answer)
    assert ask(web, path, params, "no_such", "1").json().get("errors") == [{"field": "no_such", "message": "is not a parameter here"}]


@pytest.mark.parametrize("path, params", ALL, ids=[path for path, _ in ALL])
def test_attacks_are_refused_or_only_text(web, db, responder, path, params):
    add_stock(db, "bob", 1)
    for name, kind in params.items():
        for value in ATTACKS:
            answer = ask(web, path, params, name, value)
            assert answer.status in (200, 400, 404), (name, value, answer)
            text = answer.body.decode()
            assert "SQLSTATE" not in text and "syntax error" not in text and "PostgreSQL" not in text, (name, value, answer)
            if answer.status == 200 and kind.split()[0] == "text":  # taken as what it says: nothing is called so
                assert answer.json()["data"] in ([], {"count": 0}), (name, value, answer)
    with db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM stocks")
        assert cursor.fetchone() == (1,)
    assert "request failed" not in responder.log()
