"""Images for several platforms: which ones, which of them are tested, and the index that holds them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.core.environment import Policy
from orchestrator.core.errors import Refused
from orchestrator.core.image import Platform, TaggedImage
from orchestrator.core.release import ReleasedImage
from orchestrator.images.base import BuiltImage
from orchestrator.images.index import child, platform_tag, put_index
from orchestrator.images.publish import publish
from orchestrator.images.tagging import REVISION
from pipelines.ports import Ports
from pipelines.targets import Target


def platforms_of(target: Target) -> tuple[Platform, ...]:
    """What the image is built for, as configured; empty when the engine's own platform will do."""
    config = target.config
    return tuple(map(Platform.parse, config.platforms or ([config.platform] if config.platform else [])))


def tested_platforms(target: Target, native: Platform | None) -> tuple[Platform | None, ...]:
    """The platforms whose image is run for its tests; None stands for the engine's own.

    The one of the engine's machine, and those that the configuration trusts its emulation with. Of platforms that are
    all foreign, the first: it was asked for, and the engine says whether it can.
    """
    wanted = platforms_of(target)
    if not wanted:
        return (None,)
    emulated = set(map(Platform.parse, target.config.emulated))
    chosen = tuple(platform for platform in wanted if platform in emulated or _same(platform, native))
    return chosen or wanted[:1]


def check_tested(policy: Policy, targets: Iterable[Target], native: Platform | None) -> None:
    """Every platform will be tested, where the policy asks for that. Raises Refused."""
    if not policy.require_tested_platforms:
        return
    for target in targets:
        tested = tested_platforms(target, native) if target.config.tests else ()
        untested = [platform for platform in platforms_of(target) if platform not in tested]
        if untested or not target.config.tests:
            named = ", ".join(map(str, untested)) or "any platform"
            raise Refused(
                f"the image {target.name} would not be tested for {named}",
                where=f"{policy.origin}: require-tested-platforms",
                hint=f"give images.{target.name} tests, and list what the engine can emulate under 'emulated'",
            )


def publish_index(
    ports: Ports, target: Target, place: TaggedImage, built: Mapping[Platform, BuiltImage], revision: str
) -> ReleasedImage:
    """Push the image of every platform, prove each, and put the index of them under ``place``.

    The index's digest is what is pinned. Raises ProofBroken, Refused, RemoteError.
    """
    manifests = {}
    for platform, image in built.items():
        tag = platform_tag(place, platform)
        published = publish(
            ports.engine, ports.registry, image, tag, ports.reporter, ports.clock, labels={REVISION: revision}
        )
        manifests[platform] = child(ports.registry, place.repository, published.proof.manifest)
    index = put_index(ports.registry, place, manifests, ports.clock)
    return ReleasedImage(target.name, target.image.pinned(index.digest), "index", None, ())


def _same(one: Platform, native: Platform | None) -> bool:
    return native is not None and (one.os, one.architecture) == (native.os, native.architecture)
