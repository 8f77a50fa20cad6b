"""``hybrid-ci init``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import Settings, command_app, examples
from orchestrator.core.text import printable

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci init",
        "hybrid-ci init --registry ghcr.io/acme/shop --gitops-url https://github.com/acme/gitops.git",
        "hybrid-ci init --gitops --base main",
    )
)
def init(
    context: typer.Context,
    application: Annotated[str | None, typer.Option(help="The application's name (default: the folder's).")] = None,
    registry: Annotated[str | None, typer.Option(help="Where images go, such as ghcr.io/acme/shop.")] = None,
    gitops_url: Annotated[str | None, typer.Option(metavar="URL", help="The GitOps repository.")] = None,
    environment: Annotated[
        str | None, typer.Option("--env", help="The environment that releases go to (default: the first one, or dev).")
    ] = None,
    gitops: Annotated[
        bool, typer.Option("--gitops", help="This is the GitOps repository: write its policy from its layout.")
    ] = False,
    base: Annotated[str, typer.Option(help="With --gitops: the protected base branch.")] = "main",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration from what this repository holds.

    Finds Dockerfiles and their ports, what a compose file says of them, the CI in use, and environments whose manifests
    lie in this very repository. On a terminal it asks for what it can't see; elsewhere it needs --registry and
    --gitops-url for that. With --gitops it looks at the environments of a GitOps repository instead.
    """
    if gitops:
        return _init_policy(base, force)
    from orchestrator.config.starter import (
        Answers,
        check_starter,
        default_application,
        refuse_existing,
        starter,
        write_new,
    )
    from orchestrator.git.source import remote_of
    from pipelines.surveying import survey

    settings: Settings = context.obj
    refuse_existing(settings.config, force=force)
    root = settings.config.absolute().parent  # where the paths in it start from
    name = application or default_application(root)
    remote = remote_of(root)
    seen = survey(root, name, remote)
    if not seen.images:
        _no_dockerfile(root)
    for line in seen.told():
        typer.echo(printable(line), err=True)
    gitops_url = gitops_url or (remote if seen.environments else None)
    _check_answered({"--registry": registry or not seen.needs_registry, "--gitops-url": gitops_url})
    if not registry and seen.needs_registry:
        registry = _ask("Where do images go (for example ghcr.io/acme/shop)?", seen.registry)
    answers = Answers(
        name,
        registry or "",
        gitops_url or _ask("URL of the GitOps repository?"),
        environment or next(iter(seen.environments), "dev"),
    )
    text = starter(seen.images, answers)
    check_starter(text, settings.config)
    write_new(settings.config, text, force=force)
    typer.echo(f"{settings.config}: written; look through it, then run `hybrid-ci check`")
    if seen.generate is not None:
        typer.echo(f"next: `hybrid-ci generate {seen.generate}` makes the jobs for that CI", err=True)
    return None


def _init_policy(base: str, force: bool) -> None:
    from orchestrator.config.starter import write_new
    from orchestrator.core.environment import POLICY_PATH
    from pipelines.propose_policy import propose_policy

    proposed = propose_policy(Path.cwd(), base)
    for proposal in proposed.proposals:
        typer.echo(f"{proposal.name}  {proposal.confidence} confidence  {'; '.join(proposal.evidence[:2])}", err=True)
    file = Path(POLICY_PATH)
    file.parent.mkdir(exist_ok=True)
    write_new(file, proposed.text, force=force)
    typer.echo(f"{file}: written; look through it, then run `hybrid-ci check --policy {file}`")


def _check_answered(answers: Mapping[str, object]) -> None:
    """Where nobody can be asked, all that is missing is named at once. Raises ConfigurationError."""
    from orchestrator.core.errors import ConfigurationError

    missing = " and ".join(option for option, answer in answers.items() if not answer)
    if missing and not sys.stdin.isatty():
        verb = "are" if " and " in missing else "is"
        raise ConfigurationError(f"{missing} {verb} needed", hint=f"give {missing}, or run it on a terminal")


def _ask(question: str, guess: str | None = None) -> str:
    """What a person says. A guess is offered to them, and is no answer by itself."""
    return str(typer.prompt(question, default=guess))


def _no_dockerfile(root: Path) -> None:
    from orchestrator.core.errors import ConfigurationError

    raise ConfigurationError(
        "there is no Dockerfile here",
        where=str(root),
        hint="run it in the application's repository, or write one first",
    )
