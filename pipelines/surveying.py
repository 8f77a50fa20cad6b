"""What ``init`` can see around it, so that it need not ask: images, compose, CI, a GitOps layout, the repository."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.config.compose import find_compose
from orchestrator.config.starter import FoundImage, ci_in_use, find_images, with_compose
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RepoPath
from orchestrator.manifests.discover import Confidence, Proposal, discover
from pipelines.local_files import collect

_GENERATED = {"GitHub Actions": "github", "GitLab CI": "gitlab", "Jenkins": "jenkins"}


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. ``environments`` are those of manifests that lie in this very repository, first one first.

    ``registry`` is a guess by where the repository lives: the registry that its host offers.
    """

    images: tuple[FoundImage, ...]
    compose: str | None
    compose_problem: str | None
    systems: tuple[str, ...]
    environments: tuple[str, ...]
    registry: str | None

    @property
    def needs_registry(self) -> bool:
        """Nothing says of some image where it goes."""
        return any(image.repository is None for image in self.images)

    def told(self) -> Iterator[str]:
        """What was found, a line each."""
        yield f"found {len(self.images)} Dockerfile(s): {', '.join(image.name for image in self.images)}"
        if self.compose is not None:
            problem = f", which could not be read: {self.compose_problem}" if self.compose_problem else ""
            yield f"found {self.compose}{problem}"
        if self.systems:
            yield f"found CI: {', '.join(self.systems)}"
        if self.environments:
            yield f"found environments in this repository: {', '.join(self.environments)}"

    @property
    def generate(self) -> str | None:
        """The first CI in use, as ``hybrid-ci generate`` calls it."""
        return next((_GENERATED[name] for name in self.systems if name in _GENERATED), None)


def survey(root: Path, application: str, remote: str | None) -> Survey:
    """Look at a checkout. ``remote`` is where it was cloned from. Raises ConfigurationError for what can't be read."""
    compose = find_compose(root)
    images = with_compose(find_images(root, application), compose.services if compose is not None else ())
    return Survey(
        images,
        compose.name if compose is not None else None,
        compose.problem if compose is not None else None,
        ci_in_use(root),
        tuple(proposal.name for proposal in _layout(root)),
        registry_of(remote),
    )


def registry_of(remote: str | None) -> str | None:
    """The registry that the repository's host offers, for images of this repository; None for a host of one's own."""
    if remote is None:
        return None
    host, _, path = remote.rpartition("@")[2].partition(":") if "://" not in remote else ("", "", "")
    if "://" in remote:
        parts = urlsplit(remote)
        host, path = parts.hostname or "", parts.path
    project = path.strip("/").removesuffix(".git").lower()
    registries = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
    registry = registries.get(host.lower())
    return f"{registry}/{project}" if registry and project.count("/") >= 1 else None


def _layout(root: Path) -> tuple[Proposal, ...]:
    """The environments that manifests in this repository suggest, without the guesses, in the order of promotion."""
    top = root.resolve()
    try:
        paths = [RepoPath(file.real.relative_to(top).as_posix()) for file in collect([top])]
    except ConfigurationError:  # a folder that we may not read tells nothing
        return ()
    found = [one for one in discover(paths) if one.confidence is not Confidence.LOW]
    return tuple(sorted(found, key=lambda one: (one.rank, one.name)))
