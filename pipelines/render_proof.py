"""Proof by rendering: what kustomize makes of the files before and after an edit differs in the wanted images alone.

The files are copied into a temporary folder first, so nothing is written to where they stand before it is proven.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.engine.process import Limits, run
from orchestrator.manifests.document import load
from orchestrator.manifests.pins import ScanOptions, find_pins
from orchestrator.manifests.tree import Broken, Scalar, walk

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MOST_FILES = 50_000
_RENDERED = ScanOptions(size=64 * 1024 * 1024, nodes=5_000_000)
_LIMITS = Limits(seconds=120.0)


def prove_by_rendering(edits: Mapping[Path, bytes], images: Sequence[ImageReference]) -> list[str]:
    """Render every kustomization that an edited file belongs to, before and after; its folders are returned.

    Raises ConfigurationError when no renderer is installed or there is nothing to render, and Refused when the
    rendered images differ in anything but what was wanted.
    """
    renderer = _renderer()
    folders = sorted({folder for path in edits if (folder := _kustomization_of(path)) is not None})
    if not folders:
        raise ConfigurationError(
            "no edited file belongs to a kustomization, so nothing can be rendered",
            hint="leave --prove out, or name files below a kustomization.yaml",
        )
    root = _root_of(folders)
    with tempfile.TemporaryDirectory(prefix="hybrid-ci-render-") as temporary:
        copy = Path(temporary, "tree")
        _copy(root, copy)
        inside = [copy / folder.relative_to(root) for folder in folders if folder.is_relative_to(root)]
        before = [_images(renderer, folder) for folder in inside]
        for path, content in edits.items():
            full = path.resolve()
            if full.is_relative_to(root):
                (copy / full.relative_to(root)).write_bytes(content)
        after = [_images(renderer, folder) for folder in inside]
    for folder, old, new in zip(folders, before, after, strict=True):
        _compare(folder, old, new, images)
    return [str(folder) for folder in folders]


def _renderer() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    raise ConfigurationError("neither kustomize nor kubectl is installed", hint="install one, or leave --prove out")


def _kustomization_of(path: Path) -> Path | None:
    """The nearest folder with a kustomization, at or above a file."""
    for folder in path.resolve().parents:
        if any((folder / name).is_file() for name in _KUSTOMIZATIONS):
            return folder
        if (folder / ".git").exists():
            return None
    return None


def _root_of(folders: Sequence[Path]) -> Path:
    """The folder that holds everything which the kustomizations speak of, bases included."""
    seen: set[Path] = set()
    waiting = list(folders)
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _KUSTOMIZATIONS:
            file = path / name
            if file.is_file():
                waiting += [one for text in _texts(file) if (one := (path / text).resolve()).exists()]
    return Path(os.path.commonpath([path if path.is_dir() else path.parent for path in seen]))


def _texts(file: Path) -> Iterator[str]:
    """Every scalar of a kustomization that may be a path."""
    try:
        document = load(file.read_bytes(), ScanOptions())
    except Broken:
        return
    for root in document.roots:
        for node in walk(root):
            if isinstance(node, Scalar) and 0 < len(node.value) < 1000 and "\n" not in node.value:
                yield node.value


def _copy(root: Path, copy: Path) -> None:
    """Regular files only. Raises Refused for a tree that is too large to copy."""
    copied = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        target = copy / Path(folder).relative_to(root)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            source = Path(folder, name)
            if source.is_symlink() or not source.is_file():
                continue
            shutil.copyfile(source, target / name)
            copied += 1
            if copied > _MOST_FILES:
                raise Refused(f"{root} holds more than {_MOST_FILES} files", hint="leave --prove out here")


def _images(renderer: list[str], folder: Path) -> Counter[tuple[str, str]]:
    done = run([*renderer, str(folder)], limits=_LIMITS)
    if not done.ok:
        reason = (done.error_text.splitlines() or ["it ended without a message"])[-1]
        raise ConfigurationError(f"{' '.join(renderer)} failed: {reason}", where=folder.name)
    return Counter(_rendered(done.stdout))


def _rendered(output: bytes) -> Iterator[tuple[str, str]]:
    found = find_pins(RepoPath("rendered.yaml"), output, _RENDERED)
    for pin in found.pins:
        yield str(pin.image.repository), pin.text
    for problem in found.unresolved:
        yield problem.place, problem.text


def _compare(
    folder: Path, before: Counter[tuple[str, str]], after: Counter[tuple[str, str]], images: Sequence[ImageReference]
) -> None:
    gone, come = before - after, after - before
    wanted = {str(image.repository): image for image in images}
    wrong = [text for name, text in gone if name not in wanted]
    for name, text in come:
        image = wanted.get(name)
        suffix = "" if image is None else (f"@{image.digest}" if image.digest else f":{image.tag}")
        if image is None or not text.endswith(suffix):
            wrong.append(text)
    if wrong or gone.total() != come.total():
        raise Refused(
            "the rendered manifests would change in more than the wanted images",
            where=str(folder),
            details=[f"rendered: {text}" for text in wrong[:10]],
            hint="nothing was written; look at 'kubectl kustomize' of this folder before and after the edit",
        )
