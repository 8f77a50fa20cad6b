"""Which of two images is the newer one: the rules that keep an environment from moving backwards. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import total_ordering

from orchestrator.core.change import Position
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference
from orchestrator.core.names import CommitId


class OrderRule(StrEnum):
    """By what the order of two images is told."""

    ANCESTRY = "ancestry"  # the source commits' own history
    SEQUENCE = "sequence"  # branch and first-parent count in the trailers: an unauthenticated claim
    SEMVER = "semver"  # the tags, https://semver.org/spec/v2.0.0.html
    NONE = "none"  # nobody cares


class Direction(StrEnum):
    """Where an image would move."""

    SAME = "same"
    FORWARD = "forward"
    BACKWARD = "backward"
    UNKNOWN = "unknown"


class Ancestry(StrEnum):
    """How the proposed source commit stands to the one that runs now, as Git or the forge told."""

    SAME = "same"
    DESCENDANT = "descendant"
    ANCESTOR = "ancestor"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from, as the trailers of the change that pinned it say: a claim until it is signed."""

    source: CommitId | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """An image with its origin."""

    image: ImageReference
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class Ordering:
    """What a rule found: the direction, the reason in a sentence, and what it rests on."""

    direction: Direction
    reason: str
    evidence: tuple[str, ...] = ()


def direction(
    rule: OrderRule, current: Placed | None, proposed: Placed, ancestry: Ancestry = Ancestry.UNKNOWN
) -> Ordering:
    """Where the image would move. ``current`` is None where nothing of this image runs yet."""
    if current is None:
        return Ordering(Direction.FORWARD, "it runs there for the first time")
    if current.image.digest is not None and current.image.digest == proposed.image.digest:
        return Ordering(Direction.SAME, "it runs there already")
    match rule:
        case OrderRule.NONE:
            return Ordering(Direction.FORWARD, "the policy asks for no order")
        case OrderRule.ANCESTRY:
            return _by_ancestry(current.origin, proposed.origin, ancestry)
        case OrderRule.SEQUENCE:
            return _by_sequence(current.origin.position, proposed.origin.position)
        case OrderRule.SEMVER:
            return _by_version(current.image.tag, proposed.image.tag)


def _by_ancestry(current: Origin, proposed: Origin, ancestry: Ancestry) -> Ordering:
    if current.source is None or proposed.source is None:
        which = "runs there" if current.source is None else "shall come"
        return Ordering(Direction.UNKNOWN, f"the source commit of the image that {which} is not known")
    evidence = (f"runs: {current.source}", f"proposed: {proposed.source}")
    if current.source == proposed.source:
        ancestry = Ancestry.SAME
    found, reason = {
        Ancestry.SAME: (Direction.FORWARD, "both were built from the same commit"),
        Ancestry.DESCENDANT: (Direction.FORWARD, "its source commit descends from the one that runs there"),
        Ancestry.ANCESTOR: (Direction.BACKWARD, "its source commit is older than the one that runs there"),
        Ancestry.DIVERGED: (
            Direction.BACKWARD,
            "its source commit does not hold the one that runs there: the two have diverged",
        ),
        Ancestry.UNKNOWN: (Direction.UNKNOWN, "nobody could tell how the two source commits stand to each other"),
    }[ancestry]
    return Ordering(found, reason, evidence)


def _by_sequence(current: Position | None, proposed: Position | None) -> Ordering:
    """By what the trailers claim. Only positions on the same branch can be compared."""
    if current is None or proposed is None:
        which = "runs there" if current is None else "shall come"
        return Ordering(Direction.UNKNOWN, f"the position of the image that {which} is not recorded")
    evidence = (
        f"runs: commit {current.count} of {current.branch}",
        f"proposed: commit {proposed.count} of {proposed.branch}",
        "both are claims of the releases' trailers",
    )
    if current.branch != proposed.branch:
        return Ordering(Direction.UNKNOWN, "the two were built from different branches", evidence)
    if proposed.count < current.count:
        return Ordering(Direction.BACKWARD, "it was built from an earlier commit of the branch", evidence)
    if proposed.count == current.count:
        return Ordering(Direction.FORWARD, "both were built from the same place of the branch", evidence)
    return Ordering(Direction.FORWARD, "it was built from a later commit of the branch", evidence)


def _by_version(current: str | None, proposed: str | None) -> Ordering:
    versions = [Version.find(tag) for tag in (current, proposed)]
    for tag, version, which in zip((current, proposed), versions, ("runs there", "shall come"), strict=True):
        if version is None:
            shown = repr(tag) if tag else "no tag"
            return Ordering(Direction.UNKNOWN, f"the image that {which} has {shown}, which is no semantic version")
    runs, comes = versions
    assert runs is not None and comes is not None  # noqa: S101  (the loop has returned)
    evidence = (f"runs: {current}", f"proposed: {proposed}")
    if comes < runs:
        return Ordering(Direction.BACKWARD, "its version is lower", evidence)
    if runs < comes:
        return Ordering(Direction.FORWARD, "its version is higher", evidence)
    return Ordering(Direction.UNKNOWN, "both have the same version, and are different images", evidence)


_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"v?(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<pre>{_PRERELEASE}(?:\.{_PRERELEASE})*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_Identifier = tuple[int, int, str]


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A semantic version, compared by precedence (https://semver.org/spec/v2.0.0.html, item 11).

    A leading ``v`` is taken, as tags have it. Build metadata does not count, so versions that differ in it alone are
    equal. A tag can't hold ``+``, which is why such metadata seldom comes here.
    """

    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``1.2.3``, ``v1.2.3-rc.1`` or ``1.2.3+build``. Raises ConfigurationError."""
        match = _VERSION.fullmatch(text)
        if match is None or len(text) > 256:
            raise ConfigurationError(f"{text[:60]!r} is not a semantic version", hint="write MAJOR.MINOR.PATCH")
        numbers = int(match["major"]), int(match["minor"]), int(match["patch"])
        return cls(numbers, tuple(match["pre"].split(".")) if match["pre"] else ())

    @classmethod
    def find(cls, tag: str | None) -> Version | None:
        """The version that a tag is; None when it is none."""
        return cls.parse(tag) if tag is not None and len(tag) <= 256 and _VERSION.fullmatch(tag) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key() == other._key()

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[tuple[int, int, int], int, tuple[_Identifier, ...]]:
        """A version without pre-release is higher than one with; numeric identifiers are lower than others."""
        identifiers = tuple((0, int(one), "") if one.isdigit() else (1, 0, one) for one in self.prerelease)
        return self.numbers, 0 if self.prerelease else 1, identifiers
