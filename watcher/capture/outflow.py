"""The half of capture that ends in the bucket: pending changes -> writer, doubts -> deletions, and
the records of both.

Exists because it is the same whoever brings the changes: informers that follow a cluster
(capture.py) or a reconcile by hand (byhand.py). Promises: it ends in an order in which nothing is
lost: no more doubts, then what is pending, then the journal, the checkpoint and what is held.
"""

import asyncio
from collections.abc import Callable

from watcher.bucket.journal import Journal
from watcher.bucket.layout import parse
from watcher.bucket.metadata import Writer as Instance
from watcher.bucket.trash import Trash
from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.context import Context
from watcher.capture.debounce import Pending
from watcher.capture.deletes.absence import Absence
from watcher.capture.deletes.decisions import Decisions, known_holds
from watcher.capture.deletes.judge import Judge
from watcher.capture.drift.reconcile import Reconcile
from watcher.capture.drift.sides import Reader
from watcher.capture.intake import Flow
from watcher.capture.memory import Memory
from watcher.capture.pace import Pace
from watcher.capture.served import Kinds
from watcher.capture.start import Grounds
from watcher.capture.writer import Target, Writer
from watcher.cluster import client
from watcher.cluster.client import Item
from watcher.cluster.same import SameCluster
from watcher.errors import BucketError
from watcher.objects.ref import APIResource
from watcher.objects.selection import Selection
from watcher.objects.stored import name_of

_POLL = 0.25  # seconds between two looks whether all is written
_LAST_WORDS = 5.0  # seconds at least for each of the records at the end
_CHECKPOINT = 60.0  # seconds that writing it may take while nobody waits


class Outflow:
    def __init__(
        self,
        context: Context,
        grounds: Grounds,
        *,
        kinds: Callable[[], Kinds],
        may_judge: Callable[[], bool],
        synced: Callable[[], bool],
    ) -> None:
        """may_judge: whether absent objects of all kinds can be judged together. synced: whether
        each of them was compared with the bucket once."""
        settings, claim = context.settings, grounds.claim
        self._context = context
        self._grounds = grounds
        self._kinds = kinds
        self._time = asyncio.get_running_loop().time
        self.ledger = grounds.ledger
        self.pending = Pending(settings.debounce, settings.max_delay, settings.memory_budget)
        self.holds = known_holds(grounds.deletes, grounds.ledger, context.clock)
        self.same = SameCluster(context.api, grounds.cluster_uid)
        self.absence = Absence(
            context.api,
            self.same,
            self.holds,
            Judge(context.api, grounds.ledger, self.holds, settings.max_delete_ratio),
            may_judge=may_judge,
            resource_of=lambda segment: kinds().resource_of(segment),
            told=lambda resource: kinds().told(resource),
            identify=self._identify,
            delete=self._delete,
            found=self._found,
            log=context.log,
            random=context.random,
        )
        self.flow = Flow(
            context.layout,
            context.cleaner,
            _selection(context),
            grounds.ledger,
            self.pending,
            self.absence,
            context.metrics,
            context.log,
        )
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
                grounds.ledger,
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
            grounds.ledger,
            self.journal,
            lambda: self.writer.written + self.writer.deleted,
            context.clock,
            context.log,
        )
        self._decisions = Decisions(
            context.store,
            context.layout,
            claim,
            grounds.ledger,
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
            group.create_task(self.absence.run(), name="absence"),
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
        context = self._context
        reader = Reader(
            context.api,
            self.same,
            context.store,
            context.layout,
            self.ledger,
            self._kinds(),
            context.settings.label_selector,
            self._grounds.claim.etag_is_md5,
            context.random,
        )
        return Reconcile(reader, self.flow, identify=self._identify, stays=self.holds.stays)

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
        intake = self._kinds().intake_of(change.resource)
        if intake is None or not isinstance(change.state, Refetch):
            return None
        place = change.state.namespace, change.state.name
        item = await client.find_one(self._context.api, intake.resource, *place)
        return intake.fetched(item) if item else None

    async def _identify(self, key: str) -> tuple[str, str]:
        place = parse(key)
        if place is None:  # an aggregated API may have namespaces that are no DNS labels
            raise BucketError(f"{key} does not tell which object it holds")
        if place.name is not None:
            return place.namespace, place.name
        body, _ = await self._context.store.get(self._context.layout.prefix + key)
        try:
            return place.namespace, name_of(body)
        except ValueError as error:
            raise BucketError(f"{key} is {error}") from error

    def _delete(self, key: str, resource: APIResource, how: Deleted) -> None:
        self.pending.offer(Change(key, resource, how), self._time(), at_once=True)

    def _found(self, key: str, resource: APIResource, item: Item) -> None:
        intake = self._kinds().intake_of(resource)
        if intake is None or self._context.settings.label_selector:
            # It left the selection, by itself or by a change of settings: that cannot be told.
            self.absence.left_out(key)
        else:
            intake.listed_late(item)

    def _show_gauges(self) -> None:
        metrics = self._context.metrics
        metrics.pending_objects.set_function(lambda: len(self.pending))
        metrics.pending_bytes.set_function(lambda: self.pending.bytes)
        metrics.oldest_pending.set_function(lambda: self.pending.oldest(self._time()))
        metrics.deletes_held.set_function(lambda: len(self.holds))
        metrics.journal_pending.set_function(lambda: len(self.journal))
        metrics.objects.labels("bucket").set_function(lambda: len(self.ledger))


def _selection(context: Context) -> Selection:
    settings = context.settings
    return Selection(
        settings.include_namespaces,
        settings.exclude_namespaces,
        settings.include_cluster_scoped,
        settings.exclude_owned,
        settings.secrets == "exclude",
    )
