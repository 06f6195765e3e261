"""Who changed what, anywhere: one trail of the journals of many clusters.

Exists so that the question needs no database beside the bucket. Promises: the clusters' lines are
merged by the time at which each was stored, those of one cluster in the order in which its files
were written (so by the clocks of who wrote them; where a clock was set back, or two writers
overlapped, a line stands behind an older one); in memory are a page of names and some files of each
cluster, however long the time that was asked for; what cannot be read of one hides no other.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from watcher.bucket import journal
from watcher.bucket.journal import Line
from watcher.bucket.layout import Layout, Place, kind_of, namespace_of, parse
from watcher.bucket.meta import together
from watcher.bucket.patterns import matches
from watcher.bucket.store import Store
from watcher.errors import BucketError, RefusedError

_SKEW = timedelta(minutes=5)  # that a clock is set by; and that those of two writers differ by


class Entry(NamedTuple):
    cluster: str  # domain/name
    at: datetime  # when it was stored, by the clock of who did
    line: Line

    @property
    def place(self) -> Place | None:
        """Where its object is; None: its key is not of our shape."""
        return parse(self.line.key)

    @property
    def by(self) -> str:
        """The manager that made this change; "": nobody knows. An object that is deleted tells only
        who changed it before."""
        return "" if self.line.action == "delete" else self.line.manager


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was stored at `since` or later and before `until`. Patterns in which `*` is any text, of
    folders of kinds, of namespaces (`_cluster`: of none) and of managers; actions; () are all."""

    since: datetime
    until: datetime | None = None
    kinds: Sequence[str] = ()
    namespaces: Sequence[str] = ()
    managers: Sequence[str] = ()
    actions: Sequence[str] = ()

    def has(self, entry: Entry) -> bool:
        key = entry.line.key
        return (
            entry.at >= self.since
            and (self.until is None or entry.at < self.until)
            and (not self.actions or entry.line.action in self.actions)
            and (not self.kinds or matches(kind_of(key), self.kinds))
            and (not self.namespaces or matches(namespace_of(key), self.namespaces))
            and (not self.managers or matches(entry.by, self.managers))
        )

    def ends_before(self, entry: Entry) -> bool:
        """Whether nothing that was written later than this can be wanted."""
        return self.until is not None and entry.at >= self.until + _SKEW


async def tell(
    store: Store,
    layouts: Sequence[Layout],
    wanted: Wanted,
    out: Callable[[Entry], None],
    *,
    at_once: int,
) -> dict[str, str]:
    """Each entry to `out`, in order. Then, by cluster, what could not be read, and why.

    at_once: requests. What `out` raises ends it, in an ExceptionGroup.
    """
    turns = asyncio.Semaphore(at_once)
    ahead = max(1, at_once // max(1, len(layouts)))
    trails = [_Trail(store, layout, wanted, turns, ahead) for layout in layouts]
    async with asyncio.TaskGroup() as group:
        for trail in trails:
            group.create_task(trail.read())
        await _merge(trails, out)
    return {trail.cluster: trail.fault for trail in trails if trail.fault}


async def _merge(trails: "Sequence[_Trail]", out: Callable[[Entry], None]) -> None:
    heads: list[tuple[datetime, int, Entry]] = []  # the number keeps entries from being compared
    for number, trail in enumerate(trails):
        if first := await trail.next():
            heads.append((first.at, number, first))
    heapq.heapify(heads)
    while heads:
        _, number, entry = heads[0]
        out(entry)
        if following := await trails[number].next():
            heapq.heapreplace(heads, (following.at, number, following))
        else:
            heapq.heappop(heads)


class _Trail:
    """One cluster's entries. `read` runs ahead of `next` by some files and no more."""

    def __init__(
        self, store: Store, layout: Layout, wanted: Wanted, turns: asyncio.Semaphore, ahead: int
    ) -> None:
        """ahead: files that are asked for at a time."""
        self.cluster = layout.name
        self._store = store
        self._layout = layout
        self._wanted = wanted
        self._turns = turns
        self._ahead = ahead
        self._files: asyncio.Queue[list[Entry] | None] = asyncio.Queue(maxsize=1)  # None: the end
        self._entries: Iterator[Entry] = iter(())
        self._stopped = ""  # why it was not read to its end
        self._damaged = 0  # lines
        self._first_damaged = ""  # its file

    @property
    def fault(self) -> str:
        """Why not all of it was told; "": it was."""
        count = self._damaged
        lines = "1 line is" if count == 1 else f"{count:,} lines are"
        damaged = f"{lines} damaged, the first in {self._first_damaged}" if count else ""
        return "; ".join(filter(None, (self._stopped, damaged)))

    async def next(self) -> Entry | None:
        """None: there are no more."""
        while (entry := next(self._entries, None)) is None:
            found = await self._files.get()
            if found is None:
                return None
            self._entries = iter(found)
        return entry

    async def read(self) -> None:
        try:
            async with aclosing(self._bodies()) as bodies:
                async for key, body in bodies:
                    entries = list(self._decode(key, body))
                    if wanted := [entry for entry in entries if self._wanted.has(entry)]:
                        await self._files.put(wanted)
                    if entries and self._wanted.ends_before(entries[0]):
                        break
        except (BucketError, RefusedError) as error:
            self._stopped = str(error)
        await self._files.put(None)

    async def _bodies(self) -> AsyncGenerator[tuple[str, bytes], None]:
        after = journal.key_before(self._layout, self._wanted.since - _SKEW)
        while after:
            found, after = await journal.page(self._store, self._layout, after=after)
            for start in range(0, len(found), self._ahead):
                keys = found[start : start + self._ahead]
                for body in zip(keys, await together(map(self._get, keys)), strict=True):
                    yield body

    async def _get(self, key: str) -> bytes:
        async with self._turns:
            return await journal.fetch(self._store, key)

    def _decode(self, key: str, body: bytes) -> Iterator[Entry]:
        for line in journal.decode(body, key):
            if line is None:
                self._damaged += 1
                self._first_damaged = self._first_damaged or key
            else:
                yield Entry(self.cluster, datetime.fromisoformat(line.at), line)
