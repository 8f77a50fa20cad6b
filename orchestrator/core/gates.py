"""Gates as the policy names them: what is asked of a change before it lands. Their verdicts are made in judge.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestrator.core.freeze import Freeze
from orchestrator.core.image import Platform, Repository
from orchestrator.core.order import OrderRule
from orchestrator.core.patterns import matches
from orchestrator.core.verdict import Result


@dataclass(frozen=True, slots=True)
class HoldGate:
    """No hold stands in the way. Always asked."""

    kind: ClassVar[str] = "hold"
    name: str = "hold"


@dataclass(frozen=True, slots=True)
class VetoGate:
    """No veto stands in the way. Always asked."""

    kind: ClassVar[str] = "veto"
    name: str = "veto"


@dataclass(frozen=True, slots=True)
class OrderGate:
    """The image comes by way of the environments before it, and is not older than what runs. Always asked.

    ``rules`` are patterns of repositories with their rule, the first that matches counts.
    """

    kind: ClassVar[str] = "order"
    rules: tuple[tuple[str, OrderRule], ...] = ()
    name: str = "order"

    def rule(self, image: Repository) -> OrderRule:
        """The rule of this image; by sequence where the policy says nothing."""
        return next((rule for pattern, rule in self.rules if matches(pattern, str(image))), OrderRule.SEQUENCE)


@dataclass(frozen=True, slots=True)
class FreezeGate:
    """No freeze window holds. Asked where the environment has windows."""

    kind: ClassVar[str] = "freeze"
    freezes: tuple[Freeze, ...]
    name: str = "freeze"


@dataclass(frozen=True, slots=True)
class SoakGate:
    """The image has run for so many seconds in these environments; empty: in those that come right before."""

    kind: ClassVar[str] = "soak"
    seconds: float
    environments: tuple[str, ...] = ()
    name: str = "soak"


@dataclass(frozen=True, slots=True)
class ApprovalsGate:
    """So many people approved the pull request's head: of each of these teams, or (no team) at all."""

    kind: ClassVar[str] = "approvals"
    teams: tuple[str, ...] = ()
    count: int = 1
    name: str = "approvals"


@dataclass(frozen=True, slots=True)
class ImageExistsGate:
    """The registry serves the digest, for these platforms."""

    kind: ClassVar[str] = "image-exists"
    platforms: tuple[Platform, ...] = ()
    name: str = "image-exists"


@dataclass(frozen=True, slots=True)
class AllowedRegistryGate:
    """The image comes from one of these repositories (patterns)."""

    kind: ClassVar[str] = "allowed-registry"
    patterns: tuple[str, ...]
    name: str = "allowed-registry"


@dataclass(frozen=True, slots=True)
class TestsGate:
    """The record beside the image says that it was tested, and by these tests: a claim until it is signed."""

    __test__: ClassVar[bool] = False  # pytest collects by name
    kind: ClassVar[str] = "tests"
    tests: tuple[str, ...] = ()
    name: str = "tests"


@dataclass(frozen=True, slots=True)
class HttpGate:
    """A GET answers as expected. No redirect is followed.

    ``pointer`` (RFC 6901) names a value of a JSON answer that ``equals`` this one, or is there at all; ``token`` is
    the name of the variable whose value goes along as a bearer token; ``otherwise`` is the verdict on another answer.
    """

    kind: ClassVar[str] = "http"
    name: str
    url: str
    status: int = 200
    contains: str | None = None
    pointer: str | None = None
    equals: object = None
    seconds: float = 10.0
    token: str | None = None
    otherwise: Result = Result.WAIT


@dataclass(frozen=True, slots=True)
class CommandGate:
    """A tool that is installed where we run prints its verdict.

    It gets no variable of ours but those in ``inherit``, and reaches no network unless ``network``.
    """

    kind: ClassVar[str] = "command"
    name: str
    argv: tuple[str, ...]
    inherit: tuple[str, ...] = ()
    network: bool = False
    seconds: float = 60.0


Gate = (
    HoldGate
    | VetoGate
    | OrderGate
    | FreezeGate
    | SoakGate
    | ApprovalsGate
    | ImageExistsGate
    | AllowedRegistryGate
    | TestsGate
    | HttpGate
    | CommandGate
)
