"""The cluster-credential guard: CI that hands off by pull request needs no way into a cluster.

It looks for presence only. No value is opened beyond what tells a kubeconfig from other text, and none is ever
printed, hashed or sent; no cluster is contacted.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.environment import Waiver
from orchestrator.core.errors import Refused

_TOKEN_VARIABLES = (
    "KUBE_CONFIG", "KUBE_CONFIG_DATA", "KUBECONFIG_B64", "KUBECONFIG_BASE64", "KUBE_TOKEN", "KUBERNETES_TOKEN",
    "K8S_TOKEN", "HELM_KUBETOKEN", "HELM_KUBEAPISERVER", "ARGOCD_AUTH_TOKEN", "ARGOCD_PASSWORD", "RANCHER_TOKEN",
    "OPENSHIFT_TOKEN",
)  # fmt: skip
_HOME_FILES = (".kube/config", ".config/argocd/config")
_SYSTEM_FILES = ("/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml")
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_KUBECONFIG_KIND = re.compile(r"""["']?kind["']?\s*:\s*["']?Config\b""")
_KUBECONFIG_CLUSTERS = re.compile(r"""["']?clusters["']?\s*:""")
_LONGEST_VALUE = 1 << 20


@dataclass(frozen=True, slots=True)
class Signal:
    """A way into a cluster that this process could take. ``name`` is what a waiver has to say."""

    name: str
    removal: str


def signals(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tuple[Signal, ...]:
    """Every signal that is present. ``root`` is where the file system starts (tests give another)."""
    found = [*_variables(environment), *_files(environment, root)]
    return tuple({signal.name: signal for signal in found}.values())


def enforce(found: Sequence[Signal], waivers: Sequence[Waiver], origin: str) -> tuple[Waiver, ...]:
    """In CI: give back the waivers that were needed. Raises Refused for a signal that nobody waived."""
    waived = {waiver.signal: waiver for waiver in waivers}
    open_signals = [signal for signal in found if signal.name not in waived]
    if open_signals:
        raise Refused(
            "this CI job holds a cluster credential: " + ", ".join(signal.name for signal in open_signals),
            where="cluster-credential guard",
            details=[f"{signal.name}: {signal.removal}" for signal in open_signals],
            hint=f"remove it from this job; or let the owners waive exactly it under guard.waivers in {origin}",
        )
    return tuple(waived[signal.name] for signal in found)


def _variables(environment: Mapping[str, str]) -> Iterator[Signal]:
    for name in _TOKEN_VARIABLES:
        if environment.get(name):
            yield Signal(name, f"unset {name} for this job")
    for name, value in environment.items():
        if name not in _TOKEN_VARIABLES and _is_kubeconfig(value):
            yield Signal(name, f"{name} holds a kubeconfig; unset it for this job")


def _files(environment: Mapping[str, str], root: Path) -> Iterator[Signal]:
    for entry in environment.get("KUBECONFIG", "").split(os.pathsep):
        if entry not in ("", os.devnull) and _exists(root, entry):  # nowhere is how one takes it away
            yield Signal("KUBECONFIG", _kubeconfig_removal(environment))
    home = environment.get("HOME", "")
    for name in _HOME_FILES:
        if home and _exists(root, f"{home}/{name}"):
            yield Signal(f"~/{name}", f"delete {home}/{name} on the runner, or run the job as a user without it")
    for name in _SYSTEM_FILES:
        if _exists(root, name):
            yield Signal(name, "run the job on a machine that is no cluster node")
    if environment.get("KUBERNETES_SERVICE_HOST") and _exists(root, _SERVICE_ACCOUNT):
        yield Signal("in-cluster service account", "set automountServiceAccountToken: false on the runner's pods")


def _kubeconfig_removal(environment: Mapping[str, str]) -> str:
    if environment.get("GITLAB_CI") == "true":
        return (
            "GitLab injects it into every job of a project that an agent's ci_access covers; narrow ci_access, or give "
            "it an environments filter that leaves this job out"
        )
    return "unset KUBECONFIG for this job"


def _exists(root: Path, name: str) -> bool:
    """The file is there: below ``root``, or where we are when the name is relative."""
    file = root / name.lstrip("/") if name.startswith("/") else Path(name)
    try:
        return file.exists()
    except OSError:  # no right to look is no credential to use
        return False


def _is_kubeconfig(value: str) -> bool:
    if len(value) < len("kind:Configclusters:") or len(value) > _LONGEST_VALUE:
        return False
    return any(_KUBECONFIG_KIND.search(text) and _KUBECONFIG_CLUSTERS.search(text) for text in (value, _decoded(value)))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
