"""Joining the records of many runners into one release: what the records say of each other, of this checkout, and of
what the registries hold.

A record is a file that came through other hands. Nothing of it counts because it says so: the commit is compared with
the checkout's, names and tests with the configuration, and every digest is asked for in its registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Digest, PinnedImage, Platform, TaggedImage
from orchestrator.core.names import CommitId
from orchestrator.core.release import CaseCounts, RecordReference, ReleasedImage, Tested, TestResult
from orchestrator.core.text import printable
from orchestrator.engine.parallel import side_by_side
from orchestrator.images.artifacts import read_document
from orchestrator.images.base import Registry, RegistryManifest
from orchestrator.images.content_key import ContentKey
from orchestrator.images.manifest import RegistryLied
from orchestrator.images.tagging import revision_of
from orchestrator.reports.built import BuildRecord, BuiltImageRecord
from orchestrator.reports.claims import RECORD_TYPE, read_claim
from orchestrator.reports.records import TestRecord
from pipelines.ports import Job
from pipelines.resolve import platforms_of
from pipelines.reuse import definition_key
from pipelines.targets import Target

_SHOWN = 20


class BadRecords(Refused):
    """Records that can't be joined, each with its reason."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one record says of one image."""

    file: Path
    record: BuildRecord
    image: BuiltImageRecord


@dataclass(frozen=True, slots=True)
class Joined:
    """An image whose record holds: as the registry serves it, and what may be said of its tests.

    ``tested`` is what the trailers say; ``assumed`` is set where no test ran, because the base branch is to prove it.
    """

    image: ReleasedImage
    tests: tuple[TestResult, ...]
    tested: Tested | None
    assumed: bool
    record: RecordReference | None
    key: ContentKey | None
    definition: str


def told_by(job: Job, records: Mapping[Path, BuildRecord], targets: Mapping[str, Target]) -> Mapping[str, Told]:
    """What the records say, by image, once they agree with each other and with this checkout. Raises BadRecords."""
    problems: list[str] = []
    found: dict[str, Told] = {}
    for file, record in records.items():
        problems += [f"{file}: {problem}" for problem in _foreign(job, record)]
        for image in record.images:
            told = Told(file, record, image)
            if (other := found.get(image.name)) is not None:
                problems.append(f"{file}: {_doubled(told, other)}")
                continue
            found[image.name] = told
            problems += [f"{file}: {problem}" for problem in _contradictions(job, told, targets)]
    refuse_records(problems, "the records of the builds do not belong to this release")
    return found


def verified(registry: Registry, told: Mapping[str, Told], targets: Mapping[str, Target]) -> Mapping[str, Joined]:
    """The images as their registries serve them. Raises BadRecords where one says something else; RemoteError."""
    names = list(told)
    answers = side_by_side([partial(_verify, registry, told[name], targets[name]) for name in names])
    problems = [f"{told[name].file}: {one}" for name, one in zip(names, answers, strict=True) if isinstance(one, str)]
    refuse_records(problems, "a registry does not hold what the records say")
    return {name: one for name, one in zip(names, answers, strict=True) if isinstance(one, Joined)}


def refuse_missing(missing: Sequence[str], reasons: Mapping[str, str]) -> None:
    """Raises BadRecords when an image of the release has no record."""
    refuse_records(
        [f"{name}: {reasons.get(name, 'this release needs it')}" for name in missing],
        f"there is no record of {'the image' if len(missing) == 1 else 'the images'} {', '.join(missing)}",
        "look whether its build job failed, and whether its record was handed on; or name with --only what to hand off",
    )


def refuse_records(problems: Sequence[str], message: str, hint: str | None = None) -> None:
    """Raises BadRecords with every problem, when there is one."""
    if not problems:
        return
    lines = [printable(problem) for problem in problems[:_SHOWN]]
    more = len(problems) - len(lines)
    raise BadRecords(
        message,
        where="--records",
        details=[*lines, *([f"and {more} more"] if more > 0 else [])],
        hint=hint or "run the build jobs of this very commit again, and hand their records on as they are",
    )


# --- against each other, and against the checkout ----------------------------------------------------------------


def _foreign(job: Job, record: BuildRecord) -> Iterator[str]:
    """Why the record is of another release than this checkout's."""
    config, source = job.application.config, record.source
    if record.application != config.application:
        yield f"it is of the application {record.application!r}, and this is {config.application!r}"
    if source.commit != str(job.source.id):
        yield f"it was built from commit {source.commit[:12]}, and {str(job.source.id)[:12]} is checked out here"
    if source.dirty:
        yield "it was built from uncommitted changes"
    if source.repository is not None and job.source.remote is not None and source.repository != job.source.remote:
        yield f"it was built from {source.repository}, and this checkout is of {job.source.remote}"


def _doubled(told: Told, other: Told) -> str:
    same = told.image.digest == other.image.digest
    return f"{other.file} tells of the image {told.image.name!r} too, {'the same' if same else 'with another digest'}"


def _contradictions(job: Job, told: Told, targets: Mapping[str, Target]) -> Iterator[str]:
    """What the record says of the image, and the configuration says otherwise."""
    image, target = told.image, targets.get(told.image.name)
    if target is None:
        listed = image.name in job.application.config.images
        yield f"nobody asked for the image {image.name!r}" if listed else f"there is no image {image.name!r}"
        return
    if image.repository != str(target.image.repository):
        yield f"the image {image.name!r} went to {image.repository}, and belongs to {target.image.repository}"
    if image.tag != target.image.tag and image.built_from == told.record.source.commit:
        yield f"the image {image.name!r} has the tag {image.tag!r}, and this commit's is {target.image.tag!r}"
    yield from _untested(image, target)


