"""What happens to an open pull request of the local forge short of its end: drafts, people, labels, remarks, wishes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.engine.clock import Clock
from orchestrator.forges.base import PullRequest, Review, ReviewState, Routing
from orchestrator.forges.local_desk import PullDesk
from orchestrator.forges.local_records import Comment, MergeWish, PullRecord
from orchestrator.forges.local_store import LostTransaction, RefStore

TEAM_SECTION = "hybrid-ci-team"  # git config hybrid-ci-team.<team>.members "ada, grace"


class Handling:
    """The small changes, each one transaction. Methods raise NotOpen, and as the forge's ``show``."""

    def __init__(self, desk: PullDesk, store: RefStore, clock: Clock, actor: str) -> None:
        self._desk, self._store, self._clock, self._actor = desk, store, clock, actor

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """As the port says."""
        return self._change(number, lambda record: replace(record, draft=draft))

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """As the port says. Every name is taken, since nobody here knows who there is; but nobody reviews himself."""
        author = self._desk.get(number).record.author
        reviewers = tuple(name for name in routing.reviewers if name != author)
        wanted = replace(routing, reviewers=reviewers)
        self._change(number, lambda record: replace(record, routing=_joined(record.routing, wanted)))
        return []

    def wish(self, number: int, head: CommitId, message: str | None) -> None:
        """Remember that this head shall be merged as soon as the rules allow it."""
        self._change(number, lambda record: replace(record, wish=MergeWish(head, message or "", self._actor)))

    def call_off(self, number: int) -> bool:
        """Forget that; whether there was such a wish."""
        there = self._desk.get(number).record.wish is not None
        self._change(number, lambda record: replace(record, wish=None))
        return there

    def comment(self, number: int, text: str) -> None:
        """As the port says; a pull request that has ended takes remarks too."""
        self._desk.until_written(lambda: self._comment_once(number, text))

    def reviews(self, number: int) -> Sequence[Review]:
        """The last approval of each person."""
        last = {one.by: one.commit for one in self._desk.get(number).record.approvals}
        return [Review(author, ReviewState.APPROVED, commit) for author, commit in last.items()]

    def members(self, team: str) -> frozenset[str]:
        """Who belongs to a team, by the repository's own configuration. Raises ConfigurationError for none."""
        key = f"{TEAM_SECTION}.{team}.members"
        found = self._store.settings(f"^{re.escape(key)}$").get(key)
        if found is None:
            raise ConfigurationError(
                f"the local forge knows no team {team!r}",
                where=f"{self._store.git_dir}/config",
                hint=f"git config {key} 'ada, grace'",
            )
        return frozenset(name.strip() for name in found.split(",") if name.strip())

    def _change(self, number: int, change: Callable[[PullRecord], PullRecord]) -> PullRequest:
        return self._desk.until_written(lambda: self._change_once(number, change))

    def _change_once(self, number: int, change: Callable[[PullRecord], PullRecord]) -> PullRequest | LostTransaction:
        stored = self._desk.get_open(number)
        record = change(stored.record)
        if record == stored.record:
            return self._desk.view(record)
        record = replace(record, updated=self._clock.now())
        return self._desk.apply([self._desk.replacing(stored, record)], record)

    def _comment_once(self, number: int, text: str) -> PullRequest | LostTransaction:
        stored = self._desk.get(number)
        if any((one.by, one.text) == (self._actor, text) for one in stored.record.comments):
            return self._desk.view(stored.record)
        said = Comment(self._actor, text, self._clock.now())
        record = replace(stored.record, comments=(*stored.record.comments, said))
        return self._desk.apply([self._desk.replacing(stored, record)], record)


def _joined(there: Routing, wanted: Routing) -> Routing:
    return Routing(
        _union(there.reviewers, wanted.reviewers),
        _union(there.teams, wanted.teams),
        _union(there.assignees, wanted.assignees),
        _union(there.labels, wanted.labels),
    )


def _union(there: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*there, *wanted)))
