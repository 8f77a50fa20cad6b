"""``hybrid-ci pins`` and ``hybrid-ci set-image`` as people call them."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import pins as pins_command
from orchestrator.cli import set_image as set_image_command
from orchestrator.core.errors import ConfigurationError, Refused
from tests.unit.cli.conftest import Cli, run_apart, start

MANIFEST = "image: ghcr.io/acme/api:v1 # c\nworker:\n  image: {repository: ghcr.io/acme/worker, tag: v1}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.yaml").write_text(MANIFEST)
    return tmp_path / "app.yaml"


def pins(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(pins_command.app, list(arguments), input=stdin, catch_exceptions=False)


def set_image(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(set_image_command.app, list(arguments), input=stdin, catch_exceptions=False)


def test_pins_are_a_table_with_what_could_not_be_resolved_beside(file: Path) -> None:
    (file.parent / "values.yaml").write_text("image: {tag: v1}\n")
    result = pins(".")
    assert result.stdout.splitlines() == [
        "FILE      LINE  FORMAT  PLACE                REFERENCE",
        "app.yaml  1     yaml    doc[0].image         ghcr.io/acme/api:v1",
        "app.yaml  3     yaml    doc[0].worker.image  ghcr.io/acme/worker:v1",
    ]
    assert "unresolved: values.yaml:1: only the tag stands here" in result.stderr
    assert "2 pins in 2 files" in result.stderr


def test_pins_as_json_have_a_stable_schema(file: Path) -> None:
    report = json.loads(pins("app.yaml", "--image", "ghcr.io/acme/api", "--output", "json").stdout)
    assert report["schema"] == 1
    assert report["pins"] == [
        {
            "path": "app.yaml", "line": 1, "format": "yaml", "place": "doc[0].image", "at": "doc[0].image",
            "container": "image", "text": "ghcr.io/acme/api:v1", "image": "ghcr.io/acme/api:v1",
            "repository": "ghcr.io/acme/api", "tag": "v1", "digest": None, "policy": None,
        }
    ]  # fmt: skip
    assert set(report) == {"schema", "pins", "unresolved", "files"}


def test_pins_as_markdown_are_a_table(file: Path) -> None:
    assert (
        "| `app.yaml` | `1` | `yaml` | `doc[0].image` | `ghcr.io/acme/api:v1` |"
        in pins(".", "--output", "markdown").stdout
    )


def test_set_image_writes_and_says_what_it_did(file: Path) -> None:
    result = set_image("ghcr.io/acme/api:1.10", "ghcr.io/acme/worker:1.10", "app.yaml")
    assert file.read_text() == MANIFEST.replace("api:v1", "api:1.10").replace("tag: v1", 'tag: "1.10"')
    assert "1 file changed" in result.stderr
    assert "nothing to do" in set_image("ghcr.io/acme/api:1.10", "app.yaml").stderr


def test_a_dry_run_prints_the_diff_and_writes_nothing(file: Path) -> None:
    result = set_image("ghcr.io/acme/api:v2", ".", "--dry-run")
    assert "-image: ghcr.io/acme/api:v1 # c\n+image: ghcr.io/acme/api:v2 # c\n" in result.stdout
    assert file.read_text() == MANIFEST
    assert result.exit_code == 0


def test_check_ends_with_one_when_something_would_change(file: Path) -> None:
    assert set_image("ghcr.io/acme/api:v2", ".", "--check").exit_code == 1
    assert set_image("ghcr.io/acme/api:v1", ".", "--check").exit_code == 0
    assert file.read_text() == MANIFEST


def test_edits_as_json_hold_the_changes_and_the_diff(file: Path) -> None:
    report = json.loads(set_image("ghcr.io/acme/api:v2", ".", "--output", "json").stdout)
    assert report["changed"] and report["written"]
    assert report["files"] == ["app.yaml"]
    assert report["changes"][0]["before"] == "ghcr.io/acme/api:v1"
    assert report["changes"][0]["after"] == "ghcr.io/acme/api:v2"
    assert report["diff"].startswith("--- a/app.yaml")


def test_a_value_is_set_at_a_place(file: Path) -> None:
    set_image("--set", "worker.image.tag=v9", "app.yaml")
    assert file.read_text() == MANIFEST.replace("tag: v1", "tag: v9")


def test_an_image_that_is_nowhere_is_a_configuration_error(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no pin of"):
        set_image("ghcr.io/acme/missing:1", ".")


EXACT = "\ufeff# größe\r\nimage: 'ghcr.io/acme/api:v1'  # c\r\nlast: \t x".encode()


def test_standard_input_is_edited_to_standard_output_byte_for_byte(file: Path) -> None:
    result = set_image("ghcr.io/acme/api:v2", "-", stdin=EXACT)
    assert result.stdout_bytes == EXACT.replace(b"api:v1", b"api:v2")
    assert result.stderr == "1 place changed\n"
    assert set_image("ghcr.io/acme/api:v1", "-", stdin=EXACT).stdout_bytes == EXACT


def test_a_pipe_of_processes_keeps_every_byte(tmp_path: Path) -> None:
    with start("set-image", "ghcr.io/acme/api:v2", "-", cwd=tmp_path, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(EXACT, timeout=60)
    assert (process.returncode, out) == (0, EXACT.replace(b"api:v1", b"api:v2"))
    assert err == b"1 place changed\n"


def test_a_dry_run_and_a_check_of_standard_input_print_no_manifest(file: Path) -> None:
    diff = set_image("ghcr.io/acme/api:v2", "-", "--dry-run", stdin=MANIFEST.encode())
    assert diff.stdout.startswith("--- a/-\n+++ b/-\n@@")
    check = set_image("ghcr.io/acme/api:v2", "-", "--check", stdin=MANIFEST.encode())
    assert check.exit_code == 1
    assert "ghcr.io/acme/api:v2" in check.stdout
    assert "worker" not in check.stdout
    report = json.loads(
        set_image("ghcr.io/acme/api:v2", "-", "--check", "--output", "json", stdin=MANIFEST.encode()).stdout
    )
    assert (report["changed"], report["written"], report["files"]) == (True, False, ["-"])


def test_an_image_that_standard_input_does_not_hold_is_an_error_and_prints_nothing(tmp_path: Path) -> None:
    with start("set-image", "ghcr.io/acme/missing:1", "-", cwd=tmp_path, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(MANIFEST.encode(), timeout=60)
    assert (process.returncode, out) == (2, b"")
    assert b"no pin of ghcr.io/acme/missing was found" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "app.yaml"], "can't be edited together with files"),
        (["-", "--output", "json"], "no report can go there"),
        (["-", "--output", "markdown"], "no report can go there"),
        (["-", "--prove", "render"], "belongs to no kustomization"),
        (["-", "--stdin-name", "/x"], "not a path"),
    ],
)
def test_what_standard_input_can_not_be_combined_with_is_told(file: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as failure:
        set_image("ghcr.io/acme/api:v2", *arguments, stdin=MANIFEST.encode())
    assert failure.value.where
    assert failure.value.hint


def test_a_manifest_with_a_credential_is_not_printed(file: Path) -> None:
    token = b"token: ghp_" + b"a" * 36 + b"\n"
    with pytest.raises(Refused, match="credential"):
        set_image("ghcr.io/acme/api:v2", "-", stdin=MANIFEST.encode() + token)


def test_the_name_of_standard_input_decides_its_format(file: Path) -> None:
    kustomization = b"images:\n- name: nginx\n  newTag: v1\n"
    named = ("--stdin-name", "overlays/prod/kustomization.yaml")
    result = set_image("nginx=nginx:v2", "-", *named, stdin=kustomization)
    assert result.stdout == "images:\n- name: nginx\n  newTag: v2\n"
    added = set_image("app=app:v1", "-", *named, stdin=kustomization)
    assert added.stdout_bytes == kustomization + b"- name: app\n  newTag: v1\n"
    assert json.loads(pins("-", *named, "--output", "json", stdin=kustomization).stdout)["pins"][0]["path"] == named[1]


def test_pins_of_standard_input_and_of_files_are_listed_together(file: Path) -> None:
    result = pins("-", "app.yaml", stdin=b"image: nginx:1\n")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["FILE", "-", "app.yaml", "app.yaml"]
    assert "3 pins in 2 files" in result.stderr


def test_a_file_called_like_standard_input_is_a_file(file: Path) -> None:
    (file.parent / "-").write_text("image: nginx:1\n")
    set_image("nginx:v2", "./-")
    assert (file.parent / "-").read_text() == "image: nginx:v2\n"


def test_a_file_outside_the_current_folder_is_printed_by_its_full_path(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "here").mkdir()
    monkeypatch.chdir(file.parent / "here")
    assert pins("..").stdout.splitlines()[1].startswith(f"{file}  1 ")
    assert json.loads(pins("../app.yaml", "--output", "json").stdout)["pins"][0]["path"] == str(file)
    assert f"--- {file}\n+++ {file}\n" in set_image("ghcr.io/acme/api:v2", "..", "--dry-run").stdout
    (file.parent / "values.yaml").write_text("image: {tag: v1}\n")
    assert f"unresolved: {file.parent}/values.yaml:1: " in pins("..").stderr
    report = json.loads(set_image("ghcr.io/acme/api:v2", "..", "--output", "json").stdout)
    assert report["files"] == [str(file)]
    assert report["changes"][0]["pin"]["path"] == str(file)


def test_what_was_left_alone_is_told_and_counted_in_json(file: Path) -> None:
    with file.open("a") as out:
        out.write("other: {image: 'ghcr.io/acme/api:${TAG}'}\n")
    place = {
        "path": "app.yaml", "line": 4, "column": None, "place": "doc[0].other.image",
        "reason": "a template or variable fills this in later", "text": "ghcr.io/acme/api:${TAG}",
    }  # fmt: skip
    result = set_image("ghcr.io/acme/api:v2", ".")
    assert "not changed: app.yaml:4: a template or variable fills this in later (ghcr.io/acme/api:${TAG})\n" in (
        result.stderr
    )
    assert result.exit_code == 0
    again = set_image("ghcr.io/acme/api:v2", ".")
    assert "nothing to do: every pin is as asked for already; 1 place can't be changed" in again.stderr
    assert json.loads(set_image("ghcr.io/acme/api:v2", ".", "--output", "json").stdout)["unresolved"] == [place]


def test_a_value_that_no_rule_takes_for_a_pin_is_told_with_the_way_to_edit_it(file: Path) -> None:
    with file.open("a") as out:
        out.write("data: {runner: 'ghcr.io/acme/api:v0', other: 'ghcr.io/acme/api-worker:v0'}\n")
        out.write("annotations: {was: 'ghcr.io/acme/api:v0'}\nghcr.io/acme/api:v0: key\n")
    result = set_image("ghcr.io/acme/api:v2", ".")
    told = [line for line in result.stderr.splitlines() if line.startswith("not changed:")]
    assert told == [
        "not changed: app.yaml:4: it is no place where images are looked for; --at 'doc[0].data.runner' edits it"
        " (ghcr.io/acme/api:v0)"
    ]
    assert set_image("ghcr.io/acme/api:v2", ".", "--at", "doc[0].data.runner").exit_code == 0
    assert "runner: 'ghcr.io/acme/api:v2'" in file.read_text()


def test_an_image_that_stands_only_where_none_is_looked_for_is_an_error_that_tells_the_place(file: Path) -> None:
    file.write_text("data:\n  runner: ghcr.io/acme/runner:v0\n")
    with pytest.raises(ConfigurationError) as error:
        set_image("ghcr.io/acme/runner:v2", ".")
    assert "app.yaml:2: it is no place where images are looked for; --at 'doc[0].data.runner' edits it" in (
        error.value.details
    )


def test_a_file_beyond_the_limit_is_read_when_the_limit_is_raised(file: Path) -> None:
    with file.open("a") as out:
        out.write("# filled\n" * 150_000)
    with pytest.raises(ConfigurationError, match="more than the limit") as error:
        set_image("ghcr.io/acme/api:v2", ".")
    assert "--max-size" in error.value.hint
    assert set_image("ghcr.io/acme/api:v2", ".", "--max-size", "2").exit_code == 0
    assert "ghcr.io/acme/api:v2" in file.read_text()
    assert "ghcr.io/acme/api:v2" in pins(".", "--max-size", "2").stdout


def test_a_renamed_entry_gets_the_name_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kustomization.yaml").write_text("images:\n- name: app\n  newTag: v1\n")
    assert set_image("app=acme/api:v2", "kustomization.yaml").exit_code == 0
    assert Path("kustomization.yaml").read_text() == "images:\n- name: app\n  newName: acme/api\n  newTag: v2\n"
    assert set_image("app=docker.io/acme/api:v3", "kustomization.yaml").exit_code == 0
    assert Path("kustomization.yaml").read_text() == "images:\n- name: app\n  newName: acme/api\n  newTag: v3\n"


def test_edits_as_json_have_a_stable_schema(file: Path) -> None:
    report = json.loads(
        set_image("ghcr.io/acme/api:v2", "--set", "worker.image.tag=v2", ".", "--output", "json").stdout
    )
    assert list(report) == ["schema", "changed", "written", "changes", "values", "unresolved", "files", "diff"]
    assert report["schema"] == 1
    assert list(report["changes"][0]) == ["pin", "before", "after", "follows"]
    assert list(report["values"][0]) == ["path", "line", "place", "before", "after"]


def test_an_added_entry_is_told_as_added(file: Path) -> None:
    (file.parent / "kustomization.yaml").write_text("resources: [app.yaml]\n")
    result = set_image("app=ghcr.io/acme/api:v2", "kustomization.yaml")
    assert "(added)" in result.stdout
    assert json.loads(set_image("b=b:1", "kustomization.yaml", "--output", "json").stdout)["changes"][0]["before"] == ""


KUSTOMIZED = "images:\n- name: nginx\n  newTag: v1\n- name: docker.io/library/nginx\n  newTag: v1\n"


def test_a_plain_image_means_its_repository_and_a_name_means_its_letters(file: Path) -> None:
    kustomization = file.parent / "kustomization.yaml"
    for spelled in ("nginx:v2", "docker.io/library/nginx:v2", "index.docker.io/library/nginx:v2"):
        kustomization.write_text(KUSTOMIZED)
        set_image(spelled, "kustomization.yaml")
        assert kustomization.read_text() == KUSTOMIZED.replace("v1", "v2")
    kustomization.write_text(KUSTOMIZED)
    set_image("nginx=nginx:v2", "kustomization.yaml")
    assert kustomization.read_text() == KUSTOMIZED.replace("v1", "v2", 1)


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["nginx:9@sha256:abc", "app.yaml"], ["'sha256:abc' is not a digest", "64 lower-case hex digits"], 2),
        (["nginx:9", "nope"], ["there is no such file or folder", "where: nope"], 2),
        (
            ["nginx:9", "app.yaml"],
            [
                "no pin of docker.io/library/nginx was found",
                "where: app.yaml (1 file)",
                "app.yaml:1: ghcr.io/acme/api:v1",
            ],
            2,
        ),
        (["ghcr.io/acme/api:v2", "twice.yaml"], ["stands twice", "where: twice.yaml:2", "remove one of the two"], 3),
        (["ghcr.io/acme/api:v2", "broken.yaml"], ["can't be read", "where: broken.yaml:2:1", "correct the file"], 2),
        (["ghcr.io/acme/api:v2", "latin.yaml"], ["not UTF-8", "where: latin.yaml:1:9", "correct the file"], 2),
        (["ghcr.io/acme/api:v2", "app.yaml", "--at", "a[b"], ["is not a place", "write it as"], 2),
        (["ghcr.io/acme/api:v2", "app.yaml", "--at", "x.y"], ["no pin of ghcr.io/acme/api", "hybrid-ci pins"], 2),
        (["ghcr.io/acme/api:v2", "app.yaml", "--container", "zz"], ["no pin of ghcr.io/acme/api"], 2),
        (["--set", "a.b=c", "app.yaml"], ["there is no value at 'a.b'", "where: app.yaml"], 2),
        (["--set", "nope", "app.yaml"], ["is no PLACE=VALUE", "where: --set"], 2),
        (["--target", "x", "ghcr.io/acme/api:v2", "app.yaml"], ["is no FILE:PLACE=IMAGE", "where: --target"], 2),
        (["--target", "f:a=B@", "ghcr.io/acme/api:v2", "app.yaml"], ["not an image repository", "--target f:a=B@"], 2),
        (["--prove", "magic", "ghcr.io/acme/api:v2", "app.yaml"], ["no proof by 'magic'", "where: --prove"], 2),
        (["ghcr.io/acme/api:1", "ghcr.io/acme/api:2", "app.yaml"], ["two different versions of ghcr.io/acme/api"], 2),
        ([], ["Missing argument", "set-image --help"], 2),
    ],
)
def test_bad_input_is_one_clear_error_with_its_exit_code(
    file: Path, cli: Cli, arguments: list[str], told: list[str], code: int
) -> None:
    (file.parent / "twice.yaml").write_text("image: ghcr.io/acme/api:v1\nimage: ghcr.io/acme/api:v1\n")
    (file.parent / "broken.yaml").write_text("image: ghcr.io/acme/api:v1\n]\n")
    (file.parent / "latin.yaml").write_bytes(b"name: gr\xf6\xdfe\nimage: ghcr.io/acme/api:v1\n")
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    ended = cli("set-image", *arguments)
    assert ended.code == code
    assert ended.out == ""
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err
    for text in told:
        assert text in ended.err
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nope"], ["there is no such file or folder", "where: nope"]),
        (["app.yaml", "--image", "nginx:1"], ["not an image repository", "where: --image nginx:1"]),
        (["app.yaml", "--target", "x"], ["is no FILE:PLACE=IMAGE"]),
    ],
)
def test_bad_input_of_pins_is_one_clear_error(file: Path, cli: Cli, arguments: list[str], told: list[str]) -> None:
    ended = cli("pins", *arguments)
    assert (ended.code, ended.out) == (2, "")
    for text in told:
        assert text in ended.err


def test_every_example_of_the_help_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prod = tmp_path / "overlays/prod"
    prod.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (prod / "kustomization.yaml").write_text("images:\n- name: ghcr.io/acme/api\n  newTag: v1\n")
    (tmp_path / "release.yaml").write_text("spec: {chart: {spec: {version: 1.0.0}}}\n")
    stream = (prod / "kustomization.yaml").read_bytes() + b"kind: Kustomization\n"
    for command in ("pins", "set-image"):
        lines = [
            line.strip() for line in run_apart(command, "--help").out.partition("Examples:")[2].splitlines() if line
        ]
        assert len(lines) >= 3
        for line in lines:
            words = shlex.split(line.rpartition("| ")[2].replace("…", "ab" * 32))
            assert words[:2] == ["hybrid-ci", command]
            run = pins if command == "pins" else set_image
            assert run(*words[2:], stdin=b"image: ghcr.io/acme/api:v1\n" + stream).exit_code == 0, line


@pytest.mark.parametrize("command", ["pins", "set-image"])
def test_what_is_no_terminal_gets_no_colour(file: Path, cli: Cli, command: str) -> None:
    ended = cli(command, *(["ghcr.io/acme/api:v2", "--dry-run"] if command == "set-image" else []), ".")
    assert "\x1b" not in ended.out + ended.err
