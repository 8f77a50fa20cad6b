"""What a reviewer reads: the title and body of a pull request, made from the plan and the release."""

from __future__ import annotations

from orchestrator.core.change import ChangePlan, PlannedPin
from orchestrator.core.environment import Waiver
from orchestrator.core.release import Release, TestResult
from orchestrator.core.text import printable
from orchestrator.reports.markdown import code, table


def title(plan: ChangePlan) -> str:
    """One line: what goes where."""
    change = plan.change
    names = ", ".join(f"{image.repository.name} {image.tag or image.digest.short}" for image in change.images)
    text = printable(f"{change.scope} to {change.environment}: {names}")
    return text if len(text) <= 120 else text[:119] + "…"


def block(plan: ChangePlan, release: Release | None, waivers: tuple[Waiver, ...] = ()) -> str:
    """What hybrid-ci says in the body: pins, tests, source, and how it is deployed.

    ``release`` is None when only the commit on the branch is known, not the run that made it.
    """
    sections = [
        f"Moves **{len(plan.pins)}** image pin{'s' if len(plan.pins) != 1 else ''} of {code(plan.change.environment)} "
        "and changes nothing else.",
        _pins(plan.pins),
        _tests(release.tests if release else ()),
        _source(release) if release else f"Release {code(plan.change.release)}; its own run has the details.",
        _waivers(waivers),
        _proof(release) + "The agent in the cluster deploys this after the merge; to undo it, revert the merge.",
    ]
    return "\n\n".join(section for section in sections if section)


def _pins(pins: tuple[PlannedPin, ...]) -> str:
    rows = [
        (code(f"{pin.path}:{pin.line}"), code(str(pin.after.repository)), _before(pin), _after(pin)) for pin in pins
    ]
    return table(("File", "Image", "From", "To"), rows)


def _before(pin: PlannedPin) -> str:
    parts = [pin.before.tag, pin.before.digest.short if pin.before.digest else None]
    return code(" ".join(part for part in parts if part) or "untagged")


def _after(pin: PlannedPin) -> str:
    return code(" ".join(part for part in (pin.after.tag, pin.after.digest.short) if part))


def _tests(tests: tuple[TestResult, ...]) -> str:
    if not tests:
        return ""
    rows = [(code(t.image), code(t.name), _counts(t), f"{t.seconds:.1f} s") for t in tests]
    return "Tests of these images:\n\n" + table(("Image", "Test", "Result", "Time"), rows)


def _counts(test: TestResult) -> str:
    verdict = "passed" if test.passed else "failed"
    if test.cases is None:
        return verdict
    skipped = f", {test.cases.skipped} skipped" if test.cases.skipped else ""
    return f"{verdict} ({test.cases.tests} cases{skipped})"


def _source(release: Release) -> str:
    source = release.source
    if source is None:
        return "These images were built elsewhere; their digests were resolved in the registry."
    branch = f" on {code(source.branch)}" if source.branch else ""
    dirty = ", **with changes that no commit holds**" if source.dirty else ""
    return f"Built from {code(str(source.id))}{branch}{dirty}: {code(source.subject)}"


def _proof(release: Release | None) -> str:
    pushed = release is not None and release.source is not None
    return "Each digest was read back from the registry after the push. " if pushed else ""


def _waivers(waivers: tuple[Waiver, ...]) -> str:
    if not waivers:
        return ""
    listed = "\n".join(f"- {code(waiver.signal)}: {code(waiver.reason)}" for waiver in waivers)
    return f"The policy waives these cluster-credential signals for CI:\n\n{listed}"
