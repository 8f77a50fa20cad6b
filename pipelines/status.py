"""What runs where: each image in each environment, since when, how far behind, and what is on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.core.environment import Policy
from orchestrator.core.errors import RemoteError
from orchestrator.core.facts import Run, ruled_by
from orchestrator.core.holds import Hold, Rule, Veto
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import BranchName
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.ledger import Landed
from orchestrator.gitops.provenance import Skipped, by_original_names, known_of, skipped_in, still_open
from pipelines.looking import Looking, Place, Scene, Wanted, chosen_images, firsts, look, read_places, versions
from pipelines.looking_distance import Behind, Distances, Origins, Running
from pipelines.looking_forge import browsing, target_of
from pipelines.looking_timeline import Moved, Trail, Versions, arrivals, trails_of
from pipelines.rules import read_rules

_DEPTH = 500  # months, as a rule


@dataclass(frozen=True, slots=True)
class Cell:
    """An image in an environment.

    ``since`` is when it came to run as it does; where ``older`` is set, it did so at that moment already. ``behind`` is
    None where nothing comes before the environment.
    """

    environment: str
    image: Repository
    versions: Versions
    since: datetime | None = None
    older: bool = False
    behind: Behind | None = None
    hold: Rule | None = None
    veto: Rule | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """An open pull request of ours, by its branch; ``scope`` is the application, or the name of a set."""

    environment: str
    scope: str
    pull_request: PullRequest


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that ``status`` tells. ``pull_requests`` is None where nobody could be asked.

    ``rules`` are the holds and vetoes that count now, ``skips`` what promotions left out and nobody made good.
    """

    environments: tuple[str, ...]
    images: tuple[Repository, ...]
    cells: Mapping[tuple[str, Repository], Cell]
    pull_requests: tuple[Proposed, ...] | None
    rules: tuple[Rule, ...]
    skips: tuple[Skipped, ...]
    discovered: tuple[str, ...]
    calls: Mapping[str, Mapping[str, int]]
    now: datetime


