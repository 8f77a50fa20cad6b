#!/usr/bin/env python3
"""A Docker Engine and registries for the demo and the tests: started when needed, stopped by their own pids.

    python scripts/services.py up     --state DIR [--tls] [--json]   start what is not running, and leave it running
    python scripts/services.py status --state DIR [--json]
    python scripts/services.py down   --state DIR                    stop what ``up`` started
    python scripts/services.py run    --state DIR [--tls] -- COMMAND start, run a command, stop

Everything lives below DIR, and ``DIR/services.json`` says where to find it. Only the standard library is used:
this runs before anything is installed. The environment variable DEMO_INSTALL=no forbids installing packages.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

if __package__ in {None, ""}:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.machine import base_image, daemon, engine, engine_api, packages, registry
from scripts.machine.daemon import Daemon
from scripts.machine.engine import Engine
from scripts.machine.errors import MachineError
from scripts.machine.registry import Registry

SERVICES_VARIABLE = "HYBRID_CI_TEST_SERVICES"  # the path of a services.json, for the tests
_FILE = "services.json"
_Kind = TypeVar("_Kind", Engine, Registry)


@dataclass(frozen=True, slots=True)
class Services:
    """What runs: an engine, a plain registry, and (where asked for) one with TLS and a password."""

    engine: Engine
    base_image: str  # in the engine; nothing has to be pulled to build from it
    plain: Registry
    tls: Registry | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The content of ``services.json``: what was started so far, perhaps not all, perhaps not alive any more."""

    engine: Engine | None = None
    base_image: str = ""
    plain: Registry | None = None
    tls: Registry | None = None


