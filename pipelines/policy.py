"""The rules of a GitOps repository as its base branch has them, or what its layout suggests where nobody wrote any."""

from __future__ import annotations

from orchestrator.config.loader import load_policy, missing_policy
from orchestrator.core.environment import POLICY_PATH, Environment, Policy
from orchestrator.core.errors import Refused
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.engine.events import Reporter
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.manifests.discover import Confidence, Proposal, discover
from pipelines.propose_policy import earlier

_LISTED = 20


def policy_at(repository: GitOpsRepository, commit: CommitId, base: BranchName) -> Policy:
    """The policy in a commit of the base branch, with every cluster as an environment of its own.

    Raises ConfigurationError when there is none, or a broken one.
    """
    policy = _written(repository, commit, base)
    if policy is None:
        error = missing_policy(_origin(repository, base))
        found = _proposals(repository, commit)
        error.details = tuple(f"the layout suggests: {_evidence(one)}" for one in found[:_LISTED])
        raise error
    return policy


def policy_to_look_at(repository: GitOpsRepository, commit: CommitId, base: BranchName, reporter: Reporter) -> Policy:
    """The same, or what the layout suggests: for commands that only look, which are told what was found.

    Raises ConfigurationError when neither says anything.
    """
    policy = _written(repository, commit, base)
    if policy is not None:
        return policy
    found = _proposals(repository, commit)
    if not found:
        raise missing_policy(_origin(repository, base))
    policy = _from_layout(found, base, f"{repository.url} ({base}), discovered from its layout")
    reporter.warn(f"there is no {POLICY_PATH}, so the environments are those that the layout suggests")
    for line in policy.found:
        reporter.note(line)
    return policy


def check_base(repository: GitOpsRepository, base: BranchName) -> None:
    """The policy counts on the default branch only: an application can't choose another. Raises Refused."""
    default = repository.default_branch()
    if default != base:
        told = f"it is {default.value!r}" if default else "the server does not tell it"
        raise Refused(
            f"gitops.base is {base.value!r}, but rules are read from the repository's default branch alone, and {told}",
            where=repository.url,
            hint="set gitops.base to the default branch, which its owners protect",
        )


def _origin(repository: GitOpsRepository, base: BranchName) -> str:
    return f"{repository.url} ({base}): {POLICY_PATH}"


def _written(repository: GitOpsRepository, commit: CommitId, base: BranchName) -> Policy | None:
    content = repository.files(commit, [POLICY_PATH]).get(RepoPath(POLICY_PATH))
    if content is None:
        return None
    policy = load_policy(content, _origin(repository, base), base)
    patterns = policy.patterns_of_rings()
    return policy.expanded(path.value for path in repository.paths(commit, patterns)) if patterns else policy


def _proposals(repository: GitOpsRepository, commit: CommitId) -> tuple[Proposal, ...]:
    """What the layout suggests, without the guesses."""
    found = discover(repository.paths(commit, ["**"]))
    return tuple(one for one in found if one.confidence is not Confidence.LOW)


def _from_layout(found: tuple[Proposal, ...], base: BranchName, origin: str) -> Policy:
    environments = {one.name: Environment(one.name, one.paths, after=earlier(one, found)) for one in found}
    return Policy(environments, base, origin, found=tuple(_evidence(one) for one in found))


def _evidence(proposal: Proposal) -> str:
    return f"{proposal.name}: {', '.join(proposal.paths)} ({proposal.confidence} confidence; {proposal.evidence[0]})"
