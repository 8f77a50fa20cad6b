"""What ``doctor`` looks at in the GitOps repository and its forge: logins, rules, branches, merges, the agent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from orchestrator.core.change import branch_for
from orchestrator.core.delivery import Merge
from orchestrator.core.environment import Environment, Strategy
from orchestrator.core.findings import Finding, Severity
from orchestrator.core.image import Repository
from orchestrator.forges.base import CommitStatuses, ForgeFacts, LoginFacts, TokenKind
from orchestrator.gitops.handoff import required_forge
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.pins import find_pins
from pipelines.doctor import Check, Rules, Scene, quietly
from pipelines.doctor_machine import MACHINE
from pipelines.preflight import refuse_pull_request_events

_SOON = timedelta(days=7)
_COMMITS = 5  # of the base branch, whose statuses are looked at
_NAMED = 5
_TOKENS = "see docs/github.md and docs/gitlab.md for the tokens that do"


def _git_access(scene: Scene) -> Iterator[Finding]:
    if scene.broken is not None:
        raise scene.broken
    environment = quietly(scene.target)
    head = branch_for(scene.environment, scene.around.application.config.application)
    branch = environment.branch if environment is not None and environment.branch is not None else head
    scene.ports.repository.check_push(branch.ref)
    yield Finding("git login", Severity.OK, f"{scene.ports.repository.url}: {branch} may be pushed")


def _policy(scene: Scene) -> Iterator[Finding]:
    rules, config = scene.rules(), scene.around.application.config
    policy, environment = rules.policy, scene.target()
    images = [Repository.parse(image.repository) for image in config.images.values()]
    policy.authorise(config.application, environment, images)
    yield Finding("policy", Severity.OK, f"{policy.origin}: {config.application} may hand off to {environment.name}")


def _event(scene: Scene) -> Iterator[Finding]:
    """Whether a release may be made by such a run at all; a person may stand anywhere."""
    ci = scene.around.ci
    if not ci.is_ci:
        return
    refuse_pull_request_events(ci)
    source, rules = quietly(scene.tools.source), quietly(scene.rules)
    ref = ci.ref or (f"refs/heads/{source.branch}" if source is not None and source.branch else None)
    if rules is not None:
        rules.policy.authorise_ref(scene.around.application.config.application, ref)
    yield Finding("this run", Severity.OK, f"for {ref}" if ref else "for no branch or tag that is told")


def _environments(scene: Scene) -> Iterator[Finding]:
    rules = quietly(scene.rules)
    if rules is None:
        return  # the policy's own check tells why
    application, repository = scene.around.application.config.application, scene.ports.repository
    empty: list[str] = []
    for environment in rules.policy.environments.values():
        if environment.branch is not None or environment.rings is not None:
            continue
        if not repository.paths(rules.tip, environment.patterns(application)):
            empty.append(environment.name)
    if scene.environment in empty:
        yield Finding(
            "environments",
            Severity.REFUSAL,
            f"no file of {application} is in the environment {scene.environment}",
            "a release would have nothing to pin",
            f"add its manifests, or correct the paths of {scene.environment} in the policy",
        )
    if others := [name for name in empty if name != scene.environment]:
        yield Finding(
            "environments",
            Severity.WARNING,
            f"no file of {application} is in {', '.join(others[:_NAMED])}",
            "it can't be promoted there",
            "add its manifests there, or correct the paths in the policy",
        )
    if scene.environment not in empty:
        yield from _pinned(scene, rules)


def _pinned(scene: Scene, rules: Rules) -> Iterator[Finding]:
    """Every image of the configuration stands in a manifest of the environment, which a release needs."""
    environment = quietly(scene.target)
    if environment is None or environment.branch is not None:
        return
    config = scene.around.application.config
    options = ScanOptions(targets=environment.targets_for(config.application))
    files = scene.ports.repository.files(rules.tip, environment.patterns(config.application))
    there = {pin.image.repository for path, text in files.items() for pin in find_pins(path, text, options).pins}
    absent = [name for name, image in config.images.items() if Repository.parse(image.repository) not in there]
    if absent:
        yield Finding(
            "environments",
            Severity.REFUSAL,
            f"no manifest of {environment.name} holds the image {', '.join(absent[:_NAMED])}",
            "a release would be refused, since it has nothing to pin",
            "add the image to a manifest there, by its repository and any tag",
        )
    else:
        count = len(config.images)
        yield Finding(
            "environments", Severity.OK, f"{environment.name} holds {count} image{'' if count == 1 else 's'} of {count}"
        )


# --- the login ---------------------------------------------------------------------------------------------------


def _login(scene: Scene) -> Iterator[Finding]:
    if scene.broken is not None:
        return  # told once, with the login for git
    environment = quietly(scene.target)
    if environment is not None and environment.strategy is Strategy.PULL_REQUEST:
        required_forge(scene.ports.forge, environment, scene.ports.repository.url).check_access()
    facts = scene.facts()
    if facts is None:
        yield Finding("forge login", Severity.UNKNOWN, "this forge tells nothing about its logins")
        return
    login = facts.login
    yield from _rights(login)
    yield from _kind(scene, login)
    lasting = login.kind is not TokenKind.INSTALLATION  # those are made anew for every job
    if lasting and login.expires is not None and login.expires - scene.ports.clock.now() < _SOON:
        yield Finding(
            "forge login",
            Severity.WARNING,
            f"the token ends on {login.expires:%Y-%m-%d}",
            "releases stop then",
            "make a new one, or use a GitHub App, whose tokens renew themselves",
        )


def _rights(login: LoginFacts) -> Iterator[Finding]:
    if login.lacking:
        yield Finding(
            "forge login",
            Severity.REFUSAL,
            f"{login.kind.value} without {', '.join(login.lacking)}",
            "the pull request can't be opened",
            f"give it that, and nothing more; {_TOKENS}",
        )
    if login.needless:
        yield Finding(
            "forge login",
            Severity.WARNING,
            f"{login.kind.value} that may do more than the work takes: {', '.join(login.needless)}",
            "whoever steals it could switch protections off or change workflows",
            f"use one that may write contents and pull requests of this one repository; {_TOKENS}",
        )
    if not login.lacking and not login.needless:
        scopes = f" with {', '.join(login.scopes)}" if login.scopes else ""
        yield Finding("forge login", Severity.OK, f"{login.kind.value}{scopes}")


def _kind(scene: Scene, login: LoginFacts) -> Iterator[Finding]:
    if login.kind is TokenKind.PERSONAL:
        yield Finding(
            "forge login",
            Severity.WARNING,
            "a person's token",
            "it may do all that its owner may in every repository, and ends with their membership",
            "use a GitHub App, or a fine-grained token for this one repository",
        )
    if login.kind is TokenKind.JOB:
        yield Finding(
            "forge login",
            Severity.WARNING,
            "a CI job's token opens merge requests by pushing, and can do nothing else with them",
            "no reviewers beyond push options, no merges, no statuses",
            "give a project access token with the scope api and the role Developer in HYBRID_CI_FORGE_TOKEN",
        )
    own = scene.own_repository
    if login.kind is TokenKind.INSTALLATION and own is not None and _same(own, scene.ports.repository.url):
        yield Finding(
            "forge login",
            Severity.WARNING,
            "the token looks like the workflow's own GITHUB_TOKEN",
            "pull requests that it opens start no workflows, so required checks would never run on them",
            "use a GitHub App (HYBRID_CI_GITHUB_APP_ID and HYBRID_CI_GITHUB_APP_KEY)",
        )


def _same(one: str, other: str) -> bool:
    return one.lower().removesuffix(".git").rstrip("/") == other.lower().removesuffix(".git").rstrip("/")


# --- the rules ---------------------------------------------------------------------------------------------------


def _branch(scene: Scene) -> Iterator[Finding]:
    facts = quietly(scene.facts) if scene.broken is None else None
    if facts is None:
        return
    name, base = "policy branch", scene.base
    why = "who can push it can change the rules that everything is held against"
    fix = f"protect {base}: changes by pull request only, without an exception for this login"
    if facts.can_push:
        rules = quietly(scene.rules)
        commits = [one for one in rules.policy.environments.values() if _is_committed(one)] if rules else []
        severity = Severity.REFUSAL if commits else Severity.WARNING
        yield Finding(name, severity, f"our own login may push to {base} without a pull request", why, fix)
    elif facts.protected is False:
        yield Finding(name, Severity.WARNING, f"nothing protects {base}", why, fix)
    elif facts.can_push is None:
        yield Finding(name, Severity.UNKNOWN, f"the forge does not tell who may push to {base}", why, fix)
    else:
        yield Finding(name, Severity.OK, f"{base} is protected, and our login can't push to it")


def _is_committed(environment: Environment) -> bool:
    return environment.strategy is Strategy.COMMIT


def _merging(scene: Scene) -> Iterator[Finding]:
    facts, rules = quietly(scene.facts) if scene.broken is None else None, quietly(scene.rules)
    if facts is None:
        return
    environments = list(rules.policy.environments.values()) if rules is not None else []
    automatic = [one.name for one in environments if one.delivery.merge is not Merge.MANUAL]
    if automatic and facts.auto_merge is False and not facts.merge_queue:
        yield Finding(
            "merging",
            Severity.WARNING,
            f"the repository does not allow auto-merge, and the policy wants it for {', '.join(automatic[:_NAMED])}",
            "pull requests would wait for a person",
            "allow auto-merge in the repository's settings (General, Pull Requests)",
        )
    unmet = [
        f"{one.name}: {one.delivery.method}"
        for one in environments
        if one.delivery.method is not None and facts.methods is not None and one.delivery.method not in facts.methods
    ]
    if unmet:
        yield Finding(
            "merging",
            Severity.WARNING,
            f"the repository does not allow the merge method that the policy wants ({', '.join(unmet[:_NAMED])})",
            "the merge would be refused",
            "allow that method in the repository's settings, or name another one in the policy",
        )
    if facts.merge_queue:
        yield Finding("merging", Severity.OK, f"{scene.base} has a merge queue, which decides how and when it merges")
    elif not unmet:
        yield Finding("merging", Severity.OK, _methods(facts))
    if facts.squash_keeps is False:
        yield Finding(
            "squash template",
            Severity.WARNING,
            "a squash by hand drops the text of the commits",
            "the trailers in it say what was released and tested; without them history knows less",
            "GitHub: default message 'Pull request title and commit details'; GitLab: %{all_commits} in the template "
            "for squash commits",
        )


def _methods(facts: ForgeFacts) -> str:
    if not facts.methods:
        return "nothing that the policy asks for is switched off"
    return f"allowed: {', '.join(sorted(method.value for method in facts.methods))}"


def _agent(scene: Scene) -> Iterator[Finding]:
    rules = quietly(scene.rules)
    forge: object = scene.ports.forge
    if rules is None or not isinstance(forge, CommitStatuses):
        return
    contexts: dict[str, None] = {}
    for commit in scene.ports.repository.recent(rules.tip, _COMMITS):
        contexts |= {status.context: None for status in forge.statuses(commit.id)}
    if contexts:
        named = ", ".join(list(contexts)[:_NAMED])
        yield Finding("agent", Severity.OK, f"statuses on {scene.base} come from {named}")
    else:
        yield Finding(
            "agent",
            Severity.WARNING,
            f"nobody has written a status to the last commits of {scene.base}",
            "the agent's verdict is how health comes back without a cluster credential",
            "let Flux's notification-controller or Argo CD's notifications write commit statuses to this repository",
        )


CHECKS = (
    *MACHINE,
    Check("git login", _git_access, "changes are pushed there"),
    Check("policy", _policy, "a release goes by its rules"),
    Check("this run", _event, "a release is made for the refs that the policy names, and for no pull request"),
    Check("environments", _environments, "a release pins images in their files"),
    Check("forge login", _login, "pull requests are opened with it"),
    Check("policy branch", _branch, "it holds the rules", needed=False),
    Check("merging", _merging, "pull requests are merged by its settings", needed=False),
    Check("agent", _agent, "it tells whether a deployment is healthy", needed=False),
)
