"""A build's stream: its lines, its image, and where it broke."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.images.base import BuildFailed, BuildSpec
from orchestrator.images.build_stream import BuildStream
from orchestrator.images.errors import LoginRefused

ID = "sha256:" + "a" * 64
DOCKERFILE = "# syntax of old\nARG BASE=scratch\nFROM $BASE\n\nRUN one && \\\n    # a remark\n    two\nCOPY a /a\n"


@pytest.fixture
def stream(tmp_path: Path) -> BuildStream:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return BuildStream(BuildSpec("api", tmp_path, tmp_path / "Dockerfile"))


def test_lines_are_put_together(stream: BuildStream) -> None:
    pieces = ["Step 1/2 : FR", "OM scratch\n ---> ", "abc\n", "\n", "half"]
    lines = [line for piece in pieces for line in stream.feed({"stream": piece})]
    assert [*lines, *stream.end()] == ["Step 1/2 : FROM scratch", " ---> abc", "half"]


def test_the_image_comes_from_aux(stream: BuildStream) -> None:
    list(stream.feed({"aux": {"ID": ID}}))
    list(stream.feed({"stream": "Successfully built 0123456789ab\n"}))
    assert stream.image == ID


def test_an_old_engine_only_says_it(stream: BuildStream) -> None:
    list(stream.feed({"stream": "Successfully built 0123456789ab\n"}))
    assert stream.image == "0123456789ab"


def test_pulls_are_lines_without_their_progress_bars(stream: BuildStream) -> None:
    events: list[dict[str, object]] = [
        {"status": "Pulling fs layer", "id": "abc", "progressDetail": {}},
        {"status": "Downloading", "id": "abc", "progressDetail": {"current": 1, "total": 9}, "progress": "[=>  ]"},
        {"status": "Pull complete", "id": "abc", "progressDetail": {}},
    ]
    assert [line for event in events for line in stream.feed(event)] == ["abc Pulling fs layer", "abc Pull complete"]


def test_a_failed_step_is_named_with_its_line(stream: BuildStream) -> None:
    list(stream.feed({"stream": "Step 3/4 : RUN one &&     two\nsome output\n"}))
    message = "The command '/bin/sh -c one && two' returned a non-zero code: 7"
    with pytest.raises(BuildFailed) as caught:
        list(stream.feed({"errorDetail": {"code": 7, "message": message}, "error": message}))
    error = caught.value
    assert error.exit_code == 1
    assert "step 3 of 4: RUN one" in error.message
    assert str(error.where).endswith("Dockerfile:5")
    assert error.details[-2:] == ("some output", message)
    assert "7" in str(error.hint)


@pytest.mark.parametrize(
    "message",
    [
        "write /var/lib/docker/tmp: no space left on device",
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
        "net/http: TLS handshake timeout",
        "toomanyrequests: You have reached your pull rate limit",
    ],
)
def test_the_engines_own_trouble_is_no_failed_build(stream: BuildStream, message: str) -> None:
    with pytest.raises(RemoteError) as caught:
        list(stream.feed({"error": message}))
    assert caught.value.exit_code == 5


def test_a_step_that_was_killed_may_be_run_again(stream: BuildStream) -> None:
    """By the kernel, short of memory, or by an engine that is stopped: nothing is wrong with the Dockerfile."""
    list(stream.feed({"stream": "Step 2/2 : RUN make\n"}))
    with pytest.raises(RemoteError, match="killed at step 2 of 2: RUN make") as caught:
        list(stream.feed({"error": "The command '/bin/sh -c make' returned a non-zero code: 137"}))
    assert "memory" in str(caught.value.hint)


def test_a_command_that_mentions_trouble_is_a_failed_build(stream: BuildStream) -> None:
    message = "The command '/bin/sh -c grep \"connection refused\" unauthorized' returned a non-zero code: 1"
    with pytest.raises(BuildFailed):
        list(stream.feed({"error": message}))


def test_a_base_that_wants_a_login_is_a_refused_login(stream: BuildStream) -> None:
    with pytest.raises(LoginRefused) as caught:
        list(stream.feed({"error": 'Head "https://ghcr.io/v2/a/b/manifests/1": unauthorized'}))
    assert caught.value.exit_code == 5


def test_a_step_for_buildkit_says_so(stream: BuildStream) -> None:
    with pytest.raises(BuildFailed) as caught:
        list(stream.feed({"error": "the --mount option requires BuildKit."}))
    assert "classic builder" in str(caught.value.hint)


def test_an_image_that_is_no_digest_is_an_error(stream: BuildStream) -> None:
    with pytest.raises(RemoteError):
        list(stream.feed({"aux": {"ID": "latest"}}))


def test_a_stream_without_an_end_is_an_error_of_the_engine(stream: BuildStream) -> None:
    list(stream.feed({"stream": "Step 1/4 : FROM scratch\n"}))
    assert stream.image is None
    assert stream.broken_off().exit_code == 5


@pytest.mark.parametrize("event", [{}, {"stream": None}, {"aux": []}, {"status": 5}, {"stream": 7}])
def test_events_of_unknown_shape_are_passed_over(stream: BuildStream, event: dict[str, object]) -> None:
    assert list(stream.feed(event)) == []


def test_a_line_without_end_stays_small(stream: BuildStream) -> None:
    for _ in range(100):
        assert list(stream.feed({"stream": "x" * 10_000})) == []
    (line,) = stream.end()
    assert len(line) <= 4096
