"""Redaction at the output stream, and where secrets are read from."""

from __future__ import annotations

import io
import json
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ci import redact
from orchestrator.ci.redact import RedactingStream, read_secret
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import MASK, Redactor, Secret

CANARY = "canary-0123456789-xyz"
KEY = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEF", "AASCBKcwggSjAgEAAoIBAQC7VJTU", "t9Us8cKj"]
KEY_END = "-----END RSA PRIVATE KEY-----"


def stream() -> tuple[io.StringIO, RedactingStream]:
    out = io.StringIO()
    return out, RedactingStream(out, Redactor([Secret(CANARY, "$TOKEN")]))


# --- the stream ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 60), max_size=5).map(sorted))
def test_a_secret_that_arrives_in_pieces_is_masked(cuts: list[int]) -> None:
    text = f"one line\nbefore {CANARY} after\nlast {CANARY}"
    out, redacting = stream()
    edges = [0, *cuts, len(text)]
    for begin, end in pairwise(edges):
        assert redacting.write(text[begin:end]) == len(text[begin:end])
    redacting.flush()
    assert out.getvalue() == f"one line\nbefore {MASK} after\nlast {MASK}"


def test_whole_lines_come_out_at_once_and_a_part_of_one_with_the_flush() -> None:
    out, redacting = stream()
    redacting.write("one\ntw")
    assert out.getvalue() == "one\n"
    redacting.write("o")
    assert out.getvalue() == "one\n"
    redacting.flush()
    assert out.getvalue() == "one\ntwo"
    redacting.flush()
    assert out.getvalue() == "one\ntwo"


def test_writelines_and_print_pass_through_the_redaction() -> None:
    out, redacting = stream()
    redacting.writelines([f"a {CANARY}\n", f"b {CANARY}\n"])
    print("c", CANARY, file=redacting)  # type: ignore[call-overload]
    assert out.getvalue() == f"a {MASK}\nb {MASK}\nc {MASK}\n"


def test_bytes_written_past_the_text_layer_are_redacted_too() -> None:
    raw = io.BytesIO()
    redacting = RedactingStream(io.TextIOWrapper(raw, encoding="utf-8"), Redactor([Secret(CANARY, "$TOKEN")]))
    redacting.buffer.write(f"bytes {CANARY}\n".encode())
    redacting.flush()
    assert raw.getvalue() == f"bytes {MASK}\n".encode()


def test_many_threads_lose_nothing_and_leak_nothing() -> None:
    out, redacting = stream()

    def write(number: int) -> None:
        for index in range(200):
            redacting.write(f"{number} {index} {CANARY}\n")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    redacting.flush()
    lines = out.getvalue().splitlines()
    assert sorted(lines) == sorted(f"{number} {index} {MASK}" for number in range(8) for index in range(200))


def test_a_private_key_that_arrives_line_by_line_is_masked() -> None:
    out, redacting = stream()
    for line in ["before", *KEY, KEY_END, "after MIIEvQIBADANBgkqhkiG9w0BAQEF"]:
        redacting.write(f"build | {line}\n")
    shown = out.getvalue()
    assert all(line not in shown.partition("after")[0] for line in KEY)
    assert shown.startswith("build | before\n")
    assert shown.endswith("after MIIEvQIBADANBgkqhkiG9w0BAQEF\n")
    assert len(shown.splitlines()) == len(KEY) + 3


def test_a_private_key_in_json_lines_is_masked_and_the_lines_stay_json() -> None:
    out, redacting = stream()
    for line in [*KEY, KEY_END]:
        redacting.write(json.dumps({"event": "log", "line": line}) + "\n")
    shown = [json.loads(line)["line"] for line in out.getvalue().splitlines()]
    assert len(shown) == len(KEY) + 1
    assert not set(shown) & set(KEY)


def test_a_header_alone_does_not_mask_the_rest_of_the_run() -> None:
    out, redacting = stream()
    redacting.write(f"{KEY[0]}\n")
    for number in range(1000):
        redacting.write(f"sha256:{'ab' * 32} {number}\n")
    assert out.getvalue().endswith(f"sha256:{'ab' * 32} 999\n")


def test_what_the_stream_is_otherwise_stays_so() -> None:
    _, redacting = stream()
    assert redacting.isatty() is False
    assert redacting.encoding is None


# --- installation -------------------------------------------------------------------------------------------------


def replaced_streams(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    return out, err


@pytest.mark.parametrize(
    "name",
    [
        *redact.SECRET_VARIABLES,
        "HYBRID_CI_REGISTRY_PASSWORD_GHCR_IO",
    ],
)
def test_the_secrets_of_the_environment_are_known_from_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = replaced_streams(monkeypatch)  # here and not in a fixture: pytest puts its own back in between
    canary = f"canary of {name}"
    monkeypatch.setenv(name, canary)
    redact.install()
    redact.install()  # twice is once
    print(canary)
    print(canary, file=sys.stderr)
    assert [stream.getvalue() for stream in streams] == [f"{MASK}\n", f"{MASK}\n"]


def test_a_process_without_stdout_is_left_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    redact.install()
    assert sys.stdout is None


# --- where secrets come from --------------------------------------------------------------------------------------


def test_a_secret_is_read_from_its_variable() -> None:
    secret = read_secret("TOKEN", {"TOKEN": CANARY})
    assert secret is not None
    assert (secret.reveal(), secret.source) == (CANARY, "$TOKEN")
    assert redact.redactor(CANARY) == MASK


def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("canary-from-file\n")
    secret = read_secret("TOKEN", {"TOKEN_FILE": str(file)})
    assert secret is not None
    assert (secret.reveal(), secret.source) == ("canary-from-file", "$TOKEN_FILE")
    assert redact.redactor("canary-from-file") == MASK


def test_the_variable_comes_before_the_file(tmp_path: Path) -> None:
    secret = read_secret("TOKEN", {"TOKEN": CANARY, "TOKEN_FILE": str(tmp_path / "missing")})
    assert secret is not None
    assert secret.reveal() == CANARY


@pytest.mark.parametrize("environment", [{}, {"TOKEN": ""}, {"TOKEN": "", "TOKEN_FILE": ""}])
def test_no_secret_is_none(environment: dict[str, str]) -> None:
    assert read_secret("TOKEN", environment) is None


def test_a_secret_file_that_is_missing_or_no_text_is_explained(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"canary\xff\xfe")
    for file, reason in [(tmp_path / "missing", "No such file"), (tmp_path, "directory"), (binary, "not text")]:
        with pytest.raises(ConfigurationError, match="can't be read") as caught:
            read_secret("TOKEN", {"TOKEN_FILE": str(file)})
        assert reason in caught.value.message
        assert caught.value.where == f"$TOKEN_FILE={file}"
        assert caught.value.__cause__ is None
        assert "canary" not in str(caught.value)


def test_an_endless_secret_file_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="larger than 64 KiB"):
        read_secret("TOKEN", {"TOKEN_FILE": "/dev/zero"})
