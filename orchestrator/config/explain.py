"""pydantic's errors in our words: the key, what was expected there, what was found, and what may have been meant."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from datetime import date

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from orchestrator.config.document import Document, Location, Problem, dotted
from orchestrator.core.names import printable_url

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "literal_error": "{expected}",
    "too_short": "at least one entry",  # the models ask for no more than that
    "string_too_short": "at least {min_length} character(s)",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_pattern_mismatch": "an absolute path ('/…')",  # the only pattern that the models have
}
_SCALARS = (int, float, date)
_LONGEST = 60


def explain(model: type[BaseModel], detail: ErrorDetails, document: Document) -> Problem:
    """One of pydantic's errors as a line and a sentence."""
    location = tuple(part for part in detail["loc"] if part != "[key]")
    return document.line(location), _message(model, detail, location)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known."""
    names = list(known)
    close = difflib.get_close_matches(name[:_LONGEST], names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; expected one of {', '.join(sorted(names))}" if names else ""


def _message(model: type[BaseModel], detail: ErrorDetails, location: Location) -> str:
    key = dotted(location)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"unknown key {key!r}" + did_you_mean(str(location[-1]), _keys_at(model, location[:-1]))
    if kind == "missing":
        return f"the key {key!r} is missing" + _purpose(model, location)
    found = shown(detail["input"])
    if kind in _EXPECTED:
        quotes = "; in quotes it is text" if kind == "string_type" and isinstance(detail["input"], _SCALARS) else ""
        return f"{key}: expected {_EXPECTED[kind].format(**detail.get('ctx', {}))}, found {found}{quotes}"
    said = detail["msg"].removeprefix("Value error, ")
    text = f"{key}: {said[:1].lower()}{said[1:]}"
    return text if found in text or isinstance(detail["input"], dict) else f"{text} (found {found})"


def shown(value: object) -> str:
    """What was found, in YAML's words and never at length; a credential in a URL is left out."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if not isinstance(value, str):
        return str(value)[:_LONGEST]
    text = printable_url(value) if "@" in value or "://" in value else value
    return repr(text) if len(text) <= _LONGEST else f"{text[:12]!r}… ({len(text)} characters)"


def _purpose(model: type[BaseModel], location: Location) -> str:
    parent = _model_at(model, location[:-1])
    field = _field(parent, location[-1]) if parent else None
    return f": {field.description}" if field and field.description else ""


def _keys_at(model: type[BaseModel], location: Location) -> Iterable[str]:
    parent = _model_at(model, location)
    return [field.alias or name for name, field in parent.model_fields.items()] if parent else ()


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model that validates the mapping at this location."""
    annotation: object = model
    for part in location:
        container = typing.get_origin(annotation)
        if container in (dict, list):
            annotation = _unwrapped(typing.get_args(annotation)[-1])
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = _field(annotation, part)
            annotation = _unwrapped(field.annotation) if field else None
        else:
            return None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _field(model: type[BaseModel], key: str | int) -> FieldInfo | None:
    """The field that a key of the file stands for."""
    named = (field for name, field in model.model_fields.items() if (field.alias or name) == key)
    return next(named, None)


def _unwrapped(annotation: object) -> object:
    """The annotation without Annotated and Optional."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _unwrapped(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _unwrapped(next(argument for argument in arguments if argument is not type(None)))
    return annotation
