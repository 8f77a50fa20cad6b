"""``init``: what it writes from what it sees passes ``check``, whatever it sees."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.surveying import registry_of
from tests.golden import assert_golden
from tests.servers.git_repositories import git
from tests.unit.cli.conftest import Cli, start

GIVEN = ["--registry", "ghcr.io/acme/shop", "--gitops-url", "https://github.com/acme/gitops.git"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def dockerfile(folder: Path, text: str = "FROM scratch\n", name: str = "Dockerfile") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def images(here: Path) -> dict[str, dict[str, object]]:
    loaded: dict[str, dict[str, object]] = yaml.safe_load((here / "hybrid-ci.yaml").read_text())["images"]
    return loaded


def written(cli: Cli, here: Path, *more: str) -> dict[str, dict[str, object]]:
    """Run init, check what it wrote, and give its images."""
    ended = cli("init", *GIVEN, *more)
    assert ended.code == 0, ended.err
    assert ended.out == "hybrid-ci.yaml: written; look through it, then run `hybrid-ci check`\n"
    checked = cli("check", "--strict")
    assert checked.code == 0, checked.err
    return images(here)


def test_one_dockerfile_makes_one_image(here: Path, cli: Cli) -> None:
    dockerfile(here, "FROM scratch\nEXPOSE 8080\n")
    assert list(written(cli, here)) == ["shop"]
    assert_golden("cli/init-one.yaml", (here / "hybrid-ci.yaml").read_text())


def test_several_dockerfiles_make_several_images(here: Path, cli: Cli) -> None:
    dockerfile(here)
    dockerfile(here, name="Dockerfile.debug")
    dockerfile(here / "services/api", "FROM scratch\nexpose 9090/tcp 9091\n")
    dockerfile(here / "services/worker")
    dockerfile(here / "services/worker", name="Dockerfile.gpu")
    dockerfile(here / "node_modules/evil")
    dockerfile(here / ".git/evil")
    dockerfile(here / "a/b/c/d/e/too-deep")
    (here / "Dockerfile.dockerignore").write_text("*\n")
    assert list(written(cli, here)) == ["shop", "shop-debug", "api", "worker", "worker-gpu"]
    assert_golden("cli/init-several.yaml", (here / "hybrid-ci.yaml").read_text())


def test_two_folders_of_one_name_make_two_images(here: Path, cli: Cli) -> None:
    dockerfile(here / "libs/api")
    dockerfile(here / "services/api")
    dockerfile(here / "shop")
    found = written(cli, here)
    assert sorted(str(image["context"]) for image in found.values()) == ["libs/api", "services/api", "shop"]
    assert len({image["repository"] for image in found.values()}) == 3


ODD_FOLDERS = [
    "with space", "UPPER", "1.0", "123", "0x1f", "yes", "null", "~", "2026-03-01", "a: b", "a #b", "#hash", "-dash",
    "- dash", "[x]", "{x}", "*star", "&and", "!bang", "'quote", '"double', "back\\slash", "a..b", "a.-b", "a_-_b", "__",
    "ünï", "日本", "%percent", "@at", "`tick", "trailing.", ".hidden", "x" * 100, "a,b", "tab\there", "new\nline", "|",
    ">", "? q", "e1e5",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_FOLDERS, ids=ascii)
def test_an_odd_folder_makes_a_configuration_that_passes_check(name: str, here: Path, cli: Cli) -> None:
    dockerfile(here / name)
    (image,) = written(cli, here).values()
    assert image["context"] == name


def test_all_odd_folders_together_keep_their_images(here: Path, cli: Cli) -> None:
    for name in ODD_FOLDERS:
        dockerfile(here / name)
    assert {image["context"] for image in written(cli, here).values()} == set(ODD_FOLDERS)


def test_an_odd_project_folder_names_a_valid_application(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ["My Shop!", "123", "---", "ünïcode", "X" * 90]:
        dockerfile(tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        written(cli, tmp_path / name)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("EXPOSE 8080", 8080),
        ("expose 8080/TCP", 8080),
        ("EXPOSE 53/udp 8080", None),
        ("EXPOSE 53/udp\nEXPOSE 8080", 8080),
        ("EXPOSE 99999\nEXPOSE 0", None),
        ("EXPOSE $PORT", None),
        ("# EXPOSE 8080", None),
        ("RUN echo EXPOSE 8080", None),
        ("EXPOSE 8000-8010", 8000),
    ],
)
def test_an_exposed_port_makes_a_smoke_test(text: str, port: int | None, here: Path, cli: Cli) -> None:
    dockerfile(here, f"FROM scratch\n{text}\n")
    (test,) = written(cli, here)["shop"]["tests"]  # type: ignore[misc]
    assert test.get("http", {}).get("port") == port
    assert ("run" in test) is (port is None)


def test_what_was_found_is_told_on_stderr(here: Path, cli: Cli) -> None:
    dockerfile(here)
    (here / ".gitlab-ci.yml").write_text("")
    (here / ".github/workflows").mkdir(parents=True)
    ended = cli("init", *GIVEN)
    assert ended.err == (
        "found 1 Dockerfile(s): shop\nfound CI: GitHub Actions, GitLab CI\n"
        "next: `hybrid-ci generate github` makes the jobs for that CI\n"
    )


COMPOSE = """\
services:
  api:
    build: ./services/api
    image: ghcr.io/acme/shop/api:${TAG:-latest}
    ports: ["8080:80"]
  worker:
    build: {context: ., dockerfile: docker/worker.Dockerfile, target: prod}
    image: ghcr.io/acme/shop/the-worker
    expose: [9000]
  database:
    image: postgres:16
  elsewhere:
    build: https://github.com/acme/other.git
  outside:
    build: ../other
