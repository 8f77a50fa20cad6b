"""Which words the files below a folder hold, by the folder's id: what did not change is never looked through twice.

A folder's id covers all that is below it, so an entry is true for ever; runs may share the file and lose nothing but
time with it. It is a SQLite database: entries appear whole or not at all, and each carries a hash of itself. Whatever
is wrong with it, it is removed and the next search begins another.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestrator.core.image import Repository

Words = frozenset[bytes]

_VERSION = 1  # of what counts as a word, and of the table
_MOST_BYTES = 96 * 1024 * 1024
_WAIT_SECONDS = 5.0
_AT_ONCE = 500  # below SQLite's limit of variables in a statement
_CHECK_BYTES = 8
_LONGEST_WORD = 48
_WORD = re.compile(rb"(?<![A-Za-z0-9])[a-z0-9]{1,%d}(?![A-Za-z0-9])" % _LONGEST_WORD)


def words_of(content: bytes) -> Words:
    """Every word that can be part of an image's name."""
    return frozenset(_WORD.findall(content))


def words_of_name(repository: Repository) -> Words | None:
    """The words that a file naming this image holds for sure; None when they are too long to be in an index."""
    last = repository.path.rpartition("/")[2].encode()
    whole = re.findall(rb"[a-z0-9]+", last)
    return frozenset(whole) if all(len(word) <= _LONGEST_WORD for word in whole) else None


class TreeIndex:
    """The index of one repository, in one file. Not safe for several threads at once; for several processes it is."""

    def __init__(self, path: Path, most_bytes: int = _MOST_BYTES) -> None:
        self._path, self._most_bytes = path, most_bytes
        self._database: sqlite3.Connection | None = None
        self.usable = True

    @property
    def exists(self) -> bool:
        """An earlier search has left something."""
        return self.usable and self._path.exists()

    @staticmethod
    def key(folder: str, asked: Iterable[Sequence[str]]) -> bytes:
        """What is known of a folder depends on which of its files were asked for."""
        text = "\n".join(sorted("/".join(parts) for parts in asked))
        return hashlib.sha256(f"{_VERSION}\n{folder}\n{text}".encode("utf-8", "surrogateescape")).digest()

    def words(self, keys: Sequence[bytes]) -> dict[bytes, Words]:
        """What is known of these folders."""
        found: dict[bytes, Words] = {}
        try:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT folder, words, hash FROM folders WHERE folder IN ({marks})"  # noqa: S608  (only ?)
                for key, words, check in self._open().execute(query, some):
                    if check != _check(key, words):
                        raise sqlite3.DatabaseError("an entry is not what was written")
                    found[key] = frozenset(words.split())
        except (sqlite3.Error, OSError, TypeError, AttributeError):
            self._drop()
            return {}
        return found

    def add(self, entries: Mapping[bytes, Words]) -> None:
        """Keep these, in one transaction; an index that has grown too big is begun anew."""
        if not entries or not self.usable:
            return
        try:
            if self._path.exists() and self._path.stat().st_size > self._most_bytes:
                self._drop()
                self.usable = True
            rows = ((key, text, _check(key, text)) for key, text in _texts(entries))
            with self._open() as database:
                database.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", rows)
        except sqlite3.OperationalError:  # another run writes for longer than we wait, or the disk is full
            self.usable = False
        except (sqlite3.Error, OSError):
            self._drop()

    def close(self) -> None:
        """Let go of the file. Closing twice does nothing."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, check_same_thread=False)
            self._database.execute("PRAGMA synchronous = OFF")  # after a power cut the hashes tell
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS folders (folder BLOB PRIMARY KEY, words BLOB, hash BLOB) WITHOUT ROWID"
            )
        return self._database

    def _drop(self) -> None:
        """Remove the file; this run goes on without an index."""
        self.close()
        self.usable = False
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _texts(entries: Mapping[bytes, Words]) -> Iterable[tuple[bytes, bytes]]:
    return ((key, b" ".join(sorted(words))) for key, words in entries.items())


def _check(key: bytes, words: bytes) -> bytes:
    return hashlib.sha256(key + words).digest()[:_CHECK_BYTES]
