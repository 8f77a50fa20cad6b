"""Which CI is around us, read from its documented variables into one type."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NO = frozenset({"", "false", "0", "no"})
_OTHERS = ("TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")  # CI systems that do not set CI
_LONGEST_EVENT = 25 << 20  # GitHub's own limit for a payload

# What CI systems call the pull request that a job runs for: Azure Pipelines, Bitbucket, CircleCI, Travis, Drone,
# Woodpecker, Buildkite, AppVeyor, Cirrus, Semaphore, Bitrise, Codefresh, and Jenkins with its plugins that build them.
_PULL_REQUEST_VARIABLES = (
    "SYSTEM_PULLREQUEST_PULLREQUESTID", "BITBUCKET_PR_ID", "CIRCLE_PULL_REQUEST", "CIRCLE_PR_NUMBER",
    "TRAVIS_PULL_REQUEST", "DRONE_PULL_REQUEST", "CI_COMMIT_PULL_REQUEST", "BUILDKITE_PULL_REQUEST",
    "APPVEYOR_PULL_REQUEST_NUMBER", "CIRRUS_PR", "SEMAPHORE_GIT_PR_NUMBER", "BITRISE_PULL_REQUEST",
    "CF_PULL_REQUEST_NUMBER", "CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid", "BITBUCKET_PULL_REQUEST_ID",
)  # fmt: skip
_BRANCH_VARIABLES = (
    "BITBUCKET_BRANCH", "CIRCLE_BRANCH", "TRAVIS_BRANCH", "DRONE_BRANCH", "CI_COMMIT_BRANCH", "BUILDKITE_BRANCH",
    "APPVEYOR_REPO_BRANCH", "CIRRUS_BRANCH",
)  # fmt: skip
_TAG_VARIABLES = (
    "BITBUCKET_TAG", "CIRCLE_TAG", "TRAVIS_TAG", "DRONE_TAG", "CI_COMMIT_TAG", "BUILDKITE_TAG",
    "APPVEYOR_REPO_TAG_NAME", "CIRRUS_TAG",
)  # fmt: skip
_COMMIT_VARIABLES = (
    "BUILD_SOURCEVERSION", "BITBUCKET_COMMIT", "CIRCLE_SHA1", "TRAVIS_COMMIT", "DRONE_COMMIT_SHA", "CI_COMMIT_SHA",
    "BUILDKITE_COMMIT", "APPVEYOR_REPO_COMMIT", "CIRRUS_CHANGE_IN_REPO", "CODEBUILD_RESOLVED_SOURCE_VERSION",
)  # fmt: skip
_RUN_VARIABLES = (
    "CIRCLE_BUILD_URL",
    "TRAVIS_BUILD_WEB_URL",
    "DRONE_BUILD_LINK",
    "CI_PIPELINE_URL",
    "BUILDKITE_BUILD_URL",
)
_BRANCH_PREFIX, _TAG_PREFIX = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class CIEnvironment:
    """What the surroundings say. ``name`` is None on a person's machine. Nothing of it is trusted text.

    ``branch`` is what a detached checkout can't tell; ``pull_request`` is set when the job runs for one, where
    the code, or the wish to run it, comes from somebody who may not release. ``event`` is the CI's own word for what
    started the job; ``before`` the commit that the branch pointed to before this push, as far as the CI tells;
    ``ref`` the whole name (``refs/heads/main``) of the branch or tag; ``actor`` who started the job.
    """

    name: str | None
    branch: str | None = None
    pull_request: str | None = None
    run_url: str | None = None
    event: str | None = None
    before: str | None = None
    ref: str | None = None
    commit: str | None = None
    actor: str | None = None

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
    if _is_jenkins(environment):
        return _jenkins(environment)
    if environment.get("CI", "").lower() not in _NO or any(environment.get(name) for name in _OTHERS):
        return _other(environment)
    return CIEnvironment(None)


# --- GitHub Actions, and those that speak its language (Gitea, Forgejo) -------------------------------------------


def _github(environment: Mapping[str, str]) -> CIEnvironment:
    """https://docs.github.com/actions/reference/workflows-and-actions/variables"""
    event, ref = environment.get("GITHUB_EVENT_NAME", ""), _github_ref(environment)
    pull_request = _github_pull_request(environment, event)
    server, repository = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    run = environment.get("GITHUB_RUN_ID")
    payload = _payload(environment) if event == "push" else {}
    return CIEnvironment(
        "github",
        _branch_of(ref) if pull_request is None else None,
        pull_request,
        f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None,
        event or None,
        _text(payload.get("before")),
        ref,
        environment.get("GITHUB_SHA") or None,
        environment.get("GITHUB_TRIGGERING_ACTOR") or environment.get("GITHUB_ACTOR") or None,
    )


