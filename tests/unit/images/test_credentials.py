"""Where registry logins come from, whom they are for, and that nobody else gets them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import Secret
from orchestrator.engine.process import Completed
from orchestrator.images.credentials import Anonymous, Login, RegistryCredentials

USERNAME, WORD = "HYBRID_CI_REGISTRY_USERNAME", "HYBRID_CI_REGISTRY_PASSWORD"
CANARY = "canary-0b6f3ec2"


class Docker:
    """A home with a docker configuration."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.answer = Completed(0, json.dumps({"Username": "helped", "Secret": CANARY}).encode(), b"")

    def configure(self, content: object) -> None:
        folder = self.home / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))

    def credentials(
        self, environment: Mapping[str, str] | None = None, own: tuple[str, ...] = ()
    ) -> RegistryCredentials:
        return RegistryCredentials(environment or {}, self.home, own, helper=self._help)

    def _help(self, name: str, registry: str, environment: Mapping[str, str]) -> Completed:
        self.asked.append((name, registry, environment))
        return self.answer


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def auth(user: str = "user", word: str = CANARY) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{word}".encode()).decode()}


def test_nothing_given_is_no_login(docker: Docker) -> None:
    assert docker.credentials().login("ghcr.io") is None
    assert Anonymous().login("ghcr.io") is None


def test_the_general_pair_is_for_the_registry_that_is_pushed_to(docker: Docker) -> None:
    logins = docker.credentials({USERNAME: "me", WORD: CANARY}, ("ghcr.io",))
    assert logins.login("ghcr.io") == Login("me", Secret(CANARY, "x"))
    assert logins.login("docker.io") is None
    assert logins.login("ghcr.io.evil.example") is None


def test_the_general_pair_is_refused_when_it_could_mean_two(docker: Docker) -> None:
    logins = docker.credentials({USERNAME: "me", WORD: CANARY}, ("ghcr.io", "quay.io"))
    with pytest.raises(ConfigurationError) as caught:
        logins.login("ghcr.io")
    assert f"{USERNAME}_GHCR_IO" in str(caught.value.hint)


def test_a_pair_for_one_registry_comes_first(docker: Docker) -> None:
    environment = {
        USERNAME: "me", WORD: "general", f"{USERNAME}_LOCALHOST_5000": "local", f"{WORD}_LOCALHOST_5000": CANARY
    }  # fmt: skip
    login = docker.credentials(environment, ("localhost:5000",)).login("localhost:5000")
    assert login == Login("local", Secret(CANARY, "x"))


@pytest.mark.parametrize("variable", [WORD, f"{WORD}_GHCR_IO"])
def test_a_password_may_stand_in_a_file(docker: Docker, tmp_path: Path, variable: str) -> None:
    (tmp_path / "word").write_text(f"{CANARY}\n")
    environment = {variable.replace(WORD, USERNAME): "me", f"{variable}_FILE": str(tmp_path / "word")}
    login = docker.credentials(environment, ("ghcr.io",)).login("ghcr.io")
    assert login is not None
    assert login.password.reveal() == CANARY


@pytest.mark.parametrize(
    "given", [{USERNAME: "me"}, {WORD: CANARY}, {USERNAME: "", WORD: CANARY}, {USERNAME: "me", WORD: ""}]
)
def test_half_a_login_is_named(docker: Docker, given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        docker.credentials(given, ("ghcr.io",)).login("ghcr.io")
    assert CANARY not in f"{caught.value}{caught.value.hint}{caught.value.details}"


def test_a_password_file_that_is_gone_is_named(docker: Docker, tmp_path: Path) -> None:
    environment = {USERNAME: "me", f"{WORD}_FILE": str(tmp_path / "gone")}
    with pytest.raises(ConfigurationError) as caught:
        docker.credentials(environment, ("ghcr.io",)).login("ghcr.io")
    assert f"{WORD}_FILE" in str(caught.value.where)


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_a_login_of_dockers_configuration_is_found(docker: Docker, key: str, registry: str) -> None:
    docker.configure({"auths": {"other.example": auth("wrong"), key: auth()}})
    assert docker.credentials().login(registry) == Login("user", Secret(CANARY, "x"))


@pytest.mark.parametrize("registry", ["ghcr.io.evil.example", "evil.example", "hcr.io", "localhost:5001", "localhost"])
def test_a_login_is_for_exactly_one_registry(docker: Docker, registry: str) -> None:
    docker.configure({"auths": {"ghcr.io": auth(), "localhost:5000": auth()}})
    assert docker.credentials().login(registry) is None


def test_docker_config_may_name_another_folder(docker: Docker, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {"ghcr.io": auth()}}))
    assert docker.credentials({"DOCKER_CONFIG": str(folder)}).login("ghcr.io")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (auth("user", "with:colon"), Login("user", Secret("with:colon", "x"))),
        ({"username": "user", "password": CANARY}, Login("user", Secret(CANARY, "x"))),
        ({"identitytoken": CANARY, "auth": "dXNlcjo="}, Login("", Secret(CANARY, "x"), is_identity_token=True)),
        ({}, None),
        ({"auth": ""}, None),
        ({"auth": base64.b64encode(b"user").decode()}, None),
        ([], None),
    ],
)
def test_the_forms_of_an_entry(docker: Docker, entry: Any, expected: Login | None) -> None:
    docker.configure({"auths": {"ghcr.io": entry}})
    assert docker.credentials().login("ghcr.io") == expected


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '{"auths": {"ghcr.io": {"auth": "!!!"}}}',
        '{"auths": {"ghcr.io": {"auth": "/w=="}}}',
        "[" * 100_000,
    ],
)
def test_a_broken_configuration_is_named_and_not_shown(docker: Docker, content: str) -> None:
    docker.configure(content)
    with pytest.raises(ConfigurationError) as caught:
        docker.credentials().login("ghcr.io")
    assert "config.json" in str(caught.value.where)
    assert "!!!" not in str(caught.value)


