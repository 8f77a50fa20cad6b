"""Loading the two files: what is taken, what is bounded, and what never gets through."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli.boundary import describe
from orchestrator.config.fields import remote_url
from orchestrator.config.loader import load_application, load_policy, missing_policy, parse_application
from orchestrator.core.environment import Strategy
from orchestrator.core.errors import ConfigurationError, ExitCode
from orchestrator.core.names import BranchName, InvalidName

MAIN = BranchName("main")
APPLICATION = """\
version: 1
application: shop
gitops: {repository: ../gitops.git, environment: dev}
images:
  api:
    repository: ghcr.io/acme/api
    tests:
      - {name: unit, run: pytest -q, timeout: 5m, memory: 1Gi}
      - {name: smoke, http: {port: 8080}, timeout: 90}
"""
POLICY = """\
version: 1
environments:
  dev: {paths: ["envs/dev/{application}/**"]}
  prod: {paths: ["envs/prod/**"], after: [dev]}
  edge: {paths: [edge], strategy: commit, branch: edge, targets: [{file: v.yaml, path: image.tag, image: acme/api}]}
applications:
  shop: {images: [ghcr.io/acme/*], environments: [dev]}
registries: [ghcr.io]
writers: [bot@example.com]
guard: {waivers: [{signal: KUBECONFIG, reason: the runner is shared}]}
"""


def application(text: str | bytes) -> object:
    return parse_application(text.encode() if isinstance(text, str) else text, Path("hybrid-ci.yaml"))


def refusal(content: str | bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        application(content)
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    return caught.value


# --- what is taken ------------------------------------------------------------------------------------------------


def test_an_application_is_loaded_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "hybrid-ci.yaml"
    file.write_text(APPLICATION)
    loaded = load_application(file)
    config = loaded.config
    api = config.images["api"]
    assert (config.application, config.tag, config.gitops.base, config.gitops.forge) == (
        "shop",
        "{sha}",
        "main",
        "auto",
    )
    assert (api.context, api.dockerfile, api.platform) == (".", None, None)
    unit, smoke = api.tests
    assert unit.run == ("/bin/sh", "-c", "pytest -q")
    assert (unit.timeout, unit.memory, unit.network) == (300.0, 1 << 30, False)
    assert smoke.http is not None
    assert (smoke.http.path, smoke.http.status, smoke.timeout) == ("/", 200, 90.0)
    assert loaded.directory == tmp_path
    assert loaded.place("images", "api", "repository") == f"{file}:6"
    assert loaded.place("images", "api", "dockerfile") == f"{file}:5"


@pytest.mark.parametrize(
    "content",
    [
        APPLICATION.encode(),
        APPLICATION.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + APPLICATION.encode(),
        b"\xef\xbb\xbf" + APPLICATION.replace("\n", "\r\n").encode().rstrip(),
        b"# comment\n---\n" + APPLICATION.encode() + b"...\n",
    ],
    ids=["plain", "CRLF", "BOM", "BOM and CRLF without an end", "with markers"],
)
def test_layout_does_not_matter(content: bytes) -> None:
    assert application(content) is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1.5m", 90), ("1h", 3600), ("500ms", 0.5), ("45", 45), ("24h", 86_400)],
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    loaded = parse_application(APPLICATION.replace("5m", text).encode(), Path("x"))
    assert loaded.config.images["api"].tests[0].timeout == seconds


@pytest.mark.parametrize("text", ["0", "-1", "0s", "25h", ".inf", ".nan", "1d", "5 m", "", "1e3s", "\u0665m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert "timeout" in refusal(APPLICATION.replace("5m", f'"{text}"')).details[0]


def test_anchors_are_followed() -> None:
    text = APPLICATION + "  worker:\n    repository: &r ghcr.io/acme/worker\n  other:\n    repository: *r\n"
    loaded = parse_application(text.encode(), Path("x"))
    assert loaded.config.images["other"].repository == "ghcr.io/acme/worker"


def test_a_loaded_configuration_does_not_change() -> None:
    loaded = parse_application(APPLICATION.encode(), Path("x"))
    with pytest.raises(ValueError, match="frozen"):
        loaded.config.images["api"].context = "other"


# --- files --------------------------------------------------------------------------------------------------------


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no configuration file") as caught:
        load_application(tmp_path / "hybrid-ci.yaml")
    assert "hybrid-ci init" in (caught.value.hint or "")
    assert caught.value.where == str(tmp_path / "hybrid-ci.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
        load_application(tmp_path)


def test_an_endless_file_is_refused() -> None:
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        load_application(Path("/dev/zero"))
    assert time.monotonic() - started < 5


# --- bombs --------------------------------------------------------------------------------------------------------


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


BOMBS: dict[str, str | bytes] = {
    "80 KB of [": "[" * 80_000,
    "80 KB of {": "{" * 80_000,
    "brackets in brackets": "[" * 40_000 + "]" * 40_000,
    "a list in a list": "- " * 40_000 + "x",
    "deep mappings": "".join(f"{' ' * depth}a:\n" for depth in range(400)),
    "keys of keys": "? " * 20_000,
    "billion laughs": _laughs(10),
    "an anchor within itself": "a: &a [*a]\n",
    "a mapping within itself": "&a\nb: *a\n",
    "2 MiB": "#" * (2 << 20),
    "2 MiB of entries": "".join(f"k{n}: 1\n" for n in range(200_000)),
    "many entries": "".join(f"k{n}: 1\n" for n in range(50_000)),
    "many list entries": "a:\n" + "- x\n" * 100_000,
    "many empty documents": "---\n" * 100_000,
    "many anchors": "".join(f"k{n}: &a{n} 1\n" for n in range(40_000)),
    "a huge number": "version: " + "9" * 100_000,
    "a huge number in hex": "version: 0x" + "f" * 100_000,
    "a huge text": "application: " + "x" * 900_000,
    "a huge quoted text": 'application: "' + "\\x41" * 200_000 + '"',
    "a huge key": "x" * 900 + ": 1",
    "many unknown keys": "".join(f"k{n}: 1\n" for n in range(9_000)),
    "many duplicate keys": "a: 1\n" * 9_000,
    "no text": bytes(range(256)) * 100,
    "NUL": "\0" * 100,
    "a lone surrogate": 'application: "\\ud800"',
    "sixty": "version: " + "1:" * 1000 + "1",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_an_error_within_a_moment(name: str) -> None:
    started = time.process_time()
    error = refusal(BOMBS[name])
    assert time.process_time() - started < 4  # far below a second each; slow machines shall not fail it
    assert len(describe(error)) < 50_000


# --- values that are not what they look like ----------------------------------------------------------------------

ODD_SCALARS = [
    "2026-13-45", "2026-02-30T25:61:61Z", "0x_", "0b_", "!!int x", "!!float x", "!!bool maybe", "!!timestamp x",
    "!!binary '%'", "!!null x", "!!set {a}", "!!omap [a: b]", "!!python/name:os.system", "!unknown x", "!<tag:x> y",
    "!!merge x", "=", "<<", "~", "NaN", ".inf", "1_000", "0o7", "1e999", "*", "&a", "''", '""', "[]", "{}", "|", ">",
]  # fmt: skip


@pytest.mark.parametrize("scalar", ODD_SCALARS)
@pytest.mark.parametrize("key", ["version", "application", "tag", "images", "gitops"])
def test_an_odd_scalar_is_taken_or_refused_but_never_a_crash(key: str, scalar: str) -> None:
    lines = [f"{key}: {scalar}" if line.startswith(f"{key}:") else line for line in APPLICATION.splitlines()]
    if key == "tag":
        lines.append(f"tag: {scalar}")
    try:
        application("\n".join(lines))
    except ConfigurationError as error:
        assert error.where


@settings(max_examples=150, deadline=None)
@given(st.text("ab:-[]{}&*!|>'\"#%@`,?~\n\t <=0x.", max_size=40) | st.binary(max_size=60))
def test_no_content_makes_the_loader_crash(content: str | bytes) -> None:
    raw = content.encode() if isinstance(content, str) else content
    for load in (lambda: parse_application(raw, Path("x")), lambda: load_policy(raw, "x", MAIN)):
        with pytest.raises(ConfigurationError):
            load()


# --- credentials --------------------------------------------------------------------------------------------------

CANARY = "c4n4ryT0ken"


@pytest.mark.parametrize(
    "url",
    [
        f"https://bot:{CANARY}@github.com/acme/x",
        f"https://{CANARY}@github.com/acme/x",
        f"https://bot:{CANARY}/slash@github.com/acme/x",
        f"https://bot:{CANARY}#hash@github.com/acme/x",
        f"ssh://git:{CANARY}@github.com/acme/x",
        f"bot:{CANARY}@github.com:acme/x",
        f"https://github.com/acme/x?private_token={CANARY}",
        f"https://bot:{CANARY}@[broken/acme/x",
        f"ftp://bot:{CANARY}@github.com/acme/x",
    ],
)
@pytest.mark.parametrize("key", ["repository", "forge"])
def test_a_credential_in_a_url_is_refused_and_not_echoed(key: str, url: str) -> None:
    other = "" if key == "repository" else "repository: ../gitops.git, "
    text = APPLICATION.replace("repository: ../gitops.git, ", f"{other}{key}: '{url}', ")
    error = refusal(text)
    assert CANARY not in describe(error)
    assert CANARY not in repr(error)


def test_a_token_in_the_wrong_place_is_not_echoed_at_length() -> None:
    token = f"prefix-{CANARY}-" + "x" * 80
    assert CANARY not in describe(refusal(APPLICATION.replace("application: shop", f"application: {token}")))


# --- the policy ---------------------------------------------------------------------------------------------------


def test_a_policy_is_loaded_whole() -> None:
    policy = load_policy(POLICY.encode(), "gitops (main)", MAIN)
    assert list(policy.environments) == ["dev", "prod", "edge"]
    edge = policy.environment("edge")
    assert (edge.strategy, edge.branch) == (Strategy.COMMIT, BranchName("edge"))
    assert str(edge.targets[0].image) == "docker.io/acme/api"
    assert policy.environment("prod").after == ("dev",)
    assert policy.base == MAIN
    assert policy.origin == "gitops (main)"
    assert policy.applications[0].images == ("ghcr.io/acme/*",)
    assert (policy.registries, policy.writers) == (("ghcr.io",), ("bot@example.com",))
    assert [(waiver.signal, waiver.reason) for waiver in policy.waivers] == [("KUBECONFIG", "the runner is shared")]


@pytest.mark.parametrize(("said", "read"), [("trunk", "main"), ("main", "trunk"), ("Main", "main")])
def test_a_policy_counts_on_the_branch_that_it_names_only(said: str, read: str) -> None:
    text = POLICY.replace("version: 1\n", f"version: 1\nbase: {said}\n")
    with pytest.raises(
        ConfigurationError, match=f"names '{said}' as the base branch, but it was read from '{read}'"
    ) as e:
        load_policy(text.encode(), "gitops", BranchName(read))
    assert e.value.where == "gitops:2"
    assert "gitops.base" in (e.value.hint or "")
    assert load_policy(text.encode(), "gitops", BranchName(said)).base == BranchName(said)
    assert load_policy(text.encode(), "gitops", None).base == BranchName(said)


def test_a_policy_without_a_base_belongs_to_main() -> None:
    with pytest.raises(ConfigurationError, match="names 'main'"):
        load_policy(POLICY.encode(), "gitops", BranchName("trunk"))


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("after: [dev]", "after: [dev, stag]", 4, "there is no environment 'stag'"),
        ("environments: [dev]", "environments: [dev, prd]", 7, "there is no environment 'prd'; did you mean 'prod'?"),
        ("branch: edge", "branch: main", 5, "would be committed to the branch that holds the policy"),
        ("after: [dev]", "after: [prod]", 2, "in a circle"),
        ("branch: edge, ", "", 5, "strategy 'commit' needs a 'branch' of its own"),
        ("strategy: commit, ", "", 5, "strategy 'commit' needs a 'branch' of its own"),
    ],
)
def test_what_would_undermine_the_policy_is_refused_with_its_line(old: str, new: str, line: int, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(POLICY.replace(old, new).encode(), "gitops", MAIN)
    assert caught.value.where == f"gitops:{line}"
    assert len(caught.value.details) == 1
    assert text in caught.value.details[0]


def test_a_missing_policy_says_what_to_do() -> None:
    error = missing_policy("gitops (main)")
    assert ".hybrid-ci/environments.yaml" in error.message
    assert error.where == "gitops (main)"
    assert "hybrid-ci init --gitops" in (error.hint or "")


# --- where the GitOps repository is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://github.com/acme/x", "https://github.com/acme/x"),
        ("git@github.com:acme/x", "git@github.com:acme/x"),
        ("/srv/gitops.git", "/srv/gitops.git"),
        ("gitops.git", "/app/gitops.git"),
        ("../gitops.git", "/gitops.git"),
        ("-gitops", "/app/-gitops"),
    ],
)
def test_a_relative_path_starts_from_the_configuration(text: str, url: str) -> None:
    assert str(remote_url(text, Path("/app"))) == url


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert str(remote_url("~/gitops.git", Path("/app"))) == "/home/me/gitops.git"
    with pytest.raises(ConfigurationError, match="home"):
        remote_url("~hybrid-ci-no-such-user/gitops.git", Path("/app"))


def test_a_path_with_control_characters_is_refused() -> None:
    for text in ("a\0b", "a\nb", "https://github.com/a\nb"):
        with pytest.raises((InvalidName, ConfigurationError)):
            remote_url(text, Path("/app"))
    assert "control characters" in refusal(APPLICATION.replace("../gitops.git", '"a\\0b"')).details[0]
