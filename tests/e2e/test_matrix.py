"""Three runners, three processes, three checkouts: one pull request; and every way in which a part can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.forges.base import PullRequestState
from tests.e2e.shop import CONFIG, DEPLOYMENT, Done, Shop, git

pytestmark = pytest.mark.engine

BRANCH = "refs/heads/hybrid-ci/dev/shop"
DEV = "apps/shop/overlays/dev"
IMAGES = ("api", "worker", "mailer")
MAILER = """\
  mailer:
    repository: REGISTRY/acme/mailer
    context: mailer
    args: {BASE: "BASE_IMAGE"}
    tests:
      - name: answers
        run: test "$(/worker)" = 43
        timeout: 1m
"""
SECRETS = ("HYBRID_CI_GIT_TOKEN", "HYBRID_CI_FORGE_TOKEN")


class Runners:
    """Machines of a CI: each has a checkout of its own, and the build ones hold no login for the GitOps repository."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.records = shop.root / "records"

    def checkout(self, name: str) -> Path:
        place = self.shop.root / f"runner-{name}"
        if not place.exists():
            git(self.shop.root, "clone", "-q", str(self.shop.app), str(place))
            git(place, "remote", "set-url", "origin", "https://git.example/acme/shop.git")
        return place

    def start(self, runner: str, *arguments: str, secrets: bool = False) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.shop.environment, "CI": "true"}
        if not secrets:
            environment = {name: value for name, value in environment.items() if name not in SECRETS}
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            cwd=self.checkout(runner), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, runner: str, *arguments: str, secrets: bool = False) -> Done:
        with self.start(runner, *arguments, secrets=secrets) as process:
            out, err = process.communicate(timeout=110)
        return Done(arguments, process.returncode, out, err)

    def build_all(self) -> None:
        """Every image on a runner of its own, all at once."""
        processes = {
            image: self.start(image, "build", "--image", image, "--record", str(self.records / f"{image}.json"))
            for image in IMAGES
        }
        for image, process in processes.items():
            with process:
                _, err = process.communicate(timeout=110)
            assert process.returncode == 0, f"{image}: {err}"

    def hand_off(self, *arguments: str) -> Done:
        return self.run("handoff", "handoff", "--records", f"{self.records}/*.json", *arguments, secrets=True)

    def record(self, image: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.records / f"{image}.json").read_text())
        return document


@pytest.fixture
def runners(shop: Shop) -> Iterator[Runners]:
    """The shop with a third image."""
    shutil.copytree(shop.app / "worker", shop.app / "mailer")
    (shop.app / "mailer/worker").write_text("#!/bin/sh\necho 43\n")
    shop.configure(CONFIG + MAILER)
    seed = shop.root / "seed"
    deployment = seed / f"{DEV}/mailer.yaml"
    deployment.write_text(shop._filled(DEPLOYMENT.replace("worker", "mailer")))
    git(seed, "add", "-A")
    git(seed, "commit", "-q", "-m", "Add the mailer")
    git(shop.gitops, "fetch", "-q", str(seed), "+refs/heads/main:refs/heads/main")
    yield Runners(shop)


def test_three_runners_make_one_pull_request(runners: Runners, git_token: str) -> None:
    shop = runners.shop
    listed = runners.run("matrix", "matrix", "--output", "github")
    assert listed.returncode == 0, listed.stderr
    assert [one["image"] for one in json.loads(listed.stdout)["include"]] == list(IMAGES)

    runners.build_all()
    assert shop.pull_requests() == []
    done = runners.hand_off("--output", "json")

    assert done.returncode == 0, done.stderr
    release = json.loads(done.stdout)
    assert release["state"] == "opened"
    (pull,) = shop.pull_requests()
    assert pull.state is PullRequestState.OPEN
    held = shop.file(BRANCH, f"{DEV}/kustomization.yaml") + shop.file(BRANCH, f"{DEV}/worker.yaml")
    held += shop.file(BRANCH, f"{DEV}/mailer.yaml")
    for image in IMAGES:
        assert runners.record(image)["images"][0]["digest"] in held
        assert git_token not in (runners.records / f"{image}.json").read_text()
    assert [image["digest"] for image in release["images"]] == [
        runners.record(image)["images"][0]["digest"] for image in IMAGES
    ]
    again = runners.hand_off("--output", "json")
    assert (json.loads(again.stdout)["state"], len(shop.pull_requests())) == ("unchanged", 1)


def _without(image: str) -> Callable[[Runners], None]:
    return lambda runners: (runners.records / f"{image}.json").unlink()


