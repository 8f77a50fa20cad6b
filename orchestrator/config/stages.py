"""``stages:`` of ``hybrid-ci.yaml``: work of the application's own, before, between and after the built-in stages."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.config.fields import Argv, Bytes, Model, Name, Port, RelativePath, Seconds
from orchestrator.core.errors import HybridCIError
from orchestrator.core.expression import parse
from orchestrator.core.image import ImageReference

HOST = "host"
RESERVED = frozenset({"preflight", "build", "test", "tested", "push", "handoff"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_OURS = "HYBRID_CI_"
_MOST_VARIANTS = 64


def _listed(value: object) -> object:
    """One text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _expression(text: str) -> str:
    try:
        parse(text)
    except HybridCIError as error:
        raise ValueError(f"{error.message} ({error.hint})" if error.hint else error.message) from None
    return text


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("the name of a variable has letters, digits and '_', and begins with no digit")
    return name


def _secret_name(name: str) -> str:
    if name.startswith(_OURS):
        raise ValueError(f"{_OURS}… are hybrid-ci's own settings and credentials; nothing that is run here gets them")
    return _variable(name)


def _service_image(text: str) -> str:
    try:
        ImageReference.parse(text)
    except HybridCIError as error:
        raise ValueError(f"{error.message}; name one of the images above, or a reference") from None
    return text


def _stage_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} is the name of a built-in stage")
    return name


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_listed),
    Field(json_schema_extra={"type": ["array", "string"]}),
]
Variable = Annotated[str, AfterValidator(_variable)]
SecretName = Annotated[str, AfterValidator(_secret_name)]
StageName = Annotated[Name, AfterValidator(_stage_name)]
Scalar = str | int | float | bool


def as_text(value: Scalar) -> str:
    """A value of the configuration as a variable holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class When(Model):
    """When a stage runs. Everything that is given has to hold; a stage that is left out counts as done."""

    branch: Texts = Field(default=(), description="The branch is one of these globs (`*` also passes over `/`).")
    tag: Texts = Field(default=(), description="A tag on the commit is one of these globs.")
    event: Texts = Field(default=(), description="The CI's event, such as push, schedule or workflow_dispatch.")
    paths: Texts = Field(default=(), description="The commit changes one of these paths (globs, or a folder).")
    condition: Annotated[str, AfterValidator(_expression)] | None = Field(
        default=None, alias="if", description="An expression over branch, tag, event, env.NAME and changed(…)."
    )


class HttpReady(Model):
    """A request that a service answers once it is ready."""

    port: Port = Field(description="Port inside the service's container.")
    path: str = Field(default="/", pattern=r"^/", description="Path to ask for.")
    status: int = Field(default=200, ge=100, le=599, strict=True, description="Status of the answer.")


class Ready(Model):
    """How to see that a service is ready: exactly one of these."""

    command: Argv | None = Field(default=None, description="A command inside its container that ends with 0.")
    tcp: Port | None = Field(default=None, description="A port that takes connections and keeps them.")
    http: HttpReady | None = Field(default=None, description="A request that it answers.")

    @model_validator(mode="after")
    def _one(self) -> Ready:
        if sum(way is not None for way in (self.command, self.tcp, self.http)) != 1:
            raise ValueError("give exactly one of 'command', 'tcp' and 'http'")
        return self


class ServiceConfig(Model):
    """A container that runs beside a stage, on a network that only the two share."""

    image: Annotated[str, AfterValidator(_service_image)] = Field(
        description="An image of this application by its name, or a reference; best pinned by digest."
    )
    command: Argv | None = Field(default=None, description="Instead of what the image would run.")
    environment: dict[Variable, Scalar] = Field(default_factory=dict, description="Variables. No secrets.")
    ready: Ready | None = Field(default=None, description="How to see that it is ready; without it, it is once begun.")
    timeout: Seconds = Field(default=60.0, description="How long it may take to get ready.")
    memory: Bytes = Field(default=512 << 20, description="Memory limit, such as 256Mi.")
    user: str | None = Field(default=None, description="User to run as instead of the image's own.")


class StageConfig(Model):
    """One stage: a command on this machine, or inside an image that this run has built."""

    run: Argv | None = Field(default=None, description="The command: a list, or a line for /bin/sh -c.")
    image: str = Field(
        default=HOST, min_length=1, description="Where it runs: 'host', or an image of this application."
    )
    needs: Texts = Field(
        default=(), description="Stages before it: build, test, push, handoff (all images), 'build api', or your own."
    )
    before: Texts | None = Field(
        default=None, description="Stages that wait for it. Default: push; handoff when it needs push itself."
    )
    when: When = Field(default_factory=When, description="When it runs; always, without this.")
    matrix: dict[Name, Annotated[list[Scalar], Field(min_length=1)]] = Field(
        default_factory=dict, description="Run it once for each combination; each value comes as $MATRIX_<NAME>."
    )
    timeout: Seconds = Field(default=600.0, description="Time limit of one attempt, such as 30s or 5m.")
    retries: int = Field(default=0, ge=0, le=10, strict=True, description="Further attempts when it fails.")
    allow_failure: bool = Field(default=False, strict=True, description="When it fails, the release goes on.")
    approval: bool = Field(
        default=False, strict=True, description="Refused without --approve NAME; nothing ever waits for a person."
    )
    environment: dict[Variable, Scalar] = Field(default_factory=dict, description="Variables. No secrets.")
    secrets: list[SecretName] = Field(
        default_factory=list, description="Names of variables that it gets from the job's environment; masked in logs."
    )
    services: dict[Name, ServiceConfig] = Field(
        default_factory=dict, description="Containers that run beside it (only for a stage in an image)."
    )
    directory: RelativePath = Field(default=".", description="Folder to run in, on the host.")
    network: bool = Field(default=False, strict=True, description="Let its container reach the network.")
    user: str | None = Field(default=None, description="User in the container instead of the image's own.")
    memory: Bytes = Field(default=512 << 20, description="Memory limit of its container.")

    @property
    def on_host(self) -> bool:
        """It runs on this machine and in no container."""
        return self.image == HOST

    @model_validator(mode="after")
    def _sound(self) -> StageConfig:
        if self.run is None and not self.approval:
            raise ValueError("give 'run' (a command), or 'approval: true' for a stage that only asks for one")
        if self.services and self.on_host:
            raise ValueError("'services' need a stage that runs in an image: name one in 'image'")
        if variants(self.matrix) > _MOST_VARIANTS:
            raise ValueError(f"the matrix makes more than {_MOST_VARIANTS} stages")
        return self


def variants(matrix: dict[str, list[Any]]) -> int:
    """How many stages a matrix makes."""
    count = 1
    for values in matrix.values():
        count *= len(values)
    return count
