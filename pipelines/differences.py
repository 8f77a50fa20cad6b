"""What differs between two environments, or what a pull request changes: pins, and what they are rendered to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.environment import Environment
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.core.patterns import matches
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.base import FileChange, GitOpsRepository
from orchestrator.manifests.model import Pin
from orchestrator.manifests.options import DEFAULT, ScanOptions
from orchestrator.reports.rendered import ResourceDiff
from pipelines.differences_rendered import Rendered, RenderWish, rendered_between
from pipelines.looking import Looking, Place, Scene, Wanted, chosen_images, look, read_places, versions
from pipelines.looking_forge import browsing
from pipelines.looking_timeline import Versions


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """An image in two environments; empty where one does not have it. The places are ``file:line``."""

    image: Repository
    left: Versions
    right: Versions
    left_places: tuple[str, ...]
    right_places: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Both run the same: the digest decides where there is one."""
        return [one.digest or one for one in self.left] == [one.digest or one for one in self.right]


@dataclass(frozen=True, slots=True)
class EnvironmentsCompared:
    """Two environments side by side. ``rendered`` is None where nothing was rendered, and ``why_not`` says why."""

    left: str
    right: str
    images: tuple[ImageDifference, ...]
    rendered: tuple[ResourceDiff, ...] | None
    why_not: str | None
    calls: Mapping[str, Mapping[str, int]]

    @property
    def differ(self) -> bool:
        """Something is not the same."""
        return any(not one.same for one in self.images) or bool(self.rendered)


@dataclass(frozen=True, slots=True)
class PinMove:
    """A pin that a pull request changes; empty ``before`` or ``after``: it comes, or it goes."""

    environments: tuple[str, ...]
    where: str
    place: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PullRequestCompared:
    """What a pull request changes. ``others`` are the files that it changes without moving a pin."""

    pull_request: PullRequest
    moves: tuple[PinMove, ...]
    others: tuple[RepoPath, ...]
    rendered: tuple[ResourceDiff, ...] | None
    why_not: str | None
    calls: Mapping[str, Mapping[str, int]]

    @property
    def differ(self) -> bool:
        """It changes something."""
        return bool(self.moves or self.others)


def compare_environments(
    looking: Looking, left: str, right: str, wanted: Wanted, *, render: bool = True
) -> EnvironmentsCompared:
    """Pins, and where wished what they are rendered to.

    Raises ConfigurationError for names that are not there, Unreadable, RemoteError.
    """
    scene = look(looking, everything=wanted.everything)
    both = [scene.policy.environment(name) for name in (left, right)]
    sides = {place.name: place for place in read_places(looking, scene, dict.fromkeys(both))}
    for one in both:
        if one.name not in sides:
            raise ConfigurationError(
                f"the branch of the environment {one.name!r} is not there", where=scene.policy.origin
            )
    here, there = (sides[one.name] for one in both)
    known = here.side.repositories | there.side.repositories
    images = chosen_images(looking, scene, wanted.images, known)
    made: Rendered = (None, None)
    if render:
        narrow = frozenset(images) if wanted.images else None
        made = rendered_between(
            looking.ports.repository, _wish(looking, scene, here, narrow), _wish(looking, scene, there, narrow)
        )
    compared = tuple(_difference(image, here, there) for image in images)
    return EnvironmentsCompared(left, right, compared, *made, looking.tally.counts())


def _difference(image: Repository, here: Place, there: Place) -> ImageDifference:
    places = [tuple(pin.where for pin in place.side.running(image)) for place in (here, there)]
    return ImageDifference(image, versions(here.side, image), versions(there.side, image), *places)


def _wish(looking: Looking, scene: Scene, place: Place, narrow: frozenset[Repository] | None) -> RenderWish:
    """All of an environment's files, or those with pins of some images."""
    tip = scene.tips[place.branch]
    if narrow is None:
        return RenderWish(tip, tuple(looking.ports.repository.paths(tip, place.patterns)))
    return RenderWish(tip, tuple(dict.fromkeys(pin.path for pin in place.side.pins if pin.image.repository in narrow)))


