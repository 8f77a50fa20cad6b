"""Who may be told a password: the challenge is parsed and its realm is checked before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.images.registry_auth import (
    BasicChallenge,
    BearerChallenge,
    UntrustedRealm,
    api_host,
    check_realm,
    is_loopback,
    parse_challenge,
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', BasicChallenge()),
        ("basic", BasicChallenge()),
        ('Bearer realm="https://a/t",service="s"', BearerChallenge("https://a/t", "s")),
        ('Bearer realm="https://a/t?x=1,2",scope="repository:a:pull,push"', BearerChallenge("https://a/t?x=1,2", None)),
        ("Bearer realm=https://a/t, service=s", BearerChallenge("https://a/t", "s")),
        ('bearer  Realm = "https://a/t" , Service = "s"', BearerChallenge("https://a/t", "s")),
        ('Basic realm="x", Bearer realm="https://a/t",service="s"', BearerChallenge("https://a/t", "s")),
        ('Bearer realm="https://a/t",service="s", Basic realm="x"', BearerChallenge("https://a/t", "s")),
        ('Negotiate, Basic realm="x"', BasicChallenge()),
        ('Bearer service="s"', None),
        ("Digest realm=x", None),
        ("", None),
    ],
)
def test_a_challenge_is_read(header: str, expected: object) -> None:
    assert parse_challenge(header) == expected


@given(st.text(max_size=300))
def test_no_header_breaks_the_parser(header: str) -> None:
    parse_challenge(header)
    parse_challenge(f"Bearer {header}")


@pytest.mark.parametrize("size", [10_000, 200_000])
def test_a_hostile_header_takes_no_time(size: int) -> None:
    parse_challenge("Bearer " + 'a="' * size)
    parse_challenge("Bearer " + "," * size)
    parse_challenge("Basic " + " " * size)


@pytest.mark.parametrize(
    ("realm", "host"),
    [
        ("https://ghcr.io/token", "ghcr.io"),
        ("https://GHCR.io/token", "ghcr.io"),
        ("https://auth.docker.io/token", "registry-1.docker.io"),
        ("https://gitlab.com/jwt/auth", "registry.gitlab.com"),
        ("https://git.example.com/jwt/auth", "git.example.com:5050"),
        ("http://127.0.0.1:5001/token", "127.0.0.1:5000"),
    ],
)
def test_a_realm_that_belongs_to_the_registry_is_trusted(realm: str, host: str) -> None:
    assert check_realm(realm, host) == realm


@pytest.mark.parametrize(
    ("realm", "host"),
    [
        ("https://evil.example/token", "ghcr.io"),
        ("https://ghcr.io.evil.example/token", "ghcr.io"),
        ("https://evil.example/ghcr.io", "ghcr.io"),
        ("https://ghcr.io@evil.example/token", "ghcr.io"),
        ("https://user:word@ghcr.io/token", "ghcr.io"),
        ("https://evil.example\\@ghcr.io/token", "evil.example.org"),
        ("http://ghcr.io/token", "ghcr.io"),
        ("http://auth.docker.io/token", "registry-1.docker.io"),
        ("https://auth.docker.io/token", "ghcr.io"),
        ("http://127.0.0.1/token", "ghcr.io"),
        ("http://localhost:1/token", "127.0.0.1:5000"),
        ("ftp://ghcr.io/token", "ghcr.io"),
        ("file:///etc/passwd", "ghcr.io"),
        ("//ghcr.io/token", "ghcr.io"),
        ("/token", "ghcr.io"),
        ("https:///token", "ghcr.io"),
        ("https://[::1/token", "ghcr.io"),
        ("https://ghcr.io:99999999/token", "ghcr.io"),
        ("", "ghcr.io"),
    ],
)
def test_evil_realm_is_refused(realm: str, host: str) -> None:
    with pytest.raises(UntrustedRealm):
        check_realm(realm, host)


def test_another_token_host_may_be_allowed_by_name() -> None:
    allowed = {"registry.example.com": frozenset({"login.example.com"})}
    assert check_realm("https://login.example.com/t", "registry.example.com", allowed)
    with pytest.raises(UntrustedRealm):
        check_realm("https://login.example.com/t", "other.example.com", allowed)


def test_docker_io_is_only_a_name() -> None:
    assert api_host("docker.io") == "registry-1.docker.io"
    assert api_host("ghcr.io") == "ghcr.io"


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:5000"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["ghcr.io", "127.0.0.1.evil.example", "localhost.evil.example:80", "0.0.0.0", ""])
def test_nothing_else_is_loopback(host: str) -> None:
    assert not is_loopback(host)
