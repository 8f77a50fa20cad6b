"""Pins in local files: listed, set, checked, proven, and never half written."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import ImageReference, Repository
from orchestrator.manifests.options import ScanOptions
from pipelines.local_arguments import parse_target, parse_value, split_arguments
from pipelines.local_files import find_files, replace_file
from pipelines.local_pins import Request, list_pins, set_images_in

DIGEST = "sha256:" + "ab" * 32
API = ImageReference.parse(f"ghcr.io/acme/api:1.10@{DIGEST}")
BASE = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n      containers:\n"
    "      - {name: api, image: app-placeholder}\n      - {name: side, image: 'nginx:1.2'}\n"
)
OVERLAY = "resources:\n- ../../base\nimages:\n- name: app-placeholder\n  newName: ghcr.io/acme/api\n  newTag: v1 # c\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base and two overlays; the current folder is their root."""
    for name, text in {
        "base/deployment.yaml": BASE,
        "base/kustomization.yaml": "resources: [deployment.yaml]\n",
        "overlays/dev/kustomization.yaml": OVERLAY,
        "overlays/prod/kustomization.yaml": OVERLAY,
        ".git/image.yaml": "image: ghcr.io/acme/api:hidden\n",
        "README.md": "image: ghcr.io/acme/api:v1\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(tree: Path) -> dict[str, bytes]:
    return {str(file.relative_to(tree)): file.read_bytes() for file in tree.rglob("*") if file.is_file()}


def test_pins_of_a_folder_are_listed_by_file(tree: Path) -> None:
    found = list_pins([Path()], ScanOptions())
    assert [(str(pin.path), pin.line, pin.text) for pin in found.pins] == [
        ("base/deployment.yaml", 8, "app-placeholder"),
        ("base/deployment.yaml", 9, "nginx:1.2"),
        ("overlays/dev/kustomization.yaml", 6, "ghcr.io/acme/api:v1"),
        ("overlays/prod/kustomization.yaml", 6, "ghcr.io/acme/api:v1"),
    ]
    assert found.files == 4


def test_pins_of_one_image_are_listed_alone(tree: Path) -> None:
    assert len(list_pins([tree], ScanOptions(), [Repository.parse("nginx")]).pins) == 1


def test_several_processes_find_the_same_as_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        (tree / f"extra-{number}.yaml").write_text(f"image: acme/x:{number}\n")
    alone = list_pins([tree], ScanOptions(), workers=1)
    monkeypatch.setattr("pipelines.local_pins._PARALLEL_FROM", 10)
    assert list_pins([tree], ScanOptions(), workers=2) == alone


def test_an_image_is_set_in_every_file_below_a_folder(tree: Path) -> None:
    before = contents(tree)
    result = set_images_in(Request((Path("overlays"),), (API,)))
    assert [str(edit.path) for edit in result.file_edits] == [
        "overlays/dev/kustomization.yaml",
        "overlays/prod/kustomization.yaml",
    ]
    expected = OVERLAY.replace("newTag: v1 # c\n", f'newTag: "1.10" # c\n  digest: {DIGEST}\n').encode()
    assert contents(tree) == before | {str(edit.path): expected for edit in result.file_edits}
    assert not set_images_in(Request((Path("overlays"),), (API,))).changed


def test_a_dry_run_writes_nothing(tree: Path) -> None:
    before = contents(tree)
    assert set_images_in(Request((tree,), (API,)), write=False).changed
    assert contents(tree) == before


def test_an_image_that_is_nowhere_is_an_error_that_says_what_is_there(tree: Path) -> None:
    (tree / "values.yaml").write_text("api: {image: {tag: v1}} # acme/missing\n")
    with pytest.raises(ConfigurationError, match=r"no pin of ghcr.io/acme/missing was found") as failure:
        set_images_in(Request((tree,), (ImageReference.parse("ghcr.io/acme/missing:1"), API)))
    assert failure.value.where == "5 files"
    assert any("only the tag stands here" in line for line in failure.value.details)


def test_one_refused_file_leaves_all_files_as_they_were(tree: Path) -> None:
    (tree / "z.yaml").write_text("image: ghcr.io/acme/api:v1\nimage: ghcr.io/acme/api:v1\n")
    before = contents(tree)
    with pytest.raises(Refused, match="stands twice"):
        set_images_in(Request((tree,), (API,)))
    assert contents(tree) == before


def test_a_broken_file_elsewhere_does_not_stop_a_sound_one(tree: Path) -> None:
    (tree / "broken.yaml").write_text("api: [acme\n")
    assert set_images_in(Request((tree,), (API,))).changed


def test_a_named_entry_is_renamed_and_a_value_is_set_in_the_same_run(tree: Path) -> None:
    request = Request(
        (tree / "overlays/prod/kustomization.yaml",),
        names=(("app-placeholder", ImageReference.parse("ghcr.io/acme/next:2")),),
        values=(("resources[0]", "../../other"),),
    )
    set_images_in(request)
    assert (tree / "overlays/prod/kustomization.yaml").read_text() == (
        'resources:\n- ../../other\nimages:\n- name: app-placeholder\n  newName: ghcr.io/acme/next\n  newTag: "2" # c\n'
    )
    with pytest.raises(ConfigurationError, match="no pin of nothing"):
        set_images_in(Request((tree,), names=(("nothing", API),)))


def test_a_target_file_without_suffix_is_found_and_keeps_its_one_line(tree: Path) -> None:
    (tree / "image-tags/prod").mkdir(parents=True)
    (tree / "image-tags/prod/api").write_bytes(b"v1\r\n")
    options = ScanOptions(targets=(parse_target("image-tags/prod/*:.=ghcr.io/acme/api"),))
    set_images_in(Request((tree / "image-tags",), (ImageReference.parse("ghcr.io/acme/api:1.10"),), options=options))
    assert (tree / "image-tags/prod/api").read_bytes() == b"1.10\r\n"


def test_a_symbolic_link_is_refused_by_name_and_not_followed_in_a_folder(tree: Path) -> None:
    (tree / "outside.yaml").symlink_to(tree / "README.md")
    (tree / "linked").symlink_to(tree / "base")
    assert list_pins([tree], ScanOptions()).files == 4
    with pytest.raises(ConfigurationError, match="symbolic link"):
        set_images_in(Request((tree / "outside.yaml",), (API,)))
    with pytest.raises(ConfigurationError, match="no such file"):
        find_files([tree / "missing"], bool)


def test_a_file_keeps_its_mode_and_is_replaced_only_when_it_is_what_was_read(tree: Path) -> None:
    file = tree / "base/deployment.yaml"
    file.chmod(0o640)
    replace_file(file, b"new", BASE.encode())
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o640)
    with pytest.raises(ConfigurationError, match="somebody else"):
        replace_file(file, b"newer", BASE.encode())
    assert sorted(one.name for one in file.parent.iterdir()) == ["deployment.yaml", "kustomization.yaml"]


