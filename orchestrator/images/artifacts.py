"""A document beside an image in its registry: an OCI artifact that refers to the image's digest.

Sources: OCI image specification 1.1, "Guidelines for Artifact Usage"; distribution specification 1.1, "Listing
Referrers". What is read back is proven to be about the image that was asked for, and is a claim all the same: whoever
may push to the repository may attach one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.image import Digest, InvalidReference, Repository
from orchestrator.images.base import Registry, RegistryManifest
from orchestrator.images.manifest import OCI_MANIFEST, RegistryLied, json_object

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_MOST_READ = 20  # of one image; the newest ones are at the end of a registry's list as a rule


@dataclass(frozen=True, slots=True)
class Artifact:
    """A document of one image: the digest of the artifact's manifest, and the document's bytes."""

    digest: Digest
    content: bytes


def attach_document(
    registry: Registry,
    repository: Repository,
    subject: RegistryManifest,
    kind: str,
    content: bytes,
    annotations: Mapping[str, str],
) -> Digest:
    """Attach the document to the image, once: one of this kind with the same annotations is left as it is.

    Gives the digest of the artifact's manifest. Raises RemoteError.
    """
    for listed in registry.referrers(repository, subject.digest, kind):
        if listed.annotations == dict(annotations) and _is_about(registry, repository, listed.digest, subject.digest):
            return listed.digest
    registry.put_blob(repository, _EMPTY)
    registry.put_blob(repository, content)
    manifest = _manifest(subject, kind, content, annotations)
    return registry.attach(repository, subject.digest, manifest, OCI_MANIFEST)


def read_document(
    registry: Registry, repository: Repository, artifact: Digest, subject: Digest, kind: str
) -> Artifact | None:
    """The document of this artifact; None when the registry does not hold it.

    Raises RegistryLied when it is about another image, or of another kind; RemoteError.
    """
    manifest = registry.manifest(repository, artifact)
    if manifest is None:
        return None
    document = json_object(manifest.content, f"{repository}@{artifact}")
    where = f"{repository}@{artifact}"
    if document.get("artifactType") != kind or _digest(document.get("subject"), where) != subject:
        raise RegistryLied(
            "the artifact is not a record of this image", where=where, details=[f"the image is {repository}@{subject}"]
        )
    layers = document.get("layers")
    if not isinstance(layers, list) or len(layers) != 1:
        raise RegistryLied("the artifact does not hold exactly one document", where=where)
    return Artifact(artifact, registry.blob(repository, _digest(layers[0], where)))


def documents_of(registry: Registry, repository: Repository, subject: Digest, kind: str) -> Iterator[Artifact]:
    """The documents of this kind that refer to the image, the last that the registry lists first; 20 at most.

    One that is damaged or about something else is passed over: anybody who may push can attach such a thing.
    """
    for listed in list(registry.referrers(repository, subject, kind))[::-1][:_MOST_READ]:
        try:
            found = read_document(registry, repository, listed.digest, subject, kind)
        except RegistryLied:
            continue
        if found is not None:
            yield found


def _is_about(registry: Registry, repository: Repository, artifact: Digest, subject: Digest) -> bool:
    """A list repeats what whoever pushed wrote; the artifact itself tells."""
    manifest = registry.manifest(repository, artifact)
    if manifest is None:
        return False
    where = f"{repository}@{artifact}"
    try:
        return _digest(json_object(manifest.content, where).get("subject"), where) == subject
    except RegistryLied:
        return False


def _manifest(subject: RegistryManifest, kind: str, content: bytes, annotations: Mapping[str, str]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": _descriptor(_EMPTY_TYPE, _EMPTY),
        "layers": [_descriptor(kind, content)],
        "subject": _descriptor(subject.media_type, subject.content),
        "annotations": dict(annotations),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def _digest(descriptor: Any, where: str) -> Digest:
    try:
        return Digest(str(descriptor["digest"]))
    except (TypeError, KeyError, InvalidReference):
        raise RegistryLied("the artifact's manifest names no digest where one belongs", where=where) from None
