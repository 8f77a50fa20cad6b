"""Which CI is around us, read from its documented variables into one type."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_NO = frozenset({"", "false", "0", "no"})
_OTHERS = ("TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")  # CI systems that do not set CI


@dataclass(frozen=True, slots=True)
class CIEnvironment:
    """What the surroundings say. ``name`` is None on a person's machine.

    ``branch`` is what a detached checkout can't tell; ``pull_request`` is set when the job runs for one, where
    the code comes from somebody who may not release. ``event`` is the CI's own word for what started the job;
    ``before`` the commit that the branch pointed to before this push, as far as the CI tells.
    """

    name: str | None
    branch: str | None = None
    pull_request: str | None = None
    run_url: str | None = None
    event: str | None = None
    before: str | None = None

    @property
    def is_ci(self) -> bool:
        """Not on a person's machine."""
        return self.name is not None


def detect(environment: Mapping[str, str] = os.environ) -> CIEnvironment:
    """Read GitHub Actions, GitLab CI, Jenkins, or whatever else says that it is a CI.

    A doubt counts as CI: there the cluster-credential guard refuses, and does not only warn.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment)
    if environment.get("JENKINS_URL"):
        return _jenkins(environment)
    if environment.get("CI", "").lower() not in _NO or any(environment.get(name) for name in _OTHERS):
        return CIEnvironment("ci")
    return CIEnvironment(None)


def _github(environment: Mapping[str, str]) -> CIEnvironment:
    """https://docs.github.com/actions/reference/workflows-and-actions/variables"""
    event = environment.get("GITHUB_EVENT_NAME", "")
    on_branch = environment.get("GITHUB_REF_TYPE") == "branch"
    server, repository = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    run = environment.get("GITHUB_RUN_ID")
    return CIEnvironment(
        "github",
        environment.get("GITHUB_REF_NAME") if on_branch and not event.startswith("pull_request") else None,
        environment.get("GITHUB_REF_NAME") or event if event.startswith("pull_request") else None,
        f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None,
        event or None,
    )


def _gitlab(environment: Mapping[str, str]) -> CIEnvironment:
    """https://docs.gitlab.com/ci/variables/predefined_variables/"""
    pull_request = environment.get("CI_MERGE_REQUEST_IID") or environment.get("CI_EXTERNAL_PULL_REQUEST_IID")
    source = environment.get("CI_PIPELINE_SOURCE", "")
    if not pull_request and source in ("merge_request_event", "external_pull_request_event"):
        pull_request = source
    branch = None if pull_request else environment.get("CI_COMMIT_BRANCH")
    return CIEnvironment(
        "gitlab",
        branch,
        pull_request,
        environment.get("CI_JOB_URL"),
        source or None,
        environment.get("CI_COMMIT_BEFORE_SHA"),
    )


def _jenkins(environment: Mapping[str, str]) -> CIEnvironment:
    """https://www.jenkins.io/doc/book/pipeline/multibranch/: BRANCH_NAME is also what it calls a tag or a change."""
    pull_request = environment.get("CHANGE_ID")
    branch = None if pull_request or environment.get("TAG_NAME") else environment.get("BRANCH_NAME")
    return CIEnvironment("jenkins", branch, pull_request, environment.get("BUILD_URL"))
