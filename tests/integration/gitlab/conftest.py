"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gitlab.worlds import World, gitlab


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with gitlab(tmp_path) as world:
        yield world
