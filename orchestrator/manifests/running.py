"""What the files of one environment say that it runs, and what about it can't be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from orchestrator.core.image import Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.forms import name_of
from orchestrator.manifests.mention import mentions
from orchestrator.manifests.model import Findings, Pin, Unresolved
from orchestrator.manifests.options import DEFAULT, ScanOptions
from orchestrator.manifests.pins import find_pins

Files = Mapping[RepoPath, bytes]
FindPins = Callable[[RepoPath, bytes, ScanOptions], Findings]


class Side:
    """The files of one environment, read once. ``options`` are how they were read.

    ``find`` is ``find_pins``, or what remembers its answers for many sides.
    """

    def __init__(self, files: Files, options: ScanOptions = DEFAULT, find: FindPins = find_pins) -> None:
        self.files, self.options = files, options
        found = [find(path, content, options) for path, content in sorted(files.items())]
        self._pins = [pin for one in found for pin in one.pins]
        self._by_image: dict[Repository, list[Pin]] = {}
        for pin in self._pins:
            self._by_image.setdefault(pin.image.repository, []).append(pin)
        self._problems = [problem for one in found for problem in one.unresolved]
        self._entries: dict[str, list[RepoPath]] = {}  # the kustomizations with an entry for a name
        for pin in self._pins:
            if pin.format == "kustomization" and pin.container is not None:
                self._entries.setdefault(pin.container, []).append(pin.path)

    @property
    def pins(self) -> tuple[Pin, ...]:
        """All of them, also those that a kustomization replaces."""
        return tuple(self._pins)

    @property
    def problems(self) -> tuple[Unresolved, ...]:
        """The places that look like pins and can't be read."""
        return tuple(self._problems)

    @cached_property
    def repositories(self) -> frozenset[Repository]:
        """All that are pinned or named without a tag; a name that a kustomization gives to another image is none."""
        return frozenset(one for one, pins in self._by_image.items() if not all(map(self._is_replaced_pin, pins)))

    def versioned(self, repository: Repository) -> list[Pin]:
        """The pins of an image; those without tag and digest count only where there are no others."""
        pins = self._by_image.get(repository, [])
        return [pin for pin in pins if pin.image.tag is not None or pin.image.digest is not None] or list(pins)

    def running(self, repository: Repository) -> list[Pin]:
        """The pins that decide what runs: what a kustomize entry above a manifest replaces is not among them."""
        return [pin for pin in self.versioned(repository) if not self._is_replaced_pin(pin)]

    def blocking(self, repository: Repository, *, only_by_name: bool = True) -> list[Unresolved]:
        """The places that speak of an image and can't be read: a variable, a text, a broken file.

        Without ``only_by_name`` also those that name no image, in a file that speaks of this one: a version range, a
        tag alone.
        """
        found = [problem for problem in self._problems if self._speaks_of(problem, repository, only_by_name)]
        return [one for one in found if not self._is_replaced(one.path, one.text)]

    def _speaks_of(self, problem: Unresolved, repository: Repository, only_by_name: bool) -> bool:
        whole_file = not problem.text or (not only_by_name and "/" not in problem.text)
        text = self.files[problem.path] if whole_file else problem.text.encode("utf-8", "surrogateescape")
        return mentions(text, (repository,))

    def _is_replaced_pin(self, pin: Pin) -> bool:
        return pin.format != "kustomization" and self._is_replaced(pin.path, pin.text)

    def _is_replaced(self, path: RepoPath, text: str) -> bool:
        """A kustomization of the same folder, or of one above, has an entry for this very name."""
        return any(
            entry != path and path.value.startswith(entry.value.removesuffix(entry.name))
            for entry in (self._entries.get(name_of(text), ()) if text else ())
        )
