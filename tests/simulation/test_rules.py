"""Holds, vetoes and the facts of gates over a simulated Git server, forge and registry."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.rules import print_change
from orchestrator.core.environment import POLICY_PATH, Policy, Strategy
from orchestrator.core.errors import ConfigurationError, Conflict, Refused
from orchestrator.core.facts import Moving, Subject
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import PinnedImage
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.rule_change import RuleChange
from orchestrator.core.verdict import Result, Verdict
from orchestrator.gitops.outcome import Opened, Unchanged, Updated
from pipelines.gates import Sources, collect, judge_all
from pipelines.policy import policy_at, policy_to_look_at
from pipelines.preflight import refuse_writers_of_policy
from pipelines.rules import RuleResult, change_rule, list_rules
from tests.simulation.town import MAIN
from tests.simulation.workshop import Workshop, forge_of, git_of
from tests.simulators.gitops_repository import SimulatedGitOps
from tests.simulators.reporter import RecordingReporter
from tests.unit.gitops.changes import API, FILES, WORKER, digest

API_2, WORKER_2 = (PinnedImage(image, digest(2), "2") for image in (API, WORKER))
GATED = b"""\
version: 1
environments:
  dev: {paths: ["apps/{application}/dev/**"]}
  staging: {paths: ["apps/{application}/staging/**"], after: [dev], gates: [{soak: {duration: 2h}}]}
  prod: {paths: ["{cluster}/{application}/**"], after: [staging], waves: {clusters: "clusters/*"}}
order: {"**": none}
writers: [ci@acme.example]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def hold(
    shop: Workshop, environment: str = "dev", reason: str = "incident 42", expires: datetime | None = None
) -> Hold:
    return Hold(environment, reason, "ada", shop.town.clock.now(), expires, API)


def ask(shop: Workshop, change: RuleChange, *, dry_run: bool = False, reopen: bool = False) -> RuleResult:
    shop.town.clock.advance(60)
    return change_rule(shop.ports(), shop.job(), change, dry_run=dry_run, reopen=reopen)


def set_(shop: Workshop, environment: str = "dev", reason: str = "incident 42") -> RuleResult:
    return ask(shop, RuleChange.about(hold(shop, environment, reason)))


def lift(shop: Workshop) -> RuleResult:
    return ask(shop, RuleChange.about(hold(shop, reason="it is over"), lift=True))


def on_base(shop: Workshop) -> set[str]:
    return {path.value for path in shop.town.git.commits[shop.town.tip(MAIN)].files if "/holds/" in path.value}


def merge(shop: Workshop) -> None:
    (pull,) = shop.town.open_pulls()
    shop.town.merge(pull.number)


# --- set and lift -------------------------------------------------------------------------------------------------


def test_a_hold_is_proposed_counts_once_merged_and_is_lifted(shop: Workshop) -> None:
    assert isinstance(set_(shop).outcome, Opened)
    assert list_rules(shop.ports(), shop.job(), Hold) == ()
    merge(shop)
    (listed,) = list_rules(shop.ports(), shop.job(), Hold, ["dev"])
    assert (listed.rule.subject, listed.active) == (str(API), True)
    assert list_rules(shop.ports(), shop.job(), Hold, ["staging"]) == ()
    assert isinstance(lift(shop).outcome, Opened)
    merge(shop)
    assert on_base(shop) == set()


def test_the_body_says_what_the_hold_does_and_who_asked(shop: Workshop) -> None:
    set_(shop)
    (pull,) = shop.town.open_pulls()
    assert pull.title == "Hold api in dev"
    for text in ("`incident 42`", "`ada`", "leave this image as it is", "somebody lifts it"):
        assert text in pull.body


def test_asking_again_writes_nothing(shop: Workshop) -> None:
    set_(shop)
    pushes = len(shop.town.git.pushes)
    assert isinstance(set_(shop).outcome, Unchanged)
    merge(shop)
    assert isinstance(set_(shop).outcome, Unchanged)
    assert len(shop.town.git.pushes) == pushes
    assert len(shop.town.pulls()) == 1


def test_another_reason_updates_the_one_pull_request(shop: Workshop) -> None:
    set_(shop)
    assert isinstance(set_(shop, reason="incident 43").outcome, Updated)
    (pull,) = shop.town.open_pulls()
    assert "incident 43" in pull.body


