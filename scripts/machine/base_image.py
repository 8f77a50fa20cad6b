"""A base image that needs no registry: a static busybox in an otherwise empty file system, loaded into the engine."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from scripts.machine import engine_api, packages
from scripts.machine.errors import MachineError

NAME = "hybrid-ci.local/busybox:1"
PULLED = "busybox:1.36"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_CREATED = "2024-01-01T00:00:00Z"  # fixed, so that the same busybox is the same image on every machine
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"


def find_busybox(*, install: bool, say: packages.Say) -> Path:
    """A static busybox: the machine's, else the one of Debian's package, unpacked."""
    found = packages.which("busybox")
    if found and is_static(Path(found)):
        return Path(found)
    return packages.unpack("busybox-static", "busybox", install=install, say=say)


def is_static(program: Path) -> bool:
    """An ELF file that asks for no dynamic loader (no PT_INTERP, so no ``ld-…`` path near its start)."""
    head = program.read_bytes()[:4096]
    return head.startswith(b"\x7fELF") and b"/ld-" not in head


def ensure(host: str, *, install: bool, say: packages.Say) -> str:
    """The base image's name, once it is in the engine: made from a static busybox, else pulled if that may be."""
    try:
        busybox = find_busybox(install=install, say=say)
    except MachineError as error:
        if not install or not packages.may_install():
            raise
        say(f"pulling the image {PULLED} into the engine, since there is no package of a static busybox here")
        try:
            engine_api.pull(host, PULLED)
        except MachineError as second:
            raise MachineError(f"{error.message}, and {second}", hint=error.hint) from second
        return PULLED
    say(f"made a base image from {busybox}, so that nothing has to be pulled: {NAME}")
    return load(host, busybox)


def load(host: str, busybox: Path, name: str = NAME) -> str:
    """Put the base image into the engine at ``host`` and return its name. The same bytes give the same image id."""
    applets = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
    archive = image_archive(busybox.read_bytes(), applets, name)
    engine_api.request(
        host, "POST", "/images/load?quiet=1", body=archive, headers={"Content-Type": "application/x-tar"}
    )
    return name


def image_archive(busybox: bytes, applets: list[str], name: str) -> bytes:
    """A ``docker load`` archive of one layer."""
    layer = _layer(busybox, applets)
    configuration = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": _CREATED,
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": _CREATED, "created_by": "busybox-static"}],
    }
    config = json.dumps(configuration, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    return _tar([_file("layer.tar", layer), _file(config_name, config), _file("manifest.json", manifest)])


def _layer(busybox: bytes, applets: list[str]) -> bytes:
    folders = [_folder("bin"), _folder("etc"), _folder("root", 0o700), _folder("tmp", 0o1777)]
    links = [_link(f"bin/{applet}", "busybox") for applet in sorted({*applets} - {"busybox"})]
    return _tar([*folders, _file("bin/busybox", busybox, 0o755), *links, _file("etc/passwd", _PASSWD)])


_Entry = tuple[tarfile.TarInfo, bytes]


def _tar(entries: list[_Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _file(path: str, content: bytes, mode: int = 0o644) -> _Entry:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    return entry, content


def _folder(path: str, mode: int = 0o755) -> _Entry:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry, b""


def _link(path: str, target: str) -> _Entry:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    return entry, b""
