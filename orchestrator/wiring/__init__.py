"""The composition root: from configuration and environment to the ports. Adapters are chosen here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from orchestrator.ci.environment import CIEnvironment, detect
from orchestrator.ci.guard import signals
from orchestrator.ci.redact import redactor
from orchestrator.config.fields import remote_url
from orchestrator.config.loader import LoadedApplication, load_application
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import DEFAULT_REGISTRY, Repository
from orchestrator.core.names import BranchName, CommitId, InvalidName, RemoteURL
from orchestrator.core.order import Ancestry
from orchestrator.core.release import SourceCommit
from orchestrator.engine.clock import SystemClock
from orchestrator.engine.parallel import ahead
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.identity import Identity
from orchestrator.reports.console import make_reporter
from orchestrator.wiring.environment import (
    ca_bundle_of,
    git_credentials,
    identity_of,
    patience_of,
    registry_credentials,
    signer_of,
)
from orchestrator.wiring.forges import Remote, forge_for
from pipelines.ports import Job, Ports, Standpoint, Surroundings

if TYPE_CHECKING:
    from pipelines.doctor import Scene

_CLOCK_SECONDS = 10.0
_DOCTORS_PATIENCE = 5.0
_SIGNING_VARIABLES = ("HYBRID_CI_SIGNING_KEY", "HYBRID_CI_SIGNING_KEY_FILE", "HYBRID_CI_SIGNING_GPG_KEY")


class Settings(Protocol):
    """The global options of the command line."""

    @property
    def config(self) -> Path:
        """The configuration file."""

    @property
    def log_format(self) -> str:
        """auto, text or json."""

    @property
    def quiet(self) -> bool:
        """Only warnings and errors."""

    @property
    def verbose(self) -> bool:
        """More detail."""

    @property
    def git_cache(self) -> Path | None:
        """Where a mirror of the GitOps repository outlives the run."""


@contextmanager
def open_ports(settings: Settings) -> Iterator[tuple[Ports, Surroundings]]:
    """Everything a pipeline needs; what was opened is closed at the end. Raises ConfigurationError."""
    with _opened(settings, load_application(settings.config)) as opened:
        yield opened


@contextmanager
def _opened(settings: Settings, application: LoadedApplication) -> Iterator[tuple[Ports, Surroundings]]:
    identity = identity_of(os.environ)
    surroundings = Surroundings(application, detect(), signals(), identity.address, ca_bundle=ca_bundle_of(os.environ))
    with ExitStack() as stack:
        yield _ports(settings, _Place.of(application), identity, stack), surroundings


@contextmanager
def open_standpoint(
    settings: Settings, gitops: str | None = None, forge: str | None = None, sources: str | None = None
) -> Iterator[tuple[Ports, Standpoint]]:
    """The GitOps repository, as the application's configuration names it, or at the address ``gitops`` without any.

    ``sources`` is the address of the application's repository, where order is told by its commits. Raises
    ConfigurationError, InvalidName for what is no address.
    """
    identity, here = identity_of(os.environ), Path.cwd()
    application = load_application(settings.config) if gitops is None else None
    place = _Place.of(application) if application is not None else _Place(remote_url(gitops or "", here), "auto", here)
    if forge is not None:
        place = replace(place, forge=forge, directory=here)
    at = Standpoint(detect(), signals(), identity.address, ca_bundle=ca_bundle_of(os.environ))
    if application is not None:
        config = application.config
        images = {name: Repository.parse(image.repository) for name, image in config.images.items()}
        at = replace(at, base=BranchName(config.gitops.base), application=config.application, images=images)
    history = _history(application, place.url, sources)
    at = replace(at, ancestry=history.ancestry, sources=history.remote.value if history.remote is not None else None)
    with ExitStack() as stack:
        yield _ports(settings, place, identity, stack), at


@dataclass(frozen=True, slots=True)
class _History:
    """The application's commits: in its checkout, and at its remote. Asked only where an order needs it."""

    checkout: Path | None
    remote: RemoteURL | None
    credentials: GitCredentials | None

    def ancestry(self, current: CommitId, proposed: CommitId) -> Ancestry:
        """By the checkout, else by the remote; UNKNOWN when neither has both. Raises RemoteError."""
        from orchestrator.git.ancestry import SourceHistory, ancestry_in

        if self.checkout is not None:
            with suppress(ConfigurationError):
                told = ancestry_in(self.checkout, current, proposed)
                if told is not Ancestry.UNKNOWN:
                    return told
        if self.remote is None:
            return Ancestry.UNKNOWN
        return SourceHistory(self.remote, self.credentials).ancestry(current, proposed)


