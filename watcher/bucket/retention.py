"""What in `_meta/` is old enough to go (FORMAT.md section 5).

Exists so that nothing there grows for ever. Promises: age is what a name says, no file is read for
it; what a name does not date stays; files of the journal that the next start would read stay; a
few deletions a second, so that nobody notices. Old versions of a versioned bucket are the matter of
its lifecycle rules.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from watcher.bucket import heartbeat, journal
from watcher.bucket.journal import Position
from watcher.bucket.layout import Layout
from watcher.bucket.store import Store

_PAUSE = 0.1  # seconds between two deletions
_AHEAD = timedelta(days=2)  # a heartbeat from further ahead hides all true ones: a clock was wrong

_DAY = timedelta(days=1)  # that a heartbeat's file is written

_TIME = r"(?P<time>\d{8}T\d{6})"
_DATED = "%Y%m%dT%H%M%S"


class _Shelf(NamedTuple):
    """A folder of `_meta/` whose names begin with their time, so that the oldest come first."""

    folder: str
    name: re.Pattern[str]  # of what is in it
    form: str  # of the group `time`


_JOURNAL = _Shelf(
    journal.FOLDER,
    re.compile(r"(?P<time>\d{4}/\d\d/\d\d/\d{6})-(?P<epoch>\d+)-(?P<seq>\d+)\.ndjson"),
    "%Y/%m/%d/%H%M%S",
)
_REPORTS = _Shelf("reports/", re.compile(rf"reconcile-{_TIME}Z\.json"), _DATED)
_REQUESTS = _Shelf("requests/", re.compile(rf"{_TIME}\d*Z\.json"), _DATED)
_HEARTBEATS = _Shelf(heartbeat.FOLDER, re.compile(r"(?P<time>\d{4}-\d\d-\d\d)\.json"), "%Y-%m-%d")
_TRASH = _Shelf("trash/", re.compile(rf"{_TIME}Z/.+"), _DATED)


class _Dated(NamedTuple):
    key: str
    at: datetime
    match: re.Match[str]


async def sweep(
    store: Store,
    layout: Layout,
    now: datetime,
    *,
    checkpointed: Position | None,
    meta_days: int,
    trash_days: int,
) -> int:
    """Remove what is too old; how many files that were. Raises BucketError: then the rest stays.

    checkpointed: files of the journal up to this one are in the checkpoint; None: nobody knows, so
    all of them stay.
    """
    removed = 0
    async with aclosing(_old(store, layout, now, checkpointed, meta_days, trash_days)) as keys:
        async for key in keys:
            await store.delete(key)
            removed += 1
            await asyncio.sleep(_PAUSE)
    return removed


async def _old(
    store: Store,
    layout: Layout,
    now: datetime,
    checkpointed: Position | None,
    meta_days: int,
    trash_days: int,
) -> AsyncGenerator[str, None]:
    meta = now - timedelta(days=meta_days)
    if checkpointed is not None:
        async for found in _before(store, layout, _JOURNAL, meta):
            if Position(int(found.match["epoch"]), int(found.match["seq"])) <= checkpointed:
                yield found.key
    for shelf, cut in (
        (_REPORTS, meta),
        (_REQUESTS, meta),
        (_TRASH, now - timedelta(days=trash_days)),
        (_HEARTBEATS, now - heartbeat.KEPT - _DAY),
    ):
        async for found in _before(store, layout, shelf, cut):
            yield found.key
    async for found in _all(store, layout, _HEARTBEATS):
        if found.at > now + _AHEAD:
            yield found.key


async def _before(
    store: Store, layout: Layout, shelf: _Shelf, cut: datetime
) -> AsyncGenerator[_Dated, None]:
    async with aclosing(_all(store, layout, shelf)) as files:
        async for found in files:
            if found.at >= cut:
                return  # as are all that follow
            yield found


async def _all(store: Store, layout: Layout, shelf: _Shelf) -> AsyncGenerator[_Dated, None]:
    folder = layout.prefix + layout.meta(shelf.folder)
    async with aclosing(store.list(folder)) as pages:
        async for page in pages:
            for listed in page:
                match = shelf.name.fullmatch(listed.key.removeprefix(folder))
                if match and (at := _parsed(match["time"], shelf.form)):
                    yield _Dated(listed.key, at, match)


def _parsed(text: str, form: str) -> datetime | None:
    """None: it only looked like a time."""
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
