"""Reads the application repository: which commit a release is built from. Never writes, never runs its code.

The checkout belongs to a user and its ``.git/config`` may be anybody's. Where ``.git`` is no plain folder, GitPython
finds the repository, without a process; its object access would start an unhardened git, and its refs follow
``GIT_COMMON_DIR`` of the environment, so every question goes through the hardened invocation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId, InvalidName
from orchestrator.core.release import SourceCommit
from orchestrator.engine.parallel import both
from orchestrator.engine.process import Limits
from orchestrator.git.command import Git, GitFailed, require_version

_STATUS_LIMITS = Limits(seconds=120, output=1024 * 1024)
_COUNT_LIMITS = Limits(seconds=10)
_NO_REPOSITORY_HINT = "run hybrid-ci in a checkout of the application's repository, or check the path"


def read_source(path: Path) -> SourceCommit:
    """The commit that is checked out at ``path`` or above it.

    ``dirty`` is a change to a tracked file, as ``git describe --dirty`` has it; the content of submodules does not
    count. Raises ConfigurationError when there is no repository, no commit, or one we can't read.
    """
    _, git = open_checkout(path)
    commit, branch, shallow = _head(git)
    dirty, clean = both(lambda: _is_dirty(git), lambda: _undisturbed(git, commit, branch, shallow=shallow))
    return replace(clean, dirty=dirty)


def _undisturbed(git: Git, commit: CommitId, branch: str | None, *, shallow: bool) -> SourceCommit:
    """The commit, were there no changes in the work tree."""
    authored, subject = _author_date_and_subject(git, commit)
    return SourceCommit(
        id=commit,
        branch=branch,
        tags=_tags(git, commit),
        authored=authored,
        subject=subject,
        remote=_remote(git),
        dirty=False,
        first_parent_count=None if shallow else _first_parent_count(git, commit),
    )


def remote_of(path: Path) -> str | None:
    """Where the checkout was cloned from, without credentials; None when it does not say, or there is none."""
    try:
        _, git = open_checkout(path)
    except ConfigurationError:
        return None
    return _remote(git)


def open_checkout(path: Path) -> tuple[Path, Git]:
    """The work tree at ``path`` or above it, and git on it. Raises ConfigurationError."""
    require_version()  # GitPython looks for git while it is imported, and fails in its own words
    work_tree = _find_work_tree(path)
    return work_tree, Git(_git_dir(work_tree), work_tree=work_tree, where=str(work_tree))


def without_credentials(url: str) -> str | None:
    """The URL of a remote as it may be shown: no user-info, query or fragment; None when it can't be read."""
    if "://" not in url:
        return url if url and not any(ord(c) < 0x20 for c in url) and "::" not in url else None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
    shown_host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{user}{shown_host}" + (f":{port}" if port else ""), parts.path, "", ""))


def _find_work_tree(path: Path) -> Path:
    """The folder at or above ``path`` that holds ``.git``: by looking, so that no GIT_* variable decides it."""
    start = path.resolve()
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    raise ConfigurationError("there is no git repository here", where=str(path), hint=_NO_REPOSITORY_HINT)


def _git_dir(work_tree: Path) -> Path:
    """Where the checkout keeps its repository: not always ``.git``, since linked worktrees and submodules differ."""
    usual = work_tree / ".git"
    if (usual / "HEAD").is_file():
        return usual
    import git as gitpython  # 85 ms: only a checkout that is not the usual one pays for it

    try:
        with gitpython.Repo(work_tree, expand_vars=False) as repository:
            return Path(repository.git_dir)
    except (gitpython.InvalidGitRepositoryError, gitpython.NoSuchPathError) as error:
        raise ConfigurationError(
            "this is not a git repository that can be read", where=str(work_tree), hint=_NO_REPOSITORY_HINT
        ) from error


def _head(git: Git) -> tuple[CommitId, str | None, bool]:
    """The commit of HEAD, its branch, and whether the history is cut."""
    argv = ["rev-parse", "--is-shallow-repository", "HEAD", "--symbolic-full-name", "HEAD"]
    completed = git.run(argv, check=False)
    lines = completed.stdout.decode("utf-8", "surrogateescape").splitlines()
    try:
        shallow, identity, name = lines
        commit = CommitId(identity)
    except (ValueError, InvalidName) as error:
        raise ConfigurationError(
            "the checked-out commit can't be read",
            where=git.where,
            hint="the repository needs at least one commit",
            details=completed.error_text.splitlines()[:5],
        ) from error
    prefix = "refs/heads/"
    return commit, name.removeprefix(prefix) if name.startswith(prefix) else None, shallow == "true"


def _author_date_and_subject(git: Git, commit: CommitId) -> tuple[datetime, str]:
    # rev-list and not log: log.showSignature of a repository's configuration would run its gpg.program.
    argv = ["rev-list", "--max-count=1", "--no-commit-header", "--format=%aI%x00%s", "--end-of-options", commit.value]
    date, _, subject = git.run(argv).stdout.decode("utf-8", "replace").rstrip("\n").partition("\0")
    return datetime.fromisoformat(date), subject


def _tags(git: Git, commit: CommitId) -> tuple[str, ...]:
    completed = git.run(["for-each-ref", f"--points-at={commit}", "--format=%(refname)", "refs/tags/"])
    names = completed.stdout.decode("utf-8", "surrogateescape").splitlines()
    return tuple(name.removeprefix("refs/tags/") for name in names)


def _is_dirty(git: Git) -> bool:
    """Filters of the repository's own configuration are switched off: a clean filter is a command."""
    quiet = git.with_configuration(*_disabled_filters(git))
    argv = ["status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames"]
    completed = quiet.run(argv, check=False, limits=_STATUS_LIMITS)
    if completed.returncode != 0 and not completed.timed_out:
        raise GitFailed("status", completed, where=git.where)
    return bool(completed.stdout) or completed.timed_out  # unknown counts as dirty


def _disabled_filters(git: Git) -> Sequence[tuple[str, str]]:
    argv = ["config", "--null", "--includes", "--name-only", "--get-regexp", r"^filter\..*\.(clean|smudge|process)$"]
    completed = git.run(argv, check=False)
    names = {name for name in completed.stdout.decode("utf-8", "surrogateescape").split("\0") if name}
    drivers = {name.rpartition(".")[0] for name in names}
    return [(name, "") for name in sorted(names)] + [(f"{driver}.required", "false") for driver in sorted(drivers)]


def _first_parent_count(git: Git, commit: CommitId) -> int | None:
    """Its position on its branch; None when counting takes too long or the history is not whole."""
    argv = ["rev-list", "--count", "--first-parent", "--end-of-options", commit.value]
    completed = git.run(argv, check=False, limits=_COUNT_LIMITS)
    return int(completed.stdout) if completed.ok else None


def _remote(git: Git) -> str | None:
    """``origin``'s URL as the repository's own configuration has it."""
    completed = git.run(["config", "--get", "remote.origin.url"], check=False)
    url = completed.stdout.decode("utf-8", "replace").strip()
    return without_credentials(url) if url else None
