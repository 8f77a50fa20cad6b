"""What a job leaves for those after it: step outputs, a job summary, a dotenv file, a JUnit report, annotations.

Which of them is written is said by the environment alone: GITHUB_OUTPUT and GITHUB_STEP_SUMMARY of GitHub's runner,
HYBRID_CI_DOTENV and HYBRID_CI_JUNIT of whoever wrote the job. GITHUB_ENV and GITHUB_PATH are never written: what stands
there acts on later steps.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.ci.commands import GITHUB, github_command
from orchestrator.ci.environment import detect
from orchestrator.ci.redact import redactor
from orchestrator.core.errors import HybridCIError, Place
from orchestrator.core.text import printable

_SUMMARY_LIMIT = 1000 * 1024  # GitHub refuses a step's summary above 1 MiB
_DOTENV_LIMIT = 5 * 1024  # GitLab's, for the whole file
_ANNOTATIONS = 10  # GitHub shows no more of a step
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_PLACE = re.compile(r"(?P<file>[^:\n]+):(?P<line>\d{1,7})(?:: (?P<message>.+))?")


def leave(
    values: Mapping[str, str],
    summary: Callable[[], str],
    junit: Callable[[], str],
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Write whatever this CI has a place for; ``values`` are the step outputs by their names (``pull-request-url``).

    Raises OSError: the work is done by then, and the caller says so.
    """
    if file := environment.get("GITHUB_OUTPUT"):
        append_outputs(Path(file), values)
    if file := environment.get("GITHUB_STEP_SUMMARY"):
        append_summary(Path(file), summary())
    if file := environment.get("HYBRID_CI_DOTENV"):
        write_dotenv(Path(file), values)
    if file := environment.get("HYBRID_CI_JUNIT"):
        _parent(Path(file)).write_text(redactor(junit()), encoding="utf-8")


def append_outputs(file: Path, values: Mapping[str, str]) -> None:
    """Step outputs, each between delimiters that its value can't know. Raises OSError."""
    text = ""
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no output's name")
        value = _one_line(value)
        delimiter = f"hybrid-ci-{secrets.token_hex(16)}"
        text += f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
    with file.open("a", encoding="utf-8") as stream:
        stream.write(text)


def append_summary(file: Path, markdown: str) -> None:
    """The summary of this step, cut before GitHub refuses it. Raises OSError."""
    content = redactor(markdown).encode("utf-8", "replace")
    room = _SUMMARY_LIMIT - (file.stat().st_size if file.exists() else 0)
    if len(content) > room:
        content = content[: max(0, room - 100)].rpartition(b"\n")[0] + b"\n\nThe rest did not fit in here.\n"
    with file.open("ab") as stream:
        stream.write(content.rstrip(b"\n") + b"\n\n")


def write_dotenv(file: Path, values: Mapping[str, str]) -> None:
    """``HYBRID_CI_PULL_REQUEST_URL=…`` a line, for GitLab's dotenv report and for shells that read lines.

    What does not fit into GitLab's 5 KiB is left out, the longest first. Raises OSError.
    """
    lines = [f"HYBRID_CI_{name.upper().replace('-', '_')}={_one_line(value)}" for name, value in values.items()]
    while lines and sum(len(line.encode()) + 1 for line in lines) > _DOTENV_LIMIT:
        lines.remove(max(lines, key=len))
    _parent(file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def tell_failure(error: HybridCIError, environment: Mapping[str, str] = os.environ) -> None:
    """An error as annotations at the places that it is about, where the CI has such."""
    if detect(environment).name != GITHUB:
        return
    for place in places_of(error)[:_ANNOTATIONS]:
        file = _in_repository(place.file, environment) if place.file else None
        line = place.line if file else None
        command(github_command("error", redactor(place.message), file=file, line=line, title="hybrid-ci"))


def places_of(error: HybridCIError) -> Sequence[Place]:
    """Every place that an error, or those that it stands for, is about; the error itself where it names none."""
    if error.causes:
        return [place for cause in error.causes for place in places_of(cause)]
    if error.places:
        return error.places
    told = [_PLACE.fullmatch(line) for line in error.details]
    found = [Place(match["file"], int(match["line"]), match["message"]) for match in told if match and match["message"]]
    if found:
        return found
    message = error.message + (f" ({error.hint})" if error.hint else "")
    if match := _PLACE.fullmatch(error.where or ""):
        return [Place(match["file"], int(match["line"]), message)]
    return [Place(None, None, message)]


def command(line: str) -> None:
    """Say a line of the CI's own language, past what keeps other text from doing so. Nobody may be listening."""
    stream = sys.stderr
    try:
        getattr(stream, "command", stream.write)(line)
        stream.flush()
    except (OSError, ValueError, AttributeError):  # gone, closed, or there is none
        return


def _in_repository(name: str, environment: Mapping[str, str]) -> str | None:
    """The path as GitHub wants it: from the workspace on. None for a file that is elsewhere."""
    file, workspace = Path(name).absolute(), Path(environment.get("GITHUB_WORKSPACE") or Path.cwd())
    try:
        return str(file.relative_to(workspace.absolute()))
    except ValueError:
        return None


def _one_line(text: str) -> str:
    return redactor(printable(text))


def _parent(file: Path) -> Path:
    """The file, in a folder that is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
