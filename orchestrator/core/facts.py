"""What gates are judged by: the change in question, and what was found out about the world. Data only.

A fact that no gate needs is not asked for; a gate that misses its fact does not pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from orchestrator.core.environment import Environment
from orchestrator.core.gates import (
    ApprovalsGate,
    CommandGate,
    Gate,
    HoldGate,
    HttpGate,
    ImageExistsGate,
    OrderGate,
    SoakGate,
    TestsGate,
    VetoGate,
)
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Platform, Repository
from orchestrator.core.order import Ancestry, OrderRule, Origin, Placed
from orchestrator.core.override import Override

_Place = tuple[str, Repository, Digest]


@dataclass(frozen=True, slots=True)
class Moving:
    """One image on its way: what shall run, and what runs now (None: nothing of it yet), each with its origin.

    ``original`` is what it is called at first, where it comes from a mirror. ``carried``: an earlier handoff proposed
    it, and it waits in the same pull request.
    """

    image: PinnedImage
    origin: Origin = field(default_factory=Origin)
    runs: ImageReference | None = None
    runs_origin: Origin = field(default_factory=Origin)
    original: Repository | None = None
    carried: bool = False

    @property
    def known_as(self) -> Repository:
        """The name by which it is known in all environments."""
        return self.original or self.repository

    @property
    def repository(self) -> Repository:
        """The image's repository."""
        return self.image.repository

    @property
    def proposed(self) -> Placed:
        """What shall run."""
        return Placed(self.image.reference, self.origin)

    @property
    def current(self) -> Placed | None:
        """What runs now."""
        return Placed(self.runs, self.runs_origin) if self.runs is not None else None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: the images that a change brings to an environment, and the rules that were set aside for it.

    ``carried_overrides`` are those that were set aside for what it carries: one of them says nothing of another image.
    """

    environment: Environment
    scope: str
    images: tuple[Moving, ...]
    overrides: tuple[Override, ...] = ()
    carried_overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """An environment runs this digest now; ``since`` when without a break, None where nobody asked or could tell.

    ``repository`` is the image's original name.
    """

    environment: str
    repository: Repository
    digest: Digest
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approves. ``teams`` are those of the asked teams that they belong to."""

    author: str
    teams: frozenset[str] = frozenset()
    current: bool = True  # of the head that is there now


@dataclass(frozen=True, slots=True)
class Reviews:
    """What reviewers said of a pull request. ``author`` made it, and is no reviewer of it."""

    number: int
    url: str
    author: str
    approvals: tuple[Approval, ...] = ()
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """The registry serves a digest, for these platforms."""

    platforms: tuple[Platform, ...] = ()


@dataclass(frozen=True, slots=True)
class TestClaim:
    """A record says of a digest which tests passed and failed. A claim by whoever could push it, until ``signed``."""

    __test__ = False  # pytest collects by name

    digest: Digest
    passed: tuple[str, ...]
    failed: tuple[str, ...] = ()
    where: str = ""
    signed: bool = False


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server said: its status and the text of its body."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What a command said: its exit code and its standard output; ``errors`` is the end of what it complained of."""

    code: int
    output: str
    errors: str = ""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out, at ``now``. None, or a key that is not there: nobody asked.

    ``runs`` are the digests that the environments before this one run; ``ancestry`` is by repository, ``served`` by
    image (None: the registry has none), ``claims`` by digest, ``http`` and ``commands`` by the name of the gate.
    ``reviews`` NoAnswer: there is no pull request, or the forge can't tell.
    """

    now: datetime
    holds: tuple[Hold, ...] | None = None
    vetoes: tuple[Veto, ...] | None = None
    runs: tuple[Run, ...] | None = None
    ancestry: Mapping[Repository, Ancestry] = field(default_factory=dict)
    reviews: Reviews | NoAnswer | None = None
    served: Mapping[PinnedImage, Served | None] = field(default_factory=dict)
    claims: Mapping[Digest, tuple[TestClaim, ...]] = field(default_factory=dict)
    http: Mapping[str, HttpAnswer | NoAnswer] = field(default_factory=dict)
    commands: Mapping[str, CommandAnswer | NoAnswer] = field(default_factory=dict)
    _by_image: dict[_Place, Run] = field(default_factory=dict, init=False, repr=False, compare=False)

    def run(self, environment: str, repository: Repository, digest: Digest) -> Run | None:
        """How this very digest runs there; None when it does not."""
        if self.runs and not self._by_image:  # the first of several that are alike counts
            self._by_image.update({(one.environment, one.repository, one.digest): one for one in reversed(self.runs)})
        return self._by_image.get((environment, repository, digest))


class Need(Enum):
    """A kind of fact that has to be asked for."""

    HOLDS = auto()
    VETOES = auto()
    RUNS = auto()
    SINCE = auto()  # of the runs
    ANCESTRY = auto()
    REVIEWS = auto()
    SERVED = auto()
    CLAIMS = auto()
    HTTP = auto()
    COMMANDS = auto()


def needs(gates: Iterable[Gate], subject: Subject) -> frozenset[Need]:
    """What has to be asked so that these gates can be judged."""
    return frozenset(need for gate in gates for need in _needs(gate, subject))


def _needs(gate: Gate, subject: Subject) -> tuple[Need, ...]:
    match gate:
        case HoldGate():
            return (Need.HOLDS,)
        case VetoGate():
            return (Need.VETOES,)
        case OrderGate():
            runs = (Need.RUNS,) if subject.environment.after else ()
            return (*runs, Need.ANCESTRY) if asks_ancestry(gate, subject) else runs
        case SoakGate():
            return Need.RUNS, Need.SINCE
        case ApprovalsGate():
            return (Need.REVIEWS,)
        case ImageExistsGate():
            return (Need.SERVED,)
        case TestsGate():
            return (Need.CLAIMS,)
        case HttpGate():
            return (Need.HTTP,)
        case CommandGate():
            return (Need.COMMANDS,)
        case _:
            return ()


def asks_ancestry(gate: OrderGate, subject: Subject) -> tuple[Moving, ...]:
    """The images whose order only their source commits can tell: both known, and not the same."""
    return tuple(
        one
        for one in subject.images
        if gate.rule(one.known_as) is OrderRule.ANCESTRY
        and one.runs is not None
        and one.runs.digest != one.image.digest
        and None not in (one.origin.source, one.runs_origin.source)
        and one.origin.source != one.runs_origin.source
    )


def soaked_in(gate: SoakGate, environment: Environment) -> tuple[str, ...]:
    """The environments in which the image has to have run."""
    return gate.environments or environment.after


def ruled_by(environment: Environment) -> tuple[str, ...]:
    """The names whose holds and vetoes count for this environment: its own, and that of the clusters it belongs to."""
    return (environment.name, environment.group) if environment.group is not None else (environment.name,)
