"""The engine adapter against an Engine API that breaks, refuses and lies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError, Refused, RemoteError, TimedOut
from orchestrator.core.image import Digest, Platform, Repository, TaggedImage
from orchestrator.core.secret import Redactor, Secret
from orchestrator.images.base import BuildFailed, BuildSpec, BuiltImage, RunSpec
from orchestrator.images.build_arguments import SecretBuildArgument
from orchestrator.images.credentials import Login
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect, engine_host, from_environment, is_local
from orchestrator.images.errors import EngineFailed, EngineUnreachable, LoginRefused, PushInterrupted
from tests.servers.engine_scripted import VERSION, EngineAsked, Events, ScriptedEngine, Status, scripted_engine
from tests.simulators.clock import FakeClock
from tests.simulators.reporter import RecordingReporter

ID = "sha256:" + "a" * 64
INSPECTED = {"Id": ID, "Os": "linux", "Architecture": "amd64", "Variant": ""}
IMAGE = BuiltImage("api", Digest(ID), Platform("linux", "amd64"))
TARGET = TaggedImage(Repository.parse("registry.example.com/acme/api"), "1")
PASSWORD = "canary-91ab77f0"


class Logins:
    """A login for these registries; remembers who was asked for."""

    def __init__(self, *registries: str) -> None:
        self._registries = registries
        self.asked: list[str] = []

    def login(self, registry: str) -> Login | None:
        self.asked.append(registry)
        return Login("user", Secret(PASSWORD, "test")) if registry in self._registries else None


@pytest.fixture
def scripted() -> Iterator[ScriptedEngine]:
    with scripted_engine() as made:
        made.on("POST", "/build", Events([{"stream": "Step 1/1 : FROM scratch\n"}, {"aux": {"ID": ID}}]))
        made.on("GET", "/images/.*/json", Status(200, INSPECTED))
        made.on("POST", "/images/.*/tag", Status(201, {}))
        made.on("POST", "/images/.*/push", Events([{"aux": {"Digest": ID}}]))
        yield made


@pytest.fixture
def logins() -> Logins:
    return Logins("registry.example.com")


@pytest.fixture
def engine(scripted: ScriptedEngine, logins: Logins) -> Iterator[DockerEngine]:
    redact = Redactor([Secret(PASSWORD, "test")])
    with DockerEngine(partial(connect, scripted.host), logins, clock=FakeClock(), redact=redact) as made:
        yield made


@pytest.fixture
def spec(tmp_path: Path) -> BuildSpec:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nRUN one\n")
    return BuildSpec("api", tmp_path, tmp_path / "Dockerfile")


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


def requests(scripted: ScriptedEngine, path: str) -> list[EngineAsked]:
    return [asked for asked in scripted.asked if asked.path == path]


# --- who answers -------------------------------------------------------------------------------------------------


def test_the_engine_is_named(engine: DockerEngine) -> None:
    assert engine.check() == "Container engine 20.10.0 (API 1.41), linux/amd64"


def test_nothing_is_connected_before_it_is_needed(tmp_path: Path) -> None:
    DockerEngine(partial(connect, f"unix://{tmp_path}/none.sock")).close()


def test_a_stopped_engine_is_a_remote_error(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/none.sock"
    with pytest.raises(EngineUnreachable) as caught:
        DockerEngine(partial(connect, host)).check()
    assert (caught.value.exit_code, caught.value.where) == (5, host)
    assert "No such file" in caught.value.message
    assert "DOCKER_HOST" in str(caught.value.hint)


def test_a_socket_that_may_not_be_used_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import docker.transport.unixconn

    def refused(self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(docker.transport.unixconn.UnixHTTPConnection, "connect", refused)
    with pytest.raises(ConfigurationError) as caught:
        connect("unix:///run/no/matter.sock")
    assert "group" in str(caught.value.hint)


@pytest.mark.parametrize(
    "answer", [Status(200, {}), Status(200, b"<html>"), Status(500, {"message": "ill"}), Status(404)]
)
def test_something_that_is_no_engine_is_a_remote_error(scripted: ScriptedEngine, answer: Status) -> None:
    scripted.on("GET", "/version", answer)
    with pytest.raises(RemoteError):
        connect(scripted.host)


def test_windows_containers_are_refused(scripted: ScriptedEngine, engine: DockerEngine) -> None:
    scripted.on("GET", "/version", Status(200, VERSION | {"Os": "windows"}))
    with pytest.raises(ConfigurationError, match="windows"):
        engine.check()


def test_an_engine_over_ssh_is_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect("ssh://host")
    assert "DOCKER_HOST" in str(caught.value.hint)


# --- where it listens --------------------------------------------------------------------------------------------


def test_docker_host_comes_first(tmp_path: Path) -> None:
    assert engine_host({"DOCKER_HOST": "tcp://a:1", "DOCKER_CONTEXT": "b"}, tmp_path) == "tcp://a:1"


def test_without_any_setting_it_is_the_usual_socket(tmp_path: Path) -> None:
    assert engine_host({}, tmp_path) == "unix:///var/run/docker.sock"


@pytest.mark.parametrize("how", ["variable", "file"])
def test_a_context_names_the_host(tmp_path: Path, how: str) -> None:
    import hashlib

    folder = tmp_path / ".docker" / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "unix:///run/mine.sock"}}}))
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"currentContext": "mine"} if how == "file" else {}))
    environment = {"DOCKER_CONTEXT": "mine"} if how == "variable" else {}
    assert engine_host(environment, tmp_path) == "unix:///run/mine.sock"


def test_a_context_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'gone'"):
        engine_host({"DOCKER_CONTEXT": "gone"}, tmp_path)


def test_a_broken_docker_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")
    with pytest.raises(ConfigurationError) as caught:
        from_environment({"HOME": str(tmp_path)})
    assert caught.value.where == str(tmp_path / ".docker" / "config.json")


@pytest.mark.parametrize(
    ("host", "local"),
    [("unix:///x", True), ("tcp://127.0.0.1:2375", True), ("tcp://docker:2375", False), ("tcp://10.0.0.1:1", False)],
)
def test_an_engine_elsewhere_is_known(host: str, local: bool) -> None:
    assert is_local(host) is local


# --- build -------------------------------------------------------------------------------------------------------


def test_only_logins_of_named_bases_travel(
    scripted: ScriptedEngine, engine: DockerEngine, logins: Logins, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    spec.dockerfile.write_text("ARG HOST\nFROM ${HOST}/base:1\nCOPY --from=ghcr.io/a/b:1 /x /x\n")
    spec = replace(spec, arguments={"HOST": "registry.example.com"})
    engine.build(spec, reporter)
    (asked,) = requests(scripted, "/build")
    assert asked.decoded("X-Registry-Config") == {
        "registry.example.com": {
            "username": "user",
            "password": PASSWORD,
            "serveraddress": "registry.example.com",
        }
    }
    assert logins.asked == ["ghcr.io", "registry.example.com"]


def test_docker_build_sends_no_login_and_no_proxy_of_the_users_configuration(
    scripted: ScriptedEngine,
    spec: BuildSpec,
    reporter: RecordingReporter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "docker"
    folder.mkdir()
    marker = tmp_path / "helper-ran"
    helper = tmp_path / "docker-credential-canary"
    helper.write_text(f"#!/bin/sh\ntouch {marker}\n")
    helper.chmod(0o755)
    (folder / "config.json").write_text(
        json.dumps(
            {
                "auths": {"registry.example.com": {"auth": "dXNlcjpjYW5hcnk="}},
                "credsStore": "canary",
                "proxies": {"default": {"httpProxy": "http://user:canary@proxy"}},
            }
        )
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("NPM_TOKEN", "canary")
    with DockerEngine(partial(connect, scripted.host), clock=FakeClock()) as engine:
        engine.build(spec, reporter)
        engine.push(IMAGE, TARGET, reporter, "push")
    sent = "".join(f"{asked.query}{asked.headers}" for asked in scripted.asked)
    assert "canary" not in sent
    assert not marker.exists()
    (pushed,) = requests(scripted, f"/images/{TARGET.repository}/push")
    assert pushed.decoded("X-Registry-Auth") == {"username": "", "password": ""}
    (built,) = requests(scripted, "/build")
    assert "x-registry-config" not in built.headers
    assert built.query.get("buildargs") is None


def test_a_known_credential_as_a_build_argument_is_refused_before_anything_is_sent(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    with pytest.raises(SecretBuildArgument):
        engine.build(BuildSpec("api", spec.context, spec.dockerfile, {"ADDRESS": f"x{PASSWORD}x"}), reporter)
    assert requests(scripted, "/build") == []


def test_intermediate_containers_are_removed_also_after_a_failure(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    engine.build(spec, reporter)
    (asked,) = requests(scripted, "/build")
    assert (asked.query["rm"], asked.query["forcerm"]) == (["True"], ["True"])


def test_what_is_left_out_of_the_context_is_told(
    engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    (spec.context / ".env").write_text("X=1")
    engine.build(spec, reporter)
    assert "left out of the build context: .env" in reporter.text


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        pytest.param(Status(400, {"message": "dockerfile parse error line 1"}), BuildFailed, 1, id="does not parse"),
        pytest.param(Status(500, {"message": "no space left on device"}), RemoteError, 5, id="disk full"),
        pytest.param(Events([{"error": "no space left on device"}]), RemoteError, 5, id="disk full in the stream"),
        pytest.param(Events([{"stream": "Step 1/2 : FROM x\n"}]), RemoteError, 5, id="ends without a word"),
        pytest.param(Events([]), RemoteError, 5, id="empty"),
        pytest.param(Events([{"stream": "Step 1/2"}], cut=True), RemoteError, 5, id="engine restarts"),
        pytest.param(Events([b"{not json\n"]), RemoteError, 5, id="no JSON"),
        pytest.param(Events([["list"]]), RemoteError, 5, id="no object"),
        pytest.param(Events([{"aux": {"ID": "latest"}}]), RemoteError, 5, id="no digest"),
        pytest.param(Status(503, b"Service Unavailable"), RemoteError, 5, id="unavailable"),
    ],
)
def test_a_build_that_goes_wrong_has_its_exit_code(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter,
    answer: Events | Status, kind: type[HybridCIError], code: int,
) -> None:  # fmt: skip
    scripted.on("POST", "/build", answer)
    with pytest.raises(kind) as caught:
        engine.build(spec, reporter)
    assert caught.value.exit_code == code


def test_a_dockerfile_that_does_not_parse_is_told_with_its_line(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    scripted.on("POST", "/build", Status(400, {"message": "dockerfile parse error line 3: unknown instruction: RUNN"}))
    with pytest.raises(BuildFailed) as caught:
        engine.build(spec, reporter)
    assert caught.value.where == f"{spec.dockerfile}:3"


def test_a_full_disk_says_what_to_free(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    scripted.on("POST", "/build", Events([{"errorDetail": {"message": "write /x: no space left on device"}}]))
    with pytest.raises(RemoteError) as caught:
        engine.build(spec, reporter)
    assert "free disk space" in str(caught.value.hint)


def test_a_build_without_end_is_ended(scripted: ScriptedEngine, spec: BuildSpec, reporter: RecordingReporter) -> None:
    clock = FakeClock()

    def forever() -> Iterator[object]:
        while True:
            clock.advance(60)
            yield {"stream": "still working\n"}

    scripted.on("POST", "/build", lambda _: Events(forever()))
    connecting = partial(connect, scripted.host)
    with (
        DockerEngine(connecting, Logins(), clock=clock, build_seconds=600) as engine,
        pytest.raises(TimedOut) as caught,
    ):
        engine.build(spec, reporter)
    assert caught.value.exit_code == 6


def test_an_image_for_another_platform_is_a_failed_build(
    engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    arm = BuildSpec("api", spec.context, spec.dockerfile, platform=Platform("linux", "arm64"))
    with pytest.raises(BuildFailed, match="linux/arm64"):
        engine.build(arm, reporter)


@pytest.mark.parametrize("changes", [{"Id": "latest"}, {"Id": None}, {"Os": None}, {"Architecture": 7}])
def test_an_image_that_the_engine_cannot_describe_is_an_error(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter,
    changes: Mapping[str, object],
) -> None:  # fmt: skip
    described = {key: value for key, value in {**INSPECTED, **changes}.items() if value is not None}
    scripted.on("GET", "/images/.*/json", Status(200, described))
    if changes == {"Architecture": 7}:
        described["Architecture"] = None
        scripted.on("GET", "/images/.*/json", Status(200, {"Id": ID, "Os": "linux"}))
    with pytest.raises(RemoteError):
        engine.build(spec, reporter)


def test_podman_leaves_the_algorithm_off(
    scripted: ScriptedEngine, engine: DockerEngine, spec: BuildSpec, reporter: RecordingReporter
) -> None:
    scripted.on("GET", "/images/.*/json", Status(200, INSPECTED | {"Id": "a" * 64}))
    assert engine.build(spec, reporter).engine_id == Digest(ID)


# --- push --------------------------------------------------------------------------------------------------------


def test_the_login_of_the_registry_goes_with_the_push(
    scripted: ScriptedEngine, engine: DockerEngine, reporter: RecordingReporter
) -> None:
    assert engine.push(IMAGE, TARGET, reporter, "push") == Digest(ID)
    (asked,) = requests(scripted, f"/images/{TARGET.repository}/push")
    assert asked.decoded("X-Registry-Auth")["password"] == PASSWORD
    assert asked.query["tag"] == ["1"]
    (tagged,) = requests(scripted, f"/images/{ID}/tag")
    assert tagged.query == {"repo": [str(TARGET.repository)], "tag": ["1"], "force": ["1"]}


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (Events([{"error": "denied: no"}]), Refused, 3),
        (Events([{"errorDetail": {"message": "unauthorized"}}]), LoginRefused, 5),
        (Events([{"error": "blob unknown"}]), PushInterrupted, 5),
        (Events([{"id": "a", "status": "Pushing"}]), PushInterrupted, 5),
        (Events([]), PushInterrupted, 5),
        (Events([{"id": "a", "status": "Pushing"}], cut=True), RemoteError, 5),
        (Events([b"\xff\xfe"]), RemoteError, 5),
        (Status(500, {"message": "boom"}), EngineFailed, 5),
    ],
)
def test_push_stream_error_in_200(
    scripted: ScriptedEngine, engine: DockerEngine, reporter: RecordingReporter,
    answer: Events | Status, kind: type[HybridCIError], code: int,
) -> None:  # fmt: skip
    scripted.on("POST", "/images/.*/push", answer)
    with pytest.raises(kind) as caught:
        engine.push(IMAGE, TARGET, reporter, "push")
    assert caught.value.exit_code == code
    assert PASSWORD not in f"{caught.value}{caught.value.details}{caught.value.__dict__}"


def test_an_image_that_was_pruned_before_the_push_is_named(
    scripted: ScriptedEngine, engine: DockerEngine, reporter: RecordingReporter
) -> None:
    scripted.on("POST", "/images/.*/tag", Status(404, {"message": f"No such image: {ID}"}))
    with pytest.raises(RemoteError, match="no longer in the engine"):
        engine.push(IMAGE, TARGET, reporter, "push")


# --- containers --------------------------------------------------------------------------------------------------


def _container_routes(scripted: ScriptedEngine) -> None:
    scripted.on("POST", "/networks/create", Status(201, {"Id": "net"}))
    scripted.on("POST", "/containers/create", Status(201, {"Id": "box"}))
    scripted.on("POST", "/containers/box/start", Status(204))
    scripted.on("DELETE", "/containers/box", Status(204))
    scripted.on("DELETE", "/networks/net", Status(204))


@pytest.mark.parametrize("broken", ["/containers/create", "/containers/box/start"])
def test_a_container_that_does_not_start_leaves_nothing_behind(
    scripted: ScriptedEngine, engine: DockerEngine, broken: str
) -> None:
    _container_routes(scripted)
    scripted.on("POST", broken, Status(500, {"message": "boom"}))
    with pytest.raises(EngineFailed):
        engine.start(IMAGE, RunSpec(publish=80))
    *containers, network = [asked.path for asked in scripted.asked if asked.method == "DELETE"]
    (made,) = requests(scripted, "/networks/create")
    assert containers == (["/containers/box"] if "box" in broken else [])
    assert network == f"/networks/{json.loads(made.body)['Name']}"


def test_an_engine_without_an_init_program_runs_without(scripted: ScriptedEngine, engine: DockerEngine) -> None:
    _container_routes(scripted)
    starts: list[int] = []

    def start(_: EngineAsked) -> Status:
        starts.append(1)
        message = {"message": 'exec: "docker-init": executable file not found in $PATH'}
        return Status(400, message) if len(starts) == 1 else Status(204)

    scripted.on("POST", "/containers/box/start", start)
    engine.start(IMAGE, RunSpec(publish=80))
    profiles = [json.loads(asked.body)["HostConfig"] for asked in requests(scripted, "/containers/create")]
    assert [profile["Init"] for profile in profiles] == [True, False]
    assert profiles[0] | {"Init": False} == profiles[1]


def test_a_smoke_test_on_another_machine_says_why_not(scripted: ScriptedEngine) -> None:
    _container_routes(scripted)

    def elsewhere() -> object:
        client = connect(scripted.host)
        client.host = "tcp://docker:2375"
        return client

    with DockerEngine(elsewhere, Logins()) as engine:  # type: ignore[arg-type]
        container = engine.start(IMAGE, RunSpec(publish=80))
        with pytest.raises(ConfigurationError, match="another machine"):
            container.address  # noqa: B018


def test_leftovers_of_killed_runs_are_removed_once_their_time_is_over(
    scripted: ScriptedEngine, engine: DockerEngine
) -> None:
    _container_routes(scripted)
    past, future = "1000", "99999999999"
    scripted.on(
        "GET",
        "/containers/json",
        Status(200, [{"Id": "old", "Labels": {"io.hybrid-ci.expires": past}}, {"Id": "box", "Labels": None},
                     {"Id": "young", "Labels": {"io.hybrid-ci.expires": future}}]),
    )  # fmt: skip
    scripted.on("GET", "/networks", Status(200, [{"Id": "oldnet", "Labels": {"io.hybrid-ci.expires": past}}]))
    scripted.on("DELETE", "/.*", Status(204))
    engine.start(IMAGE, RunSpec())
    assert [asked.path for asked in scripted.asked if asked.method == "DELETE"] == [
        "/containers/old",
        "/networks/oldnet",
    ]


Removal = Callable[[ScriptedEngine], None]


@pytest.mark.parametrize("status", [404, 409])
def test_a_container_that_is_gone_already_is_fine(scripted: ScriptedEngine, engine: DockerEngine, status: int) -> None:
    _container_routes(scripted)
    scripted.on(
        "GET",
        "/containers/box/json",
        Status(200, {"State": {"Running": False, "ExitCode": 0}, "Config": {"Tty": False}}),
    )
    scripted.on("POST", "/containers/box/kill", Status(409, {"message": "not running"}))
    scripted.on("POST", "/containers/box/wait", Status(200, {"StatusCode": 0}))
    scripted.on("GET", "/containers/box/logs", Status(200, b""))
    scripted.on("DELETE", "/.*", Status(status, {"message": "removal is already in progress"}))
    assert engine.start(IMAGE, RunSpec(publish=80)).stop().exit_code == 0
