"""A container engine in memory: it "builds" a digest of its input, and pushes to simulated registries.

Its shell knows a handful of commands, enough for the contract that it shares with a real engine.
"""

from __future__ import annotations

import hashlib
import http.server
import itertools
import json
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Platform, TaggedImage
from orchestrator.core.secret import Redactor
from orchestrator.engine.clock import Clock, SystemClock
from orchestrator.engine.events import Reporter
from orchestrator.images.base import BuildFailed, BuildSpec, BuiltImage, RunningContainer, RunResult, RunSpec
from orchestrator.images.build_arguments import check_build_arguments
from orchestrator.images.context import plan_context
from orchestrator.images.dockerfile import Instruction, instructions
from orchestrator.images.errors import EngineUnreachable
from orchestrator.images.manifest import DOCKER_MANIFEST, INDEXES, OCI_INDEX, OCI_MANIFEST
from orchestrator.images.push_stream import pull_error, push_error
from tests.simulators.registry import Faults, SimulatedRegistry, StoredRepository

AMD64 = Platform("linux", "amd64")


class Store(Enum):
    """How engines differ in what they call an image, what they push, and whether they claim a digest."""

    CLASSIC = "classic"
    CONTAINERD = "containerd"
    CONTAINERD_INDEX = "containerd-index"
    PODMAN = "podman"


@dataclass(frozen=True)
class SimulatedImage:
    """What the engine keeps of a built image."""

    image: BuiltImage
    config: bytes
    layer: bytes
    manifest: bytes
    index: bytes | None
    page: bytes | None
    environment: dict[str, str] = field(default_factory=dict)


