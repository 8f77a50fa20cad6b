"""The handoff alone: images that were built elsewhere are resolved, checked and handed off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.config.application import ApplicationConfig, ImageConfig
from orchestrator.core.change import Action, Change
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import (
    ImageReference,
    InvalidReference,
    Platform,
    Repository,
)
from orchestrator.core.release import Release
from orchestrator.engine.events import stage
from orchestrator.engine.parallel import side_by_side
from pipelines.handing_off import desk_for, hand_off_stage, plan_now
from pipelines.ports import Ports, Surroundings
from pipelines.preflight import clear
from pipelines.release import ReleaseResult
from pipelines.resolve import Wanted, resolve


@dataclass(frozen=True, slots=True)
class PinOptions:
    """What the caller asks for."""

    environment: str | None = None
    dry_run: bool = False
    reopen: bool = False


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
    desk = desk_for(ports, cleared, made, surroundings, reopen=options.reopen)
    if options.dry_run:
        return ReleaseResult(made, environment, None, plan_now(ports, desk, cleared, change))
    return ReleaseResult(made, environment, hand_off_stage(ports, desk, cleared, change))
