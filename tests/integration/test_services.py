"""The services themselves: what the other engine tests stand on."""

import json
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest

from scripts import services
from scripts.machine import engine_api
from tests.servers import PlainRegistry, TlsRegistry
from tests.servers.skopeo import skopeo

pytestmark = pytest.mark.engine


def test_the_engine_holds_the_base_image_and_runs_it(engine_host: str, base_image: str) -> None:
    headers = {"Content-Type": "application/json"}
    spec = json.dumps({"Image": base_image, "Cmd": ["/bin/sh", "-c", "exit 3"], "HostConfig": {"NetworkMode": "none"}})
    made = json.loads(
        engine_api.request(engine_host, "POST", "/containers/create", body=spec.encode(), headers=headers)
    )
    container = f"/containers/{made['Id']}"
    try:
        engine_api.request(engine_host, "POST", f"{container}/start")
        assert json.loads(engine_api.request(engine_host, "POST", f"{container}/wait"))["StatusCode"] == 3
    finally:
        engine_api.request(engine_host, "DELETE", f"{container}?force=1")


def test_the_plain_registry_answers(registry: PlainRegistry) -> None:
    with urllib.request.urlopen(f"http://{registry}/v2/", timeout=5) as answer:
        assert answer.status == 200


def test_the_tls_registry_wants_its_password_and_its_authority(tls_registry: TlsRegistry) -> None:
    known = f"--cert-dir={tls_registry.certificates}"
    listing = ("--insecure-policy", "list-tags", f"docker://{tls_registry}/nothing/here")
    good = refused(skopeo(tls_registry, *listing, known))
    assert "NAME_UNKNOWN" in good or "repository name not known" in good or "404" in good
    assert "authentication required" in refused(skopeo(tls_registry, *listing, known, login=False))
    assert "certificate" in refused(skopeo(tls_registry, *listing))


def test_the_certificate_is_valid_by_name_and_by_address(tls_registry: TlsRegistry) -> None:
    port = int(tls_registry.host.partition(":")[2])
    context = ssl.create_default_context(cafile=tls_registry.ca)
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.version() in {"TLSv1.2", "TLSv1.3"}


def refused(done: subprocess.CompletedProcess[bytes]) -> str:
    """What it says on stderr; it is expected to fail."""
    assert done.returncode != 0
    return done.stderr.decode()


def test_an_engine_that_was_there_before_keeps_no_image_of_ours(
    engine_host: str, base_image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine_host)
    with services.lease(tmp_path, say=lambda line: None) as running:
        assert running.engine.process is None
        mine, other = f"{running.plain.host}/acme/hello", f"{running.plain.host}0/acme/hello"
        for name in (mine, other):
            engine_api.request(engine_host, "POST", f"/images/{base_image}/tag?repo={name}&tag=1")
    try:
        assert not engine_api.has_image(engine_host, f"{mine}:1")
        assert engine_api.has_image(engine_host, f"{other}:1")
        assert engine_api.has_image(engine_host, base_image)
    finally:
        engine_api.request(engine_host, "DELETE", f"/images/{other}:1")
