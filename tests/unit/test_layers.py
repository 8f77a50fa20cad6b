"""The house and its rooms: which may know which, and what no room may do. Read from the source, not from running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What each room may import of ours. The order is that of docs/architecture.md, from the inside out.
ROOMS: dict[str, set[str]] = {
    "core": set(),
    "manifests": {"core"},
    "config": {"core"},
    "engine": {"core"},
    "git": {"core", "engine"},
    "ci": {"core", "engine", "git"},
    "images": {"core", "engine"},
    "forges": {"core", "engine", "git"},
    "gitops": {"core", "manifests", "engine", "git", "forges"},
    "reports": {"core", "engine", "ci"},
    "pipelines": {"core", "manifests", "config", "engine", "ci", "images", "forges", "gitops", "reports"},
    "wiring": {
        "core", "manifests", "config", "engine", "git", "ci", "images", "forges", "gitops", "reports", "pipelines",
    },
    "cli": {
        "core", "manifests", "config", "engine", "git", "ci", "images", "forges", "gitops", "reports", "pipelines",
        "wiring",
    },
    "version": set(),
}  # fmt: skip

# Which third-party package may be imported where: a room, or single modules of it.
THIRD_PARTIES: dict[str, set[str]] = {
    "docker": {"images"},
    "requests": {"images", "forges.exchange"},
    "urllib3": {"images", "forges.exchange"},  # what requests and docker raise and retry with
    "git": {"git"},
    "github": {"forges"},
    "jwt": {"forges.github_login"},  # what PyGithub signs an App's claims with
    "gitlab": {"forges"},
    "pydantic": {
        "config",
        "reports.records",
        "reports.claims",
        "reports.plans",
        "reports.promotions",
        "reports.built",
        "reports.matrices",
        "reports.diagnosis",
    },
    "pydantic_core": {"config"},
    "typer": {"cli"},
    "rich": {"cli", "reports"},
    "yaml": {"manifests", "config"},
    "tenacity": {"engine", "images.retrying"},
}

# What stands behind a port: nobody but its own room and the composition root may name it.
ADAPTERS = (
    "forges.local", "forges.github", "forges.gitlab", "images.docker_", "images.engine_client", "images.container",
    "images.buildkit", "images.registry", "gitops.repository", "gitops.git_",
)  # fmt: skip
# Families of adapters: a module of one never imports a module of another.
FAMILIES = ["forges.github", "forges.gitlab", "forges.local", "images.docker", "images.buildkit", "images.registry"]

EFFECTS = {
    "os", "io", "socket", "ssl", "select", "subprocess", "concurrent", "multiprocessing", "asyncio",
    "time", "random", "secrets", "tempfile", "shutil", "http", "ftplib", "smtplib", "signal", "logging", "ctypes",
}  # fmt: skip


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name below ``orchestrator`` (or ``pipelines.…``), its room, its syntax tree."""

    name: str
    room: str
    file: Path
    tree: ast.Module

    @property
    def inner(self) -> str:
        """The name within its room."""
        return self.name.partition(".")[2]

    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    def place(self, node: ast.AST) -> str:
        return f"{self.file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for top in ("orchestrator", "pipelines"):
        for file in sorted((ROOT / top).rglob("*.py")):
            parts = list(file.relative_to(ROOT).with_suffix("").parts)
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            name = ".".join(parts[1:] if top == "orchestrator" else parts)
            found.append(Module(name, room_of(name), file, ast.parse(file.read_text("utf-8"))))
    return tuple(found)


def room_of(name: str) -> str:
    """``orchestrator`` itself holds the version, its ``__main__`` belongs to the command line."""
    first = name.partition(".")[0]
    return {"": "version", "__main__": "cli"}.get(first, first)


