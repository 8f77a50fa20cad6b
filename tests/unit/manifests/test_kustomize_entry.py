"""A missing entry of ``images:`` is added in the layout of the file, and nothing else moves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.forms import name_of
from orchestrator.manifests.kustomize_entry import add_image, is_kustomization
from orchestrator.manifests.pins import ScanOptions, set_image

FILE = RepoPath("overlays/prod/kustomization.yaml")
DIGEST = "sha256:" + "ab" * 32


def add(content: str, name: str = "app", reference: str = "ghcr.io/acme/api:1.10") -> str:
    image = ImageReference.parse(reference)
    return add_image(FILE, content.encode(), name, image, name_of(reference)).after.decode()


ENTRY = '- name: app\n  newName: ghcr.io/acme/api\n  newTag: "1.10"\n'
INDENTED = '  - name: app\n    newName: ghcr.io/acme/api\n    newTag: "1.10"\n'
FLOW = '{name: app, newName: ghcr.io/acme/api, newTag: "1.10"}'
JSON = '{"name": "app", "newName": "ghcr.io/acme/api", "newTag": "1.10"}'

LAYOUTS = {
    "no list": ("resources:\n- a\n", f"resources:\n- a\nimages:\n{ENTRY}"),
    "no list, others indented": ("resources:\n  - a # b\n", f"resources:\n  - a # b\nimages:\n{INDENTED}"),
    "no list, comments at the end": ("resources: [a]\n\n# end\n", f"resources: [a]\n\n# end\nimages:\n{ENTRY}"),
    "no list, no final newline": ("resources: [a]", f"resources: [a]\nimages:\n{ENTRY}"[:-1]),
    "no list, CRLF": ("resources: [a]\r\n", f"resources: [a]\nimages:\n{ENTRY}".replace("\n", "\r\n")),
    "no list, BOM": ("\ufeffresources: [a]\n", f"\ufeffresources: [a]\nimages:\n{ENTRY}"),
    "no list, marks of a document": ("---\nresources: [a]\n...\n", f"---\nresources: [a]\nimages:\n{ENTRY}...\n"),
    "no list, a kept block text": ("namePrefix: |+\n  a\n\n", f"namePrefix: |+\n  a\n\nimages:\n{ENTRY}"),
    "an empty list": ("images: []\nresources: [a]\n", f"images:\n{ENTRY}resources: [a]\n"),
    "an empty list with a comment": (
        "images: [] # none\nresources:\n  - a\n",
        f"images: # none\n{INDENTED}resources:\n  - a\n",
    ),
    "an empty list over two lines": ("images: [\n]\n", f"images: [\n{FLOW}]\n"),
    "an empty list with an anchor": ("images: &none []\n", f"images: &none [{FLOW}]\n"),
    "a key without a value": ("images:\nresources: [a]\n", f"images:\n{ENTRY}resources: [a]\n"),
    "a key with a comment": ("images: # c\n# d\nresources: [a]\n", f"images: # c\n{ENTRY}# d\nresources: [a]\n"),
    "null": ("images: null # c\n", f"images: # c\n{ENTRY}"),
    "a block list": ("images:\n- name: b\n  newTag: v1\n", f"images:\n- name: b\n  newTag: v1\n{ENTRY}"),
    "a block list before other keys": (
        "images:\n- name: b\n  newTag: v1 # keep\n\n# next\nresources: [a]\n",
        f"images:\n- name: b\n  newTag: v1 # keep\n{ENTRY}\n# next\nresources: [a]\n",
    ),
    "a block list, indented, no final newline": (
        "images:\n  - name: b\n    newTag: v1",
        f"images:\n  - name: b\n    newTag: v1\n{INDENTED}"[:-1],
    ),
    "a block list with wide dashes": (
        "images:\n-   name: b\n    newTag: v1\n",
        'images:\n-   name: b\n    newTag: v1\n-   name: app\n    newName: ghcr.io/acme/api\n    newTag: "1.10"\n',
    ),
    "a block list with quoted keys": (
        '"images":\n- "name": "b"\n  "newTag": "v1"\n',
        '"images":\n- "name": "b"\n  "newTag": "v1"\n'
        '- "name": "app"\n  "newName": "ghcr.io/acme/api"\n  "newTag": "1.10"\n',
    ),
    "flow entries in a block list": (
        "images:\n- { name: b, newTag: v1 }\n",
        'images:\n- { name: b, newTag: v1 }\n- { name: app, newName: ghcr.io/acme/api, newTag: "1.10" }\n',
    ),
    "a flow list": ("images: [{name: b, newTag: v1}]\n", f"images: [{{name: b, newTag: v1}}, {FLOW}]\n"),
    "a flow list over lines": (
        "images: [\n  {name: b, newTag: v1},\n  {name: c, newTag: v1}, # last\n]\n",
        f"images: [\n  {{name: b, newTag: v1}},\n  {{name: c, newTag: v1}},\n  {FLOW}, # last\n]\n",
    ),
    "JSON": ('{"resources": ["a"]}\n', f'{{"resources": ["a"], "images": [{JSON}]}}\n'),
    "JSON over lines": (
        '{\n  "images": [\n    {"name": "b"}\n  ]\n}\n',
        f'{{\n  "images": [\n    {{"name": "b"}},\n    {JSON}\n  ]\n}}\n',
    ),
    "JSON, an empty list": ('{"images": []}', f'{{"images": [{JSON}]}}'),
    "JSON, null": ('{"images": null}', f'{{"images": [{JSON}]}}'),
    "an empty mapping": ("{ }\n", f"{{ images: [{FLOW}]}}\n"),
    "an alias behind the last entry's tag": (
        "images:\n- name: b\n  newTag: &t v1\n- newTag: *t\n  name: c\n",
        f"images:\n- name: b\n  newTag: &t v1\n- newTag: *t\n  name: c\n{ENTRY}",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_entry_is_added_in_the_layout_of_the_file(layout: str) -> None:
    before, after = LAYOUTS[layout]
    assert add(before) == after


def entries(text: str) -> Iterator[dict[str, str]]:
    yield from yaml.safe_load(text.removeprefix("\ufeff")).get("images") or []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_parser_reads_the_old_entries_and_the_new_one(layout: str) -> None:
    before, _ = LAYOUTS[layout]
    new = {"name": "app", "newName": "ghcr.io/acme/api", "newTag": "1.10", "digest": DIGEST}
    after = add(before, reference=f"ghcr.io/acme/api:1.10@{DIGEST}")
    assert list(entries(after)) == [*entries(before), new]
    rest = {key: value for key, value in yaml.safe_load(after.removeprefix("\ufeff")).items() if key != "images"}
    assert rest == {k: v for k, v in yaml.safe_load(before.removeprefix("\ufeff")).items() if k != "images"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_character_goes_but_those_of_an_empty_list(layout: str) -> None:
    before, _ = LAYOUTS[layout]
    following = iter(add(before))
    kept = re.sub(r" (?:\[\]|null)", "", before)
    assert all(character in following for character in kept)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_added_entry_is_a_pin_like_any_other(layout: str) -> None:
    before, _ = LAYOUTS[layout]
    after = add(before).encode()
    image = ImageReference.parse("ghcr.io/acme/api:1.10")
    edit = set_image(FILE, after, image, ScanOptions(names=("app",)))
    assert (len(edit.pins), edit.changed) == (1, False)


@pytest.mark.parametrize(
    ("name", "reference", "entry"),
    [
        ("nginx", "nginx:1.25", '- name: nginx\n  newTag: "1.25"\n'),
        ("nginx", "docker.io/library/nginx:v1", "- name: nginx\n  newTag: v1\n"),
        ("app", "nginx:v1", "- name: app\n  newName: nginx\n  newTag: v1\n"),
        ("app", f"app@{DIGEST}", f"- name: app\n  digest: {DIGEST}\n"),
        ("localhost:5000/x", "localhost:5000/x:v1", "- name: localhost:5000/x\n  newTag: v1\n"),
        ("a: b # c", "nginx:v1", '- name: "a: b # c"\n  newName: nginx\n  newTag: v1\n'),
        ("1.0", "nginx:v1", '- name: "1.0"\n  newName: nginx\n  newTag: v1\n'),
    ],
)
def test_the_entry_says_what_is_wanted_and_no_more(name: str, reference: str, entry: str) -> None:
    assert add("resources: []\n", name, reference) == f"resources: []\nimages:\n{entry}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("images: text\n", "not a list"),
        ("images: {a: b}\n", "not a list"),
        ("x: &x []\nimages: *x\n", "alias"),
        ("images: &x []\ny: *x\n", "alias"),
        ("images: []\nimages: []\n", "twice"),
        ("<<: {images: []}\n", "merge key"),
        ("images: [ # none\n]\n", "comment"),
        ("images:\n-\n  name: b\n  newTag: v1\n", "unusual"),
        ("images:\n- name: b\n  newTag: |\n    v1\n", "several lines"),
        ("images:\n- name: b\n  newTag:\n", "none"),
        ("namePrefix: |\n  a", "could not be proven"),
        ("resources: []\nsops: {mac: x, lastmodified: y}\n", "encrypted"),
    ],
)
def test_what_would_be_a_guess_is_refused(content: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as failure:
        add(content)
    assert failure.value.where == str(FILE)


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n", "kind: Pod\napiVersion: v1\n", "a: [\n", "a: {{ b\n"])
def test_what_is_no_kustomization_gets_no_entry(content: str) -> None:
    with pytest.raises(ConfigurationError):
        add(content)


def test_a_kustomization_is_known_by_its_name_or_its_kind() -> None:
    component = b"apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    assert is_kustomization(FILE, b"")
    assert is_kustomization(RepoPath("-"), component)
    assert not is_kustomization(RepoPath("-"), b"resources: []\n")
    assert not is_kustomization(RepoPath("-"), component + b"a: [\n")
    assert add_image(RepoPath("x"), component, "a", ImageReference.parse("a:v1"), "a").after == (
        component + b"images:\n- name: a\n  newTag: v1\n"
    )
