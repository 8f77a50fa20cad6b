"""Edits of one image against the other ways to edit YAML, and the search for one image in a large tree.

    make bench-pins               FILES=6000 for a smaller tree, QUICK=1 without the 1 MB file

Every way sets one tag in the same files. "collateral" is how many lines came out different that had not to. The tree
is searched warm, against ``git grep -lF`` in its work tree.
"""

from __future__ import annotations

import difflib
import gc
import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from bench._report import finish, table
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, set_image
from pipelines.local_pins import list_pins

IMAGE = ImageReference.parse("ghcr.io/acme/api:2.4.1")
_BLOCK = """\
# section {n}: what this service needs
service{n}:
    enabled: true          # on purpose
    replicas: 3
    annotations: {{ "prometheus.io/scrape": "true", team: 'platform' }}
    image:
        repository: ghcr.io/acme/{name}
        tag: "1.0.{n}"     # {{"$imagepolicy": "flux-system:{name}:tag"}}
        pullPolicy: IfNotPresent
    resources: &resources{n}
        limits:   {{cpu: 500m, memory: 128Mi}}
        requests: {{cpu: 100m, memory: 64Mi}}
    sidecar:
        <<: *resources{n}
        command: ["sh", "-c", "exec /bin/sidecar --port 8080 --log-level info --service {name} --very-long-flag value"]

    env:
    - name: LOG_LEVEL
      value: "info"
    -   name: "REGION"
        value: eu-central-1
"""
_DEPLOYMENT = """\
# The public API. Owned by team platform; ask in the channel before you change limits.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  labels: {app.kubernetes.io/name: api, app.kubernetes.io/part-of: shop}
spec:
  replicas: 2
  selector:
    matchLabels: {app.kubernetes.io/name: api}
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}   # never below two
  template:
    metadata:
      labels: {app.kubernetes.io/name: api, app.kubernetes.io/part-of: shop}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "9090"
    spec:
      serviceAccountName: api
      securityContext:
        runAsNonRoot: true
      containers:
        - name: api
          image: ghcr.io/acme/api:1.0.0  # bumped by CI
          args: ["--port=8080", "--log-level=info"]
          ports:
            - {name: http, containerPort: 8080}
            - {name: metrics, containerPort: 9090}
          env:
          - {name: LOG_LEVEL, value: "info"}
          - name: DATABASE_URL
            valueFrom: {secretKeyRef: {name: api-database, key: url}}
          readinessProbe:
            httpGet: {path: /ready, port: http}
            periodSeconds: 5
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits:   {memory: 256Mi}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  selector: {app.kubernetes.io/name: api}
  ports:
  - {name: http, port: 80, targetPort: http}
"""
_KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: shop-prod

resources:
  - ../../base
  - ingress.yaml   # only here
  - budget.yaml

# What runs here; CI writes the tags.
images:
  - name: ghcr.io/acme/api
    newTag: "1.0.0" # the api
  - name: ghcr.io/acme/worker
    newTag: "1.0.0"
  - name: migrations
    newName: ghcr.io/acme/migrations
    newTag: "1.0.0"

replicas:
  - {name: api, count: 4}

configMapGenerator:
  - name: api
    literals:
      - LOG_LEVEL=warn
      - REGION=eu-central-1
