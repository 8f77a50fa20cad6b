"""What promotions make of the files that they find: over real git, by the real command, byte for byte."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.promotions import API, UNSET, WORKER, Estate, pinned
from tests.servers.git_repositories import git

pytestmark = pytest.mark.timeout(110)

STAGING = "apps/shop/staging"
KUSTOMIZATION = f"{STAGING}/kustomization.yaml"
BRANCH = "hybrid-ci/staging/shop"
DEV_TO_STAGING = ("--from", "dev", "--to", "staging", "--allow-unknown-order", "the first ones were put in by hand")


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    made = Estate(tmp_path)
    made.release(2)
    return made


def content(estate: Estate, ref: str, path: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(estate.bare), "cat-file", "blob", f"{ref}:{path}"], capture_output=True, check=True
    ).stdout


def written(estate: Estate) -> list[str]:
    """The files that the promotion changes."""
    return git(estate.bare, "diff", "--name-only", "main", BRANCH).split()


def reference(version: int) -> str:
    return str(pinned(API, version).reference)


@pytest.mark.scenario(number=89)
def test_crlf_bom_tabs_no_final_newline_anchors_comments_block_scalars(estate: Estate) -> None:
    text = (
        "\ufeff# who changes this asks the team\r\nkind: Pod\r\nspec:\r\n  containers:\r\n"
        f'  - {{name: api,\timage: "{reference(1)}"}}\t# api: moved by a tool\r\n'
        "  shared: &limits   {memory: 1Gi}\r\n  other: *limits\r\n"
        f"  note: |\r\n    image: {reference(1)}\r\n    \ttabs, and no end"
    )
    estate.write({KUSTOMIZATION: UNSET.format(folder=STAGING), f"{STAGING}/pod.yaml": text})

    estate.promoted(*DEV_TO_STAGING, "--image", "api")

    after = content(estate, BRANCH, f"{STAGING}/pod.yaml")
    assert after == text.replace(reference(1), reference(2), 1).encode()


@pytest.mark.scenario(number=90)
def test_image_appears_in_comment_string_or_other_field(estate: Estate) -> None:
    lines = [
        f"# image: {reference(1)}",
        "kind: Pod",
        f"metadata: {{annotations: {{was: '{reference(1)}'}}}}",
        "spec:",
        "  containers:",
        "  - name: api",
        f"    image: {reference(1)}",
        f"    args: ['--mirror={reference(1)}']",
    ]
    estate.write({KUSTOMIZATION: None, f"{STAGING}/pod.yaml": "\n".join(lines) + "\n"})

    estate.promoted(*DEV_TO_STAGING, "--image", "api")

    after = content(estate, BRANCH, f"{STAGING}/pod.yaml").decode().splitlines()
    assert after == [line.replace(reference(1), reference(2)) if "    image:" in line else line for line in lines]


@pytest.mark.scenario(number=91)
def test_same_image_in_two_documents_of_one_file(estate: Estate) -> None:
    pod = "kind: Pod\nspec:\n  containers:\n  - {{name: {}, image: '" + reference(1) + "'}}\n"
    both = pod.format("api") + "---\n" + pod.format("migrate")
    estate.write({KUSTOMIZATION: None, f"{STAGING}/pods.yaml": both})

    estate.promoted(*DEV_TO_STAGING, "--image", "api")

    assert content(estate, BRANCH, f"{STAGING}/pods.yaml").decode() == both.replace(reference(1), reference(2))


@pytest.mark.scenario(number=92)
def test_multi_file_release_is_one_commit(estate: Estate) -> None:
    pod = "kind: Pod\nspec: {{containers: [{{name: a, image: '{}:1.1'}}]}}\n"
    files = {f"{STAGING}/{one.name}.yaml": pod.format(one) for one in (API, WORKER)}
    estate.write({KUSTOMIZATION: None, **files})

    record = estate.promoted(*DEV_TO_STAGING)

    assert git(estate.bare, "rev-list", "--count", f"main..{BRANCH}") == "1"
    assert written(estate) == sorted(files)
    assert len(estate.pulls()) == 1
    assert record["environments"][0]["commit"] == git(estate.bare, "rev-parse", BRANCH)


@pytest.mark.scenario(number=93)
@pytest.mark.parametrize("there", [False, True], ids=["no_file", "no_such_image"])
def test_manifest_missing_in_target_env(estate: Estate, there: bool) -> None:
    estate.write({KUSTOMIZATION: "images: [{name: other, newName: ghcr.io/acme/shop/other}]\n" if there else None})
    before = git(estate.bare, "for-each-ref")

    done = estate.promote("--from", "dev", "--to", "staging")

    assert done.returncode == 2
    assert "add the image to a manifest of that environment first" in done.stderr
    assert git(estate.bare, "for-each-ref") == before
    assert estate.pulls() == []


@pytest.mark.scenario(number=94)
def test_kustomize_newName_already_set(estate: Estate) -> None:
    text = f"images:\n- name: api # the base's own name\n  newName: {API}\n  newTag: 1.1\n"
    estate.write({KUSTOMIZATION: text})

    estate.promoted(*DEV_TO_STAGING, "--image", "api")

    after = content(estate, BRANCH, KUSTOMIZATION).decode()
    assert after.startswith(text.replace("newTag: 1.1\n", ""))
    assert after.count("name:") == 1
    assert re.findall(r"newTag: (\S+)\n  digest: (\S+)", after) == [('"1.2"', str(pinned(API, 2).digest))]


@pytest.mark.scenario(number=95)
def test_invalid_yaml_elsewhere_in_repo(estate: Estate) -> None:
    broken = f"images: [\n# {API}\n"
    estate.write({"apps/other/staging/a.yaml": broken, f"{STAGING}/notes.yaml": "a: [\n"})

    estate.promoted("--from", "dev", "--to", "staging")
    assert written(estate) == [KUSTOMIZATION]

    estate.write({f"{STAGING}/broken.yaml": broken})
    done = estate.promote("--from", "dev", "--to", "staging")
    assert (done.returncode, "broken.yaml" in done.stderr) == (2, True)


@pytest.mark.scenario(number=96)
def test_promote_copies_digest_not_tag(estate: Estate) -> None:
    """Whatever the tag of the target says, and whatever a registry has under the source's: the digest is copied."""
    estate.write(
        {KUSTOMIZATION: UNSET.format(folder=STAGING).replace(f"newName: {API}", f"newName: {API}\n  newTag: x")}
    )

    estate.promoted(*DEV_TO_STAGING)

    for repository in (API, WORKER):
        digest = str(pinned(repository, 2).digest)
        assert digest in content(estate, "main", "apps/shop/dev/kustomization.yaml").decode()
        assert digest in content(estate, BRANCH, KUSTOMIZATION).decode()


@pytest.mark.scenario(number=99)
def test_plaintext_secret_in_same_folder(estate: Estate) -> None:
    secret = "kind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2-canary}\n"
    estate.write({f"{STAGING}/secret.yaml": secret})

    done = estate.promote("--from", "dev", "--to", "staging", "--output", "json")
    looked = estate.run("drift", "--gitops", str(estate.bare), "--only", "plaintext-secret")

    assert (done.returncode, written(estate)) == (0, [KUSTOMIZATION])
    assert looked.returncode == 1
    assert f"{STAGING}/secret.yaml:3" in looked.stdout
    assert "password" in looked.stdout
    assert "hunter2" not in done.stdout + done.stderr + looked.stdout + looked.stderr + estate.pulls()[0].body
