"""Rendering: which files a tool gets, what it may not reach, and what comes out of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from orchestrator.core.change import ChangePlan, FileEdit
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.names import RefName, RepoPath
from orchestrator.reports.rendered import ResourceChange
from pipelines import rendering
from pipelines.rendering import NoRenderer, diff_plan, render, render_plan
from pipelines.rendering_files import gather, roots_of
from tests.simulators.gitops_repository import SimulatedGitOps, SimulatedGitServer
from tests.unit.gitops.changes import change

OVERLAY = "envs/dev/shop"
KUSTOMIZATION = "resources: [../../../base/shop, api.yaml]\n"
API = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: shop}\nspec: {image: api:1}\n"
SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: login
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"data":{"password":"aHVudGVyMg=="}}
data:
  password: aHVudGVyMg==
stringData:
  pin: "1234"
  multi: |
    line-of-a-secret
"""
FILES = {
    f"{OVERLAY}/kustomization.yaml": KUSTOMIZATION,
    f"{OVERLAY}/api.yaml": API,
    "base/shop/kustomization.yaml": "resources: [secret.yaml]\n",
    "base/shop/secret.yaml": SECRET,
    "README.md": "not a manifest\n",
}
# Prints the files that the root names, one level of bases deep; a kustomization that says `fail` fails.
TOOL = """\
#!/bin/sh
[ "$1" = build ] && cd "$2" || exit 2
grep -q fail kustomization.yaml && { echo "Error: it said $PWD/fail" >&2; exit 1; }
for file in *.yaml ../../../base/shop/*.yaml; do
    case $file in *kustomization.yaml) ;; *) [ -f "$file" ] && { echo ---; cat "$file"; } ;; esac
done
"""