def _github_ref(environment: Mapping[str, str]) -> str | None:
    if ref := environment.get("GITHUB_REF"):
        return ref
    prefix = {"branch": _BRANCH_PREFIX, "tag": _TAG_PREFIX}.get(environment.get("GITHUB_REF_TYPE", ""))
    name = environment.get("GITHUB_REF_NAME")
    return f"{prefix}{name}" if prefix and name else None


def _github_pull_request(environment: Mapping[str, str], event: str) -> str | None:
    """What the job runs for, where that is a pull request: directly, or because somebody's pull request started it.

    Events about one (``pull_request_target``, a comment, a workflow that followed one) run trusted code on the default
    branch, but whoever opened the pull request decided that it runs, and often what it checks out.
    """
    ref = environment.get("GITHUB_REF", "")
    if event.startswith("pull_request"):
        return environment.get("GITHUB_REF_NAME") or event
    if ref.startswith("refs/pull/") or environment.get("GITHUB_HEAD_REF"):
        return environment.get("GITHUB_REF_NAME") or ref or event
    if event == "merge_group" or ref.startswith("refs/heads/gh-readonly-queue/"):
        return environment.get("GITHUB_REF_NAME") or event  # the queue tests what is not merged yet
    if event in _ABOUT:
        return event if _ABOUT[event](_payload(environment)) else None
    return None


def _follows_pull_request(payload: Mapping[str, Any]) -> bool:
    """``workflow_run``: the workflow before ran for one. One that does not say counts as such."""
    run = payload.get("workflow_run")
    first = run.get("event") if isinstance(run, dict) else None
    return not isinstance(first, str) or first.startswith("pull_request") or first in _ABOUT or first == "merge_group"


def _comments_on_pull_request(payload: Mapping[str, Any]) -> bool:
    """``issue_comment``: GitHub sends it for both; one that does not say counts as a pull request's."""
    issue = payload.get("issue")
    return not isinstance(issue, dict) or "pull_request" in issue


def _checks_pull_request(payload: Mapping[str, Any]) -> bool:
    """``check_run`` and ``check_suite``: a list of pull requests; it is empty for those of forks."""
    check = payload.get("check_run") or payload.get("check_suite")
    suite = check.get("check_suite", check) if isinstance(check, dict) else None
    if not isinstance(suite, dict):
        return True
    return bool(suite.get("pull_requests")) or not isinstance(suite.get("head_branch"), str)


_ABOUT = {
    "workflow_run": _follows_pull_request,
    "issue_comment": _comments_on_pull_request,
    "check_run": _checks_pull_request,
    "check_suite": _checks_pull_request,
}


