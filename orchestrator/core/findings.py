"""What somebody who looks around before a release finds: what, why it matters, how to fix it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.errors import ExitCode


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "unknown"  # nobody would tell, so nothing is said
    WARNING = "warning"
    REFUSAL = "refusal"  # a release would be refused, or fail


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. ``why`` and ``fix`` are empty where there is nothing to fix."""

    check: str
    severity: Severity
    what: str
    why: str = ""
    fix: str = ""


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """3 when a release would be refused; warnings end well."""
    refused = any(one.severity is Severity.REFUSAL for one in findings)
    return ExitCode.REFUSED if refused else ExitCode.OK
