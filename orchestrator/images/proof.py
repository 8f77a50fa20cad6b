"""The proof that what a registry serves is what was tested. Pure: it only compares digests.

The chain is pushed manifest (or index → the tested platform's manifest) → image configuration. What the engine calls
its image differs: the classic store and podman name it by the configuration's digest, the containerd store by the
manifest's or the index's. The configuration in turn names every layer by its content (``rootfs.diff_ids``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.errors import Refused
from orchestrator.core.image import Digest, Platform
from orchestrator.images.base import BuiltImage, RegistryManifest
from orchestrator.images.manifest import platform_of


class ProofBroken(Refused):
    """What the registry serves is not proven to be what was tested."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is pinned (``digest``, of a ``manifest`` or an ``index``), and what it was proven by."""

    digest: Digest
    kind: str  # "manifest" | "index"
    platform: Platform
    manifest: Digest
    config: Digest


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the registry served, all of it hashed: the pushed thing, an index's manifests, the configurations."""

    pushed: RegistryManifest
    children: Mapping[Digest, RegistryManifest]
    configs: Mapping[Digest, Mapping[str, object]]


def prove(tested: BuiltImage, evidence: Evidence, labels: Mapping[str, str] | None = None) -> Proof:
    """Follow the chain from what is pushed to what was tested. Raises ProofBroken at the first link that breaks."""
    manifest = _platform_manifest(tested, evidence)
    if manifest.config is None:
        raise _broken(tested, evidence, "the entry for the tested platform is not an image manifest")
    names = {evidence.pushed.digest, manifest.digest, manifest.config}
    if tested.engine_id not in names:
        raise _broken(tested, evidence, f"its configuration is {manifest.config}")
    config = evidence.configs.get(manifest.config)
    if config is None:
        raise _broken(tested, evidence, f"its configuration {manifest.config} was not served")
    _check_platform(tested, evidence, config)
    _check_labels(tested, evidence, config, labels or {})
    kind = "index" if evidence.pushed.is_index else "manifest"
    return Proof(evidence.pushed.digest, kind, tested.platform, manifest.digest, manifest.config)


def tested_entries(tested: BuiltImage, pushed: RegistryManifest) -> tuple[Digest, ...]:
    """The entries of an index that may be the tested image: those of its platform, or named by its very digest."""
    return tuple(
        entry.digest
        for entry in pushed.manifests
        if entry.digest == tested.engine_id or (entry.platform is not None and _same(entry.platform, tested.platform))
    )


def _platform_manifest(tested: BuiltImage, evidence: Evidence) -> RegistryManifest:
    if not evidence.pushed.is_index:
        return evidence.pushed
    entries = dict.fromkeys(tested_entries(tested, evidence.pushed))
    if len(entries) != 1:
        found = "no entry" if not entries else f"{len(entries)} entries"
        raise _broken(tested, evidence, f"its index has {found} for {tested.platform}")
    manifest = evidence.children.get(next(iter(entries)))
    if manifest is None or manifest.digest not in entries:
        raise _broken(tested, evidence, f"the manifest for {tested.platform} was not served")
    return manifest


def _check_platform(tested: BuiltImage, evidence: Evidence, config: Mapping[str, object]) -> None:
    platform = platform_of(config, str(evidence.pushed.digest))
    if not _same(platform, tested.platform):
        raise _broken(tested, evidence, f"it is for {platform}, and {tested.platform} was tested")


def _check_labels(
    tested: BuiltImage, evidence: Evidence, config: Mapping[str, object], labels: Mapping[str, str]
) -> None:
    inner = config.get("config")
    found = inner.get("Labels") if isinstance(inner, Mapping) else None
    served = found if isinstance(found, Mapping) else {}
    for name, value in labels.items():
        if served.get(name) != value:
            raise _broken(tested, evidence, f"its label {name} is {served.get(name)!r}, not {value!r}")


def _same(one: Platform, other: Platform) -> bool:
    """Variants count only where both sides name one: engines leave out a default variant (arm64's v8)."""
    if (one.os, one.architecture) != (other.os, other.architecture):
        return False
    return one.variant is None or other.variant is None or one.variant == other.variant


def _broken(tested: BuiltImage, evidence: Evidence, reason: str) -> ProofBroken:
    return ProofBroken(
        f"the registry does not serve the image {tested.name} that was tested: {reason}",
        where=f"image {tested.name}, pushed {evidence.pushed.digest}",
        hint="somebody else may push to this tag; run again, and give this pipeline a tag of its own",
        details=[f"tested in the engine: {tested.engine_id}", f"served: {evidence.pushed.digest}"],
    )
