"""Merging and comparing in a bare repository: plumbing only, no worktree, no index."""

from __future__ import annotations

import re
from datetime import datetime

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.forges.base import NotMergeable
from orchestrator.forges.local_setup import APPROVALS_KEY
from orchestrator.forges.local_store import RefStore
from orchestrator.git.command import GitFailed, require_version
from orchestrator.git.identity import Identity, commit_content

_MERGE_TREE_VERSION = (2, 38)  # git merge-tree --write-tree
_SHOWN_CONFLICTS = 20
FORGE_ADDRESS = "forge@localhost"


class Merger:
    """Makes merge commits. Nothing here moves a ref: the commits it writes wait for a transaction."""

    def __init__(self, store: RefStore) -> None:
        self._store = store
        self._git = store.git

    def check_settings(self) -> int:
        """How many approvals the repository wants. Raises ConfigurationError when that is no number, or when the
        repository names a merge driver: that is a command, and nothing of a repository is ever run."""
        settings = self._store.settings(rf"^({APPROVALS_KEY.lower()}|merge\..*\.driver|merge\.default)$")
        text = settings.get(APPROVALS_KEY.lower(), "0")
        drivers = [key for key in settings if key != APPROVALS_KEY.lower()]
        where = f"{self._store.git_dir}/config"
        if drivers:
            raise ConfigurationError(
                "the repository's configuration names a merge driver, which the local forge does not run",
                where=where,
                details=drivers[:5],
                hint="remove it with `git config --unset`",
            )
        if not (text.isascii() and text.isdigit()):
            raise ConfigurationError(
                f"{APPROVALS_KEY} is {text!r}, which is no number",
                where=where,
                hint=f"set it with `git config {APPROVALS_KEY} 1`",
            )
        return int(text)

    def is_ancestor(self, ancestor: CommitId, commit: CommitId) -> bool:
        """``commit`` holds everything that ``ancestor`` has. Raises GitFailed."""
        answer = self._git.run(["merge-base", "--is-ancestor", ancestor.value, commit.value], check=False)
        if answer.returncode not in (0, 1) or answer.timed_out:
            raise GitFailed("merge-base", answer, where=str(self._store.git_dir))
        return answer.returncode == 0

    def merge_of(self, head: CommitId, base: CommitId) -> CommitId | None:
        """The commit on the base's first-parent line that merged exactly ``head``. Raises GitFailed."""
        argv = ["rev-list", "--first-parent", "--merges", "--parents", base.value, f"^{head}"]
        for line in self._git.run(argv).stdout.decode("ascii").splitlines():
            merge, _, *others = line.split()
            if head.value in others:
                return CommitId(merge)
        return None

    def create(self, base: CommitId, head: CommitId, message: str, actor: str, when: datetime) -> CommitId:
        """A merge commit of ``head`` into ``base``, first parent ``base``; never a fast-forward.

        Raises NotMergeable on a conflict, ConfigurationError for an actor that can't be an author, GitUnusable for
        a git before 2.38, GitFailed. ``check_settings`` comes first.
        """
        tree = self._merged_tree(base, head)
        author = Identity(actor, f"{_local_part(actor)}@localhost").stamp(when)
        committer = Identity("hybrid-ci local forge", FORGE_ADDRESS).stamp(when)
        return CommitId(
            self._store.write_commit(commit_content(tree, (base.value, head.value), author, committer, message))
        )

    def diff(self, base: CommitId, head: CommitId) -> str:
        """What ``head`` changes since it left ``base``, as a unified diff; all of it when they never met."""
        found = self._git.run(["merge-base", base.value, head.value], check=False).stdout.decode("ascii").split()
        argv = ["diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames"]
        answer = self._git.run([*argv, found[0] if found else base.value, head.value])
        return answer.stdout.decode("utf-8", "backslashreplace")

    def first_parent(self, merge: CommitId) -> CommitId:
        """Where the base was before this merge. Raises GitFailed."""
        return CommitId(self._git.run(["rev-parse", "--verify", f"{merge}^1"]).stdout.decode("ascii").strip())

    def has_commit(self, commit: CommitId) -> bool:
        """The repository holds this commit. Raises GitFailed."""
        answer = self._git.run(["cat-file", "--batch-check=%(objecttype)"], stdin=f"{commit}\n".encode())
        return answer.stdout.strip() == b"commit"

    def _merged_tree(self, base: CommitId, head: CommitId) -> str:
        require_version(_MERGE_TREE_VERSION)
        argv = ["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", base.value, head.value]
        answer = self._git.run(argv, check=False)
        if answer.ok:
            return answer.stdout.rstrip(b"\0").decode("ascii")
        if answer.returncode == 1 and not answer.timed_out:
            names = [name.decode("utf-8", "backslashreplace") for name in answer.stdout.split(b"\0")[1:] if name]
            raise NotMergeable(
                "the head and the base change the same places: there is a merge conflict",
                where=str(self._store.git_dir),
                details=names[:_SHOWN_CONFLICTS],
                hint="bring the head branch up to date with the base, then merge again",
            )
        if "unrelated histories" in answer.error_text:
            raise NotMergeable(
                "the head and the base have no commit in common",
                where=str(self._store.git_dir),
                hint="make the head branch from the base",
            )
        raise GitFailed("merge-tree", answer, where=str(self._store.git_dir))


def _local_part(actor: str) -> str:
    """A mail address's first half from any name."""
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", actor).strip("-.") or "unknown"
