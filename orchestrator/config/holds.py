"""The files of holds and vetoes: hybrid-ci writes them, and so may people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.config.fields import EnvironmentName, Model, RepositoryName, checked
from orchestrator.config.loader import validated
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import RepoPath

_TIME = "write a time with its zone, such as 2026-03-01T12:00:00Z"


def moment(value: object) -> object:
    """A time with its zone, as YAML or a person writes it. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(_TIME) from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(_TIME)
    return value


Time = Annotated[datetime, BeforeValidator(moment), WithJsonSchema({"type": "string"})]
DigestText = Annotated[str, checked(Digest)]


class _RuleConfig(Model):
    version: Literal[1] = Field(description="Version of this format.")
    environment: EnvironmentName = Field(description="The environment, or all clusters of it.")
    reason: str = Field(min_length=1, description="Why; whoever is refused reads it.")
    by: str = Field(min_length=1, description="Who asked for it.")
    at: Time = Field(description="When.")
    expires: Time | None = Field(default=None, description="When it ends by itself; without it, somebody lifts it.")


class HoldConfig(_RuleConfig):
    """``.hybrid-ci/holds/<environment>/<image>.yaml``: keep an image as it is."""

    image: RepositoryName = Field(description="The image's repository.")

    def build(self) -> Hold:
        """The hold."""
        image = Repository.parse(self.image)
        return Hold(self.environment, self.reason, self.by, self.at, self.expires, image)


class VetoConfig(_RuleConfig):
    """``.hybrid-ci/vetoes/<environment>/<digest>.yaml``: keep a digest out."""

    digest: DigestText = Field(description="The digest of the image or its index.")

    def build(self) -> Veto:
        """The veto."""
        return Veto(self.environment, self.reason, self.by, self.at, self.expires, Digest(self.digest))


_Rule = TypeVar("_Rule", Hold, Veto)


def load_holds(files: Mapping[RepoPath, bytes], origin: str) -> tuple[Hold, ...]:
    """The holds in these files, by path.

    Raises ConfigurationError for a broken one: a hold that can't be read may be one that counts.
    """
    return tuple(
        _in_its_place(validated(HoldConfig, content, f"{origin}: {path}")[0].build(), path, origin)
        for path, content in sorted(files.items())
    )


def load_vetoes(files: Mapping[RepoPath, bytes], origin: str) -> tuple[Veto, ...]:
    """The vetoes in these files, by path. Raises ConfigurationError for the first broken one."""
    return tuple(
        _in_its_place(validated(VetoConfig, content, f"{origin}: {path}")[0].build(), path, origin)
        for path, content in sorted(files.items())
    )


def _in_its_place(rule: _Rule, path: RepoPath, origin: str) -> _Rule:
    """The rule, when it stands where it is looked for and lifted. Raises ConfigurationError."""
    if rule.path != path:
        raise ConfigurationError(
            f"this file holds the {rule.kind} of {rule.subject} in {rule.environment}, and its name says another thing",
            where=f"{origin}: {path}",
            hint=f"name it {rule.path}; `hybrid-ci {rule.kind} set` does that",
        )
    return rule