needs_renderer = pytest.mark.skipif(
    not (shutil.which("kubectl") or shutil.which("kustomize")), reason="NO RENDERER: neither kubectl nor kustomize"
)


@needs_renderer
def test_an_edit_is_proven_by_rendering(tree: Path) -> None:
    result = set_images_in(Request((Path("overlays"),), (API,), prove=True))
    assert len(result.file_edits) == 2


@needs_renderer
def test_an_edit_that_renders_something_else_is_refused_and_nothing_is_written(tree: Path) -> None:
    renamed_again = "- name: ghcr.io/acme/api\n  newName: quay.io/mirror/api\n"
    (tree / "overlays/prod/kustomization.yaml").write_text(OVERLAY + renamed_again)
    before = contents(tree)
    with pytest.raises(Refused, match="rendered") as failure:
        set_images_in(Request((tree / "overlays/prod",), (API,), prove=True))
    assert any("quay.io/mirror/api" in line for line in failure.value.details)
    assert contents(tree) == before


def test_a_proof_by_rendering_needs_something_to_render(tree: Path) -> None:
    (tree / "alone").mkdir()
    (tree / "alone/app.yaml").write_text("image: ghcr.io/acme/api:1\n")
    with pytest.raises(ConfigurationError, match=r"nothing can be rendered|neither kustomize nor kubectl"):
        set_images_in(Request((tree / "alone",), (API,), prove=True))


def test_arguments_are_told_apart(tree: Path) -> None:
    asked = split_arguments([str(API), "app=ghcr.io/acme/api:2", "base", "overlays"], ["a.b=c"], None)
    assert asked.images == (API,)
    assert asked.names == (("app", ImageReference.parse("ghcr.io/acme/api:2")),)
    assert asked.values == (("a.b", "c"),)
    assert asked.paths == (Path("base"), Path("overlays"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nginx:1"], "no file or folder"),
        (["base"], "no image"),
        (["nginx", "base"], "neither a tag nor a digest"),
        (["nginx:1", "missing.yaml"], ""),
    ],
)
def test_what_is_missing_on_the_command_line_is_said(tree: Path, arguments: list[str], message: str) -> None:
    if message:
        with pytest.raises(ConfigurationError, match=message):
            split_arguments(arguments, [], None)
    else:
        assert split_arguments(arguments, [], None).paths == (Path("missing.yaml"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=c=d", ("a.b", "c=d")),
        ("containers[name=api].image=x", ("containers[name=api].image", "x")),
        ('["a=b"]=', ('["a=b"]', "")),
    ],
)
def test_a_place_may_hold_an_equals_sign_in_brackets(text: str, expected: tuple[str, str]) -> None:
    assert parse_value(text) == expected


def test_a_malformed_value_or_target_is_an_error() -> None:
    with pytest.raises(ConfigurationError):
        parse_value("a.b")
    with pytest.raises(ConfigurationError):
        parse_target("a.b=c")
    with pytest.raises(ConfigurationError, match="no proof by 'magic'"):
        split_arguments(["nginx:1", "."], [], "magic")