def status(looking: Looking, wanted: Wanted, *, depth: int = _DEPTH) -> Status:
    """Look at everything once; ``depth`` commits of a branch are asked since when something runs.

    Raises ConfigurationError for names that are not there and broken holds, Unreadable, RemoteError.
    """
    scene = look(looking, everything=wanted.everything)
    shown = scene.chosen(wanted.environments)
    every = scene.policy.environments
    compared = [every[first] for one in shown for first in firsts(every, one.name)]
    places = read_places(looking, scene, dict.fromkeys((*shown, *compared)))
    names = {one.name for one in shown}
    there = {image for place in places if place.name in names for image in place.side.repositories}
    images = chosen_images(looking, scene, wanted.images, there)
    trails = trails_of(looking.ports.repository, scene, places, depth)
    rules = _rules(looking, scene)
    reading = _Reading(looking, scene, places, trails, images, rules)
    return Status(
        environments=tuple(one.name for one in shown),
        images=images,
        cells={key: cell for key, cell in reading.cells().items() if key[0] in names},
        pull_requests=_proposed(looking, scene, _ruling(scene.policy, names)),
        rules=tuple(one for one in rules if one.environment in _ruling(scene.policy, names)),
        skips=reading.skips(names),
        discovered=scene.policy.found,
        calls=looking.tally.counts(),
        now=looking.ports.clock.now(),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read, from which the cells are told."""

    looking: Looking
    scene: Scene
    places: Sequence[Place]
    trails: Mapping[BranchName, Trail]
    images: Sequence[Repository]
    rules: Sequence[Rule]

    def cells(self) -> dict[tuple[str, Repository], Cell]:
        """What runs, environment by environment; an image that one does not have has no cell."""
        running = self._running()
        came = self._arrivals()
        distances = Distances(self.looking, self.scene.policy.environments, running, self._origins(running))
        found: dict[tuple[str, Repository], Cell] = {}
        for place in self.places:
            trail = self.trails[place.branch]
            for image in self.images:
                if (place.name, image) in running:
                    moved = came.get((place.name, image))
                    found[place.name, image] = Cell(
                        place.name,
                        image,
                        running[place.name, image],
                        moved.landed if moved is not None else trail.oldest,
                        moved is None,
                        distances.behind(place.name, image),
                        self._rule(place, Hold, {str(image), str(place.environment.local(image))}),
                        self._rule(place, Veto, {str(one.digest) for one in running[place.name, image]}),
                    )
        return found

    def skips(self, names: set[str]) -> tuple[Skipped, ...]:
        """What promotions to these environments left out and nobody made good, as far as the environments are read."""
        known = {place.name for place in self.places}
        runs = [
            Run(place.name, image, version.digest)
            for place in self.places
            for image in self.images
            for version in versions(place.side, image)
            if version.digest is not None
        ]
        skips = [one for one in skipped_in(self._ledger()) if one.environment in names and one.left_out in known]
        return still_open(skips, runs)

    def _running(self) -> Running:
        return {
            (place.name, image): found
            for place in self.places
            for image in self.images
            if (found := versions(place.side, image))
        }

    def _arrivals(self) -> dict[tuple[str, Repository], Moved]:
        found: dict[tuple[str, Repository], Moved] = {}
        for branch, trail in self.trails.items():
            here = [place for place in self.places if place.branch == branch]
            found |= arrivals(here, trail, self.scene, frozenset(self.images))
        return found

    def _ledger(self) -> list[Landed]:
        landed = (one for trail in self.trails.values() for one in trail.ledger)
        return list(by_original_names(landed, self.scene.policy.originals))

    def _origins(self, running: Running) -> Origins:
        wanted: set[tuple[Repository, Digest]] = {
            (image, version.digest)
            for (_, image), found in running.items()
            for version in found
            if version.digest is not None
        }
        return {key: known.origin for key, known in known_of(self._ledger(), wanted).items()}

    def _rule(self, place: Place, kind: type[Rule], subjects: set[str]) -> Rule | None:
        names = ruled_by(place.environment)
        return next(
            (
                one
                for one in self.rules
                if isinstance(one, kind) and one.environment in names and one.subject in subjects
            ),
            None,
        )


def _rules(looking: Looking, scene: Scene) -> tuple[Rule, ...]:
    """The holds and vetoes that count now."""
    now, repository = looking.ports.clock.now(), looking.ports.repository
    found = [one for kind in (Hold, Veto) for one in read_rules(repository, scene.tip, kind, (), scene.policy.origin)]
    return tuple(one for one in found if one.holds(now))


def _ruling(policy: Policy, names: set[str]) -> set[str]:
    """The names whose rules concern these environments."""
    return {ruling for name in names for ruling in ruled_by(policy.environments[name])}


def _proposed(looking: Looking, scene: Scene, names: set[str]) -> tuple[Proposed, ...] | None:
    """The open pull requests that change these environments, in one question; None where nobody answers it.

    Rules about an environment with waves stand under its own name, of which no cluster is called.
    """
    forge = browsing(looking.ports.forge)
    if forge is None:
        looking.ports.reporter.note("no forge is known here, so open pull requests are not listed")
        return None
    try:
        open_ones = forge.list(PullRequestState.OPEN)
    except RemoteError as error:
        looking.ports.reporter.warn(f"open pull requests could not be listed: {error.message}")
        return None
    own = scene.application
    found = [
        Proposed(place[0], place[1], one)
        for one in open_ones
        if (place := target_of(one)) is not None and place[0] in names and _is_about(looking, own, place[1])
    ]
    order: dict[str, int] = {}
    for number, one in enumerate(scene.policy.environments.values()):
        for name in reversed(ruled_by(one)):
            order.setdefault(name, number)
    return tuple(sorted(found, key=lambda one: (order[one.environment], one.pull_request.number)))


def _is_about(looking: Looking, application: str | None, scope: str) -> bool:
    """The scope is the application, or a hold of one of its images; a veto may be about any."""
    if application is None or scope == application:
        return True
    kind, colon, subject = scope.partition(":")
    return bool(colon) and (kind == Veto.kind or subject in {str(image) for image in looking.own_images})
