"""Planning a change: what it would write, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.gitops.plan import plan_change
from tests.unit.gitops.changes import API, DEPLOYMENT, FILES, KUSTOMIZATION, WORKER, change, digest, pinned, policy

BASE = CommitId("ab" * 20)


def test_a_plan_moves_the_named_images_and_no_look_alike() -> None:
    plan = plan_change(change(2), BASE, FILES, policy())

    after = {edit.path.name: edit.after for edit in plan.edits}
    assert after == {
        "kustomization.yaml": KUSTOMIZATION.replace(b'newTag: "1"', f'newTag: "2"\n  digest: {digest(2)}'.encode()),
        "worker.yaml": DEPLOYMENT.replace(b"worker:1", f"worker:2@{digest(2)}".encode()),
    }
    assert [(str(pin.path), pin.line, pin.before.tag, pin.after) for pin in plan.pins] == [
        ("apps/shop/dev/kustomization.yaml", 4, "1", pinned(API)),
        ("apps/shop/dev/worker.yaml", 4, "1", pinned(WORKER)),
    ]


def test_planning_on_its_own_result_is_empty() -> None:
    plan = plan_change(change(2), BASE, FILES, policy())
    applied = {**FILES, **{edit.path: edit.after for edit in plan.edits}}

    again = plan_change(change(2), BASE, applied, policy())

    assert again.empty
    assert again.pins == ()


def test_an_image_that_no_file_refers_to_is_an_error_that_lists_what_is_there() -> None:
    wanted = change(2, "dev", pinned(Repository("ghcr.io", "acme/shop/web")))

    with pytest.raises(ConfigurationError) as caught:
        plan_change(wanted, BASE, FILES, policy())

    assert "no file of the environment 'dev' refers to ghcr.io/acme/shop/web" in caught.value.message
    assert "found there: ghcr.io/acme/shop/api" in caught.value.details


def test_an_environment_without_files_says_where_it_looked() -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_change(change(2), BASE, {}, policy())

    assert caught.value.where == "apps/shop/dev/** (0 files)"


def test_a_file_outside_the_application_s_own_paths_is_not_touched() -> None:
    own, foreign = RepoPath("apps/free/dev/own/a.yaml"), RepoPath("apps/free/dev/a.yaml")
    wanted = replace(change(2, "dev", pinned(WORKER)), scope="free")

    plan = plan_change(wanted, BASE, {own: DEPLOYMENT, foreign: DEPLOYMENT}, policy())

    assert [edit.path for edit in plan.edits] == [own]


def test_a_broken_file_that_does_not_hold_the_image_is_ignored() -> None:
    files = {**FILES, RepoPath("apps/shop/dev/broken.yaml"): b"a: [b\n"}

    assert len(plan_change(change(2), BASE, files, policy()).edits) == 2


def test_a_broken_file_that_holds_the_image_is_an_error_with_its_place() -> None:
    files = {**FILES, RepoPath("apps/shop/dev/broken.yaml"): b"image: [ghcr.io/acme/shop/api:1\nb: {"}

    with pytest.raises(ConfigurationError) as caught:
        plan_change(change(2), BASE, files, policy())

    assert caught.value.where is not None
    assert caught.value.where.startswith("apps/shop/dev/broken.yaml:")
