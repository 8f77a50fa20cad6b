"""The action's own scripts: inputs become arguments and variables as they are, and nothing is ever evaluated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import __version__
from orchestrator.cli.commands import COMMANDS
from tests.hostile import HOSTILE

ROOT = Path(__file__).resolve().parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
_SHOW = """\
#!{python}
import json, os, sys
names = [name for name in os.environ if name.startswith(("HYBRID_CI_", "INPUT_")) or name in ("NPM_TOKEN", "EVIL")]
json.dump([sys.argv[1:], {{name: os.environ[name] for name in names}}], open({out!r}, "w"))
print("{{}}")
"""


def run(tmp_path: Path, **inputs: str) -> tuple[list[str], dict[str, str]]:
    """What hybrid-ci gets: its arguments, and the variables that are about it. Empty when it was not started."""
    program, out = tmp_path / "program", tmp_path / "out.json"
    program.write_text(_SHOW.format(python=sys.executable, out=str(out)))
    program.chmod(0o755)
    given = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
    done = subprocess.run(
        [str(ROOT / "scripts/action/run.sh")],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "PROGRAM": str(program), "GITHUB_OUTPUT": str(tmp_path / "output"), **given},
    )  # fmt: skip
    if not out.exists():
        assert done.returncode == 2
        assert "::error title=hybrid-ci::" in done.stdout
        return [], {}
    assert done.returncode == 0, done.stderr
    arguments, variables = json.loads(out.read_text())
    return arguments, variables


CALLS: dict[str, tuple[dict[str, str], list[str]]] = {
    "release": ({"command": "release"}, ["release"]),
    "release of some": (
        {"command": "release", "images": "api web", "environment": "dev", "config": "a/b.yaml", "record": "r.json"},
        ["--config", "a/b.yaml", "release", "--only", "api", "--only", "web", "--env", "dev", "--record", "r.json"],
    ),
    "build": (
        {"command": "build", "images": "api", "record": "r/api.json"},
        ["build", "--image", "api", "--record", "r/api.json"],
    ),
    "handoff": ({"command": "handoff", "records": "r/*.json"}, ["handoff", "--records", "r/*.json"]),
    "pin": (
        {"command": "pin", "images": "api=:1\nweb=:2", "environment": "dev"},
        ["pin", "--env", "dev", "api=:1", "web=:2"],
    ),
    "promote": (
        {"command": "promote", "from": "dev", "to": "prod", "application": "shop", "gitops": "https://x/y"},
        ["promote", "--from", "dev", "--to", "prod", "--application", "shop", "--gitops", "https://x/y"],
    ),
    "further arguments": (
        {"command": "promote", "args": "--wave 1 --reason 'two words' --skip \"a b\""},
        ["promote", "--wave", "1", "--reason", "two words", "--skip", "a b"],
    ),
    "blanks are no argument": ({"command": "check", "args": " \n "}, ["check"]),
    "an empty word": ({"command": "check", "args": "a '' b"}, ["check", "a", "", "b"]),
    "no pattern is looked up": ({"command": "check", "args": "* ?"}, ["check", "*", "?"]),
}


@pytest.mark.parametrize(("inputs", "expected"), CALLS.values(), ids=CALLS)
def test_inputs_become_arguments(inputs: dict[str, str], expected: list[str], tmp_path: Path) -> None:
    assert run(tmp_path, **inputs)[0] == expected


@pytest.mark.parametrize("text", ["--reason it's --dry-run", '--reason "open --dry-run', "--dry-run 'a\nb'"])
def test_arguments_are_taken_whole_or_not_at_all(text: str, tmp_path: Path) -> None:
    assert run(tmp_path, command="release", args=text) == ([], {})


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_input_is_evaluated(text: str, tmp_path: Path) -> None:
    arguments, _ = run(tmp_path, command="promote", **{"from": text, "to": text, "config": text})
    assert arguments == ["--config", text, "promote", "--from", text, "--to", text]
    assert not Path("/tmp/planted").exists()


@pytest.mark.parametrize("command", ["", "Release", "release; id", "--version", "release\nx", "$(id)"])
def test_a_command_that_is_none_starts_nothing(command: str, tmp_path: Path) -> None:
    if command:
        assert run(tmp_path, command=command) == ([], {})


def test_secrets_reach_hybrid_ci_alone_and_an_empty_one_hides_nothing(tmp_path: Path) -> None:
    _, variables = run(tmp_path, command="release", token="t0ken", app_id="", registry_password="pa ss'w")
    assert variables["HYBRID_CI_GIT_TOKEN"] == "t0ken"
    assert variables["HYBRID_CI_REGISTRY_PASSWORD"] == "pa ss'w"
    assert "HYBRID_CI_GITHUB_APP_ID" not in variables
    assert not [name for name in variables if name in ("INPUT_TOKEN", "INPUT_REGISTRY_PASSWORD", "INPUT_APP_ID")]
    assert variables["HYBRID_CI_MASK"] == "1"


def test_further_secrets_are_lines(tmp_path: Path) -> None:
    _, variables = run(tmp_path, command="build", secrets="  NPM_TOKEN=a=b $(id) `x`\n\n")
    assert variables["NPM_TOKEN"] == "a=b $(id) `x`"


@pytest.mark.parametrize(
    "line",
    [
        "PATH=/evil", "LD_PRELOAD=x", "GITHUB_OUTPUT=x", "PYTHONPATH=x", "BASH_ENV=x", "PROGRAM=/evil",
        "INPUT_COMMAND=release", "no", "a b=c",
    ],
)  # fmt: skip
def test_a_secret_can_not_be_a_variable_that_acts(line: str, tmp_path: Path) -> None:
    assert run(tmp_path, command="build", secrets=line) == ([], {})


def test_the_matrix_is_an_output(tmp_path: Path) -> None:
    arguments, _ = run(tmp_path, command="matrix")
    assert arguments == ["matrix", "--output", "github"]
    assert (tmp_path / "output").read_text() == "matrix={}\n"


def test_action_yaml_has_no_expression_in_run() -> None:
    steps: list[dict[str, Any]] = list(ACTION["runs"]["steps"])
    for file in WORKFLOWS:
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            steps += job.get("steps", [])
    assert len(steps) > 10
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_every_input_and_output_is_used() -> None:
    text = (ROOT / "action.yml").read_text().partition("runs:")[2]
    assert [name for name in ACTION["inputs"] if f"inputs.{name} " not in text] == []
    script = (ROOT / "scripts/action/run.sh").read_text()
    handed = re.findall(r"^        (INPUT_\w+):", text, re.MULTILINE)
    assert [name for name in handed if name not in script] == []
    assert set(re.findall(r"^(\w+)\)", script, re.MULTILINE)) <= set(COMMANDS)


def test_what_we_ship_takes_this_version_of_us() -> None:
    for file in [*WORKFLOWS, *ROOT.glob("examples/**/*.yml"), *ROOT.glob("docs/ci.md")]:
        for ref in re.findall(r"uses: hybrid-ci/hybrid-ci\S*@(\S+)", file.read_text()):
            assert ref == f"v{__version__}", file
    component = yaml.safe_load((ROOT / "templates/release.yml").read_text().partition("\n---\n")[0])
    assert component["spec"]["inputs"]["version"]["default"] == __version__


def test_the_lock_names_every_dependency_with_hashes() -> None:
    lock = (ROOT / "requirements.txt").read_text()
    project = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("]\n")[0]
    wanted = {re.split(r"[\[><=]", name)[0].lower() for name in re.findall(r'"([^"]+)"', project)}
    locked = dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)", lock, re.MULTILINE))
    assert wanted | {"hatchling"} <= set(locked)
    assert lock.count("--hash=sha256:") >= len(locked)


def test_no_client_of_a_cluster_or_a_cloud_is_among_the_dependencies() -> None:
    locked = re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    clients = r"kube|openshift|helm|argo|\bhera\b|boto|awscli|azure|google|gcloud|openstack"
    assert len(locked) > 10
    assert [name for name in locked if re.search(clients, name)] == []
