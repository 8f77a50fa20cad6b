"""What GitHub's rules let our login do to a branch.

Rulesets tell everybody who may read; the older branch protection tells its details to administrators only.
https://docs.github.com/en/rest/repos/rules
"""

from __future__ import annotations

from github.GithubException import GithubException

from orchestrator.core.names import BranchName
from orchestrator.forges.github_client import GitHubClient

_GUARDING = frozenset({"pull_request", "merge_queue", "update"})  # rules that end a push to the branch itself
_BYPASS = frozenset({"always", "exempt"})


class GitHubRules:
    """The rules of one repository. Methods raise as Guarding says."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    def can_push(self, branch: BranchName) -> bool | None:
        """True when nothing keeps a push away, False when a ruleset does that we may not bypass, None when only
        an administrator could tell."""
        try:
            protected = self._client.get(f"/branches/{branch}").get("protected")
            rules = self._client.get(f"/rules/branches/{branch}", {"per_page": 100})
        except GithubException as error:
            if error.status != 404:  # there is no such branch, or this server knows no rulesets yet
                raise
            return None
        rulesets = {rule.get("ruleset_id") for rule in rules if rule.get("type") in _GUARDING}
        if any(not self._may_bypass(ruleset) for ruleset in rulesets):
            return False
        return None if protected and not rulesets else True

    def _may_bypass(self, ruleset: object) -> bool:
        return self._client.get(f"/rulesets/{ruleset}").get("current_user_can_bypass") in _BYPASS