"""
_VALUES = "# Default values.\nglobal: {}\n\n" + _BLOCK.format(n=1, name="api")


@dataclass(frozen=True)
class Sample:
    """A file, and where a tool that edits loaded data finds the tag (and how it is written there)."""

    name: str
    path: RepoPath
    text: str
    keys: tuple[Any, ...]
    value: str


def samples(quick: bool) -> list[Sample]:
    """Small ones of four kinds, two of 50 KB, one of 1 MB."""
    tag = IMAGE.tag or ""
    container = ("spec", "template", "spec", "containers", 0, "image")
    found = [
        Sample("deployment", RepoPath("deployment.yaml"), _DEPLOYMENT, container, f"ghcr.io/acme/api:{tag}"),
        Sample("kustomization", RepoPath("kustomization.yaml"), _KUSTOMIZATION, ("images", 0, "newTag"), tag),
        Sample("values 1 KB", RepoPath("values.yaml"), _VALUES, ("service1", "image", "tag"), tag),
    ]
    for name, size in [("values 50 KB", 50_000), ("values 200 KB", 200_000), ("values 1 MB", 1_000_000)][
        : 2 if quick else 3
    ]:
        count = size // len(_BLOCK.format(n=100, name="service-100"))
        middle = count // 2
        blocks = [_BLOCK.format(n=n, name="api" if n == middle else f"service-{n}") for n in range(count)]
        keys = (f"service{middle}", "image", "tag")
        found.append(Sample(name, RepoPath("values.yaml"), "".join(blocks), keys, tag))
    return found


def ours(sample: Sample) -> str:
    """Found, edited, parsed again and proven."""
    return set_image(sample.path, sample.text.encode(), IMAGE).after.decode()


def ruamel_default(sample: Sample) -> str:
    """A round trip as it comes."""
    return _ruamel(YAML(), sample)


def ruamel_best(sample: Sample) -> str:
    """A round trip with quotes kept, no line width, and the indentation that the file seems to have."""
    tool = YAML()
    tool.preserve_quotes = True
    tool.width = 1 << 30
    mapping = min((len(m) for m in re.findall(r"^( +)[^ #-]", sample.text, re.MULTILINE)), default=2)
    dashes = re.findall(r"^( *)- ", sample.text, re.MULTILINE)
    offset = len(dashes[0]) if dashes else 0
    tool.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    return _ruamel(tool, sample)


def _ruamel(tool: YAML, sample: Sample) -> str:
    documents = list(tool.load_all(sample.text))
    _set(documents[0], sample)
    out = io.StringIO()
    tool.dump_all(documents, out)
    return out.getvalue()


def pyyaml_dump(sample: Sample) -> str:
    """Load and dump with libyaml."""
    documents = list(yaml.load_all(sample.text, Loader=yaml.CSafeLoader))
    _set(documents[0], sample)
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False)


def _set(data: Any, sample: Sample) -> None:
    for key in sample.keys[:-1]:
        data = data[key]
    data[sample.keys[-1]] = sample.value


WAYS: dict[str, Callable[[Sample], str]] = {
    "hybrid-ci": ours,
    "ruamel, default": ruamel_default,
    "ruamel, best": ruamel_best,
    "PyYAML dump": pyyaml_dump,
}


def collateral(before: str, after: str) -> int:
    """Lines that differ beyond the one that had to."""
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = sum(1 for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---"))
    return max(0, (changed - 2 + 1) // 2)


def measure_edits(quick: bool) -> tuple[list[tuple[object, ...]], list[float], int]:
    """A row for each file and way, our speed against the faster ruamel for each file, and our collateral lines."""
    rows: list[tuple[object, ...]] = []
    ratios: list[float] = []
    lines = 0
    for sample in samples(quick):
        size = len(sample.text)
        batch, runs = (20, 15) if size < 5000 else (1, 5) if size < 100_000 else (1, 1)
        subjects = {name: _batch(way, sample, batch) for name, way in WAYS.items()}
        seconds = interleaved(subjects, runs=runs, warm_up=1 if size < 100_000 else 0)
        if size > 100_000:  # ours is quick enough for a median of its own
            seconds["hybrid-ci"] = interleaved({"": subjects["hybrid-ci"]}, runs=5)[""]
        medians = {name: statistics.median(taken) / batch for name, taken in seconds.items()}
        ratios.append(min(medians["ruamel, default"], medians["ruamel, best"]) / medians["hybrid-ci"])
        for name, way in WAYS.items():
            spoiled = collateral(sample.text, way(sample)) if size < 300_000 or name == "hybrid-ci" else "-"
            rows.append((sample.name, name, medians[name] * 1e3, medians[name] / medians["hybrid-ci"], spoiled))
            lines += spoiled if name == "hybrid-ci" and isinstance(spoiled, int) else 0
    return rows, ratios, lines


def _batch(way: Callable[[Sample], str], sample: Sample, times: int) -> Callable[[], object]:
    """Small files come many at a time, as in a folder; alone they would measure how cold the processor's caches are."""

    def run() -> None:
        for _ in range(times):
            way(sample)

    return run


