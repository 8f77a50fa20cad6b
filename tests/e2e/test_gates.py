"""Every kind of gate, as a policy file writes it: real git, the real command, a registry and servers on loopback."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.core.change import Action, Change, Position
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import CommitId
from orchestrator.core.trailers import trailers
from orchestrator.images.artifacts import attach_document
from orchestrator.images.registry import HttpRegistry
from orchestrator.reports.claims import RECORD_TYPE, ImageClaim
from orchestrator.reports.records import TestRecord
from tests.e2e.promotions import Estate, repinned
from tests.servers.registry_scripted import Reply, ScriptedRegistry, scripted_registry
from tests.servers.registry_storing import StoringRegistry

pytestmark = pytest.mark.timeout(110)

OCI = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux"}'
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)

# What the policy asks for; each test changes one of these lines.
GATES = {
    "soak": "soak: {duration: 1h}",
    "approvals": "approvals: {count: 1}",
    "image-exists": "image-exists: {platforms: [linux/amd64]}",
    "allowed-registry": 'allowed-registry: ["HOST/acme/**"]',
    "tests": "tests: {names: [unit]}",
    "budget": 'name: budget, http: {url: "http://HOST/budget", pointer: /budget/ok, equals: true, token: SLO_TOKEN}',
    "checker": "name: checker, command: {run: [checker, --strict], environment: [REGION]}",
}
CHECKER = """\
#!{python}
import json, os, sys
asked = json.load(sys.stdin)
assert asked["schema"] == "hybrid-ci.gate/v1" and sys.argv[1:] == ["--strict"] and "SLO_TOKEN" not in os.environ
reason = asked["environment"] + " in " + os.environ["REGION"]
print(json.dumps({{"verdict": "pass", "reason": reason}}))
"""


@dataclass
class Place:
    """The estate, and the registry that it gets its image from."""

    estate: Estate
    server: ScriptedRegistry
    image: PinnedImage

    def policy(self, freezes: str = "", **gates: str) -> None:
        """The rules, with some of the gates in other words."""
        asked = GATES | {name.replace("_", "-"): line for name, line in gates.items()}
        lines = [f"      - {{{line}}}" for line in asked.values()]
        text = "\n".join(
            [
                "version: 1",
                "environments:",
                '  dev: {paths: ["apps/{application}/dev"]}',
                "  staging:",
                '    paths: ["apps/{application}/staging"]',
                "    after: [dev]",
                f"    freezes: [{freezes}]",
                "    gates:",
                *lines,
            ]
        )
        self.estate.write({".hybrid-ci/environments.yaml": text.replace("HOST", self.server.host) + "\n"})

    def verdicts(self, *arguments: str, code: int = 0) -> dict[str, tuple[str, str]]:
        """What each gate says of the promotion, and why."""
        wanted = ("--from", "dev", "--to", "staging", "--application", "shop", "--output", "json")
        done = self.estate.promote(*wanted, *arguments)
        assert done.returncode == code, done.stderr
        (one,) = json.loads(done.stdout)["environments"]
        return {each["gate"]: (each["verdict"], each["reason"]) for each in one["verdicts"]}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Dev runs an image that was tested, for a long time; staging runs none yet. Everybody asked says yes."""
    with scripted_registry() as server:
        StoringRegistry(server)
        image = _published(server)
        server.on("GET", "/budget", lambda asked: _budget(asked.authorization))
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "checker").write_text(CHECKER.format(python=sys.executable))
        (tools / "checker").chmod(0o755)
        estate = Estate(tmp_path, folders=())
        estate.environment = {"PATH": f"{tools}:/usr/bin:/bin", "REGION": "eu", "SLO_TOKEN": "canary-slo-0123456789"}
        entry = f"images:\n- name: api\n  newName: {image.repository}\n"
        change = Change(Action.RELEASE, "dev", "shop", (image,), "r1", CommitId("1" * 40), Position("main", 1))
        estate.write({"apps/shop/staging/kustomization.yaml": entry})
        released = "\n".join(["Release", "", *trailers(change)])
        estate.write({"apps/shop/dev/kustomization.yaml": repinned(entry, image)}, released)
        yield Place(estate, server, image)


def _published(server: ScriptedRegistry) -> PinnedImage:
    repository = Repository.parse(f"{server.host}/acme/api")
    config = server.store_blob(repository.path, CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(config), "size": len(CONFIG)},
        "layers": [],
    }
    digest = server.store(repository.path, OCI, json.dumps(manifest).encode())
    with HttpRegistry() as registry:
        subject = registry.manifest(repository, digest)
        assert subject is not None
        claim = _claim(repository, digest, config)
        attach_document(registry, repository, subject, RECORD_TYPE, claim.to_bytes(), claim.annotations)
    return PinnedImage(repository, digest, "1.0")


def _claim(repository: Repository, digest: Digest, config: Digest) -> ImageClaim:
    return ImageClaim(
        application="shop",
        name="api",
        repository=str(repository),
        digest=str(digest),
        kind="manifest",
        config=str(config),
        platforms=["linux/amd64"],
        content="c" * 64,
        definition="d" * 64,
        built_from="1" * 40,
        source=None,
        tests=[TestRecord(name="unit", passed=True, seconds=1.0)],
    )


def _budget(login: str) -> Reply:
    return Reply(200, json.dumps({"budget": {"ok": login == "Bearer canary-slo-0123456789"}}).encode())