def _edit(image: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Runners], None]:
    def edit(runners: Runners) -> None:
        document = runners.record(image)
        change(document)
        (runners.records / f"{image}.json").write_text(json.dumps(document))

    return edit


def _planted(runners: Runners) -> None:
    """An attacker's record: well-formed, of this commit, about an image that nobody pushed."""
    document = runners.record("api")
    document["images"][0] |= {"digest": f"sha256:{'ab' * 32}", "config": f"sha256:{'cd' * 32}", "record": None}
    (runners.records / "api.json").write_text(json.dumps(document))


def _copied(runners: Runners) -> None:
    shutil.copy(runners.records / "api.json", runners.records / "api-again.json")


WRONG: dict[str, tuple[Callable[[Runners], None], int, str]] = {
    "a record is missing": (_without("worker"), 3, "no record of the image worker"),
    "a digest is another one": (
        _edit("worker", lambda d: d["images"][0].update(digest=f"sha256:{'0' * 64}")), 3, "the registry has no"),
    "a record is of another commit": (
        _edit("worker", lambda d: d["source"].update(commit="1" * 40)), 3, "built from commit 111111111111"),
    "a record was planted": (_planted, 3, "the registry has no"),
    "a test failed": (
        _edit("mailer", lambda d: d["images"][0]["tests"][0].update(passed=False)), 3, "failed its test 'answers'"),
    "a test is not told": (_edit("mailer", lambda d: d["images"][0].update(tests=[])), 3, "was not tested by"),
    "a record is there twice": (_copied, 3, "tells of the image 'api' too, the same"),
    "another repository": (
        _edit("api", lambda d: d["images"][0].update(repository="evil.example/api")), 3, "went to evil.example/api"),
    "another schema": (_edit("api", lambda d: d.update(schema="hybrid-ci.build/v2")), 2, "is not known here"),
    "no record at all": (lambda runners: shutil.rmtree(runners.records), 3, "no record of the images"),
}  # fmt: skip


def test_every_partial_failure_is_refused_with_its_reason(runners: Runners) -> None:
    """The builds are made once; each wrong set of records is refused, nothing is written, and the right one lands."""
    runners.build_all()
    kept = runners.shop.root / "kept"
    shutil.copytree(runners.records, kept)
    for what, (spoil, code, reason) in WRONG.items():
        spoil(runners)
        done = runners.hand_off()
        assert (done.returncode, reason in done.stderr) == (code, True), f"{what}: {done.stderr}"
        assert "Traceback" not in done.stderr
        assert runners.shop.pull_requests() == [], what
        shutil.rmtree(runners.records, ignore_errors=True)
        shutil.copytree(kept, runners.records)
    assert runners.hand_off().returncode == 0
    assert len(runners.shop.pull_requests()) == 1


def test_a_commit_that_changes_one_image_needs_one_runner(runners: Runners) -> None:
    shop = runners.shop
    before = git(shop.app, "rev-parse", "HEAD")
    (shop.app / "api/www/index.html").write_text("hello again\n")
    shop.commit_app("Say hello again")
    listed = runners.run("matrix", "matrix", "--base", before, "--output", "json")
    document = json.loads(listed.stdout)
    assert [one["name"] for one in document["images"]] == ["api"]
    assert [one["name"] for one in document["unchanged"]] == ["worker", "mailer"]
    assert "api/www/index.html" in document["images"][0]["reason"]

    built = runners.run("api", "build", "--image", "api", "--record", str(runners.records))
    assert built.returncode == 0, built.stderr
    done = runners.hand_off("--base", before)

    assert done.returncode == 0, done.stderr
    assert runners.record("api")["images"][0]["digest"] in shop.file(BRANCH, f"{DEV}/kustomization.yaml")


def test_a_failing_test_leaves_no_record(runners: Runners) -> None:
    shop = runners.shop
    (shop.app / "mailer/worker").write_text("#!/bin/sh\necho 44\n")
    shop.commit_app("Break the mailer")
    done = runners.run("mailer", "build", "--image", "mailer", "--record", str(runners.records / "mailer.json"))
    assert done.returncode == 1
    assert "nothing was pushed" in done.stderr
    assert not runners.records.exists() or not list(runners.records.iterdir())


def test_a_policy_behind_a_login_is_left_to_the_handoff(runners: Runners) -> None:
    built = runners.run("api", "build", "--image", "api", "--record", str(runners.records))
    assert built.returncode == 0, built.stderr
    assert "`hybrid-ci handoff` applies it" in built.stderr
    assert runners.record("api")["policy"] is False
