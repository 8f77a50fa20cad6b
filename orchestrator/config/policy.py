"""``.hybrid-ci/environments.yaml`` as pydantic models: it belongs to the GitOps repository."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from orchestrator.config.fields import Branch, EnvironmentName, Model, RelativePath, RepositoryName


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
