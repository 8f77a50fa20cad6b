"""``history`` over a simulated past: the trees tell what changed, whatever a merge did to the message."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.core.change import Action
from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.names import RefName
from pipelines.history import Entry, history
from pipelines.looking import Wanted
from pipelines.looking_forge import number_in
from tests.simulation.past import API, MAIN, START, WORKER, Past, change, image, kustomization, message, path
from tests.simulators.forge import SimulatedForge

BOTH = {version: kustomization(image(API, version), image(WORKER)) for version in range(1, 10)}


def moved(entry: Entry) -> list[tuple[str, list[str | None], list[str | None]]]:
    return [(one.image.name, [v.tag for v in one.before], [v.tag for v in one.after]) for one in entry.moves]


def test_a_merge_is_told_with_its_pins_its_trailers_and_its_number() -> None:
    past = Past().begin()
    past.merge(change("dev", image(API, 2), count=2), {path("dev"): BOTH[2]}, number=7)

    found = history(past.looking(), "dev", Wanted())

    newest, first = found.entries
    assert moved(newest) == [("api", ["1.1.0"], ["1.2.0"])]
    assert (newest.pull_request, newest.by, newest.landed) == (
        7, "Mary <mary@example.com>", START + timedelta(hours=2)
    )  # fmt: skip
    assert newest.change is not None
    assert (newest.change.action, newest.change.release) == (Action.RELEASE, "release2")
    assert moved(first) == [("api", [], ["1.1.0"]), ("worker", [], ["1.1.0"])]
    assert found.whole


def test_a_squash_that_lost_the_trailers_still_shows_what_it_changed() -> None:
    past = Past().begin()
    past.commit({path("dev"): BOTH[2]}, "Release shop (#12)\n", who="Sam <sam@example.com>")

    newest = history(past.looking(), "dev", Wanted()).entries[0]

    assert moved(newest) == [("api", ["1.1.0"], ["1.2.0"])]
    assert (newest.change, newest.pull_request) == (None, 12)


def test_a_rebase_keeps_the_trailers_on_the_branch_itself() -> None:
    past = Past().begin()
    past.commit({path("dev"): BOTH[2]}, message(change("dev", image(API, 2), count=2)))

    newest = history(past.looking(), "dev", Wanted()).entries[0]

    assert newest.change is not None
    assert newest.change.release == "release2"
    assert newest.pull_request is None


def test_trailers_that_are_about_something_else_are_not_believed() -> None:
    past = Past().begin()
    past.commit({path("dev"): BOTH[2]}, message(change("dev", image(API, 9), count=9)))
    past.commit({path("dev"): BOTH[3]}, message(change("prod", image(API, 3), count=3)))

    assert [one.change for one in history(past.looking(), "dev", Wanted()).entries] == [None, None, None]


def test_what_does_not_move_a_pin_is_no_entry() -> None:
    past = Past().begin()
    past.commit({path("dev"): BOTH[1] + b"# a comment\n", path("prod"): BOTH[2]}, "Comment")

    assert len(history(past.looking(), "dev", Wanted()).entries) == 1


def test_an_image_that_came_and_went_is_told_from_both_ends() -> None:
    past = Past().begin()
    past.commit({path("dev"): kustomization(image(API))}, "Drop the worker")

    found = history(past.looking(), "dev", Wanted(images=("worker",))).entries

    assert [moved(one) for one in found] == [[("worker", ["1.1.0"], [])], [("worker", [], ["1.1.0"])]]


def test_limit_and_since_end_it_early_and_say_so() -> None:
    past = Past().begin()
    for version in (2, 3, 4):
        past.commit({path("dev"): BOTH[version]}, "Move")

    limited = history(past.looking(), "dev", Wanted(), limit=2)
    assert [moved(one)[0][2] for one in limited.entries] == [["1.4.0"], ["1.3.0"]]
    assert not limited.whole

    since = history(past.looking(), "dev", Wanted(), since=START + timedelta(hours=3))
    assert [moved(one)[0][2] for one in since.entries] == [["1.4.0"]]
    at_the_second = history(past.looking(), "dev", Wanted(), since=START + timedelta(hours=2))
    assert len(at_the_second.entries) == 2


def test_a_long_past_is_read_further_back_only_when_it_is_needed() -> None:
    past = Past().begin()
    for number in range(100):
        past.commit({"README.md": f"{number}\n".encode()}, "Say something")
    past.commit({path("dev"): BOTH[2]}, "Move")

    found = history(past.looking(), "dev", Wanted(), limit=1)
    assert past.repository.calls.count("trail") == 2  # one more entry shows that there is more
    assert len(found.entries) == 1

    history(past.looking(), "dev", Wanted(), since=past.git.commits[past.git.refs[MAIN]].when)
    assert past.repository.calls.count("trail") == 1


def test_the_forge_tells_the_number_that_a_message_does_not() -> None:
    past = Past().begin()
    made = change("dev", image(API, 2), count=2)
    number = past.propose(made, {path("dev"): BOTH[2]})
    head = past.git.refs[RefName(f"refs/heads/{made.branch}")]
    merged = SimulatedForge(past.forge_server, "Mary").merge(number, head, "Bring it")
    assert merged.merge_commit is not None

    newest = history(past.looking(), "dev", Wanted()).entries[0]

    assert (newest.pull_request, newest.url) == (number, merged.url)
    assert past.forge.calls == ["pull_requests"]


def test_a_forge_that_fails_costs_the_number_alone() -> None:
    past = Past().begin()
    past.commit({path("dev"): BOTH[2]}, "Move")
    past.forge.fail(error=RemoteError("no"))

    assert len(history(past.looking(), "dev", Wanted()).entries) == 2
    assert any("could not be asked" in one for one in past.reporter.warnings)


def test_an_environment_with_waves_tells_of_all_its_clusters() -> None:
    waves = "waves: {clusters: 'clusters/prod-*', sizes: [1, rest]}"
    policy = f"version: 1\nenvironments:\n  prod: {{paths: ['{{cluster}}/**'], {waves}}}\n"
    files = {f"clusters/prod-{name}/api.yaml": f"image: {image(API)}\n".encode() for name in ("eu", "us")}
    past = Past().begin(files, policy)
    past.commit({"clusters/prod-us/api.yaml": f"image: {image(API, 2)}\n".encode()}, "Move")

    entries = history(past.looking(), "prod", Wanted()).entries

    assert [one.environment for one in entries] == ["prod/us", "prod/eu", "prod/us"]


@pytest.mark.parametrize(("name", "wanted"), [("nowhere", Wanted()), ("dev", Wanted(images=("nothing",)))])
def test_a_name_that_was_never_there_is_an_error(name: str, wanted: Wanted) -> None:
    with pytest.raises(ConfigurationError):
        history(Past().begin().looking(), name, wanted)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Merge pull request #12 from acme/branch\n\nTitle", 12),
        ("Promote shop (#7)\n\n* a commit", 7),
        ("Promote shop (#7)", 7),
        ("Merge branch 'x' into 'main'\n\nTitle\n\nSee merge request acme/gitops!42\n", 42),
        ("Merge branch 'x' into 'main'\n\nSee merge request !42", 42),
        ("Fix what (#7) broke", None),
        ("Quote\n\nMerge pull request #12 from acme/branch", None),
        ("See merge request acme/gitops!42 for more", None),
        ("Promote shop (#0)", None),
        ("", None),
    ],
)
def test_the_number_is_read_where_forges_write_it(text: str, number: int | None) -> None:
    assert number_in(text) == number
