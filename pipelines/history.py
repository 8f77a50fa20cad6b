"""What an environment ran, when, and by whom: the pins in the trees tell it, trailers and the forge enrich it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.core.change import Change, branch_for
from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.base import CommitInfo, Step
from orchestrator.gitops.ledger import landed_by
from pipelines.looking import Looking, Place, Scene, Wanted, chosen_images, look, meant_images, read_places
from pipelines.looking_forge import number_in
from pipelines.looking_timeline import Moved, Trail, Versions, moves, trail_of

_DEPTHS = (64, 512, 4096)  # commits of the branch: further back only where that is needed
_MOST_ASKED = 4  # questions to the forge, one for each branch that changes come from


@dataclass(frozen=True, slots=True)
class ImageMove:
    """An image that an entry moves."""

    image: Repository
    before: Versions
    after: Versions


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit that changed what an environment runs.

    ``by`` merged or committed it. ``change`` is what its trailers say, where they are about these very pins: a claim.
    ``pull_request`` is its number, by the merge's message or by the forge; ``made`` the commit that was proposed.
    """

    environment: str
    commit: CommitInfo
    landed: datetime
    by: str
    moves: tuple[ImageMove, ...]
    change: Change | None = None
    pull_request: int | None = None
    url: str | None = None
    made: CommitId | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The entries, newest first.

    ``whole``: nothing was before them. Else ``left_out`` tells that older ones were found and are not among them, and
    ``looked_back_to`` how far it was looked.
    """

    environment: str
    entries: tuple[Entry, ...]
    whole: bool
    left_out: bool
    looked_back_to: datetime | None
    discovered: tuple[str, ...]
    calls: Mapping[str, Mapping[str, int]]


def history(
    looking: Looking, environment: str, wanted: Wanted, *, limit: int = 20, since: datetime | None = None
) -> History:
    """The last ``limit`` changes, or those since a moment.

    Raises ConfigurationError for names that are not there, Unreadable, RemoteError of Git.
    """
    scene = look(looking, everything=wanted.everything)
    places = read_places(looking, scene, scene.chosen((environment,)), whole=True)
    found, trail = _entries(looking, scene, places, wanted, limit, since)
    kept = [one for one in found if since is None or one.landed >= since][:limit]
    left_out = len(kept) < len(found)
    return History(
        environment,
        _with_pull_requests(looking, scene, kept),
        not left_out and (trail is None or trail.whole),
        left_out,
        trail.oldest if trail is not None else None,
        scene.policy.found,
        looking.tally.counts(),
    )


def _entries(
    looking: Looking, scene: Scene, places: Sequence[Place], wanted: Wanted, limit: int, since: datetime | None
) -> tuple[list[Entry], Trail | None]:
    """All that were found, looking further back only as long as they are too few; and where they were found."""
    if not places:
        return [], None
    patterns = tuple(dict.fromkeys(pattern for place in places for pattern in place.patterns))
    for depth in _DEPTHS:
        trail = trail_of(looking.ports.repository, scene.tips[places[0].branch], patterns, depth)
        moved = list(moves(places, trail, scene))
        known = {one.image for one in moved} | {image for place in places for image in place.side.repositories}
        images = meant_images(looking, scene, wanted.images, known)
        entries = _grouped([one for one in moved if one.image in images])
        past = since is not None and trail.oldest is not None and trail.oldest < since
        if trail.whole or past or len(entries) > limit:
            break
    chosen_images(looking, scene, wanted.images, known)  # an image that was never there is a mistake
    return entries, trail


def _grouped(moved: Iterable[Moved]) -> list[Entry]:
    """An entry for each commit and environment, in their order."""
    groups: dict[tuple[CommitId, str], list[Moved]] = {}
    for one in moved:
        groups.setdefault((one.step.commit.id, one.environment), []).append(one)
    return [_entry(members) for members in groups.values()]


def _entry(moved: Sequence[Moved]) -> Entry:
    first = moved[0]
    commit = first.step.commit
    return Entry(
        first.environment,
        commit,
        first.landed,
        commit.author,
        tuple(ImageMove(one.image, one.before, one.after) for one in moved),
        _change(first.step, first.environment, moved),
        number_in(commit.message),
        made=first.step.merged.id if first.step.merged is not None else commit.id,
    )


def _change(step: Step, environment: str, moved: Sequence[Moved]) -> Change | None:
    """What the trailers say, when it is about one of these very pins."""
    became = {version.digest for one in moved for version in one.after}
    for landed in landed_by([step]):
        change = landed.change
        if change.environment == environment and any(pin.digest in became for pin in change.pins):
            return change
    return None


def _with_pull_requests(looking: Looking, scene: Scene, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """With the numbers that the messages do not tell, where a few questions to the forge do."""
    if looking.ports.forge is None:
        return tuple(entries)
    heads: dict[BranchName, None] = {}
    for one in entries:
        if one.pull_request is None and (head := _head(scene, one)) is not None:
            heads[head] = None
    found: list[PullRequest] = []
    try:
        for head in list(heads)[:_MOST_ASKED]:
            found += looking.ports.forge.pull_requests(head, scene.policy.base)
    except RemoteError as error:
        looking.ports.reporter.warn(f"the forge could not be asked for pull requests: {error.message}")
    return tuple(_with_pull_request(one, found) for one in entries)


def _head(scene: Scene, entry: Entry) -> BranchName | None:
    """The branch that such a change comes from, where anybody knows its scope."""
    scope = entry.change.scope if entry.change is not None else scene.application
    return branch_for(entry.environment, scope) if scope is not None else None


def _with_pull_request(entry: Entry, pulls: Sequence[PullRequest]) -> Entry:
    if entry.pull_request is not None:
        return entry
    for pull in pulls:
        merged = pull.state is PullRequestState.MERGED
        if merged and (pull.merge_commit == entry.commit.id or pull.head_commit == entry.made):
            return replace(entry, pull_request=pull.number, url=pull.url)
    return entry
