"""The verdicts of gates, each at its edge. The clock is a value: one second before, and the very second."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.core.change import Position
from orchestrator.core.environment import Environment
from orchestrator.core.facts import (
    Approval,
    CommandAnswer,
    Facts,
    HttpAnswer,
    Moving,
    Need,
    NoAnswer,
    Reviews,
    Run,
    Served,
    Subject,
    TestClaim,
    needs,
)
from orchestrator.core.freeze import Cron, Freeze
from orchestrator.core.gates import (
    AllowedRegistryGate,
    ApprovalsGate,
    CommandGate,
    FreezeGate,
    Gate,
    HoldGate,
    HttpGate,
    ImageExistsGate,
    OrderGate,
    SoakGate,
    TestsGate,
    VetoGate,
)
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Platform, Repository
from orchestrator.core.judge import evaluate, judge, length
from orchestrator.core.names import CommitId
from orchestrator.core.order import Ancestry, OrderRule, Origin
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.verdict import Result, Verdict, overall, wait_ends

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
API = PinnedImage.parse("ghcr.io/acme/shop/api:1.4.2@sha256:" + "b" * 64)
WORKER = PinnedImage.parse("ghcr.io/acme/shop/worker:1.4.2@sha256:" + "d" * 64)
OLD = ImageReference.parse("ghcr.io/acme/shop/api:1.4.1@sha256:" + "a" * 64)
PROD = Environment("prod", ("envs/prod/**",), after=("staging",))


def subject(*images: Moving, environment: Environment = PROD, overrides: tuple[Override, ...] = ()) -> Subject:
    return Subject(environment, "shop", images or (Moving(API),), overrides)


def verdict(gate: Gate, facts: Facts, about: Subject | None = None) -> Verdict:
    return evaluate(gate, about or subject(), facts)


def hold(environment: str = "prod", image: Repository = API.repository, expires: datetime | None = None) -> Hold:
    return Hold(environment, "incident 42", "ada", NOW - SECOND, expires, image)


def veto(digest: Digest = API.digest, environment: str = "prod", expires: datetime | None = None) -> Veto:
    return Veto(environment, "loses orders", "ada", NOW - SECOND, expires, digest)


# --- hold, veto ---------------------------------------------------------------------------------------------------


def test_a_hold_refuses_and_says_why_who_and_how_to_lift_it() -> None:
    found = verdict(HoldGate(), Facts(NOW, holds=(hold(),)))
    assert (found.result, found.images) == (Result.REFUSE, (API.repository,))
    assert found.reason == "api is held: incident 42"
    assert "by ada" in found.evidence[0]
    assert ".hybrid-ci/holds/prod/" in found.evidence[0]
    assert found.hint == "lift it with `hybrid-ci hold lift ghcr.io/acme/shop/api --env prod --reason REASON`"


@pytest.mark.parametrize(
    ("now", "expected"), [(NOW - SECOND, Result.REFUSE), (NOW, Result.PASS), (NOW + SECOND, Result.PASS)]
)
def test_a_hold_and_a_veto_end_at_the_very_second_of_their_expiry(now: datetime, expected: Result) -> None:
    assert verdict(HoldGate(), Facts(now, holds=(hold(expires=NOW),))).result is expected
    assert verdict(VetoGate(), Facts(now, vetoes=(veto(expires=NOW),))).result is expected


def test_a_refusal_ends_by_itself_only_when_every_hold_does() -> None:
    later = NOW + timedelta(days=2)
    group = Environment("prod/eu-1", ("x",), group="prod")
    both = (hold(expires=later), hold("prod/eu-1", expires=None))
    assert verdict(HoldGate(), Facts(NOW, holds=both[:1])).until == later
    assert verdict(HoldGate(), Facts(NOW, holds=both), subject(environment=group)).until is None


@pytest.mark.parametrize("other", [hold("staging"), hold("prod/eu-1"), hold(image=WORKER.repository)])
def test_a_hold_of_something_else_does_not_count(other: Hold) -> None:
    assert verdict(HoldGate(), Facts(NOW, holds=(other,))).result is Result.PASS


@pytest.mark.parametrize("other", [veto(WORKER.digest), veto(environment="staging")])
def test_a_veto_of_something_else_does_not_count(other: Veto) -> None:
    assert verdict(VetoGate(), Facts(NOW, vetoes=(other,))).result is Result.PASS


def test_a_hold_of_the_whole_counts_for_each_of_its_clusters() -> None:
    cluster = Environment("prod/eu-1", ("x",), group="prod", wave=1)
    about = subject(environment=cluster)
    assert verdict(HoldGate(), Facts(NOW, holds=(hold("prod"),)), about).result is Result.REFUSE
    assert verdict(HoldGate(), Facts(NOW, holds=(hold("prod/eu-2"),)), about).result is Result.PASS


def test_of_a_set_the_held_images_are_named() -> None:
    found = verdict(HoldGate(), Facts(NOW, holds=(hold(),)), subject(Moving(API), Moving(WORKER)))
    assert (found.result, found.images) == (Result.REFUSE, (API.repository,))


def test_a_vetoed_digest_is_refused_whatever_its_tag() -> None:
    renamed = PinnedImage(API.repository, API.digest, "other")
    assert verdict(VetoGate(), Facts(NOW, vetoes=(veto(),)), subject(Moving(renamed))).result is Result.REFUSE


# --- soak ---------------------------------------------------------------------------------------------------------

SOAK = SoakGate(7200)


def running(since: datetime | None, environment: str = "staging", image: PinnedImage = API) -> Run:
    return Run(environment, image.repository, image.digest, since)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(hours=2) - SECOND, Result.WAIT),
        (timedelta(hours=2), Result.PASS),
        (timedelta(hours=2) + SECOND, Result.PASS),
        (timedelta(0), Result.WAIT),
        (-timedelta(hours=1), Result.WAIT),
    ],
)
def test_a_soak_is_over_at_its_very_second(age: timedelta, expected: Result) -> None:
    found = verdict(SOAK, Facts(NOW, runs=(running(NOW - age),)))
    assert found.result is expected
    assert found.until == (None if expected is Result.PASS else NOW - age + timedelta(hours=2))


def test_a_soak_that_is_almost_over_never_says_zero() -> None:
    almost = running(NOW - timedelta(hours=2) + timedelta(milliseconds=1))
    assert verdict(SOAK, Facts(NOW, runs=(almost,))).reason == "api soaks in staging for 1s more"


def test_a_soak_waits_for_an_image_that_does_not_run_there_or_since_nobody_knows_when() -> None:
    other = Run("staging", API.repository, WORKER.digest, NOW - timedelta(days=9))
    assert verdict(SOAK, Facts(NOW, runs=(other,))).result is Result.WAIT
    assert verdict(SOAK, Facts(NOW, runs=(running(None),))).result is Result.WAIT


def test_a_soak_counts_in_every_environment_and_for_every_image() -> None:
    environment = replace(PROD, after=("eu", "us"))
    old, young = NOW - timedelta(hours=3), NOW - timedelta(hours=1)
    runs = (running(old, "eu"), running(young, "us"), running(old, "eu", WORKER), running(old, "us", WORKER))
    found = verdict(SOAK, Facts(NOW, runs=runs), subject(Moving(API), Moving(WORKER), environment=environment))
    assert (found.result, found.images, found.until) == (Result.WAIT, (API.repository,), NOW + timedelta(hours=1))


def test_a_soak_elsewhere_asks_there_alone() -> None:
    gate = SoakGate(7200, ("canary",))
    assert verdict(gate, Facts(NOW, runs=(running(NOW - timedelta(hours=2), "canary"),))).result is Result.PASS


def test_a_soak_of_a_skipped_environment_passes_and_says_so() -> None:
    skip = Override(OverrideKind.SKIP, "hotfix for incident 42", "staging")
    found = verdict(SOAK, Facts(NOW, runs=()), subject(overrides=(skip,)))
    assert (found.result, found.overridden) == (Result.PASS, "hotfix for incident 42")
    assert "skipped" in found.reason


def test_a_soak_without_a_place_to_soak_in_never_passes() -> None:
    assert verdict(SOAK, Facts(NOW, runs=()), subject(environment=replace(PROD, after=()))).result is Result.REFUSE


# --- freeze -------------------------------------------------------------------------------------------------------

WEEKEND = FreezeGate(
    (Freeze("weekend", "Europe/Berlin", cron=Cron.parse("0 16 * * FRI"), length=timedelta(hours=64), text="weekends"),)
)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-27T14:59:59", Result.PASS),
        ("2026-03-27T15:00:00", Result.WAIT),  # Friday 16:00 in winter
        ("2026-03-30T05:59:59", Result.WAIT),
        ("2026-03-30T06:00:00", Result.PASS),  # Monday 08:00 in summer
        ("2026-10-23T13:59:59", Result.PASS),
        ("2026-10-23T14:00:00", Result.WAIT),  # Friday 16:00 in summer
        ("2026-10-26T06:59:59", Result.WAIT),
        ("2026-10-26T07:00:00", Result.PASS),  # Monday 08:00 in winter
    ],
)
def test_a_freeze_over_a_change_of_the_clocks_holds_by_the_clock_on_the_wall(now: str, expected: Result) -> None:
    assert verdict(WEEKEND, Facts(datetime.fromisoformat(now).replace(tzinfo=UTC))).result is expected


def test_a_freeze_says_until_when_and_why() -> None:
    found = verdict(WEEKEND, Facts(datetime(2026, 3, 28, 12, tzinfo=UTC)))
    assert found.reason == "frozen until 2026-03-30 06:00:00 UTC: weekend"
    assert found.until == datetime(2026, 3, 30, 6, tzinfo=UTC)
    assert found.evidence == ("weekends (Europe/Berlin): weekend",)


# --- order --------------------------------------------------------------------------------------------------------

IN_STAGING = Facts(NOW, runs=(running(None),))


def moving(comes: int | None, runs: int | None = 7, branch: str = "main") -> Moving:
    origin = Origin(None, Position(branch, comes) if comes is not None else None)
    return Moving(API, origin, OLD, Origin(None, Position("main", runs) if runs is not None else None))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (moving(8), Result.PASS),
        (moving(7), Result.PASS),
        (moving(6), Result.REFUSE),
        (moving(None), Result.REFUSE),
        (moving(8, None), Result.REFUSE),
        (moving(8, branch="hotfix"), Result.REFUSE),
        (replace(moving(6), runs=API.reference), Result.PASS),
        (replace(moving(6), runs=None), Result.PASS),
    ],
)
def test_an_environment_never_moves_backwards(one: Moving, expected: Result) -> None:
    assert verdict(OrderGate(), IN_STAGING, subject(one)).result is expected


def test_an_unknown_order_is_refused_with_what_to_do_and_may_be_allowed_in_writing() -> None:
    refused = verdict(OrderGate(), IN_STAGING, subject(moving(None)))
    assert "--allow-unknown-order REASON" in (refused.hint or "")
    allowed = Override(OverrideKind.UNKNOWN_ORDER, "first release by hand")
    found = verdict(OrderGate(), IN_STAGING, subject(moving(None), overrides=(allowed,)))
    assert (found.result, found.overridden) == (Result.PASS, "first release by hand")
    assert "first release by hand" in found.reason


def test_going_backwards_is_never_allowed_in_writing() -> None:
    allowed = Override(OverrideKind.UNKNOWN_ORDER, "please")
    found = verdict(OrderGate(), IN_STAGING, subject(moving(6), overrides=(allowed,)))
    assert found.result is Result.REFUSE
    assert "rollback" in (found.hint or "")


def test_the_first_matching_rule_of_an_image_counts() -> None:
    gate = OrderGate((("ghcr.io/acme/shop/api", OrderRule.NONE), ("ghcr.io/acme/**", OrderRule.SEMVER)))
    assert gate.rule(API.repository) is OrderRule.NONE
    assert gate.rule(WORKER.repository) is OrderRule.SEMVER
    assert gate.rule(Repository.parse("nginx")) is OrderRule.SEQUENCE
    assert verdict(gate, IN_STAGING, subject(moving(6))).result is Result.PASS


@pytest.mark.parametrize(
    ("ancestry", "expected"),
    [(Ancestry.DESCENDANT, Result.PASS), (Ancestry.DIVERGED, Result.REFUSE), (Ancestry.UNKNOWN, Result.REFUSE)],
)
def test_ancestry_is_what_git_or_the_forge_told(ancestry: Ancestry, expected: Result) -> None:
    gate = OrderGate((("**", OrderRule.ANCESTRY),))
    one = Moving(API, Origin(CommitId("b" * 40)), OLD, Origin(CommitId("a" * 40)))
    facts = replace(IN_STAGING, ancestry={API.repository: ancestry})
    assert verdict(gate, facts, subject(one)).result is expected


def test_an_image_comes_by_way_of_the_environments_before() -> None:
    other = Facts(NOW, runs=(Run("staging", API.repository, WORKER.digest),))
    found = verdict(OrderGate(), other, subject(replace(moving(8))))
    assert found.result is Result.REFUSE
    assert "--skip staging --reason" in (found.hint or "")


def test_a_skipped_environment_is_recorded_and_another_one_still_asked() -> None:
    skip = Override(OverrideKind.SKIP, "hotfix", "staging")
    nothing = Facts(NOW, runs=())
    found = verdict(OrderGate(), nothing, subject(moving(8), overrides=(skip,)))
    assert (found.result, found.overridden) == (Result.PASS, "hotfix")
    two = replace(PROD, after=("staging", "qa"))
    assert verdict(OrderGate(), nothing, subject(moving(8), environment=two, overrides=(skip,))).result is Result.REFUSE


def test_a_later_wave_waits_for_the_one_before_it() -> None:
    second = replace(PROD, name="prod/eu-2", after=("prod/eu-1",), group="prod", wave=2)
    assert verdict(OrderGate(), Facts(NOW, runs=()), subject(moving(8), environment=second)).result is Result.WAIT
    first = replace(second, after=("staging",), wave=1)
    assert verdict(OrderGate(), Facts(NOW, runs=()), subject(moving(8), environment=first)).result is Result.REFUSE


# --- approvals ----------------------------------------------------------------------------------------------------

SRE = ApprovalsGate(("acme/sre",), 2)


def reviews(*approvals: Approval, objections: tuple[str, ...] = ()) -> Facts:
    return Facts(NOW, reviews=Reviews(7, "https://forge.example/7", "bot", approvals, objections))


def by(author: str, team: str | None = "acme/sre", current: bool = True) -> Approval:
    return Approval(author, frozenset({team} if team else ()), current)


@pytest.mark.parametrize(
    ("approvals", "expected"),
    [
        ((by("ada"), by("bob")), Result.PASS),
        ((by("ada"),), Result.WAIT),
        ((by("ada"), by("ada")), Result.WAIT),
        ((by("ada"), by("bob", None)), Result.WAIT),
        ((by("ada"), by("bob", "acme/dev")), Result.WAIT),
        ((by("ada"), by("bob", current=False)), Result.WAIT),
        ((by("ada"), by("bot")), Result.WAIT),
        ((), Result.WAIT),
    ],
)
def test_approvals_count_by_person_team_and_head(approvals: tuple[Approval, ...], expected: Result) -> None:
    found = verdict(SRE, reviews(*approvals))
    assert (found.result, found.link) == (expected, "https://forge.example/7")


def test_every_team_has_to_approve() -> None:
    gate = ApprovalsGate(("acme/sre", "acme/dev"))
    both = Approval("ada", frozenset({"acme/sre", "acme/dev"}))
    assert verdict(gate, reviews(by("ada"))).reason == "approvals are missing: 1 of acme/dev"
    assert verdict(gate, reviews(both)).result is Result.PASS


def test_without_a_team_anybody_but_the_author_counts() -> None:
    assert verdict(ApprovalsGate(), reviews(by("ada", None))).result is Result.PASS
    assert verdict(ApprovalsGate(), reviews(by("bot", None))).result is Result.WAIT


def test_an_objection_waits_however_many_approve() -> None:
    found = verdict(SRE, reviews(by("ada"), by("bob"), objections=("eve",)))
    assert (found.result, found.reason) == (Result.WAIT, "changes are requested by eve")


def test_without_a_pull_request_approvals_wait() -> None:
    assert verdict(SRE, Facts(NOW, reviews=NoAnswer("there is no pull request yet"))).result is Result.WAIT


# --- image-exists, allowed-registry, tests ------------------------------------------------------------------------

AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (Served((AMD, ARM)), Result.PASS),
        (Served((AMD, Platform.parse("linux/arm64/v8"))), Result.PASS),
        (Served((AMD,)), Result.REFUSE),
        (Served(), Result.REFUSE),
        (None, Result.REFUSE),
    ],
)
def test_an_image_exists_for_every_platform(served: Served | None, expected: Result) -> None:
    assert verdict(ImageExistsGate((AMD, ARM)), Facts(NOW, served={API: served})).result is expected


def test_an_image_without_asked_platforms_only_has_to_be_there() -> None:
    assert verdict(ImageExistsGate(), Facts(NOW, served={API: Served()})).result is Result.PASS


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ghcr.io/acme/**", Result.PASS),
        ("ghcr.io/acme/shop/*", Result.PASS),
        ("ghcr.io/acm/**", Result.REFUSE),
        ("**/evil", Result.REFUSE),
        ("docker.io/**", Result.REFUSE),
    ],
)
def test_only_a_listed_repository_is_allowed(pattern: str, expected: Result) -> None:
    assert verdict(AllowedRegistryGate((pattern,)), Facts(NOW)).result is expected


def claim(passed: tuple[str, ...], failed: tuple[str, ...] = (), digest: Digest = API.digest) -> TestClaim:
    return TestClaim(digest, passed, failed, "ghcr.io/acme/shop/api@sha256:ee…")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ((claim(("unit", "smoke")),), Result.PASS),
        ((claim(("unit", "smoke", "more")),), Result.PASS),
        ((claim(("unit",)),), Result.REFUSE),
        ((claim(("unit",)), claim(("smoke",))), Result.REFUSE),
        ((claim(("unit", "smoke"), ("load",)),), Result.REFUSE),
        ((claim(("unit",)), claim(("unit", "smoke"))), Result.PASS),
        ((claim(("unit", "smoke"), digest=WORKER.digest),), Result.REFUSE),
        ((), Result.REFUSE),
    ],
)
def test_one_record_says_that_all_tests_passed(claims: tuple[TestClaim, ...], expected: Result) -> None:
    assert verdict(TestsGate(("unit", "smoke")), Facts(NOW, claims={API.digest: claims})).result is expected


def test_a_record_of_no_test_proves_none() -> None:
    assert verdict(TestsGate(), Facts(NOW, claims={API.digest: (claim(()),)})).result is Result.REFUSE


def test_a_record_is_called_a_claim_until_it_is_signed() -> None:
    said = verdict(TestsGate(), Facts(NOW, claims={API.digest: (claim(("unit",)),)})).evidence[0]
    assert "a claim, not signed" in said
    signed = replace(claim(("unit",)), signed=True)
    assert "(signed;" in verdict(TestsGate(), Facts(NOW, claims={API.digest: (signed,)})).evidence[0]


# --- http ---------------------------------------------------------------------------------------------------------

HTTP = HttpGate("slo", "https://slo.example/api")


@pytest.mark.parametrize(
    ("changes", "status", "text", "expected"),
    [
        ({}, 200, "", True),
        ({}, 204, "", False),
        ({}, 302, "", False),
        ({"status": 302}, 302, "", True),
        ({"contains": "green"}, 200, "all green", True),
        ({"contains": "green"}, 200, "all red", False),
        ({"contains": "green"}, 500, "all green", False),
        ({"pointer": "/a/0/b~1c"}, 200, '{"a": [{"b/c": null}]}', True),
        ({"pointer": "/a/1"}, 200, '{"a": [1]}', False),
        ({"pointer": "/a/-1"}, 200, '{"a": [1]}', False),
        ({"pointer": "/a/01"}, 200, '{"a": [1, 2]}', False),
        ({"pointer": "/a/b"}, 200, '{"a": "text"}', False),
        ({"pointer": "/ok", "equals": True}, 200, '{"ok": true}', True),
        ({"pointer": "/ok", "equals": True}, 200, '{"ok": 1}', False),
        ({"pointer": "/n", "equals": 1}, 200, '{"n": 1.0}', True),
        ({"pointer": "/n", "equals": 1}, 200, '{"n": true}', False),
        ({"pointer": "/s", "equals": "ok"}, 200, '{"s": "OK"}', False),
        ({"pointer": "", "equals": "ok"}, 200, '"ok"', True),
        ({"pointer": "/ok"}, 200, "<html>", False),
        ({"pointer": "/ok"}, 200, "[" * 100_000, False),
    ],
)
@pytest.mark.parametrize("otherwise", [Result.WAIT, Result.REFUSE])
def test_an_http_answer_is_as_expected_or_not(
    changes: dict[str, object], status: int, text: str, expected: bool, otherwise: Result
) -> None:
    gate = replace(HTTP, otherwise=otherwise, **changes)  # type: ignore[arg-type]
    found = verdict(gate, Facts(NOW, http={"slo": HttpAnswer(status, text)}))
    assert found.result is (Result.PASS if expected else otherwise)
    assert found.link == "https://slo.example/api"


def test_no_answer_is_no_pass() -> None:
    assert verdict(HTTP, Facts(NOW, http={"slo": NoAnswer("timed out")})).result is Result.WAIT
    assert verdict(HTTP, Facts(NOW)).result is Result.WAIT


# --- command ------------------------------------------------------------------------------------------------------

COMMAND = CommandGate("budget", ("check-budget",))


def printed(data: object, code: int = 0) -> Facts:
    text = data if isinstance(data, str) else json.dumps(data)
    return Facts(NOW, commands={"budget": CommandAnswer(code, text, "boom")})


@pytest.mark.parametrize("result", Result)
def test_a_command_prints_its_verdict(result: Result) -> None:
    whole = {"verdict": result.value, "reason": "budget", "evidence": ["a", "b"], "link": "https://x.example/1"}
    found = verdict(COMMAND, printed(whole))
    assert (found.result, found.reason, found.evidence, found.link) == (result, "budget", ("a", "b"), whole["link"])


@pytest.mark.parametrize(
    "data",
    [
        "",
        "pass",
        "null",
        "[]",
        "[" * 100_000,
        {},
        {"verdict": "pass"},
        {"verdict": "PASS", "reason": "x"},
        {"verdict": True, "reason": "x"},
        {"verdict": ["pass"], "reason": "x"},
        {"verdict": "pass", "reason": ""},
        {"verdict": "pass", "reason": 1},
        {"verdict": "pass", "reason": "x", "evidence": "x"},
        {"verdict": "pass", "reason": "x", "evidence": [1]},
        {"verdict": "pass", "reason": "x", "link": "javascript:alert(1)"},
        {"verdict": "pass", "reason": "x", "results": []},
        '{"verdict": "pass", "reason": "x"} and more',
    ],
)
def test_what_is_no_verdict_refuses(data: object) -> None:
    found = verdict(COMMAND, printed(data))
    assert found.result is Result.REFUSE
    assert "check-budget" in (found.hint or "")


def test_a_command_that_fails_refuses_whatever_it_printed() -> None:
    found = verdict(COMMAND, printed({"verdict": "pass", "reason": "x"}, code=1))
    assert (found.result, found.evidence) == (Result.REFUSE, ("boom",))


def test_a_command_that_did_not_answer_refuses() -> None:
    facts = Facts(NOW, commands={"budget": NoAnswer("it did not end within 60 seconds")})
    assert verdict(COMMAND, facts).result is Result.REFUSE
    assert verdict(COMMAND, Facts(NOW)).result is Result.REFUSE


def test_what_a_command_prints_can_not_act_on_a_terminal() -> None:
    found = verdict(COMMAND, printed({"verdict": "pass", "reason": "\x1b[2Jfine\u202e", "evidence": ["x" * 5000]}))
    assert found.reason == "fine"
    assert len(found.evidence[0]) == 300


# --- together -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gate", [HoldGate(), VetoGate(), SOAK, SRE, ImageExistsGate(), TestsGate(), OrderGate(), HTTP, COMMAND]
)
def test_what_nobody_asked_for_never_passes(gate: Gate) -> None:
    assert verdict(gate, Facts(NOW)).result is not Result.PASS


def test_refuse_beats_wait_beats_pass() -> None:
    passes, waits, refuses = (Verdict("x", result, "") for result in (Result.PASS, Result.WAIT, Result.REFUSE))
    assert overall([]) is Result.PASS
    assert overall([passes, passes]) is Result.PASS
    assert overall([passes, waits]) is Result.WAIT
    assert overall([waits, refuses, passes]) is Result.REFUSE


def test_a_wait_ends_with_its_last_gate_when_all_are_known() -> None:
    early, late = (Verdict("x", Result.WAIT, "", until=NOW + timedelta(hours=hours)) for hours in (1, 2))
    assert wait_ends([late, early, Verdict("x", Result.PASS, "")]) == NOW + timedelta(hours=2)
    assert wait_ends([late, Verdict("x", Result.WAIT, "")]) is None
    assert wait_ends([]) is None


def test_holds_vetoes_and_the_order_are_always_asked() -> None:
    assert [gate.kind for gate in Environment("dev", ("x",)).all_gates] == ["hold", "veto", "order"]
    frozen = Environment("dev", ("x",), gates=(SOAK,), freezes=WEEKEND.freezes)
    assert [gate.kind for gate in frozen.all_gates] == ["hold", "veto", "order", "freeze", "soak"]


def test_every_gate_of_an_environment_is_judged_in_order() -> None:
    environment = replace(PROD, after=(), gates=(AllowedRegistryGate(("ghcr.io/**",)),))
    found = judge(subject(environment=environment), Facts(NOW, holds=(), vetoes=(), runs=()))
    assert [(one.gate, one.result) for one in found] == [
        ("hold", Result.PASS),
        ("veto", Result.PASS),
        ("order", Result.PASS),
        ("allowed-registry", Result.PASS),
    ]


def test_only_what_a_gate_needs_is_asked_for() -> None:
    first = Environment("dev", ("x",))
    assert needs(first.all_gates, subject(environment=first)) == {Need.HOLDS, Need.VETOES}
    assert needs(PROD.all_gates, subject()) == {Need.HOLDS, Need.VETOES, Need.RUNS}
    assert needs([SOAK], subject()) == {Need.RUNS, Need.SINCE}
    assert needs([FreezeGate(()), AllowedRegistryGate(())], subject()) == frozenset()
    ancestry = OrderGate((("**", OrderRule.ANCESTRY),))
    one = Moving(API, Origin(CommitId("b" * 40)), OLD, Origin(CommitId("a" * 40)))
    assert Need.ANCESTRY in needs([ancestry], subject(one))
    assert Need.ANCESTRY not in needs([ancestry], subject(replace(one, runs=API.reference)))
    assert Need.ANCESTRY not in needs([ancestry], subject(Moving(API)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.2, "1s"), (59, "59s"), (3600, "1h"), (3661, "1h 1m"), (90_061, "1d 1h"), (-5, "0s")],
)
def test_a_length_of_time_is_short(seconds: float, text: str) -> None:
    assert length(seconds) == text
