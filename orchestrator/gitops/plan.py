"""Plan a change on the files of one commit: pure, so a dry run, a handoff and a proof all compute the same."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.change import Change, ChangePlan, FileEdit, PlannedPin
from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.manifests.pins import Edit, ScanOptions, find_pins, set_images

_LISTED = 20


def plan_change(change: Change, base: CommitId, files: Mapping[RepoPath, bytes], policy: Policy) -> ChangePlan:
    """What bringing these images to the environment would write on ``base``.

    Only files that the policy lets the application touch are looked at. Raises ConfigurationError when an
    image stands in none of them, or a file that holds it is broken; Refused for what is ambiguous.
    """
    environment = policy.environment(change.environment)
    options = ScanOptions(targets=environment.targets_for(change.scope))
    edits: list[FileEdit] = []
    planned: list[PlannedPin] = []
    found: set[Repository] = set()
    for path, content in sorted(files.items()):
        if not policy.allows(change.scope, environment, path.value):
            continue
        edit = set_images(path, content, change.pins, options)
        found |= {pin.image.repository for pin in edit.pins}
        if edit.changed:
            edits.append(FileEdit(path, edit.before, edit.after))
            planned += _planned(edit, change)
    _check_all_found(change, found, environment, files)
    return ChangePlan(change, base, tuple(edits), tuple(planned))


def _planned(edit: Edit, change: Change) -> list[PlannedPin]:
    wanted = {image.repository: image for image in change.pins}
    return [
        PlannedPin(one.path, one.line, one.place, one.pin.image, wanted[one.pin.image.repository])
        for one in edit.changes
    ]


def _check_all_found(
    change: Change, found: set[Repository], environment: Environment, files: Mapping[RepoPath, bytes]
) -> None:
    missing = [image.repository for image in change.images if image.repository not in found]
    if not missing:
        return
    there = {pin.image.repository for path, content in files.items() for pin in find_pins(path, content).pins}
    patterns = ", ".join(environment.patterns(change.scope))
    listed = ", ".join(str(repository) for repository in missing)
    raise ConfigurationError(
        f"no file of the environment {environment.name!r} refers to {listed}",
        where=f"{patterns} ({len(files)} file{'s' if len(files) != 1 else ''})",
        details=[f"found there: {repository}" for repository in sorted(there)[:_LISTED]],
        hint="add the image to a manifest of that environment first, or correct the repository in hybrid-ci.yaml",
    )
