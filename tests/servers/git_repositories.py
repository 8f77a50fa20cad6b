"""Repositories for tests, made and filled with the real git, with a fixed identity and nothing of the machine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


def git(directory: Path, *argv: str, stdin: bytes | None = None, **environment: str) -> str:
    """Run git as a test does, with a fixed identity and nothing of the machine; gives stdout. Raises when it fails."""
    base = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A Person",
        "GIT_AUTHOR_EMAIL": "person@example.com",
        "GIT_COMMITTER_NAME": "A Person",
        "GIT_COMMITTER_EMAIL": "person@example.com",
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    done = subprocess.run(
        ["git", *argv], cwd=directory, input=stdin, capture_output=True, env=base | environment, check=False
    )
    if done.returncode:
        raise AssertionError(f"git {' '.join(argv)}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def make_bare(path: Path, *, filters: bool = True, object_format: str = "sha1") -> Path:
    """An empty bare repository that takes pushes over HTTP."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={object_format}")
    git(path, "config", "http.receivepack", "true")
    git(path, "config", "uploadpack.allowFilter", str(filters).lower())
    git(path, "config", "receive.fsckObjects", "true")
    return path


@dataclass(frozen=True)
class Link:
    """A symbolic link as content for ``commit_files``."""

    target: str


@dataclass(frozen=True)
class Submodule:
    """A gitlink as content for ``commit_files``."""

    commit: str = "1" * 40


@dataclass(frozen=True)
class Executable:
    """An executable file as content for ``commit_files``."""

    content: bytes


Content = bytes | Link | Submodule | Executable | None


def commit_files(
    bare: Path,
    files: dict[str | bytes, Content],
    ref: str = "refs/heads/main",
    message: str = "Change files",
    committer: str = "A Person <person@example.com>",
    parent: str | None = "",
    author: str | None = None,
) -> str:
    """Commit onto a ref with fast-import; gives the commit's id. ``parent`` "" is the ref's tip, None a new root.

    The committer is the author too, unless there is another one.
    """
    if parent == "":
        tips = git(bare, "for-each-ref", "--format=%(objectname)", ref)
        parent = tips or None
    text = message.rstrip("\n").encode() + b"\n"
    import_ref = f"refs/test/import-{os.urandom(6).hex()}"  # several tests' threads may commit at once
    lines = [b"commit %s" % import_ref.encode()]
    lines += [b"author %s 1767225600 +0000" % author.encode()] if author else []
    lines.append(b"committer %s 1767225600 +0000" % committer.encode())
    lines.append(b"data %d\n%s" % (len(text), text))
    if parent:
        lines.append(b"from %s" % parent.encode())
    for name, content in files.items():
        path = _quoted(name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape"))
        match content:
            case None:
                lines.append(b"D %s" % path)
            case Submodule(commit):
                lines.append(b"M 160000 %s %s" % (commit.encode(), path))
            case Link(target):
                lines.append(b"M 120000 inline %s\ndata %d\n%s" % (path, len(target), target.encode()))
            case Executable(data):
                lines.append(b"M 100755 inline %s\ndata %d\n%s" % (path, len(data), data))
            case data:
                lines.append(b"M 100644 inline %s\ndata %d\n%s" % (path, len(data), data))
    git(bare, "fast-import", "--quiet", "--force", stdin=b"\n".join(lines) + b"\n")
    commit = git(bare, "rev-parse", import_ref)
    git(bare, "update-ref", "-d", import_ref)
    git(bare, "update-ref", ref, commit)
    return commit


def _quoted(path: bytes) -> bytes:
    escaped = b"".join(
        b"\\%03o" % byte if byte < 0x20 or byte > 0x7E or byte in b'"\\' else bytes([byte]) for byte in path
    )
    return b'"' + escaped + b'"'
