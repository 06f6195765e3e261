"""The parts of capture put together: informers -> intake -> pending -> writer -> bucket.

Exists so that the one way that data flows is built, watched and ended at one place. Promises:
nothing survives `run`; it ends in the order informers, pending changes, checkpoint; the first full
sync counts as done only when all that the first lists brought is in the bucket.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from watcher.bucket import checkpoint
from watcher.bucket.layout import Layout, parse
from watcher.bucket.metadata import Writer as Instance
from watcher.bucket.store import Store
from watcher.capture.absence import Absence
from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.debounce import Pending
from watcher.capture.intake import Flow
from watcher.capture.pace import Pace
from watcher.capture.roster import Roster
from watcher.capture.start import Grounds
from watcher.capture.watchfulness import Watchfulness
from watcher.capture.writer import Target, Writer
from watcher.cluster import client
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.cluster.kinds import KindFilter
from watcher.errors import BucketError, ClusterError
from watcher.logs import Log, Outage
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner
from watcher.objects.ref import APIResource
from watcher.objects.selection import Selection
from watcher.objects.stored import name_of
from watcher.settings import Settings

_CHECKPOINT_EVERY = 50_000  # writes
_CHECKPOINT_PAUSE = 60.0  # seconds until a checkpoint that failed is tried again
_ONCE_GIVES_UP = 60.0  # seconds without progress, while something fails
_LATE = 60.0  # seconds past max-delay after which capture does not work
_POLL = 0.1  # seconds between two looks at how far we are


@dataclass(frozen=True, slots=True)
class Progress:
    kinds: int
    kinds_listed: int
    objects: int
    written: int
    pending: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run did. failed: a line for each thing that could not be backed up."""

    written: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()
    seconds: float = 0.0


