"""The files that hybrid-ci ships for CI systems, run on this machine by tools for that, against fake forges."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.shop import CONFIG, DEPLOYMENT, KUSTOMIZATION, POLICY, Done, Shop, git
from tests.servers.git_repositories import commit_files

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("action.yml", ".github", "scripts", "templates", "requirements.txt", "pyproject.toml", "README.md",
           "orchestrator", "pipelines")  # fmt: skip
ENVIRONMENTS = ("dev", "staging")

# What the other actions do, as far as a job sees it. They keep what they are given below $HYBRID_CI_TEST_ARTIFACTS.
_STUBS = {
    "actions/upload-artifact": """\
name: upload
inputs:
  {name: {default: artifact}, path: {required: true}, if-no-files-found: {}, retention-days: {}, overwrite: {}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", FILES: "${{ inputs.path }}"}
      run: mkdir -p "$HYBRID_CI_TEST_ARTIFACTS/$NAME" && cp $FILES "$HYBRID_CI_TEST_ARTIFACTS/$NAME/"
""",
    "actions/download-artifact": """\
name: download
inputs: {pattern: {default: "*"}, path: {default: "."}, merge-multiple: {default: "false"}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {PATTERN: "${{ inputs.pattern }}", TARGET: "${{ inputs.path }}"}
      run: mkdir -p "$TARGET" && cp "$HYBRID_CI_TEST_ARTIFACTS"/$PATTERN/* "$TARGET/"
""",
    "actions/cache": """\
name: cache
inputs: {path: {required: true}, key: {required: true}}
runs: {using: composite, steps: [{shell: bash, run: "true"}]}
""",
}

# hybrid-ci as an installed one is. The summary of a step is gone when its runner is, so it is kept.
_PROGRAM = """\
#!/bin/sh
PYTHONPATH="ROOT" "EXECUTABLE" -m orchestrator "$@"
code=$?
if [ -n "$GITHUB_STEP_SUMMARY" ] && [ -e "$GITHUB_STEP_SUMMARY" ]; then
    cp "$GITHUB_STEP_SUMMARY" "$HYBRID_CI_TEST_ARTIFACTS/summary-$$"
fi
exit $code
"""


@dataclass
class Jobs:
    """An application's checkout whose GitOps repository is at a fake forge, and the tools on PATH."""

    shop: Shop
    gitops: Path
    token: str

    @property
    def root(self) -> Path:
        return self.shop.root

    def prepare(self, forge: str) -> None:
        """Both repositories, with a first commit each; hybrid-ci on PATH as an installed one is."""
        files = {".hybrid-ci/environments.yaml": POLICY}
        for environment in ENVIRONMENTS:
            files[f"apps/shop/overlays/{environment}/kustomization.yaml"] = KUSTOMIZATION
            files[f"apps/shop/overlays/{environment}/worker.yaml"] = DEPLOYMENT
        commit_files(
            self.gitops,
            {path: text.replace("REGISTRY", self.shop.registry).encode() for path, text in files.items()},
            message="Seed",
        )
        self.shop._make_app(CONFIG.replace("forge: FORGE", f"forge: {forge}"))
        program = self.bin / "hybrid-ci"
        program.parent.mkdir()
        program.write_text(_PROGRAM.replace("ROOT", str(ROOT)).replace("EXECUTABLE", sys.executable))
        program.chmod(0o755)

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def file(self, ref: str, path: str) -> str:
        """A file of the GitOps repository, as git itself shows it."""
        return git(self.gitops, "show", f"{ref}:{path}")

    def commit(self, files: Mapping[str, str], subject: str = "Let CI release") -> str:
        for name, text in files.items():
            file = self.shop.app / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return self.shop.commit_app(subject)

    def act(
        self, event: str, payload: Path, *arguments: str, secrets: Mapping[str, str], environment: Mapping[str, str]
    ) -> Done:
        """``act`` in host mode: no container, no network; every action is a folder of this machine."""
        folders = {f"hybrid-ci/hybrid-ci@{REF}": self._shipped()}
        for name in _STUBS:
            for pin in _pins(name):
                folders[f"{name}@{pin}"] = self._stub(name)
        argv = [tool("act"), event, "--eventpath", str(payload), "-P", "ubuntu-latest=-self-hosted"]
        argv += ["--container-daemon-socket", "-", "--no-cache-server", "--action-cache-path", str(self.root / "act")]
        argv += ["--pull=false", "--action-offline-mode", "--actor", "ada", "--concurrent-jobs", "1"]
        for place, folder in folders.items():
            argv += ["--local-repository", f"{place}={folder}"]
        for name, value in {"HYBRID_CI_TEST_ARTIFACTS": str(self.root / "artifacts"), **environment}.items():
            argv += ["--env", f"{name}={value}"]
        for name in secrets:
            argv += ["--secret", name]  # by name: the value comes from the environment
        home = Path(os.environ["HOME"])
        (home / ".actrc").write_text("")
        return self._run([*argv, *arguments], {**secrets, "PATH": f"{self.bin}:{os.environ['PATH']}"})

    def _run(self, argv: list[str], more: Mapping[str, str]) -> Done:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        return subprocess.run(
            argv,
            cwd=self.shop.app,
            env={**kept, **more},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def _shipped(self) -> Path:
        """What the repository of hybrid-ci holds at its tag, as far as its action needs it."""
        folder = self.root / "hybrid-ci"
        if not folder.exists():
            folder.mkdir()
            ignore = shutil.ignore_patterns("__pycache__")
            for name in SHIPPED:
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(source, folder / name, ignore=ignore)
                else:
                    shutil.copy(source, folder / name)
        return folder

    def _stub(self, name: str) -> Path:
        folder = self.root / "stubs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "action.yml").write_text(_STUBS[name])
        return folder


REF = "v0.1.0"


def _pins(name: str) -> set[str]:
    """The commits at which our files use an action."""
    files = [ROOT / "action.yml", *(ROOT / ".github/workflows").glob("*.yml")]
    words = [word for file in files for word in file.read_text().split()]
    return {word.partition("@")[2] for word in words if word.startswith(f"{name}@")}


def tool(name: str) -> str:
    """A program that came with the development requirements."""
    program = Path(sys.executable).parent / name
    assert program.exists(), f"{name} is not installed; make .venv again"
    return str(program)
