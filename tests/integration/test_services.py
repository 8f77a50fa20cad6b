"""The services themselves: what the other engine tests stand on."""

import json
import os
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest

from scripts.machine import engine_api
from tests.servers import PlainRegistry, TlsRegistry

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
    policy = ["skopeo", "--insecure-policy", "list-tags", f"docker://{tls_registry}/nothing/here"]
    login = f"{tls_registry.username}:{tls_registry.password}"
    good = skopeo([*policy, "--cert-dir", str(tls_registry.certificates), "--creds", login])
    assert "NAME_UNKNOWN" in good or "repository name not known" in good or "404" in good
    assert "authentication required" in skopeo([*policy, "--cert-dir", str(tls_registry.certificates), "--no-creds"])
    assert "certificate" in skopeo([*policy, "--creds", login])


def test_the_certificate_is_valid_by_name_and_by_address(tls_registry: TlsRegistry) -> None:
    port = int(tls_registry.host.partition(":")[2])
    context = ssl.create_default_context(cafile=tls_registry.ca)
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.version() in {"TLSv1.2", "TLSv1.3"}


def skopeo(argv: list[str]) -> str:
    """What skopeo says on stderr; it is expected to fail."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(Path.home())}
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=30)
    assert answer.returncode != 0
    return answer.stderr