class SimulatedEngine:
    """Satisfies ImageBuilder and ContainerEngine.

    ``swapped_in`` is the image that a push takes instead of the tested one; ``results`` are run results by the
    command's text, for what the little shell does not know.
    """

    def __init__(
        self, registry: SimulatedRegistry, *, store: Store = Store.CLASSIC, clock: Clock | None = None
    ) -> None:
        self.registry = registry
        self.store = store
        self.clock = clock or SystemClock()
        self.images: dict[Digest, SimulatedImage] = {}
        self.faults = Faults()
        self.stopped = False
        self.swapped_in: BuiltImage | None = None
        self.results: dict[str, RunResult] = {}
        self.running: set[int] = set()
        self.ready: dict[str, BuiltImage] = {}
        self.networks: set[str] = set()
        self._numbers = itertools.count(1)

    # --- ImageBuilder ---------------------------------------------------------------------------------------------

    def build(self, spec: BuildSpec, reporter: Reporter) -> BuiltImage:
        """Hash the context, the arguments and the labels into an image."""
        with self.faults.around("build"):
            check_build_arguments(spec.arguments, Redactor(), f"image {spec.name}: args")
            context = plan_context(spec)
            self._check_running()
            steps = _until_target(list(instructions(context.dockerfile.decode())), spec.target)
            for number, step in enumerate(steps, start=1):
                reporter.log(f"build {spec.name}", f"Step {number}/{len(steps)} : {step.keyword} {step.rest}")
                _check_step(spec, step, number, len(steps))
            content = hashlib.sha256(b"".join(context.stream())).hexdigest()
            made = _make(spec, content, self.store)
            page = spec.context / "index.html"
            serves = any(step.keyword == "CMD" and "httpd" in step.rest for step in steps)
            stored = SimulatedImage(*made, page=page.read_bytes() if serves and page.is_file() else None)
            self.images[stored.image.engine_id] = stored
            return stored.image

    # --- ContainerEngine ------------------------------------------------------------------------------------------

    def check(self) -> str:
        """Its name."""
        with self.faults.around("check"):
            self._check_running()
            return "Simulated engine"

    def platform(self) -> Platform:
        """Of the machine that it pretends to be."""
        with self.faults.around("platform"):
            self._check_running()
            return AMD64

    def holds(self, reference: ImageReference) -> Digest | None:
        """The id of an image that was made ready under this name."""
        with self.faults.around("holds"):
            found = self.ready.get(str(reference))
            return found.engine_id if found is not None else None

    def fetch(
        self, name: str, image: PinnedImage, platform: Platform | None, reporter: Reporter, stage: str
    ) -> BuiltImage:
        """Take the image's bytes out of the simulated registry; named as this store names images."""
        with self.faults.around("fetch"):
            self._check_running()
            if image.repository in self.registry.refused:
                raise pull_error("unauthorized: authentication required", image, logged_in=False)
            stored = self.registry.stored(image.repository)
            if image.digest not in stored.manifests:
                raise pull_error(f"manifest for {image} not found: manifest unknown", image, logged_in=False)
            reporter.progress(stage, "Pull complete")
            fetched = _fetched(name, image.digest, stored, self.store)
            known = self.images.get(fetched.image.engine_id)
            self.images[fetched.image.engine_id] = known or fetched
            return fetched.image

    def run(self, image: BuiltImage, spec: RunSpec, reporter: Reporter, stage: str) -> RunResult:
        """Run the command in the little shell."""
        with self.faults.around("run"):
            self._find(image)
            text = " ".join(spec.command or ())
            result = self.results.get(text) or _Shell(spec, self.clock).run()
            for line in result.log_tail:
                reporter.log(stage, line)
            return result

    def start(self, image: BuiltImage, spec: RunSpec) -> RunningContainer:
        """Serve the image's page on loopback; an image without one ends at once."""
        with self.faults.around("start"):
            found = self._find(image)
            container = _Serving(found.page, self.clock, self.running.discard, self.results)
            self.running.add(id(container))
            return container

    def obtain(self, name: str, reference: ImageReference, reporter: Reporter, stage: str) -> BuiltImage:
        """An image that stands in ``ready``; nothing is pulled here."""
        with self.faults.around("obtain"):
            self._check_running()
            if str(reference) not in self.ready:
                raise RemoteError(f"{reference} can't be pulled", where=str(reference.repository))
            return replace(self.ready[str(reference)], name=name)

    def made_before(self, name: str, labels: Mapping[str, str]) -> BuiltImage | None:
        """The last one that was built with these labels."""
        with self.faults.around("made_before"):
            self._check_running()
            found = [one.image for one in self.images.values() if _bears(one.config, labels)]
            return replace(found[-1], name=name) if found else None

    @contextmanager
    def private_network(self, seconds: float, *, outside: bool = False) -> Iterator[str]:
        """A name; ``networks`` holds those that live."""
        with self.faults.around("private_network"):
            self._check_running()
        name = f"network-{next(self._numbers)}"
        self.networks.add(name)
        try:
            yield name
        finally:
            self.networks.discard(name)

    def abort(self) -> None:
        """Nothing starts from now on."""
        self.stopped = True

    def push(self, image: BuiltImage, target: TaggedImage, reporter: Reporter, stage: str) -> Digest | None:
        """Put the image's bytes into the simulated registry."""
        with self.faults.around("push"):
            found = self._find(self.swapped_in or image)
            repository = target.repository
            if repository in self.registry.refused:
                raise push_error("unauthorized: authentication required", target, logged_in=False)
            if repository in self.registry.denied:
                raise push_error("denied: requested access to the resource is denied", target, logged_in=True)
            if self.registry.immutable_tags and target.tag in self.registry.stored(repository).tags:
                raise push_error(f"denied: tag {target.tag} is immutable", target, logged_in=True)
            reporter.progress(stage, "1 of 1 layers, 0.0 MiB")
            self.registry.store_blob(repository, found.config)
            self.registry.store_blob(repository, found.layer)
            single = DOCKER_MANIFEST if self.store is Store.CLASSIC else OCI_MANIFEST
            if found.index is None:
                digest = self.registry.store_manifest(repository, single, found.manifest, target.tag)
            else:
                self.registry.store_manifest(repository, single, found.manifest)
                digest = self.registry.store_manifest(repository, OCI_INDEX, found.index, target.tag)
            return None if self.store is Store.PODMAN else digest

    def close(self) -> None:
        """Nothing is open."""

    def _check_running(self) -> None:
        if self.stopped:
            raise EngineUnreachable("no container engine answers", where="simulated", hint="start it")

    def _find(self, image: BuiltImage) -> SimulatedImage:
        self._check_running()
        if image.engine_id not in self.images:
            raise RemoteError(f"the image {image.name} is no longer in the engine", where=image.engine_id.short)
        return self.images[image.engine_id]


def _until_target(steps: list[Instruction], target: str | None) -> list[Instruction]:
    if target is None:
        return steps
    kept: list[Instruction] = []
    inside = False
    for step in steps:
        if step.keyword == "FROM":
            if inside:
                return kept
            inside = step.rest.lower().endswith(f" as {target}")
        kept.append(step)
    if not inside:
        raise BuildFailed(f"failed to reach build target {target} in Dockerfile")
    return kept


def _check_step(spec: BuildSpec, step: Instruction, number: int, steps: int) -> None:
    known = ["FROM", "COPY", "ADD", "RUN", "CMD", "LABEL", "ENV", "ARG", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT"]
    missing = step.keyword == "COPY" and not step.rest.startswith("--") and not (
        spec.context / step.rest.split()[0]).exists()  # fmt: skip
    if step.keyword in known and not missing and not (step.keyword == "RUN" and "exit 1" in step.rest):
        return
    raise BuildFailed(
        f"the build of {spec.name} failed at step {number} of {steps}: {step.keyword} {step.rest}",
        where=f"{spec.dockerfile}:{step.line}",
    )


def _make(spec: BuildSpec, content: str, store: Store) -> tuple[BuiltImage, bytes, bytes, bytes, bytes | None]:
    platform = spec.platform or AMD64
    layer = f"layer {content} {sorted(spec.arguments.items())} {spec.target}".encode()
    config = _json(
        {
            "os": platform.os,
            "architecture": platform.architecture,
            "config": {"Labels": dict(spec.labels)},
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]},
        }
    )
    kind = DOCKER_MANIFEST if store is Store.CLASSIC else OCI_MANIFEST
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    index = None
    names = {Store.CONTAINERD: manifest, Store.CLASSIC: config, Store.PODMAN: config}
    if store is Store.CONTAINERD_INDEX:
        entry = _descriptor(kind, manifest) | {"platform": {"os": platform.os, "architecture": platform.architecture}}
        index = _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
        names[store] = index
    return BuiltImage(spec.name, Digest.of(names[store]), platform), config, layer, manifest, index


