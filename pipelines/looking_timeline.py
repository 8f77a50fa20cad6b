"""When what runs came to run: the pins in the trees along a branch's first parents are the truth.

Trailers only enrich. A squash or a rebase may lose them, and anybody may write some; no tree lies about its pins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.core.image import ImageReference, Repository
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.gitops.base import CommitInfo, GitOpsRepository, Step
from orchestrator.gitops.ledger import Landed, landed_by
from orchestrator.gitops.running import landing_times, taken_back
from orchestrator.manifests.running import Side
from pipelines.looking import Place, Scene, versions
from pipelines.promote_reading import Tree

Versions = tuple[ImageReference, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """An image of an environment that a commit changed; ``before`` or ``after`` empty: it came, or it went.

    ``landed`` is when the commit came to the branch, as far as its parents can tell.
    """

    environment: str
    image: Repository
    before: Versions
    after: Versions
    step: Step
    landed: datetime


@dataclass(frozen=True, slots=True)
class Trail:
    """What one branch tells of its past. ``whole``: it goes back to the first commit."""

    steps: tuple[Step, ...]
    times: Mapping[CommitId, datetime]
    whole: bool

    @property
    def oldest(self) -> datetime | None:
        """When the last commit that was looked at had landed."""
        return self.times[self.steps[-1].commit.id] if self.steps else None

    @property
    def ledger(self) -> tuple[Landed, ...]:
        """The changes that its commits carry, newest first."""
        return tuple(landed_by(self.steps))


def trail_of(repository: GitOpsRepository, tip: CommitId, patterns: Sequence[str], limit: int) -> Trail:
    """The past of a branch, in a number of requests that does not depend on what happened in it."""
    steps = tuple(repository.trail(tip, patterns, limit))
    commits: list[CommitInfo] = [step.commit for step in steps]
    return Trail(steps, landing_times(commits), not commits or not commits[-1].parents)


def trails_of(
    repository: GitOpsRepository, scene: Scene, places: Sequence[Place], limit: int
) -> Mapping[BranchName, Trail]:
    """The past of every branch that holds one of these environments."""
    by_branch: dict[BranchName, dict[str, None]] = {}
    for place in places:
        by_branch.setdefault(place.branch, {}).update(dict.fromkeys(place.patterns))
    return {
        branch: trail_of(repository, scene.tips[branch], tuple(patterns), limit)
        for branch, patterns in by_branch.items()
    }


def moves(
    places: Sequence[Place],
    trail: Trail,
    scene: Scene,
    wanted: Callable[[Repository], bool] | None = None,
    done: Callable[[Place], bool] = lambda place: False,
) -> Iterator[Moved]:
    """Everything that changed what these environments of one branch run, newest first.

    Each commit's changes are taken back from the files of the one after it, so only what changed is read again. Only
    images that stand in a changed file can have moved. An environment of which ``done`` says that enough was told is
    not looked at any further.
    """
    files = {place.name: dict(place.files) for place in places}
    sides = {place.name: place.side for place in places}
    for step in trail.steps:
        tree = Tree(step.files)
        for place in places:
            changed = tree.under(place.patterns) if not done(place) else {}
            if not changed:
                continue
            earlier = taken_back(files[place.name], changed)
            contents = [(path, one) for path, change in changed.items() for one in (change.before, change.after)]
            named = _named(scene, place, contents)
            before, after = Side(earlier, scene.options(place.environment), scene.read), sides[place.name]
            for image in sorted(named):
                was, became = versions(before, image), versions(after, image)
                if was != became and (wanted is None or wanted(image)):
                    yield Moved(place.name, image, was, became, step, trail.times[step.commit.id])
            files[place.name], sides[place.name] = earlier, before


def arrivals(
    places: Sequence[Place], trail: Trail, scene: Scene, wanted: Collection[Repository]
) -> dict[tuple[str, Repository], Moved]:
    """How each of these images came to run as it does now, where the trail is long enough to tell."""
    found: dict[tuple[str, Repository], Moved] = {}
    missing = {place.name: {image for image in wanted if versions(place.side, image)} for place in places}
    for moved in moves(places, trail, scene, lambda image: image in wanted, lambda place: not missing[place.name]):
        found.setdefault((moved.environment, moved.image), moved)
        missing[moved.environment].discard(moved.image)
    return found


def _named(scene: Scene, place: Place, contents: Sequence[tuple[RepoPath, bytes | None]]) -> set[Repository]:
    options = scene.options(place.environment)
    return {
        pin.image.repository
        for path, content in contents
        if content is not None
        for pin in scene.read(path, content, options).pins
    }
