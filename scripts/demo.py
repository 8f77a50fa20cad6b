#!/usr/bin/env python3
"""``make demo``: a release and its way to production, end to end and for real, told step by step.

A Docker Engine and a registry are used where they are reachable, and started privately where not. The example
application is built, tested and pushed; pull requests are opened, promoted, held and merged on a local forge, a bare
Git repository. Everything stays below .demo/ to look at.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

if __package__ in {None, ""}:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import services
from scripts.machine import packages
from scripts.machine.errors import MachineError

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent  # the virtual environment that this runs in
EXAMPLE = ROOT / "examples" / "single-service"
STEPS = 12
REFUSED = 3  # the exit code of what a rule refuses
EXAMPLE_REGISTRY = "registry.example.com"
EXAMPLE_GITOPS = "https://git.example.com/acme/gitops.git"
EXAMPLE_BASE = "busybox:1.36"
_START = """\
{python} scripts/services.py up --state {state}      # the engine and the registry again
"""
_NEXT = """\
source {state}/env && cd {state}/app                           # hybrid-ci on PATH, and the demo's engine
git -C ../gitops pull                                      # what the agents in the clusters see now
sed -i 's/hello/hello again/' www/index.html && git commit -qam 'Say hello again'
hybrid-ci release --dry-run                                # what would change; nothing does
hybrid-ci release                                          # build, test, push, one more pull request
hybrid-ci forge show 7
hybrid-ci promote --from dev --to staging --dry-run        # nothing to do yet: dev runs it after the merge
cd {root} && {python} scripts/services.py down --state {state}    # stop both
"""


class StepFailed(Exception):
    """A command of the demo failed; its own words are on the screen already."""

    def __init__(self, argv: Sequence[str], code: int) -> None:
        super().__init__(f"`{shlex.join(argv)}` ended with exit code {code}")
        self.code = code


class Story:
    """The demo's folder; prints the steps in plain words, and runs commands so that they are seen."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.app = state / "app"
        self.gitops = state / "gitops.git"
        self.checkout = state / "gitops"  # for people to look at; hybrid-ci needs none
        self.record = state / "release.json"
        self.environment = _environment(state)
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._number = 0

    def named(self, path: Path) -> str:
        """A path as one would type it in the project's folder."""
        return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)

    def step(self, title: str, *paragraphs: str) -> None:
        """A heading, and what is about to happen."""
        self._number += 1
        print(f"\n{self._bold(f'[{self._number}/{STEPS}] {title}')}")
        for paragraph in paragraphs:
            print(textwrap.indent(_filled(paragraph), "  "))
        sys.stdout.flush()

    def say(self, line: str) -> None:
        """One line."""
        print(f"  {line}", flush=True)

    def run(self, *argv: str, directory: Path = ROOT, show: bool = True, expected: int = 0) -> None:
        """Run a command, shown as one would type it; raises StepFailed when it ends with another exit code."""
        if show:
            print(f"\n  {self._bold('$ ' + shlex.join(argv))}", flush=True)
        answer = subprocess.run(argv, cwd=directory, env=self.environment, capture_output=not show, check=False)
        if answer.returncode != expected:
            if not show:
                sys.stderr.write((answer.stdout + answer.stderr).decode(errors="replace"))
            raise StepFailed(argv, answer.returncode)

    def read(self, *argv: str, directory: Path = ROOT) -> str:
        """A command's output, without showing it."""
        return subprocess.run(
            argv, cwd=directory, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._colour else text


def main() -> int:
    """Run the demo; the exit code is that of the first command that failed, 2 where the machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="leave the engine and the registry running at the end")
    parser.add_argument("--state", type=Path, default=ROOT / ".demo", help="where everything is kept (.demo)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    story = Story(arguments.state.absolute())
    try:
        packages.install(packages.missing(packages.GIT), why="the demo", say=story.say)
        _tell(story, arguments.keep)
    except (MachineError, StepFailed) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return error.code if isinstance(error, StepFailed) else 2
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything private was stopped", file=sys.stderr)
        return 130
    _what_next(story, arguments.keep, time.monotonic() - begin)
    return 0


def _tell(story: Story, keep: bool) -> None:
    story.step(
        "A Docker Engine and a registry",
        f"""A reachable engine is used as it is, and keeps nothing of this but a base image of 2 MB. Otherwise a private
        one is started, as is a registry on 127.0.0.1; both keep their things below {story.named(story.state)}/ and are
        stopped at the end.""",
    )
    with services.lease(story.state, keep=keep, say=story.say) as running:
        story.environment["DOCKER_HOST"] = running.engine.host
        _prepare_application(story, running.plain.host, running.base_image)
        _prepare_gitops(story, running.plain.host)
        _release(story)
        _show_pull_request(story)
        _prove(story, running.plain.host)
        story.step(
            "The same again",
            "A release that is done stays done: nothing is pushed, no second pull request is opened, exit code 0.",
        )
        story.run("hybrid-ci", "release", directory=story.app)
        _merge(story)
        _promote(story)
        _first_wave(story)
        _hold(story)
        _look(story)
        print()


def _prepare_application(story: Story, registry: str, base: str) -> None:
    story.step(
        f"The application's repository: {story.named(story.app)}",
        f"""A copy of examples/single-service/app with one commit. In its hybrid-ci.yaml, {EXAMPLE_REGISTRY} becomes
        the private registry {registry}, and the GitOps repository a local one. It says what to build, which tests
        the image must pass, and where to hand off:""",
    )
    shutil.rmtree(story.app, ignore_errors=True)
    shutil.copytree(EXAMPLE / "app", story.app)
    replaced = {EXAMPLE_REGISTRY: registry, EXAMPLE_GITOPS: f"../{story.gitops.name}", EXAMPLE_BASE: base}
    _replace(story.app / "hybrid-ci.yaml", replaced)
    print("\n" + textwrap.indent((story.app / "hybrid-ci.yaml").read_text(), "    "), flush=True)
    _commit_all(story, story.app, "Say hello")


def _prepare_gitops(story: Story, registry: str) -> None:
    story.step(
        f"The GitOps repository: {story.named(story.gitops)}",
        """What runs where: kustomize overlays for dev, staging and two clusters of prod, and the rules in
        .hybrid-ci/environments.yaml. It is a bare Git repository that holds its pull requests too: the local forge.
        An agent in a cluster would watch its main branch.""",
    )
    for folder in (story.gitops, story.checkout):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLE / "gitops", story.checkout)
    for file in story.checkout.rglob("*.yaml"):
        _replace(file, {EXAMPLE_REGISTRY: registry})
    _commit_all(story, story.checkout, "Describe what runs where")
    story.run("hybrid-ci", "forge", "init", story.named(story.gitops))
    story.run("git", "remote", "add", "origin", f"../{story.gitops.name}", directory=story.checkout, show=False)
    story.run("git", "push", "--quiet", "--set-upstream", "origin", "main", directory=story.checkout, show=False)


def _release(story: Story) -> None:
    story.step(
        "The release",
        """Preflight, build, run the tests inside the image, push, read the manifest back from the registry by digest
        and prove that it is what was tested; then change the image pin of dev on a branch, and open a pull request.""",
    )
    story.run("hybrid-ci", "release", "--record", f"../{story.record.name}", directory=story.app)


def _show_pull_request(story: Story) -> None:
    story.step(
        "The pull request",
        """This is all that a reviewer has to look at, and all that reaches the cluster: after the merge its agent pulls
        the change. CI holds no cluster credential.""",
    )
    story.run("hybrid-ci", "forge", "show", "1", directory=story.app)


def _prove(story: Story, registry: str) -> None:
    story.step(
        "The proof, by other means",
        "Without hybrid-ci: the pin that git shows on the pull request's branch, and the bytes that the registry has.",
    )
    branch = story.read(
        "git", "for-each-ref", "--format=%(refname)", "refs/heads/hybrid-ci/", directory=story.gitops
    ).strip()
    file = story.read("git", "show", f"{branch}:apps/hello/overlays/dev/kustomization.yaml", directory=story.gitops)
    pinned = "".join(re.findall(r"sha256:[0-9a-f]{64}", file))
    served = hashlib.sha256(_manifest(registry, pinned)).hexdigest()
    story.say(f"pinned in git:                     {pinned}")
    story.say(f"SHA-256 of what the registry has:  sha256:{served}")
    if pinned != f"sha256:{served}":
        raise MachineError("the pinned digest is not what the registry serves")


def _merge(story: Story) -> None:
    story.step(
        "The reviewer says yes",
        "The merge is the deployment: an agent in the cluster of dev pulls what is on the main branch from now on.",
    )
    story.run("hybrid-ci", "forge", "merge", "1", directory=story.app)


def _promote(story: Story) -> None:
    story.step(
        "Promotion: dev to staging",
        """The digest that dev runs is copied by image into the files of staging, which keep everything of their own.
        Nothing is built again and no tag is asked for anything. The gates of the policy are asked first, and their
        verdicts stand in the pull request:""",
    )
    story.run("hybrid-ci", "promote", "--from", "dev", "--to", "staging", directory=story.app)
    story.run("hybrid-ci", "forge", "merge", "2", directory=story.app)


def _first_wave(story: Story) -> None:
    story.step(
        "Production in waves",
        """Prod is two clusters. The first goes alone; the second has to wait until the first runs the image, and says
        so where somebody asks for it too early:""",
    )
    promote = ("hybrid-ci", "promote", "--from", "staging", "--to", "prod")
    story.run(*promote, "--wave", "2", "--dry-run", directory=story.app)
    story.run(*promote, "--wave", "1", directory=story.app)
    story.run("hybrid-ci", "forge", "merge", "3", directory=story.app)


def _hold(story: Story) -> None:
    story.step(
        "A hold that refuses",
        f"""Somebody finds a problem, and keeps the image of prod as it is: a small file, by a pull request of its own.
        Whoever promotes now is refused with the reason (exit code {REFUSED}), until the hold is lifted again:""",
    )
    why = ("--env", "prod", "--reason")
    wave = ("hybrid-ci", "promote", "--from", "staging", "--to", "prod", "--wave", "2")
    story.run("hybrid-ci", "hold", "set", "hello", *why, "checkout is slow since the last release", directory=story.app)
    story.run("hybrid-ci", "forge", "merge", "4", directory=story.app)
    story.run(*wave, directory=story.app, expected=REFUSED)
    story.run("hybrid-ci", "hold", "lift", "hello", *why, "it was the network", directory=story.app)
    story.run("hybrid-ci", "forge", "merge", "5", directory=story.app)
    story.run(*wave, directory=story.app)
    story.run("hybrid-ci", "forge", "merge", "6", directory=story.app)


def _look(story: Story) -> None:
    story.step(
        "What runs where, and how it came there",
        "Git is the only state, so Git alone tells both: no server was asked, and no cluster.",
    )
    story.run("hybrid-ci", "status", directory=story.app)
    story.run("hybrid-ci", "history", "--env", "prod/us", directory=story.app)


def _manifest(registry: str, digest: str) -> bytes:
    kinds = ("docker.distribution.manifest.v2", "oci.image.manifest.v1", "oci.image.index.v1")
    accept = ", ".join(f"application/vnd.{kind}+json" for kind in kinds)
    wanted = urllib.request.Request(f"http://{registry}/v2/acme/hello/manifests/{digest}", headers={"Accept": accept})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(wanted, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def _what_next(story: Story, keep: bool, seconds: float) -> None:
    (story.state / "env").write_text(
        f"export PATH={shlex.quote(str(TOOLS))}:$PATH\n"
        f"export DOCKER_HOST={shlex.quote(story.environment['DOCKER_HOST'])}\n"
    )
    kept = ", ".join(path.name for path in (story.app, story.gitops, story.checkout, story.record))
    print(f"\nDone in {seconds:.0f} s. Everything is in {story.named(story.state)}/: {kept}.\n\nTo try next:\n")
    places = {"state": story.named(story.state), "python": story.named(TOOLS / "python"), "root": ROOT}
    print(textwrap.indent(((_START if not keep else "") + _NEXT).format(**places), "  "))


def _environment(state: Path) -> dict[str, str]:
    """What the demo's commands see: nothing of a CI job around it, no settings of a person, a HOME of their own."""
    home = state / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("TERM", "LANG", "NO_COLOR", "COLUMNS", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": os.pathsep.join([str(TOOLS), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def _filled(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), 98, break_on_hyphens=False)


def _replace(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in replacements.items():
        text = text.replace(old, new)
    file.write_text(text)


def _commit_all(story: Story, directory: Path, message: str) -> None:
    """A new repository with one commit; its own settings name an author, so that a visitor can commit there too."""
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "Demo"),
        ("config", "user.email", "demo@example.com"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", message),
    ):
        story.run("git", *arguments, directory=directory, show=False)


if __name__ == "__main__":
    sys.exit(main())
