"""The commands: name, module, one line each. Importing this file imports nothing else.

The overview (``hybrid-ci --help``) is made from this table alone, so it is there at once; a test holds the
table against the commands themselves.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("orchestrator.cli.init", "Write a commented configuration from what this repository holds."),
    "check": ("orchestrator.cli.check", "Validate configuration offline; every problem at once."),
    "doctor": ("orchestrator.cli.doctor", "Check engine, logins, rights and settings before a release."),
    "plan": ("orchestrator.cli.plan", "Show the stages and the exact diff that a release would hand off."),
    "release": ("orchestrator.cli.release", "Build, test, push, prove, and hand off by pull request."),
    "matrix": ("orchestrator.cli.matrix", "Print which images this commit changes, as a build matrix."),
    "build": ("orchestrator.cli.build", "Build, test, push and prove some images, and write their record."),
    "handoff": ("orchestrator.cli.handoff", "Join the records of many runners into one pull request."),
    "pin": ("orchestrator.cli.pin", "Hand off images that were built elsewhere."),
    "promote": ("orchestrator.cli.promote", "Hand off what one environment runs to the next."),
    "pins": ("orchestrator.cli.pins", "List every pin in files or folders."),
    "set-image": ("orchestrator.cli.set_image", "Set images in local files, touching no other byte."),
    "status": ("orchestrator.cli.status", "Show which image runs where, since when, and how far behind."),
    "diff": ("orchestrator.cli.diff", "Compare two environments, or show what a pull request changes."),
    "drift": (
        "orchestrator.cli.drift",
        "Find unpinned images, moved tags, plaintext Secrets and other drift.",
    ),
    "history": ("orchestrator.cli.history", "Show what an environment ran, since when, and who changed it."),
    "hold": ("orchestrator.cli.hold", "Keep an image of an environment as it is: set, list, lift."),
    "veto": ("orchestrator.cli.veto", "Keep a digest out of an environment: set, list, lift."),
    "generate": (
        "orchestrator.cli.generate",
        "Print the CI file for GitHub, GitLab or Jenkins, from the configuration.",
    ),
    "forge": ("orchestrator.cli.forge", "Show pull requests of the embedded local forge, and act on them."),
    "schema": ("orchestrator.cli.schema", "Print the JSON Schema of a configuration file or a record."),
}

GLOBAL_OPTIONS: tuple[tuple[str, str], ...] = (
    ("--config FILE", "Configuration file (default: hybrid-ci.yaml)."),
    ("--log-format FORMAT", "Progress as auto, text or json."),
    ("--quiet, -q", "Only warnings and errors on stderr."),
    ("--verbose, -v", "More detail on stderr."),
    ("--git-cache DIR", "Keep a mirror of the GitOps repository here, for the next run."),
    ("--version", "Print the version."),
    ("--install-completion", "Install completion for this shell."),
    ("--help", "This overview; COMMAND --help tells more."),
)

_EXAMPLES = """\
  hybrid-ci init                                  start here
  hybrid-ci release --dry-run                     what would happen
  hybrid-ci release --record release.json         build, test, push, open the pull request
  hybrid-ci pin api=ghcr.io/acme/shop/api:1.4.2   hand off an image that exists already"""

_EXIT_CODES = (
    "0 done or nothing to do, 1 the work failed, 2 usage or configuration, 3 refused, "
    "4 conflict,\n  5 a remote failed (run again), 6 waiting timed out, 130/143 signal"
)


def overview() -> str:
    """The text of ``hybrid-ci --help``."""
    width = max(len(name) for name in (*COMMANDS, *(option for option, _ in GLOBAL_OPTIONS)))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    options = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in GLOBAL_OPTIONS)
    return (
        "Usage: hybrid-ci [OPTIONS] COMMAND [ARGS]...\n\n"
        "CI builds, tests and pushes images, then opens a pull request that pins them by digest\n"
        "in the GitOps repository. Deployment stays with the agent in the cluster.\n\n"
        f"Commands:\n{commands}\n\nOptions:\n{options}\n\nExamples:\n{_EXAMPLES}\n\nExit codes:\n  {_EXIT_CODES}"
    )
