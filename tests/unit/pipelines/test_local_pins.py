"""Pins in local files: listed, set, checked, proven, and never half written."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict, Refused, WorkFailed
from orchestrator.core.image import ImageReference, Repository
from orchestrator.manifests.forms import name_of
from orchestrator.manifests.options import ScanOptions
from orchestrator.reports.diff import unified
from pipelines.local_arguments import NamedImage, parse_target, parse_value, split_arguments
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


def named(name: str, reference: str) -> NamedImage:
    return NamedImage(name, ImageReference.parse(reference), name_of(reference))


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
    assert failure.value.where == f"{tree} (5 files)"
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
        names=(named("app-placeholder", "ghcr.io/acme/next:2"),),
        values=(("resources[0]", "../../other"),),
    )
    set_images_in(request)
    assert (tree / "overlays/prod/kustomization.yaml").read_text() == (
        'resources:\n- ../../other\nimages:\n- name: app-placeholder\n  newName: ghcr.io/acme/next\n  newTag: "2" # c\n'
    )
    with pytest.raises(ConfigurationError, match="no pin of nothing"):
        set_images_in(Request((tree,), names=(named("nothing", str(API)),)))


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
    with pytest.raises(Conflict, match="somebody else"):
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
    assert asked.names == (named("app", "ghcr.io/acme/api:2"),)
    assert asked.values == (("a.b", "c"),)
    assert asked.paths == (Path("base"), Path("overlays"))


MISTAKES = {
    "no path": (["nginx:1"], [], "no file or folder is given"),
    "no image": (["base"], [], "no image is given"),
    "no tag": (["nginx", "base"], [], "'nginx' has neither a tag nor a digest"),
    "neither image nor path": (["nope"], [], "'nope' has neither a tag nor a digest, and there is no such file"),
    "a short digest": (["nginx:9@sha256:abc", "base"], [], "'sha256:abc' is not a digest"),
    "a digest of another kind": (["nginx@sha512:" + "ab" * 64, "base"], [], "is not a digest"),
    "a bad tag": (["nginx:-x", "base"], [], "'-x' is not an image tag"),
    "an empty tag": (["nginx:", "base"], [], "'' is not an image tag"),
    "upper case": (["ghcr.io/Acme/api:1", "base"], [], "is not an image repository"),
    "no name before the equals sign": (["=nginx:1", "base"], [], "no name stands before the '='"),
    "a name without an image": (["app=", "base"], [], "is not an image repository"),
    "a name without a tag": (["app=nginx", "base"], [], "'nginx' has neither a tag nor a digest"),
    "an image behind the paths": (["base", "nginx:1"], [], "there is no file or folder 'nginx:1'"),
    "a value without a place": (["base"], ["x"], "'x' is no PLACE=VALUE"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_on_the_command_line_is_told_with_its_place_and_its_fix(tree: Path, mistake: str) -> None:
    arguments, values, message = MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as failure:
        split_arguments(arguments, values, None)
    assert message in failure.value.message
    assert failure.value.where
    assert failure.value.hint


@pytest.mark.parametrize("missing", ["missing.yaml", "nope", "no/such/folder", "./x:1", "/x:1"])
def test_what_has_no_sign_of_an_image_behind_one_is_a_path(tree: Path, missing: str) -> None:
    assert split_arguments(["nginx:1", missing], [], None).paths == (Path(missing),)
    with pytest.raises(ConfigurationError, match="no such file or folder") as failure:
        find_files([Path(missing)], bool)
    assert failure.value.where == str(Path(missing))


def test_a_file_that_looks_like_an_image_is_a_file_where_it_is_there(tree: Path) -> None:
    (tree / "app:1").write_text("image: nginx:1\n")
    assert split_arguments(["nginx:2", "app:1"], [], None).paths == (Path("app:1"),)


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


def test_a_folder_that_cannot_be_read_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", denied)  # root may read everything
    with pytest.raises(ConfigurationError, match="the folder can't be read: Permission denied") as failure:
        find_files([tree], bool)
    assert failure.value.where == str(tree)


def test_a_pipe_is_no_manifest(tree: Path) -> None:
    os.mkfifo(tree / "pipe.yaml")
    with pytest.raises(ConfigurationError, match="neither a regular file nor a folder"):
        find_files([tree / "pipe.yaml"], bool)


def test_a_folder_that_takes_no_new_file_is_failed_work_and_names_the_file(tree: Path) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.mkstemp", full)
        with pytest.raises(WorkFailed, match="No space left") as failure:
            replace_file(tree / "base/deployment.yaml", b"new", BASE.encode())
    assert failure.value.where == str(tree / "base/deployment.yaml")
    assert (tree / "base/deployment.yaml").read_text() == BASE


def test_a_file_outside_the_current_folder_is_shown_by_its_full_path(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "here").mkdir()
    monkeypatch.chdir(tree / "here")
    result = set_images_in(Request((Path("../overlays/dev"),), (API,)), write=False)
    file = tree / "overlays/dev/kustomization.yaml"
    assert [str(edit.path) for edit in result.file_edits] == [str(file)]
    assert unified(result.file_edits).startswith(f"--- {file}\n+++ {file}\n@@")


def test_an_error_names_a_file_outside_by_its_full_path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "here").mkdir()
    monkeypatch.chdir(tree / "here")
    (tree / "twice.yaml").write_text("image: ghcr.io/acme/api:v1\nimage: ghcr.io/acme/api:v1\n")
    with pytest.raises(Refused) as failure:
        set_images_in(Request((tree / "twice.yaml",), (API,)))
    assert failure.value.where == f"{tree}/twice.yaml:2"


def test_files_inside_and_outside_with_the_same_tail_are_two_files(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tree / "base/deployment.yaml"
    here = tree / "here"
    inside = here / str(outside)[1:]
    inside.parent.mkdir(parents=True)
    inside.write_text("image: nginx:1\n")
    monkeypatch.chdir(here)
    result = set_images_in(Request((inside, outside), (ImageReference.parse("nginx:9"),)))
    assert [str(edit.path) for edit in result.file_edits] == [str(outside), str(outside)[1:]]
    assert inside.read_text() == "image: nginx:9\n"
    assert "nginx:9" in outside.read_text()


def test_a_target_matches_a_file_outside(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "here").mkdir()
    (tree / "values.yaml").write_text("image: {tag: v1}\n")
    monkeypatch.chdir(tree / "here")
    options = ScanOptions(targets=(parse_target(f"{tree}/values.yaml:image.tag=ghcr.io/acme/api"),))
    set_images_in(Request((tree,), (ImageReference.parse("ghcr.io/acme/api:v2"),), options=options))
    assert (tree / "values.yaml").read_text() == "image: {tag: v2}\n"


PLAIN = ImageReference.parse("ghcr.io/acme/api:v2")
BARE = "resources: [../../base]\n"


def bare(tree: Path, *folders: str) -> list[Path]:
    files = [tree / folder / "kustomization.yaml" for folder in folders]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(BARE)
    return files


def test_a_named_image_is_added_to_a_kustomization_that_is_named_by_path(tree: Path) -> None:
    (file,) = bare(tree, "overlays/qa")
    result = set_images_in(Request((file,), names=(named("app", "ghcr.io/acme/api:v2"),)))
    assert file.read_text() == f"{BARE}images:\n- name: app\n  newName: ghcr.io/acme/api\n  newTag: v2\n"
    assert [change.before for edit in result.edits for change in edit.changes] == [""]
    again = set_images_in(Request((file,), names=(named("app", "ghcr.io/acme/api:v2"),)))
    assert not again.changed


def test_two_named_images_are_added_one_behind_the_other(tree: Path) -> None:
    (file,) = bare(tree, "overlays/qa")
    set_images_in(Request((file,), names=(named("a", "a:v1"), named("b", "b:v2"))))
    assert file.read_text() == f"{BARE}images:\n- name: a\n  newTag: v1\n- name: b\n  newTag: v2\n"


def test_a_scan_over_a_folder_adds_nothing_by_itself(tree: Path) -> None:
    (file,) = bare(tree, "overlays/qa")
    with pytest.raises(ConfigurationError, match="no pin of app was found"):
        set_images_in(Request((file.parent,), names=(named("app", "ghcr.io/acme/api:v2"),)))
    assert file.read_text() == BARE


def test_a_plain_image_is_added_only_when_asked_for(tree: Path) -> None:
    (file,) = bare(tree, "overlays/qa")
    with pytest.raises(ConfigurationError, match="no pin of") as failure:
        set_images_in(Request((file,), (PLAIN,), spelled=("ghcr.io/acme/api",)))
    assert "--add" in (failure.value.hint or "")
    set_images_in(Request((file,), (PLAIN,), spelled=("ghcr.io/acme/api",), add=True))
    assert file.read_text() == f"{BARE}images:\n- name: ghcr.io/acme/api\n  newTag: v2\n"


def test_add_reaches_the_kustomization_of_a_named_folder_and_none_below(tree: Path) -> None:
    top, below = bare(tree, "overlays/qa", "overlays/qa/eu")
    set_images_in(Request((top.parent,), names=(named("app", "app:v2"),), add=True))
    assert top.read_text() == f"{BARE}images:\n- name: app\n  newTag: v2\n"
    assert below.read_text() == BARE


def test_add_sets_what_is_there_and_adds_what_is_not(tree: Path) -> None:
    (qa,) = bare(tree, "overlays/qa")
    prod = tree / "overlays/prod/kustomization.yaml"
    set_images_in(Request((qa, prod), (PLAIN,), spelled=("ghcr.io/acme/api",), add=True))
    assert prod.read_text() == OVERLAY.replace("v1", "v2")
    assert qa.read_text() == f"{BARE}images:\n- name: ghcr.io/acme/api\n  newTag: v2\n"


def test_nothing_is_added_to_a_file_that_is_no_kustomization(tree: Path) -> None:
    with pytest.raises(ConfigurationError, match="no pin of app"):
        set_images_in(Request((tree / "base/deployment.yaml",), names=(named("app", "app:v2"),), add=True))


LEFT = (
    "kind: Pod\napiVersion: v1\nspec:\n  containers:\n"
    "  - {name: a, image: 'ghcr.io/acme/api:v1'}\n"
    "  - {name: b, image: 'ghcr.io/acme/api:${TAG}'}\n"
    "  - {name: c, image: 'ghcr.io/acme/other:${TAG}'}\n"
    "  - {name: d, image: 'nginx:1', args: ['--worker=ghcr.io/acme/api:v1']}\n"
    "---\nkind: ConfigMap\napiVersion: v1\ndata:\n  x.yaml: |\n    image: ghcr.io/acme/api:v1\n"
)


def test_places_that_name_the_image_and_stay_as_they_are_are_told(tree: Path) -> None:
    (tree / "pod.yaml").write_text(LEFT)
    result = set_images_in(Request((tree / "pod.yaml",), (PLAIN,)))
    assert [(one.where, one.reason) for one in result.left] == [
        ("pod.yaml:6", "a template or variable fills this in later"),
        ("pod.yaml:8", "it stands in an argument; --arguments edits it"),
        ("pod.yaml:14", "it stands in a text; --embedded edits it"),
    ]


def test_what_was_asked_for_is_not_told_as_left(tree: Path) -> None:
    (tree / "pod.yaml").write_text(LEFT)
    request = Request((tree / "pod.yaml",), (PLAIN,), options=ScanOptions(arguments=True, embedded=True))
    assert [one.where for one in set_images_in(request).left] == ["pod.yaml:6"]
    only_a = Request((tree / "pod.yaml",), (PLAIN,), options=ScanOptions(containers=("a",)))
    assert [one.where for one in set_images_in(only_a).left] == ["pod.yaml:6"]


def test_a_template_that_names_the_image_is_told_and_one_that_does_not_is_not(tree: Path) -> None:
    (tree / "base/api.tpl").write_text("image: {{ if x }}ghcr.io/acme/api:v1\n")
    (tree / "base/web.tpl").write_text("image: {{ if x }}ghcr.io/acme/api-web:v1\n")
    assert [str(one.path) for one in set_images_in(Request((tree,), (PLAIN,))).left] == ["base/api.tpl"]


def test_an_entry_of_the_wanted_name_that_is_filled_in_later_is_told(tree: Path) -> None:
    (tree / "overlays/dev/kustomization.yaml").write_text("images:\n- name: app-placeholder\n  newTag: ${TAG}\n")
    result = set_images_in(Request((tree,), names=(named("app-placeholder", "ghcr.io/acme/api:v2"),)))
    assert [one.where for one in result.left] == ["overlays/dev/kustomization.yaml:3"]


@pytest.mark.parametrize(
    "manifest",
    [
        "a: {image: 'ghcr.io/acme/api:v1'}\nb: {image: 'ghcr.io/acme/api:${TAG}'}\n",
        "[{image: 'ghcr.io/acme/api:v1'}, {image: 'ghcr.io/acme/api:${TAG}'}]\n",
        "[&x {image: 'ghcr.io/acme/api:v1'}, *x, {image: 'ghcr.io/acme/api:${TAG}'}]\n",
        "a: {image: {repository: ghcr.io/acme/api, tag: v1}}\n"
        "b: {image: {repository: ghcr.io/acme/api, tag: '${TAG}'}}\n",
        "a:\n  image:\n    repository: ghcr.io/acme/api\n    tag: v1\nb: {image: 'ghcr.io/acme/api:${TAG}'}\n",
    ],
)
def test_however_near_it_stands_to_a_pin_what_is_left_is_told(tree: Path, manifest: str) -> None:
    (tree / "app.yaml").write_text(manifest)
    result = set_images_in(Request((tree / "app.yaml",), (PLAIN,)))
    assert result.changed
    assert len(result.left) == 1


def test_a_comment_that_names_the_image_is_not_left_over(tree: Path) -> None:
    (tree / "app.yaml").write_text("# ghcr.io/acme/api:v1\nimage: ghcr.io/acme/api:v1 # was ghcr.io/acme/api:v0\n")
    assert set_images_in(Request((tree / "app.yaml",), (PLAIN,))).left == ()
