"""The build context: what goes to the engine, in docker's own semantics, and what stays at home."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.images.base import BuildSpec
from orchestrator.images.context import Context, plan_context

KEY = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return folder


def write(root: Path, *paths: str, text: str = "x") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def plan(root: Path, dockerfile: Path | None = None) -> Context:
    return plan_context(BuildSpec("api", root, dockerfile or root / "Dockerfile"))


def archive(context: Context) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(context.stream())))


def files(root: Path, dockerfile: Path | None = None) -> list[str]:
    """The files that are sent; folders left out for brevity."""
    with archive(plan(root, dockerfile)) as tar:
        return [member.name for member in tar if not member.isdir()]


def ignore(root: Path, *lines: str) -> None:
    (root / ".dockerignore").write_text("\n".join(lines) + "\n")


def test_content_and_modes_arrive(root: Path) -> None:
    write(root, "bin/run", text="#!/bin/sh\n")
    (root / "bin/run").chmod(0o755)
    with archive(plan(root)) as tar:
        member = tar.getmember("bin/run")
        assert (member.mode, member.uid, member.gid) == (0o755, 0, 0)
        extracted = tar.extractfile(member)
        assert extracted is not None
        assert extracted.read() == b"#!/bin/sh\n"
        assert tar.getmember("bin").isdir()


def test_the_order_is_stable(root: Path) -> None:
    write(root, "b", "a/z", "a/b", "c")
    assert files(root) == ["Dockerfile", "a/b", "a/z", "b", "c"]
    assert b"".join(plan(root).stream()) == b"".join(plan(root).stream())


def test_large_files_arrive_whole(root: Path) -> None:
    (root / "large").write_bytes(os.urandom(1_000_001))
    with archive(plan(root)) as tar:
        extracted = tar.extractfile("large")
        assert extracted is not None
        assert extracted.read() == (root / "large").read_bytes()


def test_long_and_foreign_names_arrive(root: Path) -> None:
    long = "/".join(["folder" * 10] * 5) + "/file"
    write(root, long, "grüße")
    (root / os.fsdecode(b"caf\xe9")).write_text("latin")
    names = files(root)
    assert long in names
    assert "grüße" in names
    assert os.fsdecode(b"caf\xe9") in names


def test_the_archive_begins_with_a_name_that_needs_no_second_header(root: Path) -> None:
    """Docker's client looks at 512 bytes to tell an archive on its stdin from a Dockerfile."""
    write(root, "A/" * 60 + "file", "Ä/Dockerfile", "Äpfel")
    for dockerfile in (root / "Dockerfile", root / "Ä/Dockerfile"):
        head = next(plan(root, dockerfile).stream())[:512]
        assert tarfile.TarInfo.frombuf(head, "utf-8", "strict").type in (tarfile.REGTYPE, tarfile.DIRTYPE), dockerfile


# --- .dockerignore -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["*.log"], ["a/b.log", "a/b.txt", "c.txt", "node_modules/m/i.js"]),
        (["**/*.log"], ["a/b.txt", "c.txt", "node_modules/m/i.js"]),
        (["node_modules"], ["a/b.log", "a/b.txt", "c.log", "c.txt"]),
        (["/node_modules/"], ["a/b.log", "a/b.txt", "c.log", "c.txt"]),
        (["./a/../c.*"], ["a/b.log", "a/b.txt", "node_modules/m/i.js"]),
        (["a/*", "!a/b.txt"], ["a/b.txt", "c.log", "c.txt", "node_modules/m/i.js"]),
        (["a", "!a/b.txt"], ["a/b.txt", "c.log", "c.txt", "node_modules/m/i.js"]),
        (["*", "!c.txt"], ["c.txt"]),
        (["!c.txt", "*"], []),
        (["# a remark", "", "  c.txt  "], ["a/b.log", "a/b.txt", "c.log", "node_modules/m/i.js"]),
        (["?.txt"], ["a/b.log", "a/b.txt", "c.log", "node_modules/m/i.js"]),
        (["[bc].txt"], ["a/b.log", "a/b.txt", "c.log", "node_modules/m/i.js"]),
        (["C.TXT"], ["a/b.log", "a/b.txt", "c.log", "c.txt", "node_modules/m/i.js"]),
        (["node_modules", "!node_modules/m/other.js"], ["a/b.log", "a/b.txt", "c.log", "c.txt"]),
        (["*", "!**/*.js"], ["node_modules/m/i.js"]),
        (["*", "!node_*/*/i.js"], ["node_modules/m/i.js"]),
        (["*", "!other_*/*/i.js"], []),
        (["*", "! a/*.txt"], ["a/b.txt"]),
        (["a\x0c.log", "c.log"], ["a/b.log", "a/b.txt", "c.txt", "node_modules/m/i.js"]),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(root: Path, lines: list[str], expected: list[str]) -> None:
    write(root, "a/b.log", "a/b.txt", "c.log", "c.txt", "node_modules/m/i.js")
    ignore(root, *lines)
    assert [name for name in files(root) if name not in ("Dockerfile", ".dockerignore")] == expected


