"""What one cluster says of its backup: the newest files of `_meta/`, as they are.

Exists so that who judges needs no bucket. Promises: two short listings and five GETs, however large
the backup is; a file that is damaged, or newer than this program, is a value like any other and
hides none of the others.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from watcher.bucket import heartbeat, held, owner, reports, retired
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.held import Book
from watcher.bucket.layout import Layout
from watcher.bucket.meta import NewerFormatError
from watcher.bucket.owner import Owner
from watcher.bucket.reports import Report
from watcher.bucket.retired import Retired
from watcher.bucket.store import Store
from watcher.errors import AbsentError, BucketError, RefusedError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Unread:
    """Something is there, and this program does not understand it. newer: a newer one wrote it."""

    why: str
    newer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """None: there is no such file. damaged: why older heartbeats than the newest had to do."""

    layout: Layout
    owner: Owner | Unread | None = None
    heartbeat: Heartbeat | Unread | None = None
    report: Report | Unread | None = None
    held: Book | Unread | None = None
    retired: Retired | Unread | None = None
    damaged: tuple[str, ...] = ()

    @property
    def unread(self) -> tuple[Unread, ...]:
        return tuple(dict.fromkeys(part for part in self._parts if isinstance(part, Unread)))

    @property
    def says_anything(self) -> bool:
        return bool(self.damaged) or any(part is not None for part in self._parts)

    @property
    def _parts(self) -> tuple[object, ...]:
        return self.owner, self.heartbeat, self.report, self.held, self.retired


async def look(store: Store, layout: Layout) -> Seen:
    """Raises BucketError where the bucket does not answer as it should."""
    damaged: list[str] = []
    return Seen(
        layout=layout,
        owner=await _understood(owner.read(store, layout)),
        heartbeat=await _understood(heartbeat.newest(store, layout, tell=damaged.append)),
        report=await _understood(reports.newest(store, layout)),
        held=await _understood(_held(store, layout)),
        retired=await _understood(retired.read(store, layout)),
        damaged=tuple(damaged),
    )


def unreadable(layout: Layout, why: str) -> Seen:
    """Of a cluster of which the bucket shows nothing."""
    nothing = Unread(why)
    return Seen(
        layout=layout,
        owner=nothing,
        heartbeat=nothing,
        report=nothing,
        held=nothing,
        retired=nothing,
    )


async def _held(store: Store, layout: Layout) -> Book | None:
    key = layout.prefix + layout.meta(held.HELD)
    try:
        body, _ = await store.get(key)
    except AbsentError:
        return None
    return held.read_book(body, key)


async def _understood(asked: Awaitable[_T]) -> _T | Unread:
    try:
        return await asked
    except NewerFormatError as error:
        return Unread(str(error), newer=True)
    except (RefusedError, held.DamagedError) as error:
        return Unread(str(error))
    except BucketError as error:
        if type(error) is not BucketError:
            raise  # the bucket does not do what it should: nothing of a file's content
        return Unread(str(error))
