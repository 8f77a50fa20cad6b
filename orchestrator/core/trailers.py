"""The intent of a change as the trailers of a commit message, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.core.change import Action, Carried, Change, ImageOrigin, Position
from orchestrator.core.image import Digest, InvalidReference, PinnedImage, Repository
from orchestrator.core.names import CommitId, InvalidName
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.release import RecordReference, Tested
from orchestrator.core.rule_change import RuleChange, is_about_a_rule, read_rule_change

_TRAILER = re.compile(r"Hybrid-CI-(?P<key>[A-Za-z-]+): ?(?P<value>.*)")
_COUNT = re.compile(r"[1-9][0-9]{0,17}")
_KEY = re.compile(r"[0-9a-f]{64}")
_UNKNOWN = "-"


def trailers(change: Change) -> Iterator[str]:
    """The lines that carry the intent in a commit message. Raises InvalidName for a part that is no single line."""
    yield f"Hybrid-CI-Action: {change.action}"
    yield f"Hybrid-CI-Environment: {_one_line(change.environment)}"
    yield f"Hybrid-CI-Scope: {_one_line(change.scope)}"
    yield f"Hybrid-CI-Release: {_one_line(change.release)}"
    if change.taken_from is not None:
        yield f"Hybrid-CI-From: {_one_line(change.taken_from)}"
    for image in change.images:
        yield f"Hybrid-CI-Pin: {image}"
    if change.source is not None:
        yield f"Hybrid-CI-Source: {change.source}{_placed(change.position)}"
    for origin in change.origins:
        yield f"Hybrid-CI-Origin: {origin.repository} {origin.source or _UNKNOWN}{_placed(origin.position)}"
    for one in change.carried:
        yield f"Hybrid-CI-Carried: {one.image}{_placed(one.position)}"
    for tested in change.tested:
        yield f"Hybrid-CI-Tested: {tested.repository}@{tested.digest} {tested.content} {tested.tests}"
    for record in change.records:
        yield f"Hybrid-CI-Record: {record.repository}@{record.digest}"
    yield from _set_aside(change)
    if isinstance(change, RuleChange):
        yield f"Hybrid-CI-Rule: {change.to_json()}"


def _set_aside(change: Change) -> Iterator[str]:
    for override in change.overrides:
        if override.kind is OverrideKind.SKIP:
            yield f"Hybrid-CI-Skip: {override.environment} {override.reason}"
        else:
            yield f"Hybrid-CI-Allow-Unknown-Order: {override.reason}"


def _placed(position: Position | None) -> str:
    """An application chooses the names of its branches, and a message that holds ``@name`` calls that person."""
    if position is None:
        return ""
    return f" {position.count} {position.branch.replace('%', '%25').replace('@', '%40')}"


def _one_line(text: str) -> str:
    """The text, when it can't end its line or begin another. Raises InvalidName."""
    if text.splitlines() != [text]:
        raise InvalidName(f"{text!r} can't stand in a commit trailer", hint="it has to be a single line")
    return text


def read_trailers(message: str) -> Change | None:
    """The change that a commit message carries; None when it carries none, or a damaged one.

    Only the last paragraph counts, and never the first: above it everybody may write what they like.
    """
    above, _, last = message.replace("\r\n", "\n").rstrip("\n").rpartition("\n\n")
    if not above.strip():
        return None
    found: dict[str, list[str]] = {}
    for line in last.split("\n"):
        if match := _TRAILER.fullmatch(line):
            found.setdefault(match["key"], []).append(match["value"])
    try:
        source, position = _read_source(found)
        action, environment, scope = (
            Action(_only(found["Action"])),
            _only(found["Environment"]),
            _only(found["Scope"]),
        )
        if is_about_a_rule(action):
            return read_rule_change(action, environment, scope, _only(found["Rule"]))
        return Change(
            action,
            environment,
            scope,
            tuple(PinnedImage.parse(text) for text in found["Pin"]),
            _only(found["Release"]),
            source,
            position,
            tuple(_read_carried(text) for text in found.get("Carried", ())),
            tuple(_read_tested(text) for text in found.get("Tested", ())),
            tuple(RecordReference(*_read_digest(text)) for text in found.get("Record", ())),
            tuple(_read_overrides(found)),
            _only(found["From"]) if "From" in found else None,
            tuple(_read_origin(text) for text in found.get("Origin", ())),
        )
    except (KeyError, ValueError, InvalidReference, InvalidName):
        return None


def _only(values: list[str]) -> str:
    (value,) = values  # ValueError: said twice, it says nothing
    if not value:
        raise ValueError("empty")
    return value


def _read_source(found: dict[str, list[str]]) -> tuple[CommitId | None, Position | None]:
    if "Source" not in found:
        return None, None
    commit, place = _read_placed(_only(found["Source"]))
    return CommitId(commit), place


def _read_carried(text: str) -> Carried:
    reference, place = _read_placed(text)
    return Carried(PinnedImage.parse(reference), place)


def _read_origin(text: str) -> ImageOrigin:
    """``REPOSITORY COMMIT``, or ``REPOSITORY COMMIT COUNT BRANCH``; ``-`` is a commit that nobody knows."""
    repository, _, rest = text.partition(" ")
    commit, place = _read_placed(rest)
    return ImageOrigin(Repository.parse(repository), None if commit == _UNKNOWN else CommitId(commit), place)


def _read_placed(text: str) -> tuple[str, Position | None]:
    """``VALUE`` or ``VALUE COUNT BRANCH``."""
    value, space, rest = text.partition(" ")
    if not space:
        return value, None
    count, _, branch = rest.partition(" ")
    if not _COUNT.fullmatch(count):
        raise ValueError(count)
    return value, Position(branch.replace("%40", "@").replace("%25", "%"), int(count))


def _read_overrides(found: dict[str, list[str]]) -> Iterator[Override]:
    for text in found.get("Skip", ()):
        environment, _, reason = text.partition(" ")
        yield Override(OverrideKind.SKIP, reason, environment)
    for reason in found.get("Allow-Unknown-Order", ()):
        yield Override(OverrideKind.UNKNOWN_ORDER, reason)


def _read_tested(text: str) -> Tested:
    reference, content, tests = text.split(" ")
    if not _KEY.fullmatch(content) or not _KEY.fullmatch(tests):
        raise ValueError(text)
    return Tested(*_read_digest(reference), content, tests)


def _read_digest(text: str) -> tuple[Repository, Digest]:
    image = PinnedImage.parse(text)
    if image.tag is not None:
        raise ValueError(text)
    return image.repository, image.digest
