"""The build matrix: which images of an application a commit changes, and why.

An image is changed by a file that its build gets, by its Dockerfile, by what keeps files out of its context, by its
part of the configuration, and by a changed image that it is built upon. Where nobody can tell what a commit changes,
every image counts as changed, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import normpath, relpath

from orchestrator.config.application import ApplicationConfig
from orchestrator.config.checks import dockerfile_of
from orchestrator.config.loader import parse_application
from orchestrator.core.difference import Difference
from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.names import BranchName, CommitId, RemoteURL
from orchestrator.gitops.desk import Seen
from orchestrator.images.ignore import ignore_patterns, sent_of
from orchestrator.reports.matrices import MatrixDocument, MatrixImage
from pipelines.policy import policy_at
from pipelines.ports import Job, Ports
from pipelines.preflight import Cleared
from pipelines.release import unchanged
from pipelines.stages import Pipeline, pipeline_of
from pipelines.targets import Target, check_files

_NAMED = 3


@dataclass(frozen=True, slots=True)
class MatrixOptions:
    """What the caller asks for. ``base`` is a branch or commit that the change is compared with."""

    everything: bool = False
    base: str | None = None
    unbuilt: bool = False
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One image of the matrix: why it is in it, or why not."""

    name: str
    repository: str
    tag: str
    reason: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """The images to build, each on a runner of its own; those that the registry ``held``; and the ``unchanged`` ones.

    ``base`` is what the commit was compared with; None with a ``reason`` where there was nothing to compare with.
    """

    application: str
    commit: CommitId
    base: CommitId | None
    reason: str
    images: tuple[Cell, ...]
    held: tuple[Cell, ...] = ()
    unchanged: tuple[Cell, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The images to build."""
        return tuple(cell.name for cell in self.images)

    def document(self) -> MatrixDocument:
        """For files and programs."""

        def listed(cells: Sequence[Cell]) -> list[MatrixImage]:
            return [
                MatrixImage(name=cell.name, repository=cell.repository, tag=cell.tag, reason=cell.reason)
                for cell in cells
            ]

        return MatrixDocument(
            application=self.application,
            commit=str(self.commit),
            base=str(self.base) if self.base is not None else None,
            reason=self.reason or None,
            images=listed(self.images),
            held=listed(self.held),
            unchanged=listed(self.unchanged),
        )


def matrix(ports: Ports, job: Job, options: MatrixOptions) -> Matrix:
    """What to build for the commit that is checked out. Raises ConfigurationError."""
    found = changed_images(job, options)
    if not options.unbuilt or not found.images:
        return found
    spared = _spared(ports, job, found)
    held = tuple(replace(cell, reason=spared[cell.name]) for cell in found.images if cell.name in spared)
    return replace(found, images=tuple(cell for cell in found.images if cell.name not in spared), held=held)


def changed_images(job: Job, options: MatrixOptions) -> Matrix:
    """The images that the commit changes. Asks nobody but the checkout. Raises ConfigurationError."""
    pipeline = pipeline_of(job)
    targets = {target.name: target for target in pipeline_of(job, options.only).released}
    check_files(job.application, targets.values())
    difference = Difference(None, reason="every image was asked for")
    if not options.everything:
        difference = job.difference(options.base)
    reasons = _reasons(job, pipeline, difference)
    cells = [
        Cell(target.name, str(target.image.repository), target.image.tag, reasons.get(target.name, "it did not change"))
        for target in targets.values()
    ]
    return Matrix(
        job.application.config.application,
        job.source.id,
        difference.base,
        difference.reason,
        tuple(cell for cell in cells if cell.name in reasons),
        unchanged=tuple(cell for cell in cells if cell.name not in reasons),
    )


def _reasons(job: Job, pipeline: Pipeline, difference: Difference) -> Mapping[str, str]:
    """Why each image that has changed has."""
    if difference.paths is None or difference.base is None:
        return dict.fromkeys(pipeline.targets, difference.reason)
    earlier = _earlier(job, difference)
    reasons: dict[str, str] = {}
    for name, target in pipeline.targets.items():
        why = _configured_anew(name, job.application.config, earlier) if earlier is not _SAME else None
        why = why or _touched(job, target, difference.paths)
        if why is not None:
            reasons[name] = why
    bases = pipeline.layout.bases
    for name in _upon(reasons, bases):
        base = next(one for one in bases[name] if one in reasons)
        reasons[name] = f"it is built upon {base}, which has changed"
    return reasons


def _upon(changed: Mapping[str, str], bases: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The images that are built upon changed ones; ``changed`` grows while they are taken."""
    while more := [
        name for name, needed in bases.items() if name not in changed and any(one in changed for one in needed)
    ]:
        yield from more


def _touched(job: Job, target: Target, paths: frozenset[str]) -> str | None:
    """Which of the changed paths the image's build gets, in words; None when it gets none of them."""
    directory = job.application.directory
    context = directory / target.config.context
    dockerfile = dockerfile_of(target.config, directory)
    special = [dockerfile, dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"]
    named = {normpath(relpath(file, directory)) for file in special}
    folder = normpath(target.config.context)
    prefix = "" if folder == "." else f"{folder}/"
    below = [path for path in paths if path.startswith(prefix) and not (prefix == "" and path.startswith("../"))]
    sent = sent_of(context, [path.removeprefix(prefix) for path in below], ignore_patterns(context, dockerfile))
    found = sorted({*(paths & named), *(f"{prefix}{path}" for path in sent)})
    if not found:
        return None
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"changed: {', '.join(found[:_NAMED])}{more}"


# --- the configuration -------------------------------------------------------------------------------------------

_SAME = object()


def _earlier(job: Job, difference: Difference) -> ApplicationConfig | object | None:
    """The configuration at the base; _SAME when it did not change, None when it can't be read any more."""
    name = job.application.file.name
    if difference.base is None or difference.paths is None or name not in difference.paths:
        return _SAME
    content = job.earlier(difference.base, name)
    try:
        return parse_application(content, job.application.file).config if content is not None else None
    except ConfigurationError:
        return None


def _configured_anew(name: str, now: ApplicationConfig, earlier: ApplicationConfig | object | None) -> str | None:
    """What of the configuration makes the image another one, in words; None when it is the same for it."""
    if not isinstance(earlier, ApplicationConfig):
        return "the configuration is new, or could not be read as it was before"
    if name not in earlier.images:
        return "it is new"
    if now.images[name] != earlier.images[name]:
        return "its configuration has changed"
    if now.images[name].tag is None and now.tag != earlier.tag:
        return "the template of its tag has changed"
    if (now.application, now.builder) != (earlier.application, earlier.builder):
        return "the configuration of all images has changed"
    if now.stages != earlier.stages:
        return "the stages have changed"
    return None


# --- what the registry holds -------------------------------------------------------------------------------------


def _spared(ports: Ports, job: Job, found: Matrix) -> Mapping[str, str]:
    """Images that need no runner: the registry holds their content, and the base branch says that it was tested.

    The handoff takes them from the registry. Without a proof, none is left out, and that is said.
    """
    pipeline = pipeline_of(job, found.names)
    try:
        cleared = _rules(ports, job)
        known = unchanged(ports, pipeline, cleared)
    except (RemoteError, ConfigurationError) as error:
        ports.reporter.note(f"what is built already can't be told, so no image is left out: {error.message}")
        return {}
    return {
        name: f"{one.found.short} in the registry, and tested before"
        for name, one in known.items()
        if name in found.names and one.found is not None and one.proven
    }


def _rules(ports: Ports, job: Job) -> Cleared:
    config, repository = job.application.config, ports.repository
    if RemoteURL(repository.url).scheme == "ssh" and ports.forge is None:
        raise RemoteError("the GitOps repository is reached by ssh, which takes a login")
    base = BranchName(config.gitops.base)
    seen = Seen(repository.tips([base.ref]), ports.clock.monotonic())
    if base.ref not in seen.tips:
        raise ConfigurationError(f"the GitOps repository has no branch {base}")
    policy = policy_at(repository, seen.tips[base.ref], base)
    return Cleared(policy, policy.environment(config.gitops.environment), (), seen, seen.tips[base.ref])
