"""How git is run: one hardened invocation, with everything ambient switched off.

A repository is data from outside. Its configuration, hooks, filters and attributes must not run anything, the
caller's ``GIT_*`` variables and global configuration must not change anything, and no server may send us to a
protocol that was not asked for. Git is told so by environment variables and command-scope configuration, which
win over whatever a repository's own ``config`` says (git-config(1), "SCOPES").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.engine.process import DEFAULT_LIMITS, Completed, Conversation, Limits, run

MINIMUM_VERSION = (2, 34)  # fetch --stdin, GIT_CONFIG_COUNT, SSH signing
_VERSION = re.compile(rb"git version (\d+)\.(\d+)(?:\.(\d+))?")
_ERROR_LINES = 20

# Command-scope configuration of every invocation. An empty value resets what a lower scope has set.
_HARDENED: Mapping[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.askPass": "",
    "core.pager": "cat",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "gc.autoDetach": "false",
    "http.cookieFile": "",
    "http.saveCookies": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "64",
    "http.lowSpeedTime": "60",
    "http.sslVerify": "true",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "push.recurseSubmodules": "no",
    "push.gpgSign": "false",
    "push.followTags": "false",
    "receive.autogc": "false",
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
    "transfer.credentialsInUrl": "die",
}
_ENVIRONMENT: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ADVICE": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "LC_ALL": "C",
}


class GitUnusable(ConfigurationError):
    """The git on this machine is too old, or is no git at all."""


class GitFailed(RemoteError):
    """A git command did not do what it was asked to. ``completed`` is how it ended."""

    def __init__(self, command: str, completed: Completed, *, where: str | None = None) -> None:
        lines = completed.error_text.splitlines()[-_ERROR_LINES:]
        super().__init__(f"git {command} {completed.how}", where=where, details=lines)
        self.completed = completed


class GitTimedOut(GitFailed):
    """A git command was stopped at its time limit."""


class GitOutputTooLarge(GitFailed):
    """A git command wrote more than the limit; what came is not whole and was dropped."""


@dataclass(frozen=True, slots=True)
class Transport:
    """What an invocation that talks to a remote may do. Without one, git may use no protocol at all.

    ``protocols`` is the allow-list (``https``, ``ssh`` …); ``environment`` and ``configuration`` carry the
    credential helper and the ssh command; ``inherit`` names variables of ours that the child needs
    (``SSH_AUTH_SOCK``); ``pass_fds`` are descriptors that it inherits.
    """

    protocols: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    configuration: Sequence[tuple[str, str]] = ()
    inherit: tuple[str, ...] = ()
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git on one repository, named explicitly: git never goes looking for one.

    ``git_dir`` is the bare repository or the ``.git`` folder. ``work_tree`` is given only to look at a
    user's checkout; nothing here ever writes one. ``global_config`` replaces ``/dev/null`` where a file is
    needed (``safe.directory`` of a repository that another user owns: a process that git starts on the other
    side of a local path sees files and ``GIT_CONFIG_GLOBAL``, but no command-scope configuration).
    """

    git_dir: Path
    work_tree: Path | None = None
    global_config: Path | None = None
    configuration: Sequence[tuple[str, str]] = ()
    where: str | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        transport: Transport | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run ``git <argv>`` to its end.

        ``argv`` holds literals and values of the name types only (RefName, CommitId, RepoPath, RemoteURL);
        ``--end-of-options`` stands before values where the command knows it. With ``check`` a failure raises
        GitTimedOut, GitOutputTooLarge or GitFailed; without it the caller judges ``Completed`` itself.
        Raises GitUnusable and ProgramMissing.
        """
        require_version()
        transport = transport or _NO_TRANSPORT
        completed = run(
            ["git", *argv],
            environment=self._environment(transport) | dict(environment or {}),
            inherit=transport.inherit,
            directory=self.work_tree or (self.git_dir if self.git_dir.is_dir() else None),
            stdin=stdin,
            limits=limits,
            pass_fds=transport.pass_fds,
        )
        if check:
            self._check(argv[0], completed)
        return completed

    def converse(self, argv: Sequence[str], limits: Limits = DEFAULT_LIMITS) -> Conversation:
        """Start ``git <argv>`` as a child that answers question after question, without any way to a remote.

        Raises GitUnusable and ProgramMissing.
        """
        require_version()
        environment = self._environment(_NO_TRANSPORT)
        return Conversation(["git", *argv], environment=environment, directory=self.git_dir, limits=limits)

    def with_configuration(self, *more: tuple[str, str]) -> Git:
        """The same with further command-scope configuration."""
        return replace(self, configuration=(*self.configuration, *more))

    def _check(self, command: str, completed: Completed) -> None:
        if completed.timed_out:
            raise GitTimedOut(command, completed, where=self.where)
        if completed.returncode != 0:
            raise GitFailed(command, completed, where=self.where)
        if completed.truncated:
            raise GitOutputTooLarge(command, completed, where=self.where)

    def _environment(self, transport: Transport) -> dict[str, str]:
        environment = dict(_ENVIRONMENT) | {"GIT_DIR": str(self.git_dir)}
        # An empty list allows nothing (an unset one would allow git's defaults).
        environment["GIT_ALLOW_PROTOCOL"] = ":".join(transport.protocols)
        if self.work_tree is not None:
            environment["GIT_WORK_TREE"] = str(self.work_tree)
        if self.global_config is not None:
            environment["GIT_CONFIG_GLOBAL"] = str(self.global_config)
        settings = (*_HARDENED.items(), *self.configuration, *transport.configuration)
        return environment | _as_variables(settings) | dict(transport.environment)


_NO_TRANSPORT = Transport(protocols=())


def _as_variables(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Command-scope configuration by environment, so that no value stands in argv (git-config(1), ENVIRONMENT)."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


@functools.cache
def git_version() -> tuple[int, int, int]:
    """The version of the git on PATH. Raises ProgramMissing, GitUnusable."""
    completed = run(["git", "--version"], limits=Limits(seconds=20))
    return parse_version(completed.stdout)


def parse_version(output: bytes) -> tuple[int, int, int]:
    """Read what ``git --version`` prints. Raises GitUnusable."""
    match = _VERSION.match(output)
    if match is None:
        raise GitUnusable("the git on PATH does not tell its version", hint="check what `git --version` prints")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def require_version(minimum: tuple[int, int] = MINIMUM_VERSION) -> None:
    """Raises GitUnusable when the git on PATH is older than ``minimum``, ProgramMissing when there is none."""
    version = git_version()
    if version < minimum:
        found, needed = ".".join(map(str, version)), ".".join(map(str, minimum))
        raise GitUnusable(f"git {found} is too old", hint=f"install git {needed} or newer")


def create_bare(git_dir: Path, object_format: str = "sha1") -> Git:
    """Make an empty bare repository, without hooks and templates. Raises GitFailed."""
    git = Git(git_dir)
    git.run(["init", "--quiet", "--bare", "--template=", f"--object-format={object_format}"])
    return git
