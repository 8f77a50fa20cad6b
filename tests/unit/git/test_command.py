"""The hardened invocation."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.process import ConversationEnded, Limits
from orchestrator.git.command import GitFailed, GitOutputTooLarge, GitUnusable, Transport, create_bare, parse_version


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (b"git version 2.39.5\n", (2, 39, 5)),
        (b"git version 2.50.1 (Apple Git-155)\n", (2, 50, 1)),
        (b"git version 2.46.rc1", (2, 46, 0)),
    ],
)
def test_versions_are_read(said: bytes, version: tuple[int, int, int]) -> None:
    assert parse_version(said) == version


def test_what_is_no_git_is_said() -> None:
    with pytest.raises(GitUnusable):
        parse_version(b"hub version 1\n")


def test_no_protocol_is_allowed_unless_it_is_named(tmp_path: Path) -> None:
    git = create_bare(tmp_path / "a.git")
    argv = ["ls-remote", str(tmp_path / "a.git")]
    with pytest.raises(GitFailed) as error:
        git.run(argv)
    assert "not allowed" in "\n".join(error.value.details)
    assert git.run(argv, transport=Transport(("file",))).stdout == b""


def test_too_much_output_is_an_error_and_not_a_part(tmp_path: Path) -> None:
    git = create_bare(tmp_path / "a.git")
    blob = git.run(["hash-object", "-w", "--stdin"], stdin=b"x" * 5000).stdout.decode().strip()
    with pytest.raises(GitOutputTooLarge):
        git.run(["cat-file", "blob", blob], limits=Limits(output=1000))


def test_a_bare_repository_has_no_hooks(tmp_path: Path) -> None:
    create_bare(tmp_path / "a.git")
    assert not (tmp_path / "a.git/hooks").exists()


def test_a_conversation_answers_again_and_again(tmp_path: Path) -> None:
    git = create_bare(tmp_path / "a.git")
    blobs = [git.run(["hash-object", "-w", "--stdin"], stdin=text).stdout.strip() for text in (b"one\n", b"t\nwo")]
    talk = git.converse(["cat-file", "--batch"])
    try:
        for blob, text in zip(blobs, (b"one\n", b"t\nwo"), strict=True):
            talk.say(blob + b"\n")
            assert talk.line() == blob + b" blob %d" % len(text)
            assert talk.exactly(len(text) + 1) == text + b"\n"
        talk.say(b"1" * 40 + b"\n")
        assert talk.line().endswith(b" missing")
    finally:
        talk.close()
        talk.close()


def test_a_conversation_that_ends_is_told(tmp_path: Path) -> None:
    git = create_bare(tmp_path / "a.git")
    talk = git.converse(["rev-parse", "--git-dir"], Limits(seconds=5))
    try:
        talk.line()
        with pytest.raises(ConversationEnded):
            talk.line()
    finally:
        talk.close()
