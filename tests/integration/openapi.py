"""docs/openapi.yaml for tests: its operations, values that fit or do not fit their parameters, and what an answer must be like."""
import json
from datetime import datetime
from urllib.parse import quote, urlencode

import jsonschema
import yaml
from harness import ROOT

METHODS = ("get", "post", "put", "patch", "delete")
formats = jsonschema.FormatChecker()


@formats.checks("date-time", ValueError)
def is_instant(text):
    return not isinstance(text, str) or datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is not None


class Document:
    def __init__(self, text=None):
        self.content = yaml.safe_load(text or (ROOT / "docs/openapi.yaml").read_text())

    def resolved(self, entry):
        """What an entry refers to, or itself."""
        if "$ref" not in entry:
            return entry
        found = self.content
        for name in entry["$ref"].removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        return found

    def references(self):
        return self.references_in(self.content)

    def references_in(self, part):
        """Every $ref in it."""
        children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
        own = [part["$ref"]] if isinstance(part, dict) and isinstance(part.get("$ref"), str) else []
        return own + [found for child in children for found in self.references_in(child)]

    def schemas(self):
        """(where, schema) of all components, parameters and answers."""
        yield from self.content["components"]["schemas"].items()
        for operation in self.operations():
            for parameter in operation.parameters:
                yield f"{operation}: {parameter['name']}", parameter["schema"]
            for status, answer in operation.answers.items():
                for media in answer.get("content", {}).values():
                    yield f"{operation}: {status}", media["schema"]

    def operations(self):
        return [Operation(self, path, method, item[method]) for path, item in self.content["paths"].items()
                for method in METHODS if method in item]

    def problems(self, schema, value):
        """What is wrong with a value, in words."""
        whole = {**schema, "components": self.content["components"]}  # where its references point
        validator = jsonschema.Draft202012Validator(whole, format_checker=formats)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in validator.iter_errors(value)]


class Operation:
    def __init__(self, document, path, method, content):
        self.document, self.path, self.method = document, path, method.upper()
        self.content = content
        self.parameters = [document.resolved(p) for p in content.get("parameters", [])]
        self.answers = {status: document.resolved(a) for status, a in content["responses"].items()}

    def __str__(self):
        return f"{self.method} {self.path}"

    def named(self, place):
        return {p["name"]: p for p in self.parameters if p["in"] == place}

    def uri(self, values):
        """The path and query with these values of its parameters; what is not of the path stands in the query."""
        path = self.path
        in_path = self.named("path")
        for name in in_path:
            path = path.replace("{" + name + "}", quote(str(values[name]), safe=""))
        query = {name: value for name, value in values.items() if name not in in_path}
        return path + ("?" + urlencode(query) if query else "")

    def differences(self, answer):
        """How an answer (of fastcgi_client) differs from what is documented for its status."""
        documented = self.answers.get(str(answer.status))
        if documented is None:
            return [f"{self}: {answer.status} is not documented: {answer}"]
        found = []
        for name, header in documented.get("headers", {}).items():
            text = answer.headers.get(name.lower())
            schema = self.document.resolved(header)["schema"]
            value = int(text) if text and schema["type"] == "integer" else text
            found += [f"header {name}: {problem}" for problem in self.document.problems(schema, value)]
        type_, content = answer.headers.get("content-type", "").partition(";")[0], documented.get("content", {})
        if not content and answer.body:
            found.append("a body where none is documented")
        elif content and type_ not in content:
            found.append(f"Content-Type {type_!r}")
        elif content:
            value = json.loads(answer.body) if type_.endswith("json") else answer.body.decode()
            found += self.document.problems(content[type_]["schema"], value)
        return [f"{self}: {answer.status}: {problem}" for problem in found]


def example(document, schema):
    """A text that fits a parameter's schema."""
    schema = document.resolved(schema)
    if "enum" in schema:
        return str(schema["enum"][0])
    if "anyOf" in schema:
        return example(document, schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "array":
        return example(document, schema["items"])
    if kind in ("integer", "number"):
        return str(schema.get("minimum", 1 if kind == "integer" else "0.5"))
    if kind == "boolean":
        return "true"
    if schema.get("format") in ("date", "date-time"):
        return {"date": "2026-01-02", "date-time": "2026-01-02T15:00:00Z"}[schema["format"]]
    return "2026-01" if "0-9]{4}-" in schema.get("pattern", "") else "ACME"


def edges(document, schema):
    """Texts that a parameter's bounds just allow."""
    schema = document.resolved(schema)
    texts = [str(schema[bound]) for bound in ("minimum", "maximum") if bound in schema]
    if "maxLength" in schema:
        texts.append("A" * schema["maxLength"])
    if "maxItems" in schema:
        texts.append(",".join(f"A{i}" for i in range(schema["maxItems"])))
    return texts


def bad_examples(document, schema):
    """Texts just outside of what a parameter's schema allows."""
    schema = document.resolved(schema)
    if "anyOf" in schema:
        return bad_examples(document, schema["anyOf"][0])
    kind, texts = schema.get("type"), []
    if "enum" in schema or kind in ("integer", "number", "boolean") or "format" in schema:
        texts.append("no-such-value")
    if kind == "array":
        texts += bad_examples(document, schema["items"])
        if "maxItems" in schema:
            texts.append(",".join(f"A{i}" for i in range(schema["maxItems"] + 1)))
    texts += [str(schema[bound] + step) for bound, step in (("minimum", -1), ("maximum", 1)) if bound in schema]
    texts += [str(schema[bound]) for bound in ("exclusiveMinimum", "exclusiveMaximum") if bound in schema]
    if "maxLength" in schema:
        texts.append("A" * (schema["maxLength"] + 1))
    if "minLength" in schema:
        texts.append("")
    if "pattern" in schema:
        texts.append("?!")
    return texts
