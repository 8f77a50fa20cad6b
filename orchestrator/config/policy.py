"""``.hybrid-ci/environments.yaml`` as pydantic models: it belongs to the GitOps repository."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from orchestrator.config.fields import (
    Branch,
    EnvironmentName,
    Model,
    RelativePath,
    RepositoryName,
    checked,
    in_our_words,
)
from orchestrator.config.freezes import FreezeConfig
from orchestrator.config.gates import GateConfig
from orchestrator.core.delivery import CommitBy, Delivery, Merge, MergeMethod, Routing, WhileWaiting
from orchestrator.core.mirrors import registry_name
from orchestrator.core.waves import CLUSTER, REST, Rings, Size


def _size(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


WaveSize = Annotated[str, BeforeValidator(_size), checked(Size.parse), WithJsonSchema({"type": ["string", "integer"]})]
RegistryName = Annotated[str, checked(registry_name)]
Text = Annotated[str, Field(min_length=1)]
OrderName = Literal["ancestry", "sequence", "semver", "none"]
RegistryIdentity = Literal["aws", "gcp", "azure", "digitalocean", "ibm"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


RegistryIdentities = Annotated[
    list[RegistryIdentity],
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(get_args(RegistryIdentity))},
                {"type": "array", "items": {"enum": list(get_args(RegistryIdentity))}},
            ]
        }
    ),
]


def _release_ref(text: str) -> None:
    """A pattern of branches, or of whole refs. Raises ValueError."""
    name = text.removeprefix("refs/heads/").removeprefix("refs/tags/")
    if not name or name.startswith(("refs/", "/", "-")) or name.endswith("/") or any(c in name for c in " ~^:[]\\"):
        raise ValueError("a branch, refs/heads/… or refs/tags/…, with * for a part of a name and ** for any parts")


ReleaseRef = Annotated[str, checked(_release_ref)]


class TargetConfig(Model):
    """A tag-only place whose repository lives in a chart."""

    file: RelativePath = Field(description="File, relative to the repository's root; {application} is replaced.")
    path: str = Field(min_length=1, description="Where the tag is, such as image.tag.")
    image: RepositoryName = Field(description="The repository that the chart puts before it.")


class WavesConfig(Model):
    """An environment that is many clusters, and how many of them go at a time."""

    clusters: RelativePath = Field(description="The clusters' folders: a pattern with one '*', as clusters/prod-*.")
    sizes: list[WaveSize] = Field(
        default_factory=lambda: [REST],
        min_length=1,
        description="The waves, such as [1, 10%, rest]: numbers, shares of all clusters, and at the end the rest.",
    )

    @model_validator(mode="after")
    def _rings(self) -> WavesConfig:
        in_our_words(self.build)
        return self

    def build(self) -> Rings:
        """The rings. Raises ConfigurationError."""
        return Rings(self.clusters, tuple(Size.parse(size) for size in self.sizes))


class PullRequestConfig(Model):
    """How an environment's pull requests are handled."""

    reviewers: list[Text] = Field(default_factory=list, description="People who are asked for a review.")
    teams: list[Text] = Field(default_factory=list, description="Teams that are asked for a review.")
    assignees: list[Text] = Field(default_factory=list, description="People to whom it is assigned.")
    labels: list[Text] = Field(default_factory=list, description="Labels; they are made when missing.")
    waiting: Literal["draft", "none"] = Field(
        default="draft", description="While a gate says wait: a draft, or no pull request yet."
    )
    merge: Literal["manual", "auto"] = Field(
        default="manual", description="Who merges: a person, or the forge as soon as gates and its rules allow it."
    )
    method: Literal["merge", "squash", "rebase"] | None = Field(
        default=None, description="How; without it, as the repository is set up."
    )
    delete_branch: bool = Field(
        default=False, strict=True, alias="delete-branch", description="Delete the branch after the merge."
    )
    commit: Literal["git", "api"] = Field(
        default="git", description="Who makes the commit: git, or the forge by a call, which signs it."
    )

    def build(self) -> Delivery:
        """The handling."""
        return Delivery(
            Routing(tuple(self.reviewers), tuple(self.teams), tuple(self.assignees), tuple(self.labels)),
            WhileWaiting(self.waiting),
            Merge(self.merge),
            MergeMethod(self.method) if self.method else None,
            self.delete_branch,
            CommitBy(self.commit),
        )


