"""Lists of artifacts that refer to an image: read, and written where the registry keeps none. Pure.

Source: OCI distribution specification 1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.image import Digest, InvalidReference
from orchestrator.images.base import Descriptor
from orchestrator.images.manifest import OCI_INDEX, OCI_MANIFEST, RegistryLied, json_object

MOST_REFERRERS = 1000


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a fallback tag."""

    content: bytes
    media_type: str = OCI_INDEX


def fallback_tag(subject: Digest) -> str:
    """The tag that lists the referrers of a digest where the registry has no API for it."""
    return subject.value.replace(":", "-")


def read_referrers(content: bytes, artifact_type: str, where: str) -> Sequence[Descriptor]:
    """The entries of this type in an index of referrers. Raises RegistryLied for what is none, or is endless."""
    entries = _entries(content, where)
    return [found for entry in entries if (found := _descriptor(entry, where)).artifact_type == artifact_type]


def with_referrer(index: bytes | None, artifact: bytes, where: str) -> Listing | None:
    """The index with an entry for this artifact's manifest; None when it stands there already."""
    entries = list(_entries(index, where)) if index is not None else []
    digest = str(Digest.of(artifact))
    if any(entry.get("digest") == digest for entry in entries):
        return None
    document = json_object(artifact, where)
    entry: dict[str, Any] = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(artifact)}
    for name in ("artifactType", "annotations"):
        if name in document:
            entry[name] = document[name]
    listing = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*entries, entry]}
    return Listing(json.dumps(listing, sort_keys=True, separators=(",", ":")).encode())


def _entries(content: bytes, where: str) -> Sequence[Mapping[str, Any]]:
    entries = json_object(content, where).get("manifests", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RegistryLied("the registry's list of referrers is none", where=where)
    if len(entries) > MOST_REFERRERS:
        raise RegistryLied(
            f"the registry lists {len(entries)} referrers of one image; {MOST_REFERRERS} are looked at", where=where
        )
    return entries


def _descriptor(entry: Mapping[str, Any], where: str) -> Descriptor:
    annotations = entry.get("annotations")
    try:
        digest = Digest(str(entry.get("digest")))
    except InvalidReference:
        raise RegistryLied("an entry of the registry's list of referrers names no digest", where=where) from None
    return Descriptor(
        digest,
        str(entry.get("artifactType") or ""),
        {str(key): str(value) for key, value in annotations.items()} if isinstance(annotations, dict) else {},
    )
