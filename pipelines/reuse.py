"""What need not be made again: an unchanged image is found by its content key, and tested again unless that is proven.

Whoever may push to a repository can set a key tag and write any label. So a hit spares the build alone. The test is
spared only where the GitOps base branch says that this very digest, made from this very content, passed these very
tests: that was reviewed and merged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.image import Digest, ImageReference, InvalidReference, PinnedImage, Platform, TaggedImage
from orchestrator.core.names import CommitId, InvalidName
from orchestrator.core.release import ReleasedImage, Tested
from orchestrator.engine.parallel import both, side_by_side
from orchestrator.images.base import BuildSpec, BuiltImage, Registry
from orchestrator.images.bases import handed_repository
from orchestrator.images.content_key import ContentKey, NoKey, content_key, context_digest, named_bases
from orchestrator.images.context import Context, plan_context
from orchestrator.images.proof import Proof, prove
from orchestrator.images.publish import gather
from orchestrator.images.tagging import REVISION, labels_of
from pipelines.platforms import platforms_of, tested_platforms
from pipelines.ports import Ports
from pipelines.targets import Target

VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True, slots=True)
class Reusable:
    """What the registry holds under an image's content key. ``found`` is what may be taken instead of a build,
    ``proven``: the base branch says that it was tested.

    ``tagged`` is what the key tag leads to, taken or not; ``bases`` what the image would be built upon: the names in
    its Dockerfile, each with the digest, or the content key for an image of the project. ``context`` is the digest of
    the context that the key was made of.
    """

    key: ContentKey
    definition: str
    found: Digest | None = None
    proven: bool = False
    tagged: Digest | None = None
    bases: tuple[tuple[str, str], ...] = ()
    context: str = ""

    def tested(self, target: Target, digest: Digest) -> Tested:
        """What may stand in the trailers once the tests have passed."""
        return Tested(target.image.repository, digest, self.key.hex, self.definition)


@dataclass(frozen=True, slots=True)
class Origin:
    """What an image's labels claim: the tag that it was released with, and the commit whose content it is."""

    tag: str | None
    commit: CommitId | None


@dataclass(frozen=True, slots=True)
class ReadContext:
    """A build context as it is on the disk, and the digest over all that would be sent of it."""

    context: Context
    digest: str


Contexts = Mapping[str, ReadContext]


def read_contexts(specs: Mapping[str, BuildSpec]) -> Contexts:
    """The build context of each image. Raises ConfigurationError for one that can't be read."""
    contexts = {name: plan_context(spec) for name, spec in specs.items()}
    return {name: ReadContext(context, context_digest(context)) for name, context in contexts.items()}


def find_reusable(
    ports: Ports,
    specs: Mapping[str, BuildSpec],
    targets: Sequence[Target],
    evidence: Callable[[], frozenset[Tested]],
    contexts: Callable[[], Contexts],
) -> dict[str, Reusable]:
    """The content key of each image, and what the registry holds under it.

    An image whose key can't be told (a base that is chosen while building, a base registry that does not answer) is
    left out and said so: it is built. ``specs`` are by image name, as the builder would get them; ``evidence`` is what
    the GitOps base branch knows: git is waited for while the ``contexts`` are. Raises RemoteError, ConfigurationError
    for a context that can't be read.
    """
    keys, proven = both(partial(_Keys, ports, specs, targets, contexts), evidence)
    known: list[tuple[Target, ContentKey]] = []
    for target in targets:
        try:
            known.append((target, keys.of(target.name)))
        except NoKey as reason:
            ports.reporter.note(f"the image {target.name} is built every time: {reason.message}")
    tags = [TaggedImage(target.image.repository, key.tag) for target, key in known]
    found = side_by_side([partial(ports.registry.resolve, tag) for tag in tags])
    return {
        target.name: replace(
            _reusable(target, key, digest, proven), bases=keys.bases(target.name), context=keys.context(target.name)
        )
        for (target, key), digest in zip(known, found, strict=True)
    }


class _Keys:
    """The keys of a run's images; an image of the project that another one is built upon counts by its own key."""

    def __init__(
        self,
        ports: Ports,
        specs: Mapping[str, BuildSpec],
        targets: Sequence[Target],
        contexts: Callable[[], Contexts],
    ) -> None:
        self._specs = specs
        self._own = {target.image.repository: target.name for target in targets}
        self._own |= {handed_repository(target.name): target.name for target in targets}
        self._labels = {target.name: target.config.labels for target in targets}
        self._platforms = {target.name: platforms_of(target) for target in targets}
        self._native = () if all(self._platforms.values()) else (ports.engine.platform(),)
        self._contexts = contexts()
        self._digests = self._resolve_bases(ports)
        self._known: dict[str, ContentKey] = {}
        self._bases: dict[str, dict[str, str]] = {}

    def bases(self, name: str) -> tuple[tuple[str, str], ...]:
        """What this image is built upon, once its key is known."""
        return tuple(sorted(self._bases[name].items()))

    def context(self, name: str) -> str:
        """The digest of its context."""
        return self._contexts[name].digest

    def of(self, name: str, above: tuple[str, ...] = ()) -> ContentKey:
        """The key of this image. Raises NoKey."""
        if name not in self._known:
            spec = self._specs[name]
            contents = self._bases[name] = {
                written: self._content(name, reference, (*above, name))
                for written, reference in self._named_bases(name).items()
            }
            platforms, read = self._platforms[name] or self._native, self._contexts[name]
            self._known[name] = content_key(spec, read.context, self._labels[name], platforms, contents, read.digest)
        return self._known[name]

    def _content(self, name: str, reference: ImageReference, above: tuple[str, ...]) -> str:
        base = self._own.get(reference.repository)
        if base is not None and base not in above:
            return self.of(base, above).hex
        digest = self._digests.get(reference)
        if digest is None:
            raise NoKey(f"what {reference} is now could not be found out", where=name)
        return str(digest)

    def _named_bases(self, name: str) -> Mapping[str, ImageReference]:
        return named_bases(self._contexts[name].context.dockerfile, self._specs[name].arguments)

    def _resolve_bases(self, ports: Ports) -> Mapping[ImageReference, Digest]:
        """What each base from elsewhere is now. One whose registry does not answer is left out."""
        wanted: dict[ImageReference, None] = {}
        for name in self._specs:
            with suppress(NoKey):  # said when its turn comes
                named = self._named_bases(name).values()
                wanted |= {reference: None for reference in named if reference.repository not in self._own}
        elsewhere = any(spec.buildkit.builder for spec in self._specs.values())
        answers = side_by_side([partial(_resolve, ports, reference, elsewhere) for reference in wanted])
        return {reference: digest for reference, digest in zip(wanted, answers, strict=True) if digest is not None}


