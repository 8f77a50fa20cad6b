"""Names that reach git: what it could read as an option or a command is refused at the door."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.names import BranchName, CommitId, InvalidName, RefName, RemoteURL, RepoPath

CONTROL = [chr(code) for code in (*range(0x20), 0x7F)]

# --- branches and refs --------------------------------------------------------------------------------------------

GOOD_BRANCHES = [
    "main",
    "release/1.0",
    "hybrid-ci/prod/shop",
    "hybrid-ci/prod_2feu-1/shop",
    "a",
    "feature/a-b_c.d",
    "feature/ünïcode",
    "x@y",
    "a.b",
    "user/@home",
    "lock",
    "a.lockx",
    "refs/heads/main",  # odd, but git allows it
]
BAD_BRANCHES = [
    "",
    "-",
    "-x",
    "--upload-pack=touch /tmp/x",
    "--output=/tmp/x",
    "@",
    "@{-1}",
    "a@{1}",
    "HEAD",
    "/main",
    "main/",
    "a//b",
    ".main",
    "a/.b",
    "a.",
    "main.lock",
    "a.lock/b",
    "a..b",
    "..",
    "a b",
    " a",
    "a ",
    "a~1",
    "a^",
    "a:b",
    "+a:b",
    "a?",
    "a*",
    "a[b",
    "a\\b",
]


@pytest.mark.parametrize("name", GOOD_BRANCHES)
def test_a_branch_name_is_taken_and_leads_to_its_ref_and_back(name: str) -> None:
    branch = BranchName(name)
    assert str(branch.ref) == f"refs/heads/{name}"
    assert branch.ref.branch == branch


@pytest.mark.parametrize("name", BAD_BRANCHES + [f"a{control}b" for control in CONTROL], ids=ascii)
def test_what_git_refuses_or_misreads_is_no_branch(name: str) -> None:
    with pytest.raises(InvalidName):
        BranchName(name)


@pytest.mark.parametrize("name", ["", "main", "heads/main", "refs", "refs/", "/refs/heads/x", "-refs/heads/x"])
def test_a_ref_is_a_full_one(name: str) -> None:
    with pytest.raises(InvalidName, match="is not a full ref name"):
        RefName(name)


@pytest.mark.parametrize("name", ["refs/heads/a..b", "refs/heads/a b", "refs/heads/a\nb", "refs/heads/.a", "refs//x"])
def test_a_malformed_ref_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        RefName(name)


def test_a_ref_beside_the_branches_is_no_branch() -> None:
    with pytest.raises(InvalidName, match="is not a branch"):
        _ = RefName("refs/tags/v1").branch
    with pytest.raises(InvalidName):
        _ = RefName("refs/heads/-x").branch


def _git_takes(*arguments: str) -> bool:
    return subprocess.run(["git", "check-ref-format", *arguments], capture_output=True, check=False).returncode == 0


_ref_text = st.lists(
    st.sampled_from(
        ["a", "B", "-", ".", "..", "/", ".lock", "@", "{", "~", "^", ":", "?", "*", "[", "\\", " ", "é", "x"]
    ),
    min_size=1,
    max_size=6,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(_ref_text)
def test_refs_are_judged_as_git_judges_them(text: str) -> None:
    full = f"refs/heads/{text}"
    try:
        RefName(full)
    except InvalidName:
        assert not _git_takes(full)
    else:
        assert _git_takes(full)


@settings(max_examples=150, deadline=None)
@given(_ref_text)
def test_no_branch_is_taken_that_git_refuses(text: str) -> None:
    try:
        BranchName(text)
    except InvalidName:
        return
    assert _git_takes("--branch", text)


# --- commits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [40, 64])
def test_a_full_commit_id_is_taken(length: int) -> None:
    commit = CommitId("0a" * (length // 2))
    assert commit.short == "0a0a0a0"


@pytest.mark.parametrize("text", ["", "HEAD", "a" * 39, "a" * 41, "A" * 40, "g" * 40, "-" + "a" * 39, "a" * 40 + "\n"])
def test_anything_shorter_or_else_is_no_commit_id(text: str) -> None:
    with pytest.raises(InvalidName):
        CommitId(text)


# --- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b.yaml",
        ".hybrid-ci/environments.yaml",
        ".github/x",
        ".gitignore",
        "a.git/b",
        "git/x",
        "-x/y",
        "a b/ü",
        "..a",
    ],
)
def test_a_path_inside_the_repository_is_taken(path: str) -> None:
    assert RepoPath(path).parts == tuple(path.split("/"))
    assert RepoPath(path).name == path.split("/")[-1]


OUTSIDE = [
    "", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", "./a", "a\0b", "a/..\0/b",
    ".git", ".git/config", "a/.git/hooks/x", ".GIT/config", ".Git/x", "a/.giT",
]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    OUTSIDE,
    ids=ascii,
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(InvalidName, match="is not a path inside the repository"):
        RepoPath(path)


# --- repository URLs ----------------------------------------------------------------------------------------------

GOOD_URLS = [
    # text, scheme, host, path
    ("https://github.com/acme/gitops.git", "https", "github.com", "/acme/gitops.git"),
    ("https://GitHub.com/acme/gitops", "https", "github.com", "/acme/gitops"),
    ("https://git.example.com:8443/a/b", "https", "git.example.com", "/a/b"),
    ("https://[2001:db8::1]/a/b", "https", "2001:db8::1", "/a/b"),
    ("ssh://git@github.com/acme/gitops.git", "ssh", "github.com", "/acme/gitops.git"),
    ("ssh://github.com:2222/acme/gitops.git", "ssh", "github.com", "/acme/gitops.git"),
    ("git@github.com:acme/gitops.git", "ssh", "github.com", "acme/gitops.git"),
    ("git@GitHub.com:acme/gitops.git", "ssh", "github.com", "acme/gitops.git"),
    ("git@git.example.com:/srv/git/gitops.git", "ssh", "git.example.com", "/srv/git/gitops.git"),
    ("/srv/git/gitops.git", "file", None, "/srv/git/gitops.git"),
    ("/srv/with space/gitops.git", "file", None, "/srv/with space/gitops.git"),
    ("file:///srv/git/gitops.git", "file", None, "/srv/git/gitops.git"),
    ("file:///srv/with%20space/gitops.git", "file", None, "/srv/with space/gitops.git"),
    ("http://localhost:3000/a/b", "http", "localhost", "/a/b"),
    ("http://127.0.0.1/a/b", "http", "127.0.0.1", "/a/b"),
    ("http://[::1]:80/a/b", "http", "::1", "/a/b"),
]


@pytest.mark.parametrize(("text", "scheme", "host", "path"), GOOD_URLS, ids=[row[0] for row in GOOD_URLS])
def test_a_repository_url_is_taken_apart(text: str, scheme: str, host: str | None, path: str) -> None:
    url = RemoteURL.parse(text)
    assert (url.scheme, url.host, url.path) == (scheme, host, path)
    assert str(url) == text


BAD_URLS = [
    "",
    "-",
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=touch /tmp/x",
    "-u./payload",
    "ext::sh -c 'touch /tmp/x'",
    "ext::sh -c 'touch% /tmp/x' https://github.com/a/b",
    "ext::https://github.com/a/b",
    "fd::17",
    "fd::17/foo",
    "EXT::sh",
    "https::https://github.com/a/b",
    "x::y@z:w",
    "git://github.com/acme/gitops.git",
    "ftp://github.com/acme/gitops.git",
    "javascript:alert(1)",
    "data:text/plain,x",
    "relative/path",
    "./relative",
    "~/gitops",
    "github.com:acme/gitops.git",  # no user: git would read it, a person may have meant a port
    "https://",
    "https:///acme/gitops",
    "https://github.com",
    "https://github.com/",
    "https:github.com/acme",
    "https://-github.com/acme/x",
    "https://git hub.com/acme/x",
    "https://github.com\\@evil.example/acme/x",
    "https://github.com%0a.evil.example/acme/x",
    "https://github.com:port/acme/x",
    "https://github.com:99999/acme/x",
    "https://[::1/acme/x",
    "https://github.com/acme/x?ref=main",
    "https://github.com/acme/x#main",
    " https://github.com/acme/x",
    "https://github.com/acme/x ",
    "ssh://-oProxyCommand=touch@github.com/acme/x",
    "ssh://git@-oProxyCommand=touch/acme/x",
    "-git@github.com:acme/x",
    "git@-oProxyCommand=touch:acme/x",
    "git@github.com:-x",
    "git@github.com:",
    "git@github.com:/",
    "git@github.com://x",
    "git@github.com:/-x",
    "git@:acme/x",
    "@github.com:acme/x",
    "http://github.com/acme/x",
    "http://localhost.evil.example/acme/x",
    "http://127.0.0.1.evil.example/acme/x",
    "http://10.0.0.1/acme/x",
    "http://2130706433/acme/x",
]


@pytest.mark.parametrize("text", BAD_URLS + [f"https://github.com/a{control}b" for control in CONTROL], ids=ascii)
def test_what_git_could_read_as_something_else_is_no_url(text: str) -> None:
    with pytest.raises(InvalidName):
        RemoteURL(text)


CANARY = "c4n4ryT0ken"
WITH_CREDENTIAL = [
    f"https://{CANARY}@github.com/acme/x",
    f"https://bot:{CANARY}@github.com/acme/x",
    f"https://:{CANARY}@github.com/acme/x",
    f"https://bot:{CANARY}/more@github.com/acme/x",
    f"https://bot:{CANARY}#more@github.com/acme/x",
    f"https://bot:{CANARY}?more@github.com/acme/x",
    f"https://bot:{CANARY}\n@github.com/acme/x",
    f"https://bot:{CANARY}@/acme/x",
    f"https://bot:{CANARY}@[::1/acme/x",
    f"https://bot:{CANARY}@github.com:port/acme/x",
    f"http://bot:{CANARY}@github.com/acme/x",
    f"http://{CANARY}@localhost/acme/x",
    f"ssh://git:{CANARY}@github.com/acme/x",
    f"file://bot:{CANARY}@host/acme/x",
    f"bot:{CANARY}@github.com:acme/x",
    f"ftp://bot:{CANARY}@github.com/acme/x",
    f"git://bot:{CANARY}@github.com/acme/x",
    f"https://github.com/acme/x?private_token={CANARY}",
    f"http://github.com/acme/x?private_token={CANARY}",
    f"https://github.com/acme/x#{CANARY}",
    f"ext::sh -c 'curl https://bot:{CANARY}@github.com'",
    f"-c http.extraHeader=Authorization:{CANARY}@x",
]


@pytest.mark.parametrize("text", WITH_CREDENTIAL, ids=ascii)
def test_a_credential_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidName) as caught:
        RemoteURL(text)
    error = caught.value
    said = "\n".join(map(str, (error, repr(error), error.args, error.where, error.hint, error.details)))
    assert CANARY not in said
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


def test_a_refused_credential_says_where_it_belongs() -> None:
    with pytest.raises(InvalidName, match="holds a credential") as caught:
        RemoteURL(f"https://bot:{CANARY}@github.com/acme/x")
    assert caught.value.where == "https://github.com/acme/x"
    assert "HYBRID_CI_GIT_TOKEN" in (caught.value.hint or "")
