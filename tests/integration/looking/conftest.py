"""One story for all tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.looking.worlds import World, story


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The story; nobody may change it."""
    return story(tmp_path_factory.mktemp("looking"))


@pytest.fixture
def own(tmp_path: Path) -> World:
    """A story of this test's own."""
    return story(tmp_path)
