"""Making a local forge: a bare repository, its settings, and the hook that protects its base branch."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.errors import ConfigurationError, Conflict, RemoteError
from orchestrator.core.names import BranchName
from orchestrator.forges.base import ForgeFacts, LoginFacts, TokenKind
from orchestrator.git.command import Git

MARKER_KEY = "hybrid-ci.forge"
MARKER_VALUE = "1"
PROTECTED_KEY = "hybrid-ci.protectedBranch"
APPROVALS_KEY = "hybrid-ci.requiredApprovals"
_HOOK_NAME = "pre-receive"
_HOOK_MARK = "# Installed by hybrid-ci"

# Git runs it before a push changes anything (githooks(5)); the forge's own merges are no pushes, so it never
# sees them. The first push may create a protected branch: an empty repository has to be filled somehow.
HOOK = f"""\
#!/bin/sh
{_HOOK_MARK}: protects the branches named by `git config --get-all {PROTECTED_KEY}`.
# A push may create such a branch, but neither move nor delete it; pull requests do that.
protected=$(git config --get-all {PROTECTED_KEY}) || protected=
status=0
while read -r old new ref; do
    case $ref in
    refs/hybrid-ci/*)
        echo "error: $ref belongs to the local forge." >&2
        echo "error: Use 'hybrid-ci forge' to work on pull requests." >&2
        status=1
        continue
        ;;
    esac
    case $old in
    *[!0]*) ;;
    *) continue ;;
    esac
    while read -r branch; do
        if [ -n "$branch" ] && [ "$ref" = "refs/heads/$branch" ]; then
            echo "error: Protected branch update failed for $ref." >&2
            echo "error: Changes must be made through a pull request." >&2
            status=1
        fi
    done <<BRANCHES
$protected
BRANCHES
done
exit $status
"""

# Command-scope settings of a push never reach the server's side, but the pusher's own global ones do; what is
# said in the repository's configuration wins over them.
_SETTINGS = (
    ("core.hooksPath", "hooks"),
    ("receive.fsckObjects", "true"),
    ("receive.hideRefs", "refs/hybrid-ci"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    (MARKER_KEY, MARKER_VALUE),
)


def create_forge(path: Path, base: BranchName, required_approvals: int | None = None) -> None:
    """Make ``path`` a local forge, and protect ``base``; doing it again changes nothing but the settings given.

    An existing bare repository is taken as it is. Raises ConfigurationError for anything else that is there,
    Conflict for a foreign hook, RemoteError when the files can't be written.
    """
    _check_place(path)
    git = Git(path, where=str(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / "HEAD").exists():
            git.run(["init", "--quiet", "--bare", "--template=", f"--initial-branch={base}"])
        _check_bare(git, path)
        _install_hook(path)
    except OSError as error:
        raise RemoteError(
            f"the local forge can't be written: {error.strerror or error}",
            where=str(path),
            hint="check the folder's owner, permissions and free space",
        ) from None
    for key, value in _SETTINGS:
        git.run(["config", "--replace-all", key, value])
    if required_approvals is not None:
        git.run(["config", "--replace-all", APPROVALS_KEY, str(required_approvals)])
    _protect(git, base)


def check_forge(path: Path) -> None:
    """Raises ConfigurationError when there is no local forge at ``path``."""
    if not path.is_dir():
        raise ConfigurationError(
            "there is no local forge here",
            where=str(path),
            hint=f"make one with `hybrid-ci forge init {path}`, or correct the path (gitops.forge in hybrid-ci.yaml)",
        )
    git = Git(path, where=str(path))
    _check_bare(git, path)
    if git.run(["config", "--get", MARKER_KEY], check=False).stdout.decode("utf-8", "replace").strip() != MARKER_VALUE:
        raise ConfigurationError(
            "this repository is not a local forge: its base branch is not protected",
            where=str(path),
            hint=f"make it one with `hybrid-ci forge init {path}`",
        )


def is_protected(path: Path, branch: BranchName) -> bool | None:
    """Pushes can't move this branch; None where there is no local forge that could tell."""
    try:
        check_forge(path)
    except ConfigurationError:
        return None
    listed = Git(path, where=str(path)).run(["config", "--get-all", PROTECTED_KEY], check=False)
    return branch.value in listed.stdout.decode("utf-8", "replace").splitlines()


def facts_of(path: Path, base: BranchName) -> ForgeFacts:
    """What ``Inspecting`` tells. There is no login here but the right to write to the folder."""
    protected = is_protected(path, base)
    return ForgeFacts(
        LoginFacts(TokenKind.NONE),
        protected=protected,
        can_push=None if protected is None else not protected,
        auto_merge=True,
        merge_queue=False,
    )


def _check_place(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise ConfigurationError("a file stands where the local forge should go", where=str(path))
    if path.is_dir() and not (path / "HEAD").exists() and any(path.iterdir()):
        raise ConfigurationError(
            "the folder is neither empty nor a bare repository",
            where=str(path),
            hint="choose a new folder, for example gitops.git",
        )


def _check_bare(git: Git, path: Path) -> None:
    answer = git.run(["rev-parse", "--is-bare-repository"], check=False)
    if answer.stdout.strip() != b"true":
        raise ConfigurationError(
            "this folder is not a bare Git repository",
            where=str(path),
            details=answer.error_text.splitlines()[:3],
            hint="a local forge lives in a bare repository (its folder holds HEAD, objects and refs)",
        )


def _install_hook(path: Path) -> None:
    hook = path / "hooks" / _HOOK_NAME
    if hook.exists() and _HOOK_MARK not in hook.read_text(errors="replace"):
        raise Conflict(
            f"the repository has a {_HOOK_NAME} hook already, and it is not ours",
            where=str(hook),
            hint="move it away, then run `hybrid-ci forge init` again",
        )
    hook.parent.mkdir(exist_ok=True)
    draft = hook.with_suffix(".new")
    draft.write_text(HOOK)
    draft.chmod(0o755)
    draft.replace(hook)


def _protect(git: Git, base: BranchName) -> None:
    """Add the branch to the protected ones, once."""
    listed = git.run(["config", "--get-all", PROTECTED_KEY], check=False).stdout.decode("utf-8", "replace")
    if base.value not in listed.splitlines():
        git.run(["config", "--add", PROTECTED_KEY, base.value])
