"""The command line. ``main`` answers ``--version`` and the overview before anything heavy is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the ``hybrid-ci`` script; always ends in SystemExit."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from orchestrator import __version__

        print(f"hybrid-ci {__version__}")
        sys.exit(0)
    if not arguments or arguments in (["--help"], ["-h"], ["help"]):
        from orchestrator.cli.commands import overview

        print(overview())
        sys.exit(0)
    from orchestrator.cli.app import run

    sys.exit(run())
