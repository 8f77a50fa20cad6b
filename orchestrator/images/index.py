"""An index over the images of several platforms: put together from manifests that were each proven, by us.

Every entry is a manifest that was pushed, read back and proven on its own, so the index adds no bytes that nobody
looked at. Sources: OCI image specification 1.1 (image-index.md); Docker's manifest list for manifests of its kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Platform, Repository, TaggedImage
from orchestrator.engine.clock import Clock
from orchestrator.images.base import Registry, RegistryManifest
from orchestrator.images.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from orchestrator.images.publish import READ_BACK_SECONDS, NotServed
from orchestrator.images.retrying import retry

_LONGEST_TAG = 128


def platform_tag(target: TaggedImage, platform: Platform) -> TaggedImage:
    """The tag under which one platform's image is pushed, beside the index's own."""
    suffix = "-" + str(platform).replace("/", "-")
    return TaggedImage(target.repository, target.tag[: _LONGEST_TAG - len(suffix)] + suffix)


def put_index(
    registry: Registry, target: TaggedImage, manifests: Mapping[Platform, RegistryManifest], clock: Clock
) -> RegistryManifest:
    """Put an index of these manifests under the tag, and read it back. The same manifests give the same bytes.

    Raises RemoteError.
    """
    content, media_type = make_index(manifests)
    digest = registry.put_manifest(target.repository, content, media_type, target.tag)
    return retry(
        lambda: _served(registry, target.repository, digest),
        clock=clock,
        seconds=READ_BACK_SECONDS,
        when=lambda error: isinstance(error, NotServed),
    )


def _served(registry: Registry, repository: Repository, digest: Digest) -> RegistryManifest:
    found = registry.manifest(repository, digest)
    if found is None:
        raise NotServed(
            "the registry does not serve the index that was put there", where=f"{repository}@{digest}", hint="run again"
        )
    return found


def make_index(manifests: Mapping[Platform, RegistryManifest]) -> tuple[bytes, str]:
    """The index's bytes and media type: Docker's list when every manifest is of Docker's kind, else OCI's index."""
    docker = all(manifest.media_type == DOCKER_MANIFEST for manifest in manifests.values())
    media_type = DOCKER_LIST if docker else OCI_INDEX
    entries = [_entry(platform, manifest) for platform, manifest in manifests.items()]
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), media_type


def child(registry: Registry, repository: Repository, digest: Digest) -> RegistryManifest:
    """The manifest of one platform. Raises RemoteError when the registry does not serve it."""
    found = registry.manifest(repository, digest)
    if found is None:
        raise RemoteError(
            "the registry no longer serves a platform's image", where=f"{repository}@{digest}", hint="run again"
        )
    return found


def _entry(platform: Platform, manifest: RegistryManifest) -> dict[str, object]:
    parts = {"os": platform.os, "architecture": platform.architecture}
    return {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.content),
        "platform": parts | ({"variant": platform.variant} if platform.variant else {}),
    }
