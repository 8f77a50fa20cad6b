"""Golden folders: ``before.*``, ``args`` and ``after.*`` per trait of a format; ``UPDATE_GOLDEN=1`` writes ``after``.

``args`` has a line for each: ``path`` of the file in its repository, ``image`` to set, and ``at``, ``container``,
``target``, ``embedded``, ``arguments`` as options; ``error`` instead of an ``after`` file says how it ends.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrator.core.errors import HybridCIError
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, find_pins, set_image, set_images
from pipelines.local_arguments import parse_target

FOLDER = Path(__file__).parents[2] / "golden" / "manifests"
CASES = sorted(folder.name for folder in FOLDER.iterdir())
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


@dataclass(frozen=True)
class Case:
    folder: Path
    path: RepoPath
    images: list[ImageReference]
    options: ScanOptions
    error: str | None

    @property
    def before(self) -> bytes:
        return next(self.folder.glob("before.*")).read_bytes()

    @property
    def after_file(self) -> Path:
        return self.folder / next(self.folder.glob("before.*")).name.replace("before", "after")


def load(name: str) -> Case:
    args: dict[str, list[str]] = {}
    for line in (FOLDER / name / "args").read_text().splitlines():
        key, _, value = line.partition(" ")
        args.setdefault(key, []).append(value)
    options = ScanOptions(
        targets=tuple(parse_target(text) for text in args.get("target", ())),
        places=tuple(args.get("at", ())),
        containers=tuple(args.get("container", ())),
        embedded="embedded" in args,
        arguments="arguments" in args,
    )
    images = [ImageReference.parse(text) for text in args["image"]]
    return Case(FOLDER / name, RepoPath(args["path"][0]), images, options, args.get("error", [None])[0])


@pytest.mark.parametrize("name", CASES)
def test_the_edit_is_the_golden_one(name: str) -> None:
    case = load(name)
    if case.error is not None:
        with pytest.raises(HybridCIError) as failure:
            set_images(case.path, case.before, case.images, case.options)
        error = failure.value
        assert f"{type(error).__name__} {error.where} {error.message}" == case.error
        return
    edit = set_images(case.path, case.before, case.images, case.options)
    if UPDATE:
        case.after_file.write_bytes(edit.after)
    assert edit.after == case.after_file.read_bytes()


@pytest.mark.parametrize("name", [name for name in CASES if load(name).error is None])
def test_the_golden_edit_made_twice_is_the_same(name: str) -> None:
    case = load(name)
    once = set_images(case.path, case.before, case.images, case.options).after
    again = set_images(case.path, once, case.images, case.options)
    assert again.after == once
    assert again.changes == ()


@pytest.mark.parametrize("name", [name for name in CASES if load(name).error is None])
def test_setting_what_is_found_changes_nothing(name: str) -> None:
    case = load(name)
    for pin in find_pins(case.path, case.before, case.options).pins:
        if pin.image.tag is not None or pin.image.digest is not None:
            at = replace(case.options, places=(pin.at,))
            assert set_image(case.path, case.before, pin.image, at).after == case.before, pin
