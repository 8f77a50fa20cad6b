"""Text that people read, kept in files. ``UPDATE_GOLDEN=1 pytest …`` writes them anew; look at the diff then."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# Read when this is imported: the tests themselves see an environment without it.
_UPDATE = os.environ.get("UPDATE_GOLDEN", "") not in {"", "0"}


def assert_golden(name: str, text: str) -> None:
    """The text is that of ``tests/golden/<name>``, character for character."""
    file = FOLDER / name
    if _UPDATE:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    assert file.exists(), f"there is no golden file {file}; write it with UPDATE_GOLDEN=1"
    assert text == file.read_bytes().decode()
