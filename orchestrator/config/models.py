"""The two configuration files as pydantic models. Unknown keys are errors; every field says what it is for.

``hybrid-ci.yaml`` belongs to the application, ``.hybrid-ci/environments.yaml`` to the GitOps repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from orchestrator.core.change import encode
from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.core.image import Platform, Repository
from orchestrator.core.names import BranchName, RemoteURL

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?")
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>Ki|Mi|Gi)")
_SIZES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SMALLEST_MEMORY, _LARGEST_MEMORY = 4 << 20, 1 << 40  # Docker takes no less; more is a slip of the pen
_LONGEST_REF_PART = 200  # bytes; a file system's names end at 255, and git adds ".lock"
_TAG_FIELDS = {"version", "sha", "commit", "branch", "date"}


class Model(BaseModel):
    """Strict by default: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check(kind: Callable[[str], object], text: str) -> str:
    """The text, when the domain type takes it; its own words as pydantic's error when not."""
    try:
        kind(text)
    except HybridCIError as error:
        raise ValueError(error.message + (f"; {error.hint}" if error.hint else "")) from None
    return text


def _checked(kind: Callable[[str], object]) -> AfterValidator:
    return AfterValidator(partial(_check, kind))


def _seconds(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write a duration as 30s, 5m or 1h")
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match["number"]) * _UNITS[match["unit"] or "s"]
    if isinstance(value, str):
        raise ValueError("write a duration as 30s, 5m or 1h")
    return value


def _bytes(value: object) -> object:
    if not isinstance(value, str) or not (match := _SIZE.fullmatch(value)):
        raise ValueError("write a size as 256Mi or 1Gi")
    size = int(match["number"]) * _SIZES[match["unit"]]
    if not _SMALLEST_MEMORY <= size <= _LARGEST_MEMORY:
        raise ValueError("a container gets between 4Mi and 1024Gi")
    return size


def _argv(value: object) -> object:
    return ["/bin/sh", "-c", value] if isinstance(value, str) and value.strip() else value


def _matching(pattern: re.Pattern[str], rule: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


def _is_url(text: str) -> bool:
    return "://" in text or "@" in text.partition("/")[0] or "::" in text


def _gitops_url(text: str) -> str:
    if _is_url(text):
        return _check(RemoteURL, text)
    if not text.isprintable():
        raise ValueError("a path holds no control characters")
    return text


def _path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError("write a relative path without '..'")
    return text


def _short_enough_for_a_branch(text: str) -> str:
    """In a branch, every upper-case letter and sign of the name takes three characters."""
    if len(encode(text)) > _LONGEST_REF_PART:
        raise ValueError("the name is too long for a branch; use fewer upper-case letters and signs")
    return text


def _tag_template(text: str) -> str:
    fields = set(re.findall(r"\{([^}]*)\}", text))
    if unknown := fields - _TAG_FIELDS:
        known = ", ".join(f"{{{name}}}" for name in sorted(_TAG_FIELDS))
        raise ValueError(f"{{{sorted(unknown)[0]}}} is not known in a tag; use {known}")
    return text


Name = Annotated[str, _matching(_NAME, "use lower-case letters, digits, '.', '_' and '-' (at most 63)")]
EnvironmentName = Annotated[
    str,
    _matching(_ENVIRONMENT, "use letters, digits, '.', '_', '-' and '/' (at most 100)"),
    AfterValidator(_short_enough_for_a_branch),
]
Seconds = Annotated[
    float, BeforeValidator(_seconds), Field(gt=0, le=86_400, json_schema_extra={"type": ["number", "string"]})
]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(json_schema_extra={"type": "string"})]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Argv = Annotated[
    tuple[str, ...],
    BeforeValidator(_argv),
    Field(min_length=1, json_schema_extra={"type": ["array", "string"], "minItems": 1, "minLength": 1}),
]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_path)]
RepositoryName = Annotated[str, _checked(Repository.parse)]
PlatformName = Annotated[str, _checked(Platform.parse)]
Branch = Annotated[str, _checked(BranchName)]
TagTemplate = Annotated[str, Field(min_length=1), AfterValidator(_tag_template)]


class HttpCheck(Model):
    """What a running container must answer."""

    port: Port = Field(description="Port inside the container; published on loopback for the test.")
    path: str = Field(default="/", pattern=r"^/", description="Path to ask for.")
    status: int = Field(default=200, ge=100, le=599, strict=True, description="Status that the answer must have.")
    contains: str | None = Field(default=None, description="Text that the answer's body must hold.")


class TestConfig(Model):
    """One test of a built image: a command inside it, or an HTTP request to it."""

    __test__ = False  # pytest collects by name

    name: Name = Field(description="What the test is called in reports.")
    run: Argv | None = Field(
        default=None, description="Command inside the container: a list, or a line for /bin/sh -c."
    )
    http: HttpCheck | None = Field(default=None, description="Smoke test: start the image and ask it.")
    junit: str | None = Field(
        default=None, pattern=r"^/", description="JUnit XML (file or folder) to read from the container."
    )
    environment: dict[str, str] = Field(default_factory=dict, description="Variables for the container. No secrets.")
    network: bool = Field(default=False, strict=True, description="Let the container reach the network.")
    user: str | None = Field(default=None, description="User to run as instead of the image's own.")
    timeout: Seconds = Field(default=300.0, description="Time limit, such as 30s or 5m.")
    memory: Bytes = Field(default=512 << 20, description="Memory limit, such as 256Mi.")

    @model_validator(mode="after")
    def _one_kind(self) -> TestConfig:
        if (self.run is None) == (self.http is None):
            raise ValueError("give exactly one of 'run' (a command) and 'http' (a smoke test)")
        if self.http is not None and self.junit is not None:
            raise ValueError("'junit' belongs to a test with 'run'")
        return self


