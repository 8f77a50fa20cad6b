"""The command line. ``main`` answers ``--version`` and the overview before anything heavy is imported."""

from __future__ import annotations

import gc
import os
import sys

_NEW_OBJECTS = 100_000  # between two looks for garbage: importing makes many objects, and none of them is garbage
_COMPLETION = "_HYBRID_CI_COMPLETE"  # set by the shell when it asks for completions


def main() -> None:
    """Entry point of the ``hybrid-ci`` script; always ends in SystemExit."""
    _open_standard_streams()
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from orchestrator import __version__

        _say(f"hybrid-ci {__version__}")
    if _COMPLETION not in os.environ and (not arguments or arguments in (["--help"], ["-h"], ["help"])):
        from orchestrator.cli.commands import overview

        _say(overview())
    gc.set_threshold(_NEW_OBJECTS, 50, 100)
    from orchestrator.cli.app import run

    sys.exit(run())


def _open_standard_streams() -> None:
    """A caller may have closed them; then the next file or pipe would take their numbers, and get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (it lives as long as the process)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _say(text: str) -> None:
    """Print it and end; a reader that is gone is no failure, a full disk is one."""
    code = 0
    try:
        print(text, flush=True)
    except BrokenPipeError:
        from orchestrator.cli.streams import drop_broken_output

        drop_broken_output()
    except OSError as error:
        from orchestrator.cli.streams import drop_broken_output
        from orchestrator.core.machine import machine_error

        drop_broken_output()
        refused = machine_error(error)
        print(f"error: {refused.message}", file=sys.stderr)
        code = refused.exit_code
    sys.exit(code)