def test_lifting_what_only_waits_closes_its_pull_request_and_says_so(
    shop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    set_(shop)
    lifted = lift(shop)
    assert isinstance(lifted.outcome, Unchanged)
    assert shop.town.open_pulls() == []
    print_change(lifted, OutputFormat.TABLE, {}, verbose=False)
    assert "closed pull request #1, which is not needed" in capsys.readouterr().out


def test_setting_what_a_lift_would_take_away_closes_the_lift(shop: Workshop) -> None:
    set_(shop)
    merge(shop)
    lift(shop)
    assert isinstance(set_(shop).outcome, Unchanged)
    assert shop.town.open_pulls() == []
    assert len(on_base(shop)) == 1


def test_two_rules_wait_side_by_side_and_merge_without_a_conflict(shop: Workshop) -> None:
    set_(shop)
    ask(shop, RuleChange.about(replace(hold(shop), image=WORKER)))
    ask(shop, RuleChange.about(Veto("dev", "bad", "ada", shop.town.clock.now(), None, digest(9))))
    set_(shop, environment="staging")
    for pull in shop.town.open_pulls():
        shop.town.merge(pull.number)
    assert len(on_base(shop)) == 3
    assert len(list_rules(shop.ports(), shop.job(), Veto)) == 1


def test_a_rule_of_an_environment_that_is_committed_to_is_proposed_all_the_same(shop: Workshop) -> None:
    assert isinstance(set_(shop, environment="lab").outcome, Opened)


def test_what_a_person_closed_is_asked_again_only_with_reopen(shop: Workshop) -> None:
    set_(shop)
    (pull,) = shop.town.open_pulls()
    forge_of(shop.ports()).close(pull.number, "no")
    with pytest.raises(Refused, match="closed without a merge"):
        set_(shop)
    again = ask(shop, RuleChange.about(hold(shop)), reopen=True)
    assert isinstance(again.outcome, Opened)


def test_foreign_work_on_the_branch_of_a_rule_is_sacred(shop: Workshop) -> None:
    change = RuleChange.about(hold(shop))
    ask(shop, change)
    shop.town.git.commit_files(
        {"evil.yaml": b"x"}, ref=change.branch.ref.value, committer="hybrid-ci <ci@acme.example>"
    )
    with pytest.raises(Conflict):
        set_(shop, reason="another")


def test_a_dry_run_writes_nothing_and_shows_the_file(shop: Workshop) -> None:
    result = ask(shop, RuleChange.about(hold(shop)), dry_run=True)
    assert (result.outcome, shop.town.git.pushes, shop.town.pulls()) == (None, [], [])
    assert result.plan.edits[0].new


def test_a_rule_of_no_environment_is_refused(shop: Workshop) -> None:
    with pytest.raises(ConfigurationError, match="no environment 'prd'"):
        set_(shop, environment="prd")


def test_an_expired_hold_is_still_listed_and_does_not_count(shop: Workshop) -> None:
    end = shop.town.clock.now() + timedelta(hours=1)
    ask(shop, RuleChange.about(hold(shop, expires=end)))
    merge(shop)
    shop.town.clock.set_now(end - timedelta(seconds=1))
    assert list_rules(shop.ports(), shop.job(), Hold)[0].active
    shop.town.clock.set_now(end)
    assert not list_rules(shop.ports(), shop.job(), Hold)[0].active


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("port", "method"), [("git", "push"), ("forge", "open"), ("git", "tips")])
def test_a_rule_that_was_killed_anywhere_converges(shop: Workshop, port: str, method: str, moment: str) -> None:
    ports = shop.ports()
    client = git_of(ports) if port == "git" else forge_of(ports)
    client.fail(moment=moment, error=KeyboardInterrupt(), method=method)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        change_rule(ports, shop.job(), RuleChange.about(hold(shop)))
    set_(shop)
    assert len(shop.town.pulls()) == 1
    merge(shop)
    assert len(on_base(shop)) == 1


# --- facts --------------------------------------------------------------------------------------------------------


