"""The rendered manifests of two sides: two environments at one commit, or one place at two commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.errors import HybridCIError
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.reports.rendered import ResourceDiff, diff_rendered
from pipelines.rendering import render
from pipelines.rendering_files import gather, roots_of

_MOST_ROOTS = 40  # each is a process of its own, on either side
Rendered = tuple[tuple[ResourceDiff, ...] | None, str | None]


@dataclass(frozen=True, slots=True)
class RenderWish:
    """Whatever these files of a commit belong to."""

    commit: CommitId
    paths: tuple[RepoPath, ...]


def rendered_between(repository: GitOpsRepository, before: RenderWish, after: RenderWish) -> Rendered:
    """The resources that differ; None with the reason where they can't be rendered.

    A resource in another namespace is taken for the same one where there is only one of its kind and name.
    """
    try:
        sides = [_rendered(repository, wish) for wish in (before, after)]
    except HybridCIError as error:
        return None, error.message
    if isinstance(sides[0], str) or isinstance(sides[1], str):
        return None, next(side for side in sides if isinstance(side, str))
    old, new = _paired(sides[0], sides[1])
    if not old and not new:
        return None, "none of its files belongs to a kustomization or a Helm chart"
    return diff_rendered(old, new), None


def _rendered(repository: GitOpsRepository, wish: RenderWish) -> dict[str, str] | str:
    """Resource to text; or why not."""
    roots = roots_of(repository, wish.commit, wish.paths) if wish.paths else ()
    if not roots:
        return {}
    if len(roots) > _MOST_ROOTS:
        return f"there are {len(roots)} kustomizations and charts; name images to render fewer"
    files = gather(repository, wish.commit, roots)
    found: dict[str, str] = {}
    for root in roots:
        for name, text in render(files, [root]).items():
            if found.setdefault(name, text) != text:
                found[f"{name} in {root}"] = text
    return found


def _paired(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Both sides by names under which they meet."""
    counts = [Counter(_without_namespace(name) for name in side) for side in (old, new)]

    def meet(name: str) -> str:
        bare = _without_namespace(name)
        return bare if all(count[bare] == 1 for count in counts) else name

    return {meet(name): text for name, text in old.items()}, {meet(name): text for name, text in new.items()}


def _without_namespace(name: str) -> str:
    """``apps/v1 Deployment shop/api`` without ``shop/``."""
    head, space, last = name.rpartition(" ")
    return f"{head}{space}{last.rpartition('/')[2]}"
