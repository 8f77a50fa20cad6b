"""What of a folder goes to the engine: ``.dockerignore`` in docker's own semantics, after a list of our own.

A ``!pattern`` in ``.dockerignore`` brings back what our list leaves out where it names that: ``!**/.env`` does, and
``!src``, by which people say which folders they want at all, does not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from docker.utils.build import Pattern

from orchestrator.core.errors import ConfigurationError
from orchestrator.images.base import MEBIBYTE

# Never wanted in an image, often there by accident: history, credentials, private keys.
LEFT_OUT = (
    "**/.git", "**/.env", "**/.env.*", "!**/.env.example", "!**/.env.sample", "!**/.env.template", "!**/.env.dist",
    "**/id_rsa", "**/id_dsa", "**/id_ecdsa", "**/id_ed25519", "**/*.p12", "**/*.pfx", "**/*.ppk", "**/.ssh",
    "**/.netrc", "**/.pypirc", "**/.git-credentials", "**/.docker/config.json", "**/.kube/config", "**/kubeconfig",
    "**/.aws/credentials", "**/*.pem", "**/*.key",
)  # fmt: skip
_LAST_OF_OURS = frozenset(pattern.rpartition("/")[2] for pattern in LEFT_OUT)
_KEY_SUFFIXES = (".pem", ".key")  # certificates have these names too, so here the content decides
_PRIVATE_KEY = b"PRIVATE KEY-----"
_LOOKED_AT = 64 * 1024
_MAX_IGNORE_FILE = MEBIBYTE


@dataclass(frozen=True, slots=True)
class Selection:
    """The paths that are sent, relative and sorted, and those that only our own list kept back."""

    paths: tuple[str, ...]
    left_out: tuple[str, ...]


def ignore_patterns(context: Path, dockerfile: Path) -> tuple[str, ...]:
    """The patterns of ``<Dockerfile>.dockerignore``, else of ``.dockerignore``. Raises ConfigurationError."""
    for path in (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore"):
        if path.is_file():
            return _read_patterns(path)
    return ()


def select(context: Path, patterns: Sequence[str]) -> Selection:
    """Walk the folder without following a symlink. Raises ConfigurationError for what cannot be read."""
    rules = _Rules(patterns)
    paths: list[str] = []
    left_out: list[str] = []
    pending: list[tuple[str, _Hits]] = [("", rules.none)]
    while pending:
        folder, above = pending.pop()
        for name, is_folder in _entries(context, folder):
            path = f"{folder}/{name}" if folder else name
            hits = rules.hits(path, above)
            verdict = rules.verdict(hits)
            if verdict is _Verdict.KEPT_BACK and path.endswith(_KEY_SUFFIXES) and not _is_key(context / path):
                verdict = _Verdict.SENT
            if verdict is _Verdict.SENT:
                paths.append(path)
            elif verdict is _Verdict.KEPT_BACK and not above.kept_back:
                left_out.append(path)
            if is_folder and (verdict is _Verdict.SENT or rules.may_come_back_below(path, hits)):
                pending.append((path, hits))
    return Selection(tuple(sorted(paths)), tuple(sorted(left_out)))


def sent_of(context: Path, paths: Iterable[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Those of these paths that a build would get, or got while they were still there. Raises ConfigurationError."""
    rules = _Rules(patterns)
    return tuple(path for path in paths if _is_sent(rules, context, path))


def _is_sent(rules: _Rules, context: Path, path: str) -> bool:
    parts, hits = path.split("/"), rules.none
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        hits = rules.hits(folder, hits)
        if rules.verdict(hits) is not _Verdict.SENT and not rules.may_come_back_below(folder, hits):
            return False
    verdict = rules.verdict(rules.hits(path, hits))
    if verdict is _Verdict.KEPT_BACK and path.endswith(_KEY_SUFFIXES):
        return not (context / path).is_file() or not _is_key(context / path)  # of one that is gone nobody can tell
    return verdict is _Verdict.SENT


class _Verdict(Enum):
    SENT = auto()
    IGNORED = auto()
    KEPT_BACK = auto()  # only our own list wants it out


@dataclass(frozen=True, slots=True)
class _Hits:
    """Which of their patterns hit a path or a folder above it, and whether our own list keeps it back."""

    theirs: tuple[bool, ...]
    kept_back: bool = False


