"""Containers for tests: one fixed, safe profile, always removed, never trusted.

No volume and no socket is mounted, all capabilities are dropped, no privilege can be gained, processes, memory
(swap included) and time are limited. There is no network unless it is asked for, and then a bridge of its own
rather than the engine's shared one: so two tests do not see each other, and nothing else that runs there sees
them. A published port without a network gets a bridge without masquerading: loopback reaches the container, and
nothing that the container sends finds an answer.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import LogConfig, Ulimit

from orchestrator.engine.clock import Clock
from orchestrator.engine.owner import is_gone, this_process
from orchestrator.engine.parallel import side_by_side
from orchestrator.images.base import MEBIBYTE, BuiltImage, RunSpec
from orchestrator.images.engine_client import EngineClient
from orchestrator.images.errors import EngineFailed

LABEL = "io.hybrid-ci.test"
EXPIRES = "io.hybrid-ci.expires"
OWNER = "io.hybrid-ci.owner"
# What the usual database images need while they give their data folder to a user of its own, and become that user.
SERVICE_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
_ABORT_SECONDS = 2.5
_ABORT_POLL = 0.02
_LEEWAY = 600  # seconds after a container's own time limit before another run takes it away
_LOG_OPTIONS = {"max-size": "8m", "max-file": "2"}
_NOTHING = "none"
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Container:
    """A container in the engine, and the network that was made for it alone."""

    id: str
    network: str | None
    name: str = ""


def host_settings(spec: RunSpec, network: str | None, *, init: bool = True) -> dict[str, Any]:
    """The safe profile, as keywords of the SDK's ``create_host_config``."""
    settings: dict[str, Any] = {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "privileged": False,
        "pids_limit": spec.pids,
        "mem_limit": spec.memory,
        "memswap_limit": spec.memory,  # the sum of both: so no swap
        "network_mode": network or _NOTHING,
        "ipc_mode": "private",
        "init": init,
        "auto_remove": False,  # the report is read after the end
        "restart_policy": {"Name": "no"},
        "log_config": LogConfig(type="json-file", config=_LOG_OPTIONS),
        "shm_size": 64 * MEBIBYTE,
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
    }
    if spec.service:
        settings["cap_add"] = list(SERVICE_CAPABILITIES)
    if spec.publish is not None:
        settings["port_bindings"] = {spec.publish: ("127.0.0.1",)}
    return settings


