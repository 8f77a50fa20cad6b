"""Progress: quiet, verbose, live, and as JSON lines."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Callable

import pytest

from orchestrator.ci.redact import RedactingStream, redactor
from orchestrator.core.secret import MASK, Secret
from orchestrator.engine.events import Reporter
from orchestrator.reports.console import JsonReporter, TextReporter, make_reporter
from orchestrator.reports.live import LiveReporter
from tests.golden import assert_golden


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


@pytest.mark.parametrize(("name", "quiet"), [("log", False), ("log-quiet", True)])
def test_a_run_reads_so(name: str, quiet: bool) -> None:
    out = io.StringIO()
    story(TextReporter(out, quiet=quiet))
    assert_golden(f"reports/console-{name}.txt", out.getvalue())


def test_quiet_tells_the_end_of_what_a_failed_stage_said() -> None:
    out = io.StringIO()
    reporter = TextReporter(out, quiet=True)
    reporter.stage_started("build api")
    for number in range(100):
        reporter.log("build api", f"line {number}")
    reporter.stage_finished("build api", "failed", 1.0)
    assert out.getvalue().splitlines() == [
        *(f"  build api | line {number}" for number in range(80, 100)),
        "✗ build api  failed in 1.0 s",
    ]


def live(out: Terminal, **options: bool) -> LiveReporter:
    settings = {"colour": False, "verbose": False} | options
    return LiveReporter(out, colour=settings["colour"], verbose=settings["verbose"], width=60)


def kept(out: Terminal) -> list[str]:
    """The lines that stay once everything transient was drawn over: a terminal in small."""
    screen, row = [""], 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", out.getvalue()):
        if piece == "\n":
            row += 1
            screen += [""] * (row + 1 - len(screen))
        elif piece.startswith("\x1b") and piece.endswith("A"):
            row -= int(piece[2:-1] or 1)
        elif piece == "\x1b[2K":
            screen[row] = ""
        elif piece != "\r" and not piece.startswith("\x1b"):
            screen[row] += piece
    return [line.rstrip() for line in screen if line.strip()]


def test_on_a_terminal_what_is_done_stays_and_what_is_under_way_is_gone() -> None:
    out = Terminal()
    story(live(out))
    assert kept(out) == [
        "  the engine is Docker 20.10",
        "✓ preflight  done in 0.2 s",
        "warning: the image api has no tests",
        "✓ build api  done, sha256:0123456789ab in 12.3 s",
        "✗ push api  failed in 1.0 s",
    ]
    assert out.getvalue().rstrip("\r").endswith("\x1b[?25h"), "the cursor is back"


def test_on_a_terminal_a_failed_stage_tells_the_end_of_what_it_said() -> None:
    out = Terminal()
    reporter = live(out)
    reporter.stage_started("build api")
    reporter.stage_started("build web")
    reporter.log("build api", "no such file")
    reporter.log("build web", "fine")
    reporter.stage_finished("build api", "failed", 1.0)
    reporter.stage_finished("build web", "done", 1.0)
    assert kept(out) == ["  build api | no such file", "✗ build api  failed in 1.0 s", "✓ build web  done in 1.0 s"]


def test_on_a_terminal_every_line_stays_when_verbose() -> None:
    out = Terminal()
    story(live(out, verbose=True))
    assert "  build api | Step 2/2 : COPY . /" in kept(out)


def test_a_part_of_a_stage_shows_behind_it() -> None:
    out = Terminal()
    reporter = live(out)
    reporter.stage_started("test api")
    reporter.log("test api/unit", "a line of the part")
    reporter.stage_finished("test api", "failed", 1.0)
    assert kept(out)[0] == "  test api | a line of the part"


def test_a_terminal_that_goes_away_stops_nothing() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    story(make_reporter("auto", quiet=False, verbose=False, stream=Gone(), environment={}))


def test_quiet_leaves_warnings_and_failures() -> None:
    out = io.StringIO()
    story(TextReporter(out, quiet=True))
    assert out.getvalue() == "warning: the image api has no tests\n✗ push api  failed in 1.0 s\n"


def test_a_log_file_leaves_most_progress_out() -> None:
    out = io.StringIO()
    reporter = TextReporter(out)
    for number in range(100):
        reporter.progress("push", str(number))
    assert len(out.getvalue().splitlines()) <= 1


HOSTILE = "evil\x1b[2J\x1b]0;t\x07\r\u202e\u2066\x08\u2028\n::error::x"


@pytest.mark.parametrize("live_", [False, True])
def test_text_from_outside_acts_on_no_terminal(live_: bool) -> None:
    out = Terminal()
    reporter = LiveReporter(out, colour=False, verbose=True) if live_ else TextReporter(out)
    reporter.stage_started(HOSTILE)
    reporter.log(HOSTILE, HOSTILE)
    reporter.progress(HOSTILE, HOSTILE)
    reporter.note(HOSTILE)
    reporter.warn(HOSTILE)
    reporter.stage_finished(HOSTILE, HOSTILE, 1.0)
    shown = "\n".join(kept(out)) if live_ else out.getvalue()
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


@pytest.mark.parametrize("make", [JsonReporter, TextReporter, live])
def test_lines_of_many_threads_do_not_mix(make: Callable[[Terminal], Reporter]) -> None:
    out = Terminal()
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
    ("log_format", "terminal", "environment", "expected", "colour"),
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
    log_format: str,
    terminal: bool,
    environment: dict[str, str],
    expected: bool,
    colour: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal() if terminal else io.StringIO()
    reporter = make_reporter(log_format, quiet=False, verbose=False, stream=out, environment=environment)
    assert isinstance(reporter, LiveReporter) is expected
    reporter.stage_started("build")
    reporter.stage_finished("build", "done", 1.0)
    assert ("\x1b[32m" in out.getvalue()) is colour


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