def read(folder: Path) -> State:
    """What ``services.json`` says; empty where there is none, or nothing readable."""
    try:
        fields = json.loads((folder / _FILE).read_text())
        return State(
            engine=_revive(Engine, fields["engine"]),
            base_image=str(fields["base_image"]),
            plain=_revive(Registry, fields["plain"]),
            tls=_revive(Registry, fields["tls"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def up(folder: Path, *, tls: bool = False, install: bool = True, say: packages.Say = print) -> Services:
    """Start what does not run yet and write ``services.json``; safe to call again, also after a crash.

    Raises MachineError with what to do; whatever runs by then is stopped again.
    """
    folder = _prepare(folder)
    with _start_lock(folder):
        state = read(folder)
        try:
            running = _engine(folder, state.engine, install=install, say=say)
            state = write(folder, replace(state, engine=running))
            image = base_image.ensure(running.host, install=install, say=say)
            state = write(folder, replace(state, base_image=image))
            if tls and install:
                packages.install(packages.missing(packages.test_tools()), why="the tests", say=say)
            plain = _registry(folder, "registry", state.plain, running, tls=False, install=install, say=say)
            state = write(folder, replace(state, plain=plain))
            secure = state.tls
            if tls or (secure and registry.alive(secure)):
                secure = _registry(folder, "registry-tls", secure, running, tls=True, install=install, say=say)
                write(folder, replace(state, tls=secure))
        except BaseException:
            _stop(folder, say=say)
            raise
        return Services(running, image, plain, secure if tls else None)


def down(folder: Path, *, say: packages.Say = print) -> None:
    """Stop what ``up`` started below this folder, and nothing else; images, blobs and logs stay."""
    folder = _prepare(folder)
    with _start_lock(folder):
        _stop(folder, say=say)


@contextlib.contextmanager
def lease(
    folder: Path, *, tls: bool = False, install: bool = True, keep: bool = False, say: packages.Say = print
) -> Iterator[Services]:
    """Services for the length of a block, shared by all who lease the same folder: the last one out stops them."""
    folder = _prepare(folder)
    with (folder / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield up(folder, tls=tls, install=install, say=say)
        finally:
            with _start_lock(folder):
                if not keep and _is_last(users):
                    _stop(folder, say=say)


def _engine(folder: Path, known: Engine | None, *, install: bool, say: packages.Say) -> Engine:
    if known and known.process and daemon.alive(known.process):
        if engine_api.version(known.host) is not None:
            return known
        engine.stop(engine.Layout(folder), known.process)
    return engine.ensure(folder, install=install, say=say)


def _registry(
    folder: Path, name: str, known: Registry | None, running: Engine, *, tls: bool, install: bool, say: packages.Say
) -> Registry:
    if known and registry.alive(known):
        if registry.answers(known):
            return known
        registry.stop(known)
    wanted = known.host if known else ""
    try:
        executable = registry.program(install=install, say=say)
    except MachineError as error:
        if running.process or not install:  # a private engine exists only where the package does
            raise
        try:
            return registry.start_in_engine(running.host, folder / name, tls=tls, wanted=wanted, say=say)
        except MachineError as second:
            raise MachineError(f"{error.message}, and {second}", hint=error.hint) from second
    return registry.start(executable, folder / name, tls=tls, wanted=wanted, say=say)


def _stop(folder: Path, *, say: packages.Say) -> None:
    """Stop by pid what the state file names. The file stays: a later start takes the same ports where they are free.

    An engine that was there before keeps no image that is named after our registries.
    """
    state = read(folder)
    if state.engine and not state.engine.process:
        for started in filter(None, (state.tls, state.plain)):
            engine_api.remove_images(state.engine.host, f"{started.host}/")
    for started in filter(None, (state.tls, state.plain)):
        if registry.alive(started):
            registry.stop(started)
            say(f"stopped the private registry at {started.host}")
    if state.engine and state.engine.process:
        lives = daemon.alive(state.engine.process)
        engine.stop(engine.Layout(folder), state.engine.process)
        if lives:
            say(f"stopped the private Docker Engine (pid {state.engine.process.pid})")


def _prepare(folder: Path) -> Path:
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _start_lock(folder: Path) -> Iterator[None]:
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    """Nobody else holds the users' lock (a lock of a killed process is gone with it)."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write(folder: Path, state: State) -> State:
    """Write ``services.json``, readable by its owner alone; the state."""
    temporary = folder / f"{_FILE}.new"
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(asdict(state), indent=2) + "\n")
    temporary.replace(folder / _FILE)
    return state


def _revive(kind: type[_Kind], fields: dict[str, Any] | None) -> _Kind | None:
    if fields is None:
        return None
    process = fields["process"]
    return kind(**{**fields, "process": Daemon(**process) if process else None})


def _run(arguments: argparse.Namespace) -> int:
    """Start, run the command with SERVICES_VARIABLE set, stop. The command's exit code is ours."""
    with lease(arguments.state, tls=arguments.tls, say=_say):
        environment = {**os.environ, SERVICES_VARIABLE: str(arguments.state.absolute() / _FILE)}
        child = subprocess.Popen(arguments.command, env=environment)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # it got the Ctrl-C too, and reports before it ends
                return child.wait()


def _up(arguments: argparse.Namespace) -> int:
    up(arguments.state, tls=arguments.tls, say=_say)
    return _status(arguments)


def _down(arguments: argparse.Namespace) -> int:
    down(arguments.state, say=_say)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    """Print what runs; exit code 1 when something that was started is not alive."""
    state = read(arguments.state.absolute())
    engine_lives = state.engine is not None and engine_api.version(state.engine.host) is not None
    lines = [("engine", state.engine.host if state.engine else "-", engine_lives)]
    for name, one in (("registry", state.plain), ("registry with TLS", state.tls)):
        if one:
            lines.append((name, one.host, registry.alive(one)))
    if arguments.json:
        print(json.dumps(asdict(state), indent=2))
    else:
        for name, where, lives in lines:
            print(f"{name:18} {where:50} {'running' if lives else 'not running'}")
    return 0 if all(lives for *_, lives in lines) else 1


def _say(line: str) -> None:
    print(f"services: {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Parse, act, and turn a MachineError into its message and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, action in {"up": _up, "status": _status, "down": _down, "run": _run}.items():
        one = actions.add_parser(name, help=(action.__doc__ or "").partition(".")[0])
        one.set_defaults(action=action)
        one.add_argument("--state", type=Path, required=True, help="the folder in which everything lives")
        if name in {"up", "run"}:
            one.add_argument("--tls", action="store_true", help="also a registry with TLS and a password")
        if name in {"up", "status"}:
            one.add_argument("--json", action="store_true", help="print services.json")
        if name == "run":
            one.add_argument("command", nargs="+", help="after --")
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.action(arguments))
    except MachineError as error:
        print(f"services: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
