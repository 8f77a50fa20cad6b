"""The content key: everything that decides a build changes it, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, Platform
from orchestrator.images.base import BuildSpec
from orchestrator.images.content_key import ContentKey, NoKey, content_key, is_key_tag, named_bases
from orchestrator.images.context import Context, plan_context
from orchestrator.images.ignore import Selection

AMD64 = Platform("linux", "amd64")
DOCKERFILE = "FROM debian:12\nCOPY . /app\n"
DEBIAN = {"debian:12": "sha256:" + "1" * 64}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "src").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "src" / "main.py").write_text("print('hello')\n")
    (folder / "src" / "data.bin").write_bytes(bytes(range(256)))
    (folder / "link").symlink_to("src/main.py")
    return folder


def key(
    root: Path,
    *,
    labels: dict[str, str] | None = None,
    platforms: tuple[Platform, ...] = (AMD64,),
    contents: dict[str, str] | None = None,
    spec_labels: dict[str, str] | None = None,
    **spec: object,
) -> ContentKey:
    made = BuildSpec("api", root, root / "Dockerfile", labels=spec_labels or {}, **spec)  # type: ignore[arg-type]
    return content_key(made, plan_context(made), labels or {}, platforms, DEBIAN if contents is None else contents)


def test_the_same_content_has_the_same_key(root: Path) -> None:
    assert key(root) == key(root)


def test_a_key_has_a_tag_that_is_known_again(root: Path) -> None:
    assert is_key_tag(key(root).tag)
    assert not is_key_tag("1.4.2")
    assert not is_key_tag("hybrid-ci-1")


def _becomes_a_link(root: Path) -> None:
    (root / "src/main.py").unlink()
    (root / "src/main.py").symlink_to("data.bin")


def _leads_elsewhere(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("src/data.bin")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file's content": lambda root: (root / "src/main.py").write_text("print('other')\n"),
    "a file's name": lambda root: (root / "src/main.py").rename(root / "src/other.py"),
    "a new file": lambda root: (root / "new").write_text(""),
    "a new empty folder": lambda root: (root / "empty").mkdir(),
    "a file's mode": lambda root: (root / "src/main.py").chmod(0o755),
    "a file that becomes a link": _becomes_a_link,
    "where a link leads": _leads_elsewhere,
    "the Dockerfile": lambda root: (root / "Dockerfile").write_text(DOCKERFILE + "RUN true\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_sent_decides_the_key(root: Path, change: Callable[[Path], object]) -> None:
    before = key(root)
    change(root)
    assert key(root) != before


@pytest.mark.parametrize(
    "other",
    [
        {"arguments": {"A": "1"}},
        {"target": "test"},
        {"labels": {"team": "shop"}},
        {"platforms": (Platform("linux", "arm64"),)},
        {"platforms": (AMD64, Platform("linux", "arm64"))},
        {"contents": {"debian:12": "sha256:" + "2" * 64}},
    ],
    ids=["arguments", "target", "labels", "platform", "platforms", "the base image"],
)
def test_how_it_is_built_decides_the_key(root: Path, other: dict[str, object]) -> None:
    assert key(root, **other) != key(root)  # type: ignore[arg-type]


def test_times_and_what_is_ignored_decide_nothing(root: Path) -> None:
    (root / ".dockerignore").write_text("notes\n")
    before = key(root)
    (root / "notes").write_text("not sent")
    os.utime(root / "src/main.py", (1, 1))
    assert key(root) == before


def test_labels_that_name_the_commit_decide_nothing(root: Path) -> None:
    assert key(root) == key(root, spec_labels={"org.opencontainers.image.revision": "abc"})


def test_a_dockerfile_from_elsewhere_counts_by_its_content(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "Dockerfile.other"
    elsewhere.write_text("FROM debian:12\n")
    made = BuildSpec("api", root, elsewhere)
    before = content_key(made, plan_context(made), {}, [AMD64], DEBIAN)
    elsewhere.write_text("FROM debian:12\nRUN true\n")
    assert content_key(made, plan_context(made), {}, [AMD64], DEBIAN) != before


def test_a_file_that_cannot_be_read_is_named(root: Path) -> None:
    made = BuildSpec("api", root, root / "Dockerfile")
    context = plan_context(made)
    (root / "src/main.py").unlink()
    with pytest.raises(ConfigurationError) as caught:
        content_key(made, context, {}, [AMD64], DEBIAN)
    assert caught.value.where == str(root / "src/main.py")


@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(min_size=1), st.text()))
def test_two_sets_of_arguments_never_share_a_key(one: dict[str, str], other: dict[str, str]) -> None:
    spec = BuildSpec("api", Path("/none"), Path("/none/Dockerfile"))
    context = _empty_context()
    keys = [
        content_key(BuildSpec(spec.name, spec.context, spec.dockerfile, arguments=given_), context, {}, [AMD64], {})
        for given_ in (one, other)
    ]
    assert (keys[0] == keys[1]) == (one == other)


def _empty_context() -> Context:
    return Context(Path("/none"), Selection((), ()), "Dockerfile", b"FROM scratch\n", ())


# --- bases -----------------------------------------------------------------------------------------------------------


def bases(text: str, **arguments: str) -> list[str]:
    return list(named_bases(text.encode(), arguments))


def test_every_image_that_a_build_takes_from_is_a_base() -> None:
    text = (
        "ARG TAG=12\nFROM golang:1.22 AS build\nRUN --mount=type=bind,from=ghcr.io/acme/tools:1,target=/t true\n"
        "FROM debian:${TAG}\nCOPY --from=build /a /a\nCOPY --from=ghcr.io/acme/assets:3 /b /b\nCOPY --from=0 /c /c\n"
    )
    assert bases(text) == ["golang:1.22", "ghcr.io/acme/tools:1", "debian:12", "ghcr.io/acme/assets:3"]
    assert bases(text, TAG="13")[2] == "debian:13"


def test_each_mount_of_a_run_is_a_base() -> None:
    text = "FROM a\nRUN --mount=from=b,target=/b \\\n  --mount=type=bind,target=/c,from=c true\n"
    assert bases(text) == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["FROM\tdebian:12\n", "\ufeffFROM debian:12\n", "from debi\\\nan:12\n"])
def test_a_base_is_found_however_it_is_written(text: str) -> None:
    assert bases(text) == ["debian:12"]


def test_a_script_in_a_here_document_names_no_base_and_hides_none() -> None:
    text = "FROM a\nRUN python3 - <<EOF\nfrom os import path\nFROM b AS c\nEOF\nCOPY --from=c /x /x\n"
    assert bases(text) == ["a", "c"]


@pytest.mark.parametrize(
    "line",
    [
        "# syntax=docker/dockerfile:1",
        "# syntax=docker.io/docker/dockerfile-upstream:master-labs",
        "ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://a.b/x /x",
        "ADD https.conf a@b /etc/",
    ],
)
def test_what_is_known_before_the_build_costs_no_key(line: str) -> None:
    assert bases(f"{line}\nFROM debian:12\n") == ["debian:12"]


def test_scratch_is_no_base() -> None:
    assert bases("FROM scratch\nCOPY a /a\n") == []


def test_a_base_is_known_by_its_reference() -> None:
    assert named_bases(b"FROM debian:12\n", {}) == {"debian:12": ImageReference.parse("debian:12")}


@pytest.mark.parametrize(
    "text",
    [
        "FROM $BASE\n",
        "FROM debian:$TAG\n",
        "FROM debian$TARGETVARIANT\n",
        "FROM debian:12\nADD https://example.com/x.tar /x\n",
        "FROM debian:12\nadd --chown=1:1 HTTPS://example.com/x.tar /x\n",
        'FROM debian:12\nADD ["a", "https://example.com/x.tar", "/x"]\n',
        "FROM debian:12\nADD --keep-git-dir=true git@example.com:acme/x.git /x\n",
        "FROM debian:12\nADD me@example.com:acme/x.git /x\n",
        "ARG URL=https://example.com/x\nFROM debian:12\nARG URL\nADD $URL /x\n",
        "FROM debian:12\nONBUILD ADD https://example.com/x.tar /x\n",
        "FROM debian:12\nADD --checksum=$SUM https://example.com/x.tar /x\n",
        "# syntax=ghcr.io/acme/frontend:1\nFROM debian:12\n",
    ],
)
def test_what_cannot_be_told_before_the_build_has_no_key(text: str) -> None:
    with pytest.raises(NoKey) as caught:
        bases(text)
    assert (caught.value.where or "").startswith("Dockerfile:")
