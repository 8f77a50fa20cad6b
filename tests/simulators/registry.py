"""A registry in memory. It keeps bytes by their digest, so it answers as a real one would, unless told to lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.images.base import Descriptor, RegistryManifest
from orchestrator.images.errors import LoginRefused, login_hint
from orchestrator.images.manifest import json_object, read_manifest, verified
from orchestrator.images.referrers import Listing, read_referrers, with_referrer


class Faults:
    """Fails the n-th call of a method (from 1), before or after its effect."""

    def __init__(self) -> None:
        self._planned: dict[tuple[str, int], tuple[str, Callable[[], BaseException]]] = {}
        self.calls: Counter[str] = Counter()

    def fail(
        self, method: str, nth: int = 1, *, when: str = "before", error: Callable[[], BaseException] | None = None
    ) -> None:
        """Plan it. Without an error of its own it is a RemoteError."""
        assert when in ("before", "after")
        self._planned[method, nth] = (when, error or (lambda: RemoteError(f"simulated fault in {method}")))

    @contextmanager
    def around(self, method: str) -> Iterator[None]:
        """Wraps the effect of a method."""
        self.calls[method] += 1
        when, error = self._planned.get((method, self.calls[method]), ("", RuntimeError))
        if when == "before":
            raise error()
        yield
        if when == "after":
            raise error()


@dataclass
class StoredRepository:
    """What a registry keeps of one repository."""

    manifests: dict[Digest, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    referrers: dict[Digest, Listing] = field(default_factory=dict)


class SimulatedRegistry:
    """Satisfies Registry.

    ``refused`` and ``denied`` are repositories that want another login, or deny a push; ``lag`` is for how many
    questions a manifest that was just put is not there yet; ``served_instead`` are the lies: digest → other bytes.
    """

    def __init__(self) -> None:
        self.repositories: dict[Repository, StoredRepository] = {}
        self.faults = Faults()
        self.refused: set[Repository] = set()
        self.denied: set[Repository] = set()
        self.immutable_tags = False
        self.lag = 0
        self.served_instead: dict[Digest, bytes] = {}
        self._late: dict[Digest, int] = {}

    # --- the port -------------------------------------------------------------------------------------------------

    def check_login(self, repository: Repository, *, push: bool = False) -> None:
        """Raises LoginRefused for the repositories that were set so."""
        with self.faults.around("check_login"):
            self._check_allowed(repository)
            if push and repository in self.denied:
                raise self._login_refused(repository)

    def resolve(self, image: TaggedImage) -> Digest | None:
        """What the tag points to."""
        with self.faults.around("resolve"):
            self._check_allowed(image.repository)
            digest = self.stored(image.repository).tags.get(image.tag)
            return None if digest is None or self._is_late(digest) else digest

    def manifest(self, repository: Repository, digest: Digest) -> RegistryManifest | None:
        """The manifest, hashed."""
        with self.faults.around("manifest"):
            self._check_allowed(repository)
            found = self.stored(repository).manifests.get(digest)
            if found is None or self._is_late(digest):
                return None
            media_type, content = found
            content = verified(self.served_instead.get(digest, content), digest, str(repository))
            return read_manifest(content, media_type, str(repository))

    def config(self, repository: Repository, digest: Digest) -> Mapping[str, object]:
        """The configuration, hashed."""
        with self.faults.around("config"):
            return json_object(self._blob(repository, digest), "")

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        """A blob, hashed."""
        with self.faults.around("blob"):
            return self._blob(repository, digest)

    def referrers(self, repository: Repository, subject: Digest, artifact_type: str) -> Sequence[Descriptor]:
        """What was attached."""
        with self.faults.around("referrers"):
            self._check_allowed(repository)
            listed = self.stored(repository).referrers.get(subject)
            return read_referrers(listed.content, artifact_type, str(subject)) if listed else ()

    def put_blob(self, repository: Repository, content: bytes) -> Digest:
        """Store a blob."""
        with self.faults.around("put_blob"):
            self._check_pushes(repository)
            return self.store_blob(repository, content)

    def put_manifest(self, repository: Repository, content: bytes, media_type: str, tag: str | None = None) -> Digest:
        """Store a manifest, and move the tag."""
        with self.faults.around("put_manifest"):
            self._check_pushes(repository)
            return self.store_manifest(repository, media_type, content, tag)

    def attach(self, repository: Repository, subject: Digest, content: bytes, media_type: str) -> Digest:
        """Store an artifact's manifest, and list it."""
        with self.faults.around("attach"):
            self._check_pushes(repository)
            lists = self.stored(repository).referrers
            listed = with_referrer(lists[subject].content if subject in lists else None, content, str(subject))
            lists[subject] = listed or lists[subject]
            return self.store_manifest(repository, media_type, content)

    def _blob(self, repository: Repository, digest: Digest) -> bytes:
        self._check_allowed(repository)
        content = self.stored(repository).blobs.get(digest)
        if content is None:
            raise RemoteError("the registry does not hold this blob", where=f"{repository}@{digest}")
        return verified(self.served_instead.get(digest, content), digest, str(repository))

    def _check_pushes(self, repository: Repository) -> None:
        self._check_allowed(repository)
        if repository in self.denied:
            raise self._login_refused(repository)

    # --- what a push does -----------------------------------------------------------------------------------------

    def stored(self, repository: Repository) -> StoredRepository:
        """The repository's shelf, made on first use."""
        return self.repositories.setdefault(repository, StoredRepository())

    def store_blob(self, repository: Repository, content: bytes) -> Digest:
        """Store a blob."""
        digest = Digest.of(content)
        self.stored(repository).blobs[digest] = content
        return digest

    def store_manifest(self, repository: Repository, media_type: str, content: bytes, tag: str | None = None) -> Digest:
        """Store a manifest or an index, and move the tag to it."""
        digest = Digest.of(content)
        stored = self.stored(repository)
        if digest not in stored.manifests and self.lag:
            self._late[digest] = self.lag
        stored.manifests[digest] = (media_type, content)
        if tag is not None:
            stored.tags[tag] = digest
        return digest

    def _is_late(self, digest: Digest) -> bool:
        left = self._late.get(digest, 0)
        self._late[digest] = max(0, left - 1)
        return left > 0

    def _check_allowed(self, repository: Repository) -> None:
        if repository in self.refused:
            raise self._login_refused(repository)

    def _login_refused(self, repository: Repository) -> LoginRefused:
        hint = login_hint(repository.registry, logged_in=False)
        return LoginRefused(f"the registry refuses {repository}", where=str(repository), hint=hint)
