"""Which CI is around us, read from its documented variables into one type."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_TRUE = frozenset({"true", "1", "yes"})


@dataclass(frozen=True, slots=True)
class CIEnvironment:
    """What the surroundings say. ``name`` is None on a person's machine.

    ``branch`` is what a detached checkout can't tell; ``pull_request`` is set when the job runs for one, where
    the code comes from somebody who may not release.
    """

    name: str | None
    branch: str | None = None
    pull_request: str | None = None
    run_url: str | None = None

    @property
    def is_ci(self) -> bool:
        """Not on a person's machine."""
        return self.name is not None


def detect(environment: Mapping[str, str] = os.environ) -> CIEnvironment:
    """Read GitHub Actions, GitLab CI, Jenkins, or whatever sets ``CI``."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return CIEnvironment(
            "gitlab",
            environment.get("CI_COMMIT_BRANCH"),
            environment.get("CI_MERGE_REQUEST_IID"),
            environment.get("CI_JOB_URL"),
        )
    if environment.get("JENKINS_URL"):
        return CIEnvironment(
            "jenkins", environment.get("BRANCH_NAME"), environment.get("CHANGE_ID"), environment.get("BUILD_URL")
        )
    if environment.get("CI", "").lower() in _TRUE:
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
    )
