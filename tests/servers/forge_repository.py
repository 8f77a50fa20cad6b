"""The real bare repository behind a fake forge, as a forge reads and writes it: by plumbing, without a work tree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.servers.git_repositories import git


@dataclass(frozen=True)
class Repo:
    """A bare repository as a forge reads and writes it: by plumbing, without a work tree."""

    path: Path

    def tip(self, branch: str) -> str | None:
        """Where a branch is."""
        return git(self.path, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}") or None

    def has(self, commit: str) -> bool:
        """The commit exists."""
        try:
            return git(self.path, "cat-file", "-t", commit) == "commit"
        except AssertionError:
            return False

    def is_ancestor(self, old: str, new: str) -> bool:
        """``new`` holds all of ``old``."""
        return self.count(new, old) == 0

    def count(self, base: str, head: str) -> int:
        """Commits of head that base has not."""
        return int(git(self.path, "rev-list", "--count", f"{base}..{head}"))

    def merge_tree(self, base: str, head: str) -> str | None:
        """The tree of a merge; None for a conflict."""
        try:
            return git(self.path, "merge-tree", "--write-tree", base, head).split()[0]
        except AssertionError:
            return None

    def commit(self, tree: str, parents: list[str], message: str, author: str, when: datetime) -> str:
        """A commit object."""
        name, stamp = author, f"{int(when.timestamp())} +0000"
        people = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", f"{name}@example.com"), ("DATE", stamp))
        }
        flags = [flag for parent in parents for flag in ("-p", parent)]
        return git(self.path, "commit-tree", tree, *flags, stdin=message.encode(), **people)

    def move(self, branch: str, new: str, old: str | None = None) -> bool:
        """Compare and swap; False when it was not at ``old``."""
        try:
            git(self.path, "update-ref", f"refs/heads/{branch}", new, *([old] if old else []))
        except AssertionError:
            return False
        return True

    def info(self, commit: str) -> dict[str, Any]:
        """Tree, parents, author, committer, dates and message."""
        raw = git(self.path, "show", "-s", "--format=%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B", commit)
        tree, parents, name, mail, when, committer, committer_mail, committed, message = raw.split("\0")
        return {
            "tree": tree,
            "parents": parents.split(),
            "author": {"name": name, "email": mail, "date": when},
            "committer": {"name": committer, "email": committer_mail, "date": committed},
            "message": message.rstrip("\n"),
        }
