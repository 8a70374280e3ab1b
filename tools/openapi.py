#!/usr/bin/python3
"""openapi.py FILE: prints an OpenAPI document with the paths of datasets made anew; what stands above its line MARK is written
by hand and stays as it is. Standard input is what `pnlcache-worker datasets --json` says.
"""
import json
import sys

import yaml

MARK = "  # --- datasets: written by `make docs`, from sql/datasets/ and the columns that PostgreSQL tells"
TYPES = {"integer": "integer", "decimal": "number", "boolean": "boolean"}  # of parameters; the others are texts
COLUMNS = {  # as row_to_json() shows them; any other type is a text
    "boolean": {"type": "boolean"}, "smallint": {"type": "integer"}, "integer": {"type": "integer"}, "bigint": {"type": "integer"},
    "numeric": {"type": "number"}, "real": {"type": "number"}, "double precision": {"type": "number"},
    "date": {"type": "string", "format": "date"}, "timestamp with time zone": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"}, "json": {}, "jsonb": {},
}


def reference(name):
    return {"$ref": f"#/components/{name}"}


def value_schema(param):
    """What one value of a parameter may be."""
    kind = param["type"]
    schema = {"type": TYPES.get(kind, "string")}
    if kind == "choice":
        schema["enum"] = param["choices"]
    elif kind in ("date", "time"):
        schema["format"] = {"date": "date", "time": "date-time"}[kind]
    elif kind == "symbol":
        schema |= {"maxLength": param["max"], "pattern": "^[A-Za-z0-9._/^=:+-]+$"}
    elif kind == "text":  # its bound is in bytes; a text has no more characters than that
        schema |= {"minLength": 1, "maxLength": param["max"]}
    elif "min" in param:
        schema |= {"minimum": param["min"], "maximum": param["max"]}
    return schema


def parameter(param):
    schema, default = value_schema(param), param["default"]
    entry = {"name": param["name"], "in": "path" if param["in_path"] else "query"}
    if param["required"]:
        entry["required"] = True
    if "list_max" in param:
        schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": param["list_max"]}
        entry["explode"] = False
        if default is not None:
            default = default.split(",")
    elif default is not None and param["type"] in TYPES:
        default = json.loads(default)
    if param["or_all"]:
        schema = {"anyOf": [schema, {"const": "all"}]}
    if default is not None:
        schema["default"] = default
    return entry | {"schema": schema}


def column(type_name):
    """Any may be NULL, for all that PostgreSQL tells of a statement."""
    if type_name.endswith("[]"):
        return {"type": ["array", "null"], "items": column(type_name[:-2])}
    schema = dict(COLUMNS.get(type_name, {"type": "string"}))
    if schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def row(columns):
    return {"type": "object", "additionalProperties": False, "required": [c["name"] for c in columns],
            "properties": {c["name"]: column(c["type"]) for c in columns}}


def responses(dataset):
    is_row, shared = dataset["returns"] == "row", dataset["scope"] == "shared"
    data = row(dataset["columns"])
    body = {"type": "object", "additionalProperties": False, "required": ["success", "data", "meta"], "properties": {
        "success": {"const": True}, "data": data if is_row else {"type": "array", "items": data},
        "meta": reference(f"schemas/{'Row' if is_row else 'List'}Meta")}}
    answers = {"200": {"description": "The row" if is_row else "The rows", "headers": {
        name: reference(f"headers/{name}") for name in ("Cache-Control", "Cache-Status", "ETag")},
        "content": {"application/json": {"schema": body}}}}
    problems = {"304": "NotModified", "400": "BadRequest", "401": "Unauthorized"}
    if not shared:
        problems["403"] = "Forbidden"
    if is_row and any(p["in_path"] for p in dataset["params"]):
        problems["404"] = "NotFound"
    if any(p["or_all"] for p in dataset["params"]):
        problems["422"] = "Unprocessable"
    problems |= {"406": "NotAcceptable", "414": "UriTooLong", "429": "TooManyRequests", "503": "Unavailable"}
    problems = dict(sorted(problems.items()))
    return answers | {status: reference(f"responses/{name}") for status, name in problems.items()}


def operation(dataset, number):
    shared = dataset["scope"] == "shared"
    entry = {"operationId": dataset["name"] + (f"-{number + 1}" if number > 0 else ""),
             "summary": f"Dataset {dataset['name']}",
             "description": f"Kept for {dataset['ttl']} s; invalidated by {', '.join(dataset['tags'])}.",
             "tags": ["shared data" if shared else "journal"]}
    if shared:
        entry["security"] = [{}, {"bearer": []}]  # no token is needed unless PUBLIC_DATA=false
    parameters = [parameter(p) for p in dataset["params"]]
    parameters += ([reference("parameters/Cursor")] if dataset["has_cursor"] else []) + ([] if shared else [reference("parameters/UserId")])
    if parameters:
        entry["parameters"] = parameters
    return {"get": entry | {"responses": responses(dataset)}}


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def main():
    by_hand, found, _ = open(sys.argv[1], encoding="utf-8").read().partition(MARK)
    if not found:
        sys.exit(f"openapi.py: {sys.argv[1]} has no line '{MARK}'")
    paths = {path: operation(dataset, i) for dataset in json.load(sys.stdin) for i, path in enumerate(dataset["paths"])}
    text = yaml.dump(paths, Dumper=Dumper, sort_keys=False, width=140, default_flow_style=None)
    sys.stdout.write(by_hand + MARK + "\n" + "".join(f"  {line}\n" for line in text.splitlines()))


main()
