"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.github.worlds import World, github


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with github(tmp_path) as world:
        yield world
