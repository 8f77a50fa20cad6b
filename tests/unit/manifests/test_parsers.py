"""The ways to read a text: libyaml, PyYAML's own parser, JSON; and the spelling of scalars."""

from __future__ import annotations

import pytest
import yaml

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.names import RepoPath
from orchestrator.manifests.document import Unreadable, load
from orchestrator.manifests.json_tree import parse_json
from orchestrator.manifests.options import DEFAULT
from orchestrator.manifests.pins import set_images
from orchestrator.manifests.proof import NotProven, prove, prove_bytes
from orchestrator.manifests.scalars import double_quoted, looks_typed, plain_is_safe
from orchestrator.manifests.steps import Splice, apply, insert, write
from orchestrator.manifests.tree import Broken, Mapping, Scalar, parse, walk
from orchestrator.manifests.values import set_value
from tests.unit.manifests.test_golden import CASES
from tests.unit.manifests.test_golden import load as load_case

# PyYAML's own parser refuses a tab before a comment, which libyaml reads: then the file is reported, not edited.
WITHOUT_TABS = [name for name in CASES if load_case(name).error is None and name != "kubernetes-crlf-bom"]


@pytest.mark.parametrize("name", WITHOUT_TABS)
def test_without_libyaml_the_edits_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    case = load_case(name)
    assert set_images(case.path, case.before, case.images, case.options).after == case.after_file.read_bytes()


def test_repeated_anchors_are_read_and_an_alias_means_the_latest() -> None:
    root = parse("a: &x 1\nb: *x\nc: &x 2\nd: *x\n", 10, 100).roots[0]
    aliases = {node.start: node.target for node in walk(root) if type(node).__name__ == "Alias"}  # type: ignore[union-attr]
    assert [target.value for target in aliases.values() if isinstance(target, Scalar)] == ["1", "2"]


def test_positions_are_characters_and_not_bytes() -> None:
    text = "é😀: '\u2028'\nimage: ü/x:1\n"
    scalars = [node for root in parse(text, 10, 100).roots for node in walk(root) if isinstance(node, Scalar)]
    assert [text[node.start : node.end] for node in scalars] == ["é😀", "'\u2028'", "image", "ü/x:1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        "{1: 2}",
        '{"a" 1}',
        '{"a": 1,}',
        "[1 2]",
        "1 2",
        "]",
        "nul",
        '"a\n"',
        "{}}",
        '{"a"}',
        "[,]",
        '"\\x"',
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Broken):
        parse_json(text, 10, 100)


def test_json_is_read_with_every_escape_and_blank() -> None:
    text = '\t{ "a\\ud83d\\ude00" :\r\n[ 1.5e3 , true , null, "\\/" ] , "b":{} }\n'
    root = parse_json(text, 10, 100).roots[0]
    values = [node.value for node in walk(root) if isinstance(node, Scalar)]
    assert values == ["a😀", "1.5e3", "true", "null", "/", "b"]


def test_json_with_comments_is_read_as_yaml() -> None:
    document = load(b'{"a": 1, # why\n "image": "a/b:1",}', DEFAULT, json=True)
    assert not document.json
    assert isinstance(document.roots[0], Mapping)


@pytest.mark.parametrize(
    "text",
    ["1", "1.10", "0123", "0x1f", "0o17", "0b11", "1_000", "1e3", "12e4567", ".5", "1:30", "190:20:30", "2026-11-22",
     "2001-12-14t21:59:43.10-05:00", "yes", "No", "ON", "true", "~", "null", "", ".inf", "-.INF", ".NaN", "=", "<<",
     "+1"],
)  # fmt: skip
def test_what_some_reader_takes_for_something_else_gets_quotes(text: str) -> None:
    assert looks_typed(text)
    assert not plain_is_safe(text)


@pytest.mark.parametrize(
    "text", ["v1", "1.2.3", "latest", "1.0-rc.1", "7@sha256:ab", "a/b:1.0", "1.2.x", "e1", "sha256:00", "4.48.*"]
)
def test_what_every_reader_takes_for_a_string_needs_none(text: str) -> None:
    assert plain_is_safe(text)


