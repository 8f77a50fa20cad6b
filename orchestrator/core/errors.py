"""The error tree. Each error says what happened, where, and what to do, and carries its exit code.

The exit codes are a contract with the scripts around us (docs/cli.md); they never change meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process ends with."""

    OK = 0
    WORK_FAILED = 1
    CONFIGURATION = 2
    REFUSED = 3
    CONFLICT = 4
    REMOTE = 5
    TIMED_OUT = 6
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file that an error is about, for editors and CI systems; without a file, what there is to say."""

    file: str | None
    line: int | None
    message: str


class HybridCIError(Exception):
    """Base of everything that hybrid-ci reports to its user without a traceback.

    ``message`` is one sentence; ``where`` a file:line, an environment or a URL without credentials;
    ``hint`` what to do about it; ``details`` further lines (a server's answer, a list of problems). ``places`` are the
    lines of the user's own files that it is about; ``causes`` the errors that it stands for, where it is about several.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.WORK_FAILED

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        details: Sequence[str] = (),
        places: Sequence[Place] = (),
        causes: Sequence[HybridCIError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.details = tuple(details)
        self.places = tuple(places)
        self.causes = tuple(causes)


class WorkFailed(HybridCIError):
    """The work itself failed: a build broke, a test failed."""

    exit_code = ExitCode.WORK_FAILED


class ConfigurationError(HybridCIError):
    """Usage, configuration or input that a person has to correct."""

    exit_code = ExitCode.CONFIGURATION


class Refused(HybridCIError):
    """A policy, a gate or a guard says no; running again changes nothing."""

    exit_code = ExitCode.REFUSED


class Conflict(HybridCIError):
    """Somebody else's work stands where ours should go; a person has to decide."""

    exit_code = ExitCode.CONFLICT


class RemoteError(HybridCIError):
    """A remote failed, or refused the login. Safe to run again."""

    exit_code = ExitCode.REMOTE


class TimedOut(HybridCIError):
    """A wait ran out of time."""

    exit_code = ExitCode.TIMED_OUT


class Interrupted(HybridCIError):
    """SIGINT reached us (130)."""

    exit_code = ExitCode.INTERRUPTED


class Terminated(HybridCIError):
    """SIGTERM reached us (143)."""

    exit_code = ExitCode.TERMINATED
