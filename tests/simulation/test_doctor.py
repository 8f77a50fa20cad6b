"""``doctor`` over a simulated world: each finding where it belongs, none hidden by another, nothing changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Kind, Signal
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.findings import Finding, Severity, exit_code
from orchestrator.core.git_flaws import FLAWS, flaws_of
from orchestrator.core.names import BranchName
from orchestrator.forges.base import CommitStatus, ForgeFacts, LoginFacts, MergeMethod, StatusState, TokenKind
from orchestrator.images.errors import EngineUnreachable
from pipelines.doctor import Check, Once, Scene, Tools, examine
from pipelines.doctor_forge import CHECKS
from tests.simulation.workshop import Workshop
from tests.simulators.forge import SimulatedForge
from tests.unit.gitops.changes import API, POLICY

GOOD = ForgeFacts(
    LoginFacts(TokenKind.APP),
    protected=True,
    can_push=False,
    auto_merge=True,
    merge_queue=False,
    methods=frozenset(MergeMethod),
    squash_keeps=True,
)


class TellingForge(SimulatedForge):
    """A forge that tells what a test wants it to."""

    told: ForgeFacts | RemoteError = GOOD

    def facts(self, base: BranchName) -> ForgeFacts:
        if isinstance(self.told, RemoteError):
            raise self.told
        return self.told


@dataclass
class Surgery:
    """A workshop that somebody looks at. What a test sets is what the checks see."""

    workshop: Workshop
    facts: ForgeFacts | RemoteError = GOOD
    version: tuple[int, int, int] = (2, 60, 0)
    buildkit: str | None = "docker buildx build (/usr/bin/docker)"
    signals: tuple[Signal, ...] = ()
    ci: CIEnvironment = field(default_factory=lambda: CIEnvironment("ci"))
    skew: timedelta | None = timedelta(seconds=2)
    shallow: bool = False
    sign: RemoteError | ConfigurationError | None = None
    own: str | None = None
    broken: ConfigurationError | None = None
    clocks: Mapping[str, timedelta] = field(default_factory=dict)

    def scene(self) -> Scene:
        ports = self.workshop.ports()
        forge = TellingForge(self.workshop.town.forge)
        forge.told = self.facts
        job = replace(self.workshop.job(), signals=self.signals, ci=self.ci)
        count = None if self.shallow else 3
        tools = Tools(
            lambda: self.version,
            lambda: self.buildkit,
            self._sign,
            lambda: replace(job.source, first_parent_count=count),
            self._time,
        )
        return Scene(replace(ports, forge=forge), job, tools, "dev", self.broken, self.own)

    def findings(self, seconds: float = 20.0) -> tuple[Finding, ...]:
        return examine(self.scene(), CHECKS, seconds)

    def bad(self) -> dict[str, Finding]:
        """The findings that somebody should act on."""
        return {one.check: one for one in self.findings() if one.severity in (Severity.WARNING, Severity.REFUSAL)}

    def only(self, check: str, severity: Severity) -> Finding:
        """The one finding that is there, complete."""
        found = self.bad()
        assert list(found) == [check], found
        assert found[check].severity is severity
        assert found[check].why
        assert found[check].fix
        return found[check]

    def policy(self, old: str, new: str) -> None:
        assert old in POLICY.decode()
        self.workshop.town.git.commit_files({POLICY_PATH: POLICY.decode().replace(old, new).encode()})
        self.agent()

    def agent(self) -> None:
        """The agent has written its verdict on the base's tip."""
        town = self.workshop.town
        status = CommitStatus("flux/dev", StatusState.SUCCESS)
        SimulatedForge(town.forge).set_status(town.tip(BranchName("main")), status)

    def _sign(self) -> None:
        if self.sign is not None:
            raise self.sign

    def _time(self, host: str) -> datetime | None:
        return None if self.skew is None else self.workshop.town.clock.now() + self.clocks.get(host, self.skew)


@pytest.fixture
def surgery(tmp_path: Path) -> Iterator[Surgery]:
    surgery = Surgery(Workshop(tmp_path))
    surgery.agent()
    yield surgery


def test_a_world_in_order_gives_no_warning(surgery: Surgery) -> None:
    found = surgery.findings()
    assert surgery.bad() == {}
    assert exit_code(found) == 0
    assert {one.check for one in found} == {check.name for check in CHECKS}


