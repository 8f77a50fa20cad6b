"""Files that want to kill or stall a parser. Run as a program it reads all of them and tells the CPU time of each."""

from __future__ import annotations

import contextlib
import json
import sys
import time

from orchestrator.core.errors import HybridCIError
from orchestrator.core.image import PinnedImage
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, find_pins, set_image

NAMES = ("a.yaml", "a.json")
IMAGE = PinnedImage.parse("ghcr.io/acme/api:2.0@sha256:" + "ab" * 32)
_REFERENCE = "ghcr.io/acme/api:v1"
_LARGE = 1024 * 1024 - 200


def _fill(unit: str) -> str:
    return unit * (_LARGE // len(unit))


def _below_anchors(depth: int) -> str:
    """As many references as are allowed, below anchors in anchors that have thousands of aliases."""
    images = ",".join(f"{{image: '{_REFERENCE}'}}" for _ in range(2900))
    opened = "".join(f"&a{i} {{k{i}: " for i in range(depth))
    return f"x: {opened}[{images}]{'}' * depth}\n" + "".join(f"z{i}: *a{i % depth}\n" for i in range(8000))


def files() -> dict[str, bytes]:
    """Each file with its name."""
    texts = {
        "brackets": "[" * 40_000,
        "braces": "{" * 40_000,
        "brackets and braces": "[{" * 40_000,
        "closed first in a comment": "#" + "]" * 5000 + "\n" + "[" * 5000,
        "brackets on lines": "[\n" * 40_000,
        "one-line block lists": "- " * 100_000,
        "complex keys": "? " * 100_000,
        "indented mappings": "".join(" " * i + "a:\n" for i in range(1000)),
        "flat list of lists": "[" + _fill("[],") + "]",
        "flat list of numbers": "[" + _fill("1,") + "]",
        "flat map": "{" + _fill("a: b,") + "}",
        "block list": _fill("- a\n"),
        "block map": "".join(f"k{i}: v\n" for i in range(90_000)),
        "doubled keys": _fill("a: b\n"),
        "long scalar": "image: " + "x" * _LARGE,
        "long key": "x" * _LARGE + ": image",
        "long quoted": 'image: "' + "x" * _LARGE + '"',
        "long folded": "image: >\n" + _fill("  x y\n"),
        "long plain": "image:\n" + _fill("  x\n"),
        "anchors": "".join(f"a{i}: &x{i} b\n" for i in range(40_000)),
        "aliases": "a: &a b\nl:\n" + _fill("- *a\n"),
        "a billion laughs": "a0: &a0 [x]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 60)),
        "a chain of merges": f"m0: &m0 {{image: '{_REFERENCE}'}}\n"
        + "".join(f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}\n" for i in range(1, 12_000)),
        "an alias of itself": "a: &a [*a]\nimage: &b {<<: *b, image: *b, tag: *b}\n",
        "a huge number": "image: " + "9" * 500_000,
        "comments": _fill(f"# image: {_REFERENCE}\n"),
        "spaces": " " * _LARGE,
        "carriage returns": "\r" * 100_000,
        "images": _fill(f"- image: {_REFERENCE}\n"),
        "anchored images": "".join(f"- image: &i{i} {_REFERENCE}\n" for i in range(20_000)),
        "named images": "".join(f"- {{name: c{i}, image: '{_REFERENCE}'}}\n" for i in range(18_000)),
        "images below the limit": "".join(f"- {{name: c{i}, image: '{_REFERENCE}'}}\n" for i in range(1500)),
        "doubled quotes": "image: '" + "''" * 400_000 + "'",
        "escapes": 'image: "' + "\\x41" * 200_000 + '"',
        "a script of references": "image: |\n" + _fill(f"  {_REFERENCE}\n"),
        "markers": _fill(f"a: {_REFERENCE} # hybrid-ci: ghcr.io/acme/api\n"),
        "markers on one line": "a: b" + " # hybrid-ci: x" * 60_000,
        "a template of markers": _fill(f"{{{{ x }}}} {_REFERENCE} # hybrid-ci: ghcr.io/acme/api\n"),
        "documents": _fill(f"--- \nimage: {_REFERENCE}\n"),
        "hosts": "image: " + "ghcr.io/" * 100_000,
        "colons": "image: '" + ":a" * 400_000 + "'",
        "slashes": "image: '" + "a/" * 400_000 + "'",
        "dashes": "image: '" + "a-" * 400_000 + "!'",
        "dots": "image: " + "a." * 300_000,
        "control character": "image: \x01",
        "null": "image: \x00",
        "JSON objects": '{"image":' * 5000,
        "JSON images": "[" + _fill('{"image":"ghcr.io/acme/api:v1"},') + "{}]",
        "kustomize entries": "images:\n" + _fill("- {name: ghcr.io/acme/api, newTag: v1}\n"),
        "YAML in a text": "a: |\n" + _fill(f"  - image: {_REFERENCE}\n"),
        "a long tag": "image: !" + "x" * 100_000 + " b",
        "a long anchor": "image: &a" + "a" * 900_000 + f" {_REFERENCE}",
        "blanks behind a tag": "image: !!str" + " " * 900_000 + _REFERENCE,
        "comments behind an anchor": "image: &a\n" + "  # x\n" * 150_000 + f"  {_REFERENCE}",
        "one anchored tag for all": 'x: &t "1.9"\n'
        + "".join(f"k{i}:\n  image: {{repository: ghcr.io/acme/api, tag: *t}}\n" for i in range(4000)),
        "a text of markers": "x: |\n"
        + "".join(f"  a ghcr.io/acme/api:1.{i} # hybrid-ci: ghcr.io/acme/api\n" for i in range(4000)),
        "one flat mapping of images": "".join(f"k{i}:\n  image: ghcr.io/acme/api:1.{i}\n" for i in range(2900)),
        "references below nested anchors": _below_anchors(95),
        "references that merge": "b: &b {repository: ghcr.io/acme/api, tag: '1'}\n"
        + "".join(f"k{i}: {{image: {{<<: *b, tag: '1'}}}}\n" for i in range(2900)),
        "a name that all merge": "b: &b {image: ghcr.io/acme/api}\n"
        + "".join(f"k{i}: {{<<: *b, tag: '1'}}\n" for i in range(2900)),
        "references below a long key": "? " + "x" * 500_000 + "\n:\n" + f"- image: {_REFERENCE}\n" * 2900,
        "tags without a name": "a:\n" + "- imageTag: v1\n" * 60_000,
        "references in a text": "a: |\n" + "".join(f"  k{i}: {{image: '{_REFERENCE}'}}\n" for i in range(2900)),
        "too large": "a" * (2 * 1024 * 1024),
    }
    raw = {
        "not UTF-8": b"image: \xe9",
        "a surrogate": b"image: \xed\xa0\x80",
        "UTF-16": f"image: {_REFERENCE}\n".encode("utf-16"),
        "UTF-32": f"image: {_REFERENCE}\n".encode("utf-32"),
        "empty": b"",
        "only a mark": b"\xef\xbb\xbf",
    }
    return {name: text.encode() for name, text in texts.items()} | raw


def read(name: str, content: bytes) -> float:
    """CPU seconds that finding and setting take; every error of ours is fine."""
    options = ScanOptions(arguments=True, embedded=True)
    begin = time.process_time()
    find_pins(RepoPath(name), content, options)
    found = time.process_time()
    with contextlib.suppress(HybridCIError):
        set_image(RepoPath(name), content, IMAGE)
    changed = time.process_time()
    with contextlib.suppress(HybridCIError):
        set_image(RepoPath(name), content, IMAGE, options)
    return max(found - begin, changed - found, time.process_time() - changed)


def main() -> None:
    """One line of JSON for each file and name, as it is done."""
    for what, content in files().items():
        for name in NAMES:
            print(json.dumps({"file": what, "name": name, "seconds": read(name, content)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
