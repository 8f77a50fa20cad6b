"""Which files a renderer needs: the roots that an edit belongs to, and whatever they refer to in their repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.core.errors import Refused
from orchestrator.core.names import CommitId, InvalidName, RepoPath
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.manifests import tree
from orchestrator.manifests.document import load
from orchestrator.manifests.options import ScanOptions

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
CHART = "Chart.yaml"
_EVERYTHING = "**"
_VALUES = re.compile(r"[A-Za-z0-9._-]*values[A-Za-z0-9._-]*\.ya?ml|values/.*\.ya?ml")
_LISTS = frozenset(
    [
        "resources",
        "bases",
        "components",
        "crds",
        "configurations",
        "transformers",
        "generators",
        "validators",
        "patchesStrategicMerge",
    ]
)
_PATHS = frozenset({"path"})  # below patches, patchesJson6902, replacements and openapi
_FILES = frozenset({"files", "envs", "env"})  # of generators, as ``path`` or ``key=path``
_MOST_FILES = 5_000
_MOST_BYTES = 64 * 1024 * 1024
_MOST_ROUNDS = 12


def roots_of(repository: GitOpsRepository, commit: CommitId, edited: Iterable[RepoPath]) -> tuple[RepoPath, ...]:
    """The kustomization that each file belongs to: the nearest at or above it; or its Helm chart, or the values file.

    It is named by its folder; the one in the repository's root, which has no name, by its own file. Nothing for a
    file that no renderer touches. Raises RemoteError.
    """
    paths = tuple(edited)
    folders = sorted({folder for path in paths for folder in _folders_above(path)})
    wanted = [f"{folder}{name}" for folder in folders for name in (*KUSTOMIZATIONS, CHART)]
    there = {path.value for path in repository.paths(commit, wanted)} if wanted else set()
    found = (_root_of(path, there) for path in paths)
    return tuple(dict.fromkeys(root for root in found if root is not None))


def gather(repository: GitOpsRepository, commit: CommitId, roots: Sequence[RepoPath]) -> dict[RepoPath, bytes]:
    """The files of the roots, and those that their kustomizations refer to, and so on.

    Raises Refused for more than a renderer should be given, Unreadable for a symlink among them, and RemoteError.
    """
    return _followed(repository, commit, {}, {_files_of(root) for root in roots})


def referred(repository: GitOpsRepository, commit: CommitId, files: Mapping[RepoPath, bytes]) -> dict[RepoPath, bytes]:
    """The files that the kustomizations among these refer to, and so on; those that are here already left out.

    Raises as ``gather`` does.
    """
    wanted = {place for place in _places_named(files) if not _is_there(files, place)}
    found = _followed(repository, commit, files, wanted)
    return {path: content for path, content in found.items() if path not in files}


def _followed(
    repository: GitOpsRepository, commit: CommitId, begun: Mapping[RepoPath, bytes], wanted: set[str]
) -> dict[RepoPath, bytes]:
    """What is here already, with the wanted files and all that they lead to: one question a round."""
    files = dict(begun)
    asked: set[str] = set()
    size = 0
    for _ in range(_MOST_ROUNDS):
        wanted = wanted - asked
        if not wanted:
            return files
        asked |= wanted
        found = {path: text for path, text in repository.files(commit, sorted(wanted)).items() if path not in files}
        files |= found
        size += sum(map(len, found.values()))
        if len(files) - len(begun) > _MOST_FILES or size > _MOST_BYTES:
            raise Refused("there are too many files to read them all here")
        wanted = {place for place in _places_named(found) if not _is_there(files, place)}
    raise Refused("the kustomizations refer to each other too deeply to follow them here")


def check_references(files: Mapping[RepoPath, bytes], root: RepoPath) -> None:
    """Everything that the kustomizations load is among the files: nothing is fetched from elsewhere. Raises Refused.

    All of the files are looked at, since any of them may be a base of the root.
    """
    for path, content in files.items():
        if path.name not in KUSTOMIZATIONS:
            continue
        for text in _references(content):
            place = _place(path, text)
            if place is None or not _is_there(files, place):
                raise Refused(
                    f"{root} can't be rendered: {path} refers to something that is not in the repository",
                    where=path.value,
                    details=[text[:200]],
                )


def _folders_above(path: RepoPath) -> Iterator[str]:
    """Each folder with a slash at its end, the nearest first; the repository's root, which is empty, last."""
    parts = path.parts
    for depth in range(len(parts) - 1, -1, -1):
        yield "".join(f"{part}/" for part in parts[:depth])


def _root_of(path: RepoPath, there: set[str]) -> RepoPath | None:
    for folder in _folders_above(path):
        for name in KUSTOMIZATIONS:
            if f"{folder}{name}" in there:
                return RepoPath(folder.removesuffix("/") or name)
        if f"{folder}{CHART}" in there:
            inside = path.value.removeprefix(folder)
            is_values = inside != "values.yaml" and _VALUES.fullmatch(inside)
            return path if is_values else RepoPath(folder.removesuffix("/") or CHART)
    return None


def _files_of(root: RepoPath) -> str:
    """What has to be read for a root: its folder. For a kustomization in the repository's root that file alone, since
    it names what else it loads; for a chart there everything. A values file stands in its chart's folder, or one below.
    """
    if root.value in KUSTOMIZATIONS or not root.name.endswith((".yaml", ".yml")):
        return root.value
    folders = root.parts[:-1]
    return "/".join(folders[:-1] if folders and folders[-1] == "values" else folders) or _EVERYTHING


def _places_named(files: Mapping[RepoPath, bytes]) -> Iterator[str]:
    for path, content in files.items():
        if path.name in KUSTOMIZATIONS:
            for text in _references(content):
                if (place := _place(path, text)) is not None:
                    yield place


def _place(kustomization: RepoPath, text: str) -> str | None:
    """Where a text points, seen from the kustomization's folder; None for what leaves the repository."""
    folder = kustomization.value.rpartition("/")[0]
    place = posixpath.normpath(posixpath.join(folder, text))
    if "://" in text or text.startswith("/"):
        return None
    try:
        return RepoPath(place).value
    except InvalidName:
        return None


def _is_there(files: Mapping[RepoPath, bytes], place: str) -> bool:
    return RepoPath(place) in files or any(path.value.startswith(f"{place}/") for path in files)


def _references(content: bytes) -> Iterator[str]:
    """What a kustomization loads. A broken one loads nothing: the tool will say so."""
    try:
        roots = load(content, ScanOptions()).roots
    except tree.Broken:
        return
    for root in roots:
        for node in tree.walk(root):
            if isinstance(node, tree.Mapping):
                for key, value in node.pairs:
                    name = key.value if isinstance(key, tree.Scalar) else ""
                    yield from _loaded(name, tree.resolved(value), outermost=node is root)


def _loaded(key: str, value: tree.Node | None, *, outermost: bool) -> Iterator[str]:
    if key in _PATHS and isinstance(value, tree.Scalar):
        texts = [value.value]
    elif isinstance(value, tree.Sequence) and ((outermost and key in _LISTS) or key in _FILES):
        texts = [found.value for item in value.items if (found := tree.scalar(item)) is not None]
    elif key == "env" and isinstance(value, tree.Scalar):
        texts = [value.value]
    else:
        return
    for text in texts:
        if text and "\n" not in text:  # of several lines: it stands there itself
            yield text.rpartition("=")[2] if key in _FILES else text
