"""What decides how the demo and the tests set a machine up; nothing here installs or starts anything."""

import ipaddress
import json
import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from scripts import services
from scripts.machine import base_image, daemon, engine, engine_api, packages, registry
from scripts.machine.errors import MachineError


def nothing_is_installed(program: str) -> str | None:
    return None


def test_the_packages_of_missing_programs_are_named_once_and_in_order() -> None:
    needs = [
        packages.Need("dockerd", "docker.io"),
        packages.Need("docker", "docker.io"),
        packages.Need("ip", "iproute2"),
    ]
    assert packages.missing(needs, nothing_is_installed) == ("docker.io", "iproute2")
    assert packages.missing(needs, lambda program: f"/usr/bin/{program}") == ()


@pytest.mark.parametrize(("enabled", "named"), [("Y\n", True), ("N\n", False)])
def test_the_apparmor_parser_is_needed_only_where_the_kernel_enforces_it(
    tmp_path: Path, enabled: str, named: bool
) -> None:
    switch = tmp_path / "enabled"
    switch.write_text(enabled)
    assert ("apparmor" in [need.package for need in packages.engine_needs(switch)]) is named


@pytest.mark.parametrize(("value", "allowed"), [("no", False), ("NO", False), ("0", False), ("yes", True), ("", True)])
def test_demo_install_no_forbids_installing(value: str, allowed: bool) -> None:
    assert packages.may_install({"DEMO_INSTALL": value}) is allowed


def test_a_forbidden_installation_names_the_command_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_INSTALL", "no")
    said: list[str] = []
    with pytest.raises(MachineError) as caught:
        packages.install(("docker.io",), why="a Docker Engine", say=said.append)
    assert "docker.io" in str(caught.value)
    assert "install" in caught.value.hint
    assert said == []