def _history(application: LoadedApplication | None, gitops: RemoteURL, sources: str | None) -> _History:
    """The login for the GitOps repository goes to its own server, and to no other one."""
    from orchestrator.git.source import remote_of

    checkout = application.directory if application is not None else None
    remote: RemoteURL | None = None
    if sources is not None:
        remote = remote_url(sources, Path.cwd())
    elif checkout is not None and (told := remote_of(checkout)) is not None:
        with suppress(InvalidName, ConfigurationError):
            remote = remote_url(told, checkout)
    same = remote is not None and remote.host is not None and _server(remote) == _server(gitops)
    return _History(checkout, remote, git_credentials(os.environ) if same else None)


def _server(url: RemoteURL) -> tuple[str, str | None, str]:
    """What a login belongs to: scheme, host, and where the address names one, the port."""
    return url.scheme, url.host, urlsplit(url.value).netloc.rpartition("@")[2] if "://" in url.value else ""


@contextmanager
def open_job(settings: Settings) -> Iterator[tuple[Ports, Job]]:
    """The same with the source commit of the application's repository."""
    application = load_application(settings.config)
    with _source_of(application) as source, _opened(settings, application) as (ports, around):
        yield ports, _job(around, source())


@contextmanager
def open_building(settings: Settings) -> Iterator[tuple[Ports, Job]]:
    """The same without any login for the GitOps repository and without a forge: for who only makes images.

    None of these secrets is even read.
    """
    application = load_application(settings.config)
    around = Surroundings(application, detect(), signals(), identity_of({}).address)
    with _source_of(application) as source, ExitStack() as stack:
        yield _ports(settings, _Place.of(application), None, stack), _job(around, source())


def _source_of(application: LoadedApplication) -> AbstractContextManager[Callable[[], SourceCommit]]:
    """The commit that is checked out: git tells it while the adapters are loaded."""
    from orchestrator.git.source import read_source

    return ahead(partial(read_source, application.directory))


def _job(around: Surroundings, source: SourceCommit) -> Job:
    from orchestrator.git.changed import difference, file_at

    directory, ci = around.application.directory, around.ci
    since = partial(difference, directory, before=ci.before, ci=ci.is_ci)
    return Job(
        around.application,
        ci,
        around.signals,
        around.identity,
        _on_branch(source, ci),
        ca_bundle=around.ca_bundle,
        changed=lambda: since(None).paths,
        difference=since,
        earlier=partial(file_at, directory),
    )


@contextmanager
def open_doctor(settings: Settings, environment: str | None) -> Iterator[Scene]:
    """What ``doctor`` looks at. A login that is configured wrongly is one of its findings, and hides no other one.

    Raises ConfigurationError when the configuration can't be read.
    """
    from orchestrator.git.command import git_version, require_version
    from orchestrator.git.signing import check_signer
    from orchestrator.git.source import read_source
    from orchestrator.images.buildkit_cli import find_docker_cli
    from pipelines.doctor import Scene, Tools

    def version() -> tuple[int, int, int]:
        require_version()
        return git_version()

    def buildkit() -> str | None:
        found = find_docker_cli(os.environ)
        return found.name if found is not None else None

    def sign() -> None:
        signer = signer_of(os.environ)
        if signer is not None:
            check_signer(signer)

    application = load_application(settings.config)
    around = Surroundings(application, detect(), signals(), identity_of(os.environ).address)
    configured = any(os.environ.get(name) for name in _SIGNING_VARIABLES)
    tools = Tools(
        version,
        buildkit,
        sign if configured else None,
        lambda: _on_branch(read_source(application.directory), around.ci),
        partial(_time_at, ca_bundle=ca_bundle_of(os.environ)),
    )
    with ExitStack() as stack:
        place, broken = _Place.of(application), None
        try:
            ports = _ports(settings, place, identity_of(os.environ), stack, _DOCTORS_PATIENCE)
        except ConfigurationError as error:
            ports, broken = _ports(settings, place, None, stack, _DOCTORS_PATIENCE), error
        own = _own_repository(os.environ)
        yield Scene(ports, around, tools, environment or application.config.gitops.environment, broken, own)


