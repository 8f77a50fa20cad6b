"""Push an image, read it back by digest, prove it. Nothing else may call an image published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.errors import Refused, RemoteError
from orchestrator.core.image import Digest, PinnedImage, Repository, TaggedImage
from orchestrator.engine.clock import Clock
from orchestrator.engine.events import Reporter
from orchestrator.images.base import BuiltImage, ContainerEngine, Registry, RegistryManifest
from orchestrator.images.errors import EngineFailed, PushInterrupted
from orchestrator.images.proof import Evidence, Proof, ProofBroken, prove, tested_entries
from orchestrator.images.retrying import retry

PUSH_SECONDS = 600.0  # for all attempts of one image
READ_BACK_SECONDS = 60.0  # registries are known to serve a new manifest late


class NotServed(RemoteError):
    """The registry does not serve what was pushed, yet."""


@dataclass(frozen=True, slots=True)
class Published:
    """What may be pinned, and why."""

    pinned: PinnedImage
    proof: Proof


def publish(
    engine: ContainerEngine,
    registry: Registry,
    image: BuiltImage,
    target: TaggedImage,
    reporter: Reporter,
    clock: Clock,
    *,
    labels: Mapping[str, str] | None = None,
    immutable: bool = False,
) -> Published:
    """Make the registry hold the tested image under this tag, and prove that it does.

    A tag that points to the tested image already is left alone. With ``immutable``, a tag that points to another
    image is refused. Raises Refused and ProofBroken, RemoteError, TimedOut.
    """
    stage = f"push {image.name}"
    there = _already_there(registry, image, target, labels or {}, immutable=immutable)
    if there is not None:
        reporter.log(stage, f"{target} is this image already; nothing to push")
        return Published(target.pinned(there.digest), there)
    claimed = _push(engine, image, target, reporter, clock, stage)
    proof = read_back(registry, image, target, claimed, clock, labels or {})
    if claimed is not None:
        _tell_moved_tag(registry, target, proof.digest, reporter)
    return Published(target.pinned(proof.digest), proof)


def read_back(
    registry: Registry,
    image: BuiltImage,
    target: TaggedImage,
    claimed: Digest | None,
    clock: Clock,
    labels: Mapping[str, str],
    seconds: float = READ_BACK_SECONDS,
) -> Proof:
    """Ask the registry, by the digest that the engine claims, else by what the tag points to, and prove it.

    A registry may lag behind a push, so an absent answer is asked for again; so is, when only the tag tells, one
    that still is the image before. A claimed digest cannot be stale: what it names is right or wrong for ever.
    """

    def attempt() -> Proof:
        digest = claimed or registry.resolve(target)
        pushed = registry.manifest(target.repository, digest) if digest is not None else None
        if pushed is None:
            raise NotServed(
                f"the registry does not serve what was pushed as {target}",
                where=str(target.repository),
                hint="run again; what was pushed is not pushed twice",
            )
        return prove(image, gather(registry, target.repository, image, pushed), labels)

    def may_heal(error: BaseException) -> bool:
        return isinstance(error, NotServed) or (claimed is None and isinstance(error, ProofBroken))

    return retry(attempt, clock=clock, seconds=seconds, when=may_heal)


def gather(registry: Registry, repository: Repository, image: BuiltImage, pushed: RegistryManifest) -> Evidence:
    """Fetch what a proof looks at: an index's manifests for the tested platform, and their configurations."""
    children: dict[Digest, RegistryManifest] = {}
    for digest in tested_entries(image, pushed)[:4]:
        manifest = registry.manifest(repository, digest)
        if manifest is None:
            raise NotServed(
                "the registry does not serve a manifest that the image's index names",
                where=f"{repository}@{digest}",
                hint="run again",
            )
        children[digest] = manifest
    manifests = (pushed, *children.values())
    configs = {m.config: registry.config(repository, m.config) for m in manifests if m.config is not None}
    return Evidence(pushed, children, configs)


def _already_there(
    registry: Registry, image: BuiltImage, target: TaggedImage, labels: Mapping[str, str], *, immutable: bool
) -> Proof | None:
    digest = registry.resolve(target)
    pushed = registry.manifest(target.repository, digest) if digest is not None else None
    if pushed is None:
        return None
    try:
        return prove(image, gather(registry, target.repository, image, pushed), labels)
    except ProofBroken:
        if immutable:
            raise Refused(
                f"the tag {target} is taken by another image",
                where=str(target),
                hint="release a new version; tags that were published are not moved",
                details=[f"it points to {pushed.digest}"],
            ) from None
        return None
    except (Refused, RemoteError):
        if immutable:
            raise
        return None  # whatever stands there is broken; a push puts it right, and is read back


def _push(
    engine: ContainerEngine, image: BuiltImage, target: TaggedImage, reporter: Reporter, clock: Clock, stage: str
) -> Digest | None:
    """Push, and again when it broke off: layers that arrived are not sent twice, so this is safe."""

    def again(error: BaseException, wait: float) -> None:
        reason = error.details[0] if isinstance(error, PushInterrupted) and error.details else str(error)
        reporter.log(stage, f"the push broke off ({reason}); once more in {wait:.0f} s")

    return retry(
        lambda: engine.push(image, target, reporter, stage),
        clock=clock,
        seconds=PUSH_SECONDS,
        when=lambda error: isinstance(error, (PushInterrupted, EngineFailed)),
        notice=again,
    )


def _tell_moved_tag(registry: Registry, target: TaggedImage, pushed: Digest, reporter: Reporter) -> None:
    """Ours is pinned by its digest whatever the tag does; but somebody else pushes to it, and that is worth a word."""
    try:
        now = registry.resolve(target)
    except RemoteError as error:  # the push is proven; a failed courtesy must not undo that
        reporter.log(f"push {target.repository.name}", f"where the tag points now could not be read: {error.message}")
        return
    if now is not None and now != pushed:
        reporter.warn(f"the tag {target} points to {now.short} already, not to what was just pushed ({pushed.short})")
