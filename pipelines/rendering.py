"""Rendered manifests: what kustomize or Helm makes of files, resource by resource.

The files come from a repository that others write, so the tools see regular files in a private folder and nothing
else: no network where the system lets us take it away, no reference to anything that is not among the files, no plugin,
no values of Secrets in what comes out.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from orchestrator.core.change import ChangePlan
from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.core.names import RepoPath
from orchestrator.engine.process import Limits, run
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.reports.rendered import ResourceDiff, diff_rendered
from pipelines.rendered_text import resources_of
from pipelines.rendering_files import CHART, KUSTOMIZATIONS, check_references, gather, roots_of

_LIMITS = Limits(seconds=60.0, output=32 * 1024 * 1024)
_KEY = secrets.token_bytes(16)  # of this process alone: masked values can be compared, and nothing else
_NO_NETWORK = ("unshare", "--net", "--map-root-user", "--")
Rendering = tuple[Sequence[ResourceDiff] | None, str | None]  # what differs, or the reason why nobody knows


class NoRenderer(ConfigurationError):
    """None of kustomize, kubectl and Helm is installed."""


def render(files: Mapping[RepoPath, bytes], roots: Sequence[RepoPath]) -> Mapping[str, str]:
    """What each root becomes: resource (``apps/v1 Deployment shop/api``) to its YAML, Secrets without their values.

    A root is the folder of a kustomization or of a Helm chart (in the repository's root: its own file), or a values
    file in a chart. What several roots make is told apart by the root. Raises NoRenderer, Refused for a root that
    refers to something which is not among the files, ConfigurationError when the tool fails.
    """
    with tempfile.TemporaryDirectory(prefix="hybrid-ci-render-") as temporary:
        tree = Path(temporary, "tree")
        tree.mkdir()
        for path, content in files.items():
            target = tree / path.value
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        made = {root: dict(resources_of(_rendered(files, tree, root), _KEY)) for root in roots}
    names = [name for resources in made.values() for name in resources]
    several = {name for name in names if names.count(name) > 1} if len(roots) > 1 else set()
    return {
        f"{name} in {root}" if name in several else name: text
        for root, resources in made.items()
        for name, text in resources.items()
    }


def render_plan(repository: GitOpsRepository, plan: ChangePlan) -> Rendering:
    """What a change makes of the rendered manifests; None with the reason where that is worth telling.

    Nothing is read where no tool is installed. Raises nothing: a handoff goes on without it.
    """
    try:
        return diff_plan(repository, plan), None
    except NoRenderer:
        return None, None
    except HybridCIError as error:
        return None, error.message


def diff_plan(repository: GitOpsRepository, plan: ChangePlan) -> Sequence[ResourceDiff] | None:
    """The same, or its error; None when no edited file is loaded by a kustomization or a chart.

    Raises as ``render`` does, and RemoteError.
    """
    _tool_for_kustomize()
    roots = roots_of(repository, plan.base, [edit.path for edit in plan.edits])
    if not roots:
        return None
    before = gather(repository, plan.base, roots)
    if not any(edit.new or edit.path in before for edit in plan.edits):
        return None
    after = dict(before)
    for edit in plan.edits:
        if edit.removed:
            after.pop(edit.path, None)
        elif edit.path in before or edit.new:
            after[edit.path] = edit.after
    return diff_rendered(render(before, roots), render(after, roots))


def _rendered(files: Mapping[RepoPath, bytes], tree: Path, root: RepoPath) -> bytes:
    check_references(files, root)
    done = run([*_without_network(), *_command(files, tree, root)], directory=tree, limits=_LIMITS)
    if done.ok and not done.truncated:
        return done.stdout
    lines = done.error_text.replace(f"{tree}/", "").splitlines() or ["it ended without a message"]
    reason = "its output is too large" if done.truncated else lines[-1][:300]
    raise ConfigurationError(f"{root} can't be rendered: {reason}", where=root.value)


def _command(files: Mapping[RepoPath, bytes], tree: Path, root: RepoPath) -> list[str]:
    if any(_inside(root, name) in files for name in KUSTOMIZATIONS):
        return [*_tool_for_kustomize(), str(tree / root.value)]
    if root.value in KUSTOMIZATIONS and root in files:
        return [*_tool_for_kustomize(), str(tree)]
    values = root if root in files and root.name != CHART else None
    folder = _chart_folder(files, root)
    if folder is None:
        raise ConfigurationError(f"{root} is neither a kustomization nor a Helm chart", where=root.value)
    if shutil.which("helm") is None:
        raise NoRenderer("Helm is not installed", hint="install it to see charts rendered")
    command = ["helm", "template", "release", str(tree / folder)]
    return [*command, "--values", str(tree / values.value)] if values is not None else command


def _chart_folder(files: Mapping[RepoPath, bytes], root: RepoPath) -> str | None:
    """The nearest folder with a chart at or above the root; empty for the repository itself."""
    parts = root.value.split("/")
    for depth in range(len(parts), -1, -1):
        folder = "/".join(parts[:depth])
        if RepoPath(f"{folder}/{CHART}" if folder else CHART) in files:
            return folder
    return None


def _tool_for_kustomize() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    raise NoRenderer("neither kustomize nor kubectl is installed", hint="install one to see manifests rendered")


@cache
def _without_network() -> tuple[str, ...]:
    """What to put before a command so that it has no network; nothing where the system does not allow that."""
    if shutil.which("unshare") is None:
        return ()
    return _NO_NETWORK if run([*_NO_NETWORK, "true"], limits=Limits(seconds=10)).ok else ()


def _inside(folder: RepoPath, name: str) -> RepoPath:
    return RepoPath(f"{folder}/{name}")