def pin(shop: Workshop, environment: str, tag: int) -> CommitId:
    """Somebody pins both images in an environment."""
    text = f"image: {API}:{tag}@{digest(tag)}\nother: {{image: {WORKER}:{tag}@{digest(tag)}}}\n"
    path = (
        f"clusters/{environment}/shop/values.yaml" if environment in "abc" else f"apps/shop/{environment}/values.yaml"
    )
    server, clock = shop.town.git, shop.town.clock
    tip = server.refs[MAIN.ref]
    merged = {**server.commits[tip].files, RepoPath(path): text.encode()}
    for name in FILES:
        merged.pop(RepoPath(name.value.replace("/dev/", f"/{environment}/")), None)
    server.refs[MAIN.ref] = server.store(merged, (tip,), "A Person <p@x>", f"Pin {tag}", clock.now())
    return server.refs[MAIN.ref]


def gated(shop: Workshop, text: bytes = GATED) -> Policy:
    tip = shop.town.git.commit_files({POLICY_PATH: text})
    return policy_at(shop.ports().repository, tip, MAIN)


def verdicts(shop: Workshop, policy: Policy, *environments: str) -> dict[str, Verdict]:
    images = (Moving(API_2), Moving(WORKER_2))
    subjects = [Subject(policy.environment(name), "shop", images) for name in environments]
    ports = shop.ports()
    sources = Sources(ports.repository, ports.registry, ports.forge, ports.clock)
    judged = judge_all(sources, policy, shop.town.tip(MAIN), subjects)
    return {f"{one.subject.environment.name} {each.gate}": each for one in judged for each in one.verdicts}


def test_a_soak_counts_from_the_commit_that_brought_the_image(shop: Workshop) -> None:
    clock = shop.town.clock
    pin(shop, "dev", 1)
    clock.advance(60)
    pin(shop, "dev", 2)
    begin = clock.now()
    policy = gated(shop)
    clock.advance(3600)
    pin(shop, "staging", 1)  # something else lands meanwhile
    clock.set_now(begin + timedelta(hours=2) - timedelta(seconds=1))
    found = verdicts(shop, policy, "staging")["staging soak"]
    assert (found.result, found.until) == (Result.WAIT, begin + timedelta(hours=2))
    clock.set_now(begin + timedelta(hours=2))
    assert verdicts(shop, policy, "staging")["staging soak"].result is Result.PASS


def test_an_image_that_went_away_and_came_back_soaks_anew(shop: Workshop) -> None:
    clock = shop.town.clock
    policy = gated(shop)
    for tag in (2, 1, 2):
        clock.advance(3600)
        pin(shop, "dev", tag)
    came_back = clock.now()
    clock.advance(3000)
    assert verdicts(shop, policy, "staging")["staging soak"].until == came_back + timedelta(hours=2)


def test_a_commit_that_says_it_is_old_wins_no_time(shop: Workshop) -> None:
    clock = shop.town.clock
    policy = gated(shop)
    clock.advance(86_400)
    now = clock.now()
    pin(shop, "staging", 1)
    clock.set_now(now - timedelta(hours=20))
    pin(shop, "dev", 2)  # made long ago, landed after the one before
    clock.set_now(now + timedelta(hours=1))
    assert verdicts(shop, policy, "staging")["staging soak"].until == now + timedelta(hours=2)


@pytest.mark.parametrize(("others", "looks"), [(0, 1), (10, 1), (40, 2), (600, 3)])
def test_a_soak_asks_git_no_more_often_where_much_else_lands(shop: Workshop, others: int, looks: int) -> None:
    policy = gated(shop)
    pin(shop, "dev", 2)
    begin = shop.town.clock.now()
    for number in range(others):
        shop.town.clock.advance(1)
        pin(shop, "lab", number)
    sources = Sources(shop.ports().repository, shop.registry, None, shop.town.clock)
    subject = Subject(policy.environment("staging"), "shop", (Moving(API_2),))
    (facts,) = collect(sources, policy, shop.town.tip(MAIN), [subject])
    (run,) = (one for one in facts.runs or () if one.repository == API)
    assert isinstance(sources.repository, SimulatedGitOps)
    assert sources.repository.calls.count("trail") == looks
    assert sources.repository.calls.count("files") == 3
    if others < 500:
        assert run.since == begin
    else:
        assert run.since is not None, "further back than it is looked, it has run at least as long as that"
        assert run.since > begin


