"""What ``hybrid-ci check`` looks at: both files, and what the application's configuration points to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.application import ImageConfig
from orchestrator.config.loader import LoadedApplication, load_application, load_policy, read_limited
from orchestrator.core.errors import ConfigurationError


@dataclass
class CheckReport:
    """What was found sound, and what deserves a second look."""

    sound: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_files(config: Path, policy: Path | None) -> CheckReport:
    """Validate ``hybrid-ci.yaml``, and a policy file if one is named.

    Raises ConfigurationError; when both files are broken, one with the problems of both.
    """
    report = CheckReport()
    broken = []
    for look, file in ((_check_application, config), (_check_policy, policy)):
        if file is None or (look is _check_application and policy is not None and not config.exists()):
            continue  # a GitOps repository has a policy alone
        try:
            look(file, report)
        except ConfigurationError as error:
            broken.append(error)
    if broken:
        raise broken[0] if len(broken) == 1 else _both(broken)
    return report


def _both(broken: Sequence[ConfigurationError]) -> ConfigurationError:
    details = [line for error in broken for line in error.details or (f"{error.where}: {error.message}",)]
    return ConfigurationError("both files have problems", details=details, hint=broken[0].hint)


def _check_application(file: Path, report: CheckReport) -> None:
    application = load_application(file)
    _check_images(application, report)
    count = len(application.config.images)
    report.sound.append(f"{file}: valid, {count} image{'s' if count != 1 else ''}")


def _check_policy(file: Path, report: CheckReport) -> None:
    try:
        content = read_limited(file)
    except OSError as error:
        raise ConfigurationError(
            f"the policy can't be read: {error.strerror}", where=str(file), hint="check the path and its permissions"
        ) from None
    environments = load_policy(content, str(file), None).environments
    report.sound.append(f"{file}: valid, environments {', '.join(environments)}")


def dockerfile_of(image: ImageConfig, directory: Path) -> Path:
    """The absolute path of an image's Dockerfile."""
    return directory / image.dockerfile if image.dockerfile else directory / image.context / "Dockerfile"


def _check_images(application: LoadedApplication, report: CheckReport) -> None:
    problems = []
    for name, image in application.config.images.items():
        context = application.directory / image.context
        dockerfile = dockerfile_of(image, application.directory)
        if not context.is_dir():
            place = application.place("images", name, "context")
            problems.append(f"{place}: images.{name}.context: there is no folder {context}")
        elif not dockerfile.is_file():
            place = application.place("images", name, "dockerfile")
            problems.append(f"{place}: images.{name}.dockerfile: there is no file {dockerfile}")
        if not image.tests:
            report.warnings.append(f"images.{name} has no tests: whatever builds is handed off")
    if problems:
        raise ConfigurationError(
            "the configuration points to files that are not there",
            where=str(application.file),
            details=problems,
            hint="correct the paths; they are relative to the configuration file",
        )
