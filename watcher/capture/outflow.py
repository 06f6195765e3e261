"""The half of capture that ends in the bucket: pending changes -> writer, and the records of that.

Exists because it is the same whoever brings the changes (inflow.py), and because only the one
process that may write has it. Promises: it ends in an order in which nothing is lost: no more
doubts, then what is pending, then the journal, the checkpoint and what is held.
"""

import asyncio
from collections.abc import Callable

from watcher.bucket.journal import Journal
from watcher.bucket.metadata import Writer as Instance
from watcher.bucket.trash import Trash
from watcher.capture.change import Change, Refetch
from watcher.capture.context import Context
from watcher.capture.deletes.decisions import Decisions
from watcher.capture.drift.reconcile import Reconcile
from watcher.capture.drift.sides import Reader
from watcher.capture.inflow import Inflow
from watcher.capture.memory import Memory
from watcher.capture.pace import Pace
from watcher.capture.start import Grounds
from watcher.capture.writer import Target, Writer
from watcher.cluster import client

_POLL = 0.05  # seconds between two looks whether all is written
_LAST_WORDS = 5.0  # seconds at least for each of the records at the end
_CHECKPOINT = 60.0  # seconds that writing it may take while nobody waits


class Outflow:
    def __init__(
        self,
        context: Context,
        grounds: Grounds,
        inflow: Inflow,
        *,
        may_judge: Callable[[], bool],
        synced: Callable[[], bool],
    ) -> None:
        """may_judge: whether absent objects of all kinds can be judged together. synced: whether
        each of them was compared with the bucket once."""
        settings, claim = context.settings, grounds.claim
        self._context = context
        self._grounds = grounds
        self._inflow = inflow
        self._may_judge = may_judge
        self._time = asyncio.get_running_loop().time
        self.ledger = inflow.ledger
        self.pending = inflow.pending
        self.holds = inflow.holds
        self.absence = inflow.absence
        self.journal = Journal(
            context.store, context.layout, claim.epoch, clock=context.clock, log=context.log
        )
        for line in grounds.unjournalled:
            self.journal.note(line)
        self.instance = Instance(context.about.instance, claim.epoch)
        trash = settings.trash_days > 0 and not claim.versioned
        self.writer = Writer(
            Target(
                context.store,
                context.layout,
                inflow.ledger,
                claim,
                self.instance,
                self.journal,
                settings.secrets,
                Trash(context.store, context.layout) if trash else None,
            ),
            self.pending,
            Pace(settings.concurrency, context.random),
            refetch=self._refetch,
            metrics=context.metrics,
            log=context.log,
            clock=context.clock,
        )
        self._memory = Memory(
            context.store,
            context.layout,
            inflow.ledger,
            self.journal,
            lambda: self.writer.written + self.writer.deleted,
            context.clock,
            context.log,
        )
        self._decisions = Decisions(
            context.store,
            context.layout,
            claim,
            inflow.ledger,
            grounds.deletes,
            self.holds,
            self.absence,
            synced=synced,
            log=context.log,
            clock=context.clock,
        )
        self._show_gauges()

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin to write; `end` must follow."""
        self._writing = group.create_task(self.writer.run(), name="writer")
        self._around = [
            group.create_task(self.absence.run(self._may_judge), name="absence"),
            group.create_task(self._decisions.run(), name="decisions"),
            group.create_task(self._memory.run(), name="memory"),
        ]
        return [self._writing, *self._around]

    async def end(self) -> None:
        """Write what is pending, within the grace period, then the records."""
        for task in self._around:
            task.cancel()
        deadline = self._time() + self._context.settings.grace_period
        await self._write_what_is_pending(deadline)
        await self._memory.save(max(deadline - self._time(), _LAST_WORDS))
        await self._decisions.finish(max(deadline - self._time(), _LAST_WORDS))
        self._writing.cancel()

    async def save(self) -> None:
        """Write a checkpoint now: the next start then knows what this one found out."""
        await self._memory.save(_LAST_WORDS)

    async def tidy(self) -> None:
        """What follows a reconcile: a checkpoint, and the end of what is too old."""
        settings = self._context.settings
        await self._memory.save(_CHECKPOINT)
        await self._memory.sweep(settings.meta_days, settings.trash_days)

    def begin_reconcile(self) -> Reconcile:
        context, inflow = self._context, self._inflow
        reader = Reader(
            context.api,
            inflow.same,
            context.store,
            context.layout,
            self.ledger,
            inflow.kinds(),
            context.settings.label_selector,
            self._grounds.claim.etag_is_md5,
            context.random,
        )
        return Reconcile(reader, inflow.flow, identify=inflow.identify, stays=self.holds.stays)

    def is_settled(self, keys: list[str]) -> bool:
        """Whether all that was found wrong with these keys is in the bucket."""
        return not any(key in self.pending or self.absence.asks_about(key) for key in keys)

    async def _write_what_is_pending(self, deadline: float) -> None:
        self.pending.flush()
        try:
            async with asyncio.timeout_at(deadline):
                while len(self.pending):
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            self._context.log.error(
                "the grace period is over: the next start will write the rest",
                pending=len(self.pending),
                reason=self.writer.failing,
            )

    async def _refetch(self, change: Change) -> Change | None:
        intake = self._inflow.kinds().intake_of(change.resource)
        if intake is None or not isinstance(change.state, Refetch):
            return None
        place = change.state.namespace, change.state.name
        item = await client.find_one(self._context.api, intake.resource, *place)
        fetched = intake.fetched(item) if item else None
        if fetched and self.absence.holds(change.key):  # it was asked for because of that
            self.absence.seen(change.key)
        return fetched

    def _show_gauges(self) -> None:
        metrics = self._context.metrics
        metrics.pending_objects.set_function(lambda: len(self.pending))
        metrics.pending_bytes.set_function(lambda: self.pending.bytes)
        metrics.oldest_pending.set_function(lambda: self.pending.oldest(self._time()))
        metrics.deletes_held.set_function(lambda: len(self.holds))
        metrics.journal_pending.set_function(lambda: len(self.journal))
        metrics.objects.labels("bucket").set_function(lambda: len(self.ledger))
