"""Image references: the grammar, its traps, and what must never be taken for one another."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.image import (
    Digest,
    ImageReference,
    InvalidReference,
    PinnedImage,
    Platform,
    Repository,
    TaggedImage,
    parse_tag,
)

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


# --- the grammar --------------------------------------------------------------------------------------------------

GRAMMAR = [
    # text, registry, path, tag, digest
    ("nginx", "docker.io", "library/nginx", None, None),
    ("library/nginx", "docker.io", "library/nginx", None, None),
    ("docker.io/nginx", "docker.io", "library/nginx", None, None),
    ("docker.io/library/nginx", "docker.io", "library/nginx", None, None),
    ("index.docker.io/library/nginx", "docker.io", "library/nginx", None, None),
    ("index.docker.io/nginx:1.27", "docker.io", "library/nginx", "1.27", None),
    ("DOCKER.IO/nginx", "docker.io", "library/nginx", None, None),
    ("acme/api", "docker.io", "acme/api", None, None),
    ("acme/shop/api", "docker.io", "acme/shop/api", None, None),
    ("ghcr.io/acme/api:1.2.3", "ghcr.io", "acme/api", "1.2.3", None),
    ("GHCR.io/acme/api", "ghcr.io", "acme/api", None, None),
    ("LOCALHOST/api", "localhost", "api", None, None),
    ("localhost/api", "localhost", "api", None, None),
    ("localhost:5000/api", "localhost:5000", "api", None, None),
    ("localhost:5000", "docker.io", "library/localhost", "5000", None),  # without a slash it is a name and a tag
    ("registry:5000/api:5000", "registry:5000", "api", "5000", None),
    ("registry.example.com:443/a/b/c:v1", "registry.example.com:443", "a/b/c", "v1", None),
    ("127.0.0.1:5000/api", "127.0.0.1:5000", "api", None, None),
    ("[::1]:5000/api:1", "[::1]:5000", "api", "1", None),
    ("[2001:DB8::1]/api", "[2001:db8::1]", "api", None, None),
    (f"nginx@{DIGEST}", "docker.io", "library/nginx", None, DIGEST),
    (f"ghcr.io/acme/api:1.2@{DIGEST}", "ghcr.io", "acme/api", "1.2", DIGEST),
    (f"localhost:5000/api@{DIGEST}", "localhost:5000", "api", None, DIGEST),
    ("api:latest", "docker.io", "library/api", "latest", None),
    ("api:V1_2.3-RC.1", "docker.io", "library/api", "V1_2.3-RC.1", None),
    ("a__b/c.d_e--f", "docker.io", "a__b/c.d_e--f", None, None),
    ("api:" + "t" * 128, "docker.io", "library/api", "t" * 128, None),
]


@pytest.mark.parametrize(("text", "registry", "path", "tag", "digest"), GRAMMAR, ids=[row[0][:40] for row in GRAMMAR])
def test_a_reference_is_normalised(text: str, registry: str, path: str, tag: str | None, digest: str | None) -> None:
    reference = ImageReference.parse(text)
    assert (reference.repository.registry, reference.repository.path) == (registry, path)
    assert reference.tag == tag
    assert (str(reference.digest) if reference.digest else None) == digest


BROKEN = [
    "",
    " ",
    ":",
    "@",
    "/",
    ":tag",
    f"@{DIGEST}",
    "api:",
    "api@",
    "api:tag:tag",
    "api:.tag",
    "api:-tag",
    "api:" + "t" * 129,
    "api:tag\n",
    "api\n",
    "\napi",
    "api tag",
    "-api",
    "api-",
    "api..b",
    "a___b",
    "api/",
    "/api",
    "a//b",
    "Api",
    "acme/API",
    "ACME/api",  # a host in the distribution grammar; in lower case it would be docker.io/acme/api
    "ghcr.io/acme/Api",
    "ghcr.io/",
    "ghcr.io:/api",
    "ghcr.io:port/api",
    "ghcr.io:123456/api",
    "-ghcr.io/api",
    "ghcr.io-/api",
    "ghcr..io/api",
    ".ghcr.io/api",
    "[::1/api",
    "[::g]/api",
    "::1/api",
    "https://ghcr.io/acme/api",
    "user@ghcr.io/acme/api",
    "user:password@ghcr.io/acme/api",
    "api@sha256:" + "ab" * 31,
    "api@sha256:" + "AB" * 32,
    "api@sha512:" + "ab" * 64,
    f"api@{DIGEST}\n",
    f"api@{DIGEST}:tag",
    f"api@{DIGEST}@{DIGEST}",
    "api@" + "ab" * 32,
    "ab" * 32,  # 64 hex digits are an image id to an engine, never a name
    "\u0430pi",  # a Cyrillic a
    "ghcr.io/\u0430cme/api",
    "gh\u0441r.io/acme/api",  # a Cyrillic c
    "\u212ahcr.io/acme/api",  # KELVIN SIGN: its lower case is an ordinary k
    "\u212a8s.gcr.io/pause",
    "regi\u017ftry.example.com/api",  # LATIN SMALL LETTER LONG S: matches [a-z] when case is ignored
    "\u0131o.example.com/api",  # dotless i, likewise
    "api:\uff11",  # a full-width one
    "a" * 256,
    "x" * 100_000 + "!/api",
]


@pytest.mark.parametrize("text", BROKEN, ids=[ascii(text[:40]) for text in BROKEN])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        ImageReference.parse(text)


LOOKALIKES = [
    ("acme/api", "acme/api-worker"),
    ("acme/api", "notacme/api"),
    ("acme/api", "acme/ap"),
    ("acme/api", "acme/api/api"),
    ("acme/api", "ghcr.io/acme/api"),
    ("ghcr.io/acme/api", "ghcr.io:443/acme/api"),
    ("ghcr.io/acme/api", "ghcr.io.evil.example/acme/api"),
    ("ghcr.io/acme/api", "evil.example/ghcr.io/acme/api"),
    ("localhost/api", "localhost:5000/api"),
    ("nginx", "acme/nginx"),
    ("acme/api", "acme/a-pi"),
    ("acme/api_x", "acme/api-x"),
    ("acme/api_x", "acme/api__x"),
]


@pytest.mark.parametrize(("one", "other"), LOOKALIKES)
def test_lookalike_repositories_are_different(one: str, other: str) -> None:
    assert Repository.parse(one) != Repository.parse(other)


# --- properties ---------------------------------------------------------------------------------------------------

_label = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
_hosts = st.builds(
    lambda labels, port: ".".join(labels) + port,
    st.lists(_label, min_size=2, max_size=3),
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
)
_parts = st.builds(
    lambda first, rest: first + "".join(separator + word for separator, word in rest),
    _label,
    st.lists(st.tuples(st.sampled_from([".", "_", "__", "-", "---"]), _label), max_size=2),
)
_repositories = st.builds(
    lambda host, parts: "/".join([host, *parts]), _hosts, st.lists(_parts, min_size=1, max_size=3)
)
_tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(str.isascii)
_digests = st.binary(max_size=8).map(Digest.of)


@given(_repositories, st.none() | _tags, st.none() | _digests)
def test_a_reference_survives_being_written_and_read(repository: str, tag: str | None, digest: Digest | None) -> None:
    reference = ImageReference(Repository.parse(repository), tag, digest)
    assert ImageReference.parse(str(reference)) == reference


@given(st.text(max_size=60) | st.text("abzAZ09._-:/@[]", max_size=40))
def test_any_text_is_refused_or_normalised_once_and_for_all(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except InvalidReference:
        return
    again = ImageReference.parse(str(reference))
    assert again == reference
    assert str(again) == str(reference)
    assert str(reference).isascii()


@given(_repositories, _digests, st.none() | _tags)
def test_a_pinned_image_survives_being_written_and_read(repository: str, digest: Digest, tag: str | None) -> None:
    pinned = PinnedImage(Repository.parse(repository), digest, tag)
    assert PinnedImage.parse(str(pinned)) == pinned


# --- the types that carry the truth -------------------------------------------------------------------------------


def test_a_pinned_image_cannot_be_read_without_a_digest() -> None:
    with pytest.raises(InvalidReference, match="has no digest"):
        PinnedImage.parse("ghcr.io/acme/api:1.0")


def test_a_tagged_image_becomes_pinned_only_by_a_digest() -> None:
    pinned = TaggedImage(Repository.parse("ghcr.io/acme/api"), "1.0").pinned(Digest(DIGEST))
    assert str(pinned) == f"ghcr.io/acme/api:1.0@{DIGEST}"
    assert pinned.reference == ImageReference.parse(str(pinned))


@pytest.mark.parametrize("tag", ["", "-x", ".x", "a b", "a\n", "x" * 129, "ä"])
def test_neither_image_type_takes_a_broken_tag(tag: str) -> None:
    repository = Repository.parse("ghcr.io/acme/api")
    with pytest.raises(InvalidReference):
        parse_tag(tag)
    with pytest.raises(InvalidReference):
        TaggedImage(repository, tag)
    with pytest.raises(InvalidReference):
        PinnedImage(repository, Digest(DIGEST), tag)


@pytest.mark.parametrize("text", ["", "sha256:", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "md5:" + "a" * 32])
def test_a_broken_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="is not a digest"):
        Digest(text)


def test_a_digest_is_that_of_the_bytes() -> None:
    empty = Digest.of(b"")
    assert str(empty) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert empty.hex == str(empty)[7:]
    assert empty.short == "sha256:e3b0c44298fc"


@pytest.mark.parametrize(
    ("text", "parts"),
    [("linux/amd64", ("linux", "amd64", None)), ("linux/arm/v7", ("linux", "arm", "v7"))],
)
def test_a_platform_survives_being_read_and_written(text: str, parts: tuple[str, str, str | None]) -> None:
    platform = Platform.parse(text)
    assert (platform.os, platform.architecture, platform.variant) == parts
    assert str(platform) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "Linux/amd64", "linux/amd64\n"])
def test_a_broken_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference, match="is not a platform"):
        Platform.parse(text)


def test_an_upper_case_name_is_explained() -> None:
    with pytest.raises(InvalidReference) as caught:
        Repository.parse("ghcr.io/Acme/api")
    assert caught.value.hint == "repository names are lower case"


def test_the_error_of_a_reference_with_a_credential_does_not_repeat_it() -> None:
    for text in ("https://bot:canary-password@ghcr.io/acme/api", "bot:canary-password@ghcr.io/acme/api"):
        for parse in (ImageReference.parse, Repository.parse, PinnedImage.parse):
            with pytest.raises(InvalidReference) as caught:
                parse(text)
            said = f"{caught.value} {caught.value.where} {caught.value.hint} {caught.value.details}"
            assert "canary-password" not in said
