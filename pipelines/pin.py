"""The handoff alone: images that were built elsewhere are resolved, checked and handed off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.config.models import ApplicationConfig, ImageConfig
from orchestrator.core.change import Action, Change
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import (
    Digest,
    ImageReference,
    InvalidReference,
    PinnedImage,
    Platform,
    Repository,
    TaggedImage,
)
from orchestrator.core.release import Release, ReleasedImage
from orchestrator.engine.events import stage
from orchestrator.engine.parallel import side_by_side
from orchestrator.gitops.handoff import plan_at_tip
from orchestrator.images.base import Registry, RegistryManifest
from pipelines.handing_off import desk_for, hand_off_stage
from pipelines.ports import Ports, Surroundings
from pipelines.preflight import clear
from pipelines.release import ReleaseResult


@dataclass(frozen=True, slots=True)
class PinOptions:
    """What the caller asks for."""

    environment: str | None = None
    dry_run: bool = False
    reopen: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """One ``IMAGE=REF``: the configured image's name, and what it shall be."""

    name: str
    reference: ImageReference
    platform: Platform | None


def parse_wanted(arguments: Sequence[str], config: ApplicationConfig) -> tuple[Wanted, ...]:
    """Read ``IMAGE=REF``, where IMAGE is a configured name and REF ``repository:tag``, ``:tag`` or ``@sha256:…``.

    Raises ConfigurationError for what does not parse, is not configured, or is named twice.
    """
    wanted = [_parse_one(argument, config.images) for argument in arguments]
    names = [one.name for one in wanted]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"the image {sorted(twice)[0]!r} is named twice", hint="name each image once")
    return tuple(wanted)


def _parse_one(argument: str, images: Mapping[str, ImageConfig]) -> Wanted:
    name, equals, text = argument.partition("=")
    if not equals or not text:
        raise ConfigurationError(
            f"{argument!r} is not IMAGE=REF", hint="for example: hybrid-ci pin api=ghcr.io/acme/shop/api:1.4.2"
        )
    if name not in images:
        raise ConfigurationError(f"there is no image {name!r}", hint=f"configured images: {', '.join(images)}")
    configured = Repository.parse(images[name].repository)
    try:
        reference = ImageReference.parse(f"{configured}{text}" if text[0] in ":@" else text)
    except InvalidReference as error:
        raise InvalidReference(error.message, where=argument, hint=error.hint) from None
    if reference.repository != configured:
        raise ConfigurationError(
            f"{reference.repository} is not the repository of the image {name!r}",
            where=argument,
            hint=f"the configuration says {configured}",
        )
    if reference.tag is None and reference.digest is None:
        raise ConfigurationError(f"{argument!r} names no tag and no digest", hint="write IMAGE=repository:tag")
    platform = images[name].platform
    return Wanted(name, reference, Platform.parse(platform) if platform else None)


def pin(ports: Ports, surroundings: Surroundings, arguments: Sequence[str], options: PinOptions) -> ReleaseResult:
    """Resolve each ``IMAGE=REF`` in its registry, then plan, commit and propose like a release."""
    config = surroundings.application.config
    wanted = parse_wanted(arguments, config)
    environment = options.environment or config.gitops.environment
    with stage(ports.reporter, "preflight", ports.clock.monotonic):
        cleared = clear(
            ports,
            surroundings,
            environment,
            [one.reference.repository for one in wanted],
            builds=False,
        )
    with stage(ports.reporter, "resolve", ports.clock.monotonic):
        resolved = side_by_side([partial(resolve, ports.registry, one) for one in wanted])
    made = Release(config.application, tuple(resolved))
    change = Change.of(Action.PIN, environment, made)
    desk = desk_for(ports, cleared, made, surroundings.identity, reopen=options.reopen)
    if options.dry_run:
        return ReleaseResult(made, environment, None, plan_at_tip(desk, change))
    return ReleaseResult(made, environment, hand_off_stage(ports, desk, change))


def resolve(registry: Registry, wanted: Wanted) -> ReleasedImage:
    """The image as the registry has it now.

    Raises ConfigurationError when it is not there, Refused when tag and digest disagree or a platform is missing.
    """
    digest = _digest(registry, wanted)
    manifest = registry.manifest(wanted.reference.repository, digest)
    if manifest is None:
        raise ConfigurationError(
            f"the registry has no {wanted.reference.repository}@{digest}", hint="push it first, or correct the digest"
        )
    platforms = _platforms(registry, wanted.reference.repository, manifest)
    if wanted.platform is not None and wanted.platform not in platforms:
        raise Refused(
            f"the image {wanted.name!r} is not there for {wanted.platform}",
            where=str(wanted.reference),
            hint=f"it is there for {', '.join(map(str, platforms)) or 'no platform that it names'}",
        )
    pinned = PinnedImage(wanted.reference.repository, digest, wanted.reference.tag)
    kind = "index" if manifest.is_index else "manifest"
    return ReleasedImage(wanted.name, pinned, kind, manifest.config, platforms)


def _digest(registry: Registry, wanted: Wanted) -> Digest:
    """The digest that is asked for, which the tag must agree with when both are given."""
    reference = wanted.reference
    if reference.tag is None and reference.digest is not None:
        return reference.digest
    tagged = TaggedImage(reference.repository, reference.tag or "")
    found = registry.resolve(tagged)
    if found is None:
        raise ConfigurationError(
            f"the registry has no {tagged}", where=wanted.name, hint="push it first, or correct the tag"
        )
    if reference.digest is not None and found != reference.digest:
        raise Refused(
            f"{tagged} points to another digest than the one that was asked for",
            where=wanted.name,
            details=[f"asked for: {reference.digest}", f"registry:  {found}"],
            hint="the tag has moved; name the digest alone, or the tag alone",
        )
    return found


def _platforms(registry: Registry, repository: Repository, manifest: RegistryManifest) -> tuple[Platform, ...]:
    if manifest.config is None:
        return tuple(entry.platform for entry in manifest.manifests if entry.platform is not None)
    config = registry.config(repository, manifest.config)
    os_name, architecture = config.get("os"), config.get("architecture")
    if not isinstance(os_name, str) or not isinstance(architecture, str):
        return ()  # an artifact that is no image configuration names no platform
    variant = config.get("variant")
    return (Platform(os_name, architecture, variant if isinstance(variant, str) else None),)
