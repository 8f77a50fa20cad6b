"""GitHub's OpenAPI description as a referee: of requests, of answers, and as the mould that answers are made in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator

from tests.servers.forge_http import Call, Reply

_FILE = Path(__file__).with_name("openapi.json")
# Answers that any request may get; the description names them for some only.
_GENERAL = frozenset({202, 301, 302, 401, 403, 404, 422, 429, 500, 502, 503})
_TIME = "2026-01-01T00:00:00Z"
_FORMATS = FormatChecker([])


@_FORMATS.checks("date-time", ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    template: str
    method: str
    pattern: re.Pattern[str]
    description: Mapping[str, Any]


@cache
def document() -> dict[str, Any]:
    """The description, as JSON Schema has it: ``nullable`` is a type of its own there."""
    loaded: dict[str, Any] = _without_nullable(json.loads(_FILE.read_text("utf-8")))
    return loaded


def _without_nullable(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_nullable(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _without_nullable(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation; those whose path says more come first, so that the closest one matches."""
    found = []
    for template, methods in document()["paths"].items():
        for method, description in methods.items():
            found.append(Operation(template, method.upper(), _pattern(template, description), description))
    return tuple(sorted(found, key=lambda one: -len(re.sub(r"\{.*?\}", "", one.template))))


def _pattern(template: str, description: Mapping[str, Any]) -> re.Pattern[str]:
    """A placeholder is one segment, unless its parameter is marked as several."""
    several = {p["name"] for p in parameters(description) if p.get("x-multi-segment") or p["name"] in ("ref", "branch")}
    pieces = re.split(r"(\{[a-z_]+\})", template)
    return re.compile(
        "".join(
            (r".+" if piece[1:-1] in several else r"[^/]+") if piece.startswith("{") else re.escape(piece)
            for piece in pieces
        )
    )


def parameters(description: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parameters of an operation, their references followed."""
    for one in description.get("parameters", []):
        yield _follow(one)


def find(method: str, path: str) -> Operation | None:
    """The operation that a request is."""
    return next((one for one in operations() if one.method == method and one.pattern.fullmatch(path)), None)


def check(call: Call, path: str, reply: Reply) -> list[str]:
    """What is wrong with an exchange; ``path`` is without the prefix of an Enterprise server."""
    operation = find(call.method, path)
    if operation is None:
        return [f"{call.method} {path}: GitHub describes no such operation"]
    where = f"{operation.method} {operation.template}"
    return [f"{where}: {problem}" for problem in [*_request(operation, call), *_reply(operation, reply)]]


def _request(operation: Operation, call: Call) -> Iterator[str]:
    known = {p["name"]: p for p in parameters(operation.description) if p["in"] == "query"}
    for name, value in call.query.items():
        if name not in known:
            yield f"the query parameter {name!r} is not described"
        else:
            yield from _problems(known[name]["schema"], _typed(known[name]["schema"], value), f"query {name}")
    body = operation.description.get("requestBody")
    if call.json is None:
        if body is not None and body.get("required"):
            yield "the request needs a body"
        return
    if body is None:
        yield "the request has a body, and none is described"
        return
    schema = body["content"]["application/json"]["schema"]
    yield from _problems(schema, call.json, "request")
    properties = schema.get("properties")
    if properties is not None and isinstance(call.json, dict):
        yield from (f"the request's {name!r} is not described" for name in call.json if name not in properties)


def _reply(operation: Operation, reply: Reply) -> Iterator[str]:
    described = operation.description["responses"].get(str(reply.status))
    if described is None:
        if reply.status not in _GENERAL:
            yield f"the status {reply.status} is not described"
        elif reply.status >= 400:
            yield from _problems({"$ref": "#/components/schemas/basic-error"}, reply.payload, "answer")
        return
    content = _follow(described).get("content")
    if content is None:
        return
    schema = content.get("application/json", next(iter(content.values())))["schema"]
    if reply.status == 422:
        schema = {"anyOf": [schema, {"$ref": "#/components/schemas/basic-error"}]}
    yield from _problems(schema, reply.payload, f"answer {reply.status}")


def _typed(schema: Mapping[str, Any], text: str) -> Any:
    kind = schema.get("type")
    if kind == "integer" and text.lstrip("-").isdigit():
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _problems(schema: Mapping[str, Any], value: Any, what: str) -> Iterator[str]:
    for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(value):
        path = "/".join(map(str, error.absolute_path))
        yield f"{what} at {path or 'its root'}: {error.message[:300]}"


@cache
def _validator(schema: str) -> Validator:
    """One for each schema; its references point into the description around it."""
    root = json.loads(schema) | {"components": document()["components"]}
    return Draft202012Validator(root, format_checker=_FORMATS)


def _follow(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = _target(node["$ref"])
    return node


def _target(reference: str) -> Mapping[str, Any]:
    node: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node  # type: ignore[no-any-return]


# --- the mould -----------------------------------------------------------------------------------------------------


def skeleton(name: str, base: str) -> dict[str, Any]:
    """The least that a schema allows: every required field with some value of its kind. ``base`` begins its URLs."""
    made: dict[str, Any] = json.loads(_skeleton_text(name).replace("{base}", base))
    return made


@cache
def _skeleton_text(name: str) -> str:
    schema = _target(f"#/components/schemas/{name}")
    return json.dumps(_least(schema["anyOf"][0] if {"type": "null"} in schema.get("anyOf", []) else schema, name))


def _least(schema: Mapping[str, Any], field: str) -> Any:
    schema = _follow(schema)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            options = schema[key]
            return None if {"type": "null"} in options else _least(options[0], field)
    if "allOf" in schema:
        merged: dict[str, Any] = {}
        for part in schema["allOf"]:
            merged |= _least(part, field) or {}
        return merged
    if "enum" in schema:
        return schema["enum"][0]
    return _least_of_type(schema, field)


def _least_of_type(schema: Mapping[str, Any], field: str) -> Any:
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _least(properties[name], name) for name in schema.get("required", []) if name in properties}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case "string":
            if schema.get("format") == "date-time":
                return _TIME
            return f"{{base}}/{field}" if schema.get("format") == "uri" or field.endswith("url") else field
        case _:
            return {}
