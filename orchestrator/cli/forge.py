"""``hybrid-ci forge``: the embedded local forge, looked at and acted on by a person."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples
from orchestrator.core.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestrator.core.names import CommitId
    from orchestrator.forges.local import LocalForge

app = command_app(
    no_args_is_help=True,
    help="Show pull requests of the embedded local forge, and act on them.\n\nPATH is its bare repository; without "
    "one, the repository that hybrid-ci.yaml names. The local forge does not check who anybody is.",
    epilog=examples("hybrid-ci forge list", "hybrid-ci forge show 1", "hybrid-ci forge merge 1 --as me"),
)

# With one word, it is the number: a path may be left out where hybrid-ci.yaml names the forge.
First = Annotated[
    str, typer.Argument(metavar="PATH", help="The forge; may be left out where hybrid-ci.yaml names one.")
]
Second = Annotated[str | None, typer.Argument(metavar="NUMBER", help="The pull request's number.")]
Repository = Annotated[Path | None, typer.Option("--repository", metavar="PATH", help="The forge, instead of PATH.")]
Output = Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")]
Actor = Annotated[
    str | None, typer.Option("--as", metavar="NAME", envvar="HYBRID_CI_ACTOR", help="Who you are (nobody checks it).")
]
Head = Annotated[
    str | None, typer.Option("--head", metavar="COMMIT", help="Only if the head is still this commit (full id).")
]


class StateFilter(StrEnum):
    """Which pull requests are listed."""

    ALL = "all"
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class StatusValue(StrEnum):
    """What a commit status can say."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@app.command(epilog=examples("hybrid-ci forge init ../gitops.git && git push ../gitops.git main"))
def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder, or an existing bare repository.")],
    base: Annotated[str, typer.Option(metavar="BRANCH", help="The branch to protect; may be added to later.")] = "main",
    required_approvals: Annotated[
        int | None, typer.Option(min=0, max=100, help="Approvals that a merge needs (a new forge: 0).")
    ] = None,
) -> None:
    """Make a local forge with a protected base branch."""
    from orchestrator.forges.local import LocalForge

    forge = LocalForge.init(path, base, required_approvals=required_approvals)
    typer.echo(f"local forge at {forge.path}; {base} only changes by pull request (a first push may create it)")


@app.command(name="list", epilog=examples("hybrid-ci forge list ../gitops.git --state open --output json"))
def list_(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(metavar="[PATH]", help="The forge.")] = None,
    repository: Repository = None,
    state: Annotated[StateFilter, typer.Option(help="Which ones.")] = StateFilter.ALL,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List pull requests, newest first."""
    from orchestrator.cli.forge_results import print_list
    from orchestrator.forges.base import PullRequestState

    forge = _forge(context, path or repository, None)
    wanted = None if state is StateFilter.ALL else PullRequestState(state.value)
    print_list(forge.list(wanted), output)


@app.command(epilog=examples("hybrid-ci forge show ../gitops.git 7", "hybrid-ci forge show 7"))
def show(
    context: typer.Context,
    path: First,
    number: Second = None,
    repository: Repository = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show a pull request with its diff against the base."""
    from orchestrator.cli.forge_results import print_shown

    forge, which = _target(context, path, number, repository, None)
    print_shown(forge.show(which), forge.record(which), forge.required_approvals(), forge.diff(which), output)