def test_an_installation_is_announced_before_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in apt, first on PATH, notes what it is asked for; it knows no package until its lists are updated."""
    if os.geteuid() != 0:
        pytest.skip("only root installs packages")
    log = tmp_path / "log"
    stand_in(tmp_path, "apt-get", f'echo "$@" >> {log}; case "$*" in *update) touch {tmp_path}/updated;; esac')
    stand_in(
        tmp_path, "apt-cache", f"test -e {tmp_path}/updated && echo '  Candidate: 1.0' || echo '  Candidate: (none)'"
    )
    stand_in(tmp_path, "dpkg-deb", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said: list[str] = []
    packages.install(("docker.io", "iproute2"), why="a Docker Engine", say=said.append)
    assert said == ["installing for a Docker Engine: apt-get install -y --no-install-recommends docker.io iproute2"]
    update, install = log.read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends docker.io iproute2")


def test_a_failed_installation_updates_the_lists_once_and_reports_apts_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root installs packages")
    log = tmp_path / "log"
    stand_in(tmp_path, "apt-get", f'echo "$@" >> {log}; case "$*" in *update) ;; *) echo "E: 404" >&2; exit 100;; esac')
    stand_in(tmp_path, "apt-cache", "echo '  Candidate: 1.0'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MachineError, match="404"):
        packages.install(("docker.io",), why="a Docker Engine", say=lambda _: None)
    assert [line.split()[-1] for line in log.read_text().splitlines()] == ["docker.io", "update", "docker.io"]


def test_a_free_subnet_overlaps_no_network_in_use() -> None:
    subnets = list(ipaddress.IPv4Network("10.208.0.0/12").subnets(new_prefix=20))
    used = [ipaddress.IPv4Network("10.208.16.0/24"), ipaddress.IPv4Network("10.208.32.0/19")]
    assert engine.free_subnet(subnets, used, start=1) == ipaddress.IPv4Network("10.208.64.0/20")
    assert engine.free_subnet(subnets, used, start=255) == ipaddress.IPv4Network("10.223.240.0/20")
    with pytest.raises(MachineError, match="no free subnet"):
        engine.free_subnet(subnets, [ipaddress.IPv4Network("10.0.0.0/8")], start=0)


def test_interface_networks_are_read_from_the_listing_of_ip() -> None:
    listing = (
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n"
        "7: hci1e170809    inet 10.208.144.1/24 scope global hci1e170809\\       valid_lft forever\n"
    )
    assert engine.interface_networks(listing) == [
        ("lo", ipaddress.IPv4Network("127.0.0.0/8")),
        ("hci1e170809", ipaddress.IPv4Network("10.208.144.0/24")),
    ]


def test_two_state_folders_share_no_bridge_cgroup_or_socket() -> None:
    demo, tests = engine.Layout(Path("/src/.demo")), engine.Layout(Path("/src/.cache/test-services"))
    assert demo.bridge != tests.bridge
    assert demo.cgroup != tests.cgroup
    assert demo.host != tests.host
    assert len(demo.bridge) < 16  # IFNAMSIZ


def test_a_long_path_moves_the_sockets_so_that_they_fit() -> None:
    deep = engine.Layout(Path("/home") / ("x" * 90) / ".demo")
    assert len(deep.host.removeprefix("unix://")) < 60
    assert engine.Layout(Path("/src/.demo")).runtime == Path("/src/.demo/engine/run")


def test_docker_host_alone_is_tried_where_it_is_set(tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": "unix:///nowhere.sock", "HOME": str(tmp_path)}
    assert engine_api.candidates(environment) == ("unix:///nowhere.sock",)


def test_a_docker_host_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(MachineError, match="no engine answers at DOCKER_HOST"):
        engine.reachable()


def test_a_daemon_is_known_by_its_start_time_too(tmp_path: Path) -> None:
    """Another process may have the pid by now; ours is neither alive nor stopped then."""
    sleeper = daemon.start(["sleep", "60"], log=tmp_path / "log", environment={"PATH": os.environ["PATH"]})
    try:
        impostor = daemon.Daemon(sleeper.pid, "1")
        assert daemon.alive(sleeper)
        assert not daemon.alive(impostor)
        daemon.stop(impostor)
        assert daemon.alive(sleeper)
    finally:
        daemon.stop(sleeper)
    assert not daemon.alive(sleeper)


def test_a_daemon_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    failing = daemon.start(
        ["sh", "-c", "echo port taken >&2; exit 1"], log=log, environment={"PATH": os.environ["PATH"]}
    )
    with pytest.raises(MachineError, match="port taken"):
        daemon.wait_until(lambda: False, failing, name="thing", log=log, seconds=10)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"engine": {"host": 1}, "plain": null, "tls": null}', "not json"])
def test_an_unreadable_state_file_counts_as_nothing_started(tmp_path: Path, content: str) -> None:
    (tmp_path / "services.json").write_text(content)
    assert services.read(tmp_path) == services.State()


def test_the_state_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """The next process finds by it what to use and what to stop."""
    state = services.State(
        engine=engine.Engine("unix:///e.sock", "28", daemon.Daemon(4, "99")),
        base_image="x/y:1",
        plain=registry.Registry("127.0.0.1:5", daemon.Daemon(6, "7")),
        tls=registry.Registry("127.0.0.1:6", container="abc", engine="unix:///e.sock", password="p"),
    )
    services.write(tmp_path, state)
    assert services.read(tmp_path) == state
    assert (tmp_path / "services.json").stat().st_mode & 0o077 == 0


def test_the_base_image_is_the_same_bytes_each_time() -> None:
    first = base_image.image_archive(b"\x7fELF", ["sh", "httpd", "busybox"], "x/y:1")
    assert first == base_image.image_archive(b"\x7fELF", ["httpd", "busybox", "sh"], "x/y:1")
    with tarfile.open(fileobj=BytesIO(first)) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or BytesIO())
        with tarfile.open(fileobj=archive.extractfile("layer.tar")) as layer:
            links = {entry.name: entry.linkname for entry in layer if entry.issym()}
    assert manifest[0]["RepoTags"] == ["x/y:1"]
    assert links == {"bin/sh": "busybox", "bin/httpd": "busybox"}


def test_a_program_that_wants_a_loader_is_not_static(tmp_path: Path) -> None:
    dynamic, static = tmp_path / "dynamic", tmp_path / "static"
    dynamic.write_bytes(b"\x7fELF" + b"\0" * 500 + b"/lib64/ld-linux-x86-64.so.2\0")
    static.write_bytes(b"\x7fELF" + b"\0" * 500)
    assert base_image.is_static(static)
    assert not base_image.is_static(dynamic)


def stand_in(folder: Path, name: str, body: str) -> None:
    """A shell script in the place of a program."""
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)


def test_a_socket_that_this_user_may_not_use_is_told_from_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent, present = f"unix://{tmp_path}/none.sock", tmp_path / "there.sock"
    present.touch()
    assert not engine_api.is_closed(absent)
    assert not engine_api.is_closed(f"unix://{present}")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may use any
    assert engine_api.is_closed(f"unix://{present}")
    assert not engine_api.is_closed(absent)


def test_a_package_is_unpacked_once_for_all_and_a_failed_download_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log, into, said = tmp_path / "log", tmp_path / "packages", list[str]()
    stand_in(tmp_path, "apt-get", f'echo "$@" >> {log}; test -e {tmp_path}/online || exit 100; echo > one.deb')
    stand_in(tmp_path, "apt-cache", "echo '  Candidate: 1.0'")
    stand_in(tmp_path, "dpkg-deb", "mkdir -p usr/bin && echo > usr/bin/tool")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MachineError, match="download"):
        packages.unpack("tool-static", "tool", install=True, say=said.append, into=into)
    assert list(into.iterdir()) == []
    (tmp_path / "online").touch()
    found = packages.unpack("tool-static", "tool", install=True, say=said.append, into=into)
    assert found == into / "tool-static/usr/bin/tool"
    asked = log.read_text()
    assert packages.unpack("tool-static", "tool", install=False, say=said.append, into=into) == found
    assert log.read_text() == asked
    assert sorted(into.iterdir()) == [into / "tool-static"]
