"""What a pipeline works with: the ports, chosen by the composition root (orchestrator/wiring) or a test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Signal
from orchestrator.config.loader import LoadedApplication
from orchestrator.core.difference import Difference
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.order import Ancestry
from orchestrator.core.release import SourceCommit
from orchestrator.engine.clock import Clock
from orchestrator.engine.events import Reporter
from orchestrator.forges.base import Forge
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.images.base import ContainerEngine, ImageBuilder, Registry


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that can fail or lie. ``forge`` is None where environments are committed to directly."""

    builder: ImageBuilder
    engine: ContainerEngine
    registry: Registry
    repository: GitOpsRepository
    forge: Forge | None
    clock: Clock
    reporter: Reporter


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who asks, from where: the configuration, the CI, what the guard saw, and our committer address.

    ``ca_bundle`` has the certificates by which a gate's server is known.
    """

    application: LoadedApplication
    ci: CIEnvironment
    signals: tuple[Signal, ...]
    identity: str
    ca_bundle: Path | None = field(default=None, kw_only=True)


def _unknown_order(current: CommitId, proposed: CommitId) -> Ancestry:
    return Ancestry.UNKNOWN


@dataclass(frozen=True, slots=True)
class Standpoint:
    """From where a GitOps repository is looked at: an application's checkout, or no more than its address.

    ``application`` and ``images`` (by their names) are those of the configuration, where there is one; ``base`` None
    means the default branch. ``ancestry`` tells how a proposed source commit stands to the current one; ``sources``
    is the address of the application's repository, without credentials.
    """

    ci: CIEnvironment
    signals: tuple[Signal, ...]
    identity: str
    base: BranchName | None = None
    application: str | None = None
    images: Mapping[str, Repository] = field(default_factory=dict)
    ancestry: Callable[[CommitId, CommitId], Ancestry] = _unknown_order
    sources: str | None = None
    ca_bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Job(Surroundings):
    """A release: the surroundings, and the commit that is built.

    ``changed`` tells which paths that commit changes (None: nobody can tell); it is asked only where a stage wants to
    know. ``environment`` is where stages get their secrets from, and what their conditions may look at. ``difference``
    tells the same since a base that somebody names (None: the push before), with the reason where nobody can tell;
    ``earlier`` a file as it was in another commit.
    """

    source: SourceCommit
    changed: Callable[[], frozenset[str] | None] = field(default=lambda: None, repr=False)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    difference: Callable[[str | None], Difference] = field(
        default=lambda base: Difference(None, reason="nobody looked"), repr=False
    )
    earlier: Callable[[CommitId, str], bytes | None] = field(default=lambda commit, path: None, repr=False)
