"""What GitHub's rules let our login do to a branch.

Rulesets tell everybody who may read; the older branch protection tells its details to administrators only.
https://docs.github.com/en/rest/repos/rules
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from github.GithubException import GithubException

from orchestrator.core.names import BranchName
from orchestrator.forges.github_client import GitHubClient

_GUARDING = frozenset({"pull_request", "merge_queue", "update"})  # rules that end a push to the branch itself
_BYPASS = ("always", "exempt")


@dataclass(frozen=True, slots=True)
class BranchRules:
    """What is known of one branch. ``kinds`` are those of the rules that rulesets put on it."""

    protected: bool
    kinds: frozenset[str]
    can_push: bool | None


class GitHubRules:
    """The rules of one repository. Methods raise as Guarding says."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    def can_push(self, branch: BranchName) -> bool | None:
        """True when nothing keeps a push away, False when a ruleset does that we may not bypass, None when only
        an administrator could tell."""
        rules = self.about(branch)
        return rules.can_push if rules is not None else None

    def about(self, branch: BranchName) -> BranchRules | None:
        """All that is known of the branch; None when there is no such branch, or this server has no rulesets."""
        try:
            protected = self._client.details(f"/branches/{quote(branch.value)}").get("protected")
            rules = self._client.get(f"/rules/branches/{quote(branch.value)}", {"per_page": 100})
        except GithubException as error:
            if error.status != 404:  # there is no such branch, or this server knows no rulesets yet
                raise
            return None
        with self._client.well_formed():
            kinds = frozenset(str(rule.get("type")) for rule in rules)
            rulesets = {str(rule.get("ruleset_id")) for rule in rules if str(rule.get("type")) in _GUARDING}
        if any(not self._may_bypass(ruleset) for ruleset in rulesets):
            return BranchRules(True, kinds, False)
        return BranchRules(bool(protected), kinds, None if protected and not rulesets else True)

    def _may_bypass(self, ruleset: str) -> bool:
        try:
            told = self._client.details(f"/rulesets/{ruleset}")
        except GithubException as error:
            if error.status != 404:  # one of the organisation's that is not shown to us: nobody lets us pass it
                raise
            return False
        return told.get("current_user_can_bypass") in _BYPASS
