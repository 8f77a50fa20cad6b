"""What is done already: a release that is pinned is not built a second time.

A tag or a label in a registry is a claim by whoever could push it. What counts is the pin in the GitOps repository: on
the base it was reviewed, and on our own branch the handoff proves that we made it before anything else happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.core.environment import Strategy
from orchestrator.core.image import Digest, ImageReference, TaggedImage
from orchestrator.core.names import CommitId
from orchestrator.core.release import Release, ReleasedImage, SourceCommit
from orchestrator.images.base import Registry
from orchestrator.images.tagging import revision_of
from orchestrator.manifests.pins import ScanOptions, find_pins
from pipelines.ports import Job, Ports
from pipelines.preflight import Cleared
from pipelines.resolve import described
from pipelines.targets import Target


def released_before(ports: Ports, job: Job, targets: Sequence[Target], cleared: Cleared) -> Release | None:
    """This very release, where the environment or our branch pins it already; None where it is to be made.

    Every image must be pinned with its tag and a digest that the registry serves with this commit as its revision.
    """
    if job.source.dirty:
        return None
    for commit in _places(ports, job, cleared):
        pinned = _digests(ports, job, cleared, commit)
        images = [_served(ports.registry, job.source, target, pinned.get(target.image)) for target in targets]
        if all(images):
            ports.reporter.note(f"{cleared.environment.name} or its pull request pins this release; nothing to build")
            return Release(job.application.config.application, tuple(one for one in images if one), job.source)
    return None


def _places(ports: Ports, job: Job, cleared: Cleared) -> Sequence[CommitId]:
    """Commits that may pin it: where the environment lives, and our branch."""
    if cleared.environment.strategy is Strategy.COMMIT and cleared.environment.branch is not None:
        tip = ports.repository.tips([cleared.environment.branch.ref]).get(cleared.environment.branch.ref)
        return [tip] if tip else []
    return list(dict.fromkeys([cleared.base_tip, *cleared.seen.tips.values()]))


def _digests(ports: Ports, job: Job, cleared: Cleared, commit: CommitId) -> Mapping[TaggedImage, Digest]:
    """What each tag is pinned to in the environment's files; a tag with several digests is left out."""
    application = job.application.config.application
    options = ScanOptions(targets=cleared.environment.targets_for(application))
    files = ports.repository.files(commit, cleared.environment.patterns(application))
    found: dict[TaggedImage, set[Digest | None]] = {}
    for path, content in files.items():
        for pin in find_pins(path, content, options).pins:
            if pin.image.tag is not None:
                found.setdefault(TaggedImage(pin.image.repository, pin.image.tag), set()).add(pin.image.digest)
    alone = {image: digests.pop() for image, digests in found.items() if len(digests) == 1}
    return {image: digest for image, digest in alone.items() if digest is not None}


def _served(registry: Registry, source: SourceCommit, target: Target, digest: Digest | None) -> ReleasedImage | None:
    if digest is None or revision_of(registry, target.image.repository, digest) != str(source.id):
        return None
    return described(registry, target.name, ImageReference(target.image.repository, target.image.tag, digest), digest)
