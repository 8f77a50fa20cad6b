"""``python -m orchestrator`` is ``hybrid-ci``."""

from orchestrator.cli import main

main()
