"""``doctor``: looks at the world before a release does, and tells what it finds.

Every check asks on its own, side by side with the others and within its time; one that fails or hangs is a finding
like any other. Nothing is changed anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Generic, TypeVar

from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import HybridCIError
from orchestrator.core.findings import Finding, Severity
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.release import SourceCommit
from orchestrator.engine.bounded import within
from orchestrator.engine.parallel import side_by_side
from orchestrator.forges.base import ForgeFacts, Inspecting
from orchestrator.gitops.desk import missing_branch
from pipelines.policy import check_base, policy_at
from pipelines.ports import Ports, Surroundings

CHECK_SECONDS = 30.0
Value = TypeVar("Value")


class Once(Generic[Value]):
    """Something that several checks want to know, asked for once: its value, or its error again."""

    def __init__(self, ask: Callable[[], Value]) -> None:
        self._ask, self._lock = ask, threading.Lock()
        self._known: list[Value] = []
        self._error: HybridCIError | None = None

    def __call__(self) -> Value:
        """The value. Raises what asking raised."""
        with self._lock:
            if self._error is None and not self._known:
                try:
                    self._known.append(self._ask())
                except HybridCIError as error:
                    self._error = error
            if self._error is not None:
                raise self._error
            return self._known[0]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the machine has, each asked for by a call: the version of git; what builds with BuildKit (None: nothing);
    a try of the key that signs (None: there is none); the commit that is checked out; a server's clock (None: it does
    not tell), by its host."""

    git_version: Callable[[], tuple[int, int, int]]
    buildkit: Callable[[], str | None]
    sign: Callable[[], None] | None
    source: Callable[[], SourceCommit]
    clock_of: Callable[[str], datetime | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of the base branch, and where that is."""

    policy: Policy
    tip: CommitId


@dataclass(frozen=True)
class Scene:
    """What the checks look at. ``broken`` is why there is no login for Git and forge; None when there is one.

    ``own_repository`` is the address of the repository that this CI job belongs to, where the CI tells it.
    """

    ports: Ports
    around: Surroundings
    tools: Tools
    environment: str
    broken: HybridCIError | None = None
    own_repository: str | None = None
    rules: Once[Rules] = field(init=False)
    facts: Once[ForgeFacts | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", Once(self._read_rules))
        object.__setattr__(self, "facts", Once(self._ask_forge))

    @property
    def base(self) -> BranchName:
        """The branch that holds the policy."""
        return BranchName(self.around.application.config.gitops.base)

    def target(self) -> Environment:
        """The environment that a release goes to. Raises as ``rules``."""
        return self.rules().policy.environment(self.environment)

    def _read_rules(self) -> Rules:
        repository, base = self.ports.repository, self.base
        tip = repository.tips([base.ref]).get(base.ref)
        if tip is None:
            raise missing_branch(repository, base)
        check_base(repository, base)
        return Rules(policy_at(repository, tip, base), tip)

    def _ask_forge(self) -> ForgeFacts | None:
        forge = self.ports.forge
        return forge.facts(self.base) if isinstance(forge, Inspecting) else None


Look = Callable[[Scene], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at: its name, why it matters, and how bad it is when looking itself fails."""

    name: str
    look: Look
    why: str
    needed: bool = True


def examine(scene: Scene, checks: Sequence[Check], seconds: float = CHECK_SECONDS) -> tuple[Finding, ...]:
    """What all checks find, in their order. Never raises for what a check meets."""
    found = side_by_side([partial(_looked, scene, check, seconds) for check in checks], workers=len(checks))
    return tuple(chain.from_iterable(found))


def _looked(scene: Scene, check: Check, seconds: float) -> Sequence[Finding]:
    try:
        return within(seconds, lambda: list(check.look(scene)))
    except TimeoutError:
        severity = Severity.REFUSAL if check.needed else Severity.UNKNOWN
        return [
            Finding(check.name, severity, f"no answer within {seconds:g} s", check.why, "try again, with --seconds")
        ]
    except HybridCIError as error:
        return [failed(check.name, error, check.why, needed=check.needed)]
    except OSError as error:
        what = f"the machine refused: {error.strerror or type(error).__name__}"
        return [Finding(check.name, Severity.UNKNOWN, what, check.why, "check its permissions")]


def failed(check: str, error: HybridCIError, why: str, *, needed: bool = True) -> Finding:
    """An error as a finding."""
    where = f" ({error.where})" if error.where else ""
    details = f": {'; '.join(error.details[:3])}" if error.details else ""
    severity = Severity.REFUSAL if needed else Severity.UNKNOWN
    return Finding(check, severity, f"{error.message}{where}{details}", why, error.hint or "")


def quietly(ask: Callable[[], Value]) -> Value | None:
    """What another check tells when it fails: None then."""
    try:
        return ask()
    except HybridCIError:
        return None
