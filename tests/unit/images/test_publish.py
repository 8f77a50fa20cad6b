"""Publishing over simulated engines and registries: late, broken, denied, moved and lying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.errors import HybridCIError, Refused, RemoteError
from orchestrator.core.image import Repository, TaggedImage
from orchestrator.images.base import BuildSpec, BuiltImage, PushFailed
from orchestrator.images.errors import EngineFailed, LoginRefused, PushInterrupted
from orchestrator.images.manifest import RegistryLied
from orchestrator.images.proof import ProofBroken
from orchestrator.images.publish import NotServed, Published, publish
from tests.simulators.clock import FakeClock
from tests.simulators.engine import SimulatedEngine, Store
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.reporter import RecordingReporter

TARGET = TaggedImage(Repository.parse("registry.example.com/acme/api"), "1")


@dataclass
class World:
    engine: SimulatedEngine
    registry: SimulatedRegistry
    clock: FakeClock
    reporter: RecordingReporter
    folder: Path

    def build(self, content: str = "one") -> BuiltImage:
        (self.folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
        (self.folder / "file").write_text(content)
        return self.engine.build(BuildSpec("api", self.folder, self.folder / "Dockerfile"), self.reporter)

    def publish(self, image: BuiltImage, *, immutable: bool = False, target: TaggedImage = TARGET) -> Published:
        return publish(
            self.engine, self.registry, image, target, self.reporter, self.clock, immutable=immutable
        )  # fmt: skip

    @property
    def pushes(self) -> int:
        return self.engine.faults.calls["push"]


Make = Callable[[Store], World]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(store: Store) -> World:
        registry, clock = SimulatedRegistry(), FakeClock()
        return World(
            SimulatedEngine(registry, store=store, clock=clock), registry, clock, RecordingReporter(), tmp_path
        )

    return made


@pytest.fixture(params=list(Store))
def world(request: pytest.FixtureRequest, make: Make) -> World:
    return make(request.param)


def test_what_is_pinned_is_what_the_registry_serves(world: World) -> None:
    image = world.build()
    published = world.publish(image)
    assert published.pinned == TARGET.pinned(published.proof.digest)
    assert world.registry.resolve(TARGET) == published.pinned.digest
    assert published.proof.kind == ("index" if world.engine.store is Store.CONTAINERD_INDEX else "manifest")


def test_a_second_run_pushes_nothing(world: World) -> None:
    image = world.build()
    first = world.publish(image)
    assert world.publish(image) == first
    assert world.pushes == 1


def test_an_image_swapped_between_test_and_push_is_refused(world: World) -> None:
    image = world.build()
    world.engine.swapped_in = world.build("another")
    with pytest.raises(ProofBroken) as caught:
        world.publish(image)
    assert caught.value.exit_code == 3


def test_a_manifest_that_comes_late_is_waited_for(world: World) -> None:
    image = world.build()
    world.registry.lag = 3
    assert world.publish(image).pinned
    assert world.clock.slept


def test_a_manifest_that_never_comes_is_a_remote_error(world: World) -> None:
    image = world.build()
    world.registry.lag = 10_000
    with pytest.raises(NotServed) as caught:
        world.publish(image)
    assert caught.value.exit_code == 5
    assert sum(world.clock.slept) <= 60


def test_a_broken_off_push_is_repeated(world: World) -> None:
    image = world.build()
    world.engine.faults.fail("push", 1, error=lambda: PushInterrupted("blob unknown to registry"))
    assert world.publish(image).pinned
    assert world.pushes == 2


@pytest.mark.parametrize("error", [PushInterrupted, EngineFailed])
def test_a_push_that_landed_and_failed_is_proven_all_the_same(world: World, error: type[RemoteError]) -> None:
    image = world.build()
    world.engine.faults.fail("push", 1, when="after", error=lambda: error("the connection broke"))
    assert world.publish(image).pinned


def test_a_push_that_never_succeeds_ends_within_its_time(world: World) -> None:
    image = world.build()
    for nth in range(1, 500):
        world.engine.faults.fail("push", nth, error=lambda: PushInterrupted("503"))
    with pytest.raises(PushInterrupted) as caught:
        world.publish(image)
    assert caught.value.exit_code == 5
    assert sum(world.clock.slept) <= 600


@pytest.mark.parametrize("error", [lambda: PushFailed("no"), lambda: Refused("denied"), lambda: LoginRefused("who?")])
def test_a_final_answer_is_not_asked_for_again(world: World, error: Callable[[], HybridCIError]) -> None:
    image = world.build()
    world.engine.faults.fail("push", 1, error=error)
    with pytest.raises(type(error())):
        world.publish(image)
    assert world.pushes == 1
    assert world.registry.resolve(TARGET) is None


def test_a_denied_push_names_the_repository(world: World) -> None:
    image = world.build()
    world.registry.denied.add(TARGET.repository)
    with pytest.raises(Refused) as caught:
        world.publish(image)
    assert (caught.value.exit_code, caught.value.where) == (3, str(TARGET.repository))


def test_a_refused_login_is_safe_to_run_again(world: World) -> None:
    image = world.build()
    world.registry.refused.add(TARGET.repository)
    with pytest.raises(LoginRefused) as caught:
        world.publish(image)
    assert caught.value.exit_code == 5


def test_a_tag_of_an_older_image_is_moved(world: World) -> None:
    old = world.publish(world.build("old"))
    new = world.publish(world.build("new"))
    assert old.pinned.digest != new.pinned.digest
    assert world.registry.resolve(TARGET) == new.pinned.digest


def test_a_tag_that_is_declared_immutable_is_not_moved(world: World) -> None:
    old = world.publish(world.build("old"))
    with pytest.raises(Refused) as caught:
        world.publish(world.build("new"), immutable=True)
    assert caught.value.where == str(TARGET)
    assert world.registry.resolve(TARGET) == old.pinned.digest


def test_an_immutable_tag_of_the_same_image_is_fine(world: World) -> None:
    image = world.build()
    assert world.publish(image) == world.publish(image, immutable=True)


@pytest.mark.parametrize("store", [Store.CLASSIC, Store.CONTAINERD, Store.CONTAINERD_INDEX])
def test_a_tag_that_moved_after_our_push_changes_no_pin(make: Make, store: Store) -> None:
    world = make(store)
    image, other = world.build("ours"), world.build("theirs")
    world.engine.images[other.engine_id]
    push = world.engine.push

    class Racing(SimulatedEngine):
        def push(self, *arguments: object) -> object:  # type: ignore[override]
            digest = push(*arguments)  # type: ignore[arg-type]
            push(other, TARGET, world.reporter, "theirs")
            return digest

    world.engine.__class__ = Racing
    published = world.publish(image)
    assert world.registry.resolve(TARGET) != published.pinned.digest
    assert published.proof.config in {
        image.engine_id,
        *(m.config for d in [published.proof.manifest] if (m := world.registry.manifest(TARGET.repository, d))),
    }
    assert any(str(TARGET) in warning for warning in world.reporter.warnings)


def test_a_lying_registry_stops_the_release(world: World) -> None:
    image = world.build()
    stored = world.engine.images[image.engine_id]
    honest = [stored.config, stored.manifest, *([stored.index] if stored.index else [])]
    for content in honest:
        world.registry.served_instead = {type(image.engine_id).of(content): content + b" "}
        with pytest.raises(RegistryLied):
            world.publish(image)


def test_without_a_claim_a_tag_that_still_shows_the_image_before_is_waited_for(make: Make) -> None:
    world = make(Store.PODMAN)
    world.publish(world.build("old"))
    old_digest = world.registry.resolve(TARGET)
    assert old_digest is not None
    image = world.build("new")
    resolve = world.registry.resolve
    answers = [old_digest, old_digest, old_digest]

    class Stale(SimulatedRegistry):
        def resolve(self, tagged: TaggedImage) -> object:  # type: ignore[override]
            return answers.pop() if answers else resolve(tagged)

    world.registry.__class__ = Stale
    assert world.publish(image).pinned.digest != old_digest
    assert world.clock.slept


def test_a_read_back_that_fails_leaves_a_push_that_the_next_run_finds(world: World) -> None:
    image = world.build()
    world.registry.faults.fail("manifest", 1)
    with pytest.raises(RemoteError):
        world.publish(image)
    assert world.publish(image).pinned
    assert world.pushes == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["resolve", "manifest", "config", "push"])
def test_after_a_crash_anywhere_the_next_run_ends_in_the_same_state(world: World, method: str, when: str) -> None:
    image = world.build()
    expected = world.publish(image, target=TaggedImage(Repository.parse("registry.example.com/acme/reference"), "1"))

    class Killed(BaseException):
        pass

    faults = world.engine.faults if method == "push" else world.registry.faults
    faults.fail(method, faults.calls[method] + 1, when=when, error=Killed)
    try:
        world.publish(image)
    except Killed:
        world.publish(image)
    assert world.registry.resolve(TARGET) == expected.pinned.digest
    assert len(world.registry.stored(TARGET.repository).tags) == 1