class ImageConfig(Model):
    """One image of the application: where it goes, how it is built, what it must pass."""

    repository: RepositoryName = Field(description="Where it is pushed: registry[:port]/path, without a tag.")
    context: RelativePath = Field(default=".", description="Build context, relative to this file.")
    dockerfile: RelativePath | None = Field(
        default=None, description="Dockerfile, relative to this file; default CONTEXT/Dockerfile."
    )
    args: dict[str, str] = Field(
        default_factory=dict, description="Build arguments. No secrets: they stay in the image's history."
    )
    target: str | None = Field(default=None, description="Build stage to stop at.")
    labels: dict[str, str] = Field(default_factory=dict, description="Further labels for the image.")
    platform: PlatformName | None = Field(default=None, description="Platform to build for, such as linux/amd64.")
    tag: TagTemplate | None = Field(default=None, description="Tag template for this image alone.")
    tests: list[TestConfig] = Field(
        default_factory=list, description="What the built image must pass before it is pushed."
    )


class GitOpsConfig(Model):
    """Where to hand off."""

    repository: Annotated[str, AfterValidator(_gitops_url)] = Field(
        min_length=1, description="The GitOps repository: https://, ssh://, user@host:path, or a path."
    )
    environment: EnvironmentName = Field(description="The environment that a release is handed off to.")
    base: Branch = Field(
        default="main", description="The protected branch that holds the policy and takes pull requests."
    )
    forge: Annotated[str, AfterValidator(_gitops_url)] = Field(
        default="auto",
        min_length=1,
        description="'auto' (by the repository's host), or the path of an embedded local forge.",
    )


class ApplicationConfig(Model):
    """``hybrid-ci.yaml``."""

    version: Literal[1] = Field(description="Version of this format.")
    application: Name = Field(description="The application's name, as the GitOps policy knows it.")
    gitops: GitOpsConfig = Field(description="Where to hand off.")
    images: dict[Name, ImageConfig] = Field(min_length=1, description="The images of this application, by name.")
    tag: TagTemplate = Field(default="{sha}", description="Tag template: {version}, {sha}, {commit}, {branch}, {date}.")


class TargetConfig(Model):
    """A tag-only place whose repository lives in a chart."""

    file: RelativePath = Field(description="File, relative to the repository's root; {application} is replaced.")
    path: str = Field(min_length=1, description="Where the tag is, such as image.tag.")
    image: RepositoryName = Field(description="The repository that the chart puts before it.")


class EnvironmentConfig(Model):
    """One environment."""

    paths: list[RelativePath] = Field(min_length=1, description="Its files: globs with {application}.")
    after: list[EnvironmentName] = Field(default_factory=list, description="Environments that come before it.")
    strategy: Literal["pull-request", "commit"] = Field(default="pull-request", description="How a change reaches it.")
    branch: Branch | None = Field(default=None, description="For strategy 'commit': the branch of its own.")
    targets: list[TargetConfig] = Field(default_factory=list, description="Tag-only places, resolved by hand.")

    @model_validator(mode="after")
    def _own_branch(self) -> EnvironmentConfig:
        if (self.strategy == "commit") != (self.branch is not None):
            raise ValueError("strategy 'commit' needs a 'branch' of its own, and only that strategy has one")
        return self


class ApplicationRuleConfig(Model):
    """What one application may do here."""

    images: list[str] = Field(
        min_length=1, description="Image repositories it may change: globs such as ghcr.io/acme/shop/*."
    )
    environments: list[EnvironmentName] = Field(
        default_factory=list, description="Environments it may hand off to; empty: all."
    )
    paths: list[RelativePath] = Field(
        default_factory=list, description="Paths it may touch; empty: those of the environment."
    )


class WaiverConfig(Model):
    """A written exception from the cluster-credential guard."""

    signal: str = Field(min_length=1, description="The signal, exactly as the refusal names it.")
    reason: str = Field(min_length=10, description="Why CI may hold it; shown in every pull request.")


class GuardConfig(Model):
    """The cluster-credential guard's exceptions."""

    waivers: list[WaiverConfig] = Field(
        default_factory=list, description="Signals that are accepted, each with a reason."
    )


class PolicyConfig(Model):
    """``.hybrid-ci/environments.yaml``."""

    version: Literal[1] = Field(description="Version of this format.")
    base: Branch = Field(default="main", description="The base branch: this file counts on that branch only.")
    environments: dict[EnvironmentName, EnvironmentConfig] = Field(
        min_length=1, description="The environments, by name."
    )
    applications: dict[str, ApplicationRuleConfig] = Field(
        default_factory=dict, description="Who may do what; empty: no restriction."
    )
    registries: list[str] = Field(
        default_factory=list, description="Image repositories that are allowed here, as globs; empty: all."
    )
    writers: list[str] = Field(
        default_factory=list, description="Committers whose commits on our branches are ours: addresses."
    )
    guard: GuardConfig = Field(default_factory=GuardConfig, description="The cluster-credential guard's exceptions.")


def remote_url(text: str, directory: Path) -> RemoteURL:
    """The repository's URL; a relative path is taken from the configuration file's folder.

    Raises InvalidName for what is neither, ConfigurationError for the home of a user that does not exist.
    """
    if _is_url(text):
        return RemoteURL(text)
    try:
        return RemoteURL(str((directory / Path(text).expanduser()).resolve()))
    except RuntimeError:
        raise ConfigurationError(f"{text!r} names a user's home that is not there", where="gitops") from None
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a path", where="gitops") from None
