"""From the engine's push to the pinned digest over real HTTP, against engines and registries that fail and lie.

Nothing is simulated on our side: the SDK's stream, the registry client, the proof. Only time is.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, repeat

import pytest

from orchestrator.core.errors import ExitCode, HybridCIError, Refused, RemoteError
from orchestrator.core.image import Digest, Platform, Repository, TaggedImage
from orchestrator.images.base import BuiltImage
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from orchestrator.images.errors import PushInterrupted
from orchestrator.images.manifest import OCI_INDEX, OCI_MANIFEST, RegistryLied
from orchestrator.images.proof import ProofBroken
from orchestrator.images.publish import NotServed, Published, publish
from orchestrator.images.registry import HttpRegistry
from tests.contract.engines import OneLogin
from tests.servers.engine_scripted import Events, ScriptedEngine, Status, scripted_engine
from tests.servers.registry_scripted import Asked, Reply, ScriptedRegistry, scripted_registry
from tests.simulators.clock import FakeClock
from tests.simulators.reporter import RecordingReporter

PATH = "acme/api"
AMD64 = {"os": "linux", "architecture": "amd64"}
CONFIG = json.dumps(AMD64).encode()
OTHER_CONFIG = json.dumps(AMD64 | {"author": "somebody else"}).encode()


def manifest_of(config: bytes) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": {"digest": str(Digest.of(config))}, "layers": []}).encode()


MANIFEST, OTHER = manifest_of(CONFIG), manifest_of(OTHER_CONFIG)
DIGEST = Digest.of(MANIFEST)
IMAGE = BuiltImage("api", Digest.of(CONFIG), Platform("linux", "amd64"))
MANIFESTS, BLOBS = f"/v2/{PATH}/manifests/.*", f"/v2/{PATH}/blobs/.*"


class World:
    """An engine whose push lands in a registry, and the release step that joins them."""

    def __init__(self, engine: ScriptedEngine, registry: ScriptedRegistry) -> None:
        self.engine, self.server = engine, registry
        self.clock, self.reporter = FakeClock(), RecordingReporter()
        self.target = TaggedImage(Repository(registry.host, PATH), "1")
        self.pushes = 0
        engine.on("POST", "/images/.*/tag", Status(201, {}))
        self.on_push(Events([{"aux": {"Digest": str(DIGEST), "Tag": "1"}}]))

    def on_push(self, events: Events, *, lands: bool = True, landed: Callable[[], object] = lambda: None) -> None:
        """What the engine says of a push; where it ``lands``, the registry has the image from then on."""

        def push(_: object) -> Events:
            self.pushes += 1
            if lands:
                self.server.store_blob(PATH, CONFIG)
                self.server.store(PATH, OCI_MANIFEST, MANIFEST, "1")
            landed()
            return events

        self.engine.on("POST", "/images/.*/push", push)

    def publish(self, image: BuiltImage = IMAGE, *, immutable: bool = False) -> Published:
        logins = OneLogin(self.server.host, "ci", "canary-password")
        with (
            DockerEngine(partial(connect, self.engine.host), logins, clock=self.clock) as engine,
            HttpRegistry(logins, clock=self.clock) as registry,
        ):
            return publish(engine, registry, image, self.target, self.reporter, self.clock, immutable=immutable)


@pytest.fixture
def world() -> Iterator[World]:
    with scripted_engine() as engine, scripted_registry() as registry:
        yield World(engine, registry)


def test_a_push_that_goes_well_is_pinned_by_its_digest(world: World) -> None:
    assert world.publish().pinned.digest == DIGEST


@pytest.mark.scenario(number=58)
@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        ({"errorDetail": {"message": "received unexpected HTTP status: 500"}}, RemoteError, ExitCode.REMOTE),
        ({"error": "manifest invalid"}, RemoteError, ExitCode.REMOTE),
        ({"errorDetail": {"message": "denied: quota"}, "error": "denied: quota"}, Refused, ExitCode.REFUSED),
    ],
)
def test_push_stream_error_in_200(
    world: World, event: dict[str, object], kind: type[HybridCIError], code: ExitCode
) -> None:
    world.on_push(Events([{"id": "a", "status": "Pushed"}, event]), lands=False)
    with pytest.raises(kind) as caught:
        world.publish()
    assert caught.value.exit_code is code


@pytest.mark.scenario(number=59)
def test_push_denied_in_stream(world: World) -> None:
    world.on_push(Events([{"errorDetail": {"message": "denied: requested access is denied"}}]), lands=False)
    with pytest.raises(Refused, match="does not allow") as caught:
        world.publish()
    assert (caught.value.exit_code, caught.value.where) == (ExitCode.REFUSED, str(world.target.repository))
    assert world.pushes == 1


@pytest.mark.scenario(number=60)
def test_push_stream_ends_without_digest(world: World) -> None:
    world.on_push(Events([{"id": "a", "status": "Pushing"}]), lands=False)
    with pytest.raises(PushInterrupted) as caught:
        world.publish()
    assert caught.value.exit_code is ExitCode.REMOTE
    assert world.pushes > 1


@pytest.mark.scenario(number=61)
def test_manifest_404_for_20s_after_push(world: World) -> None:
    def lag() -> None:
        served_from = world.clock.monotonic() + 20
        world.server.on("GET", MANIFESTS, lambda _: Reply(404) if world.clock.monotonic() < served_from else None)

    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), landed=lag)
    assert world.publish().pinned.digest == DIGEST
    assert 20 <= sum(world.clock.slept) <= 60
    assert world.pushes == 1


def test_a_manifest_that_never_appears_is_not_pinned(world: World) -> None:
    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), lands=False)
    with pytest.raises(NotServed) as caught:
        world.publish()
    assert caught.value.exit_code is ExitCode.REMOTE


@pytest.mark.scenario(number=62)
def test_unknown_blob_once(world: World) -> None:
    world.engine.once("POST", "/images/.*/push", Events([{"errorDetail": {"message": "blob unknown to registry"}}]))
    assert world.publish().pinned.digest == DIGEST
    assert world.pushes == 1  # the second one landed


@pytest.mark.scenario(number=63)
def test_5xx_on_every_third_request(world: World) -> None:
    numbers = count(1)
    world.server.on("GET", f"/v2/{PATH}/.*", lambda _: Reply(502) if next(numbers) % 3 == 0 else None)
    assert world.publish().pinned.digest == DIGEST
    assert sum(world.clock.slept) <= 60


@pytest.mark.scenario(number=64)
def test_digest_header_differs_from_body(world: World) -> None:
    lie = Reply(200, MANIFEST, {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(Digest.of(b"another"))})
    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), landed=lambda: world.server.on("GET", MANIFESTS, lie))
    with pytest.raises(RegistryLied) as caught:
        world.publish()
    assert caught.value.exit_code is ExitCode.REFUSED


@pytest.mark.parametrize("body", [OTHER, MANIFEST + b" "], ids=["another image", "other bytes"])
def test_another_manifest_under_the_digest_is_no_proof(world: World, body: bytes) -> None:
    reply = Reply(200, body, {"Content-Type": OCI_MANIFEST})
    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), landed=lambda: world.server.on("GET", MANIFESTS, reply))
    with pytest.raises(RegistryLied):
        world.publish()


def test_a_digest_that_the_engine_claims_falsely_is_no_proof(world: World) -> None:
    """The claim names an image that the registry has, and that nobody tested."""
    world.server.store_blob(PATH, OTHER_CONFIG)
    theirs = world.server.store(PATH, OCI_MANIFEST, OTHER)
    world.on_push(Events([{"aux": {"Digest": str(theirs)}}]))
    with pytest.raises(ProofBroken) as caught:
        world.publish()
    assert caught.value.exit_code is ExitCode.REFUSED


@pytest.mark.scenario(number=65)
def test_tag_moved_after_our_push(world: World) -> None:
    def moved() -> None:
        world.server.store(PATH, OCI_MANIFEST, OTHER, "1")

    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), landed=moved)
    assert world.publish().pinned.digest == DIGEST
    (warning,) = world.reporter.warnings
    assert str(world.target) in warning
    assert Digest.of(OTHER).short in warning


@pytest.mark.scenario(number=66)
def test_tag_already_exists_with_other_digest(world: World) -> None:
    world.server.store_blob(PATH, OTHER_CONFIG)
    world.server.store(PATH, OCI_MANIFEST, OTHER, "1")
    with pytest.raises(Refused, match="taken") as caught:
        world.publish(immutable=True)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert world.pushes == 0
    assert world.publish().pinned.digest == DIGEST  # elsewhere tags move


@pytest.mark.scenario(number=67)
def test_index_vs_platform_digest(world: World) -> None:
    entries = [{"mediaType": OCI_MANIFEST, "digest": str(DIGEST), "size": len(MANIFEST), "platform": AMD64}]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    world.on_push(
        Events([{"aux": {"Digest": str(Digest.of(index))}}]),
        landed=lambda: world.server.store(PATH, OCI_INDEX, index, "1"),
    )
    published = world.publish(BuiltImage("api", Digest.of(index), IMAGE.platform))
    assert published.pinned.digest == Digest.of(index)
    assert (published.proof.kind, published.proof.manifest) == ("index", DIGEST)


def _bomb(asked: Asked) -> Reply:
    """100 MiB in 100 kB, for whoever unpacks it."""
    packed = gzip.compress(bytes(100 << 20), compresslevel=9)
    return Reply(200, packed, {"Content-Type": OCI_MANIFEST, "Content-Encoding": "gzip"})


@pytest.mark.scenario(number=70)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda _: Reply(200, [b"x" * 65536] * 1600, {"Content-Type": OCI_MANIFEST}), id="manifest_100MiB"),
        pytest.param(_bomb, id="gzip_bomb"),
        pytest.param(lambda _: Reply(200, repeat(b"x" * 65536), {"Content-Type": OCI_MANIFEST}), id="endless_body"),
    ],
)
def test_a_body_that_is_a_bomb_is_capped(world: World, reply: Callable[[Asked], Reply]) -> None:
    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), landed=lambda: world.server.on("GET", MANIFESTS, reply))
    with pytest.raises(RegistryLied) as caught:
        world.publish()
    assert caught.value.exit_code is ExitCode.REFUSED


def test_a_registry_that_denies_reading_back_pins_nothing(world: World) -> None:
    denied = Reply(403, b'{"errors":[{"code":"DENIED","message":"no"}]}')
    world.on_push(Events([{"aux": {"Digest": str(DIGEST)}}]), landed=lambda: world.server.on("GET", MANIFESTS, denied))
    with pytest.raises(RemoteError) as caught:
        world.publish()
    assert "DENIED: no" in caught.value.details
    assert "canary" not in f"{caught.value}{caught.value.details}"
