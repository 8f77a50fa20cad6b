"""Build arguments stay readable in an image, so no secret passes as one."""

from __future__ import annotations

import base64

import pytest

from orchestrator.core.secret import Redactor, Secret
from orchestrator.images.build_arguments import SecretBuildArgument, check_build_arguments, looks_secret

CANARY = "canary-4f1b9c77"


@pytest.mark.parametrize(
    "name",
    [
        "TOKEN", "NPM_TOKEN", "npm_token", "npmToken", "GITHUB_PAT", "DB_PASSWORD", "PGPASSWORD", "DB_PASS", "PASSWD",
        "passphrase", "SECRET", "CLIENT_SECRET", "clientSecret", "API_KEY", "APIKEY", "apiKey", "SSH_PRIVATE_KEY",
        "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "CREDENTIALS", "NEXUS_CREDS", "BASIC_AUTH", "SIGNING-KEY",
    ],
)  # fmt: skip
def test_a_name_of_a_secret_is_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "VERSION", "BASE", "HTTP_PROXY", "TOKENIZER_VERSION", "KEYBOARD", "MONKEY", "PATH", "PATCH", "COMPASS",
        "AUTHOR", "BUILD_DATE", "SECRETARY", "PASSENGER_VERSION", "PUBLIC_KEY", "GIT_SHA", "",
    ],
)  # fmt: skip
def test_a_name_that_only_resembles_one_passes(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"https://user:{CANARY}@example.com",
        base64.b64encode(f"user:{CANARY}".encode()).decode(),
        "ghp_" + "a" * 36,
        "glpat-" + "a" * 20,
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
    ],
)
def test_secret_build_arg_refused(value: str) -> None:
    redact = Redactor([Secret(CANARY, "test")])
    with pytest.raises(SecretBuildArgument) as caught:
        check_build_arguments({"VERSION": "1", "ADDRESS": value}, redact, "image api: args")
    assert caught.value.exit_code == 2
    assert "ADDRESS" in caught.value.message
    assert value not in f"{caught.value.message}{caught.value.hint}{caught.value.details}{caught.value.where}"


def test_ordinary_arguments_pass() -> None:
    check_build_arguments({"VERSION": "1.2", "STARS": "***"}, Redactor([Secret(CANARY, "test")]), "x")
