"""``hybrid-ci.yaml`` as pydantic models: it belongs to the application. Every field says what it is for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from orchestrator.config.fields import (
    Argv,
    Branch,
    Bytes,
    EnvironmentName,
    Model,
    Name,
    PlatformName,
    Port,
    ReferenceName,
    RelativePath,
    RepositoryName,
    Seconds,
    TagTemplate,
    gitops_url,
)
from orchestrator.config.stages import SecretName, StageConfig, StageName


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


class ImageNeed(Model):
    """An image of this application that another one is built upon, handed to its Dockerfile by a build argument."""

    image: Name = Field(description="The image, by its name here.")
    argument: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Build argument that gets its reference: `FROM ${BASE}`."
    )


class CacheConfig(Model):
    """Where BuildKit keeps the layers of an image between runs."""

    from_: list[ReferenceName] = Field(
        default_factory=list, alias="from", description="Registry references to read from."
    )
    to: list[ReferenceName] = Field(default_factory=list, description="Registry references to write to. Takes buildx.")


class ImageConfig(Model):
    """One image of the application: where it goes, how it is built, what it must pass."""

    repository: RepositoryName = Field(description="Where it is pushed: registry[:port]/path, without a tag.")
    context: RelativePath = Field(default=".", description="Build context, relative to this file.")
    dockerfile: RelativePath | None = Field(
        default=None, description="Dockerfile, relative to this file; default CONTEXT/Dockerfile."
    )
    context_limit: Bytes = Field(
        default=1 << 30, description="What the files of the build context may have together, such as 2Gi."
    )
    args: dict[str, str] = Field(
        default_factory=dict, description="Build arguments. No secrets: they stay in the image's history."
    )
    needs: list[Name | ImageNeed] = Field(
        default_factory=list,
        description="Images of this application that are built first. A FROM that names one's repository is seen "
        "without this.",
    )
    target: str | None = Field(default=None, description="Build stage to stop at.")
    labels: dict[str, str] = Field(default_factory=dict, description="Further labels for the image.")
    platform: PlatformName | None = Field(default=None, description="Platform to build for, such as linux/amd64.")
    platforms: list[PlatformName] = Field(
        default_factory=list, description="Several platforms: each is built, and an index over them is pinned."
    )
    emulated: list[PlatformName] = Field(
        default_factory=list,
        description="Those of 'platforms' whose tests the engine can run by emulation; its own is always tested.",
    )
    secrets: list[SecretName] = Field(
        default_factory=list,
        description="Variables (or NAME_FILE) that build steps may read: RUN --mount=type=secret,id=NAME. Takes "
        "BuildKit; they stay in no layer.",
    )
    ssh: list[str] = Field(
        default_factory=list, description="Agents for RUN --mount=type=ssh, such as 'default'. Takes BuildKit."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Layer cache in a registry. Takes BuildKit.")
    provenance: bool = Field(
        default=False, strict=True, description="Let BuildKit attach its provenance. Takes buildx."
    )
    tag: TagTemplate | None = Field(default=None, description="Tag template for this image alone.")
    reuse: Literal["tagged", "proven", "never"] = Field(
        default="tagged",
        description="When an unchanged image is not built again: when the registry holds it under its content key "
        "('tagged': it is tested again unless the GitOps base branch says that it was), only when the base branch "
        "says that it was tested ('proven'), or 'never'.",
    )
    tests: list[TestConfig] = Field(
        default_factory=list, description="What the built image must pass before it is pushed."
    )

    @model_validator(mode="after")
    def _platforms(self) -> ImageConfig:
        if self.platform is not None and self.platforms:
            raise ValueError("give either 'platform' or 'platforms'")
        if len(set(self.platforms)) < len(self.platforms):
            raise ValueError("a platform stands twice in 'platforms'")
        if unknown := [platform for platform in self.emulated if platform not in self.platforms]:
            raise ValueError(f"{unknown[0]} is emulated, and not one of 'platforms'")
        return self


class GitOpsConfig(Model):
    """Where to hand off."""

    repository: Annotated[str, AfterValidator(gitops_url)] = Field(
        min_length=1, description="The GitOps repository: https://, ssh://, user@host:path, or a path."
    )
    environment: EnvironmentName = Field(description="The environment that a release is handed off to.")
    base: Branch = Field(
        default="main", description="The protected branch that holds the policy and takes pull requests."
    )
    forge: Annotated[str, AfterValidator(gitops_url)] = Field(
        default="auto",
        min_length=1,
        description="'auto' (by the repository's host), 'github', 'gitlab', or the path of an embedded local forge.",
    )


class ApplicationConfig(Model):
    """``hybrid-ci.yaml``."""

    version: Literal[1] = Field(description="Version of this format.")
    application: Name = Field(description="The application's name, as the GitOps policy knows it.")
    gitops: GitOpsConfig = Field(description="Where to hand off.")
    images: dict[Name, ImageConfig] = Field(min_length=1, description="The images of this application, by name.")
    stages: dict[StageName, StageConfig] = Field(
        default_factory=dict, description="Further stages: lint, migration checks, integration tests."
    )
    builder: Literal["auto", "buildkit", "engine"] = Field(
        default="auto", description="What builds: BuildKit where the docker command has it ('auto'), always, or never."
    )
    buildx_builder: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Name of a buildx builder, perhaps a remote one.",
    )
    jobs: int | None = Field(
        default=None,
        ge=1,
        le=64,
        strict=True,
        description="Stages that may run at once; default: one a processor, at most 4.",
    )
    tag: TagTemplate = Field(default="{sha}", description="Tag template: {version}, {sha}, {commit}, {branch}, {date}.")
