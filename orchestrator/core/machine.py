"""What the machine itself refuses: a full disk, a missing right, no descriptor left."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from orchestrator.core.errors import ConfigurationError, ExitCode, HybridCIError, WorkFailed

# There may be more of it in a moment, or on another runner: running again is safe, and enough.
_EXHAUSTED = {
    errno.ENOSPC: "free some space on that disk, and run it again",
    errno.EDQUOT: "free some of the quota on that disk, and run it again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), and run it again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), and run it again",
    errno.ENFILE: "wait until the machine has fewer files open, and run it again",
    errno.ENOMEM: "give the job more memory, and run it again",
    errno.EAGAIN: "let the job have more processes (ulimit -u), and run it again",
    errno.EIO: "look at the machine's log: a disk may be failing",
}
# A person has to put it right; running again changes nothing.
_FORBIDDEN = {
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "write to a place that is not read-only; TMPDIR names one for what is only needed meanwhile",
    errno.ENOENT: "make it, or name another place; TMPDIR names one for what is only needed meanwhile",
    errno.ENOTDIR: "make it a folder, or name another place",
}


class MachineExhausted(HybridCIError):
    """The machine ran out of something: disk, memory, descriptors. Safe to run again."""

    exit_code = ExitCode.REMOTE


def killed(what: str, where: str | None = None, details: Sequence[str] = ()) -> MachineExhausted:
    """The error for a child that was ended by SIGKILL, which is the system's way when memory runs out."""
    return MachineExhausted(
        f"{what} was killed", where=where, details=details, hint="give the job more memory, and run it again"
    )


def is_exhausted(error: OSError) -> bool:
    """The machine has too little of something, and nothing is wrong with what was asked of it."""
    return error.errno in _EXHAUSTED


def machine_error(error: OSError | MemoryError, details: Sequence[str] = ()) -> HybridCIError:
    """The machine did not do what we asked of it, as an error for its user: MachineExhausted where running again can
    help, ConfigurationError where a person has to change something, else WorkFailed."""
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, "Cannot allocate memory")
    kind, hint = _kind(error.errno)
    where = str(error.filename) if error.filename is not None else None
    what = error.strerror or type(error).__name__
    return kind(f"the machine refused: {what}", where=where, hint=hint, details=details)


def _kind(number: int | None) -> tuple[type[HybridCIError], str]:
    if number in _EXHAUSTED:
        return MachineExhausted, _EXHAUSTED[number]
    if number in _FORBIDDEN:
        return ConfigurationError, _FORBIDDEN[number]
    return WorkFailed, "run it again with --verbose to see where it happened"
