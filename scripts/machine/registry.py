"""Private registries on loopback: plain, or with TLS and a password, each on a port of its own choice.

Debian's docker-registry, as a process; where there is no such package, the registry's image in the engine.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath

from scripts.machine import daemon, engine_api, packages
from scripts.machine.daemon import Daemon
from scripts.machine.errors import MachineError

_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_USER = "ci"
_CONFIGURATION = "config.json"  # JSON is YAML
_IN_CONTAINER = PurePosixPath("/state")
_WITH_TLS = " with TLS and a password"
IMAGE = "registry:2"


@dataclass(frozen=True, slots=True)
class Registry:
    """``host`` is 127.0.0.1:port. With TLS: the CA's file, a folder that holds it as ``ca.crt``, and the login."""

    host: str
    process: Daemon | None = None
    container: str = ""  # where it runs in an engine instead: the container's id, and that engine
    engine: str = ""
    ca_file: str = ""
    certificates: str = ""
    username: str = ""
    password: str = ""


def alive(registry: Registry) -> bool:
    """It runs: as the process that was started, or as a container that answers."""
    return daemon.alive(registry.process) if registry.process else answers(registry)


def stop(registry: Registry) -> None:
    """End its process, or remove its container."""
    if registry.process:
        daemon.stop(registry.process)
    else:
        with contextlib.suppress(MachineError, OSError):  # it may be gone, and so may its engine
            engine_api.request(registry.engine, "DELETE", f"/containers/{registry.container}?force=1")


def program(*, install: bool, say: packages.Say) -> str:
    """The docker-registry program: the installed one, else Debian's package, unpacked."""
    found = packages.which("docker-registry")
    if found:
        return found
    return str(packages.unpack("docker-registry", "docker-registry", install=install, say=say))


def start(executable: str, folder: Path, *, tls: bool, wanted: str, say: packages.Say) -> Registry:
    """Start a registry with its blobs below ``folder``; ``wanted`` is the address to take again where it is free."""
    password = _prepare(folder, tls=tls)
    for address in dict.fromkeys((wanted or "127.0.0.1:0", "127.0.0.1:0")):
        configuration = _write_configuration(folder, address, seen_as=folder, tls=tls)
        try:
            host, process = _launch(executable, configuration, folder / "registry.log")
        except MachineError as error:
            if "address already in use" not in error.log:
                raise
            continue
        say(f"started a private registry{_WITH_TLS if tls else ''} (pid {process.pid}) at {host}")
        return _with_login(Registry(host, process), folder, password)
    raise MachineError("no free port for the registry on 127.0.0.1")


def start_in_engine(engine: str, folder: Path, *, tls: bool, wanted: str, say: packages.Say) -> Registry:
    """The same as a container of the registry's image, pulled where it is not there (which is said before)."""
    if not engine_api.has_image(engine, IMAGE):
        if not packages.may_install():
            raise MachineError(f"DEMO_INSTALL=no forbids pulling {IMAGE}", hint=f"pull it: docker pull {IMAGE}")
        say(f"pulling the image {IMAGE} into the engine, since there is no package of a registry here")
        engine_api.pull(engine, IMAGE)
    password = _prepare(folder, tls=tls)
    _write_configuration(folder, "0.0.0.0:5000", seen_as=_IN_CONTAINER, tls=tls)
    for port in dict.fromkeys((wanted.rpartition(":")[2], "")):
        container = engine_api.create_container(engine, _container(folder, port))
        try:
            engine_api.request(engine, "POST", f"/containers/{container}/start")
            host = engine_api.published(engine, container, "5000/tcp")
            registry = _with_login(Registry(host, container=container, engine=engine), folder, password)
            _wait_for_answer(registry)
        except MachineError:
            engine_api.request(engine, "DELETE", f"/containers/{container}?force=1")
            if not port:
                raise
            continue
        say(f"started a private registry{_WITH_TLS if tls else ''} (container {container[:12]}) at {host}")
        return registry
    raise MachineError("no free port for the registry on 127.0.0.1")


def answers(registry: Registry) -> bool:
    """The registry answers ``GET /v2/`` (401 is an answer)."""
    scheme = "https" if registry.ca_file else "http"
    context = ssl.create_default_context(cafile=registry.ca_file) if registry.ca_file else None
    with contextlib.suppress(OSError):
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if context:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(f"{scheme}://{registry.host}/v2/", timeout=3):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 401
    return False


