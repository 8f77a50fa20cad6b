"""Which changed paths a build gets: the same answer as the walk over the folder gives, also for what is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.images.ignore import select, sent_of

FILES = (
    "a.txt", "docs/x.md", "docs/deep/y.md", "docs/keep/z.md", "src/a.py", "src/b.pyc", ".env", ".env.example",
    ".git/HEAD", "cert.pem", "key.pem", "node/modules/x", "README.md", "keys/id_rsa",
)  # fmt: skip
PATTERNS = (
    (),
    ("docs",),
    ("docs", "!docs/keep"),
    ("*.md", "!README.md"),
    ("**/*.pyc", "node"),
    ("*", "!src"),
    ("!.env",),
    ("docs/**", "!docs/deep/y.md"),
)


@pytest.mark.parametrize("patterns", PATTERNS, ids=str)
def test_a_path_is_sent_when_the_walk_sends_it(tmp_path: Path, patterns: tuple[str, ...]) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("-----BEGIN PRIVATE KEY-----\n" if name == "key.pem" else "x\n")
    walked = set(select(tmp_path, patterns).paths)
    assert set(sent_of(tmp_path, FILES, patterns)) == walked & set(FILES)


def test_what_is_gone_counts_as_far_as_its_name_tells(tmp_path: Path) -> None:
    assert sent_of(tmp_path, ["gone.txt", "gone.pem", ".env", "docs/x"], ["docs"]) == ("gone.txt", "gone.pem")
