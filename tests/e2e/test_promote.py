"""The promote command as people and jobs call it: real git, the embedded forge, no configuration, no engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from orchestrator.forges.base import PullRequestState
from orchestrator.reports.promotions import promotion_schema
from tests.e2e.promotions import API, POLICY, UNSET, WORKER, Estate, pinned, repinned
from tests.servers.git_repositories import git

STAGING, EU = "apps/shop/staging/kustomization.yaml", "clusters/prod-eu/shop/kustomization.yaml"

pytestmark = pytest.mark.timeout(110)


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    made = Estate(tmp_path)
    made.release(2)
    return made


def test_an_image_goes_from_dev_through_staging_to_every_cluster(estate: Estate) -> None:
    record = estate.promoted("--from", "dev", "--to", "staging")
    jsonschema.Draft202012Validator(promotion_schema()).validate(record)
    assert (record["state"], record["changed"], record["scope"]) == ("opened", True, "shop")
    estate.merge(1)

    first = estate.promoted("--from", "staging", "--to", "prod", "--all-waves")
    assert [(one["environment"], one["wave"], one["state"]) for one in first["environments"]] == [
        ("prod/ap", 1, "opened"),
        ("prod/eu", 2, "waiting"),
        ("prod/us", 2, "waiting"),
    ]
    assert [one.draft for one in sorted(estate.pulls(), key=lambda one: one.number)] == [False, False, True, True]
    estate.merge(2)
    estate.promoted("--from", "staging", "--to", "prod", "--wave", "2")
    for pull in estate.pulls(PullRequestState.OPEN):
        estate.merge(pull.number)

    left = [line for line in estate.file("main", EU).splitlines() if not re.search("newTag|digest", line)]
    assert left == UNSET.format(folder="clusters/prod-eu/shop").splitlines()
    for repository in (API, WORKER):
        for path in (STAGING, EU, EU.replace("eu", "us"), EU.replace("eu", "ap")):
            assert str(pinned(repository, 2).digest) in estate.file("main", path)
    again = estate.promoted("--from", "staging", "--to", "prod", "--all-waves")
    assert (again["state"], again["changed"]) == ("unchanged", False)
    assert len(estate.pulls()) == 4


def test_nothing_but_the_pins_changes(estate: Estate) -> None:
    estate.promoted("--from", "dev", "--to", "staging")
    diff = git(estate.bare, "diff", "--numstat", "main", "hybrid-ci/staging/shop")
    assert diff.split() == ["4", "0", STAGING]


def test_the_terminal_shows_gates_reasons_and_what_to_do(estate: Estate) -> None:
    refused = estate.promote("--from", "dev", "--to", "prod", "--wave", "1")
    assert refused.returncode == 3
    assert "order  refuse  staging does not run api" in refused.stdout
    assert "error: the promotion to prod/ap is refused" in refused.stderr
    assert "--skip staging --reason" in refused.stderr
    assert estate.pulls() == []

    skipped = estate.promote(
        "--from", "dev", "--to", "prod", "--wave", "1", "--skip", "staging", "--reason", "outage 42"
    )
    assert skipped.returncode == 0, skipped.stderr
    assert "set aside: staging is skipped: outage 42" in skipped.stdout
    assert "Hybrid-CI-Skip: staging outage 42" in git(
        estate.bare, "log", "-1", "--format=%B", "hybrid-ci/prod_2fap/shop"
    )
    estate.merge(1)
    later = estate.promote("--from", "dev", "--to", "staging", "--dry-run", "--output", "markdown")
    assert "Not made good yet: `staging was skipped for" in later.stdout


def test_a_dry_run_prints_the_exact_diff_and_the_calls(estate: Estate) -> None:
    done = estate.run(
        "--verbose", "promote", "--gitops", str(estate.bare), "--from", "dev", "--to", "staging", "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    assert f"+  digest: {pinned(API, 2).digest}" in done.stdout
    assert re.search(r"^calls: git \d+ \(", done.stdout, re.MULTILINE)
    assert (estate.pulls(), "hybrid-ci/" in git(estate.bare, "for-each-ref")) == ([], False)


def test_without_a_policy_a_dry_run_shows_what_the_layout_suggests_and_nothing_is_written(estate: Estate) -> None:
    estate.write({".hybrid-ci/environments.yaml": None})
    shown = estate.promote("--from", "dev", "--to", "staging", "--application", "shop", "--dry-run")
    real = estate.promote("--from", "dev", "--to", "staging", "--application", "shop")
    assert real.returncode == 2
    assert "environments.yaml" in real.stderr
    assert shown.returncode == 0
    assert "the environments are those that the layout suggests" in shown.stderr
    assert f"+  digest: {pinned(API, 2).digest}" in shown.stdout
    assert estate.pulls() == []


def test_semantic_versions_keep_an_environment_from_moving_backwards(tmp_path: Path) -> None:
    estate = Estate(tmp_path, POLICY.replace("applications:", 'order: {"**": semver}\napplications:'))
    tag = {"1.2": "1.2.0", "1.3": "1.3.0"}
    for path, version in (("apps/shop/dev/kustomization.yaml", 2), (STAGING, 3)):
        text = estate.file("main", path)
        for repository in (API, WORKER):
            text = repinned(text, pinned(repository, version))
        for short, long in tag.items():
            text = text.replace(f'"{short}"', f'"{long}"')
        estate.write({path: text})
    done = estate.promote("--from", "dev", "--to", "staging")
    assert done.returncode == 3
    assert "its version is lower" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--to", "staging"), 2, "--from"),
        (("--from", "dev"), 2, "--to"),
        (("--from", "dev", "--to", "nowhere"), 2, "there is no environment 'nowhere'"),
        (("--from", "dev", "--to", "prod"), 2, "say which one goes"),
        (("--from", "dev", "--to", "prod", "--wave", "1", "--all-waves"), 2, "one wave, or all of them"),
        (("--from", "dev", "--to", "staging", "--skip", "dev"), 2, "needs its reason"),
        (("--from", "dev", "--to", "staging", "--wait", "--timeout", "soon"), 2, "not a length of time"),
        (("--from", "dev", "--to", "staging", "--allow-unknown-order", " "), 2, "is no reason"),
        (("--from", "dev", "--to", "staging", "--image", "web"), 2, "no image 'web'"),
        (("--from", "dev", "--to", "staging", "--application", "../x"), 3, "is not an application's name"),
        (("--from", "dev", "--to", "staging", "--record", "/tmp"), 2, "can't be written there"),
    ],
)
def test_a_mistake_is_one_clear_error_and_writes_nothing(
    estate: Estate, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = estate.promote(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert estate.pulls() == []


def test_the_record_file_is_what_the_terminal_gets(estate: Estate, tmp_path: Path) -> None:
    file = tmp_path / "records" / "promotion.json"
    record = estate.promoted("--from", "dev", "--to", "staging", "--record", str(file))
    assert json.loads(file.read_text()) == record
    assert record["calls"]["forge"]["open"] == 1
