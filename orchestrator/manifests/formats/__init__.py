"""One module a format. The first format that claims a document reads it; the order is the list below."""

from orchestrator.manifests.formats.common import Format
from orchestrator.manifests.formats.kubernetes import Kubernetes
from orchestrator.manifests.formats.kustomization import Kustomization
from orchestrator.manifests.formats.plain import Compose, HelmValues, JsonPatch, Plain

FORMATS: tuple[Format, ...] = (
    Kustomization(),
    Kubernetes(),
    Compose(),
    JsonPatch(),
    HelmValues(),
    Plain(),
)
