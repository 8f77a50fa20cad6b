"""``hybrid-ci generate``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import Settings, command_app, examples

if TYPE_CHECKING:
    from orchestrator.ci.generate import Application, Environments, Source

app = command_app()


class System(StrEnum):
    """Whose files are made."""

    GITHUB = "github"
    GITLAB = "gitlab"
    JENKINS = "jenkins"


@app.command(
    epilog=examples(
        "hybrid-ci generate github --write",
        "hybrid-ci generate gitlab > .gitlab-ci.yml",
        "hybrid-ci generate jenkins --check",
        "hybrid-ci generate github --gitops --write",
    )
)
def generate(
    context: typer.Context,
    system: Annotated[System, typer.Argument(help="github, gitlab or jenkins.")],
    branch: Annotated[str, typer.Option(help="The branch whose commits are released.")] = "main",
    gitops: Annotated[
        bool,
        typer.Option("--gitops", help="This is the GitOps repository: the workflow that promotes, from its policy."),
    ] = False,
    uses: Annotated[
        str | None,
        typer.Option(metavar="REPOSITORY@REF", help="Where hybrid-ci is taken from; a commit as REF pins it."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the file where the CI looks for it.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the file differs.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --write: overwrite a file that was not generated.")
    ] = False,
) -> None:
    """Print the CI file for GitHub, GitLab or Jenkins, from the configuration.

    It releases this application; with --gitops, it promotes in this GitOps repository. Builds run on runners that see
    no token of the GitOps repository; one job with that token, in a protected environment, joins their records into
    one pull request.
    """
    from orchestrator.core.errors import ConfigurationError

    settings: Settings = context.obj
    if write and check:
        raise ConfigurationError("write it, or check it", where="--write --check", hint="leave one of them out")
    root = _root(Path.cwd() if gitops else settings.config.absolute().parent)
    name, text = _made(system, _source(uses), settings.config, root, branch, gitops=gitops)
    file = root / name
    if check:
        _check(file, text)
    elif write:
        _write(file, text, force=force)
    else:
        typer.echo(text, nl=False)


def _made(system: System, source: Source, config: Path, root: Path, branch: str, *, gitops: bool) -> tuple[str, str]:
    """Where the file goes, and what it says."""
    from orchestrator.ci.generate import github, gitlab, jenkins
    from orchestrator.core.errors import ConfigurationError
    from orchestrator.core.names import BranchName

    if gitops and system is not System.GITHUB:
        raise ConfigurationError(
            f"there is no file for promotions on {system.value} yet",
            where="--gitops",
            hint="run `hybrid-ci promote` in a job that people start by hand",
        )
    if gitops:
        return github.PROMOTE_FILE, github.promote_workflow(_environments(root, source))
    application = _application(config, root, BranchName(branch).value, source)
    match system:
        case System.GITHUB:
            return github.RELEASE_FILE, github.release_workflow(application)
        case System.GITLAB:
            return gitlab.FILE, gitlab.pipeline(application)
        case System.JENKINS:
            return jenkins.FILE, jenkins.jenkinsfile(application)


def _application(config: Path, root: Path, branch: str, source: Source) -> Application:
    from orchestrator.ci.generate import Application
    from orchestrator.config.loader import load_application
    from orchestrator.core.image import Repository

    loaded = load_application(config).config
    registries = {Repository.parse(image.repository).registry: None for image in loaded.images.values()}
    wanted = [name for image in loaded.images.values() for name in image.secrets]
    wanted += [name for stage in loaded.stages.values() for name in stage.secrets]
    where = config.absolute().relative_to(root).as_posix()
    return Application(where, branch, tuple(loaded.images), tuple(registries), tuple(dict.fromkeys(wanted)), source)


def _environments(root: Path, source: Source) -> Environments:
    from orchestrator.ci.generate import Environments
    from orchestrator.config.loader import load_policy, missing_policy
    from orchestrator.core.environment import POLICY_PATH, order

    file = root / POLICY_PATH
    if not file.is_file():
        raise missing_policy(str(root))
    policy = load_policy(file.read_bytes(), str(file), None)
    names = tuple(rule.name for rule in policy.applications)
    plain = all(c not in name for name in names for c in "*?")  # a pattern is no choice
    return Environments(order(policy.environments), names if plain else (), source)


def _source(uses: str | None) -> Source:
    import re

    from orchestrator import __version__
    from orchestrator.ci.generate import HOME, Source
    from orchestrator.core.errors import ConfigurationError

    if uses is None:
        return Source(HOME, f"v{__version__}", __version__)
    match = re.fullmatch(r"([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+)@([A-Za-z0-9_./-]+)", uses)
    if match is None:
        raise ConfigurationError(
            f"{uses!r} is not REPOSITORY@REF", where="--uses", hint=f"such as {HOME}@v{__version__}"
        )
    return Source(match[1], match[2], __version__)


def _root(folder: Path) -> Path:
    """The top of the repository, where CI systems look; the folder itself where there is none."""
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)


def _check(file: Path, text: str) -> None:
    if file.is_file() and file.read_bytes() == text.encode():
        typer.echo(f"{file}: as it would be made")
        return
    typer.echo(f"{file}: {'it would be made otherwise' if file.is_file() else 'it is not there'}")
    raise typer.Exit(1)


def _write(file: Path, text: str, *, force: bool) -> None:
    from orchestrator.config.starter import write_new

    ours = file.is_file() and "Made by `hybrid-ci generate " in file.read_text("utf-8", "replace")[:200]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_new(file, text, force=force or ours)
    typer.echo(f"{file}: written")
