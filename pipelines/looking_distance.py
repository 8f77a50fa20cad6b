"""How far an environment is behind the first one, in commits of the application.

The trailers' positions tell it for nothing; then the application's checkout; then the forge, a few times at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.change import ImageOrigin
from orchestrator.core.environment import Environment
from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, ImageReference, Repository
from orchestrator.core.names import CommitId
from orchestrator.forges.base import Comparing
from pipelines.looking import Looking, firsts

MOST_COMPARED = 8  # questions to the forge: the number of images does not change it
Origins = Mapping[tuple[Repository, Digest], ImageOrigin]
Running = Mapping[tuple[str, Repository], tuple[ImageReference, ...]]


class Told(StrEnum):
    """By what a distance is known."""

    DIGEST = "digest"  # it is the same one
    POSITION = "position"  # a claim of the releases' trailers
    CHECKOUT = "checkout"
    FORGE = "forge"
    NOBODY = "unknown"


@dataclass(frozen=True, slots=True)
class Behind:
    """So many commits behind ``first``; below zero: ahead of it. ``commits`` None: nobody can tell, or they diverged.

    ``reason`` says why nobody can.
    """

    first: str
    commits: int | None
    told: Told
    reason: str = ""


class Distances:
    """Tells distances; what the forge has to be asked is asked once for each pair of commits."""

    def __init__(
        self, looking: Looking, environments: Mapping[str, Environment], running: Running, origins: Origins
    ) -> None:
        self._looking, self._environments = looking, environments
        self._running, self._origins = running, origins
        self._known: dict[tuple[CommitId, CommitId], tuple[int | None, Told]] = {}
        self._compared = 0

    def behind(self, environment: str, image: Repository) -> Behind | None:
        """How far the image is behind in this environment; None where nothing comes before it."""
        candidates = [one for one in firsts(self._environments, environment) if one != environment]
        first = next((one for one in candidates if (one, image) in self._running), None)
        if first is None:
            return None
        here, there = self._running[environment, image], self._running[first, image]
        if here == there:
            return Behind(first, 0, Told.DIGEST)
        if len(here) != 1 or len(there) != 1:
            return Behind(first, None, Told.NOBODY, "several versions run")
        if here[0].digest is not None and here[0].digest == there[0].digest:
            return Behind(first, 0, Told.DIGEST)
        return self._by_origin(first, here[0], there[0])

    def _by_origin(self, first: str, here: ImageReference, there: ImageReference) -> Behind:
        ours, theirs = self._origin(here), self._origin(there)
        if ours is None or theirs is None:
            where = "here" if ours is None else f"in {first}"
            return Behind(first, None, Told.NOBODY, f"nobody recorded where the image {where} was built from")
        if ours.position is not None and theirs.position is not None and ours.position.branch == theirs.position.branch:
            return Behind(first, theirs.position.count - ours.position.count, Told.POSITION)
        if ours.source is None or theirs.source is None:
            return Behind(first, None, Told.NOBODY, "no source commit is recorded")
        commits, told = self._between(ours.source, theirs.source)
        return Behind(first, commits, told, "" if commits is not None else "the source commits can't be compared here")

    def _origin(self, image: ImageReference) -> ImageOrigin | None:
        return self._origins.get((image.repository, image.digest)) if image.digest is not None else None

    def _between(self, older: CommitId, newer: CommitId) -> tuple[int | None, Told]:
        if older == newer:
            return 0, Told.DIGEST
        if (older, newer) not in self._known:
            self._known[older, newer] = self._ask(older, newer)
        return self._known[older, newer]

    def _ask(self, older: CommitId, newer: CommitId) -> tuple[int | None, Told]:
        commits = self._looking.distance(older, newer)
        if commits is not None:
            return commits, Told.CHECKOUT
        forge: object = self._looking.ports.forge  # what it can do beyond the port
        url = self._looking.at.sources
        if url is None or not isinstance(forge, Comparing) or self._compared >= MOST_COMPARED:
            return None, Told.NOBODY
        self._compared += 1
        try:
            found = forge.compare(url, older, newer)
        except RemoteError as error:
            self._looking.ports.reporter.warn(f"the forge could not compare two source commits: {error.message}")
            return None, Told.NOBODY
        if found is None or (found.ahead and found.behind):
            return None, Told.NOBODY
        return found.ahead - found.behind, Told.FORGE
