"""The graph of stages that a configuration describes. Pure: what runs it stands in pipelines/release.py."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.config.application import ApplicationConfig
from orchestrator.config.explain import did_you_mean
from orchestrator.config.stages import StageConfig, as_text
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.stages import Graph, Kind, Node

PREFLIGHT, TESTED, HANDOFF = "preflight", "all tests passed", "hand off"
_GROUPS = {
    "preflight": Kind.PREFLIGHT,
    "build": Kind.BUILD,
    "test": Kind.TEST,
    "tested": Kind.TESTED,
    "push": Kind.PUSH,
    "handoff": Kind.HANDOFF,
    HANDOFF: Kind.HANDOFF,
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One stage of the application's own: its name in the graph, and what its matrix gives it."""

    name: str
    key: str
    config: StageConfig
    values: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """What a run is about: ``released`` are pushed and handed off, ``built`` are those and what they are built upon.

    ``bases`` tells of each image which others of the project it needs first.
    """

    config: ApplicationConfig
    built: tuple[str, ...]
    released: tuple[str, ...]
    bases: Mapping[str, Sequence[str]]

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The stages of the application's own, matrices spread out. One in an image that is not built is left out."""
        return tuple(
            variant
            for key, stage in self.config.stages.items()
            if stage.on_host or stage.image in self.built
            for variant in _spread(key, stage)
        )


def graph_of(layout: Layout) -> Graph:
    """The stages in the order in which one after the other would run them.

    Raises ConfigurationError for a need that names nothing, or a circle.
    """
    own = [(variant, _node(layout, variant)) for variant in layout.variants]
    early = [node for variant, node in own if variant.config.on_host and not _asks_for_work(layout, variant.config)]
    late = [node for _, node in own if node not in early]
    nodes = [
        Node(PREFLIGHT, Kind.PREFLIGHT),
        *early,
        *(_build(layout, image) for image in layout.built),
        *(Node(f"test {image}", Kind.TEST, (f"build {image}",), image) for image in layout.built),
        *(node for node in late if not _comes_after(layout, node, Kind.PUSH)),
        Node(TESTED, Kind.TESTED, tuple(f"test {image}" for image in layout.built)),
        *(Node(f"push {image}", Kind.PUSH, (TESTED,), image) for image in layout.released),
        *(node for node in late if _comes_after(layout, node, Kind.PUSH) and not _after_handoff(layout, node)),
        Node(HANDOFF, Kind.HANDOFF, tuple(f"push {image}" for image in layout.released)),
        *(node for node in late if _after_handoff(layout, node)),
    ]
    return Graph(_with_befores(layout, nodes))


def _build(layout: Layout, image: str) -> Node:
    return Node(
        f"build {image}", Kind.BUILD, (PREFLIGHT, *(f"build {base}" for base in layout.bases.get(image, ()))), image
    )


def _node(layout: Layout, variant: Variant) -> Node:
    """A stage of the application's own. It waits for its image, and for what it names; at least for preflight."""
    stage = variant.config
    images = () if stage.on_host else (stage.image,)
    services = tuple(one.image for one in stage.services.values() if one.image in layout.built)
    needs = [f"build {image}" for image in (*images, *services)]
    for index, need in enumerate(stage.needs):
        needs += _named(layout, need, f"stages.{variant.key}.needs.{index}")
    return Node(
        variant.name, Kind.CUSTOM, tuple(dict.fromkeys(needs or [PREFLIGHT])), None if stage.on_host else stage.image
    )


def _named(layout: Layout, name: str, where: str) -> list[str]:
    """The nodes that a name in ``needs`` or ``before`` means: a group, one built-in stage, or one of their own."""
    match _GROUPS.get(name):
        case Kind.PREFLIGHT:
            return [PREFLIGHT]
        case Kind.TESTED:
            return [TESTED]
        case Kind.HANDOFF:
            return [HANDOFF]
        case Kind.BUILD | Kind.TEST:
            return [f"{name} {image}" for image in layout.built]
        case Kind.PUSH:
            return [f"push {image}" for image in layout.released]
    own = [variant.name for variant in layout.variants if name in (variant.key, variant.name)]
    if own:
        return own
    word, _, image = name.partition(" ")
    if word in ("build", "test", "push") and image in layout.config.images:
        there = image in (layout.released if word == "push" else layout.built)
        return [name] if there else []
    if name in layout.config.stages:
        return []  # it runs in an image that this run does not build
    raise ConfigurationError(
        f"there is no stage {name!r}",
        where=where,
        hint=f"stages are {', '.join(names(layout.config))}",
    )


