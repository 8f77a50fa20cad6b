"""Releases by a CI job: from refs that the policy allows, with no way into a cluster; reviewers see the waivers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.ci.environment import CIEnvironment, detect
from orchestrator.ci.guard import Kind, Signal
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import ExitCode, Refused
from orchestrator.core.release import TestsFailed
from orchestrator.engine.stage import State
from orchestrator.gitops.outcome import Opened
from pipelines.building import BuildOptions, build
from pipelines.release import ReleaseOptions, release
from tests.simulation.workshop import Workshop
from tests.unit.gitops.changes import POLICY

AWS = Signal("AWS_ACCESS_KEY_ID", "unset it", Kind.CLOUD, "aws")
KUBECONFIG = Signal("KUBECONFIG", "unset it")


def workshop_with(root: Path, policy: str) -> Workshop:
    """A world whose base branch says this besides."""
    workshop = Workshop(root)
    workshop.town.git.commit_files({POLICY_PATH: POLICY + policy.encode()})
    return workshop


def in_ci(workshop: Workshop, ref: str | None = "refs/heads/main", *signals: Signal) -> Opened:
    job = replace(workshop.job(), ci=CIEnvironment("github", ref=ref), signals=signals)
    outcome = release(workshop.ports(), job, ReleaseOptions()).outcome
    assert isinstance(outcome, Opened)
    return outcome


def test_a_release_is_made_from_a_ref_that_the_policy_lists(tmp_path: Path) -> None:
    workshop = workshop_with(tmp_path, 'release-refs: [main, "refs/tags/v*"]\n')
    for ref in ("refs/heads/feature", "refs/tags/nightly"):
        with pytest.raises(Refused, match=f"is not made from {ref}"):
            in_ci(workshop, ref)
    assert workshop.engine.faults.calls["build"] == 0
    in_ci(workshop)


# What each CI says of a run: for a branch that the policy lists, for one that it does not, for a pull request.
SAID: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "github": (
        {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main"},
        {"GITHUB_REF": "refs/heads/feature"},
        {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_HEAD_REF": "main"},
    ),
    "gitlab": (
        {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main"},
        {"CI_COMMIT_BRANCH": "feature"},
        {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7", "CI_COMMIT_BRANCH": ""},
    ),
    "jenkins": (
        {"JENKINS_URL": "https://jenkins.example/", "BRANCH_NAME": "main"},
        {"BRANCH_NAME": "feature"},
        {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_TARGET": "main"},
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_a_release_for_another_branch_or_a_pull_request_is_refused_by_what_the_ci_says(
    name: str, tmp_path: Path
) -> None:
    """The checkout says main each time: it is the CI that tells what the run is for."""
    workshop = workshop_with(tmp_path, "release-refs: [main]\n")
    base, other, pull_request = SAID[name]
    for more, told in ((other, "is not made from refs/heads/feature"), (pull_request, "not made for a pull request")):
        job = replace(workshop.job(), ci=detect(base | more))
        assert job.ci.name == name
        with pytest.raises(Refused, match=told) as caught:
            release(workshop.ports(), job, ReleaseOptions())
        assert caught.value.exit_code is ExitCode.REFUSED
        assert caught.value.hint
        with pytest.raises(Refused, match=told):
            build(workshop.ports(), job, BuildOptions(("api",)))
    assert workshop.engine.faults.calls["build"] == 0
    assert workshop.town.pulls() == []
    release(workshop.ports(), replace(workshop.job(), ci=detect(base)), ReleaseOptions())
    assert len(workshop.town.open_pulls()) == 1


def test_an_identity_of_the_registrys_cloud_is_taken_where_the_policy_names_it(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="AWS_ACCESS_KEY_ID"):
        in_ci(workshop_with(tmp_path / "a", ""), "refs/heads/main", AWS)
    in_ci(workshop_with(tmp_path / "b", "guard: {allow_registry_identity: aws}\n"), "refs/heads/main", AWS)
    several = workshop_with(tmp_path / "c", "guard: {allow_registry_identity: [gcp, aws]}\n")
    with pytest.raises(Refused, match=r"holds a cluster credential: KUBECONFIG$"):
        in_ci(several, "refs/heads/main", AWS, KUBECONFIG)


def test_a_waiver_is_echoed_in_the_pull_request_with_its_reason(tmp_path: Path) -> None:
    waiver = "guard: {waivers: [{signal: KUBECONFIG, reason: the shared runner mounts it until June}]}\n"
    workshop = workshop_with(tmp_path, waiver)
    outcome = in_ci(workshop, "refs/heads/main", KUBECONFIG)
    assert "`KUBECONFIG`: `the shared runner mounts it until June`" in outcome.pull_request.body


def test_a_failed_test_knows_its_line_and_what_else_ran(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    config = tmp_path / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace('run: "echo fine"}', 'run: "exit 1"}'))
    with pytest.raises(TestsFailed) as caught:
        workshop.release(ReleaseOptions(only=("api",)))
    (place,) = caught.value.places
    assert place.file == str(config.resolve())
    assert place.line is not None
    assert "exit 1" in config.read_text().splitlines()[place.line - 1]
    assert [test.passed for test in caught.value.tests] == [False]


def test_a_result_has_the_graph_that_ran(tmp_path: Path) -> None:
    result = Workshop(tmp_path).release()
    assert result.graph is not None
    assert {one.name for one in result.stages if one.state is State.DONE} <= {
        "preflight", *(node.name for node in result.graph.nodes),
    }  # fmt: skip
