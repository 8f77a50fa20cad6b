"""Whether the fake GitLab merges, and how: real merges in the bare repository."""

from __future__ import annotations

from datetime import datetime

from tests.servers.git_repositories import git
from tests.servers.gitlab.state import MergeRequest, Project


def detailed_status(one: Project, mr: MergeRequest) -> str:
    """``detailed_merge_status`` once it is computed, in the order of GitLab's own checks."""
    if not mr.open:
        return "not_open"
    source, target = one.repo.tip(mr.source), one.repo.tip(mr.target)
    if mr.source_project == one.id and source is None:
        return "commits_status"
    if mr.draft:
        return "draft_status"
    for wrong, status in (
        (one.pipeline_required and one.pipeline == "running", "ci_still_running"),
        (one.pipeline_required and one.pipeline not in ("success", "running"), "ci_must_pass"),
        (len(mr.approvals) < one.approvals_required, "not_approved"),
        (bool(mr.changes_requested), "requested_changes"),
    ):
        if wrong:
            return status
    if target is None or one.repo.merge_tree(target, mr.sha) is None:
        return "conflict"
    if one.merge_method != "merge" and not one.repo.is_ancestor(target, mr.sha):
        return "need_rebase"
    return "mergeable"


def merge(one: Project, mr: MergeRequest, by: str, message: str | None, now: datetime, web: str) -> None:
    """Merge the head into the target, by the project's method."""
    base = one.repo.tip(mr.target)
    assert base is not None
    tree = one.repo.merge_tree(base, mr.sha)
    assert tree is not None
    head = mr.sha
    if (mr.squash and one.squash_option != "never") or one.squash_option == "always":
        fork = git(one.repo.path, "merge-base", base, head)
        head = one.repo.commit(one.repo.info(mr.sha)["tree"], [fork], mr.title, by, now)
        mr.squash_commit = head
    if one.merge_method == "ff":
        one.repo.move(mr.target, head, base)
    else:
        default = (
            f"Merge branch '{mr.source}' into '{mr.target}'\n\n{mr.title}\n\nSee merge request {one.path}!{mr.iid}"
        )
        mr.merge_commit = one.repo.commit(tree, [base, head], message or default, by, now)
        one.repo.move(mr.target, mr.merge_commit, base)
    mr.state, mr.merged_by, mr.ended, mr.updated, mr.auto_merge = "merged", by, now, now, False