def imports(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every module that is named in an import, wherever it stands (also under TYPE_CHECKING)."""
    for node in module.nodes():
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.place(node)}: imports are absolute here"
            yield from ((node, _target(node.module or "", alias.name)) for alias in node.names)


def _target(package: str, name: str) -> str:
    """``from orchestrator.core import names`` imports a module, ``from orchestrator.core.names import x`` does not."""
    file = ROOT / package.replace(".", "/") / name
    return f"{package}.{name}" if file.with_suffix(".py").exists() or (file / "__init__.py").exists() else package


def ours(target: str) -> str | None:
    """The name below ``orchestrator``, when the import is of ours."""
    if target == "orchestrator" or target.startswith("orchestrator."):
        return target.partition(".")[2]
    return target if target.partition(".")[0] == "pipelines" else None


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in module.nodes() if isinstance(node, ast.Call))


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 60
    assert {module.room for module in modules()} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_the_rooms_below_it(room: str) -> None:
    wrong = [
        f"{module.place(node)}: {module.room} imports {target}"
        for module in modules()
        if module.room == room
        for node, target in imports(module)
        if (name := ours(target)) is not None and room_of(name) not in ROOMS[room] | {room, "version"}
    ]
    assert wrong == []


def test_the_rooms_stand_on_one_another_without_a_circle() -> None:
    below: set[str] = set()
    for room, may_know in ROOMS.items():
        assert may_know <= below, f"{room} knows a room that is not below it"
        below.add(room)


def test_only_the_composition_root_chooses_adapters() -> None:
    """Others see ports. The ``forge`` command is for the local forge alone, and may name it."""
    wrong = [
        f"{module.place(node)}: {module.name} imports {target}"
        for module in modules()
        for node, target in imports(module)
        if (name := ours(target)) is not None
        and name.startswith(ADAPTERS)
        and module.room not in (room_of(name), "wiring")
        and not (module.name.startswith("cli.forge") and name.startswith("forges.local"))
    ]
    assert wrong == []


def test_adapters_do_not_know_each_other() -> None:
    def family(name: str) -> str | None:
        return next((one for one in FAMILIES if name == one or name.startswith((f"{one}_", f"{one}."))), None)

    wrong = [
        f"{module.place(node)}: {module.name} imports {target}"
        for module in modules()
        for node, target in imports(module)
        if (name := ours(target)) is not None and family(module.name) and family(name)
        if family(name) != family(module.name)
    ]
    assert wrong == []


def test_each_third_party_stays_in_its_room() -> None:
    wrong = []
    for module in modules():
        for node, target in imports(module):
            package = target.partition(".")[0]
            if ours(target) is not None or package in sys.stdlib_module_names:
                continue
            allowed = THIRD_PARTIES.get(package, set())
            if module.room not in allowed and module.name not in allowed:
                wrong.append(f"{module.place(node)}: {module.name} imports {target}")
    assert wrong == []


IMPURE = {"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes", "open", "unlink", "resolve"}


@pytest.mark.parametrize("room", ["core", "manifests"])
def test_the_pure_rooms_touch_nothing(room: str) -> None:
    """No network, clock, process or file; the core is the standard library alone."""
    packages = {"yaml"} if room == "manifests" else set()
    wrong = []
    for module in (one for one in modules() if one.room == room):
        for node, target in imports(module):
            package = target.partition(".")[0]
            pure = package in packages or (package in sys.stdlib_module_names and package not in EFFECTS)
            if ours(target) is None and not pure:
                wrong.append(f"{module.place(node)}: imports {target}")
        wrong += [
            f"{module.place(call)}: {ast.unparse(call.func)}"
            for call in calls(module)
            if _name(call.func) in {"open", "print", "input"} or _attribute(call.func) in IMPURE
        ]
    assert wrong == []


def _name(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _attribute(node: ast.AST) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else None


STARTERS = ("system", "popen", "fork", "posix_spawn", "spawn", "exec", "startfile")


def test_only_the_spawn_helper_starts_processes() -> None:
    wrong = []
    for module in modules():
        wrong += [
            f"{module.place(node)}: imports {target}"
            for node, target in imports(module)
            if target.partition(".")[0] in {"subprocess", "pty", "multiprocessing", "asyncio"}
        ]
        wrong += [
            f"{module.place(node)}: {ast.unparse(node)}"
            for node in module.nodes()
            if isinstance(node, ast.Attribute) and _name(node.value) == "os" and node.attr.startswith(STARTERS)
        ]
    assert [place for place in wrong if not place.startswith("orchestrator/engine/process.py:")] == []
    assert wrong, "the spawn helper has moved; this test looks for it in the wrong place"


def test_gitpython_is_never_asked_by_a_name_made_of_text() -> None:
    """``repository.git.diff(…)`` hands its arguments to git unchecked: an outside text there is an option."""
    hardened = {"run", "git_dir"}  # what our own Git has; GitPython's has every word there is
    wrong = []
    for module in modules():
        allowed = set() if any(target == "git" for _, target in imports(module)) else hardened
        wrong += [
            f"{module.place(node)}: {ast.unparse(node)}"
            for node in module.nodes()
            if isinstance(node, ast.Attribute) and _attribute(node.value) == "git" and node.attr not in allowed
        ]
    wrong += [
        f"{module.place(call)}: {ast.unparse(call)}"
        for module in modules()
        for call in calls(module)
        if _attribute(call.func) in {"clone_from", "create_head", "create_remote", "multi_options"}
    ]
    assert wrong == []


FORBIDDEN_KEYWORDS = {("shell", True), ("verify", False), ("trust_env", True), ("stream_checksum", False)}


def test_no_shell_and_no_unverified_connection() -> None:
    wrong = [
        f"{module.place(call)}: {keyword.arg}={keyword.value.value}"
        for module in modules()
        for call in calls(module)
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in FORBIDDEN_KEYWORDS
    ]
    wrong += [
        f"{module.place(node)}: {ast.unparse(node)}"
        for module in modules()
        for node in module.nodes()
        if isinstance(node, ast.Assign)
        and any(_attribute(target) == "verify" for target in node.targets)
        and isinstance(node.value, ast.Constant)
        and node.value.value is False
    ]
    assert wrong == []


FORBIDDEN_CALLS = {
    "extractall": "members are read as streams and never extracted",
    "extract": "members are read as streams and never extracted",
    "unpack_archive": "members are read as streams and never extracted",
    "enable_debug": "it prints Authorization headers",
    "login": "registry logins are passed with each call and never stored",
    "unsafe_load": "only plain data is read",
    "full_load": "only plain data is read",
    "raise_for_status": "its message holds the whole URL",
}
FORBIDDEN_FUNCTIONS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "kubernetes", "openshift", "lightkube", "pykube"}


def test_no_dangerous_call() -> None:
    wrong = [
        f"{module.place(call)}: {ast.unparse(call.func)}: {FORBIDDEN_CALLS[name]}"
        for module in modules()
        for call in calls(module)
        if (name := _attribute(call.func) or "") in FORBIDDEN_CALLS
        and not ast.unparse(call.func).endswith("_credentials.login")  # ours: it looks one up
    ]
    wrong += [
        f"{module.place(call)}: {_name(call.func)}"
        for module in modules()
        for call in calls(module)
        if _name(call.func) in FORBIDDEN_FUNCTIONS
    ]
    assert wrong == []


def test_no_cluster_client_and_nothing_that_runs_what_it_reads() -> None:
    wrong = [
        f"{module.place(node)}: imports {target}"
        for module in modules()
        for node, target in imports(module)
        if target.partition(".")[0] in FORBIDDEN_MODULES
    ]
    assert wrong == []


def test_meaning_never_comes_from_any_exception_at_all() -> None:
    """A handler for everything is for places that hand the exception on, and each of them is known here."""
    known = {
        "cli/boundary.py": 1,  # the last line of defence
        "engine/pipes.py": 2,  # what on_line and the making of stdin raise, raised again by process.run()
        "engine/runner.py": 2,  # a stage's error, handed to the thread that runs the pipeline; and the interruption
        "engine/parallel.py": 2,  # the calls' errors, likewise; and the interruption
        "engine/events.py": 1,  # a stage that failed, raised again
        "engine/bounded.py": 1,  # the call's error, raised again in the thread that waits
    }
    counted: dict[str, list[str]] = {}
    for module in modules():
        for node in module.nodes():
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or _name(node.type) in {"Exception", "BaseException"}
            ):
                file = str(module.file.relative_to(ROOT)).removeprefix("orchestrator/")
                raised = any(isinstance(one, ast.Raise) and one.exc is None for one in node.body)
                if file in known or not raised:
                    counted.setdefault(file, []).append(module.place(node))
    assert {file: len(places) for file, places in counted.items()} == known, counted