def test_looking_changes_nothing(surgery: Surgery) -> None:
    refs, tags = dict(surgery.workshop.town.git.refs), dict(surgery.workshop.registry.stored(API).tags)
    surgery.findings()
    assert surgery.workshop.town.git.refs == refs
    assert surgery.workshop.registry.stored(API).tags == tags
    assert surgery.workshop.town.pulls() == []


# --- the machine -----------------------------------------------------------------------------------------------------


def test_an_engine_that_does_not_answer_is_a_refusal(surgery: Surgery) -> None:
    surgery.workshop.engine.faults.fail("check", error=lambda: EngineUnreachable("no engine answers", hint="start it"))
    assert surgery.only("engine", Severity.REFUSAL).fix == "start it"


def test_no_buildkit_is_a_warning_unless_a_build_takes_it(surgery: Surgery) -> None:
    surgery.buildkit = None
    surgery.only("buildkit", Severity.WARNING)
    config = surgery.workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("    context: api\n", "    context: api\n    provenance: true\n"))
    assert "images.api.provenance" in surgery.only("buildkit", Severity.REFUSAL).what


@pytest.mark.parametrize(
    ("version", "flaws"),
    [
        ((2, 39, 3), 4), ((2, 39, 4), 3), ((2, 39, 5), 3), ((2, 43, 3), 4), ((2, 43, 4), 3), ((2, 43, 6), 2),
        ((2, 43, 7), 1), ((2, 45, 0), 4), ((2, 46, 0), 3), ((2, 48, 1), 2), ((2, 48, 2), 1), ((2, 49, 0), 2),
        ((2, 50, 0), 2), ((2, 50, 1), 1), ((2, 50, 2), 0), ((2, 51, 0), 1), ((2, 51, 2), 1), ((2, 51, 3), 0),
        ((2, 55, 0), 1), ((2, 56, 0), 1), ((2, 56, 1), 0), ((3, 0, 0), 0), ((2, 34, 1), 4),
    ],
)  # fmt: skip
def test_a_flaw_is_told_up_to_the_version_that_ends_it(version: tuple[int, int, int], flaws: int) -> None:
    assert len(flaws_of(version)) == flaws


def test_doctor_warns_on_old_git(surgery: Surgery) -> None:
    surgery.version = (2, 43, 6)
    found = surgery.only("git", Severity.WARNING)
    assert "CVE-2025-48384" in found.what
    assert all(flaw.fixed == tuple(sorted(flaw.fixed)) for flaw in FLAWS)


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [(30, None), (-30, None), (31, Severity.WARNING), (-300, Severity.WARNING), (301, Severity.REFUSAL)],
)
def test_a_clock_that_is_wrong_is_told_by_how_much(surgery: Surgery, seconds: int, severity: Severity | None) -> None:
    surgery.skew = timedelta(seconds=seconds)
    if severity is None:
        assert surgery.bad() == {}
    else:
        told = surgery.only("clock", severity).what
        assert f"{abs(seconds)} s {'behind' if seconds > 0 else 'ahead of'} ghcr.io" in told


def test_the_forges_clock_counts_too(surgery: Surgery) -> None:
    surgery.facts = replace(GOOD, clock=surgery.workshop.town.clock.now() - timedelta(minutes=10))
    assert "ahead of the forge" in surgery.only("clock", Severity.REFUSAL).what


def test_a_shallow_checkout_is_a_warning(surgery: Surgery) -> None:
    surgery.shallow = True
    surgery.only("checkout", Severity.WARNING)


def test_each_registry_that_refuses_is_named(surgery: Surgery) -> None:
    surgery.workshop.registry.denied.add(API)
    found = [one for one in surgery.findings() if one.check == "registry"]
    assert [one.severity for one in found] == [Severity.REFUSAL, Severity.OK]


def test_a_key_that_does_not_sign_is_a_refusal(surgery: Surgery) -> None:
    surgery.sign = ConfigurationError("the key has a passphrase", hint="use one without")
    surgery.only("signing", Severity.REFUSAL)


def test_a_cluster_credential_is_refused_in_ci_and_warned_of_elsewhere(surgery: Surgery) -> None:
    surgery.signals = (Signal("KUBECONFIG", "unset it"),)
    found = surgery.only("cluster credentials", Severity.REFUSAL)
    assert found.what == "this CI job holds a cluster credential: KUBECONFIG"
    assert found.fix.startswith("unset it; or let the owners waive exactly it under guard.waivers in ")
    surgery.ci = CIEnvironment(None, branch="main")
    surgery.only("cluster credentials", Severity.WARNING)