def files() -> dict[RepoPath, bytes]:
    return {RepoPath(path): text.encode() for path, text in FILES.items()}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kustomize that is a script of ours."""
    script = tmp_path / "bin" / "kustomize"
    script.parent.mkdir()
    script.write_text(TOOL)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return script


@pytest.fixture
def repository() -> SimulatedGitOps:
    server = SimulatedGitServer()
    server.commit_files({path: text.encode() for path, text in FILES.items()})
    return SimulatedGitOps(server)


def test_each_resource_is_named_with_its_text(tool: Path) -> None:
    made = render(files(), [RepoPath(OVERLAY)])
    assert set(made) == {"apps/v1 Deployment shop/api", "v1 Secret login"}
    assert made["apps/v1 Deployment shop/api"] == API


def test_no_value_of_a_secret_comes_out(tool: Path) -> None:
    text = render(files(), [RepoPath(OVERLAY)])["v1 Secret login"]
    for value in ("aHVudGVyMg", "1234", "line-of-a-secret"):
        assert value not in text
    assert "password: '(hidden: " in text
    assert "pin: '(hidden: " in text


def test_a_secret_that_changes_shows_that_it_does_and_no_more(tool: Path) -> None:
    roots = [RepoPath(OVERLAY)]
    before = render(files(), roots)["v1 Secret login"]
    changed = files()
    changed[RepoPath("base/shop/secret.yaml")] = SECRET.replace('"1234"', '"4321"').encode()
    after = render(changed, roots)["v1 Secret login"]
    assert render(files(), roots)["v1 Secret login"] == before
    differing = [line for line in after.splitlines() if line not in before.splitlines()]
    assert [line.partition(":")[0].strip() for line in differing] == ["pin"]


def test_a_secret_in_a_list_is_masked_too(tool: Path) -> None:
    listed = "kind: List\napiVersion: v1\nitems:\n- kind: Secret\n  metadata: {name: x}\n  data: {key: c2VjcmV0}\n"
    changed = files()
    changed[RepoPath(f"{OVERLAY}/api.yaml")] = listed.encode()
    assert "c2VjcmV0" not in "".join(render(changed, [RepoPath(OVERLAY)]).values())


def test_what_two_roots_make_is_told_apart(tool: Path) -> None:
    changed = {**files(), **{RepoPath(p.replace("dev", "qa")): t.encode() for p, t in FILES.items() if "dev" in p}}
    made = render(changed, [RepoPath(OVERLAY), RepoPath("envs/qa/shop")])
    assert f"apps/v1 Deployment shop/api in {OVERLAY}" in made
    assert "apps/v1 Deployment shop/api in envs/qa/shop" in made


@pytest.mark.parametrize(
    "text",
    [
        "resources: [https://evil.example/base]\n",
        "resources: ['github.com/acme/shop//base?ref=main']\n",
        "resources: ['git@github.com:acme/shop.git']\n",
        "resources: [missing.yaml]\n",
        "resources: [../../../../outside]\n",
        "resources: [/etc/passwd]\n",
        "components: [https://evil.example/component]\n",
        "patches: [{path: https://evil.example/patch.yaml}]\n",
        "configMapGenerator: [{name: x, files: ['key=../../../../etc/passwd']}]\n",
        "openapi: {path: https://evil.example/schema.json}\n",
    ],
)
def test_what_is_not_among_the_files_is_not_fetched(tool: Path, tmp_path: Path, text: str) -> None:
    tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    changed = files()
    changed[RepoPath(f"{OVERLAY}/kustomization.yaml")] = text.encode()
    with pytest.raises(Refused, match="not in the repository"):
        render(changed, [RepoPath(OVERLAY)])
    assert not (tmp_path / "ran").exists()


def test_a_tool_sees_no_network_where_the_system_can_take_it_away(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho 'kind: Seen'\necho 'devices: |'\ncut -d: -f1 /proc/net/dev | sed 's/^/  /'\n")
    (text,) = render(files(), [RepoPath(OVERLAY)]).values()
    devices = {line.strip() for line in text.splitlines()[2:] if "|" not in line and line.strip()}
    assert devices <= {"lo"} or not rendering._without_network()


def test_a_tool_that_fails_says_why_without_our_folder(tool: Path) -> None:
    changed = files()
    changed[RepoPath(f"{OVERLAY}/kustomization.yaml")] = b"resources: [api.yaml] # fail\n"
    with pytest.raises(ConfigurationError, match=f"can't be rendered: Error: it said {OVERLAY}/fail"):
        render(changed, [RepoPath(OVERLAY)])


def test_output_that_can_not_be_read_is_not_shown(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho 'kind: Secret'\necho '  data: [unfinished'\n")
    with pytest.raises(ConfigurationError, match="not YAML"):
        render(files(), [RepoPath(OVERLAY)])


def test_a_root_that_is_none_is_an_error(tool: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a kustomization nor a Helm chart"):
        render(files(), [RepoPath("base")])


# --- which files ---------------------------------------------------------------------------------------------------


def test_the_nearest_kustomization_is_the_root(repository: SimulatedGitOps) -> None:
    tip = repository.server.refs[RefName("refs/heads/main")]
    assert roots_of(repository, tip, [RepoPath(f"{OVERLAY}/api.yaml")]) == (RepoPath(OVERLAY),)
    assert roots_of(repository, tip, [RepoPath("README.md")]) == ()


ROOTED = {
    "kustomization.yaml": "resources: [apps]\n",
    "apps/kustomization.yaml": "resources: [api.yaml]\n",
    "apps/api.yaml": API,
    "docs/example.yaml": API,
    "overlay/api.yaml": API,
}


def test_a_kustomization_in_the_repository_s_root_is_found_by_its_file() -> None:
    server = SimulatedGitServer()
    tip = server.commit_files({path: text.encode() for path, text in ROOTED.items()})
    port, root = SimulatedGitOps(server), RepoPath("kustomization.yaml")
    assert roots_of(port, tip, [RepoPath("overlay/api.yaml")]) == (root,)
    assert {str(path) for path in gather(port, tip, [root])} == {
        "kustomization.yaml",
        "apps/kustomization.yaml",
        "apps/api.yaml",
    }


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_a_change_below_the_repository_s_root_is_rendered() -> None:
    server = SimulatedGitServer()
    tip = server.commit_files(
        {**{path: text.encode() for path, text in ROOTED.items()}, "apps/kustomization.yaml": None}
    )
    server.commit_files({"kustomization.yaml": b"resources: [apps/api.yaml]\n"})
    tip = server.refs[RefName("refs/heads/main")]
    after = API.replace("api:1", "api:2").encode()

    def plan(path: str) -> ChangePlan:
        return ChangePlan(change(2), tip, (FileEdit(RepoPath(path), API.encode(), after),), ())

    (one,) = diff_plan(SimulatedGitOps(server), plan("apps/api.yaml")) or ()
    assert (one.resource, one.change) == ("apps/v1 Deployment shop/api", ResourceChange.CHANGED)
    assert diff_plan(SimulatedGitOps(server), plan("docs/example.yaml")) is None


def test_bases_come_along_and_nothing_else(repository: SimulatedGitOps) -> None:
    tip = repository.server.refs[RefName("refs/heads/main")]
    assert {str(path) for path in gather(repository, tip, [RepoPath(OVERLAY)])} == set(FILES) - {"README.md"}


def test_kustomizations_that_name_each_other_come_to_an_end() -> None:
    server = SimulatedGitServer()
    tip = server.commit_files(
        {"a/kustomization.yaml": b"resources: [../b]\n", "b/kustomization.yaml": b"resources: [../a]\n"}
    )
    found = gather(SimulatedGitOps(server), tip, [RepoPath("a")])
    assert {str(path) for path in found} == {"a/kustomization.yaml", "b/kustomization.yaml"}


@pytest.mark.parametrize(
    ("edited", "root"),
    [
        ("charts/shop/values.yaml", "charts/shop"),
        ("charts/shop/values-dev.yaml", "charts/shop/values-dev.yaml"),
        ("charts/shop/values/dev.yaml", "charts/shop/values/dev.yaml"),
        ("charts/shop/templates/api.yaml", "charts/shop"),
        ("values.yaml", "Chart.yaml"),
        ("values-dev.yaml", "values-dev.yaml"),
        ("values/dev.yaml", "values/dev.yaml"),
        ("templates/api.yaml", "Chart.yaml"),
    ],
)
def test_a_values_file_is_rendered_with_its_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, root: str
) -> None:
    helm = tmp_path / "helm"
    helm.write_text('#!/bin/sh\necho "kind: Chart"\necho "args: $*"\n')
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    server = SimulatedGitServer()
    chart = "charts/shop/Chart.yaml" if edited.startswith("charts/") else "Chart.yaml"
    tip = server.commit_files({chart: b"name: shop\n", edited: b"image: {tag: '1'}\n"})
    port = SimulatedGitOps(server)
    (found,) = roots_of(port, tip, [RepoPath(edited)])
    assert found == RepoPath(root)
    (text,) = render(gather(port, tip, [found]), [found]).values()
    assert ("--values" in text) == (root == edited)


# --- a change ------------------------------------------------------------------------------------------------------


def test_a_change_is_shown_by_resource(tool: Path, repository: SimulatedGitOps) -> None:
    (one,) = diff_plan(repository, _plan(repository)) or ()
    assert (one.resource, one.change) == ("apps/v1 Deployment shop/api", ResourceChange.CHANGED)
    assert "-spec: {image: api:1}\n+spec: {image: api:2}\n" in one.diff


def test_a_change_that_can_not_be_rendered_says_why(tool: Path, repository: SimulatedGitOps) -> None:
    repository.server.commit_files({f"{OVERLAY}/kustomization.yaml": b"resources: [https://evil.example]\n"})
    shown, reason = render_plan(repository, _plan(repository))
    assert shown is None
    assert reason is not None and "not in the repository" in reason


def test_without_a_tool_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: SimulatedGitOps
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert render_plan(repository, _plan(repository)) == (None, None)
    assert repository.calls == []
    with pytest.raises(NoRenderer):
        render(files(), [RepoPath(OVERLAY)])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_renders_what_kustomize_would(repository: SimulatedGitOps, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(shutil.which("kubectl") or "").parent)
    monkeypatch.setenv("PATH", folder + os.pathsep + os.environ["PATH"])
    text = render(files(), [RepoPath(OVERLAY)])
    assert set(text) == {"apps/v1 Deployment shop/api", "v1 Secret login"}
    assert "aHVudGVyMg" not in "".join(text.values())


def _plan(repository: SimulatedGitOps) -> ChangePlan:
    tip = repository.server.refs[RefName("refs/heads/main")]
    edit = FileEdit(RepoPath(f"{OVERLAY}/api.yaml"), API.encode(), API.replace("api:1", "api:2").encode())
    return ChangePlan(change(2), tip, (edit,), ())