def names(config: ApplicationConfig) -> list[str]:
    """What ``needs`` and ``before`` may name, groups first."""
    return [*(group for group in _GROUPS if " " not in group), *config.stages]


def _with_befores(layout: Layout, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """``before`` is a need of the other stage."""
    earlier: dict[str, list[str]] = {}
    for variant in layout.variants:
        for name in _befores(layout, variant, nodes):
            earlier.setdefault(name, []).append(variant.name)
    return tuple(
        Node(node.name, node.kind, tuple(dict.fromkeys((*node.needs, *earlier.get(node.name, ())))), node.image)
        for node in nodes
    )


def _befores(layout: Layout, variant: Variant, nodes: Sequence[Node]) -> list[str]:
    """Without a word about it, a stage passes before the first push; before the handoff where it needs a push."""
    before = variant.config.before
    if before is not None:
        found = [
            name
            for index, one in enumerate(before)
            for name in _named(layout, one, f"stages.{variant.key}.before.{index}")
        ]
        # All that is pushed waits for the same gate, so that a picture shows one line instead of many.
        return [TESTED if name.startswith("push ") and "push" in before else name for name in found]
    node = next(one for one in nodes if one.name == variant.name)
    if _after_handoff(layout, node):
        return []
    return [HANDOFF] if _comes_after(layout, node, Kind.PUSH) else [TESTED]


def _asks_for_work(layout: Layout, stage: StageConfig) -> bool:
    """It needs a stage other than preflight."""
    return any(need != "preflight" for need in stage.needs)


def _after_handoff(layout: Layout, node: Node) -> bool:
    return HANDOFF in _all_needs(layout, node)


def _comes_after(layout: Layout, node: Node, kind: Kind) -> bool:
    found = _all_needs(layout, node)
    return HANDOFF in found or any(name.startswith(f"{kind} ") for name in found)


def _all_needs(layout: Layout, node: Node) -> set[str]:
    """What a stage of the application's own needs, through others of them; circles do no harm here."""
    own = {variant.name: variant for variant in layout.variants}
    found: set[str] = set()
    left = list(node.needs)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        if name in own:
            left += _node(layout, own[name]).needs
    return found


def _spread(key: str, stage: StageConfig) -> Iterator[Variant]:
    if not stage.matrix:
        yield Variant(key, key, stage, {})
        return
    for values in itertools.product(*stage.matrix.values()):
        chosen = dict(zip(stage.matrix, map(as_text, values), strict=True))
        yield Variant(f"{key} ({', '.join(chosen.values())})", key, stage, chosen)


def whole(config: ApplicationConfig, bases: Mapping[str, Sequence[str]] | None = None) -> Layout:
    """A run over all images. Without ``bases`` (no Dockerfile was read), what the configuration itself names."""
    images = tuple(config.images)
    return Layout(config, images, images, bases if bases is not None else named_bases(config))


def named_bases(config: ApplicationConfig) -> dict[str, tuple[str, ...]]:
    """Which images each one names in ``needs``."""
    return {
        name: tuple(need if isinstance(need, str) else need.image for need in image.needs)
        for name, image in config.images.items()
    }


def broken_references(config: ApplicationConfig) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where the configuration names something that is not there, or stages that wait for each other."""
    found = [*_broken_images(config), *_broken_stages(config)]
    yield from found
    if not found:
        try:
            graph_of(whole(config))
        except ConfigurationError as error:
            yield ("stages",) if config.stages else ("images",), f"{error.message}; {error.hint}"


def _broken_images(config: ApplicationConfig) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for name, needs in named_bases(config).items():
        for index, need in enumerate(needs):
            if need not in config.images:
                yield ("images", name, "needs", index), _unknown("image", need, config.images)
            elif need == name:
                yield ("images", name, "needs", index), f"the image {name!r} can't be built upon itself"


def _broken_stages(config: ApplicationConfig) -> Iterator[tuple[tuple[str | int, ...], str]]:
    layout = whole(config)
    for key, stage in config.stages.items():
        if not stage.on_host and stage.image not in config.images:
            yield ("stages", key, "image"), _unknown("image", stage.image, ["host", *config.images])
            continue
        for word, listed in (("needs", stage.needs), ("before", stage.before or ())):
            for index, name in enumerate(listed):
                if not _is_named(layout, name):
                    yield ("stages", key, word, index), _unknown("stage", name, names(config))


def _is_named(layout: Layout, name: str) -> bool:
    try:
        _named(layout, name, "")
    except ConfigurationError:
        return False
    return True


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f"there is no {kind} {name!r}" + did_you_mean(name, known)