def test_a_tool_alone_is_no_credential(surgery: Surgery) -> None:
    surgery.signals = (Signal("kubectl", "leave it out", Kind.HINT),)
    assert surgery.bad() == {}


# --- the GitOps repository and its forge -----------------------------------------------------------------------------


def test_a_policy_that_forbids_the_application_is_a_refusal(surgery: Surgery) -> None:
    config = surgery.workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("ghcr.io/acme/shop/api", "evil.example/shop/api"))
    assert surgery.bad()["policy"].severity is Severity.REFUSAL


def test_a_run_for_a_pull_request_could_not_release(surgery: Surgery) -> None:
    surgery.ci = CIEnvironment("github", None, "7/merge")
    assert "pull request" in surgery.only("this run", Severity.REFUSAL).what


def test_a_run_for_a_branch_that_the_policy_does_not_name_could_not_release(surgery: Surgery) -> None:
    surgery.policy("version: 1\n", "version: 1\nrelease-refs: [main]\n")
    surgery.ci = CIEnvironment("github", "main", ref="refs/heads/main")
    assert surgery.bad() == {}
    surgery.ci = CIEnvironment("github", "feature", ref="refs/heads/feature")
    surgery.only("this run", Severity.REFUSAL)
    surgery.ci = CIEnvironment(None)
    assert "this run" not in surgery.bad()


def test_a_missing_policy_is_one_finding_and_not_many(surgery: Surgery) -> None:
    surgery.workshop.town.git.commit_files({POLICY_PATH: None})
    surgery.agent()
    surgery.only("policy", Severity.REFUSAL)


def test_an_image_that_no_manifest_holds_is_a_refusal(surgery: Surgery) -> None:
    config = surgery.workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("ghcr.io/acme/shop/worker", "ghcr.io/acme/shop/mailer"))
    assert "holds the image worker" in surgery.only("environments", Severity.REFUSAL).what


def test_an_environment_without_files_is_told(surgery: Surgery) -> None:
    scene = surgery.scene()
    patterns = scene.rules().policy.environment("staging").patterns("shop")
    files = [path.value for path in scene.ports.repository.paths(scene.rules().tip, patterns)]
    surgery.workshop.town.git.commit_files(dict.fromkeys(files))
    surgery.agent()
    assert "staging" in surgery.only("environments", Severity.WARNING).what


def login(**facts: object) -> ForgeFacts:
    return replace(GOOD, login=LoginFacts(**facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "severity", "told"),
    [
        (login(kind=TokenKind.FINE_GRAINED, lacking=("contents: write",)), Severity.REFUSAL, "without contents: write"),
        (login(kind=TokenKind.FINE_GRAINED, needless=("administration",)), Severity.WARNING, "administration"),
        (login(kind=TokenKind.APP, needless=("workflows: write",)), Severity.WARNING, "workflows: write"),
        (login(kind=TokenKind.PERSONAL, scopes=("repo",)), Severity.WARNING, "a person's token"),
        (login(kind=TokenKind.JOB), Severity.WARNING, "opens merge requests by pushing"),
    ],
)  # fmt: skip
def test_a_login_with_too_little_or_too_much_is_told(
    surgery: Surgery, facts: ForgeFacts, severity: Severity, told: str
) -> None:
    surgery.facts = facts
    assert told in surgery.only("forge login", severity).what


@pytest.mark.parametrize(("days", "warned"), [(6, True), (8, False)])
def test_a_token_that_ends_soon_is_told(surgery: Surgery, days: int, warned: bool) -> None:
    ends = surgery.workshop.town.clock.now() + timedelta(days=days)
    surgery.facts = login(kind=TokenKind.FINE_GRAINED, expires=ends)
    assert ("forge login" in surgery.bad()) == warned


@pytest.mark.scenario(number=45)
@pytest.mark.parametrize(
    ("own", "warned"),
    [("https://git.example/acme/gitops", True), ("https://git.example/acme/GITOPS.git", True),
     ("https://git.example/acme/shop", False), (None, False)],
)  # fmt: skip
def test_github_token_pr_triggers_no_workflows(surgery: Surgery, own: str | None, warned: bool) -> None:
    surgery.facts, surgery.own = login(kind=TokenKind.INSTALLATION), own
    if warned:
        assert "start no workflows" in surgery.only("forge login", Severity.WARNING).why
    else:
        assert surgery.bad() == {}