"""


def test_a_compose_file_tells_names_contexts_targets_and_repositories(here: Path, cli: Cli) -> None:
    dockerfile(here / "services/api")
    dockerfile(here / "docker", name="Dockerfile.worker")
    dockerfile(here / "tools")
    (here / "compose.yaml").write_text(COMPOSE.replace("docker/worker.Dockerfile", "docker/Dockerfile.worker"))
    found = written(cli, here)
    assert list(found) == ["api", "worker", "tools"]
    assert (found["api"]["repository"], found["api"]["context"]) == ("ghcr.io/acme/shop/api", "services/api")
    assert found["api"]["tests"][0]["http"]["port"] == 80  # type: ignore[index]
    worker = found["worker"]
    assert (worker["context"], worker["dockerfile"], worker["target"]) == (".", "docker/Dockerfile.worker", "prod")
    assert worker["repository"] == "ghcr.io/acme/shop/the-worker"
    assert found["tools"]["repository"] == "ghcr.io/acme/shop/tools"


def test_nobody_is_asked_for_a_registry_that_a_compose_file_names(here: Path, cli: Cli) -> None:
    dockerfile(here / "services/api")
    (here / "docker-compose.yml").write_text(COMPOSE)
    ended = cli("init", *GIVEN[2:])
    assert ended.code == 0, ended.err
    assert "found docker-compose.yml\n" in ended.err
    assert images(here)["api"]["repository"] == "ghcr.io/acme/shop/api"


@pytest.mark.parametrize("content", ["[", "services: 7\n", "services: {api: [1]}\n", "{}", "\x00", "- a\n", "[" * 5000])
def test_a_compose_file_that_says_nothing_changes_nothing(here: Path, cli: Cli, content: str) -> None:
    dockerfile(here)
    (here / "compose.yaml").write_text(content)
    assert list(written(cli, here)) == ["shop"]


def test_manifests_in_this_very_repository_are_its_gitops_repository(here: Path, cli: Cli) -> None:
    dockerfile(here)
    for name in ("prod", "dev"):
        (here / f"deploy/overlays/{name}").mkdir(parents=True)
        (here / f"deploy/overlays/{name}/kustomization.yaml").write_text("resources: []\n")
    git(here, "init", "-q")
    git(here, "remote", "add", "origin", "https://github.com/acme/shop.git")
    ended = cli("init", *GIVEN[:2])
    assert ended.code == 0, ended.err
    assert "found environments in this repository: dev, prod\n" in ended.err
    gitops = yaml.safe_load((here / "hybrid-ci.yaml").read_text())["gitops"]
    assert (gitops["repository"], gitops["environment"]) == ("https://github.com/acme/shop.git", "dev")


@pytest.mark.parametrize("linked", [False, True])
def test_a_policy_is_written_in_a_checkout_of_git(here: Path, cli: Cli, linked: bool) -> None:
    for name in ("dev", "prod"):
        (here / f"apps/shop/overlays/{name}").mkdir(parents=True)
        (here / f"apps/shop/overlays/{name}/kustomization.yaml").write_text("resources: []\n")
    git(here, "init", "-q")
    if linked:
        (here / ".git").rename(here.parent / "elsewhere.git")
        (here / ".git").write_text("gitdir: ../elsewhere.git\n")
    ended = cli("init", "--gitops")
    assert ended.code == 0, ended.err
    assert list(yaml.safe_load((here / ".hybrid-ci/environments.yaml").read_text())["environments"]) == ["dev", "prod"]


@pytest.mark.parametrize(
    ("remote", "registry"),
    [
        ("https://github.com/Acme/Shop.git", "ghcr.io/acme/shop"),
        ("git@github.com:acme/shop.git", "ghcr.io/acme/shop"),
        ("ssh://git@gitlab.com/acme/team/shop", "registry.gitlab.com/acme/team/shop"),
        ("https://git.example/acme/shop", None),
        ("/srv/git/shop.git", None),
        (None, None),
    ],
)
def test_the_registry_is_guessed_from_where_the_repository_lives(remote: str | None, registry: str | None) -> None:
    assert registry_of(remote) == registry


def test_a_guess_is_offered_on_a_terminal_and_taken_nowhere_else(here: Path, cli: Cli) -> None:
    dockerfile(here)
    git(here, "init", "-q")
    git(here, "remote", "add", "origin", "https://github.com/acme/shop.git")
    assert cli("init", *GIVEN[2:]).code == 2
    controller, terminal = pty.openpty()
    with start("init", *GIVEN[2:], cwd=here, stdin=terminal, stdout=terminal) as process:
        os.close(terminal)
        os.write(controller, b"\n")
        err = process.communicate(timeout=30)[1]
    os.close(controller)
    assert process.returncode == 0, err
    assert images(here)["shop"]["repository"] == "ghcr.io/acme/shop/shop"


def test_without_a_dockerfile_nothing_is_written(here: Path, cli: Cli) -> None:
    ended = cli("init", *GIVEN)
    assert ended.code == 2
    assert ended.err.startswith(f"error: there is no Dockerfile here\n  where: {here}\n  fix:   ")
    assert list(here.iterdir()) == []


def test_an_existing_configuration_is_left_alone(here: Path, cli: Cli) -> None:
    dockerfile(here)
    (here / "hybrid-ci.yaml").write_text("mine\n")
    ended = cli("init", *GIVEN)
    assert ended.code == 2
    assert "--force" in ended.err
    assert (here / "hybrid-ci.yaml").read_text() == "mine\n"
    assert cli("init").err == ended.err  # told before anything is asked
    written(cli, here, "--force")


def test_a_link_is_not_written_through(here: Path, cli: Cli) -> None:
    dockerfile(here)
    (here / "hybrid-ci.yaml").symlink_to(here / "elsewhere")
    assert cli("init", *GIVEN).code == 2
    assert not (here / "elsewhere").exists()


@pytest.mark.parametrize(
    ("given", "missing", "options"),
    [
        ([], "--registry and --gitops-url are", "--registry and --gitops-url"),
        (GIVEN[:2], "--gitops-url is", "--gitops-url"),
        (GIVEN[2:], "--registry is", "--registry"),
    ],
)
def test_away_from_a_terminal_nothing_is_asked(
    given: list[str], missing: str, options: str, here: Path, cli: Cli
) -> None:
    dockerfile(here)
    ended = cli("init", *given)
    assert ended.code == 2
    assert f"error: {missing} needed\n  fix:   give {options}, or" in ended.err
    assert not (here / "hybrid-ci.yaml").exists()


CANARY = "canary0123456789"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--registry", "ghcr.io/Acme", "lower case"),
        ("--registry", "https://ghcr.io/acme", "is not an image repository"),
        ("--registry", f"https://bot:{CANARY}@ghcr.io/acme", "is not an image repository"),
        ("--gitops-url", f"https://bot:{CANARY}@github.com/acme/gitops", "holds a credential"),
        ("--gitops-url", "http://github.com/acme/gitops", "plain http is refused"),
        ("--gitops-url", "ext::sh -c true", "is not allowed"),
        ("--env", "-dev", "gitops.environment"),
        ("--application", "My Shop", "application"),
        ("--application", "x\nimages: {}", "application"),
    ],
)
def test_an_answer_that_check_would_refuse_is_refused_and_not_written(
    option: str, value: str, said: str, here: Path, cli: Cli
) -> None:
    dockerfile(here)
    ended = cli("init", *GIVEN, f"{option}={value}")
    assert ended.code == 2
    assert said in ended.err
    assert CANARY not in ended.err + ended.out
    assert not (here / "hybrid-ci.yaml").exists()


@pytest.mark.parametrize(
    "value", ["# no comment", "~/gitops.git", "../gitops.git", "123", "git@github.com:acme/gitops", "a: b"]
)
def test_a_path_that_yaml_would_misread_is_quoted(value: str, here: Path, cli: Cli) -> None:
    dockerfile(here)
    written(cli, here, "--gitops-url", value)
    assert yaml.safe_load((here / "hybrid-ci.yaml").read_text())["gitops"]["repository"] == value


def test_the_paths_start_from_the_configuration_that_is_written(here: Path, cli: Cli) -> None:
    dockerfile(here / "deploy/api")
    assert cli("--config", "deploy/hybrid-ci.yaml", "init", *GIVEN).code == 0
    assert images(here / "deploy")["api"]["context"] == "api"
    assert cli("--config", "deploy/hybrid-ci.yaml", "check").code == 0


def test_a_folder_that_is_not_there_is_explained(here: Path, cli: Cli) -> None:
    dockerfile(here)
    ended = cli("--config", "missing/hybrid-ci.yaml", "init", *GIVEN)
    assert ended.code == 2
    assert ended.err.startswith("error: ")


def test_on_a_terminal_it_asks_for_what_it_cannot_see(here: Path) -> None:
    dockerfile(here)
    controller, terminal = pty.openpty()
    with start("init", cwd=here, stdin=terminal, stdout=terminal) as process:
        os.close(terminal)
        os.write(controller, b"ghcr.io/acme/shop\nhttps://github.com/acme/gitops.git\n")
        err = process.communicate(timeout=30)[1]
    os.close(controller)
    assert process.returncode == 0, err
    assert images(here)["shop"]["repository"] == "ghcr.io/acme/shop/shop"


def interrupted(process: subprocess.Popen[bytes]) -> bytes:
    """What it says on stderr once Ctrl-C has ended it.

    Python sleeps over a signal that comes between the question and the wait for its answer, so a person presses twice.
    """
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=3)[1]
    raise AssertionError("it does not end")


def test_ctrl_c_at_a_question_is_130_and_leaves_nothing(here: Path) -> None:
    dockerfile(here)
    controller, terminal = pty.openpty()
    with start("init", cwd=here, stdin=terminal, stdout=terminal, start_new_session=True) as process:
        os.close(terminal)
        shown = b""
        while b"?" not in shown:
            shown += os.read(controller, 1000)
        err = interrupted(process)
    os.close(controller)
    assert process.returncode == 130
    assert b"error: interrupted" in err
    assert not (here / "hybrid-ci.yaml").exists()
