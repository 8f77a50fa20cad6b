"""The application's own stages: a command on this machine, or in a built image with services beside it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from orchestrator.ci.redact import read_secret
from orchestrator.config.graph import Variant
from orchestrator.config.stages import ServiceConfig, as_text
from orchestrator.core.errors import HybridCIError, RemoteError, TimedOut, WorkFailed
from orchestrator.core.image import ImageReference
from orchestrator.core.machine import MachineExhausted, killed
from orchestrator.core.stages import Node
from orchestrator.engine.clock import Deadline
from orchestrator.engine.events import stage
from orchestrator.engine.leash import leashed
from orchestrator.engine.process import Limits
from orchestrator.engine.process import run as run_child
from orchestrator.images.base import BuiltImage, RunningContainer, RunSpec
from orchestrator.images.readiness import is_ready
from pipelines.making import Run

_TAIL = 30
_FIRST_POLL, _LONGEST_POLL = 0.05, 1.0
_LEEWAY = 60.0  # seconds beyond a stage's own limit for which its services are allowed to live


@dataclass(frozen=True, slots=True)
class _Failed:
    """How an attempt failed: in words, and the end of its log."""

    reason: str
    tail: tuple[str, ...]


def custom_stage(run: Run, node: Node) -> None:
    """Run a stage of the application's own, as often as it may. Raises WorkFailed, TimedOut, RemoteError,
    MachineExhausted.
    """
    variant, ports = run.pipeline.variants[node.name], run.ports
    with stage(ports.reporter, node.name, ports.clock.monotonic) as ending:
        if variant.config.run is None:
            ending.text = "done, approved"
            return
        attempt = _on_host if variant.config.on_host else _in_image
        for number in itertools.count():
            failed = _attempt(run, variant, attempt)
            if failed is None:
                ending.text = "done" if number == 0 else f"done at attempt {number + 1}"
                return
            if number == variant.config.retries:
                raise _error(run, variant, failed)
            more = f"attempt {number + 2} of {variant.config.retries + 1}"
            ports.reporter.warn(f"{node.name}: {_sentence(failed)}; {more}")


def _attempt(
    run: Run, variant: Variant, attempt: Callable[[Run, Variant], _Failed | None]
) -> _Failed | HybridCIError | None:
    try:
        return attempt(run, variant)
    except (
        RemoteError,
        TimedOut,
        MachineExhausted,
        WorkFailed,
    ) as error:  # a service that did not get ready, an engine that hiccuped
        return error


def _sentence(failed: _Failed | HybridCIError) -> str:
    return failed.reason if isinstance(failed, _Failed) else failed.message


def _error(run: Run, variant: Variant, failed: _Failed | HybridCIError) -> HybridCIError:
    if isinstance(failed, HybridCIError):
        return failed
    return WorkFailed(
        f"the stage {variant.name} failed: {failed.reason}",
        where=run.pipeline.job.application.place("stages", variant.key),
        details=failed.tail,
        hint="the lines above are the end of its log" if failed.tail else "it said nothing",
    )


def variables(run: Run, variant: Variant) -> dict[str, str]:
    """What every stage gets: the commit, its matrix, what it is configured with, and the secrets that it names."""
    job = run.pipeline.job
    known = {
        "HYBRID_CI_APPLICATION": job.application.config.application,
        "HYBRID_CI_COMMIT": str(job.source.id),
        "HYBRID_CI_BRANCH": job.source.branch or "",
    }
    matrix = {f"MATRIX_{_upper(key)}": value for key, value in variant.values.items()}
    configured = {key: as_text(value) for key, value in variant.config.environment.items()}
    secrets = {
        name: secret.reveal() for name in variant.config.secrets if (secret := read_secret(name, job.environment))
    }
    return known | matrix | configured | secrets


def _upper(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.upper())


# --- on this machine ---------------------------------------------------------------------------------------------


def _on_host(run: Run, variant: Variant) -> _Failed | None:
    """A child of ours, with an environment built from nothing and a HOME of its own."""
    config, reporter = variant.config, run.ports.reporter
    tail: deque[str] = deque(maxlen=_TAIL)

    def hear(line: str) -> None:
        tail.append(line)
        reporter.log(variant.name, line)

    images = {f"IMAGE_{_upper(name)}": image.engine_id.value for name, image in (run.fetched | run.built).items()}
    ended = run_child(
        config.run or (),
        environment=images | variables(run, variant),
        directory=run.pipeline.job.application.directory / config.directory,
        limits=Limits(seconds=config.timeout, output=1 << 20),
        on_line=hear,
        beside=leashed,
    )
    if ended.ok:
        return None
    if ended.timed_out:
        return _Failed(f"it was ended after its time limit of {config.timeout:g} s", tuple(tail))
    if ended.killed:
        where = run.pipeline.job.application.place("stages", variant.key)
        raise killed(f"the stage {variant.name}", where, tuple(tail))
    return _Failed(f"it {ended.how}", tuple(tail))


# --- in a built image --------------------------------------------------------------------------------------------


def _in_image(run: Run, variant: Variant) -> _Failed | None:
    config, ports = variant.config, run.ports
    spec = RunSpec(
        command=config.run,
        environment=variables(run, variant),
        user=config.user,
        network=config.network,
        seconds=config.timeout,
        memory=config.memory,
    )
    if config.services:
        with _services(run, variant) as (network, addresses):
            beside = RunSpec(
                command=spec.command,
                environment={**addresses, **spec.environment},
                user=spec.user,
                seconds=spec.seconds,
                memory=spec.memory,
                join=network,
                alias="stage",
            )
            result = ports.engine.run(run.image(config.image), beside, ports.reporter, variant.name)
    else:
        result = ports.engine.run(run.image(config.image), spec, ports.reporter, variant.name)
    if result.timed_out:
        return _Failed(f"it was ended after its time limit of {config.timeout:g} s", result.log_tail)
    if result.out_of_memory:
        return _Failed("it ran out of its memory", result.log_tail)
    return None if result.exit_code == 0 else _Failed(f"it ended with {result.exit_code}", result.log_tail)


@contextmanager
def _services(run: Run, variant: Variant) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Their network, and where each one answers: ``$SERVICE_<NAME>_HOST`` (and its name, where the image resolves it).

    They are started in the order of the configuration, each ready before the next; all are gone at the end.
    """
    config, engine = variant.config, run.ports.engine
    life = config.timeout + sum(service.timeout for service in config.services.values()) + _LEEWAY
    addresses: dict[str, str] = {}
    with ExitStack() as stack:
        network = stack.enter_context(engine.private_network(life, outside=config.network))
        for name, service in config.services.items():
            image = _service_image(run, variant, name, service)
            container = engine.start(image, _service_spec(service, name, network, life, addresses))
            stack.callback(container.stop)
            _wait_until_ready(run, variant, name, service, container)
            addresses[f"SERVICE_{_upper(name)}_HOST"] = container.inside
        yield network, addresses