@pytest.mark.parametrize("configuration", [{"credHelpers": {"ghcr.io": "mine"}}, {"credsStore": "mine"}])
def test_a_credential_helper_is_asked(docker: Docker, configuration: object) -> None:
    docker.configure(configuration)
    assert docker.credentials().login("ghcr.io") == Login("helped", Secret(CANARY, "x"))
    assert [(name, registry) for name, registry, _ in docker.asked] == [("mine", "ghcr.io")]


def test_a_helper_for_another_registry_is_not_asked(docker: Docker) -> None:
    docker.configure({"credHelpers": {"ghcr.io": "mine"}})
    assert docker.credentials().login("quay.io") is None
    assert docker.asked == []


def test_a_helper_may_give_an_identity_token(docker: Docker) -> None:
    docker.configure({"credsStore": "mine"})
    docker.answer = Completed(0, json.dumps({"Username": "<token>", "Secret": CANARY}).encode(), b"")
    login = docker.credentials().login("ghcr.io")
    assert login is not None
    assert login.for_engine("ghcr.io") == {"identitytoken": CANARY, "serveraddress": "ghcr.io"}


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(docker: Docker) -> None:
    docker.configure({"credsStore": "mine", "auths": {"ghcr.io": auth()}})
    docker.answer = Completed(1, b"credentials not found in native keychain", b"")
    assert docker.credentials().login("ghcr.io") == Login("user", Secret(CANARY, "x"))


def test_a_helper_that_fails_is_named(docker: Docker) -> None:
    docker.configure({"credsStore": "mine"})
    docker.answer = Completed(1, CANARY.encode(), b"no display")
    with pytest.raises(ConfigurationError) as caught:
        docker.credentials().login("ghcr.io")
    assert caught.value.where == "docker-credential-mine"
    assert caught.value.details == ("no display",)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"Username": 1}', b'{"Username": "a", "Secret": ""}'])
def test_a_helper_that_answers_nonsense_gives_no_login(docker: Docker, answer: bytes) -> None:
    docker.configure({"credsStore": "mine"})
    docker.answer = Completed(0, answer, b"")
    try:
        assert docker.credentials().login("ghcr.io") is None
    except ConfigurationError as error:
        assert error.where == "docker-credential-mine"


@pytest.mark.parametrize("name", ["../evil", "a/b", "-x", "a b", "", "a;b", "x" * 100])
def test_a_helper_is_a_name_and_never_a_path(docker: Docker, name: str) -> None:
    docker.configure({"credsStore": name})
    if not name:
        assert docker.credentials().login("ghcr.io") is None
    else:
        with pytest.raises(ConfigurationError):
            docker.credentials().login("ghcr.io")
    assert docker.asked == []


def test_a_helper_sees_only_the_variables_that_its_store_needs(docker: Docker) -> None:
    docker.configure({"credHelpers": {"ghcr.io": "ecr-login"}})
    environment = {"AWS_PROFILE": "x", "HYBRID_CI_GIT_TOKEN": CANARY, "GITHUB_TOKEN": CANARY, "HOME": "/elsewhere"}
    docker.credentials(environment).login("ghcr.io")
    ((_, _, seen),) = docker.asked
    assert seen == {"AWS_PROFILE": "x", "HOME": str(docker.home)}


def test_a_real_helper_is_run_with_the_registry_on_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-real"
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username":"%s","Secret":"%s"}\' "$1" "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker = Docker(tmp_path)
    docker.configure({"credsStore": "real"})
    login = RegistryCredentials({}, tmp_path).login("docker.io")
    assert login == Login("get", Secret("https://index.docker.io/v1/", "x"))


def test_every_password_is_told_to_the_redactor(docker: Docker) -> None:
    told: list[Secret] = []
    docker.configure({"auths": {"ghcr.io": auth()}})
    RegistryCredentials({}, docker.home, on_secret=told.append).login("ghcr.io")
    assert [secret.reveal() for secret in told] == [CANARY]


def test_a_login_shows_no_password(docker: Docker) -> None:
    docker.configure({"auths": {"ghcr.io": auth()}})
    assert CANARY not in repr(docker.credentials().login("ghcr.io"))
    assert CANARY not in repr(docker.credentials({USERNAME: "me", WORD: CANARY}, ("ghcr.io",)))


def test_the_engine_wants_docker_hubs_old_address() -> None:
    login = Login("me", Secret(CANARY, "x"))
    assert login.for_engine("docker.io")["serveraddress"] == "https://index.docker.io/v1/"