def _untested(image: BuiltImageRecord, target: Target) -> Iterator[str]:
    """Which tests did not pass. A test on several platforms has its platform behind its name."""
    for test in image.tests:
        if not test.passed:
            yield f"the image {image.name!r} failed its test {test.name!r}"
    if image.definition != definition_key(target):
        yield f"the image {image.name!r} was tested in another way than this commit says"
    elif not image.tested_before:
        names = [test.name for test in image.tests]
        for wanted in target.config.tests:
            if not any(name == wanted.name or name.startswith(f"{wanted.name} (") for name in names):
                yield f"the image {image.name!r} was not tested by {wanted.name!r}"


# --- against the registry ----------------------------------------------------------------------------------------


def _verify(registry: Registry, told: Told, target: Target) -> Joined | str:
    """The image as its registry serves it, or why the record does not hold. Raises RemoteError."""
    try:
        return _Checks(registry, told, target).joined()
    except RegistryLied as error:
        return f"{told.image.name}: {error.message}"
    except ConfigurationError as error:  # a digest, a tag or a commit id that is none
        return f"{told.image.name}: {error.message}"


class _Broken(ConfigurationError):
    """The record does not hold."""


@dataclass(frozen=True, slots=True)
class _Checks:
    """One image's record, and whom to ask about it."""

    registry: Registry
    told: Told
    target: Target

    def joined(self) -> Joined:
        """Raises ConfigurationError for what does not hold, RemoteError."""
        said, repository = self.told.image, self.target.image.repository
        digest = Digest(said.digest)
        manifest = self.registry.manifest(repository, digest)
        if manifest is None:
            raise _Broken(f"the registry has no {repository}@{digest}")
        built_from = self._source(digest)
        self._same_image(manifest)
        pinned = PinnedImage(repository, digest, said.tag)
        key = self._key(digest, built_from)
        self._tag_leads_to(said.tag, digest)
        image = ReleasedImage(
            said.name,
            pinned,
            "index" if manifest.is_index else "manifest",
            manifest.config or (Digest(said.config) if said.config else None),
            tuple(map(Platform.parse, said.platforms)),
            built_from if str(built_from) != self.told.record.source.commit else None,
        )
        tests = tuple(_result(said, test) for test in said.tests)
        tested = Tested(repository, digest, key.hex, said.definition) if key and self.target.config.tests else None
        return Joined(image, tests, tested, said.tested_before, self._record(digest), key, said.definition)

    def _source(self, digest: Digest) -> CommitId:
        """The commit that the image's label names, which the record has to name too."""
        said, revision = self.told.image, revision_of(self.registry, self.target.image.repository, digest)
        if revision is None or revision != said.built_from:
            built = f"of commit {revision[:12]}" if revision else "of no commit that it names"
            raise _Broken(f"{digest.short} is {built}, and the record says {said.built_from[:12]}")
        return CommitId(revision)

    def _same_image(self, manifest: RegistryManifest) -> None:
        """Kind, configuration and platforms are those of the record."""
        said = self.told.image
        if (said.kind == "index") != manifest.is_index:
            raise _Broken(f"{said.digest[:19]} is no {said.kind} in the registry")
        if manifest.config is not None and said.config != str(manifest.config):
            raise _Broken(f"{said.digest[:19]} has another configuration than the one that was tested")
        there = platforms_of(self.registry, self.target.image.repository, manifest)
        for platform in map(Platform.parse, said.platforms):
            if not any(platform.serves(one) or one.serves(platform) for one in there):
                raise _Broken(f"{said.digest[:19]} is not there for {platform}")

    def _key(self, digest: Digest, built_from: CommitId) -> ContentKey | None:
        """The content key, which has to lead to the image. An image of an earlier commit is nothing without one."""
        said = self.told.image
        if said.content is None:
            if str(built_from) != self.told.record.source.commit:
                raise _Broken(f"{digest.short} is of another commit, and the record does not tell why it is unchanged")
            return None
        key = ContentKey(_hex(said.content))
        self._tag_leads_to(key.tag, digest)
        return key

    def _tag_leads_to(self, tag: str | None, digest: Digest) -> None:
        if tag is None:
            return
        found = self.registry.resolve(TaggedImage(self.target.image.repository, tag))
        if found != digest:
            where = f"leads to {found.short}" if found else "is not there"
            raise _Broken(f"the tag {tag} {where}, and the record says {digest.short}")

    def _record(self, digest: Digest) -> RecordReference | None:
        """The record beside the image, which has to say the same of its tests."""
        said, repository = self.told.image, self.target.image.repository
        if said.record is None:
            return None
        artifact = Digest(said.record)
        found = read_document(self.registry, repository, artifact, digest, RECORD_TYPE)
        if found is None:
            raise _Broken(f"the registry does not hold the record {artifact.short} of the image")
        claim = read_claim(found.content)
        if claim is None or claim.digest != str(digest) or claim.definition != said.definition:
            raise _Broken(f"the record {artifact.short} beside the image is about something else")
        if failed := [test.name for test in claim.tests if not test.passed]:
            raise _Broken(f"the record beside the image says that it failed {failed[0]!r}")
        return RecordReference(repository, artifact)


def _result(said: BuiltImageRecord, test: TestRecord) -> TestResult:
    cases = test.cases
    counts = CaseCounts(cases.tests, cases.failures, cases.errors, cases.skipped) if cases else None
    return TestResult(said.name, test.name, test.passed, test.seconds, counts)


def _hex(text: str) -> str:
    """64 hex digits. Raises ConfigurationError."""
    return Digest(f"sha256:{text}").hex
