"""The cluster-credential guard: every signal is seen, no value is ever told."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Kind, Rules, Signal, enforce, hints, signals
from orchestrator.core.environment import Policy, Waiver
from orchestrator.core.errors import ExitCode, Refused
from orchestrator.core.names import BranchName
from orchestrator.engine.events import SilentReporter
from pipelines.preflight import guard

CANARY = "c4n4ry-value"
KUBECONFIG = f"""\
apiVersion: v1
kind: Config
clusters:
- name: {CANARY}
  cluster: {{server: https://{CANARY}.example}}
users:
- name: {CANARY}
  user: {{token: {CANARY}}}
"""
JSON_KUBECONFIG = f'{{"kind": "Config", "apiVersion": "v1", "clusters": [{{"name": "{CANARY}"}}]}}'

TOKENS = [
    "KUBE_CONFIG", "KUBE_CONFIG_DATA", "KUBECONFIG_B64", "KUBECONFIG_BASE64", "KUBE_TOKEN", "KUBERNETES_TOKEN",
    "K8S_TOKEN", "HELM_KUBETOKEN", "HELM_KUBEAPISERVER", "ARGOCD_AUTH_TOKEN", "ARGOCD_PASSWORD", "RANCHER_TOKEN",
    "OPENSHIFT_TOKEN",
]  # fmt: skip


def place(root: Path, name: str, text: str = CANARY) -> None:
    file = root / name.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def names(environment: dict[str, str], root: Path) -> list[str]:
    return [signal.name for signal in signals(environment, root)]


def assert_silent(environment: dict[str, str], root: Path) -> None:
    """Whatever was found, no value is in what it says."""
    found = signals(environment, root)
    assert CANARY not in repr(found)
    with pytest.raises(Refused) as caught:
        enforce(found, Rules((), "policy"), pushes=True)
    error = caught.value
    assert CANARY not in "\n".join(map(str, (error, error.where, error.hint, *error.details)))


# --- one test for each signal -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_variable_is_a_signal(name: str, tmp_path: Path) -> None:
    assert names({name: CANARY}, tmp_path) == [name]
    assert_silent({name: CANARY}, tmp_path)
    assert names({name: ""}, tmp_path) == []


@pytest.mark.parametrize("name", [".kube/config", ".config/argocd/config"])
def test_a_file_in_the_home_is_a_signal(name: str, tmp_path: Path) -> None:
    place(tmp_path, f"/home/runner/{name}")
    environment = {"HOME": "/home/runner"}
    assert names(environment, tmp_path) == [f"~/{name}"]
    assert_silent(environment, tmp_path)
    assert names({"HOME": "/home/other"}, tmp_path) == []
    assert names({}, tmp_path) == []


@pytest.mark.parametrize("name", ["/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml"])
def test_a_file_of_a_cluster_node_is_a_signal(name: str, tmp_path: Path) -> None:
    place(tmp_path, name)
    assert names({}, tmp_path) == [name]
    assert_silent({}, tmp_path)


def test_a_service_account_in_a_cluster_is_a_signal(tmp_path: Path) -> None:
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert names(environment, tmp_path) == []
    place(tmp_path, token)
    assert names({}, tmp_path) == []  # a token alone leads nowhere
    assert names(environment, tmp_path) == ["in-cluster service account"]
    assert_silent(environment, tmp_path)


def test_a_kubeconfig_that_exists_is_a_signal(tmp_path: Path) -> None:
    environment = {"KUBECONFIG": "/builds/kubeconfig"}
    assert names(environment, tmp_path) == []  # it names a file that is not there
    place(tmp_path, "/builds/kubeconfig", KUBECONFIG)
    assert names(environment, tmp_path) == ["KUBECONFIG"]
    assert_silent(environment, tmp_path)


def test_any_entry_of_a_kubeconfig_list_counts_once(tmp_path: Path) -> None:
    place(tmp_path, "/b")
    assert names({"KUBECONFIG": os.pathsep.join(["/a", "", "/b"])}, tmp_path) == ["KUBECONFIG"]
    place(tmp_path, "/a")
    assert names({"KUBECONFIG": os.pathsep.join(["/a", "", "/b"])}, tmp_path) == ["KUBECONFIG"]


def test_a_relative_kubeconfig_is_looked_for_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert names({"KUBECONFIG": "ci/kubeconfig"}, Path("/")) == []
    place(tmp_path, "ci/kubeconfig", KUBECONFIG)
    assert names({"KUBECONFIG": "ci/kubeconfig"}, Path("/")) == ["KUBECONFIG"]


def test_a_kubeconfig_that_points_to_nothing_is_no_signal(tmp_path: Path) -> None:
    """``KUBECONFIG=/dev/null`` is how one takes it away."""
    place(tmp_path, "/dev/null", "")
    assert names({"KUBECONFIG": "/dev/null"}, tmp_path) == []
    assert names({"KUBECONFIG": os.devnull}, Path("/")) == []


def test_a_link_to_a_kubeconfig_counts(tmp_path: Path) -> None:
    place(tmp_path, "/real")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.kube").mkdir()
    (tmp_path / "home/.kube/config").symlink_to(tmp_path / "real")
    assert names({"HOME": "/home"}, tmp_path) == ["~/.kube/config"]


@pytest.mark.parametrize(
    "text", [KUBECONFIG, JSON_KUBECONFIG, "kind: 'Config'\nclusters: []", 'clusters:\nkind : "Config"']
)
@pytest.mark.parametrize("encoding", ["raw", "base64", "base64 in lines"])
def test_a_variable_that_holds_a_kubeconfig_is_a_signal_whatever_its_name(
    text: str, encoding: str, tmp_path: Path
) -> None:
    encoded = {
        "raw": text,
        "base64": base64.b64encode(text.encode()).decode(),
        "base64 in lines": base64.encodebytes(text.encode()).decode(),
    }[encoding]
    assert names({"MY_DEPLOY_THING": encoded}, tmp_path) == ["MY_DEPLOY_THING"]
    assert_silent({"MY_DEPLOY_THING": encoded}, tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "kind: Config",
        "clusters: []",
        "kind: ConfigMap\nclusters: []",
        "kind: Configuration\nclusters: []",
        "the kind of Config that clusters need",
        base64.b64encode(b"kind: ConfigMap\nclusters: []").decode(),
        "%%%not base64%%%",
        "k" * (2 << 20),
    ],
    ids=lambda value: value[:20],
)
def test_other_values_are_no_signal(value: str, tmp_path: Path) -> None:
    assert names({"VARIABLE": value}, tmp_path) == []


def test_a_clean_job_has_no_signal(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin", "HOME": "/home/runner", "CI": "true", "HYBRID_CI_GIT_TOKEN": "x"}
    assert names(environment, tmp_path) == []


def test_every_signal_is_told_at_once(tmp_path: Path) -> None:
    place(tmp_path, "/home/.kube/config")
    place(tmp_path, "/etc/kubernetes/admin.conf")
    environment = {"HOME": "/home", "KUBE_TOKEN": CANARY, "ARGOCD_AUTH_TOKEN": CANARY}
    found = names(environment, tmp_path)
    assert sorted(found) == ["/etc/kubernetes/admin.conf", "ARGOCD_AUTH_TOKEN", "KUBE_TOKEN", "~/.kube/config"]
    with pytest.raises(Refused) as caught:
        enforce(signals(environment, tmp_path), Rules((), "gitops (main): .hybrid-ci/environments.yaml"), pushes=True)
    assert all(name in caught.value.message for name in found)
    assert len(caught.value.details) == len(found)


# --- refusals and waivers -----------------------------------------------------------------------------------------

SIGNAL = Signal("KUBE_TOKEN", "unset KUBE_TOKEN for this job")


def test_a_signal_is_refused_with_what_to_do() -> None:
    with pytest.raises(Refused, match="this CI job holds a cluster credential: KUBE_TOKEN") as caught:
        enforce([SIGNAL], Rules((), "gitops (main): .hybrid-ci/environments.yaml"), pushes=True)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert caught.value.details == ("KUBE_TOKEN: unset KUBE_TOKEN for this job",)
    assert "guard.waivers in gitops (main): .hybrid-ci/environments.yaml" in (caught.value.hint or "")


def test_no_signal_needs_no_waiver() -> None:
    assert enforce([], Rules((Waiver("KUBE_TOKEN", "a reason"),), "policy"), pushes=True) == ()


def test_a_waiver_of_exactly_this_signal_is_given_back() -> None:
    waiver, other = Waiver("KUBE_TOKEN", "a reason"), Waiver("KUBECONFIG", "another")
    assert enforce([SIGNAL], Rules((other, waiver), "policy"), pushes=True) == (waiver,)


@pytest.mark.parametrize("name", ["*", "", "KUBE_*", "kube_token", "KUBE_TOKEN ", "KUBE", "KUBE_TOKENS", "all", ".*"])
def test_a_waiver_of_anything_else_waives_nothing(name: str) -> None:
    with pytest.raises(Refused):
        enforce([SIGNAL], Rules((Waiver(name, "a reason"),), "policy"), pushes=True)


def test_a_waiver_of_one_signal_leaves_the_other_refused() -> None:
    with pytest.raises(Refused) as caught:
        enforce(
            [SIGNAL, Signal("KUBECONFIG", "unset it")],
            Rules((Waiver("KUBE_TOKEN", "a reason"),), "policy"),
            pushes=True,
        )
    assert caught.value.message == "this CI job holds a cluster credential: KUBECONFIG"


@pytest.mark.parametrize("name", ["~/.kube/config", "in-cluster service account", "/etc/rancher/k3s/k3s.yaml"])
def test_a_signal_that_is_no_variable_is_waived_by_its_name(name: str) -> None:
    waiver = Waiver(name, "a reason")
    assert enforce([Signal(name, "remove it")], Rules((waiver,), "policy"), pushes=True) == (waiver,)


def test_gitlabs_injected_kubeconfig_has_its_own_explanation(tmp_path: Path) -> None:
    place(tmp_path, "/builds/x.tmp/KUBECONFIG")
    environment = {"GITLAB_CI": "true", "KUBECONFIG": "/builds/x.tmp/KUBECONFIG"}
    (signal,) = signals(environment, tmp_path)
    assert signal.name == "KUBECONFIG"
    assert "ci_access" in signal.removal
    assert "environment" in signal.removal
    (elsewhere,) = signals({"KUBECONFIG": environment["KUBECONFIG"]}, tmp_path)
    assert "GitLab" not in elsewhere.removal


def test_the_page_names_every_signal_that_a_waiver_can_name(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/security.md").read_text("utf-8")
    for name in (".kube/config", ".config/argocd/config", *HOMES):
        place(tmp_path, f"/home/{name}")
    for name in ("/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/var/run/docker.sock"):
        place(tmp_path, name)
    place(tmp_path, "/var/run/secrets/kubernetes.io/serviceaccount/token")
    for name in ("kubectl", "helm", "argocd", "oc"):
        place(tmp_path, f"/bin/{name}")
    environment = dict.fromkeys([*TOKENS, *CLOUDS], CANARY)
    environment |= {"HOME": "/home", "PATH": "/bin", "KUBERNETES_SERVICE_HOST": "x", "KUBECONFIG": "/home/.kube/config"}
    found = names(environment, tmp_path)
    assert len(found) >= len(environment)
    by_prefix = [name for name in found if name.startswith(("AWS_CONTAINER_CREDENTIALS_", "CLOUDSDK_AUTH_"))]
    assert [name for name in found if f"`{name}`" not in page and name not in by_prefix] == []
    assert "`AWS_CONTAINER_CREDENTIALS_…`" in page
    assert "`CLOUDSDK_AUTH_…`" in page


# --- in CI and on a person's terminal -----------------------------------------------------------------------------


class Listener(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def policy(*waivers: Waiver) -> Policy:
    return Policy({}, BranchName("main"), "gitops (main)", waivers=waivers)


@pytest.mark.parametrize("name", ["github", "gitlab", "jenkins", "ci"])
def test_in_ci_a_signal_is_refused_whatever_the_ci(name: str) -> None:
    with pytest.raises(Refused, match="KUBE_TOKEN"):
        guard([SIGNAL], policy(), CIEnvironment(name), Listener())


def test_in_ci_a_waived_signal_is_handed_on_for_the_pull_request() -> None:
    waiver = Waiver("KUBE_TOKEN", "a reason")
    listener = Listener()
    assert guard([SIGNAL], policy(waiver), CIEnvironment("github"), listener) == (waiver,)
    assert listener.warnings == []


def test_a_person_is_warned_with_the_signal_and_how_to_remove_it(tmp_path: Path) -> None:
    listener = Listener()
    found = signals({"KUBE_TOKEN": CANARY}, tmp_path)
    assert guard(found, policy(), CIEnvironment(None), listener) == ()
    (warning,) = listener.warnings
    assert "KUBE_TOKEN" in warning
    assert "unset KUBE_TOKEN" in warning
    assert CANARY not in warning


# --- identities of a cloud ----------------------------------------------------------------------------------------

CLOUDS = {
    "AWS_ACCESS_KEY_ID": "aws",
    "AWS_SESSION_TOKEN": "aws",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "aws",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "aws",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "aws",
    "AWS_CONTAINER_CREDENTIALS_OF_TOMORROW": "aws",
    "GOOGLE_APPLICATION_CREDENTIALS": "gcp",
    "GOOGLE_GHA_CREDS_PATH": "gcp",
    "CLOUDSDK_AUTH_ACCESS_TOKEN": "gcp",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": "gcp",
    "AZURE_CLIENT_SECRET": "azure",
    "AZURE_FEDERATED_TOKEN_FILE": "azure",
    "DIGITALOCEAN_ACCESS_TOKEN": "digitalocean",
    "IBMCLOUD_API_KEY": "ibm",
    "TELEPORT_IDENTITY_FILE": "teleport",
}
AWS = Signal("AWS_ACCESS_KEY_ID", "unset it", Kind.CLOUD, "aws")


@pytest.mark.parametrize(("name", "provider"), CLOUDS.items())
def test_a_cloud_identity_is_a_signal_of_its_provider(name: str, provider: str, tmp_path: Path) -> None:
    (found,) = signals({name: CANARY}, tmp_path)
    assert (found.name, found.kind, found.provider) == (name, Kind.CLOUD, provider)
    assert_silent({name: CANARY}, tmp_path)
    assert names({name: ""}, tmp_path) == []


HOMES = {
    ".aws/credentials": "aws",
    ".config/gcloud/application_default_credentials.json": "gcp",
    ".azure": "azure",
    ".tsh": "teleport",
}


@pytest.mark.parametrize(("name", "provider"), HOMES.items())
def test_a_cloud_login_in_the_home_is_a_signal(name: str, provider: str, tmp_path: Path) -> None:
    place(tmp_path, f"/home/runner/{name}")
    (found,) = signals({"HOME": "/home/runner"}, tmp_path)
    assert (found.name, found.kind, found.provider) == (f"~/{name}", Kind.CLOUD, provider)
    assert_silent({"HOME": "/home/runner"}, tmp_path)


def test_a_cloud_identity_is_refused_with_the_key_that_would_allow_it() -> None:
    with pytest.raises(Refused, match="holds a cloud identity, which can mint a cluster credential: AWS_ACC") as caught:
        enforce([AWS], Rules((), "policy"), pushes=True)
    assert "guard.allow_registry_identity: aws" in caught.value.details[0]


def test_the_policy_can_allow_the_identity_of_its_registrys_cloud_where_images_are_pushed() -> None:
    rules = Rules((), "policy", ("aws",))
    assert enforce([AWS], rules, pushes=True) == ()
    with pytest.raises(Refused) as caught:
        enforce([AWS], rules, pushes=False)
    assert "this job pushes none" in caught.value.details[0]


def test_another_clouds_identity_stays_refused() -> None:
    azure = Signal("AZURE_CLIENT_SECRET", "unset it", Kind.CLOUD, "azure")
    with pytest.raises(Refused, match=r": AZURE_CLIENT_SECRET$"):
        enforce([AWS, azure], Rules((), "policy", ("aws",)), pushes=True)


def test_allowing_a_cloud_allows_no_cluster_credential() -> None:
    with pytest.raises(Refused, match=r"holds a cluster credential: KUBE_TOKEN$"):
        enforce([AWS, SIGNAL], Rules((), "policy", ("aws",)), pushes=True)


def test_a_cloud_identity_can_be_waived_like_any_other_signal() -> None:
    waiver = Waiver("AWS_ACCESS_KEY_ID", "the gates read from it")
    assert enforce([AWS], Rules((waiver,), "policy"), pushes=False) == (waiver,)


# --- hints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kubectl", "helm", "argocd", "oc"])
def test_a_cluster_client_is_a_hint_and_refuses_nothing(name: str, tmp_path: Path) -> None:
    place(tmp_path, f"/opt/bin/{name}")
    found = signals({"PATH": "/usr/bin:/opt/bin"}, tmp_path)
    assert [(one.name, one.kind) for one in found] == [(name, Kind.HINT)]
    assert enforce(found, Rules((), "policy"), pushes=False) == ()
    assert name in (hints(found) or "")


def test_the_engines_socket_is_a_hint_where_nothing_is_built(tmp_path: Path) -> None:
    place(tmp_path, "/var/run/docker.sock")
    found = signals({}, tmp_path)
    assert [one.kind for one in found] == [Kind.HINT]
    assert "/var/run/docker.sock" in (hints(found) or "")
    assert hints([SIGNAL, AWS]) is None
