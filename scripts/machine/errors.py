"""The one error of this package: what is missing or broken on this machine, and what a person can do about it."""

from __future__ import annotations


class MachineError(Exception):
    """One sentence, a hint with the commands that help, and the end of a log where there is one."""

    def __init__(self, message: str, *, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.log = message, hint, log

    def __str__(self) -> str:
        parts = [self.message]
        if self.log:
            parts.append("its log ends with:\n" + "\n".join(f"  | {line}" for line in self.log.splitlines()))
        if self.hint:
            parts.append(self.hint)
        return "\n".join(parts)