def interleaved(subjects: Mapping[str, Callable[[], object]], *, runs: int, warm_up: int = 1) -> dict[str, list[float]]:
    """As the other benchmarks do it, with every way starting without the garbage that the way before it left."""
    for subject in subjects.values():
        for _ in range(warm_up):
            subject()
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(runs):
        for name, subject in subjects.items():
            gc.collect()
            begin = time.perf_counter()
            subject()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def rendering() -> list[tuple[object, ...]]:
    """``kubectl kustomize`` of one overlay, where it is installed: it renders, it does not edit."""
    if shutil.which("kubectl") is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kustomization.yaml").write_text(
            "resources: [d.yaml]\nimages: [{name: ghcr.io/acme/api, newTag: v2}]\n"
        )
        Path(folder, "d.yaml").write_text(_DEPLOYMENT)
        taken = interleaved({"": lambda: _quiet(["kubectl", "kustomize", folder])}, runs=5)[""]
    return [("deployment", "kubectl kustomize", statistics.median(taken) * 1e3, "-", "-")]


def measure_scan(files: int) -> tuple[list[tuple[object, ...]], float]:
    """The search for one image in a tree, against ``git grep -lF`` in its work tree."""
    shared = Path("/dev/shm")
    where = shared if shared.is_dir() and shutil.disk_usage(shared).free > files * 8192 else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        root = Path(folder)
        names = _make_tree(root, files)
        image = f"acme/{names[len(names) // 2]}"
        wanted = [ImageReference.parse(f"ghcr.io/{image}").repository]
        argv = ["git", "-C", folder, "grep", "-lF", image]
        subjects: dict[str, Callable[[], object]] = {
            "git grep -lF": lambda: _quiet(argv),
            "hybrid-ci pins --image": lambda: list_pins([root], ScanOptions(), wanted),
        }
        seconds = interleaved(subjects, runs=5)
        begin = time.perf_counter()
        found = list_pins([root], ScanOptions())
        everything = time.perf_counter() - begin
        assert len(list_pins([root], ScanOptions(), wanted).pins) == 3
    baseline = statistics.median(seconds["git grep -lF"])
    rows: list[tuple[object, ...]] = [
        (name, statistics.median(taken) * 1e3, statistics.median(taken) / baseline) for name, taken in seconds.items()
    ]
    rows.append((f"hybrid-ci pins (all {len(found.pins)})", everything * 1e3, everything / baseline))
    return rows, statistics.median(seconds["hybrid-ci pins --image"]) / baseline


def _make_tree(root: Path, files: int) -> list[str]:
    """Services with three environments, two files each."""
    names = [f"service-{number:05}" for number in range(files // 6)]
    for number, name in enumerate(names):
        for env in ("dev", "staging", "prod"):
            folder = root / "apps" / f"team-{number // 100:03}" / name / env
            folder.mkdir(parents=True)
            (folder / "kustomization.yaml").write_text(_KUSTOMIZATION.replace("acme/api", f"acme/{name}"))
            (folder / "config.yaml").write_text(_VALUES.replace("acme/api", f"other/{name}-sidecar"))
    for arguments in (["init", "-q"], ["add", "."], ["-c", "gc.auto=0", "status", "--short", "-uno"]):
        _quiet(["git", "-C", str(root), *arguments])
    return names


def _quiet(argv: list[str]) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "KUBECONFIG": os.devnull}
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)


def main() -> int:
    """Measure, print the tables, print the figures."""
    quick = bool(os.environ.get("QUICK"))
    rows, ratios, lines = measure_edits(quick)
    print(f"One image in one file, Python {sys.version.split()[0]}\n")
    print(table(("file", "way", "ms", "x ours", "collateral"), [*rows, *rendering()]) + "\n")
    files = int(os.environ.get("FILES", "60000"))
    scanned, ratio = measure_scan(files)
    print(f"One image in a tree of {files} files, warm\n")
    print(table(("way", "ms", "x git grep"), scanned) + "\n")
    figures = {"median_x_ruamel": statistics.median(ratios), "collateral_lines": lines, "scan_x_git_grep": ratio}
    finish("bench-pins", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
