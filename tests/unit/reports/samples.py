"""Releases and plans to describe, plain and hostile."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.core.change import Action, Change, ChangePlan, FileEdit, PlannedPin
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Platform
from orchestrator.core.names import CommitId, RepoPath
from orchestrator.core.release import CaseCounts, Release, ReleasedImage, SourceCommit, TestResult
from orchestrator.core.verdict import Result, Verdict
from orchestrator.forges.base import Comparison, SourceChange
from orchestrator.reports.commits import SourceRange
from orchestrator.reports.pull_request import Known
from orchestrator.reports.rendered import ResourceDiff, diff_rendered

BASE = CommitId("ba5e" + "0" * 36)
SOURCE = SourceCommit(
    id=CommitId("c0ffee" + "0" * 34),
    branch="main",
    tags=("v1.4.2",),
    authored=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    subject="Take orders from abroad",
    remote="https://github.com/acme/shop.git",
    dirty=False,
    first_parent_count=42,
)


def pinned(name: str, tag: str | None, fill: str) -> PinnedImage:
    suffix = f":{tag}" if tag else ""
    return PinnedImage.parse(f"ghcr.io/acme/shop/{name}{suffix}@sha256:{fill * 32}")


def released(name: str, tag: str | None, fill: str, kind: str = "manifest") -> ReleasedImage:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64")) if kind == "index" else ()
    config = Digest("sha256:" + "cf" * 32) if kind == "manifest" else None
    return ReleasedImage(name, pinned(name, tag, fill), kind, config, platforms)


def moved(path: str, line: int, before: str, after: PinnedImage) -> PlannedPin:
    return PlannedPin(
        RepoPath(path), line, "spec.template.spec.containers[0].image", ImageReference.parse(before), after
    )


def plan_of(release: Release, pins: tuple[PlannedPin, ...], environment: str = "prod/eu-1") -> ChangePlan:
    edits = tuple(FileEdit(path, b"before\n", b"after\n") for path in dict.fromkeys(pin.path for pin in pins))
    action = Action.RELEASE if release.source else Action.PIN
    return ChangePlan(Change.of(action, environment, release), BASE, edits, pins)


ONE = Release("shop", (released("api", "1.4.2", "a1"),), SOURCE, (TestResult("api", "smoke", True, 1.25),))
ONE_PLAN = plan_of(
    ONE, (moved("envs/prod/eu-1/shop/api.yaml", 17, "ghcr.io/acme/shop/api:1.4.1@sha256:" + "0a" * 32, ONE.pins[0]),)
)

SEVERAL = Release(
    "shop",
    (released("api", "1.4.2", "a1"), released("worker", "1.4.2", "b2", "index"), released("web", None, "c3")),
    SOURCE,
    (
        TestResult("api", "unit", True, 12.345, CaseCounts(120, skipped=3)),
        TestResult("api", "smoke", True, 0.04),
        TestResult("worker", "unit", True, 61.0, CaseCounts(7)),
    ),
)
SEVERAL_PLAN = plan_of(
    SEVERAL,
    (
        moved("envs/prod/eu-1/shop/api.yaml", 17, "ghcr.io/acme/shop/api:1.4.1", SEVERAL.pins[0]),
        moved("envs/prod/eu-1/shop/jobs.yaml", 4, "ghcr.io/acme/shop/api", SEVERAL.pins[0]),
        moved("envs/prod/eu-1/shop/worker.yaml", 9, f"ghcr.io/acme/shop/worker@sha256:{'0b' * 32}", SEVERAL.pins[1]),
        moved("envs/prod/eu-1/shop/web.yaml", 11, "ghcr.io/acme/shop/web:latest", SEVERAL.pins[2]),
    ),
)

ELSEWHERE = Release("shop", (released("api", "1.4.2", "a1"),))
ELSEWHERE_PLAN = plan_of(ELSEWHERE, (moved("api.yaml", 1, "ghcr.io/acme/shop/api:1.4.1", ELSEWHERE.pins[0]),), "dev")

# Everything that a person with a commit, a branch, a test or a file name could put into a pull request.
HOSTILE_TEXTS = [
    "@everyone @acme/admins Closes #1, fixes acme/gitops#2",
    "`@everyone` ``x`` " + "`" * 90 + "@everyone",
    "a | b \\| c | <img src=x onerror=alert(1)> <!-- hybrid-ci:end --> </details>",
    "\u202etxt.exe\u2066 \u200bzero\u061c \x1b[31mred\x1b[0m \x07",
    "line one\n\n# heading\n- [ ] item\r\n| a | b |\n",
    "[x](https://evil.example) ![y](https://evil.example/p.png) https://evil.example",
]


def hostile(text: str) -> tuple[Release, ChangePlan]:
    """A release with this text wherever text from outside can stand."""
    source = SourceCommit(SOURCE.id, text, (), SOURCE.authored, text, None, True, 42)
    release = Release(
        "shop", (released("api", "1.4.2", "a1"),), source, (TestResult("api", text, True, 1.0, CaseCounts(2)),)
    )
    path = "envs/" + text.replace("/", "_").replace("\0", "")
    return release, plan_of(release, (moved(path, 1, "ghcr.io/acme/shop/api:1.4.1", release.pins[0]),), "prod")


# --- what more is known of a change --------------------------------------------------------------------------------

RUNNING, HOST = CommitId("0ddba11" + "0" * 33), "https://github.com/acme/shop"
SUBJECTS = ("Take orders from abroad", "Round prices half up", "Log the order's number")


def commits_between(count: int, subjects: tuple[str, ...] = SUBJECTS, author: str = "ada") -> Comparison:
    """So many commits, newest first, as a forge tells them."""
    told = [
        SourceChange(
            CommitId(f"{count - number:07x}" + "c" * 33),
            subjects[number % len(subjects)],
            author,
            f"{HOST}/commit/{count - number:07x}" + "c" * 33,
        )
        for number in range(min(count, 100))
    ]
    return Comparison(count, 0, tuple(told), f"{HOST}/compare/{RUNNING}...{SOURCE.id}")


def source_range(comparison: Comparison, *images: str) -> SourceRange:
    return SourceRange(images or ("api",), RUNNING, SOURCE.id, comparison)


VERDICTS = (
    Verdict("hold", Result.PASS, "no hold stands in the way"),
    Verdict("order", Result.PASS, "every image moves forward", overridden="the branch was renamed"),
    Verdict(
        "soak staging", Result.WAIT, "it runs in staging for 1 h of 24 h", until=datetime(2026, 3, 2, 12, tzinfo=UTC)
    ),
    Verdict("approvals acme/sre", Result.REFUSE, "0 of 2 approvals", link="https://github.com/acme/gitops/pull/7"),
)
DEPLOYMENT = "\n".join(
    ["apiVersion: apps/v1", "kind: Deployment", "metadata:", "  name: api", "spec:", "  image: api:1.4.1", ""]
)
RENDERED = diff_rendered(
    {"apps/v1 Deployment shop/api": DEPLOYMENT, "v1 ConfigMap shop/old": "kind: ConfigMap\n"},
    {"apps/v1 Deployment shop/api": DEPLOYMENT.replace("1.4.1", "1.4.2"), "v1 Secret shop/new": "kind: Secret\n"},
)
RUN = "https://github.com/acme/shop/actions/runs/4711"
ALL_KNOWN = Known(ONE, verdicts=VERDICTS, sources=(source_range(commits_between(3)),), run_url=RUN, rendered=RENDERED)

TEN_NAMES = ("api", "billing", "cart", "catalogue", "fraud", "mail", "search", "stock", "web", "worker")
TEN = Release(
    "shop",
    tuple(released(name, "1.4.2", f"{number:x}{number:x}") for number, name in enumerate(TEN_NAMES)),
    SOURCE,
    tuple(
        TestResult(name, "unit", True, 10.0 + number, CaseCounts(100 + number)) for number, name in enumerate(TEN_NAMES)
    ),
)


def ten_images(environment: str) -> ChangePlan:
    """Ten images, each in four files of the environment."""
    pins = [
        moved(f"envs/{environment}/{name}/{part}.yaml", 10, f"{image.repository}:1.4.1@sha256:{'0d' * 32}", image)
        for name, image in zip(TEN_NAMES, TEN.pins, strict=True)
        for part in ("deployment", "job", "cron", "migration")
    ]
    return plan_of(TEN, tuple(pins), environment)


def many_resources(count: int, lines: int) -> tuple[ResourceDiff, ...]:
    """So many resources, each with a diff of so many lines."""
    before = "".join(f"line {number}: old\n" for number in range(lines))
    return diff_rendered(
        {f"apps/v1 Deployment shop/d{number:03}": before for number in range(count)},
        {f"apps/v1 Deployment shop/d{number:03}": before.replace("old", "new") for number in range(count)},
    )
