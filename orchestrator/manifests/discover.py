"""Environments from the layout of a GitOps repository: proposals with their evidence, never a silent guess.

A layout is only a habit. ``overlays/prod`` is an environment, ``overlays/with-ingress`` is a variant, and both look
alike; so every proposal says what it rests on and how sure it is, and a person writes the policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.environment import Environment
from orchestrator.core.names import RepoPath
from orchestrator.manifests.formats.kustomization import FILE_NAMES
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
_GROUPS = frozenset({"overlays", "clusters"})
_TAG_FOLDERS = frozenset({"image-tags", "imagetags", "image_tags", "image-versions"})
_NOT_ENVIRONMENTS = frozenset({"base", "bases", "common", "shared", "components", "component", "default", "templates"})
_MANIFEST = re.compile(r".*\.(?:ya?ml|json)\Z", re.DOTALL)
_VALUES_FILES = (
    re.compile(r"(?:.+[-._])?values[-._](?P<env>[A-Za-z0-9][A-Za-z0-9_-]*)\.ya?ml"),
    re.compile(r"(?P<env>[A-Za-z0-9][A-Za-z0-9_-]*)[-.]values\.ya?ml"),
)
_STEM = re.compile(r"(?P<env>[A-Za-z0-9][A-Za-z0-9_-]*)\.ya?ml")
_SETTINGS = frozenset({"config", "configs", "values"})
# Folders that hold the text of a chart or of a manual, whatever their files are called.
_NO_MANIFESTS = frozenset({"templates", "crds", "docs", "node_modules", "vendor"})
_REGION = re.compile(
    r"(?:af|ap|ca|cn|eu|me|sa|uk|us|asia|europe|emea|apac|region|zone|east|west|north|south)(?:[-_].*|\d+)?",
    re.IGNORECASE,
)
_COMPONENT = re.compile(rb"^kind:\s*[\"']?Component\b", re.MULTILINE)


# Layouts in which a name may be that of anything: ``letsencrypt-staging.yaml``, ``network-policies-test/``.
_FREE = frozenset({"folders", "files", "settings-files"})
_SEPARATOR = re.compile(r"[-_/]")
_NUMBERED = re.compile(r"[a-z]{0,4}\d+[a-z]?")


class Confidence(StrEnum):
    """How sure a proposal is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_SURENESS = {Confidence.LOW: 0, Confidence.MEDIUM: 1, Confidence.HIGH: 2}


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
    note: str = ""


class _Tree:
    """The paths of a repository, with which folders hold a kustomization of their own."""

    def __init__(self, paths: Iterable[RepoPath], contents: Mapping[RepoPath, bytes]) -> None:
        self.paths = frozenset(paths)
        kustomizations = [path for path in self.paths if path.name in FILE_NAMES]
        self._kustomized = {path.parts[:-1] for path in kustomizations}
        self._components = {path.parts[:-1] for path in kustomizations if _COMPONENT.search(contents.get(path, b""))}
        self._nested: dict[tuple[tuple[str, ...], str], set[str]] = {}
        for folders in self._kustomized - self._components:
            if len(folders) >= 3 and folders[-3].lower() == "overlays":
                self._nested.setdefault((folders[:-2], folders[-1]), set()).add(folders[-2])

    def is_component(self, folders: tuple[str, ...]) -> bool:
        """A kustomize component: a part that environments put together, and none itself."""
        return folders in self._components

    def is_chart(self, folders: tuple[str, ...]) -> bool:
        """A Helm chart stands in this folder."""
        return RepoPath("/".join((*folders, "Chart.yaml"))) in self.paths

    def nested(self, top: tuple[str, ...], inside: tuple[str, ...]) -> tuple[str, ...]:
        """The part of a way below ``overlays`` that names the environment: down to the last kustomization on it."""
        fixed = next((i for i, part in enumerate(inside) if i and part.lower() in _NOT_ENVIRONMENTS), len(inside))
        lengths = range(fixed, 0, -1)
        return next((inside[:length] for length in lengths if (*top, *inside[:length]) in self._kustomized), inside[:1])

    def holds_others(self, folders: tuple[str, ...]) -> bool:
        """The folder has no kustomization, and folders below it have: it only groups them."""
        size = len(folders)
        return folders not in self._kustomized and any(one[:size] == folders for one in self._kustomized)

    def is_application(self, top: tuple[str, ...], name: str) -> bool:
        """The name stands below several overlays and is no place: ``overlays/dev/api`` and ``overlays/prod/api``."""
        return len(self._nested.get((top, name), ())) > 1 and not _REGION.fullmatch(name)


