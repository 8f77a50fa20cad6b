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
from enum import Enum
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

# Identities of a cloud, by the provider that the policy names: who has one can ask for a cluster's credential.
_CLOUD_VARIABLES = {
    "aws": ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "gcp": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GHA_CREDS_PATH"),
    "azure": ("AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"),
    "digitalocean": ("DIGITALOCEAN_ACCESS_TOKEN",),
    "ibm": ("IBMCLOUD_API_KEY",),
    "teleport": ("TELEPORT_IDENTITY_FILE", "TELEPORT_IDENTITY"),
}  # fmt: skip
_CLOUD_PREFIXES = {"aws": "AWS_CONTAINER_CREDENTIALS_", "gcp": "CLOUDSDK_AUTH_"}
_CLOUD_FILES = {
    "aws": ".aws/credentials", "gcp": ".config/gcloud/application_default_credentials.json", "azure": ".azure",
    "teleport": ".tsh",
}  # fmt: skip
# Those with a registry of their own. The policy can name no other.
REGISTRY_IDENTITIES = ("aws", "gcp", "azure", "digitalocean", "ibm")
_CLIENTS = ("kubectl", "helm", "argocd", "oc")
_ENGINE_SOCKET = "/var/run/docker.sock"


class Kind(Enum):
    """How near a signal is to a cluster."""

    DIRECT = "a cluster credential"
    CLOUD = "a cloud identity, which can mint a cluster credential"
    HINT = "a tool or socket"


@dataclass(frozen=True, slots=True)
class Signal:
    """A way into a cluster that this process could take. ``name`` is what a waiver has to say.

    ``provider`` is whose identity it is, for a cloud's.
    """

    name: str
    removal: str
    kind: Kind = Kind.DIRECT
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policy at ``origin`` says: written waivers, and the clouds whose registry a job pushes to."""

    waivers: Sequence[Waiver]
    origin: str
    identities: Sequence[str] = ()


def signals(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tuple[Signal, ...]:
    """Every signal that is present. ``root`` is where the file system starts (tests give another)."""
    found = [
        *_variables(environment), *_files(environment, root), *_clouds(environment, root), *_hints(environment, root)
    ]  # fmt: skip
    return tuple({signal.name: signal for signal in found}.values())


def enforce(found: Sequence[Signal], rules: Rules, *, pushes: bool) -> tuple[Waiver, ...]:
    """In CI: give back the waivers that were needed. Raises Refused for a signal that nobody waived.

    The identity of a cloud is accepted where the policy names that cloud and the job ``pushes`` images. Hints are
    never refused.
    """
    waived = {waiver.signal: waiver for waiver in rules.waivers}
    counted = [one for one in found if one.kind is not Kind.HINT and not (pushes and one.provider in rules.identities)]
    refused = [signal for signal in counted if signal.name not in waived]
    if refused:
        direct = any(signal.kind is Kind.DIRECT for signal in refused)
        raise Refused(
            f"this CI job holds {(Kind.DIRECT if direct else Kind.CLOUD).value}: "
            + ", ".join(signal.name for signal in refused),
            where="cluster-credential guard",
            details=[f"{signal.name}: {_advice(signal, rules, pushes)}" for signal in refused],
            hint=f"remove it from this job; or let the owners waive exactly it under guard.waivers in {rules.origin}",
        )
    return tuple(waived[signal.name] for signal in counted)


def hints(found: Sequence[Signal]) -> str | None:
    """One sentence about what a job that only hands off does not need; None when there is nothing to say."""
    names = ", ".join(signal.name for signal in found if signal.kind is Kind.HINT)
    return (
        f"this job needs no {names}: without a credential it does no harm, but a smaller image has none"
        if names
        else None
    )


def _advice(signal: Signal, rules: Rules, pushes: bool) -> str:
    if signal.provider not in REGISTRY_IDENTITIES:
        return signal.removal
    if not pushes and signal.provider in rules.identities:
        return f"{signal.removal}; the policy allows it where images are pushed, and this job pushes none"
    if not pushes:
        return signal.removal
    return (
        f"{signal.removal}; where the registry needs it, the owners can say guard.allow_registry_identity: "
        f"{signal.provider} (bind that role to the registry's actions only)"
    )


# --- a cluster credential -----------------------------------------------------------------------------------------


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
            yield Signal(name, "run the job on a machine that is not a node of the cluster")
    if environment.get("KUBERNETES_SERVICE_HOST") and _exists(root, _SERVICE_ACCOUNT):
        yield Signal("in-cluster service account", "set automountServiceAccountToken: false on the runner's pods")


def _kubeconfig_removal(environment: Mapping[str, str]) -> str:
    """https://docs.gitlab.com/user/clusters/agent/ci_cd_workflow/"""
    if environment.get("GITLAB_CI") == "true":
        return (
            "GitLab injects it into every job of a project that an agent's ci_access covers: take the project out of "
            "the agent's ci_access, give ci_access an environments filter that leaves this job out, or set "
            "KUBECONFIG: /dev/null in the job's variables"
        )
    return "unset KUBECONFIG for this job"


def _is_kubeconfig(value: str) -> bool:
    if len(value) < len("kind:Configclusters:") or len(value) > _LONGEST_VALUE:
        return False
    return any(_KUBECONFIG_KIND.search(text) and _KUBECONFIG_CLUSTERS.search(text) for text in (value, _decoded(value)))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


# --- identities of a cloud, and hints -----------------------------------------------------------------------------


def _clouds(environment: Mapping[str, str], root: Path) -> Iterator[Signal]:
    for provider, names in _CLOUD_VARIABLES.items():
        prefix = _CLOUD_PREFIXES.get(provider)
        prefixed = sorted(name for name in environment if prefix and name.startswith(prefix))
        for name in (*names, *prefixed):
            if environment.get(name):
                yield Signal(name, _cloud_removal(name), Kind.CLOUD, provider)
    home = environment.get("HOME", "")
    for provider, name in _CLOUD_FILES.items():
        if home and _exists(root, f"{home}/{name}"):
            removal = f"delete {home}/{name} on the runner, or run the job as a user without it"
            yield Signal(f"~/{name}", removal, Kind.CLOUD, provider)


def _cloud_removal(name: str) -> str:
    return f"unset {name} for this job; a step of its own can turn it into the registry's short-lived password"


def _hints(environment: Mapping[str, str], root: Path) -> Iterator[Signal]:
    folders = [folder for folder in environment.get("PATH", "").split(os.pathsep) if folder.startswith("/")]
    for name in _CLIENTS:
        if any(_exists(root, f"{folder}/{name}") for folder in folders):
            yield Signal(name, f"use an image without {name}", Kind.HINT)
    if _exists(root, _ENGINE_SOCKET):
        yield Signal(_ENGINE_SOCKET, "mount no engine into a job that only hands off", Kind.HINT)


def _exists(root: Path, name: str) -> bool:
    """The file is there: below ``root``, or where we are when the name is relative."""
    file = root / name.lstrip("/") if name.startswith("/") else Path(name)
    try:
        return file.exists()
    except OSError:  # no right to look is no credential to use
        return False
