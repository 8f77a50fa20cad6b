"""A promotion as data: what is asked for, what becomes of each environment, and of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.environment import Environment
from orchestrator.core.errors import HybridCIError, Refused, TimedOut
from orchestrator.core.facts import Moving
from orchestrator.core.verdict import Result, Verdict, overall
from orchestrator.forges.base import PullRequest
from orchestrator.gitops.outcome import Outcome, Superseded
from orchestrator.gitops.provenance import Skipped
from orchestrator.manifests.promote import NotCopied

_TOLD = 10


@dataclass(frozen=True, slots=True)
class PromoteOptions:
    """What the caller asks for.

    ``images`` are configured names or repositories (none: all that run there); ``skip`` names environments that are
    left out for ``reason``; ``wait_seconds`` None looks once; ``fail_superseded`` makes a newer change a refusal.
    """

    source: str
    targets: tuple[str, ...]
    images: tuple[str, ...] = ()
    application: str | None = None
    wave: int | None = None
    all_waves: bool = False
    skip: tuple[str, ...] = ()
    reason: str | None = None
    allow_unknown_order: str | None = None
    wait_seconds: float | None = None
    dry_run: bool = False
    reopen: bool = False
    fail_superseded: bool = False


@dataclass(frozen=True, slots=True)
class Promoted:
    """What became of one environment.

    ``change`` is None where nothing is to do. ``moving`` are the images that change; ``left`` those that do not come
    along, each with its reason. ``outcome`` is None where nothing was handed off: a dry run, a refusal, a wait that the
    policy wants no pull request for. ``error`` is what the handoff failed with. ``held`` is the open pull request that
    became a draft because what it holds is refused by now.
    """

    environment: Environment
    change: Change | None = None
    plan: ChangePlan | None = None
    moving: tuple[Moving, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    left: tuple[NotCopied, ...] = ()
    outcome: Outcome | None = None
    error: HybridCIError | None = None
    held: PullRequest | None = None

    @property
    def result(self) -> Result:
        """What the gates say together. An image that can't be brought along is a refusal."""
        return Result.REFUSE if any(one.refused for one in self.left) else overall(self.verdicts)

    @property
    def state(self) -> str:
        """One word: ``unchanged``, ``planned``, ``waiting``, ``refused``, ``failed``, or that of the handoff."""
        if self.error is not None:
            return "refused" if isinstance(self.error, Refused) else "failed"
        if isinstance(self.outcome, Superseded):
            return self.outcome.state
        if self.result is Result.REFUSE:
            return "refused"
        if self.outcome is not None and self.outcome.state in ("merged", "unchanged") and self.result is Result.PASS:
            return self.outcome.state
        if self.change is None:
            return "unchanged"
        if self.result is Result.WAIT:
            return "waiting"
        return self.outcome.state if self.outcome is not None else "planned"


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """What became of all of them. ``skips`` are earlier ones that nobody made good; ``calls`` counts what was asked."""

    source: str
    scope: str
    targets: tuple[Promoted, ...]
    dry_run: bool = False
    skips: tuple[Skipped, ...] = ()
    timed_out: bool = False
    calls: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        """A gate of some environment says wait, and no other gate of that one says no."""
        return any(one.state == "waiting" for one in self.targets)

    def failure(self, *, fail_superseded: bool = False) -> HybridCIError | None:
        """The error to end with: of several the one that a person has to look at first; None when all went well."""
        errors = [one.error for one in self.targets if one.error is not None and not isinstance(one.error, Refused)]
        if errors:
            return max(errors, key=lambda error: error.exit_code == 4)
        if refused := [one for one in self.targets if one.state == "refused"]:
            return _refusal(refused)
        superseded = [one for one in self.targets if one.state == "superseded"]
        if superseded and fail_superseded:
            names = ", ".join(one.environment.name for one in superseded)
            return Refused(f"a newer change is on its way to {names}", hint="nothing was changed; promote that one")
        if self.timed_out:
            names = ", ".join(one.environment.name for one in self.targets if one.state == "waiting")
            return TimedOut(f"gates still wait: {names}", hint="run it again later; what is open stays as it is")
        return None


_LEFT_HINT = "correct the files, or name the images that shall go without it with --image"


def _refusal(refused: Sequence[Promoted]) -> Refused:
    names = ", ".join(one.environment.name for one in refused[:_TOLD])
    reasons = [(one.environment.name, reason, hint) for one in refused for reason, hint in _reasons(one)]
    hint = next((hint for _, _, hint in reasons if hint), None)
    details = [f"{name}: {reason}" for name, reason, _ in reasons[:_TOLD]]
    return Refused(f"the promotion to {names} is refused", details=details, hint=hint)


def _reasons(one: Promoted) -> list[tuple[str, str | None]]:
    told: list[tuple[str, str | None]] = [
        (f"{left.repository}: {left.reason}" + (f" ({left.where})" if left.where else ""), _LEFT_HINT)
        for left in one.left
        if left.refused
    ]
    told += [(f"{v.gate}: {v.reason}", v.hint) for v in one.verdicts if v.result is Result.REFUSE]
    if one.error is not None:
        told.append((one.error.message, one.error.hint))
    return told