def _service_spec(
    service: ServiceConfig, name: str, network: str, life: float, addresses: Mapping[str, str]
) -> RunSpec:
    ready = service.ready
    port = None if ready is None else ready.http.port if ready.http is not None else ready.tcp
    return RunSpec(
        command=service.command,
        environment={**addresses, **{key: as_text(value) for key, value in service.environment.items()}},
        user=service.user,
        publish=port,
        seconds=life,
        memory=service.memory,
        pids=1024,
        join=network,
        alias=name,
        service=True,
    )


def _service_image(run: Run, variant: Variant, name: str, service: ServiceConfig) -> BuiltImage:
    """One that this run has built, or one from elsewhere."""
    if service.image in run.pipeline.targets:
        return run.image(service.image)
    reference = ImageReference.parse(service.image)
    if reference.digest is None:
        run.ports.reporter.warn(f"{variant.name}: the service {name} is not pinned by digest; its tag can move")
    return run.ports.engine.obtain(name, reference, run.ports.reporter, variant.name)


def _wait_until_ready(
    run: Run, variant: Variant, name: str, service: ServiceConfig, container: RunningContainer
) -> None:
    """Ask until it is ready. Raises WorkFailed when it ends or its time is over, with what it said."""
    clock, ready = run.ports.clock, service.ready
    if ready is None:
        return
    deadline, pause = Deadline(clock, service.timeout), _FIRST_POLL
    http = (ready.http.path, ready.http.status) if ready.http is not None else None
    while True:
        if is_ready(container, ready.command, http, deadline.remaining):
            return
        running = container.running()
        if not running or deadline.expired:
            how = f"was not ready within {service.timeout:g} s" if running else "ended before it was ready"
            raise WorkFailed(
                f"the service {name} of the stage {variant.name} {how}",
                where=run.pipeline.job.application.place("stages", variant.key, "services", name),
                details=container.stop().log_tail,
                hint="the lines above are the end of its log",
            )
        clock.sleep(min(pause, deadline.remaining))
        pause = min(2 * pause, _LONGEST_POLL)
