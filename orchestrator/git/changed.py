"""Which paths of the application a commit changes: for stages and images that only some of them concern."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.difference import Difference
from orchestrator.core.names import CommitId, InvalidName
from orchestrator.git.command import Git
from orchestrator.git.source import open_checkout


def difference(directory: Path, base: str | None, before: str | None, *, ci: bool) -> Difference:
    """What HEAD changes: since it left ``base`` (a branch or a commit) where one is named, else since ``before``, the
    commit that the branch was at before this push; on a person's machine since its first parent.

    Paths are relative to ``directory``; those outside of it begin with ``../``. A base that can't be found out is told
    with its reason, and nothing is guessed: a push can hold many commits. Raises ConfigurationError when there is no
    repository.
    """
    work_tree, git = open_checkout(directory)
    if base is not None:
        start, reason = _fork_point(git, base), f"this checkout does not hold where HEAD left {base}"
    elif before is not None:
        start, reason = _commit(git, before) if before.strip("0") else None, _why_not(before)
    elif ci:
        start, reason = None, "the CI does not tell what this push changed from"
    else:
        start, reason = _commit(git, "HEAD^1"), "this checkout does not hold the commit before HEAD"
    paths = _paths(directory, work_tree, git, start) if start is not None else None
    return Difference(paths, start, "" if paths is not None else reason)


def file_at(directory: Path, commit: CommitId, path: str) -> bytes | None:
    """A file as it was in a commit, by its path relative to ``directory``; None where it was not there.

    Raises ConfigurationError when there is no repository.
    """
    work_tree, git = open_checkout(directory)
    prefix = directory.resolve().relative_to(work_tree)
    argv = ["cat-file", "blob", f"{commit}:{(prefix / path).as_posix()}"]
    completed = git.run(argv, check=False)
    return completed.stdout if completed.ok and not completed.truncated else None


def _why_not(before: str) -> str:
    if not before.strip("0"):
        return "the branch is new"
    return f"this checkout does not hold {before[:12]}, which this push began from (fetch the whole history)"


def _fork_point(git: Git, base: str) -> CommitId | None:
    """Where HEAD and the base went different ways; None when that is not to be seen from here."""
    tip = _commit(git, base) or _commit(git, f"refs/remotes/origin/{base}")
    if tip is None:
        return None
    completed = git.run(["merge-base", tip.value, "HEAD"], check=False)
    lines = completed.stdout.decode("ascii", "replace").split()
    return CommitId(lines[0]) if completed.ok and lines else None


def _paths(directory: Path, work_tree: Path, git: Git, start: CommitId) -> frozenset[str] | None:
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
