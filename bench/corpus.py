"""Real manifests with the right edit for each: how many come out byte for byte, and why the others do not.

The corpus is a folder of its own (``$HYBRID_CI_CORPUS``, by default ``../shared/corpus`` beside the checkout) with
``cases.jsonl``, ``history_cases.jsonl`` and ``files/``. Prints a table for people, and as its last line one JSON
object.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.errors import HybridCIError
from orchestrator.core.image import Digest, ImageReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, Target, find_pins, set_image
from orchestrator.manifests.values import set_value

Case = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one case: ``exact``, ``untouched``, ``refused`` (with its reason) or ``wrong``."""

    case: str
    scope: str
    state: str
    reason: str = ""


_chosen: list[Path] = []


def use(path: Path) -> None:
    """Read the corpus from here, whatever the environment says."""
    _chosen[:] = [path]


def folder() -> Path:
    """Where the corpus is, or would be."""
    if _chosen:
        return _chosen[0]
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpus"
    return Path(os.environ.get("HYBRID_CI_CORPUS", str(beside)))


def cases(name: str) -> list[Case]:
    """The cases of one file of the corpus."""
    return [json.loads(line) for line in (folder() / name).read_text().splitlines()]


def run_case(case: Case) -> Outcome:
    """Make the edit that a case asks for, and compare the bytes."""
    content = (folder() / case["file"]).read_bytes()
    path = RepoPath(case["path"])
    scope = case["scope"]
    try:
        if scope == "never":
            return _never(case, path, content)
        after = _edit(case, path, content)
    except HybridCIError as error:
        return Outcome(case["id"], scope, "refused", f"{error.message} ({error.where})")
    if hashlib.sha1(after).hexdigest() == case["expected_sha1"]:
        return Outcome(case["id"], scope, "exact")
    return Outcome(case["id"], scope, "wrong", "no pin is found there" if after == content else "other bytes")


def _edit(case: Case, path: RepoPath, content: bytes) -> bytes:
    """By the reference that is found at the place; by configuration or value where the file names no image."""
    place = case["how"]
    digest = Digest(case["new_digest"]) if case["new_digest"] else None
    if case["op"] == "set_version" or case["shape"] == "helm-parameter":
        return set_value(path, content, place, case["new_tag"]).after
    if place.startswith("offset "):
        place = f"line[{case['line']}]"
    options = ScanOptions(places=(place,))
    if case["shape"].startswith("tag-only"):
        image = Repository.parse("registry.example/from-the-chart")
        options = ScanOptions(targets=(Target(str(path), place, image),))
        return set_image(path, content, ImageReference(image, case["new_tag"], digest), options).after
    found = find_pins(path, content, options).pins
    if case["image_name"]:
        image = ImageReference.parse(case["image_name"].rpartition("=")[2]).repository
        found = tuple(pin for pin in found if pin.image.repository == image) or found
    elif len(found) > 1:
        found = tuple(pin for pin in found if pin.line == case["expected"][0]["line"])
        options = ScanOptions(places=tuple(pin.at for pin in found))
    for pin in found:
        return set_image(path, content, ImageReference(pin.image.repository, case["new_tag"], digest), options).after
    return content


def _never(case: Case, path: RepoPath, content: bytes) -> Outcome:
    """Neither found by itself nor reachable when it is asked for by its place."""
    lines = content.decode().splitlines()
    image = ImageReference.parse(case["image_name"])
    new = ImageReference(image.repository, case["new_tag"], None)
    for options in (ScanOptions(), ScanOptions(arguments=True, embedded=True), ScanOptions(places=(case["how"],))):
        after = set_image(path, content, new, options).after.decode().splitlines()
        for hunk in case["expected"]:
            first, count = hunk["line"] - 1, len(hunk["old"])
            if after[first : first + count] != lines[first : first + count]:
                return Outcome(case["id"], "never", "wrong", f"touched with {options}")
    return Outcome(case["id"], "never", "untouched")