class _Rules:
    """Docker's rule: a pattern that hit a folder hits all below it, and of all that hit, the last one decides."""

    def __init__(self, theirs: Sequence[str]) -> None:
        self._patterns = [pattern for pattern in map(Pattern, theirs) if pattern.dirs]
        self._matchers = [_matcher(pattern.cleaned_pattern) for pattern in self._patterns]
        back = [pattern for pattern in self._patterns if pattern.exclusion]
        named = [pattern for pattern in back if _names(pattern)]
        self._back, self._named_below = [_components(one) for one in back], [_components(one) for one in named]
        self._named = [_matcher(pattern.cleaned_pattern) for pattern in named]
        self._ours = [(pattern.exclusion, _matcher(pattern.cleaned_pattern)) for pattern in map(Pattern, LEFT_OUT)]
        self.none = _Hits((False,) * len(self._patterns))

    def hits(self, path: str, above: _Hits) -> _Hits:
        theirs = tuple(
            hit or matcher(path) is not None for matcher, hit in zip(self._matchers, above.theirs, strict=True)
        )
        kept_back = above.kept_back or self._is_ours(path)
        return _Hits(theirs, kept_back and not any(matcher(path) for matcher in self._named))

    def verdict(self, hits: _Hits) -> _Verdict:
        excluded = False
        for pattern, hit in zip(self._patterns, hits.theirs, strict=True):
            if hit:
                excluded = not pattern.exclusion
        if excluded:
            return _Verdict.IGNORED
        return _Verdict.KEPT_BACK if hits.kept_back else _Verdict.SENT

    def may_come_back_below(self, folder: str, hits: _Hits) -> bool:
        """A ``!pattern`` of theirs can hit something in this folder, as BuildKit has it.

        Docker's older client compares letters here, and finds nothing that ``!**/*.py`` brings back.
        """
        names = folder.split("/")
        return any(_reaches_below(one, names) for one in (self._named_below if hits.kept_back else self._back))

    def _is_ours(self, path: str) -> bool:
        ours = False
        for exclusion, matcher in self._ours:
            if matcher(path) is not None:
                ours = not exclusion
        return ours


def _names(pattern: Pattern) -> bool:
    """It tells what it brings back: ``!src``, ``!src/**`` and ``!**/*.json`` were not written for ``src/.env``."""
    last = str(pattern.dirs[-1])
    return not last.startswith(("*", "?", "[")) or last in _LAST_OF_OURS


_Matcher = Callable[[str], object]


def _components(pattern: Pattern) -> list[_Matcher | None]:
    """What matches one name after the other on a path; None from where ``**`` takes any number of them."""
    parts = pattern.cleaned_pattern.split("/")
    free = next((number for number, part in enumerate(parts) if "**" in part), None)
    matchers: list[_Matcher | None] = [_matcher(part) for part in parts[:free]]
    return matchers if free is None else [*matchers, None]


def _reaches_below(components: Sequence[_Matcher | None], names: Sequence[str]) -> bool:
    for matcher, name in zip(components, names, strict=False):
        if matcher is None:
            return True
        if matcher(name) is None:
            return False
    return len(components) > len(names)


def _matcher(pattern: str) -> _Matcher:
    try:
        return re.compile(_translate(pattern), re.DOTALL).fullmatch
    except (re.error, IndexError):
        raise ConfigurationError(
            f"{pattern!r} is not a pattern of .dockerignore",
            hint="see https://docs.docker.com/build/concepts/context/#dockerignore-files",
        ) from None


_TOKEN = re.compile(r"\*\*/?|\*|\?|\\.|\[(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def _translate(pattern: str) -> str:
    """A pattern as a regular expression: ``**`` crosses folders, ``[^a]`` negates (Go's path/filepath.Match)."""
    tokens = _TOKEN.findall(pattern)
    return "".join(_translate_token(token, last=number == len(tokens) - 1) for number, token in enumerate(tokens))


def _translate_token(token: str, *, last: bool) -> str:
    if token.startswith("**"):
        return ".*" if last else "(?:.*/)?"
    if token in ("*", "?"):
        return f"[^/]{token.removeprefix('?')}"
    if token[0] == "\\":
        return re.escape(token[1])
    return _character_class(token) if token[0] == "[" else re.escape(token)


def _character_class(token: str) -> str:
    """``[a-c]``, ``[^a]``, ``[\\]]``: the same for a regular expression, every character but the dash escaped."""
    if not token.endswith("]"):
        raise re.error("a bracket is not closed")
    negated = token[1:2] == "^"
    parts = re.findall(r"\\.|.", token[2 if negated else 1 : -1], re.DOTALL)
    content = "".join("-" if part == "-" else re.escape(part[-1]) for part in parts)
    return f"[{'^' if negated else ''}{content}]"


def _entries(context: Path, folder: str) -> list[tuple[str, bool]]:
    """The names in a folder, and which are folders themselves (a symlink never is)."""
    try:
        with os.scandir(context / folder) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError as error:
        raise unreadable(context / folder, error) from None


def unreadable(path: Path, error: OSError) -> ConfigurationError:
    """The error for a file or folder of the context that cannot be read."""
    return ConfigurationError(
        f"the build context cannot be read: {error.strerror or error}",
        where=str(path),
        hint="make it readable for this user, or leave it out by .dockerignore",
    )


def _is_key(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return True
    try:
        with path.open("rb") as file:
            return _PRIVATE_KEY in file.read(_LOOKED_AT)
    except OSError as error:
        raise unreadable(path, error) from None


def _read_patterns(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_IGNORE_FILE + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name} is not UTF-8", where=str(path)) from None
    if len(content) > _MAX_IGNORE_FILE:
        raise ConfigurationError(f"{path.name} is larger than 1 MiB", where=str(path))
    stripped = (line.strip() for line in text.split("\n") if not line.startswith("#"))
    patterns = tuple(line for line in stripped if line)
    if "!" in patterns:
        raise ConfigurationError(f"{path.name} has a line with '!' alone", where=str(path), hint="write !pattern")
    return patterns