@app.command(epilog=examples("hybrid-ci forge approve ../gitops.git 7 --as ada"))
def approve(
    context: typer.Context,
    path: First,
    number: Second = None,
    repository: Repository = None,
    actor: Actor = None,
    head: Head = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Approve the current head of a pull request.

    The name that approves is not checked by anybody; an approval of an earlier head does not count.
    """
    from orchestrator.cli.forge_results import print_approved

    forge, which = _target(context, path, number, repository, actor)
    print_approved(forge.approve(which, _commit(head)), forge.actor, forge.required_approvals(), output)


@app.command(epilog=examples("hybrid-ci forge merge ../gitops.git 7 --delete-branch"))
def merge(
    context: typer.Context,
    path: First,
    number: Second = None,
    repository: Repository = None,
    actor: Actor = None,
    head: Head = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Message of the merge commit.")] = None,
    delete_branch: Annotated[bool, typer.Option("--delete-branch", help="Delete the head branch afterwards.")] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Merge a pull request by a merge commit on its base."""
    from orchestrator.cli.forge_results import print_ended

    forge, which = _target(context, path, number, repository, actor)
    expected = _commit(head) or forge.current_head(which)
    print_ended(forge.merge(which, expected, message, delete_branch=delete_branch), output)


@app.command(epilog=examples("hybrid-ci forge close ../gitops.git 7 --comment 'not before the holidays'"))
def close(
    context: typer.Context,
    path: First,
    number: Second = None,
    repository: Repository = None,
    actor: Actor = None,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    output: Output = OutputFormat.TABLE,
) -> None:
    """Close a pull request without merging it."""
    from orchestrator.cli.forge_results import print_ended

    forge, which = _target(context, path, number, repository, actor)
    print_ended(forge.close(which, comment), output)


@app.command(epilog=examples("hybrid-ci forge status ../gitops.git main --set success --context kustomization/apps"))
def status(
    context: typer.Context,
    path: First,
    commit: Annotated[
        str | None, typer.Argument(metavar="COMMIT", help="A full commit id, a branch, or #7 for its merge.")
    ] = None,
    repository: Repository = None,
    actor: Actor = None,
    value: Annotated[StatusValue | None, typer.Option("--set", help="Write a status, as an agent would.")] = None,
    status_context: Annotated[str, typer.Option("--context", help="Whose verdict it is.")] = "manual",
    description: Annotated[str, typer.Option(help="What it means.")] = "",
    url: Annotated[str, typer.Option(help="Where to look.")] = "",
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show the statuses of a commit, or write one.

    On a real forge the agent in the cluster writes them.
    """
    from orchestrator.cli.forge_results import print_statuses
    from orchestrator.forges.base import CommitStatus, StatusState

    forge, word = _split(context, path, commit, repository, actor)
    which = forge.find_commit(word)
    if value is not None:
        forge.set_status(which, CommitStatus(status_context, StatusState(value.value), description, url))
    print_statuses(which, forge.statuses(which), output)


def _target(
    context: typer.Context, first: str, second: str | None, repository: Path | None, actor: str | None
) -> tuple[LocalForge, int]:
    """The forge and the number. Raises ConfigurationError for a word that is no number."""
    word = first if second is None else second
    digits = word.removeprefix("#")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ConfigurationError(f"{word!r} is not a pull request's number", hint="write it last, as a plain number: 7")
    return _split(context, first, second, repository, actor)[0], int(digits)


def _split(
    context: typer.Context, first: str, second: str | None, repository: Path | None, actor: str | None
) -> tuple[LocalForge, str]:
    """The forge, and the word that is not its path."""
    if second is None:
        return _forge(context, repository, actor), first
    return _forge(context, Path(first), actor), second


def _forge(context: typer.Context, path: Path | None, actor: str | None) -> LocalForge:
    from orchestrator.forges.local import LocalForge

    return LocalForge(path or _configured(context.obj), actor=actor or _user())


def _configured(settings: Settings) -> Path:
    """The forge of the configuration file. Raises ConfigurationError when it names none on this machine."""
    from orchestrator.config.fields import remote_url
    from orchestrator.config.loader import load_application

    application = load_application(settings.config)
    gitops = application.config.gitops
    place = gitops.repository if gitops.forge in ("auto", "github", "gitlab") else gitops.forge
    return remote_url(place, application.directory).local_path


def _commit(text: str | None) -> CommitId | None:
    from orchestrator.core.names import CommitId

    return CommitId(text) if text else None


def _user() -> str:
    """The login name; a container's user may have none."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
