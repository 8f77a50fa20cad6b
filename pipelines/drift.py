"""What has drifted: pins that are none, tags that moved, environments out of step, images nobody runs, open Secrets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.manifests.running import Files
from pipelines.drift_finding import Finding, Kind
from pipelines.drift_order import out_of_step
from pipelines.drift_pins import nowhere, plaintext, read_bases, read_elsewhere, unpinned, unreadable
from pipelines.drift_registry import moved_tags
from pipelines.looking import Looking, Place, Scene, Wanted, chosen_images, look, read_places

_ORDER = frozenset({Kind.AHEAD, Kind.NEVER_BEFORE, Kind.SKIPPED})


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found, by environment and place. ``unanswered`` are questions that nobody answered: it may be more."""

    findings: tuple[Finding, ...]
    unanswered: tuple[str, ...]
    looked_at: tuple[str, ...]
    discovered: tuple[str, ...]
    calls: Mapping[str, Mapping[str, int]]


def drift(looking: Looking, wanted: Wanted, kinds: Collection[Kind] = frozenset(Kind)) -> Drift:
    """Look for what these kinds mean; who is not needed for them is not asked.

    Raises ConfigurationError for names that are not there, Unreadable, RemoteError of Git.
    """
    scene = look(looking, everything=wanted.everything)
    shown = scene.chosen(wanted.environments)
    every = scene.policy.environments
    before = [every[name] for one in shown for name in one.after] if _ORDER & set(kinds) else []
    places = read_places(looking, scene, dict.fromkeys((*shown, *before)), whole=True)
    names = {one.name for one in shown}
    seen = [place for place in places if place.name in names]
    there = {image for place in seen for image in place.side.repositories}
    images = chosen_images(looking, scene, wanted.images, there)
    elsewhere = _elsewhere(looking, scene, wanted, places, kinds)
    unanswered: list[str] = []
    searches: dict[Kind, Callable[[], Iterator[Finding]]] = {
        Kind.UNPINNED: lambda: unpinned(looking, seen, images),
        Kind.UNREADABLE: lambda: unreadable(looking, scene, seen, images, narrow=bool(wanted.images)),
        Kind.MOVED_TAG: lambda: moved_tags(looking.ports.registry, seen, images, unanswered),
        Kind.NO_ENVIRONMENT: lambda: nowhere(looking, scene, places, elsewhere) if _is_all(wanted) else iter(()),
        Kind.PLAINTEXT_SECRET: lambda: plaintext(seen, [elsewhere, *read_bases(looking, scene, seen)]),
    }
    found = [finding for kind, search in searches.items() if kind in kinds for finding in search()]
    if _ORDER & set(kinds):
        steps = out_of_step(looking, scene, places, images)
        found += [one for one in steps if one.kind in kinds and one.environment in names]
    found_names = tuple(one.name for one in shown)
    return Drift(
        tuple(_sorted(found, found_names)), tuple(unanswered), found_names, scene.policy.found, looking.tally.counts()
    )


def _is_all(wanted: Wanted) -> bool:
    """Nothing is left out: only all environments together can tell what none of them has."""
    return not wanted.environments and not wanted.images


def _elsewhere(
    looking: Looking, scene: Scene, wanted: Wanted, places: Sequence[Place], kinds: Collection[Kind]
) -> Files:
    """The manifests of no environment, where the whole repository is looked at and they matter."""
    needed = {Kind.NO_ENVIRONMENT, Kind.PLAINTEXT_SECRET} & set(kinds)
    if scene.application is not None or not needed or not _is_all(wanted):
        return {}
    return read_elsewhere(looking, scene, places)


def _sorted(found: Sequence[Finding], names: Sequence[str]) -> list[Finding]:
    order = {name: number for number, name in enumerate(names)}
    kinds = list(Kind)

    def key(one: Finding) -> tuple[int, int, str, str]:
        return kinds.index(one.kind), order.get(one.environment or "", -1), one.where, one.what

    return sorted(found, key=key)
