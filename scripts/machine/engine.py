"""A Docker Engine: the one that is reachable, else a private one that leaves no trace on the machine.

The private engine has its own socket, data root, exec root, bridge and cgroup, writes no firewall rule and no
sysctl, and lives in a PID and mount namespace: ending its first process ends every container and unmounts
everything, also after a SIGKILL. So several can run side by side, and none has to be looked for by name.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.machine import daemon, engine_api, packages
from scripts.machine.daemon import Daemon
from scripts.machine.errors import MachineError

_LONGEST_SOCKET_PATH = 100  # sockaddr_un holds 108 bytes
_SUBNETS = list(ipaddress.IPv4Network("10.208.0.0/12").subnets(new_prefix=20))  # one for each private engine


@dataclass(frozen=True, slots=True)
class Engine:
    """Where an engine listens; ``process`` is set when it is a private one of ours."""

    host: str
    version: str
    process: Daemon | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a private engine keeps its things: below the state folder (its sockets elsewhere if that path is long)."""

    state: Path

    @property
    def token(self) -> str:
        """Eight characters that belong to this state folder alone."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def folder(self) -> Path:
        return self.state / "engine"

    @property
    def runtime(self) -> Path:
        """The folder of sockets."""
        inside = self.folder / "run"
        longest = inside / "exec/containerd/containerd.sock.ttrpc"
        return inside if len(str(longest)) < _LONGEST_SOCKET_PATH else Path(f"/run/hybrid-ci-{self.token}")

    @property
    def log(self) -> Path:
        return self.folder / "engine.log"

    @property
    def host(self) -> str:
        return f"unix://{self.runtime / 'docker.sock'}"

    @property
    def bridge(self) -> str:
        return f"hci{self.token}"

    @property
    def cgroup(self) -> str:
        return f"/hybrid-ci-{self.token}"


def reachable() -> Engine | None:
    """An engine that is there already. A DOCKER_HOST that does not answer is an error: nothing else is tried."""
    for host in engine_api.candidates():
        answer = engine_api.version(host)
        if answer is not None:
            return Engine(host, str(answer.get("Version", "unknown")))
        if os.environ.get("DOCKER_HOST"):
            raise MachineError(
                f"no engine answers at DOCKER_HOST={host}", hint="start it, or unset DOCKER_HOST to use a private one"
            )
    return None


def ensure(state: Path, *, install: bool, say: packages.Say) -> Engine:
    """A reachable engine, else a private one (its packages installed when ``install``)."""
    found = reachable()
    if found:
        say(f"using the Docker Engine {found.version} at {found.host}")
        return found
    needed = packages.missing(packages.engine_needs())
    if os.geteuid() != 0 or platform.system() != "Linux":
        raise MachineError(f"{_unreachable()}, and a private one needs root on Linux", hint=_advice())
    if needed and not install:
        raise MachineError(
            "no Docker Engine is reachable, and a private one needs " + ", ".join(needed),
            hint="install with: apt-get install -y --no-install-recommends " + " ".join(needed),
        )
    packages.install(needed, why="a Docker Engine", say=say)
    if needed and Path("/run/systemd/system").is_dir() and (started := reachable()):
        say(f"the package has started the Docker Engine {started.version} at {started.host}: using it")
        return started
    return start(Layout(state), say=say)


def start(layout: Layout, *, say: packages.Say) -> Engine:
    """Start the private engine and wait until it answers; raises MachineError with its log's end."""
    clean(layout)
    for folder in (layout.folder / "data", layout.runtime / "exec"):
        folder.mkdir(parents=True, exist_ok=True)
    layout.runtime.chmod(0o700)
    (layout.folder / "engine.json").write_text("{}\n")  # so that /etc/docker/daemon.json is not ours to obey
    subnet = _create_bridge(layout.bridge)
    process = daemon.start(_command(layout, subnet), log=layout.log, environment=_environment())
    try:
        daemon.wait_until(
            lambda: engine_api.version(layout.host, timeout=1.0) is not None, process, name="dockerd", log=layout.log
        )
    except MachineError as error:
        stop(layout, process)
        error.hint = (
            "a private engine needs a machine that allows namespaces, cgroups and network bridges; " + _advice()
        )
        raise
    answer = engine_api.version(layout.host) or {}
    engine = Engine(layout.host, str(answer.get("Version", "unknown")), process)
    say(f"started a private Docker Engine {engine.version} (pid {process.pid}) at {layout.host}")
    return engine


