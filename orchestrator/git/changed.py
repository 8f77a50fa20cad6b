"""Which paths of the application a commit changes, for stages that only some of them concern."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.names import CommitId, InvalidName
from orchestrator.git.command import Git
from orchestrator.git.source import open_checkout


def changed_paths(directory: Path, since: CommitId | None = None) -> frozenset[str] | None:
    """The paths, relative to ``directory``, that differ between ``since`` (default: the first parent) and HEAD.

    None when nobody can tell: the first commit, a shallow checkout, a commit that is not there. Paths outside the
    directory begin with ``../``. Raises ConfigurationError when there is no repository.
    """
    work_tree, git = open_checkout(directory)
    start = (_commit(git, since.value) if since is not None else None) or _commit(git, "HEAD^1")
    if start is None:
        return None
    argv = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", start.value, "HEAD"]
    completed = git.run(argv, check=False)
    if not completed.ok or completed.truncated:
        return None
    names = completed.stdout.decode("utf-8", "surrogateescape").split("\0")
    prefix = directory.resolve().relative_to(work_tree).as_posix()
    return frozenset(_inside(name, prefix) for name in names if name)


def _commit(git: Git, name: str) -> CommitId | None:
    """The commit, when it is here with its tree."""
    argv = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    completed = git.run(argv, check=False)
    lines = completed.stdout.decode("ascii", "replace").split()
    try:
        return CommitId(lines[-1]) if completed.ok and lines else None
    except InvalidName:
        return None


def _inside(name: str, prefix: str) -> str:
    if prefix == ".":
        return name
    return name.removeprefix(f"{prefix}/") if name.startswith(f"{prefix}/") else f"../{name}"
