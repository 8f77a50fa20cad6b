"""Environments that are out of step: ahead of those before them, past them, or with one left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from orchestrator.core.environment import Environment
from orchestrator.core.facts import Run
from orchestrator.core.gates import OrderGate
from orchestrator.core.image import Digest, ImageReference, Repository
from orchestrator.core.names import BranchName
from orchestrator.core.order import OrderRule, Version
from orchestrator.gitops.provenance import Skipped, by_original_names, known_of, skipped_in, still_open
from pipelines.drift_finding import Finding, Kind
from pipelines.looking import Looking, Place, Scene, versions
from pipelines.looking_timeline import Trail, moves, trails_of

_DEPTH = 500  # commits of a branch that are asked what ran before


def out_of_step(
    looking: Looking, scene: Scene, places: Sequence[Place], images: Sequence[Repository]
) -> Iterator[Finding]:
    """For each image of each environment that comes after others; ``places`` has those too."""
    trails = trails_of(looking.ports.repository, scene, places, _DEPTH)
    steps = _Steps(looking, scene, {place.name: place for place in places}, trails, images)
    for place in places:
        for image in images:
            yield from steps.of(place, image)


@dataclass
class _Steps:
    """What ran where, and when it was said to come from where."""

    looking: Looking
    scene: Scene
    places: Mapping[str, Place]
    trails: Mapping[BranchName, Trail]
    images: Sequence[Repository]
    skips: tuple[Skipped, ...] = field(init=False)

    def __post_init__(self) -> None:
        runs = [
            Run(place.name, image, version.digest)
            for place in self.places.values()
            for image in self.images
            for version in versions(place.side, image)
            if version.digest is not None
        ]
        landed = (one for trail in self.trails.values() for one in trail.ledger)
        ledger = by_original_names(landed, self.scene.policy.originals)
        self.skips = still_open((one for one in skipped_in(ledger) if one.left_out in self.places), runs)
        wanted = {(run.repository, run.digest) for run in runs}
        self._known = known_of(ledger, wanted)

    @cached_property
    def _ever(self) -> set[tuple[str, Repository, Digest]]:
        """What ran in which environment at any time that the trails tell of."""
        found = {
            (place.name, image, version.digest)
            for place in self.places.values()
            for image in self.images
            for version in versions(place.side, image)
            if version.digest is not None
        }
        for branch, trail in self.trails.items():
            here = [place for place in self.places.values() if place.branch == branch]
            for moved in moves(here, trail, self.scene):
                for version in (*moved.before, *moved.after):
                    if version.digest is not None:
                        found.add((moved.environment, moved.image, version.digest))
        return found

    def of(self, place: Place, image: Repository) -> Iterator[Finding]:
        """How one image of one environment is out of step, if it is."""
        earlier = [self.places[name] for name in place.environment.after if name in self.places]
        having = [one for one in earlier if versions(one.side, image)]
        for version in versions(place.side, image):
            skip = self._skip(place, version)
            if skip is not None:
                yield _skipped(place, version, skip, self._where(place, version))
            elif having and self._is_new(having, version):
                yield self._never_before(place, version, having)
            elif having and all(self._is_ahead(place.environment, version, one) for one in having):
                yield self._ahead(place, version, having)

    def _skip(self, place: Place, version: ImageReference) -> Skipped | None:
        for one in self.skips:
            if one.environment == place.name and any(
                image.repository == version.repository and image.digest == version.digest for image in one.images
            ):
                return one
        return None

    def _is_new(self, earlier: Sequence[Place], version: ImageReference) -> bool:
        """None of the environments before has ever run it."""
        if version.digest is None:
            return False
        return not any((one.name, version.repository, version.digest) in self._ever for one in earlier)

    def _is_ahead(self, environment: Environment, version: ImageReference, before: Place) -> bool:
        """It is newer than all that the environment before runs, by what the policy tells order by."""
        rule = OrderGate(environment.order).rule(version.repository)
        others = versions(before.side, version.repository)
        return rule is not OrderRule.NONE and all(self._is_newer(rule, version, other) for other in others)

    def _is_newer(self, rule: OrderRule, one: ImageReference, other: ImageReference) -> bool:
        if one.digest is not None and one.digest == other.digest:
            return False
        if rule is not OrderRule.SEMVER:
            commits = self._commits_ahead(one, other)
            if commits is not None:
                return commits > 0
        mine, theirs = Version.find(one.tag), Version.find(other.tag)
        return mine is not None and theirs is not None and theirs < mine

    def _commits_ahead(self, one: ImageReference, other: ImageReference) -> int | None:
        known = [
            self._known.get((each.repository, each.digest)) if each.digest is not None else None
            for each in (one, other)
        ]
        mine, theirs = (each.origin if each is not None else None for each in known)
        if mine is None or theirs is None:
            return None
        if mine.position is not None and theirs.position is not None:
            if mine.position.branch != theirs.position.branch:
                return None
            return mine.position.count - theirs.position.count
        if mine.source is None or theirs.source is None:
            return None
        return self.looking.distance(theirs.source, mine.source)

    # --- what is told ----------------------------------------------------------------------------------------------

    def _never_before(self, place: Place, version: ImageReference, earlier: Sequence[Place]) -> Finding:
        names = " or ".join(one.name for one in earlier)
        cut = not all(self.trails[one.branch].whole for one in earlier)
        bound = f" within the last {_DEPTH} commits" if cut else ""
        return Finding(
            Kind.NEVER_BEFORE,
            f"{_named(version)} never ran in {names}{bound}",
            self._where(place, version),
            _promote(earlier[0], place, version),
            place.name,
            version.repository,
        )

    def _ahead(self, place: Place, version: ImageReference, earlier: Sequence[Place]) -> Finding:
        running = ", ".join(
            f"{one.name} runs {_short(other)}" for one in earlier for other in versions(one.side, version.repository)
        )
        return Finding(
            Kind.AHEAD,
            f"{_named(version)} is newer than what runs before it: {running}",
            self._where(place, version),
            f"bring {', '.join(one.name for one in earlier)} up to it, or find out why they went back",
            place.name,
            version.repository,
        )

    def _where(self, place: Place, version: ImageReference) -> str:
        pins = place.side.running(version.repository)
        return next((pin.where for pin in pins if pin.image == version), pins[0].where if pins else place.name)


def _skipped(place: Place, version: ImageReference, skip: Skipped, where: str) -> Finding:
    return Finding(
        Kind.SKIPPED,
        f"{_named(version)} came here past {skip.left_out}, which does not run it still: {skip.reason}",
        where,
        f"hybrid-ci promote --from {place.name} --to {skip.left_out} --image {version.repository}",
        place.name,
        version.repository,
    )


def _promote(earlier: Place, place: Place, version: ImageReference) -> str:
    return f"hybrid-ci promote --from {earlier.name} --to {place.name} --image {version.repository}"


def _named(version: ImageReference) -> str:
    return f"{version.repository} {_short(version)}"


def _short(version: ImageReference) -> str:
    return version.tag or (version.digest.short if version.digest is not None else "without a tag")