def _prepare(folder: Path, *, tls: bool) -> str:
    """Make the folder and, for TLS, authority, certificate and login. The password, empty without TLS."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not tls:
        return ""
    _make_certificates(folder)
    return _make_login(folder)


def _with_login(registry: Registry, folder: Path, password: str) -> Registry:
    if not password:
        return registry
    certificates = folder / "certificates"
    return replace(
        registry,
        ca_file=str(certificates / "ca.crt"),
        certificates=str(certificates),
        username=_USER,
        password=password,
    )


def _container(folder: Path, port: str) -> dict[str, object]:
    return {
        "Image": IMAGE,
        "Entrypoint": ["registry", "serve", str(_IN_CONTAINER / _CONFIGURATION)],
        "Cmd": [],
        "ExposedPorts": {"5000/tcp": {}},
        "HostConfig": {
            "Binds": [f"{folder}:{_IN_CONTAINER}"],
            "PortBindings": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]},
        },
    }


def _wait_for_answer(registry: Registry, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not answers(registry):
        if time.monotonic() > deadline:
            raise MachineError(f"the registry at {registry.host} does not answer after {seconds:.0f} s")
        time.sleep(0.1)


def _launch(executable: str, configuration: Path, log: Path) -> tuple[str, Daemon]:
    environment = {"PATH": packages.search_path(), "LC_ALL": "C.UTF-8"}
    process = daemon.start([executable, "serve", str(configuration)], log=log, environment=environment)
    try:
        daemon.wait_until(lambda: bool(_address(log)), process, name="docker-registry", log=log)
    except MachineError:
        daemon.stop(process)
        raise
    return _address(log), process


def _address(log: Path) -> str:
    """The address that the registry says it listens on: it was given port 0, so nobody can take it in between."""
    match = _LISTENING.search(log.read_text(errors="replace"))
    return match.group(1) if match else ""


def _write_configuration(folder: Path, address: str, *, seen_as: PurePath, tls: bool) -> Path:
    configuration = folder / _CONFIGURATION
    configuration.write_text(json.dumps(_configuration(seen_as, address, tls=tls), indent=1))
    configuration.chmod(0o600)
    return configuration


def _configuration(folder: PurePath, address: str, *, tls: bool) -> dict[str, object]:
    """https://distribution.github.io/distribution/about/configuration/"""
    http: dict[str, object] = {"addr": address, "secret": secrets.token_hex(16)}
    answer: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": http,
    }
    if tls:
        http["tls"] = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key")}
        answer["auth"] = {"htpasswd": {"realm": "hybrid-ci", "path": str(folder / "htpasswd")}}
    return answer


def _make_login(folder: Path) -> str:
    """A password made on the spot; the registry's file holds its bcrypt hash, the only kind that it accepts."""
    password = secrets.token_urlsafe(18)
    answer = _run([packages.which("htpasswd") or "htpasswd", "-niB", "-C", "5", _USER], password)
    (folder / "htpasswd").write_text(answer)
    return password


def _make_certificates(folder: Path) -> None:
    """An authority of our own, and a certificate of it for loopback."""
    authority = folder / "certificates"
    authority.mkdir(exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca = ("-subj", "/CN=hybrid-ci test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *key, *ca, "-days", "30", "-keyout", f"{folder}/ca.key", "-out", f"{authority}/ca.crt")
    server = ("-subj", "/CN=127.0.0.1", "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.csr")
    _openssl("req", *key, *server)
    extensions = folder / "server.ext"
    extensions.write_text(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    signing = ("-CA", f"{authority}/ca.crt", "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "30")
    files = ("-in", f"{folder}/server.csr", "-out", f"{folder}/server.crt", "-extfile", str(extensions))
    _openssl("x509", "-req", *files, *signing)


def _openssl(*arguments: str) -> None:
    _run(["openssl", *arguments], "")


def _run(argv: list[str], stdin: str) -> str:
    answer = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise MachineError(f"{' '.join(argv[:2])} failed", log=answer.stderr.strip())
    return answer.stdout
