"""Looks a second time at the keys where bucket and record differed (see differences.py).

Exists because only the record of a minute later tells what a living writer did while we looked.
Promises: each key is judged once; nobody waits where no writer may be alive or nothing is open.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.bucket import journal, record
from watcher.bucket.checkpoint import CheckpointError
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.layout import Layout
from watcher.bucket.meta import together
from watcher.bucket.store import Store
from watcher.errors import AbsentError
from watcher.verify.differences import SETTLED_AFTER, Difference, Look, Memory, Verdict, judge
from watcher.verify.findings import Event, Note, Unchecked, Waiting
from watcher.verify.soundness import stored_at

_BATCH = 1000  # keys
_MARGIN = timedelta(minutes=15)  # of journal before the look: that clocks may differ by


@dataclass(slots=True)
class Recheck:
    """since: when the first look began. last: the newest heartbeat. differences: seen until now."""

    store: Store
    layout: Layout
    since: datetime
    last: Heartbeat | None
    differences: dict[str, Difference]
    turns: asyncio.Semaphore
    clock: Callable[[], datetime]
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))

    async def run(self) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        settled_at = loop.time() + SETTLED_AFTER
        since = min(self.since, self.last.at if self.last else self.since) - _MARGIN
        if self.last is not None and self.last.is_alive(self.clock()):
            async for event in self._round(since, final=False):
                yield event
            if self.differences:
                yield Waiting(settled_at - loop.time())
                await asyncio.sleep(settled_at - loop.time())
        async for event in self._round(since, final=True):
            yield event
        if moving := self.counts[Verdict.MOVING]:
            yield Unchecked(f"{moving} of the files", "they kept changing meanwhile")
        if untold := self.counts[Verdict.UNTOLD]:
            yield Note(
                f"files stored after the last line of the journal: {untold}; its writer was killed,"
                " the next start will make up for it"
            )

    async def _round(self, since: datetime, *, final: bool) -> AsyncGenerator[Event, None]:
        if not self.differences:
            return
        memory = await self._remember(since)
        orderly = self.last is not None and self.last.released
        keys = list(self.differences)
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            for key, look in zip(batch, await together(map(self._look, batch)), strict=True):
                it = self.differences[key]
                verdict = judge(it, memory, look, self.clock(), final=final, orderly=orderly)
                self.counts[verdict] += 1
                if verdict is not Verdict.OPEN:
                    del self.differences[key]
                if verdict is Verdict.FINDING:
                    yield it.finding()

    async def _remember(self, since: datetime) -> Memory:
        memory = Memory(last_line=since)
        try:
            async for key, stored in record.read(self.store, self.layout):
                if key in self.differences and stored is not None:
                    memory.recorded[key] = stored.etag
        except CheckpointError:  # it was good a moment ago
            memory.recorded = {key: it.recorded for key, it in self.differences.items()}
        async for line in journal.read(self.store, self.layout, since=since):
            memory.last_line = max(memory.last_line, datetime.fromisoformat(line.at))
            if line.key in self.differences:
                memory.told.setdefault(line.key, set()).add(line.etag)
        return memory

    async def _look(self, key: str) -> Look:
        async with self.turns:
            try:
                head = await self.store.head(self.layout.prefix + key)
            except AbsentError:
                return Look("", None, self.store.has_metadata)
        return Look(head.etag, stored_at(head), self.store.has_metadata)
