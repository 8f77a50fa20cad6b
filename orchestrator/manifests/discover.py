"""Environments from the layout of a GitOps repository: proposals with their evidence, never a silent guess.

A layout is only a habit. ``overlays/prod`` is an environment, ``overlays/with-ingress`` is a variant, and both look
alike; so every proposal says what it rests on and how sure it is, and a person writes the policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import find_pins

# Names that people give to environments, in the order in which a change usually passes them.
_RANKS: tuple[tuple[str, ...], ...] = (
    ("local", "sandbox", "sbx", "preview", "ephemeral"),
    ("dev", "develop", "development", "ci", "nightly"),
    ("test", "testing", "tst", "int", "integration", "e2e", "load", "perf"),
    ("qa", "uat", "acc", "acceptance", "demo"),
    ("stage", "staging", "stg", "preprod", "pre-prod", "pre-production", "nonprod", "canary"),
    ("prod", "production", "prd", "live"),
)
_RANK = {name: rank for rank, names in enumerate(_RANKS) for name in names}
_UNKNOWN_RANK = len(_RANKS)

_CONTAINERS = frozenset({"env", "envs", "environment", "environments", "stage", "stages"})
_TAG_FOLDERS = frozenset({"image-tags", "imagetags", "image_tags", "image-versions"})
_NOT_ENVIRONMENTS = frozenset({"base", "bases", "common", "shared", "components", "component", "default", "templates"})
_MANIFEST = re.compile(r".*\.(?:ya?ml|json)\Z", re.DOTALL)
_VALUES_FILES = (
    re.compile(r"values[-._](?P<env>[A-Za-z0-9][A-Za-z0-9_-]*)\.ya?ml"),
    re.compile(r"(?P<env>[A-Za-z0-9][A-Za-z0-9_-]*)[-.]values\.ya?ml"),
)
_STEM = re.compile(r"(?P<env>[A-Za-z0-9][A-Za-z0-9_-]*)\.ya?ml")
_SETTINGS = frozenset({"config", "configs", "values"})


class Confidence(StrEnum):
    """How sure a proposal is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An environment that the layout suggests. ``paths`` are patterns as the policy takes them."""

    name: str
    paths: tuple[str, ...]
    layout: str
    confidence: Confidence
    evidence: tuple[str, ...]
    rank: int


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One file that belongs to an environment: the folders before it, and the pattern's part that names it."""

    name: str
    before: tuple[str, ...]
    tail: str
    layout: str
    file: RepoPath


def rank_of(name: str) -> int:
    """Where a name stands on the usual way to production; unknown names come last.

    ``prod-eu`` and ``eu-prod-1`` count as ``prod``.
    """
    lowered = name.lower()
    if lowered in _RANK:
        return _RANK[lowered]
    parts = re.split(r"[-_/]", lowered)
    ranks = [_RANK[part] for part in parts if part in _RANK]
    if "non" in parts and _RANK["prod"] in ranks:
        return _RANK["nonprod"]
    return max(ranks, default=_UNKNOWN_RANK)


def discover(files: Mapping[RepoPath, bytes] | Iterable[RepoPath]) -> tuple[Proposal, ...]:
    """The environments that paths suggest, in the usual order; with contents, also what their files hold."""
    contents: Mapping[RepoPath, bytes] = files if isinstance(files, Mapping) else {}
    groups: dict[tuple[str, str], list[_Sighting]] = {}
    for path in files:
        for sighting in _sightings(path):
            groups.setdefault((sighting.layout, sighting.name), []).append(sighting)
    siblings = {layout: {name for other, name in groups if other == layout} for layout, _ in groups}
    proposals = [_proposal(name, found, siblings[layout], contents) for (layout, name), found in groups.items()]
    return tuple(sorted(_without_weaker(proposals), key=lambda one: (one.rank, one.name, one.layout)))


def _without_weaker(proposals: list[Proposal]) -> Iterator[Proposal]:
    """A layout that nobody is sure about gives way to a sure one of the same name."""
    sure = {one.name for one in proposals if one.confidence is not Confidence.LOW}
    for one in proposals:
        if one.confidence is not Confidence.LOW or one.name not in sure:
            yield one


def _sightings(path: RepoPath) -> Iterator[_Sighting]:
    """What the path of a file says; the strongest habit wins."""
    parts = path.parts
    if any(part.startswith(".") for part in parts):
        return
    folders, name = parts[:-1], parts[-1]
    for index, folder in enumerate(folders):
        found = _in_folder(path, folders, index, folder.lower(), name)
        if found is not None:
            yield found
            return
    if not _MANIFEST.fullmatch(name):
        return
    yield from _by_name(path, folders, name)


