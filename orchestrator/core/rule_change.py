"""The intent to set or to lift a hold or a veto: a change that writes one file of rules, and pins nothing.

It lives by the rules of every change: it travels in trailers, is computed again on whatever the base is by then, and
has one branch and one open pull request for each environment and scope.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.core.change import Action, Change, ChangePlan, FileEdit, encode
from orchestrator.core.holds import Hold, Rule, Veto, file_part
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import BranchName, CommitId

_ACTIONS: Mapping[tuple[type[Rule], bool], Action] = {
    (Hold, False): Action.HOLD,
    (Hold, True): Action.LIFT_HOLD,
    (Veto, False): Action.VETO,
    (Veto, True): Action.LIFT_VETO,
}
_MEANING = {action: made for made, action in _ACTIONS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange(Change):
    """Set one hold or veto, or (``lifts``) take it away.

    For a lift, reason, ``by`` and ``at`` of ``rule`` are those of the lift itself. The scope names the rule, so two
    people who set two of them never meet on a branch.
    """

    rule: Rule

    @classmethod
    def about(cls, rule: Rule, *, lift: bool = False) -> RuleChange:
        """The change that sets the rule, or lifts it."""
        action = _ACTIONS[type(rule), lift]
        identity = hashlib.sha256(rule.render() + action.encode()).hexdigest()[:12]
        return cls(
            action=action,
            environment=rule.environment,
            scope=f"{rule.kind}:{rule.subject}",
            images=(),
            release=identity,
            rule=rule,
        )

    @property
    def lifts(self) -> bool:
        """The file is taken away."""
        return _MEANING[self.action][1]

    @property
    def branch(self) -> BranchName:
        """The stable branch of this rule; a repository's name can be longer than a branch may be."""
        return BranchName(f"hybrid-ci/{encode(self.environment)}/{file_part(self.scope)}")

    def on_top_of(self, other: Change, *, carry: bool) -> Change | None:
        """The later word counts; what is asked for a second time stays as it was asked for first."""
        if not isinstance(other, RuleChange):
            return self
        if self.repeats(other):
            return other
        return None if self.rule.at < other.rule.at else self

    def repeats(self, other: Change) -> bool:
        """The other one asked for the same; the time at which it did so does not count."""
        if not isinstance(other, RuleChange) or self.action != other.action:
            return False
        return self.lifts or replace(self.rule, at=other.rule.at) == other.rule

    def to_json(self) -> str:
        """The rule on one line, for a trailer."""
        return json.dumps(dict(self.rule.fields()))


def read_rule_change(action: Action, environment: str, scope: str, text: str) -> RuleChange:
    """The change that its trailers carry. Raises ValueError, KeyError, InvalidName or InvalidReference."""
    kind, lift = _MEANING[action]
    data = _read_object(text)
    expires = _time(data["expires"]) if "expires" in data else None
    common = data["environment"], data["reason"], data["by"], _time(data["at"]), expires
    rule = Hold(*common, Repository.parse(data["image"])) if kind is Hold else Veto(*common, Digest(data["digest"]))
    change = RuleChange.about(rule, lift=lift)
    if (change.environment, change.scope) != (environment, scope):
        raise ValueError("the trailers contradict each other")
    return change


def _read_object(text: str) -> Mapping[str, str]:
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise ValueError("not a mapping of texts")
    return data


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_about_a_rule(action: Action) -> bool:
    """A change of this action sets or lifts a hold or a veto."""
    return action in _MEANING


def plan_rule_change(change: RuleChange, base: CommitId, content: bytes | None) -> ChangePlan:
    """What the change would write on ``base``, where the rule's file has this content (None: it is not there)."""
    path, after = change.rule.path, change.rule.render()
    if change.lifts:
        edits = () if content is None else (FileEdit(path, content, b"", removed=True),)
    elif content is not None and _without_time(content) == _without_time(after):
        edits = ()
    else:
        edits = (FileEdit(path, content or b"", after, new=content is None),)
    return ChangePlan(change, base, edits, ())


def _without_time(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines() if not line.startswith(b"at: ")]


def title_of(change: RuleChange) -> str:
    """One line for people: what it does."""
    rule = change.rule
    name = rule.image.name if isinstance(rule, Hold) else Digest(rule.subject).short
    verb = f"Lift the {rule.kind} of" if change.lifts else rule.kind.capitalize()
    return f"{verb} {name} in {rule.environment}"
