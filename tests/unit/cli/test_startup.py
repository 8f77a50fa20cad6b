"""What starting costs: ``--version`` and ``--help`` import nothing heavy, commands only what they need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator import __version__
from orchestrator.cli.commands import overview
from tests.unit.cli.conftest import run_apart

HEAVY = {
    "docker", "git", "gitdb", "github", "gitlab", "requests", "urllib3", "http", "ssl", "socket", "pydantic",
    "pydantic_core", "typer", "click", "rich", "yaml", "tenacity", "concurrent", "asyncio", "subprocess", "logging",
    "email", "importlib.metadata",
}  # fmt: skip
WORLD = {"docker", "git", "gitdb", "github", "gitlab", "requests", "urllib3"}
_SNIPPET = """
import json, sys
sys.argv = ["hybrid-ci", *sys.argv[1:]]
before = set(sys.modules)
from orchestrator.cli import main
try:
    main()
except SystemExit as ending:
    code = ending.code or 0
print(json.dumps([code, sorted(set(sys.modules) - before)]), file=sys.stderr)
"""


def imported(*arguments: str, cwd: Path) -> tuple[int, set[str], str]:
    ended = run_apart(*arguments, code=_SNIPPET, cwd=cwd)
    code, modules = json.loads(ended.err.splitlines()[-1])
    return code, set(modules), ended.out


def families(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} | modules


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["-h"], ["help"], []])
def test_version_and_overview_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code, modules, out = imported(*arguments, cwd=tmp_path)
    assert code == 0
    assert not families(modules) & HEAVY
    assert {name for name in modules if name.startswith("orchestrator")} <= {
        "orchestrator", "orchestrator.cli", "orchestrator.cli.commands", "orchestrator.cli.streams",
    }  # fmt: skip
    assert out == (f"hybrid-ci {__version__}\n" if arguments == ["--version"] else overview() + "\n")


@pytest.mark.parametrize("arguments", [["check"], ["schema"], ["schema", "record"], ["init"], ["release", "--help"]])
def test_a_command_that_asks_nothing_of_the_world_imports_no_client_for_it(
    arguments: list[str], tmp_path: Path
) -> None:
    _, modules, _ = imported(*arguments, cwd=tmp_path)
    assert not families(modules) & WORLD


def test_the_version_is_also_there_among_other_options(tmp_path: Path) -> None:
    ended = run_apart("--quiet", "--version", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, f"hybrid-ci {__version__}\n")
