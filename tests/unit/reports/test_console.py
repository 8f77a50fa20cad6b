"""Progress: quiet, verbose, live, and as JSON lines."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest

from orchestrator.ci.redact import RedactingStream, redactor
from orchestrator.core.secret import MASK, Secret
from orchestrator.engine.events import Reporter
from orchestrator.reports.console import JsonReporter, TextReporter, make_reporter
from tests.golden import assert_golden

CLEAR = "\r\x1b[2K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def story(reporter: Reporter) -> None:
    """A release as a reporter hears of it."""
    reporter.stage_started("preflight")
    reporter.note("the engine is Docker 20.10")
    reporter.stage_finished("preflight", "done", 0.25)
    reporter.warn("the image api has no tests")
    reporter.stage_started("build api")
    reporter.log("build api", "Step 1/2 : FROM scratch\n")
    reporter.log("build api", "")
    reporter.log("build api", "Step 2/2 : COPY . /\r")
    reporter.stage_finished("build api", "done, sha256:0123456789ab", 12.34)
    reporter.stage_started("push api")
    reporter.progress("push api", "1 of 9 MiB")
    reporter.progress("push api", "9 of 9 MiB")
    reporter.stage_finished("push api", "failed", 1.0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("log", {}),
        ("log-verbose", {"verbose": True}),
        ("log-quiet", {"quiet": True}),
        ("live", {"live": True}),
        ("live-verbose", {"live": True, "verbose": True}),
        ("live-quiet", {"live": True, "quiet": True}),
        ("live-colour", {"live": True, "colour": True}),
    ],
)
def test_a_run_reads_so(name: str, settings: dict[str, bool]) -> None:
    out = Terminal()
    story(TextReporter(out, **settings))
    shown = out.getvalue().replace(CLEAR, "<clear>").replace("\x1b", "<esc>")
    assert_golden(f"reports/console-{name}.txt", shown)
    assert "\r" not in shown


def test_quiet_leaves_warnings_and_failures() -> None:
    out = io.StringIO()
    story(TextReporter(out, quiet=True))
    assert out.getvalue() == "warning: the image api has no tests\n✗ push api  failed in 1.0 s\n"


def test_live_progress_is_overwritten_in_place_and_leaves_nothing_behind() -> None:
    out = Terminal()
    reporter = TextReporter(out, live=True)
    reporter.progress("push", "1 of 2")
    reporter.progress("push", "2 of 2")
    reporter.note("done")
    assert out.getvalue() == f"{CLEAR}  1 of 2{CLEAR}  2 of 2{CLEAR}  done\n"


def test_live_progress_never_wraps() -> None:
    out = Terminal()
    TextReporter(out, live=True).log("build", "x" * 10_000)
    assert len(out.getvalue()) <= 200


def test_a_log_file_leaves_most_progress_out() -> None:
    out = io.StringIO()
    reporter = TextReporter(out)
    for number in range(100):
        reporter.progress("push", str(number))
    assert len(out.getvalue().splitlines()) <= 1


HOSTILE = "evil\x1b[2J\x1b]0;t\x07\r\u202e\u2066\x08\u2028\n::error::x"


@pytest.mark.parametrize("live", [False, True])
def test_text_from_outside_acts_on_no_terminal(live: bool) -> None:
    out = Terminal()
    reporter = TextReporter(out, live=live, verbose=True)
    reporter.stage_started(HOSTILE)
    reporter.log(HOSTILE, HOSTILE)
    reporter.progress(HOSTILE, HOSTILE)
    reporter.note(HOSTILE)
    reporter.warn(HOSTILE)
    reporter.stage_finished(HOSTILE, HOSTILE, 1.0)
    shown = out.getvalue().replace(CLEAR, "")
    assert not set(shown) & set("\x1b\x07\r\u202e\u2066\x08\u2028")
    assert all(not line.startswith("::") for line in shown.splitlines())


# --- JSON ---------------------------------------------------------------------------------------------------------


def events(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_event_is_a_line_of_json() -> None:
    out = io.StringIO()
    before = time.time()
    story(JsonReporter(out))
    heard = events(out)
    assert all(before - 1 <= float(str(event.pop("time"))) <= time.time() + 1 for event in heard)
    assert_golden("reports/events.jsonl", "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in heard))


def test_hostile_text_stays_one_line_of_json() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    reporter.stage_started(HOSTILE)
    reporter.log(HOSTILE, HOSTILE)
    reporter.progress(HOSTILE, HOSTILE)
    reporter.note(HOSTILE)
    reporter.warn(HOSTILE)
    reporter.stage_finished(HOSTILE, HOSTILE, 1.0)
    assert len(out.getvalue().splitlines()) == 6
    assert len(events(out)) == 6
    assert not set(out.getvalue()) & set("\x1b\x07\r\u202e\u2066\x08\u2028")


@pytest.mark.parametrize("make", [JsonReporter, TextReporter])
def test_lines_of_many_threads_do_not_mix(make: type[JsonReporter] | type[TextReporter]) -> None:
    out = io.StringIO()
    reporter = make(out)
    threads = [
        threading.Thread(target=lambda number=number: [reporter.note(f"{number}" * 50) for _ in range(100)])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = out.getvalue().splitlines()
    texts = [json.loads(line)["text"] if make is JsonReporter else line.strip() for line in lines]
    assert sorted(texts) == sorted(f"{number}" * 50 for number in range(8) for _ in range(100))


# --- which one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log_format", "terminal", "environment", "live", "colour"),
    [
        ("auto", True, {}, True, True),
        ("auto", False, {}, False, False),
        ("text", True, {}, False, False),
        ("auto", True, {"CI": "true"}, False, False),
        ("auto", True, {"CI": "1"}, False, False),
        ("auto", True, {"CI": "woodpecker"}, False, False),
        ("auto", True, {"CI": "false"}, True, True),
        ("auto", True, {"NO_COLOR": "1"}, True, False),
        ("auto", True, {"NO_COLOR": ""}, True, True),
        ("auto", True, {"TERM": "dumb"}, False, False),
        ("auto", False, {"FORCE": "x"}, False, False),
    ],
)
def test_a_reporter_suits_its_surroundings(
    log_format: str, terminal: bool, environment: dict[str, str], live: bool, colour: bool
) -> None:
    out = Terminal() if terminal else io.StringIO()
    reporter = make_reporter(log_format, quiet=False, verbose=False, stream=out, environment=environment)
    reporter.stage_started("build")
    reporter.log("build", "line")
    assert (CLEAR in out.getvalue()) is live
    assert ("\x1b[1m" in out.getvalue()) is colour


def test_json_is_json_on_a_terminal_too() -> None:
    out = Terminal()
    make_reporter("json", quiet=False, verbose=False, stream=out, environment={}).note("x")
    assert json.loads(out.getvalue())["text"] == "x"


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["auto", "text", "json"])
def test_a_secret_in_a_log_is_masked(log_format: str) -> None:
    canary = f'canary-of-console-"{log_format}"-0123456789'
    redactor.add(Secret(canary, "$TOKEN"))
    terminal = Terminal()
    out = RedactingStream(terminal, redactor)
    reporter = make_reporter(log_format, quiet=False, verbose=False, stream=out, environment={})  # type: ignore[arg-type]
    reporter.log("build", f"token {canary} end")
    reporter.progress("build", f"token {canary} end")
    reporter.warn(f"token {canary} end")
    reporter.log("build", "x" * 50 + canary)  # a terminal of 80 columns cuts it
    out.flush()
    assert "canary-of-console" not in terminal.getvalue()
    assert MASK in terminal.getvalue()
