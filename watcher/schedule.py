"""When the nightly reconcile is due: a cron expression, its time zone, and a cluster's own offset.

Exists so that a thousand clusters with the same setting do not ask one bucket at the same minute,
and nobody has to stagger them by hand. Promises: the same cluster always has the same offset;
daylight saving is cronsim's matter, which does as Debian's cron does. Pure.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import blake2b
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_ZONE = "CRON_TZ="


@dataclass(frozen=True, slots=True)
class Schedule:
    """text: as it was given."""

    text: str
    expression: str
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """`0 2 * * *`, or `CRON_TZ=Europe/Berlin 0 2 * * *`; UTC without. Raises ValueError."""
        expression, zone = text.strip(), "UTC"
        if expression.startswith(_ZONE):
            zone, _, expression = expression.removeprefix(_ZONE).partition(" ")
        try:
            next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
            return cls(text, expression, ZoneInfo(zone))
        except (CronSimError, StopIteration, KeyError, OSError) as error:
            raise ValueError(str(error)) from error

    def after(self, moment: datetime, offset: timedelta = timedelta()) -> datetime:
        """The first time after `moment`, each `offset` later than the expression says; UTC."""
        base = (moment - offset).astimezone(self.zone)
        return next(CronSim(self.expression, base)).astimezone(UTC) + offset


def offset_of(cluster: str, window: float) -> timedelta:
    """A cluster's own place in a window of so many seconds. cluster: `domain/name`."""
    digest = blake2b(cluster.encode(), digest_size=8).digest()
    return timedelta(seconds=int(window * int.from_bytes(digest) / 2**64))
