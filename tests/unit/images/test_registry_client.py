"""The registry client against a server that fails and lies: logins, redirects, digests, sizes, retries."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError, RemoteError
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.core.secret import Secret
from orchestrator.images.credentials import Anonymous, Credentials, Login
from orchestrator.images.errors import LoginRefused
from orchestrator.images.manifest import DOCKER_LIST, OCI_MANIFEST, RegistryLied
from orchestrator.images.registry import HttpRegistry
from orchestrator.images.registry_auth import UntrustedRealm
from orchestrator.images.registry_http import RegistryHttp, RegistryUnavailable
from tests.contract.engines import OneLogin
from tests.servers.registry_scripted import Asked, Reply, ScriptedRegistry, scripted_registry
from tests.simulators.clock import FakeClock

PATH = "acme/api"
PASSWORD = "canary-5fbc1d0e-password"
CONFIG = b'{"os":"linux","architecture":"amd64"}'
MANIFEST = json.dumps({"config": {"digest": str(Digest.of(CONFIG))}, "layers": []}).encode()
DIGEST = Digest.of(MANIFEST)


@pytest.fixture
def server() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as made:
        made.store(PATH, OCI_MANIFEST, MANIFEST, "1")
        made.store_blob(PATH, CONFIG)
        made.on("GET", f"/v2/{PATH}/tags/list", Reply(200, b"{}"))
        yield made


@pytest.fixture
def elsewhere() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Clients:
    """Makes clients and closes them."""

    def __init__(self, server: ScriptedRegistry, clock: FakeClock) -> None:
        self._server, self._clock = server, clock
        self._made: list[HttpRegistry] = []

    def __call__(self, credentials: Credentials | None = None, **options: object) -> HttpRegistry:
        made = HttpRegistry(credentials or Anonymous(), clock=self._clock, **options)  # type: ignore[arg-type]
        self._made.append(made)
        return made

    def with_login(self, **options: object) -> HttpRegistry:
        return self(OneLogin(self._server.host, "user", PASSWORD), **options)

    def close(self) -> None:
        for made in self._made:
            made.close()


@pytest.fixture
def client(server: ScriptedRegistry, clock: FakeClock) -> Iterator[Clients]:
    clients = Clients(server, clock)
    yield clients
    clients.close()


@pytest.fixture
def repository(server: ScriptedRegistry) -> Repository:
    return Repository(server.host, PATH)


def says_password(asked: list[Asked]) -> bool:
    encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    return any(
        secret in f"{each.headers}{each.query}{each.body!r}{each.path}"
        for each in asked
        for secret in (PASSWORD, encoded)
    )


# --- logins ------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_registry_asks(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    client.with_login().manifest(repository, DIGEST)
    assert not any(asked.authorization for asked in server.asked)


def test_a_password_goes_to_the_registry_that_asks_for_one(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.require_basic("user", PASSWORD)
    assert client.with_login().resolve(TaggedImage(repository, "1")) == DIGEST


def test_a_token_is_asked_for_once_per_repository(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.require_token(f"http://{server.host}/token")
    server.on("GET", "/token", Reply(200, b'{"token": "a-token"}'))
    registry = client.with_login()
    registry.manifest(repository, DIGEST)
    registry.config(repository, Digest.of(CONFIG))
    (asked,) = [asked for asked in server.asked if asked.path == "/token"]
    assert asked.query == {"scope": [f"repository:{PATH}:pull"], "service": ["test"]}
    assert says_password([asked])
    assert not says_password([asked for asked in server.asked if asked.path != "/token"])


def test_our_scope_is_asked_for_and_not_the_servers(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    header = f'Bearer realm="http://{server.host}/token",scope="repository:other/secret:pull,push,delete"'
    server.times("GET", "/v2/.*/manifests/.*", Reply(401, headers={"WWW-Authenticate": header}))
    server.on("GET", "/token", Reply(200, b'{"access_token": "a-token"}'))
    client().manifest(repository, DIGEST)
    (asked,) = [asked for asked in server.asked if asked.path == "/token"]
    assert asked.query["scope"] == [f"repository:{PATH}:pull"]


def test_a_token_that_ran_out_is_renewed(server: ScriptedRegistry, client: Clients, repository: Repository) -> None:
    tokens = iter(["first", "second"])
    server.require_token(f"http://{server.host}/token", "first")
    server.on("GET", "/token", lambda _: Reply(200, json.dumps({"token": next(tokens)}).encode()))
    registry = client.with_login()
    assert registry.manifest(repository, DIGEST)
    server.require_token(f"http://{server.host}/token", "second")
    server.on("GET", "/v2/.*", lambda asked: (asked.authorization == "Bearer second" and Reply(200)) or None)
    server.store(PATH, OCI_MANIFEST, MANIFEST, "1")
    server.require_token(f"http://{server.host}/token", "second")
    assert registry.manifest(repository, DIGEST)


def test_an_identity_token_is_posted_and_is_in_no_address(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    class Identity:
        def login(self, registry: str) -> Login:
            return Login("", Secret(PASSWORD, "test"), is_identity_token=True)

    server.require_token(f"http://{server.host}/token")
    server.on("POST", "/token", Reply(200, b'{"access_token": "a-token"}'))
    assert client(Identity()).manifest(repository, DIGEST)
    (asked,) = [asked for asked in server.asked if asked.path == "/token"]
    assert f"refresh_token={PASSWORD}".encode() in asked.body
    assert not asked.query


@pytest.mark.parametrize("name", ["localhost", "127.0.0.2"])
def test_evil_realm_gets_no_password(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository, name: str
) -> None:
    server.require_token(f"http://{name}:{elsewhere.port}/token")
    elsewhere.on("GET", "/token", Reply(200, b'{"token": "a-token"}'))
    with pytest.raises(UntrustedRealm) as caught:
        client.with_login().manifest(repository, DIGEST)
    assert caught.value.exit_code == 3
    assert elsewhere.asked == []
    assert not says_password(server.asked)


def test_an_allowed_token_host_gets_the_password(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.require_token(f"http://localhost:{elsewhere.port}/token")
    elsewhere.on("GET", "/token", Reply(200, b'{"token": "a-token"}'))
    registry = client.with_login(token_hosts={"127.0.0.1": frozenset({"localhost"})})
    assert registry.manifest(repository, DIGEST)
    assert says_password(elsewhere.asked)


def test_a_token_service_that_redirects_gets_no_second_request(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.require_token(f"http://{server.host}/token")
    server.on("GET", "/token", Reply(302, headers={"Location": f"http://{elsewhere.host}/token"}))
    with pytest.raises(RegistryLied):
        client.with_login().manifest(repository, DIGEST)
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "body", [b"{}", b'{"token": 7}', b'{"token": ""}', b'{"token": "a\\r\\nX-Evil: 1"}', '{"token": "ü"}'.encode()]
)
def test_a_token_service_without_a_usable_token_is_named(
    server: ScriptedRegistry, client: Clients, repository: Repository, body: bytes
) -> None:
    server.require_token(f"http://{server.host}/token")
    server.on("GET", "/token", Reply(200, body))
    with pytest.raises(RemoteError, match="no token"):
        client.with_login().manifest(repository, DIGEST)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_says_how_to_log_in(
    server: ScriptedRegistry, client: Clients, repository: Repository, status: int
) -> None:
    denied = b'{"errors":[{"code":"DENIED","message":"requested access is denied"}]}'
    server.on("GET", "/v2/.*", Reply(status, denied))
    with pytest.raises(LoginRefused) as caught:
        client().resolve(TaggedImage(repository, "1"))
    assert caught.value.exit_code == 5
    assert caught.value.where == str(repository)
    assert "docker login" in (caught.value.hint or "")
    assert caught.value.details == ("DENIED: requested access is denied",)


def test_a_netrc_file_is_not_read(
    server: ScriptedRegistry, client: Clients, repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login user password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client().manifest(repository, DIGEST)
    assert not says_password(server.asked)


def test_a_proxy_does_not_see_requests_to_this_machine(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HTTP_PROXY", f"http://{elsewhere.host}")
    monkeypatch.setenv("ALL_PROXY", f"http://{elsewhere.host}")
    assert client().manifest(repository, DIGEST)
    assert elsewhere.asked == []


def test_cookies_are_not_kept(server: ScriptedRegistry, client: Clients, repository: Repository) -> None:
    server.times("GET", "/v2/.*", Reply(404, headers={"Set-Cookie": "track=me; Path=/"}))
    registry = client()
    registry.manifest(repository, DIGEST)
    registry.manifest(repository, DIGEST)
    assert not any("cookie" in asked.headers for asked in server.asked)


def test_no_error_holds_the_password(server: ScriptedRegistry, client: Clients, repository: Repository) -> None:
    server.require_token(f"http://{server.host}/token")
    server.on("GET", "/token", Reply(401, b"{}"))
    with pytest.raises(HybridCIError) as caught:
        client.with_login().manifest(repository, DIGEST)
    error: BaseException | None = caught.value
    seen = ""
    while error is not None:
        seen += f"{error!r}{error.args}{vars(error)}"
        error = error.__cause__ or error.__context__
    assert PASSWORD not in seen
    assert base64.b64encode(f"user:{PASSWORD}".encode()).decode() not in seen


# --- may we push? ------------------------------------------------------------------------------------------------


def test_the_push_check_begins_an_upload_and_gives_it_up(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("POST", f"/v2/{PATH}/blobs/uploads/", Reply(202, headers={"Location": f"/v2/{PATH}/blobs/uploads/7"}))
    client().check_login(repository, push=True)
    assert [(asked.method, asked.path) for asked in server.asked if asked.method != "GET"] == [
        ("POST", f"/v2/{PATH}/blobs/uploads/"),
        ("DELETE", f"/v2/{PATH}/blobs/uploads/7"),
    ]


@pytest.mark.parametrize("scheme", ["http:", ""])
def test_an_upload_elsewhere_is_left_alone(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository, scheme: str
) -> None:
    location = f"{scheme}//{elsewhere.host}/upload"
    server.on("POST", f"/v2/{PATH}/blobs/uploads/", Reply(202, headers={"Location": location}))
    client().check_login(repository, push=True)
    assert elsewhere.asked == []


def test_a_login_that_may_only_read_does_not_pass_the_push_check(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("POST", f"/v2/{PATH}/blobs/uploads/", Reply(403, b"{}"))
    registry = client()
    registry.check_login(repository)
    with pytest.raises(LoginRefused, match="push to"):
        registry.check_login(repository, push=True)


def test_a_repository_that_must_be_created_first_is_named(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    with pytest.raises(RemoteError) as caught:
        client().check_login(repository, push=True)
    assert "create it" in (caught.value.hint or "")


# --- redirects ---------------------------------------------------------------------------------------------------


def test_blob_redirect_drops_auth(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    digest = Digest.of(CONFIG)
    target = f"http://{elsewhere.host}/storage?signature=s"
    server.on("GET", f"/v2/{PATH}/blobs/{digest}", Reply(307, headers={"Location": target}))
    server.require_basic("user", PASSWORD)
    elsewhere.on("GET", "/storage", Reply(200, CONFIG))
    assert client.with_login().config(repository, digest)["os"] == "linux"
    assert says_password(server.asked)
    (asked,) = elsewhere.asked
    assert (asked.authorization, asked.query) == ("", {"signature": ["s"]})


def test_a_redirected_blob_is_hashed_all_the_same(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    digest = Digest.of(CONFIG)
    server.on("GET", f"/v2/{PATH}/blobs/.*", Reply(307, headers={"Location": f"http://{elsewhere.host}/storage"}))
    elsewhere.on("GET", "/storage", Reply(200, CONFIG + b" "))
    with pytest.raises(RegistryLied):
        client().config(repository, digest)


@pytest.mark.parametrize(
    "location",
    [
        "http://storage.example.com/blob",
        "ftp://storage.example.com/blob",
        "file:///etc/passwd",
        "https://user:word@storage.example.com/blob",
        "https://[broken/blob",
        "",
    ],
)
def test_a_redirect_to_where_it_may_not_go_is_refused(
    server: ScriptedRegistry, client: Clients, repository: Repository, location: str
) -> None:
    server.on("GET", f"/v2/{PATH}/blobs/.*", Reply(307, headers={"Location": location}))
    with pytest.raises(RegistryLied):
        client().config(repository, Digest.of(CONFIG))


def test_a_redirect_in_circles_ends(server: ScriptedRegistry, client: Clients, repository: Repository) -> None:
    server.on("GET", f"/v2/{PATH}/blobs/.*", lambda asked: Reply(307, headers={"Location": asked.path}))
    with pytest.raises(RegistryLied, match="circles"):
        client().config(repository, Digest.of(CONFIG))
    assert len([path for path in server.paths if "blobs" in path]) < 10


def test_the_body_of_a_redirect_is_capped_too(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("GET", "/v2/.*", Reply(307, repeat(b"x" * 65536), {"Location": "/v2/elsewhere"}))
    with pytest.raises(RegistryLied, match="larger"):
        client().config(repository, Digest.of(CONFIG))


def test_a_tag_is_not_resolved_elsewhere(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("GET", "/v2/.*/manifests/1", Reply(302, headers={"Location": f"http://{elsewhere.host}/manifest"}))
    with pytest.raises(RegistryLied):
        client().resolve(TaggedImage(repository, "1"))
    assert elsewhere.asked == []


# --- lies --------------------------------------------------------------------------------------------------------


def served(body: bytes = MANIFEST, media_type: str = OCI_MANIFEST, **headers: str) -> Reply:
    return Reply(200, body, {"Content-Type": media_type} | {name.replace("_", "-"): headers[name] for name in headers})


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(served(MANIFEST + b"\n"), id="other bytes"),
        pytest.param(served(Docker_Content_Digest=str(Digest.of(b"x"))), id="header names another digest"),
        pytest.param(served(Docker_Content_Digest="sha512:" + "a" * 128), id="header names another algorithm"),
        pytest.param(served(Docker_Content_Digest="sha256:../../etc"), id="header is no digest"),
        pytest.param(served(media_type="text/html"), id="a web page"),
        pytest.param(served(media_type=DOCKER_LIST), id="the type of an index"),
        pytest.param(served(media_type=""), id="no type"),
        pytest.param(served(b""), id="nothing"),
    ],
)
def test_lying_registry_matrix(server: ScriptedRegistry, client: Clients, repository: Repository, reply: Reply) -> None:
    server.on("GET", "/v2/.*/manifests/.*", reply)
    with pytest.raises(RegistryLied) as caught:
        client().manifest(repository, DIGEST)
    assert caught.value.exit_code == 3


def test_a_lying_header_is_refused_when_a_tag_is_resolved(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("GET", "/v2/.*/manifests/.*", served(Docker_Content_Digest=str(Digest.of(b"x"))))
    with pytest.raises(RegistryLied):
        client().resolve(TaggedImage(repository, "1"))


def test_without_a_header_the_bytes_tell_the_digest(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("GET", "/v2/.*/manifests/.*", served())
    assert client().resolve(TaggedImage(repository, "1")) == DIGEST


def test_a_configuration_with_other_bytes_is_refused(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    server.on("GET", "/v2/.*/blobs/.*", Reply(200, CONFIG.replace(b"amd64", b"arm64")))
    with pytest.raises(RegistryLied):
        client().config(repository, Digest.of(CONFIG))


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(200, b"x", {"Content-Length": str(100 * 1024 * 1024)}), id="announced"),
        pytest.param(Reply(200, repeat(b"x" * 65536)), id="endless"),
        pytest.param(Reply(200, [b"x" * 1024] * (17 * 1024)), id="17 MiB"),
    ],
)
def test_a_body_that_is_too_large_is_not_read_to_its_end(
    server: ScriptedRegistry, client: Clients, repository: Repository, reply: Reply
) -> None:
    server.on("GET", "/v2/.*", reply)
    for ask in (
        lambda: client().manifest(repository, DIGEST),
        lambda: client().config(repository, Digest.of(CONFIG)),
        lambda: client().check_login(repository),
    ):
        with pytest.raises(RegistryLied, match="larger"):
            ask()


def test_compressed_bodies_are_neither_wanted_nor_unpacked(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    import gzip

    packed = gzip.compress(MANIFEST)
    server.on("GET", "/v2/.*/manifests/.*", served(packed, Content_Encoding="gzip"))
    with pytest.raises(RegistryLied):
        client().manifest(repository, DIGEST)
    assert {asked.headers["accept-encoding"] for asked in server.asked if "manifests" in asked.path} == {"identity"}


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_ill_registry_is_asked_again(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock, status: int
) -> None:
    server.times("GET", "/v2/.*/manifests/.*", Reply(status), Reply(status))
    assert client().manifest(repository, DIGEST)
    assert len(clock.slept) == 2


def test_a_connection_that_breaks_is_tried_again(
    server: ScriptedRegistry, client: Clients, repository: Repository
) -> None:
    cut = Reply(200, MANIFEST[:10], {"Content-Length": str(len(MANIFEST)), "Connection": "close"})
    server.times("GET", "/v2/.*/manifests/.*", Reply(hang_up=True), cut)
    assert client().manifest(repository, DIGEST)


def test_the_wait_that_a_registry_asks_for_is_kept(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock
) -> None:
    server.times("GET", "/v2/.*/manifests/.*", Reply(429, headers={"Retry-After": "40"}))
    assert client().manifest(repository, DIGEST)
    assert clock.slept == (40.0,)


def test_a_wait_until_a_date_is_understood(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock
) -> None:
    date = "Mon, 02 Mar 2026 09:30:45 GMT"  # 45 seconds after the clock's beginning
    server.times("GET", "/v2/.*/manifests/.*", Reply(503, headers={"Retry-After": date}))
    assert client().manifest(repository, DIGEST)
    assert clock.slept == (45.0,)


@pytest.mark.parametrize("value", ["999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_beyond_the_deadline_is_not_begun(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock, value: str
) -> None:
    server.on("GET", "/v2/.*", Reply(429, headers={"Retry-After": value}))
    with pytest.raises(RegistryUnavailable):
        client().manifest(repository, DIGEST)
    assert clock.slept == ()


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "Mon, 99 Foo 2026 00:00:00", "١٢"])
def test_a_wait_that_makes_no_sense_is_passed_over(
    server: ScriptedRegistry, client: Clients, repository: Repository, value: str
) -> None:
    reply = Reply(429, headers={"Retry-After": value.encode().decode("latin-1")})
    server.times("GET", "/v2/.*/manifests/.*", reply)
    assert client().manifest(repository, DIGEST)


def test_a_registry_that_stays_ill_is_given_up_in_time(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock
) -> None:
    server.on("GET", "/v2/.*", Reply(503))
    with pytest.raises(RegistryUnavailable) as caught:
        client().manifest(repository, DIGEST)
    assert caught.value.exit_code == 5
    assert sum(clock.slept) <= 60


def test_5xx_on_every_third_request(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock
) -> None:
    count = iter(range(1, 10_000))
    server.on("GET", "/v2/.*", lambda _: Reply(500) if next(count) % 3 == 0 else None)
    registry = client()
    for _ in range(20):
        assert registry.resolve(TaggedImage(repository, "1")) == DIGEST
        assert registry.manifest(repository, DIGEST)
    assert clock.slept


@pytest.mark.parametrize("host", ["ghcr.io", "registry.example.com:5000", "10.0.0.1:5000"])
def test_only_this_machine_is_asked_without_tls(clock: FakeClock, host: str) -> None:
    with RegistryHttp(clock) as http:
        assert http.base(host) == f"https://{host}"


def test_nobody_there_is_a_remote_error(client: Clients, clock: FakeClock) -> None:
    with scripted_registry() as gone:
        host = gone.host
    with pytest.raises(RegistryUnavailable) as caught:
        client().manifest(Repository(host, PATH), DIGEST)
    assert caught.value.exit_code == 5
    assert "refused" in caught.value.message


@pytest.mark.parametrize("status", [400, 404, 405, 410, 451])
def test_a_final_answer_is_not_asked_for_again(
    server: ScriptedRegistry, client: Clients, repository: Repository, clock: FakeClock, status: int
) -> None:
    server.on("GET", "/v2/.*/blobs/.*", Reply(status))
    with pytest.raises(RemoteError):
        client().config(repository, Digest.of(CONFIG))
    assert clock.slept == ()


def _drop_by_drop() -> Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(0.05)


def test_an_answer_drop_by_drop_ends_with_the_deadline(server: ScriptedRegistry, repository: Repository) -> None:
    server.on("GET", "/v2/.*/manifests/.*", lambda _: Reply(200, _drop_by_drop()))
    began = time.monotonic()
    with HttpRegistry(Anonymous(), seconds=0.5) as registry, pytest.raises(RegistryUnavailable):
        registry.manifest(repository, DIGEST)
    assert time.monotonic() - began < 5


def test_a_ca_bundle_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HttpRegistry(Anonymous(), ca_bundle=tmp_path / "none.pem")
    assert caught.value.where == str(tmp_path / "none.pem")
