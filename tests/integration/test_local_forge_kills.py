"""A process that works on the local forge is killed around each of its writes; the next one finishes the work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.core.names import BranchName
from orchestrator.forges.base import PullRequestState
from orchestrator.forges.local import LocalForge
from tests.servers.git_repositories import commit_files, git

ROOT = Path(__file__).resolve().parents[2]
WRITES = 5  # open, update, approve, status, merge

_LIFE = """
import sys
from pathlib import Path
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import CommitStatus, PullRequestDraft, PullRequestState, StatusState
from orchestrator.forges.local import LocalForge

path, head, base = Path(sys.argv[1]), BranchName("feature"), BranchName("main")
forge = LocalForge(path)
known = forge.pull_requests(head, base)
if known and known[0].state is PullRequestState.MERGED:
    sys.exit(0)
pull = forge.open(PullRequestDraft("Release", "", head, base))
forge.update(pull.number, title="Release 2", body="new")
LocalForge(path, actor="ada").approve(pull.number)
forge.set_status(pull.head_commit, CommitStatus("flux", StatusState.SUCCESS))
forge.merge(pull.number, pull.head_commit, delete_branch=True)
"""

# A git that ends whoever started it, right before or right after its n-th transaction.
_DEADLY_GIT = """\
#!/bin/sh
[ "$1" = update-ref ] || exec "{git}" "$@"
echo >> "{count}"
n=$(wc -l < "{count}")
[ "$n-{when}" = {at}-before ] && kill -KILL $PPID && exit 1
"{git}" "$@"
status=$?
[ "$n-{when}" = {at}-after ] && kill -KILL $PPID
exit $status
"""


def live(bare: Path, search_path: str) -> int:
    """One process's work, start to end; its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", _LIFE, str(bare)],
        env=os.environ | {"PATH": search_path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, WRITES + 1))
def test_a_killed_process_is_finished_by_the_next_one(tmp_path: Path, at: int, when: str) -> None:
    bare = tmp_path / "gitops.git"
    LocalForge.init(bare, required_approvals=1)
    main = commit_files(bare, {"a.yaml": b"old\n"})
    feature = commit_files(bare, {"a.yaml": b"new\n"}, ref="refs/heads/feature", parent=main)
    deadly = tmp_path / "bin/git"
    deadly.parent.mkdir()
    deadly.write_text(_DEADLY_GIT.format(git=shutil.which("git"), count=tmp_path / "count", at=at, when=when))
    deadly.chmod(0o755)

    assert live(bare, f"{deadly.parent}:{os.environ['PATH']}") == -signal.SIGKILL
    assert live(bare, os.environ["PATH"]) == 0

    (pull,) = LocalForge(bare).pull_requests(BranchName("feature"), BranchName("main"))
    assert (pull.number, pull.state, pull.title) == (1, PullRequestState.MERGED, "Release 2")
    assert pull.approvals == ("ada",)
    assert str(pull.head_commit) == feature
    assert git(bare, "log", "-1", "--format=%H %P", "main") == f"{pull.merge_commit} {main} {feature}"
    refs = git(bare, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/hybrid-ci/open").split()
    assert refs == ["refs/heads/main"]
    git(bare, "fsck", "--strict", "--no-dangling")
