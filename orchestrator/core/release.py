"""A release: an immutable set of image digests built from one source commit, with what was proven of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.core.errors import WorkFailed
from orchestrator.core.image import Digest, PinnedImage, Platform, Repository
from orchestrator.core.names import CommitId


@dataclass(frozen=True, slots=True)
class SourceCommit:
    """The commit of the application repository that a release is built from.

    ``branch`` is None on a detached head that no CI variable explains; ``remote`` holds no credential;
    ``first_parent_count`` is the commit's position on its branch (None in a shallow clone).
    """

    id: CommitId
    branch: str | None
    tags: tuple[str, ...]
    authored: datetime
    subject: str
    remote: str | None
    dirty: bool
    first_parent_count: int | None = None


@dataclass(frozen=True, slots=True)
class CaseCounts:
    """What a JUnit report counts."""

    tests: int
    failures: int = 0
    errors: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of one image: how it ended and how long it took (seconds)."""

    __test__ = False  # pytest collects by name

    image: str
    name: str
    passed: bool
    seconds: float
    cases: CaseCounts | None = None


class TestsFailed(WorkFailed):
    """Tests of an image failed. ``tests`` are all that ran, also those that passed."""

    __test__ = False  # pytest collects by name
    tests: tuple[TestResult, ...] = ()

    def having(self, tests: Iterable[TestResult]) -> TestsFailed:
        """The same error with these tests."""
        self.tests = tuple(tests)
        return self


@dataclass(frozen=True, slots=True)
class ReleasedImage:
    """An image that was built, tested, pushed and read back. ``kind`` says what the digest is of.

    ``built_from`` is the commit whose content it is, where that is another one than the release's: an image that
    did not change is not built again.
    """

    name: str
    pinned: PinnedImage
    kind: str  # "manifest" | "index"
    config: Digest | None = None
    platforms: tuple[Platform, ...] = ()
    built_from: CommitId | None = None


@dataclass(frozen=True, slots=True)
class Tested:
    """That these bytes passed these tests. On the base branch it is evidence, anywhere else a claim.

    ``content`` is the key of what they were built from, ``tests`` of how they were tested; both 64 hex digits.
    """

    __test__ = False  # pytest collects by name

    repository: Repository
    digest: Digest
    content: str
    tests: str


@dataclass(frozen=True, slots=True)
class RecordReference:
    """Where the registry holds the release record of an image: an artifact's digest in the image's repository."""

    repository: Repository
    digest: Digest


@dataclass(frozen=True, slots=True)
class Release:
    """What a handoff hands off. ``source`` is None for images that were built elsewhere."""

    application: str
    images: tuple[ReleasedImage, ...]
    source: SourceCommit | None = None
    tests: tuple[TestResult, ...] = field(default=())
    tested: tuple[Tested, ...] = ()
    records: tuple[RecordReference, ...] = ()

    @property
    def id(self) -> str:
        """The same content gives the same id: twelve hex digits over application, source and digests."""
        source = str(self.source.id) if self.source else ""
        pins = sorted(f"{image.pinned.repository}@{image.pinned.digest}" for image in self.images)
        return hashlib.sha256("\n".join([self.application, source, *pins]).encode()).hexdigest()[:12]

    @property
    def pins(self) -> tuple[PinnedImage, ...]:
        """The images as they are pinned."""
        return tuple(image.pinned for image in self.images)
