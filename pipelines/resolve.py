"""Images that are in a registry already: what a reference stands for now, and for which platforms."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Platform, Repository, TaggedImage
from orchestrator.core.release import ReleasedImage
from orchestrator.images.base import Registry, RegistryManifest


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image by name, what it shall be, and the platform that it must be there for."""

    name: str
    reference: ImageReference
    platform: Platform | None


def resolve(registry: Registry, wanted: Wanted) -> ReleasedImage:
    """The image as the registry has it now.

    Raises ConfigurationError when it is not there, Refused when tag and digest disagree or a platform is missing.
    """
    found = described(registry, wanted.name, wanted.reference, _digest(registry, wanted))
    if wanted.platform is not None and not any(wanted.platform.serves(one) for one in found.platforms):
        raise Refused(
            f"the image {wanted.name!r} is not there for {wanted.platform}",
            where=str(wanted.reference),
            hint=f"it is there for {', '.join(map(str, found.platforms)) or 'no platform that it names'}",
        )
    return found


def described(registry: Registry, name: str, reference: ImageReference, digest: Digest) -> ReleasedImage:
    """What the registry serves under this digest, with the reference's tag. Raises ConfigurationError."""
    manifest = registry.manifest(reference.repository, digest)
    if manifest is None:
        raise ConfigurationError(
            f"the registry has no {reference.repository}@{digest}", hint="push it first, or correct the digest"
        )
    return ReleasedImage(
        name,
        PinnedImage(reference.repository, digest, reference.tag),
        "index" if manifest.is_index else "manifest",
        manifest.config,
        platforms_of(registry, reference.repository, manifest),
    )


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


def platforms_of(registry: Registry, repository: Repository, manifest: RegistryManifest) -> tuple[Platform, ...]:
    """The platforms that an image is there for. Raises RemoteError."""
    if manifest.config is None:
        named = (entry.platform for entry in manifest.manifests if entry.platform is not None)
        return tuple(one for one in named if one.os != "unknown")  # attestations stand in indexes as unknown/unknown
    config = registry.config(repository, manifest.config)
    os_name, architecture = config.get("os"), config.get("architecture")
    if not isinstance(os_name, str) or not isinstance(architecture, str):
        return ()  # an artifact that is no image configuration names no platform
    variant = config.get("variant")
    return (Platform(os_name, architecture, variant if isinstance(variant, str) else None),)
