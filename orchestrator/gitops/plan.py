"""Plan a change on the files of one commit: pure, so a dry run, a handoff and a proof all compute the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.core.change import Change, ChangePlan, FileEdit, PlannedPin
from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import PinnedImage, Repository
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.manifests.pins import ScanOptions, find_pins, set_images

_LISTED = 20


def plan_change(
    change: Change, base: CommitId, files: Mapping[RepoPath, bytes], policy: Policy, options: ScanOptions | None = None
) -> ChangePlan:
    """What bringing these images to the environment would write on ``base``.

    Only files that the policy lets the application touch are looked at. Raises ConfigurationError when an
    image stands in none of them, or a file that holds it is broken; Refused for what is ambiguous.
    """
    environment = policy.environment(change.environment)
    options = options or ScanOptions()
    edits: list[FileEdit] = []
    pins: list[PlannedPin] = []
    found: set[Repository] = set()
    for path, content in sorted(files.items()):
        if not policy.allows(change.scope, environment, path.value):
            continue
        images = [image for image in change.images if image.repository.name.encode() in content]
        if not images:
            continue
        found |= {pin.image.repository for pin in find_pins(path, content, options).pins}
        edit = set_images(path, content, images, options)
        if edit.changes:
            edits.append(FileEdit(path, edit.before, edit.after))
            pins += _planned(edit.changes, images)
    _check_all_found(change, found, environment, files)
    return ChangePlan(change, base, tuple(edits), tuple(pins))


def _planned(changes: object, images: list[PinnedImage]) -> Iterator[PlannedPin]:
    by_repository = {image.repository: image for image in images}
    for one in changes:  # type: ignore[attr-defined]
        pin = one.pin
        yield PlannedPin(pin.path, pin.line, pin.place, pin.image, by_repository[pin.image.repository])


def _check_all_found(
    change: Change, found: set[Repository], environment: Environment, files: Mapping[RepoPath, bytes]
) -> None:
    missing = [image.repository for image in change.images if image.repository not in found]
    if not missing:
        return
    patterns = ", ".join(environment.patterns(change.scope))
    listed = ", ".join(str(repository) for repository in missing)
    raise ConfigurationError(
        f"no file of the environment {environment.name!r} refers to {listed}",
        where=f"{patterns} ({len(files)} file{'s' if len(files) != 1 else ''})",
        details=[f"found there: {repository}" for repository in sorted(found)[:_LISTED]],
        hint="add the image to a manifest of that environment first, or correct the repository in hybrid-ci.yaml",
    )
