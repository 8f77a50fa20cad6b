"""The formats. The first one that claims a document reads it."""

from orchestrator.manifests.formats.argocd import ArgoCD
from orchestrator.manifests.formats.chart import Chart
from orchestrator.manifests.formats.common import Format
from orchestrator.manifests.formats.flux import Flux
from orchestrator.manifests.formats.helmfile import Helmfile
from orchestrator.manifests.formats.kubernetes import Kubernetes
from orchestrator.manifests.formats.kustomization import Kustomization
from orchestrator.manifests.formats.plain import Compose, HelmValues, JsonPatch, Plain

FORMATS: tuple[Format, ...] = (
    Chart(),
    Kustomization(),
    Flux(),
    ArgoCD(),
    Kubernetes(),
    Compose(),
    Helmfile(),
    JsonPatch(),
    HelmValues(),
    Plain(),
)
