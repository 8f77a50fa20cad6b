"""How ``status`` looks with more environments than a table can take, and with texts from outside."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.cli.status_output import as_data, as_lines, as_markdown
from orchestrator.core.holds import Hold
from orchestrator.reports.grid import coloured, plain
from pipelines.looking import Wanted
from pipelines.status import Status, status
from tests.golden import assert_golden
from tests.simulation.past import API, START, WORKER, Past, change, image, kustomization


def clusters(number: int) -> Status:
    """So many clusters after dev, every third one version behind, one held, one without the worker."""
    names = ["dev", *(f"prod-{one}" for one in range(1, number))]
    policy = "version: 1\nenvironments:\n  dev: {paths: [dev]}\n" + "".join(
        f"  {name}: {{paths: [{name}], after: [dev]}}\n" for name in names[1:]
    )
    past = Past().begin({f"{name}/kustomization.yaml": b"images: []\n" for name in names}, policy)
    older, newer = (kustomization(image(API, version), image(WORKER)) for version in (3, 4))
    past.merge(
        change("dev", image(API, 3), image(WORKER), count=3), {f"{name}/kustomization.yaml": older for name in names}
    )
    some = [name for position, name in enumerate(names) if position % 3 == 0]
    past.merge(change("dev", image(API, 4), count=4), {f"{name}/kustomization.yaml": newer for name in some})
    past.commit({"prod-5/kustomization.yaml": kustomization(image(API, 3))}, "Drop the worker")
    hold = Hold("prod-2", "incident 42", "Mary", START, None, API)
    past.commit({hold.path.value: hold.render()}, "Hold")
    past.propose(change("prod-1", image(API, 4)), {"prod-1/kustomization.yaml": newer}, "Promote shop to prod-1")
    return status(past.looking(application=None), Wanted())


def test_many_environments_become_a_list_of_versions() -> None:
    lines = as_lines(clusters(30), 80, plain)

    assert all(len(line) <= 80 for line in lines)
    assert_golden("cli/status-many.txt", "\n".join(lines) + "\n")


def test_a_page_with_many_environments_has_a_row_for_each_version() -> None:
    assert_golden("cli/status-many.md", as_markdown(clusters(12)) + "\n")


def test_a_page_with_few_environments_has_a_column_for_each() -> None:
    assert_golden("cli/status.md", as_markdown(clusters(4)) + "\n")


def test_colours_change_no_letter() -> None:
    for number in (4, 30):
        told = "\n".join(as_lines(clusters(number), 80, coloured))
        for code in ("0", "1", "2", "31", "32", "33"):
            told = told.replace(f"\x1b[{code}m", "")
        assert told == "\n".join(as_lines(clusters(number), 80, plain))


def test_texts_from_outside_do_nothing() -> None:
    found = clusters(4)
    assert found.pull_requests is not None
    pull = found.pull_requests[0]
    hostile = replace(pull.pull_request, title="\x1b[2J\u202e | @all <!-- ` [x](y)", url="javascript:alert(1)")
    found = replace(found, pull_requests=(replace(pull, pull_request=hostile),))

    terminal, page = "\n".join(as_lines(found, 80, plain)), as_markdown(found)

    assert not set(terminal + page) & set("\x1b\u202e")
    assert "javascript" not in page
    assert "<!--" not in page
    assert "- #1 `prod-1`: ``| @all <!- - ` [x](y)``" in page


def test_nothing_at_all_is_said_in_a_sentence() -> None:
    past = Past().begin({"apps/shop/dev/kustomization.yaml": b"images: []\n"})
    found = status(past.looking(), Wanted())

    assert as_lines(found, 80, plain)[0] == "no environment that is looked at runs an image of this"
    assert as_markdown(found).startswith("No image runs here.")


def test_the_data_holds_all_that_the_table_tells() -> None:
    data = as_data(clusters(4))

    held = [cell for cell in data["cells"] if cell["held"]]
    assert [(cell["environment"], cell["image"]) for cell in held] == [("prod-2", str(API))]
    assert held[0]["behind"]["commits"] == 1
    assert held[0]["since"] == "2026-03-01T14:00:00Z"
    assert data["pull_requests"][0]["environment"] == "prod-1"