class Capture:
    def __init__(
        self,
        api: API,
        store: Store,
        layout: Layout,
        grounds: Grounds,
        settings: Settings,
        *,
        metrics: Metrics,
        log: Log,
        random: Random,
        clock: Callable[[], datetime],
        instance: str,
        cleaner: Cleaner,
    ) -> None:
        self._api = api
        self._store = store
        self._layout = layout
        self._grounds = grounds
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._time = asyncio.get_running_loop().time
        self._tasks: list[asyncio.Task[None]] = []
        self._first_sync_done = False
        self._pending = Pending(settings.debounce, settings.max_delay, settings.memory_budget)
        self._absence = Absence(
            api,
            grounds.cluster_uid,
            identify=self._identify,
            delete=self._delete,
            found=self._found,
            log=log,
            random=random,
        )
        self._watchfulness = Watchfulness(metrics, log, clock)
        kinds = KindFilter(settings.include_kinds, settings.exclude_kinds)
        flow = Flow(
            layout,
            cleaner,
            _selection(settings),
            grounds.ledger,
            self._pending,
            self._absence,
            metrics,
            log,
        )
        self._roster = Roster(
            api,
            flow,
            kinds,
            selector=settings.label_selector,
            watchfulness=self._watchfulness,
            metrics=metrics,
            log=log,
            random=random,
        )
        self._writer = Writer(
            Target(
                store,
                layout,
                grounds.ledger,
                grounds.claim,
                Instance(instance, grounds.claim.epoch),
                settings.secrets,
            ),
            self._pending,
            Pace(settings.concurrency, random),
            refetch=self._refetch,
            metrics=metrics,
            log=log,
            clock=clock,
        )
        self._show_gauges()

    async def run(
        self,
        *,
        once: bool,
        stop: asyncio.Event,
        progress: Callable[[Progress], None] | None,
        began: float,
    ) -> Summary:
        """Capture until `stop`, or with `once` until the bucket equals the cluster.

        began: loop time from which the summary counts. With `once` raises ClusterError and
        BucketError when nothing moves any more.
        """
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._writer.run(), name="writer")
            informing = group.create_task(self._roster.run(), name="roster")
            asking = group.create_task(self._absence.run(), name="absence")
            keeping = group.create_task(self._keep_checkpoint(), name="checkpoint")
            observing = group.create_task(self._metrics.observe_event_loop(), name="loop lag")
            self._tasks = [writing, informing, asking, keeping, observing]
            if progress:
                self._tasks.append(group.create_task(self._report(progress), name="progress"))
            await self._until_done(once, stop)
            failed = self._failed()
            skipped = sum(intake.skipped for intake in self._roster.intakes)
            if not once:
                self._log.info("stopping", pending=len(self._pending))
            for task in (informing, asking, keeping):
                task.cancel()
            await self._write_what_is_pending()
            await self._save_checkpoint()
            for task in self._tasks:
                task.cancel()
            self._tasks = []
        if not once:
            self._log.info("stopped", pending=len(self._pending))
        return Summary(
            written=self._writer.written,
            unchanged=self._writer.unchanged + self._unchanged_at_intake(),
            deleted=self._writer.deleted,
            skipped=skipped,
            failed=failed,
            seconds=self._time() - began,
        )

    def unready(self) -> str | None:
        """Why the backup cannot be relied on now; None: it can."""
        if not self._first_sync_done:
            seen = self._progress()
            failing = self._writer.failing or self._watchfulness.unreachable
            return (
                f"first sync: {seen.kinds_listed} of {seen.kinds} kinds listed,"
                f" {seen.pending} objects to write" + (f" ({failing})" if failing else "")
            )
        if self._watchfulness.unreachable:
            return self._watchfulness.unreachable
        late = self._pending.oldest(self._time())
        if late > self._settings.max_delay + _LATE:
            reason = self._writer.failing or "the bucket is too slow"
            return f"the oldest change waits for {late:.0f} s: {reason}"
        return None

    def unhealthy(self) -> str | None:
        """Why the process should be started anew; None: it should not."""
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None

    async def _until_done(self, once: bool, stop: asyncio.Event) -> None:
        await self._until_first_sync(once, stop)
        if not stop.is_set() and not once:
            self._first_sync_done = True
            self._log.info("the bucket equals the cluster", objects=self._progress().objects)
            await self._save_checkpoint()
            await stop.wait()

    async def _until_first_sync(self, once: bool, stop: asyncio.Event) -> None:
        """Until all kinds that can be listed are, and what they brought is in the bucket."""
        listed_at: float | None = None
        moved, moved_at = -1, self._time()
        while not stop.is_set():
            await asyncio.sleep(_POLL)
            now = self._time()
            if not self._all_listed():
                listed_at = None
            elif listed_at is None:
                listed_at = now
            elif now - self._pending.oldest(now) > listed_at and self._absence.settled:
                return
            done = self._writer.written + self._writer.deleted + self._writer.unchanged
            done += sum(intake.taken for intake in self._roster.intakes)
            if done != moved:
                moved, moved_at = done, now
            elif once and now - moved_at > _ONCE_GIVES_UP:
                self._raise_why_nothing_moves()

    def _all_listed(self) -> bool:
        """Whether each kind is listed, or cannot be."""
        return self._roster.looked and all(
            intake.synced or self._watchfulness.failure(intake.resource)
            for intake in self._roster.intakes
        )

    def _raise_why_nothing_moves(self) -> None:
        if reason := self._writer.failing:
            raise BucketError(reason)
        if reason := self._watchfulness.unreachable:
            raise ClusterError(reason)

    def _failed(self) -> tuple[str, ...]:
        failures = (
            (intake.resource.label, self._watchfulness.failure(intake.resource))
            for intake in self._roster.intakes
            if not intake.synced
        )
        return tuple(f"{label} not backed up: {why or 'not listed yet'}" for label, why in failures)

    async def _write_what_is_pending(self) -> None:
        if not len(self._pending):
            return
        self._pending.flush()
        try:
            async with asyncio.timeout(self._settings.grace_period):
                while len(self._pending):
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            self._log.error(
                "the grace period is over: the next start will write the rest",
                pending=len(self._pending),
                reason=self._writer.failing,
            )

    async def _save_checkpoint(self) -> None:
        outage = Outage(self._log, "writing the checkpoint", self._time)
        try:
            async with asyncio.timeout(self._settings.grace_period):
                await checkpoint.save(
                    self._store,
                    self._layout,
                    self._grounds.ledger,
                    epoch=self._grounds.claim.epoch,
                    at=self._clock(),
                )
        except (BucketError, TimeoutError) as error:
            outage.began(str(error) or "timeout")

    async def _keep_checkpoint(self) -> None:
        saved = 0
        while True:
            await asyncio.sleep(_CHECKPOINT_PAUSE)
            writes = self._writer.written + self._writer.deleted
            if writes - saved >= _CHECKPOINT_EVERY:
                await self._save_checkpoint()
                saved = writes

    async def _report(self, progress: Callable[[Progress], None]) -> None:
        while True:
            progress(self._progress())
            await asyncio.sleep(_POLL)

    def _progress(self) -> Progress:
        intakes = self._roster.intakes
        return Progress(
            kinds=len(intakes),
            kinds_listed=sum(intake.synced for intake in intakes),
            objects=sum(intake.objects for intake in intakes),
            written=self._writer.written,
            pending=len(self._pending),
        )

    def _unchanged_at_intake(self) -> int:
        return sum(intake.unchanged for intake in self._roster.intakes)

    async def _refetch(self, change: Change) -> Change | None:
        intake = self._roster.intake_of(change.resource)
        assert isinstance(change.state, Refetch)
        if intake is None:
            return None
        state = change.state
        item = await client.find_one(self._api, change.resource, state.namespace, state.name)
        return intake.fetched(item) if item else None

    async def _identify(self, key: str) -> tuple[str, str]:
        place = parse(key)
        assert place is not None, "the ledger holds no foreign keys"
        if place.name is not None:
            return place.namespace, place.name
        body, _ = await self._store.get(self._layout.prefix + key)
        return place.namespace, name_of(body)

    def _delete(self, key: str, resource: APIResource) -> None:
        self._pending.offer(Change(key, resource, Deleted()), self._time())

    def _found(self, resource: APIResource, item: Item) -> None:
        intake = self._roster.intake_of(resource)
        if intake is None:
            return
        if self._settings.label_selector:
            # It left the selection, by itself or by a change of settings: that cannot be told.
            self._absence.hold([intake.key(item)])
        else:
            intake.listed_late(item)

    def _show_gauges(self) -> None:
        metrics, pending = self._metrics, self._pending
        metrics.pending_objects.set_function(lambda: len(pending))
        metrics.pending_bytes.set_function(lambda: pending.bytes)
        metrics.oldest_pending.set_function(lambda: pending.oldest(self._time()))
        metrics.deletes_held.set_function(lambda: self._absence.held)
        metrics.objects.labels("cluster").set_function(lambda: self._progress().objects)
        metrics.objects.labels("bucket").set_function(lambda: len(self._grounds.ledger))
        metrics.secrets_redacted.set_function(self._secrets_redacted)

    def _secrets_redacted(self) -> int:
        if self._settings.secrets == "plain":
            return 0
        return sum(i.objects for i in self._roster.intakes if i.resource.label == "secrets")


def _selection(settings: Settings) -> Selection:
    return Selection(
        settings.include_namespaces,
        settings.exclude_namespaces,
        settings.include_cluster_scoped,
        settings.exclude_owned,
        settings.secrets == "exclude",
    )
