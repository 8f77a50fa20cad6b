"""Manifests made at random, with every trait of layout that people and tools leave behind, and their own oracle.

A text is a list of pieces; some of them are pins, which know how they must read for another version. So what an edit
has to give is known without asking the code under test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

IMAGES = ("ghcr.io/acme/api", "acme/api", "nginx", "localhost:5000/acme/api", "registry.example:443/a/b-c_d.e")
LOOKALIKES = (
    "ghcr.io/acme/api-worker", "ghcr.io/acme/api/sub", "xghcr.io/acme/api", "notacme/api", "acme/api2",
    "quay.io/acme/api", "ghcr.io:443/acme/api", "nginxinc/nginx", "localhost:5001/acme/api",
    "registry.example/a/b-c_d.e",
)  # fmt: skip
TYPED = ("1.0", "1.10", "0012345", "12e4567", "1_000", "20261122", "7", "no", "2026-11-22")
TAGS = ("v1", "latest", "main-abc.1_2", "1.2.3", *TYPED)
DIGESTS = tuple(f"sha256:{two * 32}" for two in ("0a", "1e", "77", "ff"))
# The next-line character ends a comment for YAML 1.1 readers, so it stands last.
COMMENTS = ("# plain", "#{", "# { not: flow", '# {"$imagepolicy": "ns:p:tag"}', "# acme/api:v1", "# é 😀 \u0085", "#")
TEXTS = ("a", "plain words", '"quoted: #x"', "'it''s'", "{}", "[]", "~", "12", "!!str 5", '"\\u00e9\\n"', "é😀", "y")

Version = tuple[str, str]  # a tag and a digest; one of the two may be empty


@dataclass(frozen=True)
class Pin:
    """A pin in one form, with its layout drawn once, so that it reads the same for the same version."""

    image: str
    form: str
    indent: str
    seed: int
    version: Version

    def read(self, version: Version | None = None) -> str:
        """The text of the pin; for another version with nothing else changed."""
        random = Random(self.seed)
        return _FORMS[self.form](self, random, self.version if version is None else version)


@dataclass
class Manifest:
    """Pieces of text and pins, with the name that the file should have."""

    name: str = "app.yaml"
    pieces: list[str | Pin] = field(default_factory=list)
    newline: str = "\n"
    bom: bool = False
    final_newline: bool = True

    def read(self, versions: Mapping[str, Version] | None = None) -> bytes:
        """The bytes; with ``versions`` as they must be after these images were set."""
        parts = []
        for piece in self.pieces:
            if isinstance(piece, Pin):
                parts.append(piece.read((versions or {}).get(piece.image)))
            else:
                parts.append(piece)
        text = "".join(parts)
        if not self.final_newline:
            text = text.rstrip("\n")
        return ("\ufeff" if self.bom else "").encode() + text.replace("\n", self.newline).encode()

    @property
    def images(self) -> list[str]:
        """The images that are pinned."""
        return sorted({piece.image for piece in self.pieces if isinstance(piece, Pin)})


def suffix(version: Version) -> str:
    """``:tag@digest``."""
    return (f":{version[0]}" if version[0] else "") + (f"@{version[1]}" if version[1] else "")


def quoted(random: Random, text: str, old: str) -> str:
    """A scalar in one of three styles. A plain one gets quotes when some reader would take it for something else."""
    style = random.choice(("plain", "'", '"'))
    if style != "plain":
        return f"{style}{text}{style}"
    return f'"{text}"' if text != old and text in TYPED else text


def _end(random: Random) -> str:
    """What follows a value on its line."""
    return random.choice(("", "", "", "  ", " \t", " " + random.choice(COMMENTS), "\t# after a tab", "   # far")) + "\n"


def _whole(pin: Pin, random: Random, version: Version) -> str:
    gap = random.choice((" ", " ", "  ", "    "))
    text = pin.image + suffix(version)
    style = random.choice(("", "'", '"'))
    anchor = random.choice(("", "", f"&a{pin.seed % 97} "))
    return f"{pin.indent}image:{gap}{anchor}{style}{text}{style}{_end(random)}"


def _flow(pin: Pin, random: Random, version: Version) -> str:
    style = random.choice(("'", '"'))
    space = random.choice(("", " "))
    key = random.choice(("image", '"image"'))
    value = f"{style}{pin.image}{suffix(version)}{style}"
    return f"{pin.indent}side: {{{space}x: [1, 'b'],{space}{key}: {value}{space}}}{_end(random)}"


def _split(pin: Pin, random: Random, version: Version) -> str:
    """``repository`` and ``tag``: the digest goes into the tag."""
    tag = version[0] + (f"@{version[1]}" if version[1] else "")
    old = pin.version[0] + (f"@{pin.version[1]}" if pin.version[1] else "")
    inner = pin.indent + random.choice(("  ", "    "))
    name = f"{inner}repository: {pin.image}{_end(random)}"
    line = f"{inner}tag: {quoted(random, tag, old)}{_end(random)}"
    return f"{pin.indent}image:{_end(random)}" + "".join(random.choice(((name, line), (line, name))))


def _three(pin: Pin, random: Random, version: Version) -> str:
    """Separate keys for tag and digest."""
    inner = pin.indent + "  "
    tag = f"{inner}tag: {quoted(random, version[0], pin.version[0])}{_end(random)}"
    bare = random.random() < 0.5
    digest = version[1].removeprefix("sha256:") if bare else version[1]
    line = f'{inner}{"sha" if bare else "digest"}: "{digest}"{_end(random)}'
    return f"{pin.indent}image:\n{inner}repository: {pin.image}{_end(random)}" + tag + line


def _apart(pin: Pin, random: Random, version: Version) -> str:
    """The registry or the namespace under one key, the name under another."""
    outer, inner = pin.image.rpartition("/")[::2]
    if "/" in outer and random.random() < 0.5:
        outer, _, inner = pin.image.partition("/")
    first = random.choice(("repository", "registry", "hub", "imageRegistry") if _is_host(outer) else ("repository",))
    second = random.choice(("image", "imageName"))
    tag = version[0] + (f"@{version[1]}" if version[1] else "")
    old = pin.version[0] + (f"@{pin.version[1]}" if pin.version[1] else "")
    depth = pin.indent + "  "
    lines = [f"{depth}{second}: {inner}{_end(random)}", f"{depth}tag: {quoted(random, tag, old)}{_end(random)}"]
    if outer:
        lines.append(f"{depth}{first}: {outer}{_end(random)}")
    random.shuffle(lines)
    return f"{pin.indent}part:{_end(random)}" + "".join(lines)


def _is_host(text: str) -> bool:
    return "/" not in text and ("." in text or ":" in text)


def _keyed(pin: Pin, random: Random, version: Version) -> str:
    """A tag in the name and a digest under a key of its own, which is emptied when no digest is wanted."""
    depth = pin.indent + "  "
    key = random.choice(("imageDigest", "tagDigest", "digest"))
    lines = [f"{depth}image: {pin.image}:{version[0]}{_end(random)}", f'{depth}{key}: "{version[1]}"{_end(random)}']
    random.shuffle(lines)
    return f"{pin.indent}part:{_end(random)}" + "".join(lines)


def _collected(pin: Pin, random: Random, version: Version) -> str:
    """In a list or a map of images."""
    text = pin.image + suffix(version)
    style = random.choice(("", "'", '"'))
    before = random.choice(("- ", "main: "))
    return f"{pin.indent}images:{_end(random)}{pin.indent}  {before}{style}{text}{style}{_end(random)}"


_ITEM_FORMS = ("whole", "flow", "split", "three", "apart", "keyed", "collected")


def _entry(pin: Pin, random: Random, version: Version) -> str:
    """A kustomize entry in a block: a digest that was not there comes behind the tag, one too many goes."""
    inner = pin.indent + "  "
    name = f"{inner}name: {pin.image}{_end(random)}"
    tag = f"{inner}newTag: {quoted(random, version[0], pin.version[0])}{_end(random)}"
    digest = ""
    own = f"{inner}digest: {quoted(random, version[1], pin.version[1])}{_end(random)}"
    if version[1]:
        digest = own if pin.version[1] else f"{inner}digest: {version[1]}\n"
    lines = (name + tag + digest) if random.random() < 0.7 else (tag + digest + name)
    return f"{pin.indent}- {lines.removeprefix(inner)}"


def _flow_entry(pin: Pin, random: Random, version: Version) -> str:
    """A kustomize entry in braces."""
    separator = random.choice((", ", ",", " , ", ",   "))
    tag = f"newTag: {quoted(random, version[0], pin.version[0])}"
    own = f"digest: {quoted(random, version[1], pin.version[1])}"
    digest = (own if pin.version[1] else f"digest: {version[1]}") if version[1] else ""
    parts = [part for part in (f"name: {pin.image}", tag, digest) if part]
    return f"{pin.indent}- {{{separator.join(parts)}}}{_end(random)}"


def versions_for(form: str) -> bool:
    """Whether the form needs a tag in every version."""
    return form not in ("whole", "flow", "collected")


_FORMS = {
    "whole": _whole, "flow": _flow, "split": _split, "three": _three, "apart": _apart, "keyed": _keyed,
    "collected": _collected, "entry": _entry, "flow-entry": _flow_entry,
}  # fmt: skip


def draw_version(random: Random, *, tag: bool = True) -> Version:
    """A tag, a digest, or both."""
    version = (random.choice((*TAGS, "")), random.choice((*DIGESTS, "")))
    if (tag and not version[0]) or version == ("", ""):
        return (random.choice(TAGS), version[1])
    return version


def _noise(random: Random, indent: str) -> str:
    """Lines that no edit may touch, some of which look like pins."""
    reference = random.choice((*IMAGES, *LOOKALIKES)) + ":" + random.choice(TAGS)
    lines = (
        f"{indent}text: {random.choice(TEXTS)}{_end(random)}",
        f"{indent}{random.choice(COMMENTS)}\n",
        "\n",
        f"{indent}note: >-\n{indent}  folded {reference}\n{indent}  image: {reference}\n\n",
        f"{indent}script: |\n{indent}  image: {reference}\n{indent}   deeper # no comment\n",
        f"{indent}labels: {{image: x, tag: v1}}{_end(random)}",
        f'{indent}args: ["--image={reference}", a]{_end(random)}',
        f"{indent}value: &anchor{random.randrange(99)} x\n",
        f"{indent}tagged: !Custom {{image: !Ref {reference}}}{_end(random)}",
        f"{indent}? [complex, key]\n{indent}: value{_end(random)}",
        f'{indent}"quoted key": "a\\\n{indent}   b"{_end(random)}',
    )
    return random.choice(lines)


def draw_manifest(random: Random) -> Manifest:
    """A file with some documents, each with pins, lookalikes and noise."""
    manifest = Manifest(newline=random.choice(("\n", "\n", "\r\n")), bom=random.random() < 0.15)
    manifest.name = random.choice(("app.yaml", "values-prod.yaml", "deploy.yml"))
    for number in range(random.randint(1, 3)):
        if number or random.random() < 0.3:
            manifest.pieces.append(random.choice(("---\n", "--- # next\n", "---\n# c\n")))
        if random.random() < 0.4:
            manifest.pieces.append("apiVersion: acme.example/v1\nkind: Thing\nstatus: {image: 'acme/api:v1'}\n")
        anchored = random.random() < 0.4
        if anchored:
            manifest.pieces.append(f"defaults: &defaults {{cpu: 1}}{_end(random)}")
        manifest.pieces.append("items:\n")
        dash = random.choice(("- ", "  - ", "-   "))
        for item in range(random.randint(1, 5)):
            manifest.pieces.append(f"{dash}name: item-{number}-{item}{_end(random)}")
            if anchored:
                both = ("<<: *defaults", "same: *defaults", "<<: [*defaults, *defaults]")
                manifest.pieces.append(f"{' ' * len(dash)}{random.choice(both)}{_end(random)}")
            _add_item(manifest, random, " " * len(dash))
    manifest.final_newline = random.random() < 0.8
    return manifest


def _add_item(manifest: Manifest, random: Random, indent: str) -> None:
    used: set[str] = set()
    for _ in range(random.randint(0, 2)):
        noise = _noise(random, indent)
        key = noise.strip().partition(":")[0]
        if ":" not in noise or noise.lstrip().startswith("#") or key not in used:
            used.add(key)
            manifest.pieces.append(noise)
    form = random.choice(_ITEM_FORMS)
    image = random.choice((*IMAGES, *LOOKALIKES))
    version = draw_version(random, tag=versions_for(form))
    manifest.pieces.append(Pin(image, form, indent, random.randrange(1 << 30), version))


def draw_kustomization(random: Random) -> Manifest:
    """A kustomization with entries in blocks and in braces, and comments between them."""
    manifest = Manifest("overlays/prod/kustomization.yaml", newline=random.choice(("\n", "\n", "\r\n")))
    manifest.bom = random.random() < 0.1
    manifest.pieces.append("resources:\n  - ../../base # acme/api:v1\nimages:" + _end(random))
    indent = random.choice(("", "  ", "    "))
    for _ in range(random.randint(1, 5)):
        if random.random() < 0.3:
            manifest.pieces.append(f"{indent}{random.choice(COMMENTS)}\n")
        form, image = random.choice(("entry", "entry", "flow-entry")), random.choice((*IMAGES, *LOOKALIKES))
        manifest.pieces.append(Pin(image, form, indent, random.randrange(1 << 30), draw_version(random)))
    manifest.pieces.append(random.choice(("", "namespace: prod\n", "# the end\n")))
    manifest.final_newline = random.random() < 0.8
    return manifest
