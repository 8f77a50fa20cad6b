"""The parts of a pull request's body. Whatever comes from outside stands in code, where forges resolve nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from orchestrator.core.change import Change, ChangePlan, PlannedPin
from orchestrator.core.environment import Waiver
from orchestrator.core.image import ImageReference, Repository
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.release import Release, TestResult
from orchestrator.core.verdict import Result, Verdict
from orchestrator.reports.markdown import code, fenced, folded, link, table

Row = TypeVar("Row")
_MOST_ROWS = 100  # of the summary's tables: the files of the pull request show all
_MOST_PLACES = 3
_FEW_TESTS = 5
_WORDS = {Result.PASS: "pass", Result.WAIT: "**wait**", Result.REFUSE: "**refuse**"}


def headline(plan: ChangePlan) -> str:
    """How much changes, and where."""
    count = len(plan.pins)
    files = len({pin.path for pin in plan.pins})
    within = f" in {files} files" if files > 1 else ""
    return (
        f"Moves **{count}** image pin{'s' if count != 1 else ''} of {code(plan.change.environment)}{within} "
        "and changes nothing else."
    )


def pins(planned: Sequence[PlannedPin], room: int) -> str:
    """Each image with what it was and becomes, and where it stands; those that do not fit are counted."""
    moves: dict[tuple[Repository, str, str], list[PlannedPin]] = {}
    for pin in planned:
        moves.setdefault((pin.after.repository, _before(pin), _after(pin)), []).append(pin)
    rows = [(code(str(one)), before, after, _places(where)) for (one, before, after), where in moves.items()]
    return _as_many(rows, room, lambda shown: table(("Image", "From", "To", "Where"), shown))


def _places(where: Sequence[PlannedPin]) -> str:
    shown = ", ".join(code(f"{pin.path}:{pin.line}") for pin in where[:_MOST_PLACES])
    return shown + (f" and {len(where) - _MOST_PLACES} more" if len(where) > _MOST_PLACES else "")


def _before(pin: PlannedPin) -> str:
    parts = [pin.before.tag, pin.before.digest.short if pin.before.digest else None]
    return code(" ".join(part for part in parts if part) or "untagged")


def _after(pin: PlannedPin) -> str:
    return code(" ".join(part for part in (pin.after.tag, pin.after.digest.short) if part))


def gates(verdicts: Sequence[Verdict], room: int) -> str:
    """What the policy's gates say, what stands in the way first where not all have room; nothing where none was
    asked."""
    if not verdicts:
        return ""
    rows = [(link(code(one.gate), one.link or ""), _WORDS[one.result], _reason(one)) for one in verdicts]
    told = _as_many(rows, room, lambda shown: table(("Gate", "Verdict", "Why"), shown))
    if len(rows) > 1 and told.endswith(" more."):
        order = sorted(range(len(rows)), key=lambda number: verdicts[number].result is Result.PASS)
        rows = [rows[number] for number in order]
        told = _as_many(rows, room, lambda shown: table(("Gate", "Verdict", "Why"), shown))
    return f"Gates of this environment:\n\n{told}"


def _reason(verdict: Verdict) -> str:
    told = code(verdict.reason, 300)
    if verdict.until is not None and verdict.result is Result.WAIT:
        told += f" (until {verdict.until:%Y-%m-%d %H:%M %Z})".replace(" )", ")")
    if verdict.overridden:
        told += f"; set aside: {code(verdict.overridden, 300)}"
    return told


def source(plan: ChangePlan, release: Release | None, run_url: str | None, room: int) -> str:
    """What it was built from, and by which run."""
    if plan.change.taken_from is not None:
        return _promotion(plan.change, run_url, room)
    if release is None:
        return f"Release {code(plan.change.release)}; its own run has the details."
    run = f" {link('CI run', run_url)}." if run_url and link("", run_url) else ""
    commit = release.source
    if commit is None:
        return f"These images were built elsewhere; their digests were resolved in the registry.{run}"
    branch = f" on {code(commit.branch)}" if commit.branch else ""
    dirty = ", **with changes that no commit holds**" if commit.dirty else ""
    return f"Built from {code(str(commit.id))}{branch}{dirty}: {code(commit.subject)}.{run}"


def _promotion(change: Change, run_url: str | None, room: int) -> str:
    """Where the images run already, what they were built from, and what was set aside for them."""
    run = f" {link('CI run', run_url)}." if run_url and link("", run_url) else ""
    told = [f"{code(change.taken_from or '')} runs these very digests.{run}"]
    origins = {one.repository: change.origin(one.repository) for one in change.images}
    commits = dict.fromkeys(one.source for one in origins.values() if one.source is not None)
    if len(commits) == 1:
        told[0] += f" Built from {code(str(next(iter(commits))))}."
    elif commits:
        listed = [
            f"- {code(one.name)} from {code(str(known.source))}" for one, known in origins.items() if known.source
        ]
        told.append("Built from:\n\n" + _as_many(listed, room // 2, "\n".join))
    if change.overrides:
        listed = [f"- {_set_aside(one)}" for one in change.overrides]
        told.append("Set aside in writing:\n\n" + _as_many(listed, room // 2, "\n".join))
    return "\n\n".join(told)


def _set_aside(override: Override) -> str:
    if override.kind is OverrideKind.SKIP:
        return f"{code(override.environment or '')} is skipped: {code(override.reason, 300)}"
    return f"the order of the images need not be known: {code(override.reason, 300)}"


def tests(results: Sequence[TestResult], room: int) -> str:
    """The tests with their durations, folded when they are many; those that do not fit are counted."""
    if not results:
        return ""
    seconds = sum(one.seconds for one in results)
    head = f"{len(results)} test{'s' if len(results) != 1 else ''} of these images passed in {seconds:.1f} s"
    if not all(one.passed for one in results):
        head = f"{sum(not one.passed for one in results)} of {len(results)} tests of these images failed"
    rows = [(code(t.image), code(t.name), _counts(t), f"{t.seconds:.1f} s") for t in results]
    for count in (len(rows), 200, 50, 10):
        shown = table(("Image", "Test", "Result", "Time"), rows[:count])
        shown += f"\n\nAnd {len(rows) - count} more." if count < len(rows) else ""
        text = folded(head, shown) if len(rows) > _FEW_TESTS else f"{head}:\n\n{shown}"
        if count <= len(rows) and len(text) <= room:
            return text
    return f"{head}." if len(head) < room else ""


def _counts(test: TestResult) -> str:
    verdict = "passed" if test.passed else "failed"
    if test.cases is None:
        return verdict
    skipped = f", {test.cases.skipped} skipped" if test.cases.skipped else ""
    return f"{verdict} ({test.cases.tests} cases{skipped})"


def waivers(granted: Sequence[Waiver], room: int) -> str:
    """The exceptions that this run needed."""
    if not granted:
        return ""
    listed = [f"- {code(waiver.signal)}: {code(waiver.reason)}" for waiver in granted]
    shown = _as_many(listed, room, "\n".join)
    return f"The policy waives these cluster-credential signals for CI:\n\n{shown}"


def _as_many(rows: Sequence[Row], room: int, shown: Callable[[Sequence[Row]], str]) -> str:
    """As many of the first rows as there is room for, and how many more there are."""
    count = min(len(rows), _MOST_ROWS)
    while True:
        more = f"\n\nAnd {len(rows) - count} more." if count < len(rows) else ""
        text = (shown(rows[:count]) + more).strip() if count else more.strip()
        if len(text) <= room or not count:
            return text
        count = count * 3 // 4


def deployment(release: Release | None) -> str:
    """How it gets to the cluster, and what was proven before."""
    pushed = release is not None and release.source is not None
    proof = "Each digest was read back from the registry after the push. " if pushed else ""
    return f"{proof}The agent in the cluster deploys this after the merge."


def rollback(plan: ChangePlan, release: Release | None, room: int) -> str:
    """How to undo it, with the command where there is one that brings everything back."""
    told = "Before the merge: close this pull request. After it: revert the merge."
    command = _command(plan, release)
    if command:
        told = told[:-1] + f", or hand the earlier images off again:\n\n{fenced(command, 'sh')}"
    text = folded("How to undo it", told)
    return text if len(text) <= room else ""


def _command(plan: ChangePlan, release: Release | None) -> str:
    """``hybrid-ci pin`` with what stands there now; empty when that names no bytes, or not the same everywhere."""
    names = {image.pinned.repository: image.name for image in release.images} if release else {}
    earlier: dict[Repository, set[ImageReference]] = {}
    for pin in plan.pins:
        earlier.setdefault(pin.after.repository, set()).add(pin.before)
    words = []
    for repository, references in earlier.items():
        reference = next(iter(references))
        if len(references) != 1 or reference.digest is None or repository not in names:
            return ""
        words.append(f"{names[repository]}={reference}")
    return " ".join(["hybrid-ci pin", *words, "--env", plan.change.environment]) if words else ""