def stop(layout: Layout, process: Daemon) -> None:
    """End the private engine and everything that it started."""
    daemon.stop(process, grace=15.0, signal_pid=daemon.first_child)  # unshare itself ignores SIGTERM
    clean(layout)


def clean(layout: Layout) -> None:
    """Remove what an ended or killed engine leaves behind: runtime files, bridge, empty cgroups."""
    shutil.rmtree(layout.runtime, ignore_errors=True)
    if Path("/sys/class/net", layout.bridge).exists():
        _delete_bridges(layout.bridge)
    for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        _remove_cgroups(root / layout.cgroup.lstrip("/"))


def _command(layout: Layout, subnet: ipaddress.IPv4Network) -> list[str]:
    pool = list(subnet.subnets())[1]  # for networks that users of the engine create; its bridge is in the lower half
    init = packages.which("docker-init")  # reaps what containers leave, and hands our SIGTERM on
    return [
        *("unshare", "--pid", "--mount-proc", "--fork", "--kill-child"),
        *((init, "--") if init else ()),
        *("dockerd", "--config-file", str(layout.folder / "engine.json"), "--host", layout.host),
        *("--data-root", str(layout.folder / "data"), "--exec-root", str(layout.runtime / "exec")),
        *("--pidfile", str(layout.runtime / "engine.pid"), "--storage-driver=vfs", "--shutdown-timeout=2"),
        *(f"--bridge={layout.bridge}", f"--cgroup-parent={layout.cgroup}", "--exec-opt=native.cgroupdriver=cgroupfs"),
        f"--default-address-pool=base={pool},size=26",
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
    ]


def _environment() -> dict[str, str]:
    network = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    kept = {name: os.environ[name] for name in (*network, "SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ}
    return {"PATH": packages.search_path(), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **kept}


def _create_bridge(name: str) -> ipaddress.IPv4Network:
    """Make the bridge and give it the first /24 of a free subnet, which claims that subnet for this engine."""
    with _machine_wide_lock():
        used = [network for _, network in interface_networks(_ip("-4", "-o", "address", "show"))]
        subnet = free_subnet(_SUBNETS, used, start=int(name[-2:], 16))
        _ip("link", "add", name, "type", "bridge")
        _ip("address", "add", f"{subnet[1]}/24", "dev", name)
        _ip("link", "set", name, "up")
        return subnet


def _delete_bridges(name: str) -> None:
    """Delete our bridge, and those of the networks that were made in its engine (their addresses are in its subnet)."""
    addresses = interface_networks(_ip("-4", "-o", "address", "show"))
    for network in [network for interface, network in addresses if interface == name]:
        subnet = network.supernet(new_prefix=20)
        for interface, other in addresses:
            if interface.startswith("br-") and other.subnet_of(subnet):
                _ip("link", "delete", interface)
    _ip("link", "delete", name)


def interface_networks(listing: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """(interface, network) of each line of ``ip -4 -o address show``."""
    words = (line.split() for line in listing.splitlines())
    return [(line[1], ipaddress.IPv4Network(line[3], strict=False)) for line in words if line[2:3] == ["inet"]]


def free_subnet(
    subnets: list[ipaddress.IPv4Network], used: list[ipaddress.IPv4Network], *, start: int
) -> ipaddress.IPv4Network:
    """The first subnet from position ``start`` on (round and round) that overlaps no used one."""
    for offset in range(len(subnets)):
        candidate = subnets[(start + offset) % len(subnets)]
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise MachineError("no free subnet for the engine's bridge in 10.208.0.0/12")


@contextlib.contextmanager
def _machine_wide_lock() -> Iterator[None]:
    descriptor = os.open("/run/hybrid-ci-bridge.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ip(*arguments: str) -> str:
    answer = subprocess.run([packages.which("ip") or "ip", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise MachineError(
            f"ip {' '.join(arguments)} failed: {answer.stderr.strip()}",
            hint="a private engine needs the right to create a network bridge (CAP_NET_ADMIN)",
        )
    return answer.stdout


def _remove_cgroups(root: Path) -> None:
    if root.is_dir():
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _unreachable() -> str:
    closed = [host for host in engine_api.candidates() if engine_api.is_closed(host)]
    return f"this user may not talk to the engine at {closed[0]}" if closed else "no Docker Engine is reachable"


def _advice() -> str:
    if packages.has_apt():
        return (
            "either run this as root (sudo make …), or install an engine and join its group: "
            "sudo apt-get install -y docker.io && sudo usermod -aG docker $USER, then log in again"
        )
    return "install and start Docker (https://docs.docker.com/engine/install/), then run this again"
