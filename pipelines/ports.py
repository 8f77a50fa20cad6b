"""What a pipeline works with: the ports, chosen by the composition root (orchestrator/wiring.py) or a test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Signal
from orchestrator.config.loader import LoadedApplication
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
    """Who asks, from where: the configuration, the CI, what the guard saw, and our committer address."""

    application: LoadedApplication
    ci: CIEnvironment
    signals: tuple[Signal, ...]
    identity: str


@dataclass(frozen=True, slots=True)
class Job(Surroundings):
    """A release: the surroundings, and the commit that is built.

    ``changed`` tells which paths that commit changes (None: nobody can tell); it is asked only where a stage wants to
    know. ``environment`` is where stages get their secrets from, and what their conditions may look at.
    """

    source: SourceCommit
    changed: Callable[[], frozenset[str] | None] = field(default=lambda: None, repr=False)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
