"""A ledger that follows what another process records.

Exists so that a standby knows, within a minute, what the bucket holds, and a takeover need not
find it out. Promises: reads, never writes; the journal is read from where it was left, all of the
record anew only when there is another checkpoint. What it says is hearsay until it is compared
with a listing: a line is late by a minute, and lost with its writer.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from watcher.bucket import checkpoint, journal, record
from watcher.bucket.checkpoint import CheckpointError
from watcher.bucket.journal import Position
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Entry, Ledger, Stored
from watcher.bucket.store import Store

_SKEW = timedelta(hours=1)  # that two clocks may differ by; beyond it, lines are heard of late
_SLICE = 500  # keys between two turns of the event loop


class Tail:
    def __init__(
        self, store: Store, layout: Layout, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        """ledger: nobody else changes it meanwhile."""
        self._store = store
        self._layout = layout
        self._ledger = ledger
        self._clock = clock
        self._etag = ""  # of the checkpoint that was read; "": none
        self._position: Position | None = None  # of the last file of the journal that was read
        self._looked = clock()
        self.heard: set[str] = set()  # keys that were said to have changed; for who reads to clear

    async def catch_up(self) -> None:
        """Until the ledger says what the record does. Raises RefusedError for a newer format, and
        BucketError."""
        etag = await self._checkpoint()
        now = self._clock()
        files = await journal.files(self._store, self._layout, since=self._looked, skew=_SKEW)
        if etag != self._etag:
            await self._read_all()
        else:
            position = self._position
            some = [file for file in files if position is None or file.position > position]
            async for line in journal.lines_in(self._store, some):
                self._learn(line.key, record.stored_by(line))
        self._etag, self._looked = etag, now
        if files:
            self._position = max(filter(None, (self._position, files[-1].position)))

    async def _read_all(self) -> None:
        kinds = self._ledger.kinds()
        unknown = {key for kind in kinds for key in self._ledger.keys_of(kind)}
        try:
            async for key, stored in record.read(self._store, self._layout):
                unknown.discard(key)
                self._learn(key, stored)
        except CheckpointError:
            return  # all the same when somebody writes a better one
        for number, key in enumerate(unknown, 1):
            self._learn(key, None)
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def _learn(self, key: str, stored: Stored | None) -> None:
        entry = Entry(stored)
        if self._ledger.get(key) != entry:
            self._ledger.put(key, entry)
            self.heard.add(key)

    async def _checkpoint(self) -> str:
        """The ETag of the present one; "" where there is none."""
        key = self._layout.prefix + self._layout.meta(checkpoint.FILE)
        async for page in self._store.list(key):
            for listed in page:
                if listed.key == key:
                    return listed.etag
        return ""
