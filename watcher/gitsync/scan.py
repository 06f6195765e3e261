"""What changed in one cluster's part of the bucket.

Exists so that a round costs what changed, not what there is. Two ways: `compare` lists everything
and takes what is newer than a time by the bucket's own clock, or missing in the mirror; `Trail`
follows the journal, for the rounds in between. Promises: what is written after a comparison began
is found by the next one, whoever wrote it; a file that is there for an instant may be missed, a
state that stays is not.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import unquote

from watcher.bucket import journal
from watcher.bucket.layout import Layout
from watcher.bucket.loading import objects
from watcher.bucket.meta import together
from watcher.bucket.store import Store
from watcher.errors import AbsentError
from watcher.gitsync.selection import Selection

_SKEW = timedelta(hours=1)  # that clocks of writers may differ by; beyond it, heard of later


class Sink(Protocol):
    """Takes what was found. Paths are those in the repository."""

    async def write(self, path: str, body: bytes, manager: str) -> None: ...
    async def remove(self, path: str, manager: str = "") -> None: ...
    def leave_out(self, path: str, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Scan:
    """One bucket. turns: for requests that are under way at a time."""

    store: Store
    selection: Selection
    turns: asyncio.Semaphore
    sink: Sink

    async def compare(
        self,
        layout: Layout,
        files: set[str],
        *,
        since: datetime | None,
        again: Collection[str],
        managers: Callable[[str], str],
    ) -> None:
        """Against what the mirror has of a cluster.

        files: its keys; they are used up. since: what was written before is in the mirror as it
        is; None: nothing is. again: keys to be taken whatever their age. managers: who last
        changed a key, where its metadata does not say. Raises BucketError.
        """
        async for page in objects(self.store, layout.prefix):
            wanted = []
            for listed in page:
                key = listed.key.removeprefix(layout.prefix)
                if not self.selection.has_key(key):
                    continue
                missing = key not in files
                files.discard(key)
                new = since is None or listed.modified >= since or key in again
                if new or (missing and self.selection.is_expected(key)):
                    wanted.append(key)
            await together(self.take(layout, key, managers(key)) for key in wanted)
        for key in files:
            await self.sink.remove(self.path(layout, key), managers(key))

    async def take(self, layout: Layout, key: str, manager: str) -> None:
        """What the bucket has of a key now. Raises BucketError."""
        path = self.path(layout, key)
        async with self.turns:
            try:
                body, head = await self.store.get(layout.prefix + key)
            except AbsentError:
                await self.sink.remove(path, manager)
                return
            why = self.selection.objection(key, body)
            if why or not self.selection.has_body(body):
                await self.sink.remove(path, manager)  # what it was before would be a lie
                if why:
                    self.sink.leave_out(path, why)
                return
            told = unquote(head.metadata.get("watcher-manager", ""))
            await self.sink.write(path, body, told or manager)

    def path(self, layout: Layout, key: str) -> str:
        return f"{self.selection.prefix}{layout.prefix}{key}"


class Trail:
    """Where one cluster's journal was left."""

    def __init__(self, store: Store, layout: Layout, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._layout = layout
        self._clock = clock
        self._looked = clock()
        # By name: a writer whose claim was lost begins again with the first epoch.
        self._seen: frozenset[str] = frozenset()

    async def skip(self) -> None:
        """To the end. Raises BucketError."""
        await self._files()

    async def changed(self) -> dict[str, str]:
        """Keys that were said to have changed since, and who changed them. Raises BucketError."""
        found = {}
        async for line in journal.lines_in(self._store, await self._files()):
            found[line.key] = line.manager
        return found

    async def _files(self) -> list[journal.File]:
        """Those that are new."""
        now, seen = self._clock(), self._seen
        files = await journal.files(self._store, self._layout, since=self._looked, skew=_SKEW)
        self._seen = frozenset(file.key for file in files)
        self._looked = now
        return [file for file in files if file.key not in seen]


async def managers_since(store: Store, layout: Layout, since: datetime | None) -> dict[str, str]:
    """Who last changed a key, by the journal: for a bucket without metadata. Raises BucketError."""
    if store.has_metadata:
        return {}
    return {line.key: line.manager async for line in journal.read(store, layout, since=since)}