class EnvironmentConfig(Model):
    """One environment."""

    paths: list[RelativePath] = Field(min_length=1, description="Its files: globs with {application}.")
    after: list[EnvironmentName] = Field(default_factory=list, description="Environments that come before it.")
    strategy: Literal["pull-request", "commit"] = Field(default="pull-request", description="How a change reaches it.")
    branch: Branch | None = Field(default=None, description="For strategy 'commit': the branch of its own.")
    targets: list[TargetConfig] = Field(default_factory=list, description="Tag-only places, resolved by hand.")
    waves: WavesConfig | None = Field(
        default=None, description="It is many clusters, promoted in waves; {cluster} in paths is a cluster's folder."
    )
    gates: list[GateConfig] = Field(default_factory=list, description="What is asked of a change before it lands.")
    freezes: list[FreezeConfig] = Field(default_factory=list, description="When nothing may change here.")
    order: dict[str, OrderName] = Field(
        default_factory=dict, description="How the order of images is told, by globs of repositories; first match."
    )
    mirrors: dict[RegistryName, RegistryName] = Field(
        default_factory=dict,
        description="Images that have other names here: registries, or the beginnings of repositories, "
        "as they are called at first, each with its name here.",
    )
    pull_request: PullRequestConfig = Field(
        default_factory=PullRequestConfig, alias="pull-request", description="How its pull requests are handled."
    )

    @model_validator(mode="after")
    def _own_branch(self) -> EnvironmentConfig:
        if (self.strategy == "commit") != (self.branch is not None):
            raise ValueError("strategy 'commit' needs a 'branch' of its own, and only that strategy has one")
        return self

    @model_validator(mode="after")
    def _clusters(self) -> EnvironmentConfig:
        if any((CLUSTER in path) != (self.waves is not None) for path in self.paths):
            raise ValueError("every path of an environment with 'waves' holds {cluster}, and no other path does")
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
    release_refs: list[ReleaseRef] = Field(
        default_factory=list,
        alias="release-refs",
        description="Branches and tags it may be released from; empty: those of the whole policy.",
    )


class WaiverConfig(Model):
    """A written exception from the cluster-credential guard."""

    signal: str = Field(min_length=1, description="The signal, exactly as the refusal names it.")
    reason: str = Field(min_length=10, description="Why CI may hold it; shown in every pull request.")


class GuardConfig(Model):
    """The cluster-credential guard's exceptions."""

    allow_registry_identity: RegistryIdentities = Field(
        default_factory=list,
        description="Clouds whose identity a job that pushes images may hold, because their registry needs it: "
        "aws, gcp, azure, digitalocean, ibm. One, or a list.",
    )

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
    freezes: list[FreezeConfig] = Field(default_factory=list, description="When nothing may change in any environment.")
    order: dict[str, OrderName] = Field(
        default_factory=dict, description="How the order of images is told, after what an environment says itself."
    )
    registries: list[str] = Field(
        default_factory=list, description="Image repositories that are allowed here, as globs; empty: all."
    )
    release_refs: list[ReleaseRef] = Field(
        default_factory=list,
        alias="release-refs",
        description="Branches and tags that a release may be made from, such as [main, refs/tags/v*]; empty: all.",
    )
    immutable_tags: bool = Field(
        default=False,
        strict=True,
        alias="immutable-tags",
        description="A tag that was published is never moved to another commit's image.",
    )
    require_tested_platforms: bool = Field(
        default=False,
        strict=True,
        alias="require-tested-platforms",
        description="Every platform of an image has to be tested before it is handed off.",
    )
    writers: list[str] = Field(
        default_factory=list,
        description="Addresses of those whose commits on our branches are ours; and, without an @, the accounts that "
        "may open our pull requests (none named: any).",
    )
    guard: GuardConfig = Field(default_factory=GuardConfig, description="The cluster-credential guard's exceptions.")
