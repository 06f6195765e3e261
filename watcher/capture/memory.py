"""What is kept for the next start: the journal, minute by minute, and the checkpoint now and then.

Exists because the two belong together: a checkpoint that knows a change which no journal tells
would hide it for ever. Promises: the journal is flushed before a checkpoint is stored; without
either, the next start is slower and nothing else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from watcher.bucket import checkpoint, retention
from watcher.bucket.journal import Journal, Position
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Ledger
from watcher.bucket.store import Store
from watcher.errors import BucketError
from watcher.logs import Log

_EVERY = 50_000  # lines of the journal that the next start has to read at most
_LOOK = 60.0  # seconds between two looks whether it is time


@dataclass(slots=True)
class Memory:
    store: Store
    layout: Layout
    ledger: Ledger
    journal: Journal
    written: Callable[[], int]  # changes stored since the start
    clock: Callable[[], datetime]
    log: Log
    # Files of the journal up to this one are of no use to the next start; None: not known.
    _checkpointed: Position | None = field(default=None, init=False)
    _saved: int = field(default=0, init=False)  # of these, when the checkpoint was last written

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.journal.run(), name="journal")
            while True:
                await asyncio.sleep(_LOOK)
                if self.written() - self._saved >= _EVERY:
                    await self.save(_LOOK)

    async def save(self, seconds: float) -> None:
        """All of it, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                position, written = self.journal.position, self.written()
                body = await checkpoint.write(self.ledger, position, at=self.clock())
                await self.journal.flush()
                if self.journal.incomplete:
                    return
                await checkpoint.save(self.store, self.layout, body)
        except (BucketError, TimeoutError) as error:
            reason = str(error) or f"no answer within {seconds:.0f} s"
            self.log.warning("the checkpoint could not be written", reason=reason)
        else:
            self._saved = written
            self._checkpointed = position

    async def sweep(self, meta_days: int, trash_days: int) -> None:
        """Remove what is too old. May take a while: it is paced."""
        try:
            removed = await retention.sweep(
                self.store,
                self.layout,
                self.clock(),
                checkpointed=self._checkpointed,
                meta_days=meta_days,
                trash_days=trash_days,
            )
        except BucketError as error:
            self.log.warning("what is too old could not be removed", reason=str(error))
        else:
            self.log.debug("what is too old is removed", files=removed)
