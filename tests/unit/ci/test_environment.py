"""Which CI is around us: a table of what each one documents."""

from __future__ import annotations

import pytest

from orchestrator.ci.environment import CIEnvironment, detect
from orchestrator.core.errors import ExitCode, Refused
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
    "Jenkins, no multibranch": (without(JENKINS, "BRANCH_NAME"), CIEnvironment("jenkins", None, None, JENKINS_URL)),
}


@pytest.mark.parametrize(("environment", "expected"), TABLE.values(), ids=TABLE)
def test_the_surroundings_are_read(environment: dict[str, str], expected: CIEnvironment) -> None:
    assert detect(environment) == expected


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
    "Jenkins": JENKINS | {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7"},
}


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