def rank_of(name: str) -> int:
    """Where a name stands on the usual way to production; unknown names come last.

    ``prod-eu`` and ``eu-prod-1`` count as ``prod``.
    """
    lowered = name.lower()
    if lowered in _RANK:
        return _RANK[lowered]
    parts = _SEPARATOR.split(lowered)
    ranks = [_RANK[part] for part in parts if part in _RANK]
    if "non" in parts and _RANK["prod"] in ranks:
        return _RANK["nonprod"]
    return max(ranks, default=_UNKNOWN_RANK)


def _is_known(layout: str, name: str) -> bool:
    """A usual name, or one with other words where folders are made for environments: ``overlays/shop-prod``.

    ``overlays/tech-preview`` is a variant of what it installs.
    """
    rank = rank_of(name)
    return rank != _UNKNOWN_RANK and (_is_exact(name) or (layout not in _FREE and rank > 0))


def _is_exact(name: str) -> bool:
    """The words are usual names, regions and numbers, and no others."""
    words = _SEPARATOR.split(name.lower())
    return name.lower() in _RANK or all(
        word in _RANK or word in ("non", "pre") or _REGION.fullmatch(word) or _NUMBERED.fullmatch(word)
        for word in words
    )


def discover(files: Mapping[RepoPath, bytes] | Iterable[RepoPath]) -> tuple[Proposal, ...]:
    """The environments that paths suggest, in the usual order; with contents, also what their files hold.

    Several layouts that agree on a name are one proposal.
    """
    paths = list(files)
    contents: Mapping[RepoPath, bytes] = files if isinstance(files, Mapping) else {}
    tree = _Tree(paths, contents)
    groups: dict[tuple[str, str], list[_Sighting]] = {}
    for path in paths:
        for sighting in _sightings(path, tree):
            groups.setdefault((sighting.layout, sighting.name), []).append(sighting)
    beside = _beside(groups)
    proposals = [_proposal(name, found, beside, contents) for (_, name), found in groups.items()]
    merged: dict[str, Proposal] = {}
    for one in sorted(_without_weaker(proposals), key=lambda one: one.layout):
        merged[one.name] = _merged(merged[one.name], one) if one.name in merged else one
    return tuple(sorted(merged.values(), key=lambda one: (one.rank, one.name)))


def environments(proposals: Iterable[Proposal], at_least: Confidence = Confidence.MEDIUM) -> dict[str, Environment]:
    """Proposals as environments, each after those of the step before it; unsure ones are left out.

    A repository without a policy is read so. Who uses it says what it found.
    """
    sure = [one for one in proposals if _SURENESS[one.confidence] >= _SURENESS[at_least]]
    ranks = sorted({one.rank for one in sure if one.rank != _UNKNOWN_RANK})
    found: dict[str, Environment] = {}
    for one in sorted(sure, key=lambda one: (one.rank, one.name)):
        earlier = max((rank for rank in ranks if rank < one.rank), default=None) if one.rank in ranks else None
        after = tuple(other.name for other in sure if other.rank == earlier)
        found[one.name] = Environment(one.name, one.paths, after)
    return found


def path_patterns(environment: Environment, application: str | None = None) -> tuple[str, ...]:
    """The paths of an environment, discovered or configured, as patterns: for one application, or for all of them."""
    return environment.patterns("*" if application is None else application)


def _merged(one: Proposal, other: Proposal) -> Proposal:
    """Two layouts of one name: the surer one speaks first."""
    first, second = sorted((one, other), key=lambda each: -_SURENESS[each.confidence])
    paths = tuple(dict.fromkeys((*first.paths, *second.paths)))
    evidence = tuple(dict.fromkeys((*first.evidence, *second.evidence)))
    return Proposal(one.name, paths, f"{first.layout}, {second.layout}", first.confidence, evidence, one.rank)


def _beside(groups: Mapping[tuple[str, str], list[_Sighting]]) -> dict[tuple[str, tuple[str, ...]], set[str]]:
    """The names that stand side by side: in one layout, in the same folder."""
    found: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for (layout, name), sightings in groups.items():
        for one in sightings:
            found.setdefault((layout, one.before), set()).add(name)
    return found


def _without_weaker(proposals: list[Proposal]) -> Iterator[Proposal]:
    """A layout that nobody is sure about gives way to a sure one of the same name."""
    sure = {one.name for one in proposals if one.confidence is not Confidence.LOW}
    for one in proposals:
        if one.confidence is not Confidence.LOW or one.name not in sure:
            yield one


