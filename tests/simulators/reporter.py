"""A reporter that remembers what it was told."""

from __future__ import annotations

from orchestrator.engine.events import SilentReporter


class RecordingReporter(SilentReporter):
    """Keeps log lines, progress, notes and warnings, in order."""

    def __init__(self) -> None:
        self.logs: list[tuple[str, str]] = []
        self.progressed: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @property
    def text(self) -> str:
        """All log lines as one text."""
        return "\n".join(line for _, line in self.logs)

    def log(self, stage: str, line: str) -> None:
        """Remember the line with its stage."""
        self.logs.append((stage, line))

    def progress(self, stage: str, text: str) -> None:
        """Remember the state."""
        self.progressed.append(text)

    def note(self, text: str) -> None:
        """Remember the note."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Remember the warning."""
        self.warnings.append(text)
