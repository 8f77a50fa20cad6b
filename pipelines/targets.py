"""The images that a release is about: their configuration, and the tags that they will carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.config.application import ImageConfig
from orchestrator.config.checks import dockerfile_of
from orchestrator.config.loader import LoadedApplication
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Digest, PinnedImage, Repository, TaggedImage
from orchestrator.core.release import Release, ReleasedImage
from orchestrator.core.tags import render_tag
from pipelines.ports import Job

# Stands for a digest that only the registry can give, in a plan made before the push.
UNKNOWN_DIGEST = Digest("sha256:" + "0" * 64)
_LONGEST_TAG = 128
_DIRTY = "-dirty"


@dataclass(frozen=True, slots=True)
class Target:
    """One image on its way: its configuration, and the tag that it will carry."""

    name: str
    config: ImageConfig
    image: TaggedImage


def targets_of(job: Job, only: Sequence[str]) -> tuple[Target, ...]:
    """The images to release. Raises ConfigurationError for a name that is not configured, or a tag without value."""
    config = job.application.config
    for name in only:
        if name not in config.images:
            raise ConfigurationError(
                f"there is no image {name!r}",
                where=f"{job.application.file}: images",
                hint=f"configured images: {', '.join(config.images)}",
            )
    return tuple(
        Target(name, image, TaggedImage(Repository.parse(image.repository), _tag(job, image)))
        for name, image in config.images.items()
        if not only or name in only
    )


def _tag(job: Job, image: ImageConfig) -> str:
    tag = render_tag(image.tag or job.application.config.tag, job.source)
    if not job.source.dirty:
        return tag
    return tag[len(_DIRTY) - _LONGEST_TAG :].lstrip(".-") + _DIRTY  # what tells commits apart stands at the end


def check_files(application: LoadedApplication, targets: Iterable[Target]) -> None:
    """Contexts and Dockerfiles are there. Raises ConfigurationError."""
    for target in targets:
        context = application.directory / target.config.context
        dockerfile = dockerfile_of(target.config, application.directory)
        key = f"{application.file}: images.{target.name}"
        if not context.is_dir():
            raise ConfigurationError(
                f"there is no folder {context}", where=f"{key}.context", hint="correct the build context"
            )
        if not dockerfile.is_file():
            raise ConfigurationError(
                f"there is no file {dockerfile}", where=f"{key}.dockerfile", hint="correct the path of the Dockerfile"
            )


def unbuilt(job: Job, targets: Sequence[Target], known: Mapping[str, PinnedImage]) -> Release:
    """The release as it would be, with the images that are known so far, by name."""
    images = tuple(
        ReleasedImage(target.name, known.get(target.name) or target.image.pinned(UNKNOWN_DIGEST), "manifest")
        for target in targets
    )
    return Release(job.application.config.application, images, job.source)
