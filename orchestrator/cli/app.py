"""The root command: global options, commands loaded when they are called, one error boundary."""

from __future__ import annotations

import difflib
import importlib
import itertools
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.boundary import guarded
from orchestrator.cli.commands import COMMANDS


class LogFormat(StrEnum):
    """How progress is written to stderr."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class OutputFormat(StrEnum):
    """How results are written to stdout."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


@dataclass(frozen=True)
class Settings:
    """The global options, as every command finds them in ``context.obj``."""

    config: Path
    log_format: LogFormat
    quiet: bool
    verbose: bool
    git_cache: Path | None = None


class LazyGroup(TyperGroup):
    """A group that imports a command's module when somebody calls that command."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the table's order."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names. Fails with the one that may have been meant."""
        if args[0] not in COMMANDS and (close := difflib.get_close_matches(args[0], COMMANDS, n=1)):
            ctx.fail(f"No such command {args[0]!r}; did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    name="hybrid-ci",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def command_app(**settings: Any) -> typer.Typer:
    """A Typer for one command's module, with the settings that all share."""
    return typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        **settings,
    )


def examples(*lines: str) -> str:
    """The end of a command's help: its examples, a line each (the control character keeps them from being wrapped)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _print_version(value: bool) -> None:
    if value:
        from orchestrator import __version__

        typer.echo(f"hybrid-ci {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[Path, typer.Option(envvar="HYBRID_CI_CONFIG", metavar="FILE", help="Configuration file.")] = Path(
        "hybrid-ci.yaml"
    ),
    log_format: Annotated[LogFormat, typer.Option(help="Progress as auto, text or json.")] = LogFormat.AUTO,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More detail on stderr.")] = False,
    git_cache: Annotated[
        Path | None,
        typer.Option(envvar="HYBRID_CI_GIT_CACHE", metavar="DIR", help="Keep a mirror of the GitOps repository here."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """CI builds, tests and pushes images, then opens a pull request that pins them by digest."""
    context.obj = Settings(config, log_format, quiet, verbose, git_cache)


def run() -> int:
    """Parse the command line, run the command, give the exit code. Nothing but this prints errors."""
    command = typer.main.get_command(app)
    if "_HYBRID_CI_COMPLETE" in os.environ:  # the shell asks what could come next
        command.main(prog_name="hybrid-ci")
    return guarded(lambda: _invoke(command), verbose=_wants_detail(), as_json=_wants_json())


def _invoke(command: Any) -> object:
    """Without the command's own ``main``, which ends the process in ways of its own (signals, closed pipes)."""
    with command.make_context("hybrid-ci", sys.argv[1:]) as context:
        return command.invoke(context)


def _wants_json() -> bool:
    """Errors are told like everything else on stderr; they can come before the options are parsed."""
    words = sys.argv[1:]
    return "--log-format=json" in words or ("--log-format", "json") in itertools.pairwise(words)


def _wants_detail() -> bool:
    return any(argument in ("--verbose", "-v") for argument in sys.argv[1:])
