"""Golden folders of promotion: ``source/``, ``target/`` and ``args``; ``after/`` and ``report`` are what comes of it.

``args`` has a line for each: ``only`` an image, ``map SOURCE=TARGET`` repositories, ``target`` and ``source-target``
for tag-only places, ``tags`` where digests are not needed. ``UPDATE_GOLDEN=1`` writes ``after/`` and ``report`` anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.core.image import Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.promote import Promotion, promote
from pipelines.local_arguments import parse_target

FOLDER = Path(__file__).parents[2] / "golden" / "promote"
CASES = sorted(folder.name for folder in FOLDER.iterdir())
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


def files(folder: Path) -> dict[RepoPath, bytes]:
    return {
        RepoPath(file.relative_to(folder).as_posix()): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def run(name: str, target: dict[RepoPath, bytes]) -> Promotion:
    args: dict[str, list[str]] = {}
    for line in (FOLDER / name / "args").read_text().splitlines():
        key, _, value = line.partition(" ")
        args.setdefault(key, []).append(value)
    pairs = (text.split("=") for text in args.get("map", ()))
    return promote(
        files(FOLDER / name / "source"),
        target,
        [Repository.parse(text) for text in args["only"]] if "only" in args else None,
        images={Repository.parse(source): Repository.parse(goal) for source, goal in pairs},
        source_options=ScanOptions(targets=tuple(parse_target(text) for text in args.get("source-target", ()))),
        target_options=ScanOptions(targets=tuple(parse_target(text) for text in args.get("target", ()))),
        need_digest="tags" not in args,
    )


def report(promotion: Promotion) -> str:
    lines = []
    for one in promotion.copied:
        to = ", ".join(pin.where for pin in one.targets)
        lines.append(f"copied {one.image}\n  from {one.source.where} to {to}")
    for left in promotion.left:
        places = f"\n  places {', '.join(left.places)}" if left.places else ""
        lines.append(
            f"{'refused' if left.refused else 'left'} {left.repository}\n  where {left.where}\n  {left.reason}{places}"
        )
    lines += [f"change {change.pin.where} {change.before} -> {change.after}" for change in promotion.changes]
    return "\n".join(lines) + "\n"


def written(name: str) -> tuple[dict[RepoPath, bytes], Promotion]:
    target = files(FOLDER / name / "target")
    promotion = run(name, target)
    return target | {edit.path: edit.after for edit in promotion.edits}, promotion


@pytest.mark.parametrize("name", CASES)
def test_the_promotion_is_the_golden_one(name: str) -> None:
    after, promotion = written(name)
    folder = FOLDER / name
    if UPDATE:
        (folder / "report").write_text(report(promotion))
        for edit in promotion.edits:
            (folder / "after" / edit.path.value).parent.mkdir(parents=True, exist_ok=True)
            (folder / "after" / edit.path.value).write_bytes(edit.after)
    assert report(promotion) == (folder / "report").read_text()
    assert after == files(folder / "target") | files(folder / "after")


@pytest.mark.parametrize("name", CASES)
def test_a_promotion_that_is_made_again_changes_nothing_more(name: str) -> None:
    after, first = written(name)
    again = run(name, after)
    assert again.edits == ()
    assert [(one.repository, one.reason) for one in again.left] == [(one.repository, one.reason) for one in first.left]
    assert [one.image for one in again.copied] == [one.image for one in first.copied]


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_or_left_changes_no_pin(name: str) -> None:
    _, promotion = written(name)
    changed = {change.pin.image.repository for change in promotion.changes}
    assert changed <= {one.image.repository for one in promotion.copied}
    assert all(one.where for one in promotion.refused)
