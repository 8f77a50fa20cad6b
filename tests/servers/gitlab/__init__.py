"""A fake GitLab over HTTP, on real bare repositories: REST v4 as its documentation and its own source tell it."""

from tests.servers.gitlab.server import FakeGitLab
from tests.servers.gitlab.state import MergeRequest, Project, Token

__all__ = ["FakeGitLab", "MergeRequest", "Project", "Token"]