@pytest.mark.parametrize(
    "text", ["a: b", "a #b", "a:", "- a", "[a", "a, b", "{a", "'a", "a\nb", "*a", "&a", "!a", "%a", "@a", "a "]
)
def test_what_means_something_in_yaml_needs_quotes(text: str) -> None:
    assert not plain_is_safe(text)


def test_double_quotes_are_read_alike_by_yaml_and_json() -> None:
    text = 'a"b\\c\nd\u2028é'
    assert yaml.safe_load(double_quoted(text)) == text


def read(text: str) -> tuple[list[object], Mapping]:
    found = parse(text, 100, 10_000)
    root = found.roots[0]
    assert isinstance(root, Mapping)
    return found.order, root  # type: ignore[return-value]  # the tokens are what the proof takes


@pytest.mark.parametrize(
    "after",
    [
        "a: 1\nb: &x y\nc: [*x]\n",  # another value
        "a: '2'\nb: &x y\nc: [*x]\n",  # other quotes
        "a: 2\nb: &x y\nc: [*x]\nd: e\n",  # a key more
        "a: 2\nb: &x y\n",  # a key less
        "a: 2\nb: &x y\nc: [*x, *x]\n",  # an item more
        "a: 2\nb: &z y\nc: [*z]\n",  # another anchor
        "a: 2\nb: !t y\nc: [y]\n",  # a tag
        "a: 2\nb: &x y\nc:\n- *x\n",  # another style
        "a: 2\nb: &x y\nc: {x: *x}\n",  # another kind
        "a: 2\nb: &x y\nc: [*x]\n--- z\n",  # a document more
    ],
)
def test_the_proof_sees_every_other_difference(after: str) -> None:
    before = "a: 1\nb: &x y\nc: [*x]\n"
    order, root = read(before)
    value = root.get("a")
    assert isinstance(value, Scalar)
    steps = write(before, value, "2", typed=True)
    prove(order, "a: 2\nb: &x y\nc: [*x]\n", steps)  # type: ignore[arg-type]
    with pytest.raises(NotProven):
        prove(order, after, steps)  # type: ignore[arg-type]


def test_the_proof_sees_an_insertion_that_is_not_there_or_is_no_string() -> None:
    before = "a: {b: c, d: e}\n"
    order, root = read(before)
    inner = root.get("a")
    assert isinstance(inner, Mapping)
    key = inner.key_of(inner.pairs[0][1])
    assert key is not None
    steps = [insert(before, inner, key, "x", "1")]
    prove(order, 'a: {b: c, x: "1", d: e}\n', steps)  # type: ignore[arg-type]
    for after in ("a: {b: c, x: 1, d: e}\n", before, "a: {b: c, d: e, x: '1'}\n", "a: {b: c, x: '2', d: e}\n"):
        with pytest.raises(NotProven):
            prove(order, after, steps)  # type: ignore[arg-type]


def test_the_bytes_outside_the_splices_are_compared() -> None:
    splices = [Splice(2, 3, "xyz")]
    assert apply("abcde", splices) == "abxyzde"
    prove_bytes("abcde", "abxyzde", splices)
    for after in ("Abxyzde", "abxyzdE", "abxyzd"):
        with pytest.raises(NotProven):
            prove_bytes("abcde", after, splices)


def test_a_lock_file_is_never_changed() -> None:
    content = b"dependencies:\n- {name: redis, image: 'acme/api:1'}\n"
    case = load_case("kubernetes-set-tag")
    assert set_images(RepoPath("Chart.lock"), content, case.images).after == content
    with pytest.raises(Refused, match="lock files"):
        set_value(RepoPath("Chart.lock"), content, "dependencies[0].name", "x")


def test_a_value_in_a_broken_file_is_an_error_with_its_place() -> None:
    with pytest.raises(ConfigurationError) as failure:
        set_value(RepoPath("a.yaml"), b"a: 1\n b: c: d\n", "a", "2")
    assert failure.value.where is not None
    assert failure.value.where.startswith("a.yaml:2:")
    with pytest.raises(Unreadable):
        load(b"a: [", DEFAULT)
