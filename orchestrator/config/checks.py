"""What ``hybrid-ci check`` looks at: both files, and what the application's configuration points to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.loader import LoadedApplication, load_application, load_policy, read_limited
from orchestrator.config.models import ImageConfig
from orchestrator.core.errors import ConfigurationError


@dataclass
class CheckReport:
    """What was found sound, and what deserves a second look."""

    sound: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_files(config: Path, policy: Path | None) -> CheckReport:
    """Validate ``hybrid-ci.yaml``, and a policy file if one is named. Raises ConfigurationError."""
    report = CheckReport()
    if policy is None or config.exists():
        application = load_application(config)
        _check_images(application, report)
        count = len(application.config.images)
        report.sound.append(f"{config}: valid, {count} image{'s' if count != 1 else ''}")
    if policy is not None:
        environments = _check_policy(policy)
        report.sound.append(f"{policy}: valid, environments {', '.join(environments)}")
    return report


def _check_policy(file: Path) -> list[str]:
    try:
        content = read_limited(file)
    except OSError as error:
        raise ConfigurationError(
            f"the policy can't be read: {error.strerror}", where=str(file), hint="check the path and its permissions"
        ) from None
    return list(load_policy(content, str(file), None).environments)


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
