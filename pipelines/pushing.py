"""The push stage of a release: what was tested gets to the registry, is proven to be there, and gets its record."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import TaggedImage
from orchestrator.core.release import RecordReference, ReleasedImage
from orchestrator.core.stages import Node
from orchestrator.engine.events import stage
from orchestrator.images.artifacts import attach_document
from orchestrator.images.manifest import RegistryLied
from orchestrator.images.publish import publish
from orchestrator.images.tagging import REVISION, put_tag
from orchestrator.reports.claims import RECORD_TYPE, image_claim
from pipelines.making import Run
from pipelines.platforms import platforms_of, publish_index
from pipelines.reuse import adopt
from pipelines.targets import Target


def push_image(run: Run, node: Node) -> None:
    """Push, read back from the registry, prove; an unchanged image stays as it is there. Raises when a link breaks."""
    target, ports = run.target(node), run.ports
    adopted = run.adopts(target.name)
    with stage(ports.reporter, node.name, ports.clock.monotonic) as ending:
        if adopted is not None:
            image = adopt(ports, target, adopted, run.fetched.get(target.name))
            ending.text = f"done, {adopted.short} is there already"
        else:
            image = _published(run, target)
            ending.text = f"done, {image.pinned.digest.short} proven"
        image = replace(image, platforms=run.tested_on(target))
        if image.pinned.tag is not None:
            wanted = TaggedImage(image.pinned.repository, image.pinned.tag)
            revision, immutable = str(run.pipeline.job.source.id), run.immutable_tags
            put_tag(
                ports.registry, wanted, image.pinned.digest, revision, ports.clock, ports.reporter, immutable=immutable
            )
        run.pushed[target.name] = image
        record_image(run, target, image)


def _published(run: Run, target: Target) -> ReleasedImage:
    """Push what was built: under its content key first, so that a run that is killed here is found by the next one."""
    ports, reusable = run.ports, run.reusable.get(target.name)
    place = TaggedImage(target.image.repository, reusable.key.tag) if reusable is not None else target.image
    revision = str(run.pipeline.job.source.id)
    if len(platforms := platforms_of(target)) > 1:
        built = {platform: run.image(target.name, platform) for platform in platforms}
        return publish_index(ports, target, place, built, revision)
    published = publish(
        ports.engine,
        ports.registry,
        run.built[target.name],
        place,
        ports.reporter,
        ports.clock,
        labels={REVISION: revision},
        immutable=reusable is None and run.immutable_tags,
    )
    proof = published.proof
    return ReleasedImage(target.name, target.image.pinned(proof.digest), proof.kind, proof.config)


def record_image(run: Run, target: Target, image: ReleasedImage) -> None:
    """Lay the record of an image that was tested here beside it in the registry.

    A registry that takes no artifacts costs the record and not the release.
    """
    reusable, results = run.reusable.get(target.name), run.tests.get(target.name)
    if reusable is None or not results:
        return
    ports, job = run.ports, run.pipeline.job
    claim = image_claim(
        job.application.config.application,
        job.source,
        image,
        tuple(results),
        content=reusable.key.hex,
        definition=reusable.definition,
    )
    try:
        subject = ports.registry.manifest(image.pinned.repository, image.pinned.digest)
        if subject is None:
            return
        digest = attach_document(
            ports.registry, image.pinned.repository, subject, RECORD_TYPE, claim.to_bytes(), claim.annotations
        )
    except (RemoteError, RegistryLied) as error:  # the image itself is proven, and nothing is built on the record
        ports.reporter.warn(f"the registry did not take the record of {target.name}: {error.message}")
        return
    run.records[target.name] = RecordReference(image.pinned.repository, digest)