def test_the_dockerfile_and_the_ignore_file_travel_even_when_ignored(root: Path) -> None:
    ignore(root, "*")
    assert sorted(files(root)) == [".dockerignore", "Dockerfile"]


def test_a_dockerfiles_own_ignore_file_comes_first(root: Path) -> None:
    write(root, "a", "b")
    ignore(root, "a")
    (root / "Dockerfile.dockerignore").write_text("b\n")
    assert "a" in files(root)
    assert "b" not in files(root)


@pytest.mark.parametrize("content", [b"\xff\xfea", b"[z-a]\n", b"!\n", b"x" * (1024 * 1024 + 1)])
def test_an_ignore_file_that_cannot_be_read_is_named(root: Path, content: bytes) -> None:
    (root / ".dockerignore").write_bytes(content)
    with pytest.raises(ConfigurationError):
        plan(root)


def test_an_ignore_file_may_begin_with_a_byte_order_mark(root: Path) -> None:
    write(root, "a")
    (root / ".dockerignore").write_bytes(b"\xef\xbb\xbfa\r\n")
    assert "a" not in files(root)


# --- what stays at home ------------------------------------------------------------------------------------------


def test_context_excludes_git_and_env(root: Path) -> None:
    write(root, ".git/config", "sub/.git/HEAD", ".env", "sub/.env", ".env.local", ".ssh/id_rsa", "id_ed25519", ".netrc")
    write(root, "tls/server.key", "ca.pem", text=KEY)
    assert files(root) == ["Dockerfile"]


def test_a_context_above_its_limit_says_what_is_large(root: Path) -> None:
    write(root, "node_modules/a/x", "node_modules/b", text="x" * 400_000)
    write(root, "dump.sql", text="x" * 600_000)
    write(root, "src/main.py", text="x")
    small = BuildSpec("api", root, root / "Dockerfile", context_limit=1_000_000)
    with pytest.raises(ConfigurationError, match=r"context of api is 1\.3 MiB, and its limit is 1\.0 MiB") as caught:
        plan_context(small)
    assert caught.value.details[:2] == ("0.8 MiB in node_modules/", "1 bytes in src/")
    assert caught.value.details[2:4] == ("0.6 MiB dump.sql", "0.4 MiB node_modules/a/x")
    assert ".dockerignore" in str(caught.value.hint)
    assert "context_limit" in str(caught.value.hint)
    ignore(root, "node_modules")
    assert "dump.sql" in plan_context(small).selection.paths


def test_what_a_link_leads_to_does_not_count(root: Path) -> None:
    write(root.parent, "large", text="x" * 10_000)
    (root / "link").symlink_to(root.parent / "large")
    assert plan_context(BuildSpec("api", root, root / "Dockerfile", context_limit=1_000)).selection.paths


def test_what_was_left_out_is_told(root: Path) -> None:
    write(root, ".git/config", ".env")
    write(root, "server.pem", text=KEY)
    assert plan(root).selection.left_out == (".env", ".git", "server.pem")


def test_what_the_ignore_file_names_is_not_told(root: Path) -> None:
    write(root, ".env", "mine")
    ignore(root, ".env", "mine")
    assert plan(root).selection.left_out == ()


def test_certificates_and_examples_are_sent(root: Path) -> None:
    write(root, "ca.pem", text=CERTIFICATE)
    write(root, ".env.example", "id_rsa.pub", ".gitignore", "gitconfig", "environment")
    assert set(files(root)) >= {"ca.pem", ".env.example", "id_rsa.pub", ".gitignore", "gitconfig", "environment"}


@pytest.mark.parametrize(
    ("line", "path"),
    [("!.env", ".env"), ("!.git", ".git/config"), ("!**/*.pem", "tls/key.pem"), ("!tls/key.pem", "tls/key.pem")],
)
def test_an_explicit_line_brings_it_back(root: Path, line: str, path: str) -> None:
    write(root, path, text=KEY)
    ignore(root, line)
    assert path in files(root)


@pytest.mark.parametrize("lines", [["*", "!src"], ["*", "!src/**"], ["*", "!*/"], ["*", "!**/*.json", "!src/*"]])
def test_a_line_that_says_what_is_wanted_at_all_brings_no_secret_back(root: Path, lines: list[str]) -> None:
    write(root, "src/app.py", "src/.env", "src/id_rsa", "src/.docker/config.json", ".git/HEAD")
    ignore(root, *lines)
    selection = plan(root).selection
    assert "src/app.py" in selection.paths
    assert {"src/.env", "src/id_rsa", "src/.docker/config.json", ".git/HEAD"}.isdisjoint(selection.paths)
    assert {"src/.env", "src/id_rsa", "src/.docker/config.json"} <= set(selection.left_out)


def test_one_file_of_a_folder_can_come_back_alone(root: Path) -> None:
    write(root, ".git/HEAD", ".git/config", ".git/objects/aa")
    ignore(root, "!.git/HEAD")
    assert [name for name in files(root) if name.startswith(".git/")] == [".git/HEAD"]


# --- links and oddities ------------------------------------------------------------------------------------------


