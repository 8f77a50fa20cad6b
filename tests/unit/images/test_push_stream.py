"""A push ends well only when its stream says so."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import HybridCIError, Refused
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.images.base import PushFailed
from orchestrator.images.errors import LoginRefused, PushInterrupted
from orchestrator.images.push_stream import PushStream

TARGET = TaggedImage(Repository.parse("ghcr.io/acme/api"), "1.2")
DIGEST = "sha256:" + "a" * 64
PREPARING = {"status": "Preparing", "progressDetail": {}, "id": "layer1"}
PUSHED = {"status": "Pushed", "progressDetail": {}, "id": "layer1"}
AUX = {"progressDetail": {}, "aux": {"Tag": "1.2", "Digest": DIGEST, "Size": 527}}
LINE = {"status": f"1.2: digest: {DIGEST} size: 527"}


def read(*events: dict[str, object], logged_in: bool = True) -> Digest | None:
    stream = PushStream(TARGET, logged_in=logged_in)
    for event in events:
        stream.feed(event)
    return stream.finish()


def test_docker_claims_a_digest_twice() -> None:
    assert read(PREPARING, PUSHED, LINE, AUX) == Digest(DIGEST)


@pytest.mark.parametrize("event", [LINE, AUX])
def test_either_claim_is_enough(event: dict[str, object]) -> None:
    assert read(PREPARING, PUSHED, event) == Digest(DIGEST)


def test_podman_claims_none() -> None:
    assert read(PREPARING, PUSHED, {"status": "Writing manifest to image destination"}) is None


def test_mounted_and_existing_layers_are_done() -> None:
    events: list[dict[str, object]] = [
        {"id": "a", "status": "Layer already exists"},
        {"id": "b", "status": "Mounted from acme/base"},
    ]
    assert read(*events) is None


@pytest.mark.parametrize(
    "events",
    [
        (),
        (PREPARING,),
        ({"status": "The push refers to repository [ghcr.io/acme/api]"},),
        (PREPARING, {"status": "Pushing", "id": "layer1", "progressDetail": {"current": 5, "total": 10}}),
        (PUSHED, {"status": "Waiting", "id": "layer2"}),
    ],
)
def test_a_stream_that_ends_too_early_is_no_success(events: tuple[dict[str, object], ...]) -> None:
    with pytest.raises(PushInterrupted) as caught:
        read(*events)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("message", "logged_in", "kind", "code"),
    [
        ("unauthorized: authentication required", True, LoginRefused, 5),
        ("no basic auth credentials", False, LoginRefused, 5),
        ("Get https://x/v2/: unauthorized: incorrect username or password", True, LoginRefused, 5),
        ("unexpected status from HEAD request: 401 Unauthorized", True, LoginRefused, 5),
        ("denied: requested access to the resource is denied", True, Refused, 3),
        ("denied: requested access to the resource is denied", False, LoginRefused, 5),
        ("denied: permission_denied: write_package", True, Refused, 3),
        ("unexpected status: 403 Forbidden", True, Refused, 3),
        ("tag invalid: The image tag '1.2' already exists and is immutable", True, Refused, 3),
        ("blob unknown to registry", True, PushInterrupted, 5),
        ("received unexpected HTTP status: 503 Service Unavailable", True, PushInterrupted, 5),
        ("toomanyrequests: slow down", True, PushInterrupted, 5),
        ("net/http: TLS handshake timeout", True, PushInterrupted, 5),
        ("Put https://x: read: connection reset by peer", True, PushInterrupted, 5),
        ("unexpected EOF", True, PushInterrupted, 5),
        ("name invalid: invalid repository name", True, PushFailed, 5),
        ("x509: certificate signed by unknown authority", True, PushFailed, 5),
        ("", True, PushFailed, 5),
    ],
)
@pytest.mark.parametrize("form", ["error", "errorDetail", "both"])
def test_an_error_line_fails_the_push(
    message: str, logged_in: bool, kind: type[HybridCIError], code: int, form: str
) -> None:
    event: dict[str, object] = {}
    if form in ("error", "both"):
        event["error"] = message
    if form in ("errorDetail", "both"):
        event["errorDetail"] = {"message": message}
    with pytest.raises(kind) as caught:
        read(PREPARING, PUSHED, event, AUX, logged_in=logged_in)
    assert caught.value.exit_code == code
    assert type(caught.value) is kind
    assert "ghcr.io/acme/api" in str(caught.value.where)
    assert caught.value.details == (message,)


def test_a_missing_login_is_told_from_a_wrong_one() -> None:
    hints = []
    for logged_in in (True, False):
        with pytest.raises(LoginRefused) as caught:
            read({"error": "unauthorized"}, logged_in=logged_in)
        hints.append(caught.value.hint)
    assert "check the account" in str(hints[0])
    assert "no login was found" in str(hints[1])


@pytest.mark.parametrize("digest", ["sha256:short", "sha512:" + "a" * 128, 7, {}])
def test_a_claim_that_is_no_digest_fails(digest: object) -> None:
    with pytest.raises(PushFailed):
        read({"aux": {"Digest": digest}})


def test_two_claims_that_differ_fail() -> None:
    with pytest.raises(PushFailed):
        read(LINE, {"aux": {"Digest": "sha256:" + "b" * 64}})


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"aux": None},
        {"aux": []},
        {"status": 5},
        {"id": []},
        {"progressDetail": "x", "id": "a", "status": "Pushing"},
    ],
)
def test_events_of_unknown_shape_are_passed_over(event: dict[str, object]) -> None:
    assert read(event, AUX) == Digest(DIGEST)


def test_progress_is_one_line() -> None:
    stream = PushStream(TARGET, logged_in=True)
    stream.feed({"id": "a", "status": "Pushing", "progressDetail": {"current": 3 << 20, "total": 4 << 20}})
    stream.feed({"id": "b", "status": "Pushed", "progressDetail": {}})
    assert stream.progress == "1 of 2 layers, 3.0 MiB"
