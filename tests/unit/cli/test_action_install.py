"""How the action makes hybrid-ci ready: by real pip, from an index of this machine, with a cache that nobody trusts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "scripts/action/install.sh"
_BACKEND = """\
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "hybrid_ci-0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr("hybrid_ci-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: hybrid-ci\\nVersion: 0\\n")
        about = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("hybrid_ci-0.dist-info/WHEEL", about)
        wheel.writestr("hybrid_ci-0.dist-info/RECORD", "")
    return name
"""
_PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["orchestrator"]
"""


def make_wheel(folder: Path, says: str) -> Path:
    """A wheel with one module that says something."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "leaf_package-1-py3-none-any.whl"
    contents = {
        "leaf_package.py": f"SAYS = {says!r}\n",
        "leaf_package-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: leaf-package\nVersion: 1\n",
        "leaf_package-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
        for name, text in contents.items()
    ]
    with zipfile.ZipFile(file, "w") as wheel:
        for name, text in contents.items():
            wheel.writestr(name, text)
        wheel.writestr("leaf_package-1.dist-info/RECORD", "\n".join([*record, "leaf_package-1.dist-info/RECORD,,\n"]))
    return file


class Action:
    """The action's folder with one locked requirement, and a runner."""

    def __init__(self, root: Path) -> None:
        self.root, self.index, self.temporary = root, root / "index", root / "temporary"
        self.wheels = self.temporary / "hybrid-ci/wheels"
        self.wheel = make_wheel(self.index / "leaf-package", "good")
        digest = hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        page = f'<a href="{self.wheel.name}#sha256={digest}">{self.wheel.name}</a>'
        (self.wheel.parent / "index.html").write_text(page)
        files = {
            "requirements.txt": f"leaf-package==1 --hash=sha256:{digest}\n",
            "pyproject.toml": _PROJECT,
            "README.md": "",
            "orchestrator/backend.py": _BACKEND,
            "pipelines/__init__.py": "",
            SCRIPT: (ROOT / SCRIPT).read_text(),
        }
        for name, text in files.items():
            (root / "action" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "action" / name).write_text(text)

    def call(self, step: str, version: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.root / "action" / SCRIPT), step],
            capture_output=True, text=True, check=False, timeout=120,
            env={
                "PATH": os.environ["PATH"], "HOME": str(self.root), "VERSION": version, "PYTHON": sys.executable,
                "RUNNER_TEMP": str(self.temporary), "GITHUB_OUTPUT": str(self.root / "output"),
                "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.index.as_uri(), **environment,
            },
        )  # fmt: skip

    def outputs(self) -> dict[str, str]:
        lines = (self.root / "output").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def installed(self) -> str:
        """What the module says that is installed."""
        python = self.temporary / "hybrid-ci/venv/bin/python"
        argv = [str(python), "-c", "import leaf_package; print(leaf_package.SAYS)"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def new_runner(self) -> None:
        """Of the machine before, the cache alone is left."""
        kept = self.root / "kept"
        shutil.move(self.wheels, kept)
        shutil.rmtree(self.temporary)
        self.wheels.parent.mkdir(parents=True)
        shutil.move(kept, self.wheels)


@pytest.fixture
def action(tmp_path: Path) -> Action:
    return Action(tmp_path)


def test_the_second_runner_needs_nothing_but_the_cache(action: Action) -> None:
    done = action.call("install")
    assert done.returncode == 0, done.stderr
    assert action.installed() == "good"
    action.new_runner()
    action.wheel.unlink()
    done = action.call("install")
    assert done.returncode == 0, done.stderr
    assert action.installed() == "good"


def test_nothing_of_a_poisoned_cache_is_installed(action: Action) -> None:
    """Neither a changed wheel, nor one that pip believes to have built itself: a file in its own cache may say so."""
    link, digest = action.wheel.as_uri(), hashlib.sha256(action.wheel.read_bytes()).hexdigest()
    for interpreter in ({}, {"interpreter_name": "cp", "interpreter_version": f"3{sys.version_info.minor}"}):
        key = json.dumps({"sha256": digest, "url": link, **interpreter}, sort_keys=True, separators=(",", ":"))
        name = hashlib.sha224(key.encode()).hexdigest()
        folder = action.wheels / "wheels" / name[:2] / name[2:4] / name[4:6] / name[6:]
        make_wheel(folder, "evil")
        (folder / "origin.json").write_text(json.dumps({"url": link, "archive_info": {"hashes": {"sha256": digest}}}))
    make_wheel(action.wheels, "evil")
    done = action.call("install")
    assert done.returncode == 0, done.stderr
    assert action.installed() == "good"


def test_the_cache_goes_by_the_lock_and_a_version_without_hashes_has_none(action: Action) -> None:
    assert action.call("prepare").returncode == 0
    first = action.outputs()
    assert first["wheels"] == str(action.wheels)
    assert set(first) == {"program", "python", "wheels", "key"}
    (action.root / "output").unlink()
    assert action.call("prepare", "1.2.3").returncode == 0
    assert set(action.outputs()) == {"program", "python"}


@pytest.mark.parametrize(
    ("version", "told"),
    [("installed", "no hybrid-ci on PATH"), ("", "needs Python 3.11"), ("1; id", "neither a version")],
)
def test_what_the_runner_lacks_is_told_and_ends_the_step(
    version: str, told: str, action: Action, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("bash", "dirname"):
        (bare / name).symlink_to(str(shutil.which(name)))
    done = action.call("prepare", version, PATH=str(bare))
    assert done.returncode == 2
    assert done.stdout.startswith("::error title=hybrid-ci::")
    assert told in done.stdout
    assert not (action.root / "output").exists()