def _payload(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """What GitHub says of the event; empty when it can't be read."""
    name = environment.get("GITHUB_EVENT_PATH")
    if not name:
        return {}
    try:
        with Path(name).open("rb") as stream:
            content = json.loads(stream.read(_LONGEST_EVENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


# --- GitLab CI ----------------------------------------------------------------------------------------------------


def _gitlab(environment: Mapping[str, str]) -> CIEnvironment:
    """https://docs.gitlab.com/ci/variables/predefined_variables/"""
    pull_request = environment.get("CI_MERGE_REQUEST_IID") or environment.get("CI_EXTERNAL_PULL_REQUEST_IID")
    source = environment.get("CI_PIPELINE_SOURCE", "")
    if not pull_request and source in ("merge_request_event", "external_pull_request_event"):
        pull_request = source
    ref = _ref_of(environment.get("CI_COMMIT_BRANCH"), environment.get("CI_COMMIT_TAG"))
    if not pull_request and ref is None:  # of neither branch nor tag: a child, perhaps, of a merge request's pipeline
        pull_request = environment.get("CI_COMMIT_REF_NAME") or source or "unknown"
    return CIEnvironment(
        "gitlab",
        None if pull_request else _branch_of(ref),
        pull_request,
        environment.get("CI_JOB_URL"),
        source or None,
        environment.get("CI_COMMIT_BEFORE_SHA"),
        environment.get("CI_MERGE_REQUEST_REF_PATH") or ref,
        environment.get("CI_COMMIT_SHA") or None,
        environment.get("GITLAB_USER_LOGIN") or None,
    )


# --- Jenkins ------------------------------------------------------------------------------------------------------


def _is_jenkins(environment: Mapping[str, str]) -> bool:
    """JENKINS_URL is there only where an administrator has told Jenkins its address; what names a build always is."""
    return bool(environment.get("JENKINS_URL")) or environment.get("BUILD_TAG", "").startswith("jenkins-")


def _jenkins(environment: Mapping[str, str]) -> CIEnvironment:
    """https://www.jenkins.io/doc/book/pipeline/multibranch/: BRANCH_NAME is also what it calls a tag or a change.

    A job that is not multibranch has GIT_BRANCH of the git plugin, with the remote's name in front.
    """
    pull_request = _said(environment, _PULL_REQUEST_VARIABLES)
    tag = environment.get("TAG_NAME")
    branch = environment.get("BRANCH_NAME") or environment.get("GIT_LOCAL_BRANCH")
    if not branch and (remote := environment.get("GIT_BRANCH")):
        branch = remote.removeprefix("origin/").removeprefix(_BRANCH_PREFIX)
    if branch == "HEAD" or branch == "detached":
        branch = None
    ref = None if pull_request else _ref_of(branch, tag)
    return CIEnvironment(
        "jenkins",
        _branch_of(ref),
        pull_request,
        environment.get("BUILD_URL"),
        ref=ref,
        commit=environment.get("GIT_COMMIT") or None,
        before=environment.get("GIT_PREVIOUS_COMMIT") or None,
        actor=environment.get("BUILD_USER_ID") or None,
    )


# --- all others ---------------------------------------------------------------------------------------------------


def _other(environment: Mapping[str, str]) -> CIEnvironment:
    """A CI that we know no more of than what such systems call things."""
    pull_request = _said(environment, _PULL_REQUEST_VARIABLES)
    if pull_request is None and environment.get("CODEBUILD_WEBHOOK_EVENT", "").startswith("PULL_REQUEST_"):
        pull_request = environment["CODEBUILD_WEBHOOK_EVENT"]
    built = environment.get("CODEBUILD_SOURCE_VERSION", "")
    if pull_request is None and built.startswith("pr/"):  # so it is also where somebody starts such a build by hand
        pull_request = built
    source = environment.get("BUILD_SOURCEBRANCH") or environment.get("CODEBUILD_WEBHOOK_HEAD_REF", "")
    if pull_request is None and source.startswith("refs/pull/"):
        pull_request = source
    ref = source if source.startswith("refs/") else None
    ref = ref or _ref_of(_said(environment, _BRANCH_VARIABLES), _said(environment, _TAG_VARIABLES))
    return CIEnvironment(
        "ci",
        None if pull_request else _branch_of(ref),
        pull_request,
        _said(environment, _RUN_VARIABLES),
        ref=ref,
        commit=_said(environment, _COMMIT_VARIABLES),
    )


def _said(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first of these variables that says something; ``false`` is how some say nothing."""
    values = (environment.get(name, "") for name in names)
    return next((value for value in values if value.lower() not in _NO), None)


def _ref_of(branch: str | None, tag: str | None) -> str | None:
    """The whole name. A tag goes first: some systems give its name as the branch too."""
    if tag:
        return f"{_TAG_PREFIX}{tag}"
    return f"{_BRANCH_PREFIX}{branch}" if branch else None


def _branch_of(ref: str | None) -> str | None:
    return ref.removeprefix(_BRANCH_PREFIX) if ref and ref.startswith(_BRANCH_PREFIX) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
