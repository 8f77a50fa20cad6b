"""The little language of ``when: {if: …}``: comparisons over what is known of a run, and nothing else.

There are texts and truth values, no numbers, no loops, no attribute access and no call but the four below; an
expression is bounded in length and depth, so it always ends. The grammar, loosest first::

    either  = both {("||" | "or") both}
    both    = not {("&&" | "and") not}
    not     = ("!" | "not") not | compare
    compare = value [("==" | "!=") value]
    value   = "text" | 'text' | true | false | branch | tag | event | env.NAME
            | changed("glob", …) | matches(value, "glob") | startsWith(value, value) | contains(value, value)
            | "(" either ")"

A text that is not known (no tag, a variable that is not set) is the empty text. As a condition a text is true when it
is not empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.patterns import matches

_LONGEST, _DEEPEST = 2000, 40
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\\n]|\\["\\])*"|'(?:[^'\\\n]|\\['\\])*')
    | (?P<sign>==|!=|&&|\|\||[!(),])
    | (?P<word>env\.[A-Za-z_][A-Za-z0-9_]*|[A-Za-z_][A-Za-z0-9_]*)
    )""",
    re.VERBOSE,
)
_WORD_SIGNS = {"and": "&&", "or": "||", "not": "!"}
_NAMES = ("branch", "tag", "event")
_FUNCTIONS = ("changed", "matches", "startsWith", "contains")


class ExpressionError(ConfigurationError):
    """It is no expression of this language; the message names the column (from 1)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run. ``changed`` holds the paths that the commit changes; None when nobody can tell."""

    branch: str | None = None
    tags: tuple[str, ...] = ()
    event: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    changed: frozenset[str] | None = None

    def any_changed(self, patterns: Iterable[str]) -> bool:
        """One of these paths changed. What nobody can tell counts as changed: a stage too many is no harm."""
        if self.changed is None:
            return True
        return any(matches(pattern, path) for pattern in patterns for path in self.changed)


Value = str | bool
_Node = Callable[[Facts], Value]


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression; equal when its text is."""

    text: str
    _root: _Node = field(compare=False, repr=False)
    asks_for_changes: bool = field(default=False, compare=False)

    def holds(self, facts: Facts) -> bool:
        """Is it true of this run?"""
        return bool(self._root(facts))


def parse(text: str) -> Expression:
    """Read an expression. Raises ExpressionError."""
    if len(text) > _LONGEST:
        raise ExpressionError(f"an expression has at most {_LONGEST} characters", hint="split the condition")
    parser = _Parser(text)
    root = parser.whole()
    return Expression(text, root, parser.asks_for_changes)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "text", "sign", "word" or "end"
    value: str
    column: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            column = place + len(text[place:]) - len(text[place:].lstrip()) + 1
            raise ExpressionError(
                f"{text[column - 1]!r} at column {column} is not understood", hint=f"in the expression {text!r}"
            )
        column = match.start(match.lastgroup) + 1
        found.append(_token(match.lastgroup, match[match.lastgroup], column))
        place = match.end()
    found.append(_Token("end", "", len(text) + 1))
    return found


def _token(kind: str, raw: str, column: int) -> _Token:
    if kind == "text":
        return _Token("text", re.sub(r"\\(.)", r"\1", raw[1:-1]), column)
    if kind == "word" and raw in _WORD_SIGNS:
        return _Token("sign", _WORD_SIGNS[raw], column)
    return _Token(kind, raw, column)


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self.asks_for_changes = False

    def whole(self) -> _Node:
        """The expression, up to the end of the text."""
        root = self._either()
        if self._peek.kind != "end":
            raise self._unexpected("the end")
        return root

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> bool:
        if self._peek.kind == "sign" and self._peek.value in signs:
            self._next += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected(repr(sign))

    def _unexpected(self, wanted: str) -> ExpressionError:
        token = self._peek
        found = "the end" if token.kind == "end" else repr(token.value)
        return ExpressionError(
            f"expected {wanted} at column {token.column}, found {found}", hint=f"in the expression {self._text!r}"
        )

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError(f"the expression is nested deeper than {_DEEPEST} levels", hint="split the condition")

    def _either(self) -> _Node:
        self._deeper()
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else lambda facts: any(part(facts) for part in parts)

    def _both(self) -> _Node:
        parts = [self._not()]
        while self._take("&&"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda facts: all(part(facts) for part in parts)

    def _not(self) -> _Node:
        if not self._take("!"):
            return self._compare()
        self._deeper()
        inner = self._not()
        self._depth -= 1
        return lambda facts: not inner(facts)

    def _compare(self) -> _Node:
        left = self._value()
        if self._take("=="):
            right = self._value()
            return lambda facts: left(facts) == right(facts)
        if self._take("!="):
            right = self._value()
            return lambda facts: left(facts) != right(facts)
        return left

    def _value(self) -> _Node:
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return inner
        token = self._peek
        if token.kind not in ("text", "word"):
            raise self._unexpected("a value")
        self._next += 1
        if token.kind == "text":
            return lambda facts: token.value
        if token.value in ("true", "false"):
            return lambda facts: token.value == "true"
        return self._function(token) if token.value in _FUNCTIONS else self._name(token)

    def _name(self, token: _Token) -> _Node:
        match token.value:
            case "branch":
                return lambda facts: facts.branch or ""
            case "event":
                return lambda facts: facts.event or ""
            case "tag":
                return lambda facts: facts.tags[0] if facts.tags else ""
        if token.value.startswith("env."):
            name = token.value.removeprefix("env.")
            return lambda facts: facts.environment.get(name, "")
        raise ExpressionError(
            f"{token.value!r} at column {token.column} is not known",
            hint=f"use {', '.join(_NAMES)}, env.NAME, or {', '.join(f'{name}(…)' for name in _FUNCTIONS)}",
        )

    def _function(self, token: _Token) -> _Node:
        self._expect("(")
        if token.value == "changed":
            return self._changed()
        first = self._value()
        self._expect(",")
        if token.value == "matches":
            pattern = self._literal()
            self._expect(")")
            return lambda facts: fnmatchcase(str(first(facts)), pattern)
        second = self._value()
        self._expect(")")
        if token.value == "startsWith":
            return lambda facts: str(first(facts)).startswith(str(second(facts)))
        return lambda facts: str(second(facts)) in str(first(facts))

    def _changed(self) -> _Node:
        self.asks_for_changes = True
        patterns = [self._literal()]
        while self._take(","):
            patterns.append(self._literal())
        self._expect(")")
        return lambda facts: facts.any_changed(patterns)

    def _literal(self) -> str:
        token = self._peek
        if token.kind != "text":
            raise self._unexpected("a quoted glob")
        self._next += 1
        return token.value
