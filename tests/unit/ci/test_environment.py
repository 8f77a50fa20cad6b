"""Which CI is around us: a table of what each one documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.ci.environment import CIEnvironment, detect
from orchestrator.core.environment import ApplicationRule, Policy
from orchestrator.core.errors import ExitCode, Refused
from orchestrator.core.names import BranchName
from pipelines.preflight import refuse_pull_request_events

GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "42",
}
GITHUB_URL = "https://github.example/acme/shop/actions/runs/42"
GITLAB = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_PIPELINE_SOURCE": "push",
    "CI_COMMIT_BRANCH": "main",
    "CI_JOB_URL": "https://gitlab.example/acme/shop/-/jobs/42",
}
GITLAB_URL = GITLAB["CI_JOB_URL"]
JENKINS = {
    "JENKINS_URL": "https://jenkins.example/",
    "BRANCH_NAME": "main",
    "BUILD_URL": "https://jenkins.example/job/shop/42/",
}
JENKINS_URL = JENKINS["BUILD_URL"]


def without(environment: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


TABLE = {
    "a person": ({}, CIEnvironment(None)),
    "a person, CI set empty": ({"CI": ""}, CIEnvironment(None)),
    "a person, CI switched off": ({"CI": "false"}, CIEnvironment(None)),
    "a person, CI is 0": ({"CI": "0"}, CIEnvironment(None)),
    "some CI": ({"CI": "true"}, CIEnvironment("ci")),
    "some CI that says 1": ({"CI": "1"}, CIEnvironment("ci")),
    "some CI in capitals": ({"CI": "TRUE"}, CIEnvironment("ci")),
    "some CI that says its name": ({"CI": "woodpecker"}, CIEnvironment("ci")),
    "some CI without a CI variable": ({"TF_BUILD": "True"}, CIEnvironment("ci")),
    "a CI that names only its build": ({"CODEBUILD_BUILD_ID": "shop:1"}, CIEnvironment("ci")),
    "a CI that names only its version": ({"TEAMCITY_VERSION": "2026.1"}, CIEnvironment("ci")),
    "GitHub, push to a branch": (GITHUB, CIEnvironment("github", "main", None, GITHUB_URL, "push")),
    "GitHub, a branch with a slash": (
        GITHUB | {"GITHUB_REF_NAME": "release/1.x"},
        CIEnvironment("github", "release/1.x", None, GITHUB_URL, "push"),
    ),
    "GitHub, tag": (
        GITHUB | {"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v1.2.3"},
        CIEnvironment("github", None, None, GITHUB_URL, "push"),
    ),
    "GitHub, by hand": (
        GITHUB | {"GITHUB_EVENT_NAME": "workflow_dispatch"},
        CIEnvironment("github", "main", None, GITHUB_URL, "workflow_dispatch"),
    ),
    "GitHub, on schedule": (
        GITHUB | {"GITHUB_EVENT_NAME": "schedule"},
        CIEnvironment("github", "main", None, GITHUB_URL, "schedule"),
    ),
    "GitHub, no run": (without(GITHUB, "GITHUB_RUN_ID"), CIEnvironment("github", "main", event="push")),
    "GITHUB_ACTIONS not true": ({"GITHUB_ACTIONS": "false", "CI": "true"}, CIEnvironment("ci")),
    "GitLab, push to a branch": (GITLAB, CIEnvironment("gitlab", "main", None, GITLAB_URL, "push")),
    "GitLab, what was there before": (
        GITLAB | {"CI_COMMIT_BEFORE_SHA": "b" * 40},
        CIEnvironment("gitlab", "main", None, GITLAB_URL, "push", "b" * 40),
    ),
    "GitLab, tag": (
        without(GITLAB, "CI_COMMIT_BRANCH") | {"CI_COMMIT_TAG": "v1.2.3"},
        CIEnvironment("gitlab", None, None, GITLAB_URL, "push"),
    ),
    "Jenkins, branch": (JENKINS, CIEnvironment("jenkins", "main", None, JENKINS_URL)),
    "Jenkins, tag": (
        JENKINS | {"BRANCH_NAME": "v1.2.3", "TAG_NAME": "v1.2.3"},
        CIEnvironment("jenkins", None, None, JENKINS_URL),
    ),
    "Jenkins that was never told its address": (
        {"BUILD_TAG": "jenkins-shop-main-1", "BRANCH_NAME": "main"}, CIEnvironment("jenkins", "main"),
    ),
    "Jenkins, no multibranch": (without(JENKINS, "BRANCH_NAME"), CIEnvironment("jenkins", None, None, JENKINS_URL)),
}  # fmt: skip


@pytest.mark.parametrize(("environment", "expected"), TABLE.values(), ids=TABLE)
def test_the_surroundings_are_read(environment: dict[str, str], expected: CIEnvironment) -> None:
    found = detect(environment)
    assert replace(found, ref=None) == expected
    assert found.branch is None or found.ref == f"refs/heads/{found.branch}"


PULL_REQUESTS = {
    "GitHub": GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF_NAME": "7/merge"},
    "GitHub, target": GITHUB | {"GITHUB_EVENT_NAME": "pull_request_target"},
    "GitHub, target, no ref": without(GITHUB, "GITHUB_REF_NAME") | {"GITHUB_EVENT_NAME": "pull_request_target"},
    "GitHub, review": GITHUB | {"GITHUB_EVENT_NAME": "pull_request_review", "GITHUB_REF_NAME": "7/merge"},
    "GitHub, review comment": GITHUB | {"GITHUB_EVENT_NAME": "pull_request_review_comment"},
    "GitLab": GITLAB | {"CI_MERGE_REQUEST_IID": "7", "CI_PIPELINE_SOURCE": "merge_request_event"},
    "GitLab, no number": GITLAB | {"CI_PIPELINE_SOURCE": "merge_request_event"},
    "GitLab, external": GITLAB
    | {"CI_EXTERNAL_PULL_REQUEST_IID": "7", "CI_PIPELINE_SOURCE": "external_pull_request_event"},
    "GitLab, neither branch nor tag": without(GITLAB, "CI_COMMIT_BRANCH") | {"CI_PIPELINE_SOURCE": "parent_pipeline"},
    "Jenkins": JENKINS | {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7"},
    "Jenkins that was never told its address": {
        "CI": "true", "BUILD_TAG": "jenkins-shop-PR-7-1", "BRANCH_NAME": "PR-7", "CHANGE_ID": "7",
    },
    "Jenkins that says nothing of itself": {"CI": "true", "BRANCH_NAME": "PR-7", "CHANGE_ID": "7"},
}  # fmt: skip


@pytest.mark.parametrize("environment", PULL_REQUESTS.values(), ids=PULL_REQUESTS)
def test_a_pull_request_is_recognised_and_its_branch_is_not_taken_for_one_of_ours(environment: dict[str, str]) -> None:
    found = detect(environment)
    assert found.pull_request
    assert found.branch is None
    assert found.is_ci


@pytest.mark.parametrize("environment", PULL_REQUESTS.values(), ids=PULL_REQUESTS)
def test_refuses_release_on_pull_request_events(environment: dict[str, str]) -> None:
    with pytest.raises(Refused, match="not made for a pull request") as caught:
        refuse_pull_request_events(detect(environment))
    assert caught.value.exit_code is ExitCode.REFUSED
    assert caught.value.hint


@pytest.mark.parametrize("environment", [{}, GITHUB, GITLAB, JENKINS, {"CI": "true"}])
def test_a_release_from_a_branch_goes_on(environment: dict[str, str]) -> None:
    refuse_pull_request_events(detect(environment))


def test_only_a_person_is_not_in_ci() -> None:
    assert not detect({}).is_ci
    assert all(detect(environment).is_ci for environment in (GITHUB, GITLAB, JENKINS, {"CI": "true"}))


def test_it_reads_our_own_environment_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect() == CIEnvironment(None)
    monkeypatch.setenv("CI", "true")
    assert detect() == CIEnvironment("ci")


# --- events that somebody's pull request is behind -----------------------------------------------------------------


def with_payload(tmp_path: Path, event: str, payload: object) -> dict[str, str]:
    file = tmp_path / "event.json"
    file.write_text(payload if isinstance(payload, str) else json.dumps(payload))
    return GITHUB | {"GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(file), "GITHUB_REF": "refs/heads/main"}


BEHIND: dict[str, tuple[str, object, bool]] = {
    "a run after a pull request's": ("workflow_run", {"workflow_run": {"event": "pull_request"}}, True),
    "a run after a target's": ("workflow_run", {"workflow_run": {"event": "pull_request_target"}}, True),
    "a run after a comment's": ("workflow_run", {"workflow_run": {"event": "issue_comment"}}, True),
    "a run after a push": ("workflow_run", {"workflow_run": {"event": "push"}}, False),
    "a run after nobody knows what": ("workflow_run", {}, True),
    "a run, unreadable": ("workflow_run", "{", True),
    "a comment on a pull request": ("issue_comment", {"issue": {"pull_request": {}}}, True),
    "a comment on an issue": ("issue_comment", {"issue": {"number": 1}}, False),
    "a comment on nobody knows what": ("issue_comment", "[]", True),
    "a check of a pull request": ("check_run", {"check_run": {"check_suite": {"pull_requests": [{}]}}}, True),
    "a check of a fork's": ("check_suite", {"check_suite": {"pull_requests": [], "head_branch": None}}, True),
    "a check of a branch": ("check_suite", {"check_suite": {"pull_requests": [], "head_branch": "main"}}, False),
    "the merge queue": ("merge_group", {}, True),
    "a push": ("push", {"before": "b" * 40}, False),
}


@pytest.mark.parametrize(("event", "payload", "behind"), BEHIND.values(), ids=BEHIND)
def test_an_event_that_a_pull_request_is_behind_counts_as_one(
    event: str, payload: object, behind: bool, tmp_path: Path
) -> None:
    found = detect(with_payload(tmp_path, event, payload))
    assert (found.pull_request is not None) is behind
    assert (found.branch is None) is behind


def test_a_payload_that_is_not_there_counts_as_a_pull_requests() -> None:
    assert detect(GITHUB | {"GITHUB_EVENT_NAME": "workflow_run"}).pull_request == "workflow_run"


@pytest.mark.parametrize(
    "more",
    [
        {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "7/merge"},
        {"GITHUB_HEAD_REF": "feature"},
        {"GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-7-0", "GITHUB_REF_NAME": "gh-readonly-queue/main/pr-7-0"},
    ],
)
def test_a_ref_of_a_pull_request_counts_whatever_the_event(more: dict[str, str]) -> None:
    assert detect(GITHUB | more).pull_request


OTHER_PULL_REQUESTS = {
    "Azure": {"TF_BUILD": "True", "SYSTEM_PULLREQUEST_PULLREQUESTID": "7"},
    "Azure, by its ref": {"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/pull/7/merge"},
    "Bitbucket": {"CI": "true", "BITBUCKET_PR_ID": "7"},
    "CircleCI": {"CI": "true", "CIRCLE_PULL_REQUEST": "https://example.com/7"},
    "Travis": {"CI": "true", "TRAVIS_PULL_REQUEST": "7"},
    "Drone": {"CI": "true", "DRONE_PULL_REQUEST": "7"},
    "Woodpecker": {"CI": "woodpecker", "CI_COMMIT_PULL_REQUEST": "7"},
    "Buildkite": {"CI": "true", "BUILDKITE_PULL_REQUEST": "7"},
    "CodeBuild": {"CODEBUILD_BUILD_ID": "x", "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_UPDATED"},
    "CodeBuild, started by hand": {"CODEBUILD_BUILD_ID": "x", "CODEBUILD_SOURCE_VERSION": "pr/7"},
    "Semaphore": {"CI": "true", "SEMAPHORE_GIT_PR_NUMBER": "7"},
    "Bitrise": {"CI": "true", "BITRISE_PULL_REQUEST": "7"},
    "Codefresh": {"CI": "true", "CF_PULL_REQUEST_NUMBER": "7"},
    "Jenkins with a plugin": JENKINS | {"gitlabMergeRequestIid": "7"},
}


@pytest.mark.parametrize("environment", OTHER_PULL_REQUESTS.values(), ids=OTHER_PULL_REQUESTS)
def test_other_systems_name_their_pull_requests_too(environment: dict[str, str]) -> None:
    found = detect(environment)
    assert found.is_ci
    assert found.pull_request
    assert found.branch is None


def test_false_is_how_some_say_that_there_is_none() -> None:
    assert detect({"CI": "true", "BUILDKITE_PULL_REQUEST": "false", "BUILDKITE_BRANCH": "main"}) == CIEnvironment(
        "ci", "main", ref="refs/heads/main"
    )


def test_everything_that_github_tells_is_in_one_type(tmp_path: Path) -> None:
    environment = with_payload(tmp_path, "push", {"before": "b" * 40}) | {
        "GITHUB_SHA": "c" * 40, "GITHUB_ACTOR": "ada", "GITHUB_TRIGGERING_ACTOR": "grace",
    }  # fmt: skip
    assert detect(environment) == CIEnvironment(
        "github", "main", None, GITHUB_URL, "push", "b" * 40, "refs/heads/main", "c" * 40, "grace"
    )


# --- branches and tags that a release may be made from -------------------------------------------------------------


def policy_for(*refs: str, own: tuple[str, ...] = ()) -> Policy:
    rules = (ApplicationRule("shop", ("**",), release_refs=own),)
    return Policy({}, BranchName("main"), "gitops (main)", applications=rules, release_refs=refs)


@pytest.mark.parametrize(
    ("allowed", "ref", "goes"),
    [
        ((), "refs/heads/anything", True),
        ((), None, True),
        (("main",), "refs/heads/main", True),
        (("main",), "refs/heads/main/x", False),
        (("main",), "refs/tags/main", False),
        (("main",), None, False),
        (("release/*",), "refs/heads/release/1.x", True),
        (("release/*",), "refs/heads/release/1/x", False),
        (("release/**",), "refs/heads/release/1/x", True),
        (("main", "refs/tags/v*"), "refs/tags/v1.2.3", True),
        (("refs/tags/v*",), "refs/heads/v1", False),
    ],
)
def test_a_release_is_made_from_refs_that_the_policy_allows(
    allowed: tuple[str, ...], ref: str | None, goes: bool
) -> None:
    for policy in (policy_for(*allowed), policy_for("other", own=allowed) if allowed else policy_for()):
        if goes:
            policy.authorise_ref("shop", ref)
            continue
        with pytest.raises(Refused, match="is not made from") as caught:
            policy.authorise_ref("shop", ref)
        assert caught.value.exit_code is ExitCode.REFUSED
