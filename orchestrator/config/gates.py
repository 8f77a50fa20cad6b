"""Gates as the policy file writes them: each entry of the list is one gate."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.config.fields import EnvironmentName, Model, Name, PlatformName, Seconds
from orchestrator.config.freezes import Length
from orchestrator.core.gates import (
    AllowedRegistryGate,
    ApprovalsGate,
    CommandGate,
    Gate,
    HttpGate,
    ImageExistsGate,
    SoakGate,
    TestsGate,
)
from orchestrator.core.image import Platform
from orchestrator.core.verdict import Result

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


def _url(text: str) -> str:
    """An address that a gate may ask. No message repeats what could be a credential."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (a port that is no number raises here)
    except ValueError:
        raise ValueError("the URL does not parse") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not text.isprintable() or " " in text:
        raise ValueError("write a URL such as https://slo.example/api/checkout")
    if "@" in parts.netloc:
        raise ValueError("the URL holds a credential; name the variable that has it with 'token'")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("plain http can be forged on its way; use https")
    return text


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise ValueError("write the name of an environment variable")
    return text


def _pointer(text: str) -> str:
    if not _POINTER.fullmatch(text):
        raise ValueError("write a JSON pointer (RFC 6901), such as /status/errorBudget")
    return text


def _command(value: list[str]) -> list[str]:
    if not _PROGRAM.fullmatch(value[0]):
        raise ValueError("name a program that is installed, without a path")
    return value


def _value(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("write a text, a number, true or false")
    return value


Variable = Annotated[str, AfterValidator(_variable)]


class SoakConfig(Model):
    """The image has run for a while somewhere before."""

    duration: Length = Field(description="For how long, such as 2h or 1d.")
    environments: list[EnvironmentName] = Field(
        default_factory=list, description="Where; empty: in the environments that come right before."
    )


class ApprovalsConfig(Model):
    """People approved the pull request's head."""

    teams: list[str] = Field(
        default_factory=list, description="Each of these teams, as the forge names them; empty: anybody."
    )
    count: int = Field(default=1, ge=1, le=20, strict=True, description="How many people (of each team).")


class ImageExistsConfig(Model):
    """The registry serves the digest."""

    platforms: list[PlatformName] = Field(default_factory=list, description="For each of these platforms.")


class TestsConfig(Model):
    """The record beside the image says that it was tested: a claim until it is signed."""

    __test__ = False  # pytest collects by name

    names: list[str] = Field(default_factory=list, description="Tests that have to be among those that passed.")


class HttpConfig(Model):
    """A GET answers as expected. No redirect is followed."""

    url: Annotated[str, AfterValidator(_url)] = Field(description="What to ask; https, or http on loopback.")
    status: int = Field(default=200, ge=100, le=599, strict=True, description="The status that is expected.")
    contains: str | None = Field(default=None, min_length=1, description="A text that the answer contains.")
    pointer: Annotated[str, AfterValidator(_pointer)] | None = Field(
        default=None, description="A value that a JSON answer has (RFC 6901), such as /status."
    )
    equals: Annotated[str | int | float | bool, BeforeValidator(_value)] | None = Field(
        default=None, description="What the value at 'pointer' is."
    )
    timeout: Seconds = Field(default=10.0, description="How long to wait for the answer.")
    token: Variable | None = Field(
        default=None, description="The environment variable whose value is sent as a bearer token."
    )
    otherwise: Literal["wait", "refuse"] = Field(default="wait", description="The verdict on any other answer.")

    @model_validator(mode="after")
    def _where_equal(self) -> HttpConfig:
        if self.equals is not None and self.pointer is None:
            raise ValueError("'equals' needs a 'pointer' to the value")
        return self


class CommandConfig(Model):
    """A tool prints a verdict as JSON: verdict, reason, and perhaps evidence and link."""

    run: Annotated[list[str], AfterValidator(_command)] = Field(
        min_length=1, description="Program and arguments. No shell reads them; the program is found on PATH."
    )
    environment: list[Variable] = Field(
        default_factory=list, description="Variables that it gets; it sees no others of the job."
    )
    network: bool = Field(default=False, strict=True, description="It may reach the network.")
    timeout: Seconds = Field(default=60.0, description="How long it may run.")


class GateConfig(Model):
    """One gate. Holds, vetoes, the order and freezes are always asked and stand elsewhere."""

    name: Name | None = Field(default=None, description="What it is called in tables; needed for http and command.")
    soak: SoakConfig | None = Field(default=None, description="The image has run before for a while.")
    approvals: ApprovalsConfig | None = Field(default=None, description="People approved the pull request.")
    image_exists: ImageExistsConfig | None = Field(
        default=None, alias="image-exists", description="The registry serves the image."
    )
    allowed_registry: list[str] | None = Field(
        default=None, min_length=1, alias="allowed-registry", description="Repositories it may come from, as globs."
    )
    tests: TestsConfig | None = Field(default=None, description="A record says that it was tested.")
    http: HttpConfig | None = Field(default=None, description="A server answers as expected.")
    command: CommandConfig | None = Field(default=None, description="A tool says so.")

    @model_validator(mode="after")
    def _exactly_one(self) -> GateConfig:
        kinds = [self.soak, self.approvals, self.image_exists, self.allowed_registry, self.tests, self.http]
        if sum(one is not None for one in (*kinds, self.command)) != 1:
            raise ValueError(
                "an entry is exactly one gate: soak, approvals, image-exists, allowed-registry, tests, http or command"
            )
        if (self.http or self.command) and self.name is None:
            raise ValueError("a gate that asks somebody else needs a 'name'")
        return self

    def build(self) -> Gate:
        """The gate."""
        if self.soak is not None:
            return SoakGate(self.soak.duration, tuple(self.soak.environments), self.name or SoakGate.kind)
        if self.approvals is not None:
            return ApprovalsGate(tuple(self.approvals.teams), self.approvals.count, self.name or ApprovalsGate.kind)
        if self.image_exists is not None:
            platforms = tuple(Platform.parse(text) for text in self.image_exists.platforms)
            return ImageExistsGate(platforms, self.name or ImageExistsGate.kind)
        if self.allowed_registry is not None:
            return AllowedRegistryGate(tuple(self.allowed_registry), self.name or AllowedRegistryGate.kind)
        if self.tests is not None:
            return TestsGate(tuple(self.tests.names), self.name or TestsGate.kind)
        if self.http is not None:
            return _http(self.name or HttpGate.kind, self.http)
        assert self.command is not None  # noqa: S101  (exactly one is there)
        return _command_gate(self.name or CommandGate.kind, self.command)


def _command_gate(name: str, config: CommandConfig) -> CommandGate:
    return CommandGate(name, tuple(config.run), tuple(config.environment), config.network, config.timeout)


def _http(name: str, config: HttpConfig) -> HttpGate:
    return HttpGate(
        name,
        config.url,
        config.status,
        config.contains,
        config.pointer,
        config.equals,
        config.timeout,
        config.token,
        Result(config.otherwise),
    )
