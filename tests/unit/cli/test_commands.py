"""The commands: the table tells the truth, and what is no command is one clear error."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import typer

from orchestrator.cli.app import app
from orchestrator.cli.commands import COMMANDS, GLOBAL_OPTIONS, overview
from tests.unit.cli.conftest import Cli, run_apart

PAGE = (Path(__file__).resolve().parents[3] / "docs/cli.md").read_text("utf-8")


def summary(name: str) -> str:
    """The first line of a command's own help."""
    command = typer.main.get_command(importlib.import_module(COMMANDS[name][0]).app)
    return (command.help or "").strip().partition("\n")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says_of_itself(name: str) -> None:
    assert COMMANDS[name][1] == summary(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_with_an_example(name: str, cli: Cli) -> None:
    ended = cli(name, "--help")
    assert ended.code == 0
    assert ended.err == ""
    assert f"Usage: hybrid-ci {name}" in ended.out
    assert "xample" in ended.out
    assert cli(name, "-h").out == ended.out


def test_the_overview_lists_the_same_commands_and_options_as_the_application(cli: Cli) -> None:
    ended = cli("--quiet", "--help")  # not the fast path: Typer's own help
    listed = re.findall(r"^  ([a-z][a-z-]+)  ", ended.out.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(COMMANDS)
    command = typer.main.get_command(app)
    ours = {word.strip(",") for option, _ in GLOBAL_OPTIONS for word in option.split() if word.startswith("-")}
    theirs = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert ours | {"--show-completion"} == theirs


def test_the_page_has_a_place_for_each_command() -> None:
    headings = [names.split(", ") for names in re.findall(r"^## ([a-z-]+(?:, [a-z-]+)*)$", PAGE, re.MULTILINE)]
    assert sorted(name for names in headings for name in names) == sorted(COMMANDS)


def test_the_page_names_every_document_that_has_a_schema() -> None:
    from orchestrator.cli.schema import Document

    assert f"`schema {'|'.join(Document)}`" in PAGE


@pytest.mark.parametrize(
    ("shell", "begins"), [("bash", "_hybrid_ci_completion()"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_the_script_that_completes_is_printed_for_each_shell(shell: str, begins: str) -> None:
    from tests.unit.cli.conftest import environment

    ended = run_apart(env=environment(_HYBRID_CI_COMPLETE=f"source_{shell}"))
    assert ended.code == 0
    assert ended.out.lstrip().startswith(begins)
    assert f"=complete_{shell} " in ended.out
    assert f"source_{shell}" in PAGE


def test_the_overview_fits_a_terminal_and_names_the_exit_codes() -> None:
    text = overview()
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.isascii()
    for code in (
        "0 done",
        "1 the work failed",
        "2 usage",
        "3 refused",
        "4 conflict",
        "5 a remote",
        "6 waiting",
        "130/143",
    ):
        assert code in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["relase"], "'relase'"),
        (["no-such-command"], "'no-such-command'"),
        (["--nope"], "--nope"),
        (["release", "--nope"], "--nope"),
        (["check", "extra"], "extra"),
        (["pin"], "IMAGE=REF"),
        (["schema", "nope"], "'nope'"),
        (["--log-format", "xml", "check"], "'xml'"),
        (["release", "--output", "html"], "'html'"),
        (["--config"], "--config"),
        (["check", "--policy"], "--policy"),
        (["\x1b[31mred\u202e"], "'"),
        (["release", "--only"], "--only"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_error(arguments: list[str], named: str, cli: Cli) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    error, fix = ended.err.strip().splitlines()
    assert error.startswith("error: ")
    assert named in error
    assert re.fullmatch(r"  fix:   hybrid-ci( \w+)? --help shows what it takes", fix)
    assert not set(ended.err) & set("\x1b\u202e")


def test_a_command_that_is_almost_one_is_suggested(cli: Cli) -> None:
    assert "release" in cli("relase").err.replace("relase", "")


def test_a_global_option_has_to_come_first(cli: Cli) -> None:
    assert cli("check", "--quiet").code == 2


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [("hybrid-ci re", "1", "release"), ("hybrid-ci sch", "1", "schema"), ("hybrid-ci release --dry", "2", "--dry-run")],
)
def test_the_shell_completes_commands_and_options(words: str, number: str, expected: str) -> None:
    from tests.unit.cli.conftest import environment

    ended = run_apart(env=environment(_HYBRID_CI_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number))
    assert expected in ended.out.split()
    assert "Usage" not in ended.out
