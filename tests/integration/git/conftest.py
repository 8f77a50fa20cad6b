"""Fixtures of the git room's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import Served, served


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Served]:
    """A served repository."""
    with served(tmp_path) as made:
        yield made


@pytest.fixture
def client(world: Served) -> Iterator[GitRepository]:
    """A client of it."""
    with world.client() as made:
        yield made
