"""What ``doctor`` looks at on this machine: engine, BuildKit, git, clock, credentials, the key that signs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from orchestrator.ci.guard import Kind, enforce
from orchestrator.ci.guard import Rules as GuardRules
from orchestrator.config.application import ApplicationConfig
from orchestrator.core.errors import HybridCIError, Refused
from orchestrator.core.findings import Finding, Severity
from orchestrator.core.git_flaws import AS_OF, flaws_of
from orchestrator.core.image import Repository
from orchestrator.engine.parallel import side_by_side
from pipelines.doctor import Check, Scene, failed, quietly

_SKEW, _TOO_MUCH = timedelta(seconds=30), timedelta(minutes=5)


def _engine(scene: Scene) -> Iterator[Finding]:
    yield Finding("engine", Severity.OK, scene.ports.engine.check())


def _buildkit(scene: Scene) -> Iterator[Finding]:
    found, wanted = scene.tools.buildkit(), _wants_buildkit(scene.around.application.config)
    if found is not None:
        yield Finding("buildkit", Severity.OK, found)
    elif wanted is not None:
        yield Finding(
            "buildkit",
            Severity.REFUSAL,
            f"no docker command here can build with BuildKit, and {wanted} takes it",
            "the build would be refused",
            "install docker-buildx-plugin on the runner",
        )
    else:
        yield Finding(
            "buildkit",
            Severity.WARNING,
            "no docker command here can build with BuildKit, so the engine's own builder is used",
            "it knows no build secrets, no mounts and no cache in a registry, and engines give it up",
            "install docker-buildx-plugin on the runner",
        )


def _wants_buildkit(config: ApplicationConfig) -> str | None:
    """What of the configuration the engine's own builder can't do."""
    if config.builder == "buildkit":
        return "'builder: buildkit'"
    if config.buildx_builder is not None:
        return "'buildx_builder'"
    for name, image in config.images.items():
        wishes = {
            "secrets": image.secrets,
            "ssh": image.ssh,
            "cache": image.cache.from_ or image.cache.to,
            "provenance": image.provenance,
        }
        for wish, wanted in wishes.items():
            if wanted:
                return f"images.{name}.{wish}"
    return None


def _git(scene: Scene) -> Iterator[Finding]:
    version = scene.tools.git_version()
    text = ".".join(map(str, version))
    flaws = flaws_of(version)
    if not flaws:
        yield Finding("git", Severity.OK, f"git {text}")
        return
    known = "; ".join(f"{flaw.names}: {flaw.what}" for flaw in flaws)
    newest = ".".join(map(str, max(fixed for flaw in flaws for fixed in flaw.fixed)))
    yield Finding(
        "git",
        Severity.WARNING,
        f"git {text} has known flaws ({known}; as of {AS_OF})",
        "hybrid-ci clones no submodule, checks nothing out, takes no bundle and follows no server's HEAD, so they are "
        "out of its way; other steps of the job use the same git",
        f"update git to {newest} or newer; a distribution may have mended an older number, see its changelog",
    )


def _clock(scene: Scene) -> Iterator[Finding]:
    now, told = scene.ports.clock.now(), {}
    facts = quietly(scene.facts)
    if facts is not None and facts.clock is not None:
        told["the forge"] = facts.clock
    hosts = dict.fromkeys(repository.registry for repository in _repositories(scene))
    times = side_by_side([partial(scene.tools.clock_of, host) for host in hosts])
    told |= {host: time for host, time in zip(hosts, times, strict=True) if time is not None}
    if not told:
        yield Finding("clock", Severity.UNKNOWN, "no server tells its time")
        return
    server, skew = max(((name, time - now) for name, time in told.items()), key=lambda pair: abs(pair[1]))
    seconds = round(abs(skew).total_seconds())
    if abs(skew) <= _SKEW:
        yield Finding("clock", Severity.OK, f"within {seconds} s of {', '.join(told)}")
        return
    yield Finding(
        "clock",
        Severity.REFUSAL if abs(skew) > _TOO_MUCH else Severity.WARNING,
        f"this machine is {seconds} s {'behind' if skew > timedelta() else 'ahead of'} {server}",
        "tokens are made and taken by time, and so are soak times, freezes and the order of commits",
        "let the runner keep its time by NTP",
    )


def _registry(scene: Scene) -> Iterator[Finding]:
    why = "images are pushed there and read back"
    repositories = tuple(dict.fromkeys(_repositories(scene)))

    def ask(repository: Repository) -> Finding:
        try:
            scene.ports.registry.check_login(repository, push=True)
        except HybridCIError as error:
            return failed("registry", error, why)
        return Finding("registry", Severity.OK, f"{repository}: may be pushed to")

    yield from side_by_side([partial(ask, repository) for repository in repositories])


def _repositories(scene: Scene) -> list[Repository]:
    return [Repository.parse(image.repository) for image in scene.around.application.config.images.values()]


def _credentials(scene: Scene) -> Iterator[Finding]:
    """As a release would judge them: by the policy in CI, by a warning elsewhere."""
    signals = [one for one in scene.around.signals if one.kind is not Kind.HINT]
    why = "CI that hands off by pull request needs no way into a cluster, and what is there can be stolen"
    if not signals:
        yield Finding("cluster credentials", Severity.OK, "none is within reach")
        return
    rules = quietly(scene.rules)
    policy = rules.policy if rules is not None else None
    guard = GuardRules(policy.waivers, policy.origin, policy.identities) if policy else GuardRules((), "the policy")
    for signal in signals:
        try:
            waivers = enforce([signal], guard, pushes=True)
        except Refused as error:
            severity = Severity.REFUSAL if scene.around.ci.is_ci else Severity.WARNING
            fix = f"{error.details[0].partition(': ')[2]}; {(error.hint or '').partition('; ')[2]}".rstrip("; ")
            yield Finding("cluster credentials", severity, error.message, why, fix)
            continue
        text = f"waived: {waivers[0].reason}" if waivers else "the policy allows it where images are pushed"
        yield Finding("cluster credentials", Severity.OK, f"{signal.name} is here; {text}")


def _signing(scene: Scene) -> Iterator[Finding]:
    if scene.tools.sign is None:
        yield Finding("signing", Severity.OK, "no key is configured; commits are not signed by us")
        return
    scene.tools.sign()
    yield Finding("signing", Severity.OK, "the key signs")


def _checkout(scene: Scene) -> Iterator[Finding]:
    source = scene.tools.source()
    if source.first_parent_count is None:
        yield Finding(
            "checkout",
            Severity.WARNING,
            "the checkout is shallow",
            "releases can't be ordered, so a late job could move an environment back; and the matrix has nothing to "
            "compare with",
            "fetch the whole history (actions/checkout: fetch-depth: 0; GitLab: GIT_DEPTH: 0)",
        )
    elif source.branch is None and scene.around.ci.branch is None:
        yield Finding(
            "checkout",
            Severity.WARNING,
            "the branch of the checked-out commit is not known",
            "releases are ordered along their branch",
            "check out a branch",
        )
    else:
        yield Finding("checkout", Severity.OK, f"commit {source.id.short} with its history")


MACHINE = (
    Check("engine", _engine, "images are built and tested in it"),
    Check("buildkit", _buildkit, "it builds the images", needed=False),
    Check("git", _git, "it reads and writes the GitOps repository"),
    Check("clock", _clock, "tokens and gates go by time", needed=False),
    Check("checkout", _checkout, "a release is of one commit"),
    Check("registry", _registry, "images are pushed there and read back"),
    Check("cluster credentials", _credentials, "CI needs no way into a cluster", needed=False),
    Check("signing", _signing, "commits are signed before they are pushed"),
)