def run_history(case: Case) -> Outcome:
    """Make the changes of a commit one after the other; each is a reference, a tag or another value at a place."""
    content = (folder() / case["file"]).read_bytes()
    path = RepoPath(case["path"])
    try:
        for change in case["changes"]:
            content = _change(path, content, change)
    except HybridCIError as error:
        return Outcome(case["id"], "history", "refused", f"{error.message} ({error.where})")
    exact = hashlib.sha1(content).hexdigest() == case["expected_sha1"]
    return Outcome(case["id"], "history", "exact" if exact else "wrong", "" if exact else "other bytes")


def _change(path: RepoPath, content: bytes, change: Case) -> bytes:
    """As a reference where the place holds one by itself, else as a value that is asked for."""
    place, tag = change["how"], change["new"]
    for pin in find_pins(path, content).pins:
        if pin.at == place:
            image = ImageReference.parse(tag)
        elif pin.at == place.rpartition(".")[0] and place.endswith("tag"):
            name, _, digest = tag.partition("@")
            image = ImageReference(pin.image.repository, name, Digest(digest) if digest else None)
        else:
            continue
        return set_image(path, content, image, ScanOptions(places=(pin.at,))).after
    return set_value(path, content, place, tag).after


def round_trips() -> list[str]:
    """The pins of all files that do not come back byte for byte when they are set to what they are."""
    wrong = []
    for file in sorted((folder() / "files").iterdir()):
        content, path = file.read_bytes(), RepoPath(f"manifest{file.suffix}")
        for pin in find_pins(path, content).pins:
            if pin.image.tag is None and pin.image.digest is None:
                continue
            try:
                after = set_image(path, content, pin.image, ScanOptions(places=(pin.at,))).after
            except HybridCIError as error:
                wrong.append(f"{file.name}:{pin.line} {error.message}")
            else:
                wrong += [] if after == content else [f"{file.name}:{pin.line} changed"]
    return wrong


def run() -> list[Outcome]:
    """Every case of both files."""
    return [run_case(case) for case in cases("cases.jsonl")] + [
        run_history(case) for case in cases("history_cases.jsonl")
    ]


def percent(outcomes: list[Outcome], scope: str) -> float:
    """How many of a scope came out right, in per cent."""
    states = [outcome.state for outcome in outcomes if outcome.scope == scope]
    return round(100 * sum(state in ("exact", "untouched") for state in states) / max(len(states), 1), 2)


def main() -> int:
    """Print the table. Ends with 1 when the corpus is not there."""
    if not (folder() / "cases.jsonl").is_file():
        print(f"there is no corpus at {folder()}: set HYBRID_CI_CORPUS", file=sys.stderr)
        return 1
    outcomes = run()
    counts = Counter((outcome.scope, outcome.state) for outcome in outcomes)
    print(f"{'scope':<10}{'exact':>8}{'untouched':>11}{'refused':>9}{'wrong':>7}")
    for scope in ("deploy", "never", "opt-in", "add-tag", "history"):
        states = [counts[scope, state] for state in ("exact", "untouched", "refused", "wrong")]
        print(f"{scope:<10}{states[0]:>8}{states[1]:>11}{states[2]:>9}{states[3]:>7}")
    for outcome in outcomes:
        if outcome.state in ("refused", "wrong"):
            print(f"  {outcome.scope} {outcome.case}: {outcome.state}: {outcome.reason}")
    figures = {
        "deploy_exact_pct": percent(outcomes, "deploy"),
        "never_touched_pct": round(100 - percent(outcomes, "never"), 2),
        "opt_in_exact_pct": percent(outcomes, "opt-in"),
        "add_tag_exact_pct": percent(outcomes, "add-tag"),
        "history_exact_pct": percent(outcomes, "history"),
    }
    print(json.dumps({"name": "corpus", "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
