#!/usr/bin/env python3
"""Judges every CI file, action, component and Dockerfile that is shipped, and every such snippet in the docs.

The judges are not ours: zizmor, actionlint (with shellcheck), check-jsonschema with the vendors' schemas, hadolint.
Each exception stands beside what it is about, with its reason; one without a reason fails here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
_FENCE = re.compile(r"^( *)```(?P<language>ya?ml|dockerfile)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)
_BARE_IGNORE = re.compile(
    r"zizmor: ignore\[[^\]]*\][ \t]*$"
    r"|(?<!\n)(?:\A|^(?!#).*\n)# (?:hadolint ignore|shellcheck disable)=\S+[ \t]*$",  # the reason stands above
    re.MULTILINE,
)
_INPUT = re.compile(r"\$\[\[ inputs\.([a-z-]+) \]\]")


@dataclass
class Files:
    """What is judged, by what judges it."""

    workflows: list[Path]
    actions: list[Path]
    pipelines: list[Path]
    dockerfiles: list[Path]
    scripts: list[Path]


def shipped() -> Files:
    """Every such file that git knows, or would know."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [ROOT / name for name in listed if (ROOT / name).is_file()]
    return Files(
        [one for one in paths if one.parent.name == "workflows" and one.suffix == ".yml"],
        [one for one in paths if one.name == "action.yml"],
        [one for one in paths if one.name == ".gitlab-ci.yml" or one.parent == ROOT / "templates"],
        [one for one in paths if one.name == "Dockerfile"],
        [one for one in paths if one.suffix == ".sh" and "examples" not in one.parts] + [ROOT / ".ci" / "run"],
    )


def snippets(into: Path) -> Files:
    """The same from the fenced blocks of the docs, each in a file that names its page and line."""
    found = Files([], [], [], [], [])
    for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]:
        text = page.read_text("utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            content = re.sub(rf"^{match[1]}", "", match["text"], flags=re.MULTILINE)
            place(found, into, f"{page.stem}-{line}", match["language"], content)
    return found


def place(found: Files, into: Path, name: str, language: str, content: str) -> None:
    """Write a snippet where its judges look for it; what is no CI file is left to others."""
    if language == "dockerfile":
        found.dockerfiles.append(write(into / name / "Dockerfile", content))
        return
    keys = set(re.findall(r"^(\S+?):", content, re.MULTILINE))
    if {"on", "jobs"} <= keys:
        found.workflows.append(write(into / name / ".github/workflows/snippet.yml", content))
    elif "runs" in keys:
        found.actions.append(write(into / name / "action.yml", content))
    elif "include" in keys or re.search(r"^ +script:", content, re.MULTILINE):
        found.pipelines.append(write(into / name / ".gitlab-ci.yml", content))


def write(file: Path, content: str) -> Path:
    """The file, in a folder that is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, "utf-8")
    return file


def as_pipeline(file: Path, into: Path) -> Path:
    """A component as the pipeline that it becomes: without its header, each input its default or an example."""
    documents = list(yaml.safe_load_all(file.read_text("utf-8")))
    if len(documents) == 1:
        return file
    header, _, body = file.read_text("utf-8").partition("\n---\n")
    inputs = yaml.safe_load(header)["spec"]["inputs"]
    unknown = set(_INPUT.findall(body)) ^ set(inputs)
    if unknown:
        raise SystemExit(f"{file}: inputs that are not both declared and used: {', '.join(sorted(unknown))}")
    filled = _INPUT.sub(lambda match: str(inputs[match[1]].get("default", '["one", "two"]')), body)
    return write(into / "component" / ".gitlab-ci.yml", filled)


def checks(files: Files, folder: Path, scratch: Path) -> Iterator[list[str]]:
    """The judges' command lines."""
    if files.workflows or files.actions:
        yield ["zizmor", "--offline", "--no-progress", "--quiet", str(folder)]
    if files.workflows:
        yield ["actionlint", "-shellcheck", str(BIN / "shellcheck"), *map(str, files.workflows)]
        yield ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, files.workflows)]
    if files.actions:
        yield ["check-jsonschema", "--builtin-schema", "vendor.github-actions", *map(str, files.actions)]
    if files.pipelines:
        filled = [str(as_pipeline(file, scratch)) for file in files.pipelines]
        yield ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *filled]
    if files.dockerfiles:
        yield ["hadolint", *map(str, files.dockerfiles)]
    if files.scripts:
        yield ["shellcheck", *map(str, files.scripts)]


def bare_ignores(files: Files) -> list[str]:
    """Exceptions that give no reason."""
    everything = [*files.workflows, *files.actions, *files.pipelines, *files.dockerfiles, *files.scripts]
    return [
        f"{file}:{text.count(chr(10), 0, match.start()) + 1}: an exception without a reason"
        for file in everything
        for text in [file.read_text("utf-8")]
        for match in _BARE_IGNORE.finditer(text)
    ]


def main() -> int:
    """Run every judge, print what it says, exit 1 when one of them objects."""
    failed = False
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for files, folder in ((shipped(), ROOT), (snippets(scratch / "docs"), scratch / "docs")):
            for complaint in bare_ignores(files):
                print(complaint)
                failed = True
            for argv in checks(files, folder, scratch):
                done = subprocess.run([str(BIN / argv[0]), *argv[1:]], capture_output=True, text=True, check=False)
                if done.returncode:
                    failed = True
                    print(f"{argv[0]}:\n{done.stdout}{done.stderr}")
            count = sum(map(len, vars(files).values()))
            where = "shipped" if folder == ROOT else "in the docs"
            print(f"lint: {count} CI files, actions, Dockerfiles and scripts {where}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
