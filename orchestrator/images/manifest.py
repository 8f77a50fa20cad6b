"""Manifests and indexes: bytes from a registry, checked and read. Pure; every refusal is a RegistryLied.

Sources: OCI image specification 1.1 (manifest.md, image-index.md) and Docker's Image Manifest V2, Schema 2. A
document that could be read both as a manifest and as an index is refused, as is one with a key twice
(CVE-2021-41190 and its relatives).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.core.errors import Refused
from orchestrator.core.image import Digest, InvalidReference, Platform
from orchestrator.images.base import PlatformManifest, RegistryManifest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
ACCEPTED = (*MANIFESTS, *INDEXES)
_MAX_ENTRIES = 2000


class RegistryLied(Refused):
    """A registry's answer does not hold what it claims. Nothing is built on it."""


def verified(content: bytes, expected: Digest, where: str) -> bytes:
    """The bytes, when they hash to this digest. Raises RegistryLied."""
    actual = Digest.of(content)
    if actual != expected:
        raise RegistryLied(
            "the registry served other bytes than the digest that was asked for",
            where=where,
            hint="do not use this registry's answer; a proxy or cache in between may be the cause",
            details=[f"asked for {expected}", f"received {actual}"],
        )
    return content


def read_manifest(content: bytes, media_type: str, where: str) -> RegistryManifest:
    """A manifest or index with the digest of its bytes. Raises RegistryLied."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in ACCEPTED:
        raise RegistryLied(
            f"the registry answered with the type {media_type[:100]!r}, which is not an image manifest",
            where=where,
            hint="only Docker schema 2 and OCI images and indexes are supported",
        )
    document = json_object(content, where)
    own_type = document.get("mediaType")
    if own_type is not None and own_type != kind:
        raise RegistryLied("the manifest's own type is not the one it was served with", where=where)
    if kind in INDEXES:
        if "layers" in document or "config" in document:
            raise RegistryLied("the index could be read as a manifest too", where=where)
        return RegistryManifest(Digest.of(content), kind, content, manifests=_entries(document, where))
    if "manifests" in document:
        raise RegistryLied("the manifest could be read as an index too", where=where)
    config = document.get("config")
    if not isinstance(config, Mapping):
        raise RegistryLied("the manifest names no image configuration", where=where)
    return RegistryManifest(Digest.of(content), kind, content, config=_digest(config, where))


def json_object(content: bytes, where: str) -> dict[str, Any]:
    """A JSON object without duplicate keys. Raises RegistryLied."""
    try:
        document = json.loads(content, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise RegistryLied(f"the registry's answer is not JSON: {type(error).__name__}", where=where) from None
    if not isinstance(document, dict):
        raise RegistryLied("the registry's answer is not a JSON object", where=where)
    return document


def platform_of(config: Mapping[str, object], where: str) -> Platform:
    """``os``, ``architecture`` and ``variant`` of an image configuration. Raises RegistryLied."""
    os, architecture, variant = config.get("os"), config.get("architecture"), config.get("variant")
    if not isinstance(os, str) or not isinstance(architecture, str) or not os or not architecture:
        raise RegistryLied("the image configuration names no platform", where=where)
    return Platform(os, architecture, variant if isinstance(variant, str) and variant else None)


def _entries(document: Mapping[str, Any], where: str) -> tuple[PlatformManifest, ...]:
    entries = document.get("manifests")
    if not isinstance(entries, list) or len(entries) > _MAX_ENTRIES:
        raise RegistryLied("the index holds no usable list of manifests", where=where)
    found = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise RegistryLied("an entry of the index is not an object", where=where)
        platform = entry.get("platform")
        found.append(
            PlatformManifest(
                _digest(entry, where), platform_of(platform, where) if isinstance(platform, Mapping) else None
            )
        )
    return tuple(found)


def _digest(descriptor: Mapping[str, Any], where: str) -> Digest:
    try:
        return Digest(str(descriptor.get("digest")))
    except InvalidReference:
        raise RegistryLied("a digest in the manifest is none", where=where) from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result