def test_a_symlink_is_sent_as_one_and_never_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/secret", text="secret")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(".")
    raw = b"".join(plan(root).stream())
    assert b"secret" not in raw.replace(b"outside/secret", b"")
    with archive(plan(root)) as tar:
        assert {member.name for member in tar if member.issym()} == {"file", "folder", "loop"}
        assert tar.getmember("folder").linkname == str(tmp_path / "outside")


def test_sockets_and_pipes_are_left_out(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as opened:
        here = Path.cwd()
        os.chdir(root)  # a socket's path may only be short
        try:
            opened.bind("socket")
        finally:
            os.chdir(here)
    assert files(root) == ["Dockerfile"]


def test_a_file_swapped_for_a_symlink_while_sending_is_not_followed(root: Path, tmp_path: Path) -> None:
    write(root, "file", text="x" * 10)
    write(tmp_path, "outside", text="s" * 10)
    context = plan(root)
    real = Path.lstat(root / "file")
    (root / "file").unlink()
    (root / "file").symlink_to(tmp_path / "outside")

    class Swapped(type(root)):  # type: ignore[misc]
        def lstat(self) -> os.stat_result:
            return real if self.name == "file" else super().lstat()

    swapped = Context(Swapped(root), context.selection, context.dockerfile_name, context.dockerfile, context.extra)
    with pytest.raises(ConfigurationError):
        b"".join(swapped.stream())


def test_a_file_that_shrinks_while_it_is_sent_is_named(root: Path) -> None:
    (root / "a").write_bytes(bytes(700_000))
    stream = plan(root).stream()
    next(stream)
    os.truncate(root / "a", 300_000)
    with pytest.raises(ConfigurationError) as caught:
        b"".join(stream)
    assert caught.value.where == str(root / "a")


def test_a_file_that_grows_is_cut_at_its_announced_size(root: Path) -> None:
    (root / "a").write_bytes(bytes(700_000))
    stream = plan(root).stream()
    first = next(stream)
    with (root / "a").open("ab") as file:
        file.write(bytes(300_000))
    with tarfile.open(fileobj=io.BytesIO(first + b"".join(stream))) as tar:
        assert tar.getmember("a").size == 700_000


def test_a_file_that_vanishes_is_named(root: Path) -> None:
    write(root, "a")
    context = plan(root)
    (root / "a").unlink()
    with pytest.raises(ConfigurationError) as caught:
        b"".join(context.stream())
    assert caught.value.where == str(root / "a")


# --- the Dockerfile ----------------------------------------------------------------------------------------------


def test_a_dockerfile_elsewhere_in_the_context(root: Path) -> None:
    write(root, "docker/api.Dockerfile", text="FROM scratch\n")
    assert plan(root, root / "docker" / "api.Dockerfile").dockerfile_name == "docker/api.Dockerfile"


def test_a_dockerfile_outside_travels_under_a_name_that_the_engine_hides(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside.Dockerfile", text="FROM scratch\nCOPY . /\n")
    ignore(root, "ignored")
    context = plan(root, tmp_path / "outside.Dockerfile")
    with archive(context) as tar:
        extracted = tar.extractfile(context.dockerfile_name)
        assert extracted is not None
        assert extracted.read() == b"FROM scratch\nCOPY . /\n"
        hidden = tar.extractfile(".dockerignore")
        assert hidden is not None
        assert hidden.read().decode().split() == ["ignored", context.dockerfile_name]
    assert plan(root, tmp_path / "outside.Dockerfile").dockerfile_name == context.dockerfile_name


def test_a_dockerfile_outside_with_no_ignore_file_hides_both(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside.Dockerfile", text="FROM scratch\n")
    context = plan(root, tmp_path / "outside.Dockerfile")
    assert dict(context.extra)[".dockerignore"].decode().split() == [".dockerignore", context.dockerfile_name]


def test_a_dockerfile_that_is_a_symlink_out_of_the_context_is_refused(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "shadow", text="root:x")
    (root / "Dockerfile").unlink()
    (root / "Dockerfile").symlink_to(tmp_path / "shadow")
    with pytest.raises(ConfigurationError, match="symlink"):
        plan(root)


def test_a_dockerfile_that_is_a_symlink_inside_is_read(root: Path) -> None:
    (root / "Dockerfile.link").symlink_to("Dockerfile")
    assert plan(root, root / "Dockerfile.link").dockerfile == (root / "Dockerfile").read_bytes()


@pytest.mark.parametrize("kind", ["missing", "folder", "huge"])
def test_a_dockerfile_that_cannot_be_used_is_named(root: Path, kind: str) -> None:
    path = root / "Bad.Dockerfile"
    if kind == "folder":
        path.mkdir()
    if kind == "huge":
        path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError) as caught:
        plan(root, path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_context_that_is_no_folder_is_named(root: Path, kind: str) -> None:
    path = root / "elsewhere"
    if kind == "file":
        path.write_text("x")
    with pytest.raises(ConfigurationError) as caught:
        plan(path, root / "Dockerfile")
    assert caught.value.where == str(path)
