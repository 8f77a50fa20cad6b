"""The last lines of a log, whatever its size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.images.tail import LINE_LENGTH, Tail


def collect(tail: Tail, *chunks: bytes) -> list[str]:
    return [line for chunk in chunks for line in tail.add(chunk)] + list(tail.end())


def test_lines_are_put_together_from_chunks() -> None:
    assert collect(Tail(), b"on", b"e\ntw", b"o\r\n", b"\nthree") == ["one", "two", "", "three"]


def test_only_the_last_lines_are_kept() -> None:
    tail = Tail(lines=3)
    collect(tail, *(b"%d\n" % n for n in range(10)))
    assert tail.lines == ("7", "8", "9")


def test_the_kept_bytes_are_capped() -> None:
    tail = Tail(lines=1000, limit=100)
    collect(tail, *(b"x" * 30 + b"\n" for _ in range(50)))
    assert sum(map(len, tail.lines)) <= 100
    assert len(tail.lines) == 3


def test_a_line_without_end_is_cut() -> None:
    tail = Tail()
    for _ in range(100):
        assert list(tail.add(b"x" * 100_000)) == []
    (line,) = tail.end()
    assert len(line) == LINE_LENGTH + 1
    assert line.endswith("…")


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert collect(Tail(), b"\xff\xfe\n") == ["\ufffd\ufffd"]


@given(st.lists(st.binary(max_size=20)))
def test_the_chunks_do_not_matter(chunks: list[bytes]) -> None:
    assert collect(Tail(), *chunks) == collect(Tail(), b"".join(chunks))
