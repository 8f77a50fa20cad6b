"""Reads what BuildKit says with ``--progress=plain``: lines for people, and where a build broke.

Each line begins with the number of its step (``#5 0.686 hello``); the step's first line names it
(``#5 [stage 2/3] RUN …``). After a failure the text is repeated between rulers, and newer versions add
``Dockerfile:7``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from orchestrator.core.errors import HybridCIError, RemoteError
from orchestrator.core.image import ImageReference
from orchestrator.images.base import BuildFailed, BuildSpec
from orchestrator.images.bases import bases
from orchestrator.images.build_stream import ENGINE_TROUBLE, hint_for, killed_step, was_killed
from orchestrator.images.dockerfile import instructions
from orchestrator.images.errors import LoginRefused

_NUMBERED = re.compile(r"#(?P<number>\d+) (?P<rest>.*)")
_NOISE = re.compile(r"sha256:[0-9a-f]{64}(?: .*)?|(?:DONE|CACHED)\b.*|\.\.\.|extracting .*|transferring .*")
_TIMED = re.compile(r"\d+\.\d+ ")
_STEP = re.compile(r"\[(?:(?P<stage>\S+) )?(?P<step>\d+)/(?P<steps>\d+)\] (?P<text>.*)")
_FAILED = re.compile(r"\s*> \[(?:\S+ )?(?P<step>\d+)/(?P<steps>\d+)\] (?P<text>.*?):?")
_PLACE = re.compile(r"\S*[Dd]ockerfile\S*:(?P<line>\d+)")
_PARSE_LINE = re.compile(r"parse error (?:on )?line (?P<line>\d+)")
_NO_LOGIN = re.compile(
    r"unauthorized|authentication required|no basic auth|insufficient_scope|\b401\b|403 Forbidden", re.I
)
_EXIT = re.compile(r"exit code: (?P<code>\d+)")
_NAMES = re.compile(r"[\s\"']+|: ")
_LAST_LINES = 40
_MAX_LINE = 4096


class BuildKitLog:
    """Feed it the lines in their order; ask ``failure`` when the build did not succeed."""

    def __init__(self, spec: BuildSpec, dockerfile: str) -> None:
        self._spec, self._dockerfile = spec, dockerfile
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._step: re.Match[str] | None = None
        self._line: int | None = None
        self._error = ""

    def feed(self, line: str) -> Iterator[str]:
        """What of the line is worth telling: without its number and its time, and nothing of mere progress."""
        line = line.rstrip()[:_MAX_LINE]
        if match := _FAILED.fullmatch(line):
            self._step = match
        if match := _PLACE.fullmatch(line) or _PARSE_LINE.search(line):
            self._line = int(match["line"])
        if line.removeprefix("ERROR: ") != line or line.startswith("failed to ") or "failed to solve" in line:
            self._error = line.removeprefix("ERROR: ")
        told = self._told(line)
        if told:
            self._last.append(told)
            yield told

    def failure(self, returncode: int) -> HybridCIError:
        """The error of our tree for a build that ended like this."""
        message = self._error or (self._last[-1] if self._last else f"it ended with {returncode}")
        own_command = _EXIT.search(message) is not None
        if was_killed(message):
            return killed_step(self._spec.name, self._step, self._where(), list(self._last))
        if not own_command and _NO_LOGIN.search(message):
            return LoginRefused(
                f"an image that the build of {self._spec.name} needs can't be pulled without a login",
                where=self._where(),
                hint="run docker login for its registry, or give its login as HYBRID_CI_REGISTRY_USERNAME_<HOST>",
                details=[message],
            )
        if not own_command and any(trouble in message for trouble in ENGINE_TROUBLE):
            return RemoteError(
                f"BuildKit could not build {self._spec.name}: {message}",
                where=self._where(),
                hint=hint_for(message),
                details=list(self._last),
            )
        step = f" at step {self._step['step']} of {self._step['steps']}: {self._step['text']}" if self._step else ""
        return BuildFailed(
            f"the build of {self._spec.name} failed{step}"[:1000],
            where=self._where(),
            hint=hint_for(message),
            details=[*self._last, *([message] if message not in self._last else [])],
        )

    def _told(self, line: str) -> str:
        match = _NUMBERED.fullmatch(line)
        if match is None:
            return line if line.strip("- ") else ""
        rest = match["rest"]
        if _NOISE.fullmatch(rest):
            return ""
        return _TIMED.sub("", rest, count=1) if _TIMED.match(rest) else rest

    def _where(self) -> str:
        line = self._line or self._line_of_step() or self._line_of_base()
        return f"{self._spec.dockerfile}:{line}" if line else str(self._spec.dockerfile)

    def _line_of_step(self) -> int | None:
        """The instruction whose text the failed step repeats; older versions tell no line."""
        if self._step is None:
            return None
        wanted = _squeezed(self._step["text"])
        for instruction in instructions(self._dockerfile):
            if _squeezed(f"{instruction.keyword} {instruction.rest}") == wanted:
                return instruction.line
        return None

    def _line_of_base(self) -> int | None:
        """Where the image stands that was not to be had: BuildKit looks for all of them before the first step."""
        named = ((base, ImageReference.parse(base.name)) for base in bases(self._dockerfile, self._spec.arguments)
                 if base.repository is not None)  # fmt: skip
        return next(
            (base.line for base, image in named if {base.name, str(image)} & set(_NAMES.split(self._error))), None
        )


def _squeezed(text: str) -> str:
    return " ".join(text.split())
