"""The files by which a CI runs hybrid-ci: what they depend on, and the texts of each system."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.text import printable

HOME = "hybrid-ci/hybrid-ci"


@dataclass(frozen=True, slots=True)
class Application:
    """What the pipeline of an application depends on.

    ``config`` is the configuration's path in its repository; ``registries`` and ``secrets`` (names of variables that
    builds and stages ask for) are those of all its images; ``uses`` is where hybrid-ci is taken from.
    """

    config: str
    branch: str
    images: tuple[str, ...]
    registries: tuple[str, ...]
    secrets: tuple[str, ...]
    uses: Source


@dataclass(frozen=True, slots=True)
class Environments:
    """What the pipelines of a GitOps repository depend on: its environments in their order, and applications."""

    names: tuple[str, ...]
    applications: tuple[str, ...]
    uses: Source


@dataclass(frozen=True, slots=True)
class Source:
    """A repository that holds the action and the templates, at a tag or a commit."""

    repository: str
    ref: str
    version: str

    @property
    def pinned(self) -> bool:
        """At a commit, which can't move."""
        return len(self.ref) == 40 and all(c in "0123456789abcdef" for c in self.ref)


def made_by(command: str, file: str) -> str:
    """The first line of every such file."""
    return (
        f"Made by `hybrid-ci generate {command}` from {printable(file)}; `--check` tells when it has to be made again."
    )
