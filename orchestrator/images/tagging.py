"""Give a proven image its tag for people: the manifest is put under it, and no layer is sent again."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.errors import Refused, RemoteError
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.engine.clock import Clock
from orchestrator.engine.events import Reporter
from orchestrator.images.base import Registry
from orchestrator.images.publish import READ_BACK_SECONDS, NotServed
from orchestrator.images.retrying import retry

REVISION = "org.opencontainers.image.revision"


def put_tag(
    registry: Registry,
    target: TaggedImage,
    digest: Digest,
    revision: str,
    clock: Clock,
    reporter: Reporter,
    *,
    immutable: bool = False,
) -> None:
    """Point the tag to the image with this digest, which was proven before. Pointing there already, nothing is done.

    A tag that carries another commit's image is moved with a warning, or refused where tags are ``immutable``.
    Raises Refused, RemoteError.
    """
    now = registry.resolve(target)
    if now == digest:
        return
    if now is not None:
        check_taken(registry, target, now, revision, reporter, immutable=immutable)
    manifest = registry.manifest(target.repository, digest)
    if manifest is None:
        raise RemoteError(
            "the registry no longer serves the image that was proven",
            where=f"{target.repository}@{digest}",
            hint="run again; a clean-up in the registry may have taken it",
        )
    registry.put_manifest(target.repository, manifest.content, manifest.media_type, target.tag)
    retry(
        lambda: _check_moved(registry, target, digest, now),
        clock=clock,
        seconds=READ_BACK_SECONDS,
        when=lambda error: isinstance(error, NotServed),
    )


def check_taken(
    registry: Registry, target: TaggedImage, now: Digest, revision: str, reporter: Reporter, *, immutable: bool
) -> None:
    """Say, or refuse where tags are immutable, that the tag is another commit's. Raises Refused."""
    theirs = revision_of(registry, target.repository, now)
    if theirs == revision:
        return
    built = f"built from commit {theirs[:12]}" if theirs else "of unknown origin"
    if immutable:
        raise Refused(
            f"the tag {target} is taken by another image, {built}",
            where=str(target),
            hint="release a new version; the policy does not let tags move that were published",
            details=[f"it points to {now}"],
        )
    reporter.warn(f"the tag {target} pointed to {now.short}, {built}; it is moved")


def revision_of(registry: Registry, repository: Repository, digest: Digest) -> str | None:
    """The commit that the image's label names; of an index, that of its first platform. None without one."""
    revision = labels_of(registry, repository, digest).get(REVISION)
    return revision if isinstance(revision, str) else None


def labels_of(registry: Registry, repository: Repository, digest: Digest) -> Mapping[str, object]:
    """The labels of the image with this digest; of an index, those of its first platform. Claims of who built it."""
    manifest = registry.manifest(repository, digest)
    if manifest is not None and manifest.is_index and manifest.manifests:
        manifest = registry.manifest(repository, manifest.manifests[0].digest)
    if manifest is None or manifest.config is None:
        return {}
    inner = registry.config(repository, manifest.config).get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    return labels if isinstance(labels, dict) else {}


def _check_moved(registry: Registry, target: TaggedImage, digest: Digest, before: Digest | None) -> None:
    """Read back. The tag may lag; that another writer was faster is none of our business: pins name the digest."""
    now = registry.resolve(target)
    if now in (None, before) and now != digest:
        raise NotServed(
            f"the registry took the tag {target}, and does not serve it", where=str(target), hint="run again"
        )
