"""One container's life: follow its log, wait for its end or its time, see how it ended, read its report."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import requests
import urllib3
from docker.errors import APIError, NotFound

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.engine.events import Reporter
from orchestrator.images.base import RunResult, RunSpec
from orchestrator.images.containers import Container, Containers
from orchestrator.images.engine_client import EngineClient, engine_errors, is_local
from orchestrator.images.tail import LINES, Tail
from orchestrator.images.tar_reader import ReadLimits, read_files

_MAX_FORWARDED = 20_000  # lines of one container that go on to the reporter
_EXEC_POLL = 0.05  # seconds between looks at a command that was started in a container
_LOG_GRACE = 5.0  # seconds for the last lines to arrive after the end
_READ_LIMITS = ReadLimits()


def run_to_end(
    client: EngineClient, container: Container, spec: RunSpec, clock: Clock, reporter: Reporter, stage: str
) -> RunResult:
    """Wait for the container to end, or end it when its time is over; what came of it."""
    began = clock.monotonic()
    follower = _Follower(client, container.id, lambda line: reporter.log(stage, line))
    exit_code, timed_out = _wait(client, container.id, spec.seconds)
    seconds = clock.monotonic() - began
    follower.join(_LOG_GRACE)
    return RunResult(
        exit_code=exit_code,
        timed_out=timed_out,
        seconds=seconds,
        log_tail=_log_tail(client, container.id),
        files=_read_back(client, container.id, spec.read_back),
        out_of_memory=_state(client, container.id).get("OOMKilled") is True,
    )


class Running:
    """A container that serves (satisfies RunningContainer)."""

    def __init__(
        self,
        client: EngineClient,
        containers: Containers,
        container: Container,
        spec: RunSpec,
        clock: Clock,
        host: str,
    ) -> None:
        self._client, self._containers, self._container = client, containers, container
        self._spec, self._clock, self._host = spec, clock, host
        self._began = clock.monotonic()
        self._result: RunResult | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on loopback. Raises RemoteError when the port is not published (the container ended).

        Raises ConfigurationError for an engine on another machine: its loopback is not ours.
        """
        if not is_local(self._host):
            raise ConfigurationError(
                "a smoke test cannot reach a container on another machine",
                where=self._host,
                hint="use an engine on this machine, or let the test run a command inside the image",
            )
        with engine_errors(self._host):
            inspected = self._client.inspect_container(self._container.id)
        ports = (inspected.get("NetworkSettings") or {}).get("Ports") or {}
        for binding in ports.get(f"{self._spec.publish}/tcp") or ():
            if binding.get("HostIp") == "127.0.0.1":
                return "127.0.0.1", int(binding["HostPort"])
        raise RemoteError(
            f"the engine did not publish port {self._spec.publish} on loopback",
            where=self._host,
            hint="the container may have ended at once; its log is below",
        )

    @property
    def inside(self) -> str:
        """Its address in the private network that it joined. Raises RemoteError when it has none (it ended)."""
        with engine_errors(self._host):
            inspected = self._client.inspect_container(self._container.id)
        networks = ((inspected.get("NetworkSettings") or {}).get("Networks") or {}).values()
        address = next((one["IPAddress"] for one in networks if one.get("IPAddress")), None)
        if address is None:
            raise RemoteError("a container has no address in its network", where=self._host, hint="it may have ended")
        return str(address)

    def execute(self, command: Sequence[str], seconds: float) -> int | None:
        """Run a command in it; its exit code, or None when the time was over."""
        deadline = Deadline(self._clock, seconds)
        with engine_errors(self._host):
            made = self._client.exec_create(self._container.id, list(command), stdout=False, stderr=False)
            self._client.exec_start(made["Id"], detach=True)
            while (state := self._client.exec_inspect(made["Id"]))["Running"]:
                if deadline.expired:
                    return None
                self._clock.sleep(_EXEC_POLL)
        return int(state["ExitCode"])

    def running(self) -> bool:
        """It has not ended."""
        if self._result is not None:
            return False
        with engine_errors(self._host):
            return _state(self._client, self._container.id).get("Running") is True

    def stop(self) -> RunResult:
        """End and remove it; what it said."""
        if self._result is None:
            try:
                self._result = self._end()
            finally:
                with engine_errors(self._host):
                    self._containers.remove(self._container)
        return self._result

    def _end(self) -> RunResult:
        identity = self._container.id
        with engine_errors(self._host):
            before = _state(self._client, identity)
            seconds = self._clock.monotonic() - self._began
            ended = before.get("Running") is not True
            _kill(self._client, identity)
            exit_code = int(before.get("ExitCode", 0)) if ended else None
            lines = _log_tail(self._client, identity)
            return RunResult(exit_code, False, seconds, lines, out_of_memory=before.get("OOMKilled") is True)


class _Follower(threading.Thread):
    """Reads the log as it is written and hands lines on, up to a number of them."""

    def __init__(self, client: EngineClient, identity: str, on_line: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name="container-log")
        self._client, self._identity, self._on_line = client, identity, on_line
        self._tail = Tail()
        self.start()

    def run(self) -> None:
        # When the engine goes away in the middle, the wait for the container's end says so.
        with (
            contextlib.suppress(
                APIError, requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, struct.error
            ),
            self._client.streams(),
        ):
            for number, line in enumerate(self._lines()):
                if number >= _MAX_FORWARDED:
                    self._on_line("… (more output; only its end is kept)")
                    return
                self._on_line(line)

    def _lines(self) -> Iterator[str]:
        for chunk in cast(Iterable[bytes], self._client.logs(self._identity, stream=True, follow=True)):
            yield from self._tail.add(chunk)
        yield from self._tail.end()


def _wait(client: EngineClient, identity: str, seconds: float) -> tuple[int | None, bool]:
    """The exit code, or None and True when the time ran out (then it was killed)."""
    try:
        return int(client.wait(identity, timeout=cast(int, seconds))["StatusCode"]), False
    except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
        if not _is_timeout(error):
            raise
    _kill(client, identity)
    return None, True


def _is_timeout(error: requests.exceptions.RequestException) -> bool:
    """The SDK's adapter for unix sockets reports a read timeout as a ConnectionError."""
    return isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in str(error)


def _kill(client: EngineClient, identity: str) -> None:
    try:
        client.kill(identity)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != requests.codes.conflict:  # 409: it is not running
            raise
    client.wait(identity)


def _state(client: EngineClient, identity: str) -> dict[str, Any]:
    return client.inspect_container(identity).get("State") or {}


def _read_back(client: EngineClient, identity: str, path: str | None) -> dict[str, bytes]:
    """The files under a path in the container, as a stream; none when there is no such path."""
    if path is None:
        return {}
    with client.streams():
        try:
            chunks, _ = client.get_archive(identity, path, chunk_size=256 * 1024)
        except NotFound:
            return {}
        return read_files(chunks, _READ_LIMITS, path)


def _log_tail(client: EngineClient, identity: str) -> tuple[str, ...]:
    """The log's last lines, asked for after the end: whoever follows a flood may be far behind."""
    tail = Tail()
    for chunk in cast(Iterable[bytes], client.logs(identity, stream=True, follow=False, tail=LINES)):
        for _ in tail.add(chunk):
            pass
    for _ in tail.end():
        pass
    return tail.lines
