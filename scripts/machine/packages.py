"""Debian packages: which are missing, installing them (as root, announced), or unpacking one without installing it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.machine.errors import MachineError

Say = Callable[[str], None]
# Shared by everybody who works in this checkout: what `make demo` has downloaded, `make test` needs no network for.
UNPACKED = Path(__file__).resolve().parent.parent.parent / ".cache" / "packages"
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # daemons live here, also where a person's PATH lacks it


@dataclass(frozen=True, slots=True)
class Need:
    """A program, and the Debian or Ubuntu package that brings it."""

    program: str
    package: str


ENGINE = (Need("dockerd", "docker.io"), Need("ip", "iproute2"), Need("unshare", "util-linux"))
TEST_TOOLS = (
    Need("openssl", "openssl"),
    Need("htpasswd", "apache2-utils"),
    Need("skopeo", "skopeo"),
    Need("ssh-keygen", "openssh-client"),
    Need("gpg", "gnupg"),
    Need("rsync", "rsync"),
)
GIT = (Need("git", "git"),)


def test_tools() -> tuple[Need, ...]:
    """What the tests need besides an engine and registries; Debian 13 keeps the engine's client in its own package."""
    client = "docker-cli" if has_apt() and _is_known("docker-cli") else "docker.io"
    return (*TEST_TOOLS, Need("docker", client))


def search_path() -> str:
    """PATH, and the folders of system daemons after it."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


def which(program: str) -> str | None:
    """Where a program is, looking into the sbin folders too."""
    return shutil.which(program, path=search_path())


def missing(needs: Iterable[Need], find: Callable[[str], str | None] = which) -> tuple[str, ...]:
    """The packages of those programs that are not there, each once, in order."""
    return tuple(dict.fromkeys(need.package for need in needs if find(need.program) is None))


def engine_needs(apparmor: Path = Path("/sys/module/apparmor/parameters/enabled")) -> tuple[Need, ...]:
    """What a private engine needs: where the kernel enforces AppArmor, the engine refuses to run without its parser."""
    enforced = apparmor.is_file() and apparmor.read_text().strip() == "Y"
    return (*ENGINE, Need("apparmor_parser", "apparmor")) if enforced else ENGINE


def may_install(environment: Mapping[str, str] = os.environ) -> bool:
    """``DEMO_INSTALL=no`` forbids every installation and download of packages."""
    return environment.get("DEMO_INSTALL", "yes").strip().lower() not in {"no", "0", "false"}


def has_apt() -> bool:
    """Debian, Ubuntu, or something like them."""
    return which("apt-get") is not None and which("dpkg-deb") is not None


def install(packages: Sequence[str], *, why: str, say: Say) -> None:
    """Install packages with apt, after saying so. Raises MachineError with the exact command where it may not."""
    if not packages:
        return
    command = "apt-get install -y --no-install-recommends " + " ".join(packages)
    wanted = f"missing for {why}: {', '.join(packages)}"
    if not has_apt():
        raise MachineError(f"{wanted} (and there is no apt here)", hint=_other_systems())
    if os.geteuid() != 0:
        raise MachineError(wanted, hint=f"install with: sudo {command}")
    if not may_install():
        raise MachineError(f"{wanted} (and DEMO_INSTALL=no forbids installing)", hint=f"install with: {command}")
    say(f"installing for {why}: {command}")
    _apt(("install", "-y", "--no-install-recommends", *packages), packages)


def unpack(package: str, program: str, *, install: bool, say: Say, into: Path = UNPACKED) -> Path:
    """A program of a package without installing it: downloaded by apt, which checks it, and unpacked below ``into``.

    Needs no root and changes nothing on the machine; several may do it at once. Raises MachineError where that is
    impossible.
    """
    target = into / package
    found = _find(target, program)
    if found:
        return found
    advice = f"install with: sudo apt-get install -y {package}" if has_apt() else _other_systems()
    if not has_apt():
        raise MachineError(f"{program} is missing, and there is no apt here", hint=advice)
    if not install or not may_install():
        forbidden = ", and DEMO_INSTALL=no forbids downloading it" if install else ""
        raise MachineError(f"{program} is missing{forbidden}", hint=advice)
    say(f"downloading the package {package} into {target} (unpacked there, not installed)")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=f".{package}-") as scratch:
        folder = Path(scratch, "whole")
        folder.mkdir()
        _apt(("download", package), (package,), directory=folder)
        for archive in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=folder, check=True, capture_output=True)
            archive.unlink()
        with contextlib.suppress(OSError):  # somebody else was faster
            folder.rename(target)
    found = _find(target, program)
    if found is None:
        raise MachineError(f"the package {package} holds no {program}", hint=advice)
    return found


def _find(root: Path, program: str) -> Path | None:
    folders = ("usr/bin", "bin", "usr/sbin", "sbin")
    return next((root / folder / program for folder in folders if (root / folder / program).is_file()), None)


def _apt(arguments: Sequence[str], packages: Sequence[str], directory: Path | None = None) -> None:
    """Run apt-get; where its lists are empty or out of date, update them once and run it again."""
    if not all(_is_known(package) for package in packages):
        _update()
    elif _run_apt(arguments, directory).returncode == 0:
        return
    else:
        _update()
    again = _run_apt(arguments, directory)
    if again.returncode != 0:
        raise MachineError(
            f"apt-get {' '.join(arguments)} failed",
            log=again.stderr.strip(),
            hint="on Ubuntu the component 'universe' must be enabled" if platform.system() == "Linux" else "",
        )


def _is_known(package: str) -> bool:
    answer = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate:" in answer.stdout and "Candidate: (none)" not in answer.stdout


def _update() -> None:
    if os.geteuid() == 0:
        _run_apt(("update",), None)


def _run_apt(arguments: Sequence[str], directory: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": search_path()}
    lock = ("-o", "DPkg::Lock::Timeout=120")  # another apt may be at work on a machine that has just booted
    return subprocess.run(
        ["apt-get", "-q", *lock, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _other_systems() -> str:
    return "install and start Docker (https://docs.docker.com/engine/install/), then run this again"