def _sightings(path: RepoPath, tree: _Tree) -> Iterator[_Sighting]:
    """What the path of a file says; the strongest habit wins."""
    parts = path.parts
    folders, name = parts[:-1], parts[-1]
    if any(part.startswith(".") for part in parts) or any(folder.lower() in _NO_MANIFESTS for folder in folders):
        return
    for index, folder in enumerate(folders):
        lowered = folder.lower()
        if lowered in _CONTAINERS or lowered in _TAG_FOLDERS or (lowered in _GROUPS and folders[index + 1 :]):
            found = _in_folder(path, folders, index, lowered, tree)
            if found is not None:
                yield found
            return
    if _MANIFEST.fullmatch(name) or name in FILE_NAMES:
        yield from _by_name(path, folders, name, tree)


def _in_folder(path: RepoPath, folders: tuple[str, ...], index: int, folder: str, tree: _Tree) -> _Sighting | None:
    """``envs/<env>``, ``overlays/<env>``, ``clusters/<cluster>``, ``image-tags/<env>/<app>``."""
    inside, before, name = folders[index + 1 :], folders[:index], path.name
    if folder in _TAG_FOLDERS:
        return _Sighting(inside[0], before, f"{folders[index]}/{inside[0]}", "image-tags", path) if inside else None
    if not (_MANIFEST.fullmatch(name) or name in FILE_NAMES):
        return None
    if folder in _CONTAINERS:
        env = inside[0] if inside else _stem(name)
        return _sighting(env, before, f"{folders[index]}/{inside[0] if inside else name}", "environments", path)
    if folder == "overlays":
        return _in_overlays(path, folders[: index + 1], inside, tree)
    return _sighting(inside[0], before, f"{folders[index]}/{inside[0]}", "clusters", path)


def _in_overlays(path: RepoPath, top: tuple[str, ...], inside: tuple[str, ...], tree: _Tree) -> _Sighting | None:
    """``overlays/<env>``, ``overlays/<env>/<place>``, ``overlays/<env>/<application>``; components are none."""
    before = top[:-1]
    parts = tree.nested(top, inside)
    if tree.is_component((*top, *parts)) or tree.holds_others((*top, *parts)):
        return None
    if len(parts) == 2 and tree.is_application(top, parts[1]):
        return _sighting(parts[0], before, f"{top[-1]}/{parts[0]}/{{application}}", "overlays", path)
    env = "/".join(parts)
    found = _sighting(env, before, f"{top[-1]}/{env}", "overlays", path)
    if found is None or len(parts) == 1:
        return found
    note = f"nested below {parts[0]!r}: a place of it, or a variant"
    return _Sighting(found.name, found.before, found.tail, found.layout, found.file, note)


def _sighting(env: str | None, before: tuple[str, ...], tail: str, layout: str, path: RepoPath) -> _Sighting | None:
    if env is None or env.lower() in _NOT_ENVIRONMENTS or env.partition("/")[0].lower() in _NOT_ENVIRONMENTS:
        return None
    return _Sighting(env, before, tail, layout, path)


def _stem(name: str) -> str | None:
    match = _STEM.fullmatch(name)
    return match["env"] if match and name.lower() not in ("kustomization.yaml", "kustomization.yml") else None


def _by_name(path: RepoPath, folders: tuple[str, ...], name: str, tree: _Tree) -> Iterator[_Sighting]:
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
        if rank_of(folder) != _UNKNOWN_RANK and not (folder == "ci" and tree.is_chart(folders[:index])):
            yield _Sighting(folder, folders[:index], folder, "folders", path)
            return


def _proposal(
    name: str,
    found: list[_Sighting],
    beside: Mapping[tuple[str, tuple[str, ...]], set[str]],
    contents: Mapping[RepoPath, bytes],
) -> Proposal:
    layout = found[0].layout
    known = _is_known(layout, name)
    siblings = set().union(*(beside[layout, one.before] for one in found))
    related = sorted(other for other in siblings if other != name and _is_known(layout, other))
    notes = sorted({one.note for one in found if one.note})
    confidence = _confidence(layout, known, bool(related), bool(notes))
    evidence = [f"{len(found)} file{'s' if len(found) != 1 else ''} in the layout {layout!r}, such as {found[0].file}"]
    if related:
        evidence.append(f"beside it: {', '.join(related[:5])}")
    if not known:
        evidence.append(f"{name!r} is no usual name of an environment; it may be a variant")
    evidence += [*notes, *_pins_in(found, contents)]
    return Proposal(name, _patterns(found), layout, confidence, tuple(evidence), rank_of(name))


def _confidence(layout: str, known: bool, related: bool, nested: bool) -> Confidence:
    """A usual name in a folder made for environments, or beside other usual names, is sure enough."""
    if known and (related or layout in ("environments", "image-tags")):
        return Confidence.MEDIUM if nested else Confidence.HIGH
    if known and layout in ("folders", "files"):
        return Confidence.LOW  # one folder called "test" is no environment yet
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