class Containers:
    """Creates and removes test containers on one engine."""

    def __init__(self, client: EngineClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._init = True
        self._lock = threading.Lock()
        self._live_containers: set[str] = set()  # names, from before they exist: an interruption may come in between
        self._live_networks: set[str] = set()
        self._coming: set[str] = set()  # asked of the engine, and not answered yet
        self._aborted = False

    @contextlib.contextmanager
    def started(self, image: BuiltImage, spec: RunSpec) -> Iterator[Container]:
        """A running container; removed with its network when the block ends, however it ends."""
        container = self.start(image, spec)
        try:
            yield container
        finally:
            self.remove(container)

    def start(self, image: BuiltImage, spec: RunSpec) -> Container:
        """Create and start one. The caller removes it; when this fails, nothing is left behind."""
        needs_own = spec.join is None and (spec.network or spec.publish is not None)
        network = self.make_network(spec.seconds, outside=spec.network) if needs_own else None
        container = Container("", network)
        try:
            container = self._create(image, spec, network)
            try:
                self._client.start(container.id)
            except APIError as error:
                if not (self._init and "docker-init" in str(error.explanation)):
                    raise
                container = self._again_without_init(container, image, spec)
        except BaseException:
            self.remove(container)
            raise
        return container

    def remove(self, container: Container) -> None:
        """End and remove a container with its volumes and its network; what is gone already is fine."""
        if container.id:
            self._remove_container(container.id)
            self._live_containers.discard(container.name)
        if container.network is not None:
            self.remove_network(container.network)

    def make_network(self, seconds: float, *, outside: bool, shared: bool = False) -> str:
        """A bridge of its own, by name. Without ``outside`` nothing that is sent there finds an answer from beyond it;
        only where it is ``shared`` do its containers see each other.
        """
        options = {}
        if not shared:
            options["com.docker.network.bridge.enable_icc"] = "false"
        if not outside:
            options["com.docker.network.bridge.enable_ip_masquerade"] = "false"
        name = f"hybrid-ci-{os.getpid()}-{next(_counter)}-{os.urandom(4).hex()}"
        with self._remembered(self._live_networks, name):
            self._client.create_network(name, driver="bridge", options=options, labels=self._labels(seconds))
        return name

    def remove_network(self, name: str) -> None:
        """Remove it; one that is gone is fine."""
        with _gone_is_fine():
            self._client.remove_network(name)
        self._live_networks.discard(name)

    def abort(self) -> None:
        """Remove all that lives, from any thread; from now on nothing is started.

        What another thread is making at this moment is waited for, since it comes into being whatever we do.
        """
        with self._lock:
            self._aborted = True
        end = time.monotonic() + _ABORT_SECONDS
        while self._live_containers and time.monotonic() < end:
            names = list(self._live_containers)
            gone = side_by_side([partial(self._is_removed, name) for name in names])
            self._live_containers -= {name for name, removed in zip(names, gone, strict=True) if removed}
            time.sleep(_ABORT_POLL)
        for name in list(self._live_networks):
            with contextlib.suppress(APIError):  # something still sits in it; whoever made it removes it
                self._client.remove_network(name)

    def _is_removed(self, name: str) -> bool:
        """It is gone for good. False for one that is still to come, or that changes at this moment."""
        coming = name in self._coming
        try:
            self._client.remove_container(name, force=True, v=True)
        except NotFound:
            return not coming
        except APIError:  # it is being started, or removed by its own thread: look again
            return False
        return True

    def sweep(self) -> int:
        """Remove what a killed run left behind: what bears our label, and whose process is gone or whose time is over.

        Gives the number.
        """
        swept = 0
        for found in self._client.containers(all=True, filters={"label": LABEL}):
            if self._left_behind(found.get("Labels") or {}):
                self.remove(Container(found["Id"], None))
                swept += 1
        for found in self._client.networks(filters={"label": LABEL}):
            if self._left_behind(found.get("Labels") or {}):
                with contextlib.suppress(APIError):  # another run may be taking it away at this moment
                    self._client.remove_network(found["Id"])
                    swept += 1
        return swept

    def _remove_container(self, name: str) -> None:
        with _gone_is_fine():
            self._client.remove_container(name, force=True, v=True)

    @contextlib.contextmanager
    def _remembered(self, live: set[str], name: str) -> Iterator[None]:
        """Something of this name is made in the block. Raises EngineFailed once everything was aborted."""
        with self._lock:
            aborted = self._aborted
            live.add(name)
            self._coming.add(name)
        try:
            if aborted:
                raise EngineFailed("the run was interrupted; nothing is started any more", where=self._client.host)
            yield
        except Exception:
            live.discard(name)
            raise
        finally:
            self._coming.discard(name)

    def _create(self, image: BuiltImage, spec: RunSpec, network: str | None) -> Container:
        name = f"hybrid-ci-{uuid.uuid4().hex}"
        try:
            with self._remembered(self._live_containers, name):
                identity = self._create_named(name, image, spec, network)
        except KeyboardInterrupt:  # the engine may have made it all the same, and nobody knows its id
            self._remove_container(name)
            raise
        container = Container(identity, network, name)
        if self._aborted:  # while it was made
            self.remove(container)
            raise EngineFailed("the run was interrupted; nothing is started any more", where=self._client.host)
        return container

    def _create_named(self, name: str, image: BuiltImage, spec: RunSpec, network: str | None) -> str:
        command = list(spec.command) if spec.command is not None else None
        created = self._client.create_container(
            image.engine_id.value,
            name=name,
            # The test's own command stands instead of the image's ENTRYPOINT and CMD, not behind them.
            entrypoint=command[:1] if command else None,
            command=command[1:] if command else None,
            environment=dict(spec.environment),
            user=spec.user,
            working_dir=spec.working_directory,
            ports=[spec.publish] if spec.publish is not None else None,
            host_config=self._client.create_host_config(**host_settings(spec, spec.join or network, init=self._init)),
            networking_config=self._endpoint(spec),
            labels=self._labels(spec.seconds),
            healthcheck={"test": ["NONE"]},
            tty=False,
            stdin_open=False,
            use_config_proxy=False,
        )
        return str(created["Id"])

    def _endpoint(self, spec: RunSpec) -> Any:
        if spec.join is None or spec.alias is None:
            return None
        endpoints: Any = {spec.join: self._client.create_endpoint_config(aliases=[spec.alias])}
        return self._client.create_networking_config(endpoints)

    def _again_without_init(self, container: Container, image: BuiltImage, spec: RunSpec) -> Container:
        """An engine without its init program (Debian's ``tini``): do without, for all that follow too."""
        self._init = False
        self.remove(Container(container.id, None, container.name))
        again = self._create(image, spec, container.network)
        try:
            self._client.start(again.id)
        except BaseException:
            self.remove(again)
            raise
        return again

    def _labels(self, seconds: float) -> dict[str, str]:
        expires = int(self._clock.now().timestamp() + seconds + _LEEWAY)
        return {LABEL: "1", EXPIRES: str(expires), OWNER: this_process()}

    def _left_behind(self, labels: Mapping[str, str]) -> bool:
        text = labels.get(EXPIRES, "")
        expired = text.isdigit() and datetime.fromtimestamp(int(text[:12]), UTC) < self._clock.now()
        return expired or is_gone(labels.get(OWNER, ""))


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    """What is gone, or is being removed by somebody else at this moment (409), needs no removal."""
    try:
        yield
    except NotFound:
        return
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise
