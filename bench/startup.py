"""How long the installed command takes to answer, against a Python that does nothing.

    make bench-startup            RUNS=60 for more runs

Subjects and baseline are separate processes, run in turn, and the medians are compared. A console script that
only prints already costs about 1.6 times the baseline (reading site-packages and the script itself).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench._report import finish, interleaved, milliseconds, ratio, table

_BASELINE = "python -c pass"


def main() -> None:
    """Measure, print the table, print the figures."""
    python = sys.executable
    script = str(Path(python).with_name("hybrid-ci"))
    subjects = {
        _BASELINE: _process([python, "-c", "pass"]),
        "hybrid-ci --version": _process([script, "--version"]),
        "hybrid-ci --help": _process([script, "--help"]),
    }
    runs = int(os.environ.get("RUNS", "40"))
    seconds = interleaved(subjects, runs=runs)
    baseline = seconds[_BASELINE]
    rows = [(name, milliseconds(taken), ratio(taken, baseline)) for name, taken in seconds.items()]
    print(f"Start-up, {runs} interleaved runs each, Python {sys.version.split()[0]}\n")
    print(table(("command", "ms: median (min - max)", "x python"), rows) + "\n")
    figures = {
        "version_x_python": ratio(seconds["hybrid-ci --version"], baseline),
        "help_x_python": ratio(seconds["hybrid-ci --help"], baseline),
    }
    finish("bench-startup", figures)


def _process(argv: Sequence[str]) -> Callable[[], object]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}

    def run() -> None:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)

    return run


if __name__ == "__main__":
    main()