def still_made_of(spec: BuildSpec, reusable: Reusable) -> bool:
    """The context still is what the key was made of; one that can't be read any more is not."""
    try:
        return context_digest(plan_context(spec)) == reusable.context
    except ConfigurationError:
        return False


def origin_of(registry: Registry, target: Target, digest: Digest) -> Origin:
    """What the labels of the image with this digest claim; of an index, those of its first platform."""
    labels = labels_of(registry, target.image.repository, digest)
    tag, revision = labels.get(VERSION), labels.get(REVISION)
    return Origin(tag if isinstance(tag, str) else None, _commit(revision))


def fetch_proven(ports: Ports, target: Target, reusable: Reusable, platform: Platform | None = None) -> BuiltImage:
    """The image that the key leads to, in the engine, and proven to be what the registry serves.

    Raises ProofBroken, RemoteError.
    """
    assert reusable.found is not None  # noqa: S101  (nobody fetches what was not found)
    pinned = PinnedImage(target.image.repository, reusable.found)
    wanted = tested_platforms(target, ports.engine.platform() if target.config.platforms else None)
    platform = platform or wanted[0]
    image = ports.engine.fetch(target.name, pinned, platform, ports.reporter, f"test {target.name}")
    _prove(ports, target, reusable.found, image)
    return image


def adopt(ports: Ports, target: Target, digest: Digest, fetched: BuiltImage | None) -> ReleasedImage:
    """The image as it is in the registry, under the tag that it was released with, as far as that still leads to it.

    ``fetched`` is what was tested of it, None where the base branch says that it was tested before. Raises RemoteError.
    """
    served = ports.registry.manifest(target.image.repository, digest)
    if served is None:
        raise RemoteError(
            "the registry no longer serves an image that it held when this run began",
            where=f"{target.image.repository}@{digest}",
            hint="run again: it is built then",
        )
    origin = origin_of(ports.registry, target, digest)
    proof = _prove(ports, target, digest, fetched) if fetched is not None else None
    return ReleasedImage(
        target.name,
        kept_pin(ports.registry, target, digest, origin),
        "index" if served.is_index else "manifest",
        proof.config if proof else served.config,
        built_from=origin.commit,
    )


def kept_pin(registry: Registry, target: Target, digest: Digest, origin: Origin) -> PinnedImage:
    """An unchanged image keeps its tag, so that nothing moves where nothing changed; else it gets this release's."""
    if origin.tag is not None and origin.tag != target.image.tag:
        try:
            kept = TaggedImage(target.image.repository, origin.tag)
        except InvalidReference:
            return target.image.pinned(digest)
        if registry.resolve(kept) == digest:
            return kept.pinned(digest)
    return target.image.pinned(digest)


def _prove(ports: Ports, target: Target, digest: Digest, image: BuiltImage) -> Proof:
    served = ports.registry.manifest(target.image.repository, digest)
    if served is None:
        raise RemoteError("the registry no longer serves the image", where=f"{target.image.repository}@{digest}")
    return prove(image, gather(ports.registry, target.image.repository, image, served))


def definition_key(target: Target) -> str:
    """A key of how an image is tested: another test, or another time limit, is another definition."""
    tests = [test.model_dump(mode="json") for test in target.config.tests]
    return hashlib.sha256(json.dumps(["tests 1", tests, target.config.emulated], sort_keys=True).encode()).hexdigest()


def _reusable(target: Target, key: ContentKey, digest: Digest | None, proven: frozenset[Tested]) -> Reusable:
    definition = definition_key(target)
    evidence = digest is not None and Tested(target.image.repository, digest, key.hex, definition) in proven
    usable = target.config.reuse == "tagged" or (target.config.reuse == "proven" and evidence)
    return Reusable(key, definition, digest if usable else None, evidence, digest)


def _resolve(ports: Ports, reference: ImageReference, elsewhere: bool) -> Digest | None:
    """What a build would begin from: the image in the engine, else what the registry serves under this name.

    A builder ``elsewhere`` does not see what the engine holds.
    """
    if reference.digest is not None:
        return reference.digest
    if not elsewhere and (here := ports.engine.holds(reference)) is not None:
        return here
    try:
        return ports.registry.resolve(TaggedImage(reference.repository, reference.tag or "latest"))
    except RemoteError:
        return None


def _commit(revision: object) -> CommitId | None:
    try:
        return CommitId(revision) if isinstance(revision, str) else None
    except InvalidName:
        return None