def _in_folder(path: RepoPath, folders: tuple[str, ...], index: int, folder: str, name: str) -> _Sighting | None:
    """``envs/<env>``, ``overlays/<env>``, ``clusters/<cluster>``, ``image-tags/<env>/<app>``."""
    inside = folders[index + 1 :]
    before = folders[:index]
    if folder in _TAG_FOLDERS:
        return _Sighting(inside[0], before, f"{folders[index]}/{inside[0]}", "image-tags", path) if inside else None
    if not _MANIFEST.fullmatch(name):
        return None
    if folder in _CONTAINERS:
        env = inside[0] if inside else _stem(name)
        return _sighting(env, before, f"{folders[index]}/{inside[0] if inside else name}", "environments", path)
    if folder == "overlays" and inside:
        env = "/".join(inside[:2]) if len(inside) > 1 and rank_of(inside[0]) != _UNKNOWN_RANK else inside[0]
        return _sighting(env, before, f"{folders[index]}/{env}", "overlays", path)
    if folder == "clusters" and inside:
        return _sighting(inside[0], before, f"{folders[index]}/{inside[0]}", "clusters", path)
    return None


def _sighting(env: str | None, before: tuple[str, ...], tail: str, layout: str, path: RepoPath) -> _Sighting | None:
    if env is None or env.lower() in _NOT_ENVIRONMENTS:
        return None
    return _Sighting(env, before, tail, layout, path)


def _stem(name: str) -> str | None:
    match = _STEM.fullmatch(name)
    return match["env"] if match and name.lower() not in ("kustomization.yaml", "kustomization.yml") else None


def _by_name(path: RepoPath, folders: tuple[str, ...], name: str) -> Iterator[_Sighting]:
    """``values-<env>.yaml``, ``config/<env>.yaml``, ``<app>/<env>/``, ``<app>/<env>.yaml``."""
    for pattern in _VALUES_FILES:
        if match := pattern.fullmatch(name):
            yield _Sighting(match["env"], folders, name, "values-files", path)
            return
    stem = _stem(name)
    if stem is not None and rank_of(stem) != _UNKNOWN_RANK:
        layout = "settings-files" if folders and folders[-1].lower() in _SETTINGS else "files"
        yield _Sighting(stem, folders, name, layout, path)
        return
    for index, folder in enumerate(folders):
        if rank_of(folder) != _UNKNOWN_RANK:
            yield _Sighting(folder, folders[:index], folder, "folders", path)
            return


def _proposal(name: str, found: list[_Sighting], siblings: set[str], contents: Mapping[RepoPath, bytes]) -> Proposal:
    layout = found[0].layout
    known = rank_of(name) != _UNKNOWN_RANK
    related = sorted(other for other in siblings if other != name and rank_of(other) != _UNKNOWN_RANK)
    confidence = _confidence(layout, known, bool(related))
    evidence = [f"{len(found)} file{'s' if len(found) != 1 else ''} in the layout {layout!r}, such as {found[0].file}"]
    if related:
        evidence.append(f"beside it: {', '.join(related[:5])}")
    if not known:
        evidence.append(f"{name!r} is no usual name of an environment; it may be a variant")
    evidence += _pins_in(found, contents)
    return Proposal(name, _patterns(found), layout, confidence, tuple(evidence), rank_of(name))


def _confidence(layout: str, known: bool, related: bool) -> Confidence:
    if known and (related or layout in ("environments", "image-tags")):
        return Confidence.HIGH
    if known or layout in ("environments", "clusters", "image-tags"):
        return Confidence.MEDIUM
    return Confidence.LOW


def _pins_in(found: list[_Sighting], contents: Mapping[RepoPath, bytes]) -> Iterator[str]:
    """What the files hold, where their contents are known."""
    files = [one.file for one in found if one.file in contents]
    if not files:
        return
    held = {file: find_pins(file, contents[file]) for file in files}
    pins = sum(len(findings.pins) for findings in held.values())
    yield f"{pins} image pin{'s' if pins != 1 else ''} in them"
    without = [file for file, findings in held.items() if not findings.pins and not findings.unresolved]
    if without and found[0].layout in ("files", "values-files", "settings-files"):
        yield f"{without[0]} names no image: it inherits what its base says"
    tag_only = [problem for findings in held.values() for problem in findings.unresolved]
    if tag_only:
        yield f"{tag_only[0].where}: {tag_only[0].reason}"


def _patterns(found: list[_Sighting]) -> tuple[str, ...]:
    """The paths as patterns: folders that differ between applications become ``{application}``."""
    shapes: dict[tuple[int, str], set[tuple[str, ...]]] = {}
    for one in found:
        shapes.setdefault((len(one.before), one.tail), set()).add(one.before)
    patterns: list[str] = []
    for (_, tail), befores in sorted(shapes.items(), key=lambda item: item[0]):
        patterns += ["/".join([*before, tail]) for before in _generalised(befores)]
    return tuple(dict.fromkeys(patterns))


def _generalised(befores: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Folders that are alike but for one level: that level is the application."""
    if len(befores) == 1:
        return list(befores)
    levels = [set(names) for names in zip(*befores, strict=True)]
    different = [index for index, names in enumerate(levels) if len(names) > 1]
    if len(different) != 1:
        return sorted(befores)
    first = sorted(befores)[0]
    return [(*first[: different[0]], "{application}", *first[different[0] + 1 :])]