def test_doctor_flags_overbroad_token(surgery: Surgery) -> None:
    """A release goes on: it is for the owners to narrow the token."""
    surgery.facts = login(kind=TokenKind.FINE_GRAINED, needless=("administration",))
    assert exit_code(surgery.findings()) == 0


def test_who_may_push_the_policy_is_told_and_refused_where_something_is_committed(surgery: Surgery) -> None:
    surgery.facts = replace(GOOD, can_push=True)
    assert surgery.bad()["policy branch"].severity is Severity.REFUSAL  # the lab is committed to
    surgery.facts = replace(GOOD, can_push=None, protected=False)
    surgery.only("policy branch", Severity.WARNING)
    surgery.facts = replace(GOOD, can_push=None)
    assert surgery.bad() == {}
    assert any(one.check == "policy branch" and one.severity is Severity.UNKNOWN for one in surgery.findings())


def test_a_squash_that_drops_the_trailers_is_a_warning(surgery: Surgery) -> None:
    surgery.facts = replace(GOOD, squash_keeps=False)
    surgery.only("squash template", Severity.WARNING)


def test_a_merge_that_the_repository_does_not_allow_is_a_warning(surgery: Surgery) -> None:
    surgery.policy("  dev: {", "  dev: {pull-request: {merge: auto, method: squash}, ")
    assert surgery.bad() == {}
    surgery.facts = replace(GOOD, auto_merge=False)
    assert "auto-merge" in surgery.only("merging", Severity.WARNING).what
    surgery.facts = replace(GOOD, auto_merge=False, merge_queue=True)
    assert surgery.bad() == {}
    surgery.facts = replace(GOOD, methods=frozenset({MergeMethod.MERGE}))
    assert "dev: squash" in surgery.only("merging", Severity.WARNING).what


def test_no_agents_status_is_a_warning(surgery: Surgery) -> None:
    for number in range(6):
        surgery.workshop.town.git.commit_files({f"note-{number}": b"x"})
    surgery.only("agent", Severity.WARNING)


# --- one check never hides another -----------------------------------------------------------------------------------


def test_a_forge_that_fails_hides_nothing_else(surgery: Surgery) -> None:
    surgery.facts = RemoteError("the forge answered 502", hint="run it again")
    found = surgery.findings()
    assert {one.check for one in found if one.severity is Severity.REFUSAL} == {"forge login"}
    checks = {one.check for one in found}
    assert {"engine", "registry", "policy", "environments", "agent", "git login"} <= checks


def test_a_login_that_is_configured_wrongly_is_one_finding(surgery: Surgery) -> None:
    surgery.broken = ConfigurationError("the GitHub App's key is no private key", hint="give the PEM file")
    assert surgery.bad()["git login"].fix == "give the PEM file"
    assert "policy" not in surgery.bad()


def test_everything_broken_at_once_is_told_at_once(surgery: Surgery) -> None:
    surgery.workshop.engine.faults.fail("check")
    surgery.workshop.registry.denied.add(API)
    surgery.facts = RemoteError("the forge answered 502")
    surgery.version, surgery.buildkit, surgery.shallow = (2, 39, 5), None, True
    surgery.signals = (Signal("KUBECONFIG", "unset it"),)
    surgery.workshop.town.git.commit_files({POLICY_PATH: b"version: 1\n"})
    found = surgery.bad()
    assert {
        "engine", "registry", "forge login", "git", "buildkit", "checkout", "cluster credentials", "policy",
    } <= set(found)  # fmt: skip
    assert exit_code(found.values()) == 3


def test_a_check_that_hangs_is_told_and_waited_for_no_longer(surgery: Surgery) -> None:
    never = threading.Event()
    hanging = Check("hanging", lambda scene: [Finding("hanging", Severity.OK, str(never.wait(30)))], "it matters")
    quick = Check("quick", lambda scene: [Finding("quick", Severity.OK, "fine")], "it matters")
    found = examine(surgery.scene(), [hanging, quick], 0.2)
    never.set()
    assert [(one.check, one.severity) for one in found] == [("hanging", Severity.REFUSAL), ("quick", Severity.OK)]
    assert "no answer within 0.2 s" in found[0].what


def test_what_several_checks_want_to_know_is_asked_for_once() -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        raise RemoteError("no")

    once = Once(ask)
    for _ in range(3):
        with pytest.raises(RemoteError):
            once()
    assert asked == [1]
