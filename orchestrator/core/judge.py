"""The verdicts of gates: from facts to pass, wait or refuse. Pure, so that a proof computes the same again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.core.answers import judge_command, judge_http
from orchestrator.core.facts import Facts, Moving, NoAnswer, Reviews, Subject, TestClaim, ruled_by, soaked_in
from orchestrator.core.freeze import frozen
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
from orchestrator.core.holds import Rule
from orchestrator.core.order import Ancestry, Direction, OrderRule, direction
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.patterns import matches
from orchestrator.core.verdict import Result, Verdict, overall


def judge(subject: Subject, facts: Facts) -> tuple[Verdict, ...]:
    """The verdict of every gate of the environment, in the order in which the policy shows them."""
    return tuple(evaluate(gate, subject, facts) for gate in subject.environment.all_gates)


def evaluate(gate: Gate, subject: Subject, facts: Facts) -> Verdict:
    """The verdict of one gate about the whole change. What was not asked for does not pass."""
    match gate:
        case HoldGate():
            return _unless_ruled(gate, subject, facts.holds, facts.now)
        case VetoGate():
            return _unless_ruled(gate, subject, facts.vetoes, facts.now)
        case FreezeGate():
            return _freeze(gate, facts)
        case ApprovalsGate():
            return _approvals(gate, facts.reviews)
        case HttpGate():
            return judge_http(gate, facts.http.get(gate.name))
        case CommandGate():
            return judge_command(gate, facts.commands.get(gate.name))
        case _:
            return _of_images(gate, subject, facts)


def _of_images(
    gate: OrderGate | SoakGate | ImageExistsGate | AllowedRegistryGate | TestsGate, subject: Subject, facts: Facts
) -> Verdict:
    """The verdict of a gate that looks at each image by itself."""
    match gate:
        case OrderGate():
            return _one(gate, _ordered(gate, subject, facts), "every image moves forward")
        case SoakGate():
            return _one(gate, _soaked(gate, subject, facts), f"soaked for {length(gate.seconds)}")
        case ImageExistsGate():
            return _one(gate, _exists(gate, subject, facts), "the registry serves every image")
        case AllowedRegistryGate():
            return _one(gate, _allowed(gate, subject), "every image comes from an allowed registry")
        case TestsGate():
            return _one(gate, _tested(gate, subject, facts), "a record says that every image was tested")


def _one(gate: Gate, verdicts: Iterable[Verdict], passed: str) -> Verdict:
    """One verdict from those about single images: the worst result, and every image that has it."""
    found = list(verdicts)
    result = overall(found)
    worst = [one for one in found if one.result is result]
    evidence = tuple(dict.fromkeys(line for one in worst for line in one.evidence))
    overridden = next((one.overridden for one in found if one.overridden), None)
    if result is Result.PASS:
        noted = [one.reason for one in worst if one.overridden]
        return Verdict(gate.name, result, "; ".join(dict.fromkeys(noted)) or passed, evidence, overridden=overridden)
    untils = [one.until for one in worst]
    return Verdict(
        gate.name,
        result,
        "; ".join(dict.fromkeys(one.reason for one in worst)),
        evidence,
        hint=next((one.hint for one in worst if one.hint), None),
        until=max((one for one in untils if one is not None), default=None) if None not in untils else None,
        images=tuple(dict.fromkeys(image for one in worst for image in one.images)),
        overridden=overridden,
    )


# --- holds and vetoes ---------------------------------------------------------------------------------------------


def _unless_ruled(gate: HoldGate | VetoGate, subject: Subject, rules: Iterable[Rule] | None, now: datetime) -> Verdict:
    """Refused by the holds, or the vetoes, of this environment that count now."""
    if rules is None:
        return _not_asked(gate)
    found = [
        (one, rule)
        for one in subject.images
        for rule in rules
        if rule.environment in ruled_by(subject.environment) and _is_about(gate, rule, one) and rule.holds(now)
    ]
    if not found:
        return Verdict(gate.name, Result.PASS, f"no {gate.kind} stands in the way")
    told = [f"{rule.subject} by {rule.by}: {rule.reason}" for _, rule in found]
    word = "held" if isinstance(gate, HoldGate) else "vetoed"
    names = ", ".join(dict.fromkeys(one.repository.name for one, _ in found))
    rule = found[0][1]
    ends = [rule.expires for _, rule in found]
    return Verdict(
        gate.name,
        Result.REFUSE,
        f"{names} {'is' if len({one.repository for one, _ in found}) == 1 else 'are'} {word}: {rule.reason}",
        tuple(f"{line} ({rule.path}{_expiry(rule)})" for line, (_, rule) in zip(told, found, strict=True)),
        hint=f"lift it with `{_lifting(found[0][1])}`",
        until=max((end for end in ends if end is not None), default=None) if None not in ends else None,
        images=tuple(dict.fromkeys(one.repository for one, _ in found)),
    )


def _lifting(rule: Rule) -> str:
    return f"hybrid-ci {rule.kind} lift {rule.subject} --env {rule.environment} --reason REASON"


def _is_about(gate: HoldGate | VetoGate, rule: Rule, one: Moving) -> bool:
    subjects = {str(one.repository), str(one.known_as)} if isinstance(gate, HoldGate) else {str(one.image.digest)}
    return rule.kind == gate.kind and rule.subject in subjects


def _expiry(rule: Rule) -> str:
    return f", until {instant(rule.expires)}" if rule.expires is not None else ""


# --- order and time -----------------------------------------------------------------------------------------------


def _ordered(gate: OrderGate, subject: Subject, facts: Facts) -> Iterator[Verdict]:
    for one in subject.images:
        yield _moves_forward(gate, subject, one, facts)
        for earlier in subject.environment.after:
            yield _came_through(gate, subject, one, earlier, facts)


def _moves_forward(gate: OrderGate, subject: Subject, one: Moving, facts: Facts) -> Verdict:
    rule = gate.rule(one.known_as)
    found = direction(rule, one.current, one.proposed, facts.ancestry.get(one.repository, Ancestry.UNKNOWN))
    name = one.repository.name
    verdict = Verdict(gate.name, Result.PASS, f"{name}: {found.reason}", found.evidence, images=(one.repository,))
    if found.direction is Direction.BACKWARD:
        hint = "an environment moves back by a rollback only"
        return replace(verdict, result=Result.REFUSE, reason=f"{name} would move backwards: {found.reason}", hint=hint)
    if found.direction is Direction.UNKNOWN:
        allowed = _set_aside(subject, one, OverrideKind.UNKNOWN_ORDER)
        if allowed is not None:
            reason = f"the order of {name} is not known ({found.reason}), and that is allowed: {allowed.reason}"
            return replace(verdict, reason=reason, overridden=allowed.reason)
        reason = f"it is not known whether {name} would move backwards: {found.reason}"
        return replace(verdict, result=Result.REFUSE, reason=reason, hint=_unknown_hint(rule))
    return verdict


_FROM_TRAILERS = frozenset({OrderRule.SEQUENCE, OrderRule.ANCESTRY})


def _unknown_hint(rule: OrderRule) -> str:
    usual = " (expected for an image not brought by hybrid-ci, and after a squash by hand, which drops the trailers)"
    other = "choose another order rule for this image in the policy (ancestry, sequence, semver, none)"
    return (
        f"allow it once with --allow-unknown-order REASON, or {other}; "
        f"the rule is {rule}{usual if rule in _FROM_TRAILERS else ''}"
    )


def _came_through(gate: OrderGate, subject: Subject, one: Moving, earlier: str, facts: Facts) -> Verdict:
    """The environment before this one runs the very digest."""
    skipped = _set_aside(subject, one, OverrideKind.SKIP, earlier)
    if facts.runs is not None and facts.run(earlier, one.known_as, one.image.digest) is not None:
        return Verdict(gate.name, Result.PASS, f"{earlier} runs it")
    if skipped is not None:
        return Verdict(gate.name, Result.PASS, f"{earlier} is skipped: {skipped.reason}", overridden=skipped.reason)
    if facts.runs is None:
        return _not_asked(gate)
    missing = f"{earlier} does not run {one.repository.name} {one.image.digest.short}"
    if one.carried:  # it did when it was proposed, and something newer can come in its place
        reason = f"{missing}, which waits in the same pull request"
        hint = f"promote {one.repository.name} too, so that what {earlier} runs by now takes its place"
        return Verdict(gate.name, Result.WAIT, reason, hint=hint, images=(one.repository,))
    return Verdict(
        gate.name,
        Result.WAIT if subject.environment.wave > 1 else Result.REFUSE,
        missing,
        hint=f"promote it to {earlier} first, or leave that out with --skip {earlier} --reason REASON",
        images=(one.repository,),
    )


def _set_aside(subject: Subject, image: Moving, kind: OverrideKind, environment: str | None = None) -> Override | None:
    overrides = subject.carried_overrides if image.carried else subject.overrides
    return next((one for one in overrides if one.kind is kind and one.environment == environment), None)


def _soaked(gate: SoakGate, subject: Subject, facts: Facts) -> Iterator[Verdict]:
    if not soaked_in(gate, subject.environment):
        yield Verdict(gate.name, Result.REFUSE, "there is no environment before this one to soak in")
    for earlier in soaked_in(gate, subject.environment):
        for one in subject.images:
            skipped = _set_aside(subject, one, OverrideKind.SKIP, earlier)
            if skipped is None:
                yield _soaked_in(gate, one, earlier, facts)
                continue
            reason = f"{earlier} is skipped: {skipped.reason}"
            yield Verdict(gate.name, Result.PASS, reason, overridden=skipped.reason)


def _soaked_in(gate: SoakGate, one: Moving, earlier: str, facts: Facts) -> Verdict:
    if facts.runs is None:
        return _not_asked(gate)
    run = facts.run(earlier, one.known_as, one.image.digest)
    name = one.repository.name
    if run is None:
        reason = f"{earlier} does not run {name} {one.image.digest.short}"
        return Verdict(gate.name, Result.WAIT, reason, images=(one.repository,))
    if run.since is None:
        reason = f"it is not known since when {earlier} runs {name}"
        return Verdict(gate.name, Result.WAIT, reason, images=(one.repository,))
    end = run.since + timedelta(seconds=gate.seconds)
    evidence = (f"{earlier} runs {name} since {instant(run.since)}",)
    if facts.now >= end:
        return Verdict(gate.name, Result.PASS, f"{name} has soaked in {earlier}", evidence)
    reason = f"{name} soaks in {earlier} for {length((end - facts.now).total_seconds())} more"
    return Verdict(gate.name, Result.WAIT, reason, evidence, until=end, images=(one.repository,))


def _freeze(gate: FreezeGate, facts: Facts) -> Verdict:
    found = frozen(gate.freezes, facts.now)
    if found is None:
        return Verdict(gate.name, Result.PASS, "nothing is frozen now")
    reasons = "; ".join(dict.fromkeys(one.reason for one in found.freezes))
    evidence = tuple(f"{one.text} ({one.zone}): {one.reason}" for one in found.freezes)
    return Verdict(
        gate.name, Result.WAIT, f"frozen until {instant(found.until)}: {reasons}", evidence, until=found.until
    )


# --- what others say ----------------------------------------------------------------------------------------------


def _approvals(gate: ApprovalsGate, reviews: Reviews | NoAnswer | None) -> Verdict:
    if reviews is None:
        return _not_asked(gate)
    if isinstance(reviews, NoAnswer):
        return Verdict(gate.name, Result.WAIT, reviews.reason)
    valid = [one for one in reviews.approvals if one.current and one.author != reviews.author]
    stale = [one.author for one in reviews.approvals if not one.current]
    evidence = tuple(f"approved by {one.author}" for one in valid)
    evidence += tuple(f"{author} approved an earlier head, which does not count" for author in stale)
    if reviews.objections:
        reason = f"changes are requested by {', '.join(reviews.objections)}"
        return Verdict(gate.name, Result.WAIT, reason, evidence, reviews.url)
    have = {team: len({one.author for one in valid if team in one.teams}) for team in gate.teams}
    missing = [f"{gate.count - count} of {team}" for team, count in have.items() if count < gate.count]
    if not gate.teams and len({one.author for one in valid}) < gate.count:
        missing = [str(gate.count - len({one.author for one in valid}))]
    if missing:
        reason = f"approvals are missing: {', '.join(missing)}"
        return Verdict(gate.name, Result.WAIT, reason, evidence, reviews.url)
    return Verdict(gate.name, Result.PASS, "approved", evidence, reviews.url)


def _exists(gate: ImageExistsGate, subject: Subject, facts: Facts) -> Iterator[Verdict]:
    for one in subject.images:
        if one.image not in facts.served:
            yield _not_asked(gate)
            continue
        served = facts.served[one.image]
        if served is None:
            reason = f"the registry does not have {one.repository.name} {one.image.digest.short}"
            yield Verdict(gate.name, Result.REFUSE, reason, (str(one.image),), images=(one.repository,))
            continue
        missing = [wanted for wanted in gate.platforms if not any(wanted.serves(there) for there in served.platforms)]
        if missing:
            there = ", ".join(map(str, served.platforms)) or "no platform that it names"
            reason = f"{one.repository.name} is not there for {', '.join(map(str, missing))}"
            yield Verdict(gate.name, Result.REFUSE, reason, (f"it is there for {there}",), images=(one.repository,))


def _allowed(gate: AllowedRegistryGate, subject: Subject) -> Iterator[Verdict]:
    for one in subject.images:
        if not any(matches(pattern, str(one.repository)) for pattern in gate.patterns):
            reason = f"images from {one.repository} are not allowed"
            evidence = (f"allowed: {', '.join(gate.patterns)}",)
            yield Verdict(gate.name, Result.REFUSE, reason, evidence, images=(one.repository,))


def _tested(gate: TestsGate, subject: Subject, facts: Facts) -> Iterator[Verdict]:
    for one in subject.images:
        claims = facts.claims.get(one.image.digest)
        yield _not_asked(gate) if claims is None else _claimed(gate, one, claims)


def _claimed(gate: TestsGate, one: Moving, claims: Iterable[TestClaim]) -> Verdict:
    """One record has to say it all: passes that stand in two records prove no whole run."""
    own = [claim for claim in claims if claim.digest == one.image.digest]
    name = one.repository.name
    for claim in own:
        if claim.passed and not claim.failed and set(gate.tests) <= set(claim.passed):
            kind = "signed" if claim.signed else "a claim, not signed"
            evidence = (f"{name}: {', '.join(claim.passed)} passed ({kind}; {claim.where})",)
            return Verdict(gate.name, Result.PASS, f"{name} was tested", evidence)
    if not own:
        reason = f"no record says that {name} {one.image.digest.short} was tested"
        return Verdict(gate.name, Result.REFUSE, reason, hint=_TEST_HINT, images=(one.repository,))
    failed = [test for claim in own for test in claim.failed]
    missing = [test for test in gate.tests if not any(test in claim.passed for claim in own)]
    if failed:
        reason = f"tests of {name} failed: {', '.join(dict.fromkeys(failed))}"
    elif missing:
        reason = f"{name} was not tested by {', '.join(missing)}"
    else:
        reason = f"the record of {name} names no test that passed"
    where = tuple(dict.fromkeys(claim.where for claim in own if claim.where))
    return Verdict(gate.name, Result.REFUSE, reason, where, hint=_TEST_HINT, images=(one.repository,))


_TEST_HINT = "release it with the tests that the policy asks for; `hybrid-ci release` writes the record"


# --- words --------------------------------------------------------------------------------------------------------


def _not_asked(gate: Gate) -> Verdict:
    return Verdict(gate.name, Result.REFUSE, "nobody could find out", hint="this is a fault of hybrid-ci; report it")


def instant(when: datetime) -> str:
    """A moment for people, always in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def length(seconds: float) -> str:
    """A length of time for people: ``2h``, ``1d 3h``, ``45s``."""
    left = max(0, int(-(-seconds // 1)))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
