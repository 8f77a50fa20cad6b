"""Freeze windows as the policy file writes them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from orchestrator.config.fields import Model, checked, in_our_words
from orchestrator.core.freeze import Cron, Freeze, zone
from orchestrator.core.judge import length as in_words

_LENGTH = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOMENT = "write a date as 2026-12-24 or a time as 2026-12-24T18:00, without a zone (timezone has that)"


def length(value: object) -> object:
    """``90s``, ``30m``, ``2h`` or ``7d`` in seconds. Raises ValueError."""
    if not isinstance(value, str) or not (match := _LENGTH.fullmatch(value)):
        raise ValueError("write a length of time as 30m, 2h or 7d")
    return int(match["number"]) * _UNITS[match["unit"]]


def _moment(value: object) -> object:
    """A date or a time of a clock on the wall. YAML reads some of them itself."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > len("2026-12-24") else date.fromisoformat(value)
        except ValueError:
            raise ValueError(_MOMENT) from None
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise ValueError(_MOMENT)
        return value
    if isinstance(value, date):
        return value
    raise ValueError(_MOMENT)


def _shown(value: date) -> str:
    return value.isoformat(" ", "minutes") if isinstance(value, datetime) else value.isoformat()


Length = Annotated[int, BeforeValidator(length), Field(gt=0), WithJsonSchema({"type": "string"})]
Moment = Annotated[datetime | date, BeforeValidator(_moment), WithJsonSchema({"type": "string"})]
CronText = Annotated[str, checked(Cron.parse)]
ZoneName = Annotated[str, checked(zone)]


class FreezeConfig(Model):
    """When nothing may change: by dates, or by cron."""

    reason: str = Field(min_length=1, description="Why; whoever waits reads it.")
    timezone: ZoneName = Field(default="UTC", description="The zone of the times, such as Europe/Berlin.")
    begin: Moment | None = Field(default=None, description="First day, or time, that is frozen.")
    end: Moment | None = Field(default=None, description="Last day that is frozen, or the time at which it ends.")
    cron: CronText | None = Field(default=None, description="When it begins, again and again: '0 16 * * FRI'.")
    duration: Length | None = Field(default=None, description="With cron: how long it lasts on the clock, such as 64h.")

    @model_validator(mode="after")
    def _one_kind(self) -> FreezeConfig:
        in_our_words(self.build)
        return self

    def build(self) -> Freeze:
        """The window. Raises ConfigurationError."""
        return Freeze(
            self.reason,
            self.timezone,
            _begin(self.begin),
            _end(self.end),
            Cron.parse(self.cron) if self.cron is not None else None,
            timedelta(seconds=self.duration) if self.duration is not None else None,
            self._text(),
        )

    def _text(self) -> str:
        if self.begin is not None and self.end is not None:
            return f"{_shown(self.begin)} to {_shown(self.end)}"
        return f"{self.cron} for {in_words(self.duration or 0)}"


def _begin(value: date | None) -> datetime | None:
    return value if value is None or isinstance(value, datetime) else datetime.combine(value, time())


def _end(value: date | None) -> datetime | None:
    """A day is frozen to its end."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.combine(value + timedelta(days=1), time())
