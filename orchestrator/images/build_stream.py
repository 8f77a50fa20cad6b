"""Reads the stream of a build: lines for people, the image's id, and where it broke.

The stream is that of ``POST /build`` (https://docs.docker.com/reference/api/engine/, ImageBuild): JSON objects
with ``stream``, ``aux.ID``, ``status`` (pulls), and ``error``/``errorDetail`` inside a 200 answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.core.errors import HybridCIError, RemoteError
from orchestrator.core.image import Digest, InvalidReference
from orchestrator.images.base import BuildFailed, BuildSpec
from orchestrator.images.dockerfile import instruction_line
from orchestrator.images.errors import LoginRefused

_STEP = re.compile(r"(?:Step|STEP) (?P<step>\d+)/(?P<steps>\d+) ?: (?P<text>.*)", re.DOTALL)
_BUILT = re.compile(r"Successfully built (?P<id>[0-9a-f]{12,64})")
_EXIT = re.compile(r"(?:returned a non-zero code|exit code): (?P<code>\d+)")
_NO_LOGIN = re.compile(r"^(?!The command ).*(?:unauthorized|authentication required|no basic auth)", re.DOTALL)
_MAX_LINE = 4 * 1024
_LAST_LINES = 40
# The engine's own trouble, as opposed to a Dockerfile that does not build.
ENGINE_TROUBLE = ("no space left on device", "toomanyrequests", "i/o timeout", "connection refused",
                   "connection reset", "TLS handshake timeout", "no such host", "context canceled",
                   "unexpected EOF", "server misbehaving", "Service Unavailable", "Bad Gateway",
                   "error reading from server", "code = Unavailable", "the Docker daemon",
                   "server did not provide an image ID")  # fmt: skip
_KILLED = "137"  # 128 + SIGKILL: nobody's own end, but that of the kernel short of memory, or of an engine that stops


class BuildStream:
    """Feed it the events in order; ``image`` is set when the build succeeded."""

    def __init__(self, spec: BuildSpec) -> None:
        self._spec = spec
        self._text = ""
        self._last: list[str] = []
        self._step: re.Match[str] | None = None
        self.image: str | None = None

    def feed(self, event: Mapping[str, object]) -> Iterator[str]:
        """The whole lines that this event completes. Raises BuildFailed or RemoteError when it says so."""
        yield from self._lines(_text_of(event.get("stream")))
        self._take_image(event)
        status = _text_of(event.get("status"))
        if status and not event.get("progressDetail"):
            yield from self._lines(" ".join(filter(None, (_text_of(event.get("id")), status))) + "\n")
        error = _error_of(event)
        if error is not None:
            yield from self.end()
            raise self._failure(error)

    def end(self) -> Iterator[str]:
        """What stood after the last line end."""
        if self._text:
            yield from self._lines("\n")

    def broken_off(self) -> HybridCIError:
        """The error for a stream that ended without an image and without an error."""
        return RemoteError(
            "the engine ended the build without saying how it went",
            where=self._where(),
            hint="look at the engine's own log, then run again",
            details=self._last,
        )

    def _lines(self, text: str) -> Iterator[str]:
        *complete, self._text = (self._text + text).split("\n")
        self._text = self._text[-_MAX_LINE:]
        for line in complete:
            line = line.rstrip("\r")[:_MAX_LINE]
            if not line:
                continue
            self._step = _STEP.match(line) or self._step
            if built := _BUILT.search(line):
                self.image = self.image or built["id"]
            self._last = [*self._last[1 - _LAST_LINES :], line]
            yield line

    def _take_image(self, event: Mapping[str, object]) -> None:
        aux = event.get("aux")
        identity = aux.get("ID") if isinstance(aux, Mapping) else None
        if isinstance(identity, str):
            try:
                self.image = Digest(identity).value
            except InvalidReference:
                raise RemoteError("the engine named the built image by something that is not a digest") from None

    def _failure(self, message: str) -> HybridCIError:
        if _NO_LOGIN.search(message):
            return LoginRefused(
                f"the base image of {self._spec.name} cannot be pulled without a login",
                where=self._where(),
                hint="run docker login for its registry, or give its login as HYBRID_CI_REGISTRY_USERNAME_<HOST>",
                details=[message],
            )
        if was_killed(message):
            return killed_step(self._spec.name, self._step, self._where(), [*self._last, message])
        if not _EXIT.search(message) and any(trouble in message for trouble in ENGINE_TROUBLE):
            return RemoteError(
                f"the engine could not build {self._spec.name}: {message}",
                where=self._where(),
                hint=hint_for(message),
                details=self._last,
            )
        step = f" at step {self._step['step']} of {self._step['steps']}: {self._step['text']}" if self._step else ""
        return BuildFailed(
            f"the build of {self._spec.name} failed{step}"[:1000],
            where=self._where(),
            hint=hint_for(message),
            details=[*self._last, message],
        )

    def _where(self) -> str:
        path = self._spec.dockerfile
        line = instruction_line(_read(path), int(self._step["step"])) if self._step else None
        return f"{path}:{line}" if line is not None else str(path)


def was_killed(message: str) -> bool:
    """The step's command did not end by itself."""
    exit_code = _EXIT.search(message)
    return exit_code is not None and exit_code["code"] == _KILLED


def killed_step(name: str, step: re.Match[str] | None, where: str, details: Sequence[str]) -> RemoteError:
    """The error for a step that was killed from outside: the same build may well succeed another time."""
    place = f" at step {step['step']} of {step['steps']}: {step['text']}" if step else ""
    return RemoteError(
        f"the build of {name} was killed{place}"[:1000],
        where=where,
        hint="the engine was stopped, or its machine ran out of memory; run again, with more memory",
        details=list(details),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def _error_of(event: Mapping[str, object]) -> str | None:
    """The error of an event: ``errorDetail.message`` is the fuller one."""
    detail = event.get("errorDetail")
    message = detail.get("message") if isinstance(detail, Mapping) else None
    found = message if message is not None else event.get("error")
    return None if found is None else str(found)


def hint_for(message: str) -> str:
    """What to do about what a builder says."""
    if "no space left on device" in message:
        return "free disk space where the engine keeps its images (docker system df, docker image prune)"
    if exit_code := _EXIT.search(message):
        return f"the command of this step ended with {exit_code['code']}; its output is above"
    if "requires BuildKit" in message or "BuildKit" in message:
        return "the build goes through the engine's classic builder; write this step without BuildKit's extensions"
    if any(sign in message for sign in ("COPY failed", "ADD failed", "cache key", "calculate checksum")):
        return "the file is not in the build context; look at the path, at .dockerignore, and at what is left out"
    if "pull access denied" in message or "unauthorized" in message:
        return "the base image cannot be pulled; check its name and the registry login of this job"
    if "manifest unknown" in message or "not found" in message:
        return "the base image does not exist under this name and tag"
    if any(trouble in message for trouble in ENGINE_TROUBLE):
        return "run again; look at the network, the base image's registry and the engine's log"
    return "correct the Dockerfile and build again"