# --- pull requests -------------------------------------------------------------------------------------------------


def compare_pull_request(looking: Looking, number: int, *, render: bool = True) -> PullRequestCompared:
    """What the pull request would change, or has changed where it is merged.

    Raises ConfigurationError when there is no forge or no such pull request, or its head is gone; RemoteError.
    """
    forge = browsing(looking.ports.forge)
    if forge is None:
        raise ConfigurationError(
            "no forge is known here, so a pull request can't be looked up",
            where=looking.ports.repository.url,
            hint="name it with --forge, or set gitops.forge in hybrid-ci.yaml",
        )
    pull = forge.show(number)
    scene = look(looking, everything=True)
    before, after = _ends(looking.ports.repository, pull)
    changed = looking.ports.repository.between(before, after, ["**"])
    moves = tuple(move for path, change in sorted(changed.items()) for move in _moves(scene, path, change))
    moved = {move.where.rpartition(":")[0] for move in moves}
    others = tuple(path for path in sorted(changed) if path.value not in moved)
    made: Rendered = (None, None)
    if render:
        old = tuple(path for path, change in changed.items() if change.before is not None)
        new = tuple(path for path, change in changed.items() if change.after is not None)
        made = rendered_between(looking.ports.repository, RenderWish(before, old), RenderWish(after, new))
    return PullRequestCompared(pull, moves, others, *made, looking.tally.counts())


def _ends(repository: GitOpsRepository, pull: PullRequest) -> tuple[CommitId, CommitId]:
    """The commits before and after: of a merged one those of its merge, else where it left its base, and its head."""
    if pull.state is PullRequestState.MERGED and pull.merge_commit is not None:
        merge = repository.commit_info(pull.merge_commit)
        if merge.parents:
            return merge.parents[0], merge.id
    if pull.head_commit is None:
        raise ConfigurationError(
            f"the head of pull request #{pull.number} is gone", where=pull.url, hint="it can't be compared any more"
        )
    base = repository.tips([pull.base.ref]).get(pull.base.ref)
    if base is None:
        raise ConfigurationError(f"the base of pull request #{pull.number} is gone", where=pull.url)
    own = repository.commits(base, pull.head_commit)
    known = {one.id for one in own}
    left = dict.fromkeys(parent for one in own for parent in one.parents if parent not in known)
    if not left:
        return pull.head_commit, pull.head_commit
    points = [repository.commit_info(one) for one in left] if len(left) > 1 else []
    newest = max(points, key=lambda one: one.committed.timestamp() if one.committed else 0.0, default=None)
    return (newest.id if newest is not None else next(iter(left))), pull.head_commit


def _moves(scene: Scene, path: RepoPath, change: FileChange) -> Iterator[PinMove]:
    """The pins of a file that are not the same afterwards, by their places."""
    environments = _holding(scene, path)
    options = scene.options(environments[0]) if environments else DEFAULT
    old, new = (_pins(scene, path, content, options) for content in (change.before, change.after))
    names = tuple(one.name for one in environments)
    for at in dict.fromkeys((*old, *new)):
        before, after = old.get(at), new.get(at)
        if (before.image if before else None) != (after.image if after else None):
            shown = after or before
            assert shown is not None  # noqa: S101  (it is in one of the two)
            yield PinMove(names, shown.where, shown.place, before.text if before else "", after.text if after else "")


def _pins(scene: Scene, path: RepoPath, content: bytes | None, options: ScanOptions) -> dict[str, Pin]:
    if content is None:
        return {}
    return {pin.at or pin.place: pin for pin in scene.read(path, content, options).pins}


def _holding(scene: Scene, path: RepoPath) -> Sequence[Environment]:
    every = scene.policy.environments.values()
    return [one for one in every if any(matches(pattern, path.value) for pattern in scene.patterns(one))]
