"""Pushing small things to a registry that fails, lies, or sends us elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.images.errors import LoginRefused
from orchestrator.images.manifest import OCI_INDEX, OCI_MANIFEST, RegistryLied
from orchestrator.images.referrers import MOST_REFERRERS, fallback_tag, with_referrer
from orchestrator.images.registry import HttpRegistry
from tests.contract.engines import OneLogin
from tests.contract.test_registry import RECORD, artifact
from tests.servers.registry_scripted import Asked, Reply, ScriptedRegistry, scripted_registry
from tests.servers.registry_storing import StoringRegistry
from tests.simulators.clock import FakeClock

PATH = "acme/api"
PASSWORD = "canary-51c0ffee-password"
SUBJECT = Digest.of(b"the image")
UPLOADS = "/v2/.*/blobs/uploads/"


@pytest.fixture
def server() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as made:
        yield made


@pytest.fixture
def elsewhere() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as made:
        yield made


@pytest.fixture
def registry(server: ScriptedRegistry) -> Iterator[HttpRegistry]:
    with HttpRegistry(OneLogin(server.host, "ci", PASSWORD), clock=FakeClock()) as made:
        yield made


@pytest.fixture
def repository(server: ScriptedRegistry) -> Repository:
    return Repository(server.host, PATH)


def listing(*entries: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}).encode()


def entry(number: int) -> dict[str, object]:
    return {"digest": str(Digest.of(str(number).encode())), "artifactType": RECORD, "mediaType": OCI_MANIFEST}


@pytest.mark.parametrize("location", ["http://{other}/v2/acme/api/blobs/uploads/1", "//{other}/up", ""])
def test_an_upload_is_sent_to_no_other_host(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, registry: HttpRegistry, repository: Repository, location: str
) -> None:
    server.on("POST", UPLOADS, Reply(202, headers={"Location": location.format(other=elsewhere.host)}))
    with pytest.raises(RegistryLied, match="another host"):
        registry.put_blob(repository, b"{}")
    assert elsewhere.asked == []


def test_a_refused_push_says_what_to_do(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    server.on("PUT", "/v2/.*", Reply(403, b'{"errors":[{"code":"DENIED","message":"read only"}]}'))
    with pytest.raises(LoginRefused) as caught:
        registry.put_manifest(repository, b"{}", OCI_MANIFEST, "1")
    assert "push" in caught.value.message
    assert "DENIED: read only" in caught.value.details


def test_unknown_blob_once(server: ScriptedRegistry, registry: HttpRegistry, repository: Repository) -> None:
    StoringRegistry(server)
    server.times("PUT", UPLOADS + ".*", Reply(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'))
    digest = registry.put_blob(repository, b"content")
    assert registry.blob(repository, digest) == b"content"


def test_a_registry_that_is_ill_for_a_moment_takes_the_push(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    StoringRegistry(server)
    server.times("POST", UPLOADS, Reply(503), Reply(502))
    server.times("PUT", "/v2/.*/manifests/.*", Reply(500))
    registry.put_blob(repository, b"content")
    digest = registry.put_manifest(repository, artifact(SUBJECT, "x"), OCI_MANIFEST, "1")
    assert registry.resolve(TaggedImage(repository, "1")) == digest


@pytest.mark.parametrize(("answer", "uploads"), [(200, 0), (404, 1)])
def test_a_blob_that_is_kept_elsewhere_is_there(
    server: ScriptedRegistry,
    elsewhere: ScriptedRegistry,
    registry: HttpRegistry,
    repository: Repository,
    answer: int,
    uploads: int,
) -> None:
    """Registries redirect to their storage for HEAD as for GET; what is there is not sent again."""
    StoringRegistry(server)
    server.on("HEAD", f"/v2/{PATH}/blobs/.*", Reply(307, headers={"Location": f"http://{elsewhere.host}/stored"}))
    elsewhere.on("HEAD", "/stored", Reply(answer))
    registry.put_blob(repository, b"content")
    assert len([asked for asked in server.asked if asked.method == "POST"]) == uploads
    assert all("authorization" not in asked.headers for asked in elsewhere.asked)


def test_a_refused_upload_is_no_upload(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    StoringRegistry(server)
    server.on("PUT", UPLOADS + ".*", Reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}'))
    with pytest.raises(RemoteError, match="400"):
        registry.put_blob(repository, b"content")


@pytest.mark.scenario(number=71)
def test_referrers_api_absent(server: ScriptedRegistry, registry: HttpRegistry, repository: Repository) -> None:
    StoringRegistry(server, referrers=False)
    for note in ("one", "two", "two"):
        registry.attach(repository, SUBJECT, artifact(SUBJECT, note), OCI_MANIFEST)
    found = registry.referrers(repository, SUBJECT, RECORD)
    assert sorted(one.annotations["note"] for one in found) == ["one", "two"]
    assert registry.resolve(TaggedImage(repository, fallback_tag(SUBJECT))) is not None


@pytest.mark.scenario(number=72)
def test_attestation_pushed_but_index_update_lost(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    StoringRegistry(server, referrers=False)
    registry.put_manifest(repository, artifact(SUBJECT, "once"), OCI_MANIFEST)
    assert list(registry.referrers(repository, SUBJECT, RECORD)) == []
    for _ in range(2):
        registry.attach(repository, SUBJECT, artifact(SUBJECT, "once"), OCI_MANIFEST)
    assert len(registry.referrers(repository, SUBJECT, RECORD)) == 1


def test_a_listing_that_another_job_overwrote_is_written_again(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    StoringRegistry(server, referrers=False)
    theirs = with_referrer(None, artifact(SUBJECT, "theirs"), "")
    assert theirs is not None
    tag = f"/v2/{PATH}/manifests/{fallback_tag(SUBJECT)}"
    reads: list[str] = []

    def overwritten(asked: Asked) -> Reply | None:
        reads.append(asked.path)
        if len(reads) != 2:  # the first look finds none, the second one what somebody wrote over ours
            return None
        server.store(PATH, OCI_INDEX, theirs.content, fallback_tag(SUBJECT))
        return None

    server.store(PATH, OCI_INDEX, listing(), fallback_tag(SUBJECT))
    server.on("GET", tag, overwritten)
    registry.attach(repository, SUBJECT, artifact(SUBJECT, "ours"), OCI_MANIFEST)
    found = registry.referrers(repository, SUBJECT, RECORD)
    assert "ours" in {one.annotations["note"] for one in found}


@pytest.mark.parametrize("link", ['<{path}>; rel="next"', "<http://{host}{path}>;rel=next", '<x?last=1>; rel="next"'])
def test_pages_of_referrers_are_read_to_their_end(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository, link: str
) -> None:
    path = f"/v2/{PATH}/referrers/{SUBJECT}"

    def page(asked: Asked) -> Reply:
        if "last" in asked.query:
            return Reply(200, listing(entry(2)))
        return Reply(200, listing(entry(1)), {"Link": link.format(path=f"{path}?last=1", host=server.host)})

    server.on("GET", f"{path}|/v2/{PATH}/x", page)
    assert len(registry.referrers(repository, SUBJECT, RECORD)) == 2


def test_a_next_page_on_another_host_is_not_asked_for(
    server: ScriptedRegistry, elsewhere: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    link = {"Link": f'<http://{elsewhere.host}/v2/{PATH}/referrers/x>; rel="next"'}
    server.on("GET", f"/v2/{PATH}/referrers/.*", Reply(200, listing(entry(1)), link))
    assert len(registry.referrers(repository, SUBJECT, RECORD)) == 1
    assert elsewhere.asked == []


def test_a_list_of_referrers_without_end_is_given_up(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    path = f"/v2/{PATH}/referrers/{SUBJECT}"
    server.on("GET", path, Reply(200, listing(entry(1)), {"Link": f'<{path}?last=1>; rel="next"'}))
    with pytest.raises(RegistryLied, match="does not end"):
        registry.referrers(repository, SUBJECT, RECORD)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[]", "not a JSON object"),
        (b'{"manifests": 3}', "is none"),
        (b'{"manifests": [1]}', "is none"),
        (listing({"digest": "sha256:short", "artifactType": RECORD}), "names no digest"),
        (listing(*[entry(number) for number in range(MOST_REFERRERS + 1)]), "referrers of one image"),
    ],
)
def test_a_list_of_referrers_that_is_none_is_refused(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository, content: bytes, reason: str
) -> None:
    server.on("GET", f"/v2/{PATH}/referrers/.*", Reply(200, content))
    with pytest.raises(RegistryLied, match=reason):
        registry.referrers(repository, SUBJECT, RECORD)


def test_a_blob_with_other_bytes_is_refused(
    server: ScriptedRegistry, registry: HttpRegistry, repository: Repository
) -> None:
    digest = Digest.of(b"right")
    server.on("GET", f"/v2/{PATH}/blobs/.*", Reply(200, b"wrong"))
    with pytest.raises(RegistryLied):
        registry.blob(repository, digest)