def _own_repository(environment: Mapping[str, str]) -> str | None:
    """The repository that a job of GitHub Actions belongs to."""
    server, name = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None


def _time_at(host: str, ca_bundle: Path | None) -> datetime | None:
    """What time it is at a registry, by the ``Date`` of its answer; None when it does not answer or tell."""
    from orchestrator.engine.http_get import NothingCame, get

    address = "registry-1.docker.io" if host == DEFAULT_REGISTRY else host
    name = address.partition(":")[0]
    for scheme in ("https", "http") if name in ("localhost", "127.0.0.1") else ("https",):
        try:
            told = parsedate_to_datetime(get(f"{scheme}://{address}/v2/", _CLOCK_SECONDS, ca_bundle=ca_bundle).date)
        except (NothingCame, TimeoutError, ValueError):
            continue
        return told if told.tzinfo else told.replace(tzinfo=UTC)
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the GitOps repository and its forge are, and what of an application matters to the adapters.

    A relative path of the forge is taken from ``directory``; ``hints`` name folders that will probably be read;
    ``registries`` are those that the general login is for.
    """

    url: RemoteURL
    forge: str
    directory: Path
    hints: tuple[str, ...] = ()
    registries: frozenset[str] = frozenset()
    builder: Literal["auto", "buildkit", "engine"] = "auto"

    @classmethod
    def of(cls, application: LoadedApplication) -> _Place:
        """As the configuration says it."""
        config, gitops = application.config, application.config.gitops
        return cls(
            remote_url(gitops.repository, application.directory),
            gitops.forge,
            application.directory,
            (config.application, gitops.environment),
            frozenset(Repository.parse(image.repository).registry for image in config.images.values()),
            config.builder,
        )


def _ports(
    settings: Settings, place: _Place, identity: Identity | None, stack: ExitStack, patience: float | None = None
) -> Ports:
    """``identity`` None: nobody hands off, so nobody logs in to the GitOps repository.

    ``patience`` is how long a failing remote is asked again; None as the environment says.
    """
    from orchestrator.engine.scratch import scratch
    from orchestrator.gitops.repository import GitRepository
    from orchestrator.images.buildkit import Builders, BuildKit
    from orchestrator.images.docker_engine import DockerEngine
    from orchestrator.images.engine_client import from_environment
    from orchestrator.images.registry import HttpRegistry

    stack.enter_context(scratch())
    reporter = stack.enter_context(
        closing(make_reporter(settings.log_format, quiet=settings.quiet, verbose=settings.verbose))
    )
    clock = SystemClock()
    logins = registry_credentials(place.registries, os.environ)
    engine = stack.enter_context(closing(DockerEngine(from_environment, logins, clock=clock, redact=redactor)))
    patience = patience_of(os.environ) if patience is None else patience
    registry = stack.enter_context(
        closing(HttpRegistry(logins, clock=clock, ca_bundle=ca_bundle_of(os.environ), seconds=patience))
    )
    remote = Remote(place.url, clock, patience)
    forge, git_logins = None, GitCredentials(ca_bundle=ca_bundle_of(os.environ))
    if identity is not None:
        forge, git_logins = forge_for(place.forge, remote, place.directory, identity, stack)
    repository = stack.enter_context(
        closing(
            GitRepository(
                place.url,
                credentials=git_logins,
                identity=identity or Identity(),
                clock=clock,
                patience=patience,
                hints=place.hints,
                cache=settings.git_cache,
                signer=signer_of(os.environ) if identity is not None else None,
                reporter=reporter,
            )
        )
    )
    builder = Builders(engine, BuildKit(engine, logins, os.environ, redactor), os.environ, place.builder)
    return Ports(builder, engine, registry, repository, forge, clock, reporter)


def _on_branch(source: SourceCommit, ci: CIEnvironment) -> SourceCommit:
    """CI checks commits out detached; its variables know the branch."""
    return replace(source, branch=ci.branch) if source.branch is None and ci.branch else source