def test_a_hold_on_the_base_branch_refuses_and_one_that_only_waits_does_not(shop: Workshop) -> None:
    set_(shop)
    rules = policy_at(shop.ports().repository, shop.town.tip(MAIN), MAIN)
    assert verdicts(shop, rules, "dev")["dev hold"].result is Result.PASS
    merge(shop)
    assert verdicts(shop, rules, "dev")["dev hold"].result is Result.REFUSE


def test_a_broken_hold_stops_the_judgement(shop: Workshop) -> None:
    policy = gated(shop)
    shop.town.git.commit_files({".hybrid-ci/holds/dev/x.yaml": b"version: 1\n"})
    with pytest.raises(ConfigurationError, match="problems"):
        verdicts(shop, policy, "dev")


def test_an_image_comes_through_the_environments_before_and_wave_by_wave(shop: Workshop) -> None:
    for name in "ab":
        pin(shop, name, 1)
    policy = gated(shop, GATED.replace(b'clusters: "clusters/*"', b'clusters: "clusters/*", sizes: [1, rest]'))
    assert verdicts(shop, policy, "prod/a")["prod/a order"].result is Result.REFUSE
    pin(shop, "staging", 2)
    found = verdicts(shop, policy, "prod/a", "prod/b")
    assert (found["prod/a order"].result, found["prod/b order"].result) == (Result.PASS, Result.WAIT)
    pin(shop, "a", 2)
    assert verdicts(shop, policy, "prod/b")["prod/b order"].result is Result.PASS


@pytest.mark.parametrize("count", [1, 40])
def test_git_is_asked_as_often_for_many_images_and_clusters_as_for_one(shop: Workshop, count: int) -> None:
    files = {f"clusters/{number}/shop/x.yaml": b"image: x\n" for number in range(count)}
    shop.town.git.commit_files(files)
    policy = gated(shop)
    images = tuple(Moving(PinnedImage(replace(API, path=f"acme/i{one}"), digest(2), "2")) for one in range(count))
    subjects = [Subject(policy.environment(name), "shop", images) for name in policy.members("prod")]
    ports = shop.ports()
    collect(Sources(ports.repository, ports.registry, ports.forge, ports.clock), policy, shop.town.tip(MAIN), subjects)
    assert git_of(ports).calls == ["files", "files", "files"]
    assert forge_of(ports).calls == []


# --- policy -------------------------------------------------------------------------------------------------------


def test_without_a_policy_the_layout_is_looked_at_and_told(shop: Workshop) -> None:
    tip = shop.town.git.commit_files({POLICY_PATH: None})
    reporter = RecordingReporter()
    policy = policy_to_look_at(shop.ports().repository, tip, MAIN, reporter)
    assert {"dev", "staging"} <= set(policy.environments)
    assert policy.environment("staging").after == ("dev",)
    assert policy.found
    assert "discovered from its layout" in policy.origin
    assert POLICY_PATH in reporter.warnings[0]
    assert any("staging: " in note and "confidence" in note for note in reporter.notes)


def test_what_writes_needs_a_policy_and_says_what_the_layout_suggests(shop: Workshop) -> None:
    shop.town.git.commit_files({POLICY_PATH: None})
    with pytest.raises(ConfigurationError, match="has no") as caught:
        shop.release()
    assert any("the layout suggests: staging" in line for line in caught.value.details)


def test_a_written_policy_is_not_discovered(shop: Workshop) -> None:
    reporter = RecordingReporter()
    policy = policy_to_look_at(shop.ports().repository, shop.town.tip(MAIN), MAIN, reporter)
    assert (policy.found, reporter.warnings) == ((), [])


class Guarded:
    """A forge that tells, or not, whether we may push."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer

    def can_push(self, branch: BranchName) -> bool | None:
        assert branch == MAIN
        return self.answer


@pytest.mark.parametrize("forge", [Guarded(False), Guarded(None), object(), None])
def test_a_writer_who_can_not_push_the_policy_may_commit(shop: Workshop, forge: object) -> None:
    refuse_writers_of_policy(forge, shop.town.policy.environment("lab"), shop.town.policy)


def test_a_writer_who_can_push_the_policy_is_refused(shop: Workshop) -> None:
    lab = shop.town.policy.environment("lab")
    assert lab.strategy is Strategy.COMMIT
    with pytest.raises(Refused, match="may also push to main, which holds the policy") as caught:
        refuse_writers_of_policy(Guarded(True), lab, shop.town.policy)
    assert "protect main" in (caught.value.hint or "")
