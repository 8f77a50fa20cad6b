"""What environments run, and since when, told by the pins in the trees of a branch: nothing else decides it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.core.environment import Environment
from orchestrator.core.facts import Run
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.core.patterns import matches
from orchestrator.gitops.base import CommitInfo, FileChange, GitOpsRepository, Step
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.running import Side

_DEPTHS = (16, 128, 512)  # commits of the branch that a soak looks back over: more only where they are needed
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Watched:
    """The environments of one branch that are looked at for an application."""

    scope: str
    environments: tuple[Environment, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """All their paths."""
        return tuple(dict.fromkeys(one for each in self.environments for one in each.patterns(self.scope)))


def runs_in(watched: Watched, files: Mapping[RepoPath, bytes]) -> tuple[Run, ...]:
    """What the environments run by these files; each digest once."""
    return tuple(dict.fromkeys(run for one in watched.environments for run in _pins(watched, one, files)))


def _pins(watched: Watched, environment: Environment, files: Mapping[RepoPath, bytes]) -> Iterator[Run]:
    patterns = environment.patterns(watched.scope)
    own = {path: content for path, content in files.items() if any(matches(one, path.value) for one in patterns)}
    side = Side(own, ScanOptions(targets=environment.targets_for(watched.scope)))
    for repository in sorted(side.repositories):
        for pin in side.running(repository):
            if pin.image.digest is not None:
                yield Run(environment.name, repository, pin.image.digest)


def since(
    repository: GitOpsRepository,
    watched: Watched,
    tip: CommitId,
    files: Mapping[RepoPath, bytes],
    runs: Iterable[Run],
    oldest: datetime,
) -> tuple[Run, ...]:
    """The same runs, each with the moment since which it has run without a break. ``files`` are those of ``tip``.

    It looks back along the first parents until every run is told or ``oldest`` is reached: a run that is older is
    given the time of the last commit that was looked at. A commit counts from its landing, which is not before that of
    its parent, so a commit that was made earlier than it was merged wins no time. However many commits that takes, a
    look asks once; a longer one is taken only where the one before it does not reach back far enough.
    """
    found = tuple(runs)
    for depth in _DEPTHS:
        steps = repository.trail(tip, watched.patterns, depth)
        times = landing_times([step.commit for step in steps])
        if len(steps) < depth or times[steps[-1].commit.id] <= oldest:
            break
    return _told(watched, steps, times, files, found, oldest)


def _told(
    watched: Watched,
    steps: Sequence[Step],
    times: Mapping[CommitId, datetime],
    files: Mapping[RepoPath, bytes],
    runs: Sequence[Run],
    oldest: datetime,
) -> tuple[Run, ...]:
    there: Mapping[RepoPath, bytes] = files
    told: dict[Run, datetime] = {}
    left = list(runs)
    for step in steps:
        landed = times[step.commit.id]
        told |= dict.fromkeys(left, landed)
        if landed <= oldest:
            break
        if step.files:
            there = taken_back(there, step.files)
            before = set(runs_in(watched, there))
            left = [run for run in left if run in before]
        if not left:
            break
    return tuple(replace(run, since=told[run]) for run in runs)


def taken_back(files: Mapping[RepoPath, bytes], changes: Mapping[RepoPath, FileChange]) -> dict[RepoPath, bytes]:
    """The files as they were before these changes."""
    earlier = dict(files)
    for path, change in changes.items():
        if change.before is None:
            earlier.pop(path, None)
        else:
            earlier[path] = change.before
    return earlier


def landing_times(history: Sequence[CommitInfo]) -> dict[CommitId, datetime]:
    """When each commit came to the branch at the earliest: never before the one that it follows."""
    times: dict[CommitId, datetime] = {}
    latest = _EPOCH
    for commit in reversed(history):
        latest = max(latest, commit.committed or latest)
        times[commit.id] = latest
    return times