def _fetched(name: str, digest: Digest, stored: StoredRepository, store: Store) -> SimulatedImage:
    """The image of this digest (an index's first manifest) out of a registry's shelf."""
    kind, content = stored.manifests[digest]
    index = content if kind in INDEXES else None
    manifest = stored.manifests[Digest(json.loads(content)["manifests"][0]["digest"])][1] if index else content
    config = stored.blobs[Digest(json.loads(manifest)["config"]["digest"])]
    layers = [stored.blobs[Digest(layer["digest"])] for layer in json.loads(manifest)["layers"]]
    told = json.loads(config)
    platform = Platform(told["os"], told["architecture"])
    names = {Store.CLASSIC: config, Store.PODMAN: config, Store.CONTAINERD: manifest, Store.CONTAINERD_INDEX: content}
    return SimulatedImage(
        BuiltImage(name, Digest.of(names[store]), platform), config, b"".join(layers), manifest, index, page=None
    )


def _bears(config: bytes, labels: Mapping[str, str]) -> bool:
    has = json.loads(config)["config"]["Labels"]
    return all(has.get(key) == value for key, value in labels.items())


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(content), "digest": str(Digest.of(content))}


class _Shell:
    """``sh -c`` of the simulation: ``echo TEXT [> FILE]``, ``sleep N``, ``exit N``, ``mkdir DIR``."""

    def __init__(self, spec: RunSpec, clock: Clock) -> None:
        self._spec, self._clock = spec, clock
        self._log: list[str] = []
        self._files: dict[str, bytes] = {}
        self._slept = 0.0

    def run(self) -> RunResult:
        command = tuple(self._spec.command or ())
        text = command[-1] if command[:2] in (("/bin/sh", "-c"), ("sh", "-c")) else shlex.join(command)
        code: int | None = 0
        for name, value in self._spec.environment.items():
            text = text.replace(f"${name}", value)
        for statement in text.split(";"):
            code = self._statement(shlex.split(statement))
            if code is None or "exit" in statement:
                break
        return RunResult(code, code is None, self._slept, tuple(self._log), self._read_back())

    def _statement(self, words: list[str]) -> int | None:
        match words:
            case ["echo", *text, ">", path]:
                self._files[path] = (" ".join(text) + "\n").encode()
            case ["echo", *text]:
                self._log.append(" ".join(text))
            case ["sleep", seconds]:
                left = self._spec.seconds - self._slept
                pause = min(float(seconds), left)
                self._clock.sleep(pause)
                self._slept += pause
                return None if float(seconds) > left else 0
            case ["exit", code]:
                return int(code)
            case ["mkdir", *_] | []:
                pass
            case _:
                self._log.append(f"sh: {words[0]}: not found")
                return 127
        return 0

    def _read_back(self) -> dict[str, bytes]:
        wanted = self._spec.read_back
        if wanted is None:
            return {}
        parent = wanted.rstrip("/").rpartition("/")[0] + "/"
        return {
            path.removeprefix(parent): content
            for path, content in self._files.items()
            if path == wanted or path.startswith(wanted.rstrip("/") + "/")
        }


class _Serving:
    """A container that serves one page on loopback, really."""

    def __init__(
        self, page: bytes | None, clock: Clock, forget: Callable[[int], None], results: Mapping[str, RunResult]
    ) -> None:
        self._clock, self._began, self._results = clock, clock.monotonic(), results
        self._forget = forget
        self._result: RunResult | None = None
        self._server = None if page is None else _server(page)

    @property
    def address(self) -> tuple[str, int]:
        """Where it serves."""
        if self._server is None:
            raise RemoteError("the engine did not publish the port on loopback")
        return "127.0.0.1", self._server.server_address[1]

    @property
    def inside(self) -> str:
        """Its address in a network that is not there."""
        return "10.0.0.2"

    def execute(self, command: Sequence[str], seconds: float) -> int | None:
        """What ``results`` say of the command; 0 for what they do not know."""
        result = self._results.get(" ".join(command))
        return 0 if result is None else result.exit_code

    def running(self) -> bool:
        """It serves."""
        return self._server is not None and self._result is None

    def stop(self) -> RunResult:
        """End it."""
        if self._result is None:
            ended = self._server is None
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()
            self._forget(id(self))
            self._result = RunResult(0 if ended else None, False, self._clock.monotonic() - self._began, ())
        return self._result


def _server(page: bytes) -> http.server.ThreadingHTTPServer:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path in ("/", "/index.html")
            body = page if found else b"not found"
            self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    return server