def test_all_gates_of_a_policy_pass_once_somebody_approves(place: Place) -> None:
    place.policy()

    first = place.verdicts()
    (pull,) = place.estate.pulls()
    assert first.pop("approvals") == ("wait", "there is no pull request yet that somebody could approve")
    assert not pull.draft, "a draft asks nobody for a review"
    assert place.estate.run("forge", "approve", str(place.estate.bare), str(pull.number), "--as", "ada").returncode == 0
    second = place.verdicts()

    assert list(second) == ["hold", "veto", "order", *GATES]
    assert {verdict for verdict, _ in second.values()} == {"pass"}
    assert {name: reason for name, (_, reason) in second.items() if name in GATES} == {
        "soak": "soaked for 1h",
        "approvals": "approved",
        "image-exists": "the registry serves every image",
        "allowed-registry": "every image comes from an allowed registry",
        "tests": "a record says that every image was tested",
        "budget": "the answer is as expected",
        "checker": "staging in eu",
    }
    assert all(f"`{name}`" in place.estate.pulls()[0].body or name in place.estate.pulls()[0].body for name in second)
    assert "canary-slo" not in place.estate.pulls()[0].body


@pytest.mark.parametrize(
    ("gate", "text", "verdict", "reason"),
    [
        ("soak", "soak: {duration: 9999d}", "wait", "api soaks in dev for"),
        ("approvals", "approvals: {teams: [acme/sre]}", "wait", "there is no pull request yet"),
        ("image_exists", "image-exists: {platforms: [linux/s390x]}", "refuse", "api is not there for linux/s390x"),
        ("allowed_registry", 'allowed-registry: ["ghcr.io/**"]', "refuse", "images from HOST/acme/api are not allowed"),
        ("tests", "tests: {names: [unit, load]}", "refuse", "api was not tested by load"),
        ("budget", 'name: budget, http: {url: "http://HOST/no"}', "wait", "the answer has the status 404, not 200"),
        ("budget", 'name: budget, http: {url: "http://HOST/no", otherwise: refuse}', "refuse", "the status 404"),
        ("budget", 'name: budget, http: {url: "http://HOST/budget", token: NONE}', "wait", "$NONE, which the policy"),
        ("checker", "name: checker, command: {run: [no-such-tool]}", "refuse", "no-such-tool is not installed"),
        ("checker", "name: checker, command: {run: [checker]}", "refuse", "ended with the exit code 1"),
    ],
)  # fmt: skip
def test_each_gate_stops_what_it_is_there_to_stop(
    place: Place, gate: str, text: str, verdict: str, reason: str
) -> None:
    place.policy(**{gate: text})

    found = place.verdicts("--dry-run", code=3 if verdict == "refuse" else 0)[gate.replace("_", "-")]

    assert found[0] == verdict
    assert reason.replace("HOST", place.server.host) in found[1]


@pytest.mark.parametrize(
    ("freezes", "verdict"),
    [
        ('{begin: 2020-01-01, end: 2090-01-01, timezone: Europe/Berlin, reason: "migration"}', "wait"),
        ('{begin: 2020-01-01, end: 2021-01-01, timezone: Europe/Berlin, reason: "migration"}', "pass"),
        ('{cron: "0 0 * * *", duration: 24h, reason: "for ever"}', "wait"),
    ],
)
def test_a_freeze_of_the_policy_holds(place: Place, freezes: str, verdict: str) -> None:
    place.policy(freezes)
    assert place.verdicts("--dry-run")["freeze"][0] == verdict


def test_holds_and_vetoes_on_the_base_branch_refuse_until_they_expire(place: Place) -> None:
    place.policy()
    later = datetime.now(UTC) + timedelta(days=1)
    for expires, expected in ((None, "refuse"), (later, "refuse"), (BEGUN + timedelta(hours=1), "pass")):
        for rule in (
            Hold("staging", "incident 42", "ada", BEGUN, expires, place.image.repository),
            Veto("staging", "loses orders", "ada", BEGUN, expires, place.image.digest),
        ):
            place.estate.write({rule.path.value: rule.render().decode()})
        found = place.verdicts("--dry-run", code=3 if expected == "refuse" else 0)
        assert (found["hold"][0], found["veto"][0]) == (expected, expected)
        assert ("incident 42" in found["hold"][1]) is (expected == "refuse")


def test_what_dev_does_not_run_any_more_and_what_is_older_is_refused(place: Place) -> None:
    place.policy()
    entry = f"images:\n- name: api\n  newName: {place.image.repository}\n"
    newer = PinnedImage(place.image.repository, Digest.of(b"newer"), "2.0")
    change = Change(Action.PROMOTE, "staging", "shop", (newer,), "r2", CommitId("2" * 40), Position("main", 2))
    promoted = "\n".join(["Promote", "", *trailers(change)])
    place.estate.write({"apps/shop/staging/kustomization.yaml": repinned(entry, newer)}, promoted)

    verdict, reason = place.verdicts("--dry-run", code=3)["order"]

    assert (verdict, "api would move backwards" in reason) == ("refuse", True)


def test_a_server_with_an_authority_of_its_own_is_trusted_by_the_given_bundle(place: Place, tmp_path: Path) -> None:
    with _tls(tmp_path) as (address, bundle):
        place.policy(budget=f'name: budget, http: {{url: "{address}/", contains: fine}}')
        distrusted = place.verdicts("--dry-run")["budget"]
        place.estate.environment["HYBRID_CI_CA_BUNDLE"] = str(bundle)
        trusted = place.verdicts("--dry-run")["budget"]

    assert distrusted[0] == "wait"
    assert "certificate" in distrusted[1]
    assert trusted == ("pass", "the answer is as expected")


@contextmanager
def _tls(folder: Path) -> Iterator[tuple[str, Path]]:
    """A server that says that all is fine, and the certificate by which it is known."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gates of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle, secret = folder / "ca.pem", folder / "key.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, secret)
    with _Fine(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}", bundle
        finally:
            server.shutdown()
            thread.join()


class _Fine(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Who distrusts us hangs up."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"fine")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
