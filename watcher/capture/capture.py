"""The parts of capture put together: informers -> intake -> pending -> writer -> bucket.

Exists so that the one way that data flows is built, watched and ended at one place. Promises:
nothing survives `run`; it ends in the order informers, pending changes, checkpoint, last
heartbeat; the first full sync counts as done only when all that the first lists brought is in the
bucket.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random

from watcher.bucket.heartbeat import Pulse
from watcher.bucket.journal import Journal
from watcher.bucket.layout import Layout, parse
from watcher.bucket.metadata import Writer as Instance
from watcher.bucket.owner import Claim
from watcher.bucket.store import Store
from watcher.bucket.trash import Trash
from watcher.capture.absence import Absence
from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.debounce import Pending
from watcher.capture.decisions import Decisions, known_holds
from watcher.capture.headway import POLL, Headway, Progress, Summary
from watcher.capture.intake import Flow
from watcher.capture.judge import Judge
from watcher.capture.memory import Memory
from watcher.capture.nightly import Nightly
from watcher.capture.overview import Overview
from watcher.capture.pace import Pace
from watcher.capture.pulse import Beating
from watcher.capture.reconcile import Reconcile
from watcher.capture.roster import Roster
from watcher.capture.sides import Reader
from watcher.capture.start import Grounds
from watcher.capture.watchfulness import Watchfulness
from watcher.capture.writer import Target, Writer
from watcher.cluster import client
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.cluster.kinds import KindFilter
from watcher.errors import BucketError
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner
from watcher.objects.ref import APIResource
from watcher.objects.selection import Selection
from watcher.objects.stored import name_of
from watcher.schedule import offset_of
from watcher.settings import Settings
from watcher.status import About, Status

_CHECKPOINT_PAUSE = 60.0  # seconds that writing it may take while nobody waits
_CHECKPOINT_TIME = 5.0  # seconds that writing it may take while somebody waits for it
_RELEASE_TIME = 5.0  # seconds for the last heartbeat


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
        about: About,
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
        self._random = random
        self._time = asyncio.get_running_loop().time
        self._tasks: list[asyncio.Task[None]] = []
        self._pending = Pending(settings.debounce, settings.max_delay, settings.memory_budget)
        holds = known_holds(grounds.deletes, grounds.ledger, clock)
        self._holds = holds
        self._absence = Absence(
            api,
            grounds.cluster_uid,
            holds,
            Judge(api, grounds.ledger, holds, settings.max_delete_ratio),
            may_judge=lambda: self._headway.may_judge(),
            resource_of=lambda segment: self._roster.resource_of(segment),
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
        self._instance = Instance(about.instance, grounds.claim.epoch)
        self._journal = journal = Journal(store, layout, grounds.claim.epoch, clock=clock, log=log)
        for line in grounds.unjournalled:
            journal.note(line)
        self._writer = Writer(
            Target(
                store,
                layout,
                grounds.ledger,
                grounds.claim,
                self._instance,
                journal,
                settings.secrets,
                _trash(store, layout, grounds.claim, settings),
            ),
            self._pending,
            Pace(settings.concurrency, random),
            refetch=self._refetch,
            metrics=metrics,
            log=log,
            clock=clock,
        )
        self._memory = Memory(
            store,
            layout,
            grounds.ledger,
            journal,
            lambda: self._writer.written + self._writer.deleted,
            clock,
            log,
        )
        self._flow = flow
        self._headway = Headway(
            self._roster,
            self._pending,
            self._absence,
            self._writer,
            self._watchfulness,
            settings.max_delay,
        )
        self._decisions = Decisions(
            store,
            layout,
            grounds.claim,
            grounds.ledger,
            grounds.deletes,
            holds,
            self._absence,
            synced=lambda: self._headway.synced,
            log=log,
            clock=clock,
        )
        self._overview = Overview(
            about,
            self._instance,
            grounds.last,
            grounds.kubernetes_version,
            self._headway,
            grounds.ledger,
            journal,
            holds,
            metrics,
            clock,
        )
        self._nightly = Nightly(
            store,
            layout,
            str(self._instance),
            settings.reconcile_schedule,
            offset_of(f"{layout.domain}/{layout.cluster}", settings.reconcile_window),
            begin=self._begin_reconcile,
            settled=self._is_settled,
            held=lambda: len(self._holds),
            after=lambda: self._memory.save(_CHECKPOINT_PAUSE),
            findings=self._overview.findings,
            metrics=metrics,
            log=log,
            clock=clock,
        )
        self._beating = Beating(
            Pulse(store, layout, self._instance, conditional=grounds.claim.conditional),
            self._overview.heartbeat,
            metrics,
            log,
            random,
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
        self._metrics.leader.set(1)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._writer.run(), name="writer")
            informing = group.create_task(self._roster.run(), name="roster")
            asking = group.create_task(self._absence.run(), name="absence")
            deciding = group.create_task(self._decisions.run(), name="decisions")
            keeping = group.create_task(self._memory.run(), name="memory")
            observing = group.create_task(self._metrics.observe_event_loop(), name="loop lag")
            judging = group.create_task(self._overview.run(), name="health")
            beating = group.create_task(self._beating.run(), name="heartbeat")
            self._tasks = [
                *(writing, informing, asking, deciding, keeping, observing, judging, beating)
            ]
            if progress:
                reporting = self._headway.report(progress)
                self._tasks.append(group.create_task(reporting, name="progress"))
            await self._headway.until_synced(stop, patient=not once)
            if not once:
                nightly = group.create_task(self._nightly.run(), name="reconcile")
                self._tasks.append(nightly)
                await self._go_on_until(stop)
                self._tasks.remove(nightly)
                nightly.cancel()
            for task in (informing, asking, deciding, keeping):
                task.cancel()
                self._tasks.remove(task)
            deadline = self._time() + self._settings.grace_period
            await self._write_what_is_pending(deadline)
            await self._memory.save(max(deadline - self._time(), _CHECKPOINT_TIME))
            await self._decisions.finish(max(deadline - self._time(), _CHECKPOINT_TIME))
            for task in self._tasks:
                task.cancel()
            self._tasks = []
        await self._beating.release(_RELEASE_TIME)
        self._metrics.leader.set(0)
        if not once:
            self._log.info("stopped", pending=len(self._pending))
        return self._headway.summary(self._time() - began)

    def unready(self) -> str | None:
        """Why the backup cannot be relied on now; None: it can."""
        return self._headway.unready()

    def status(self) -> Status:
        """All that a person who looks wants to know."""
        return self._overview.status()

    def unhealthy(self) -> str | None:
        """Why the process should be started anew; None: it should not."""
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None

    async def _go_on_until(self, stop: asyncio.Event) -> None:
        if not stop.is_set():
            objects = self._headway.progress().objects
            self._log.info("the bucket equals the cluster", objects=objects)
            await self._memory.save(_CHECKPOINT_TIME)
            await stop.wait()
        self._log.info("stopping", pending=len(self._pending))

    async def _write_what_is_pending(self, deadline: float) -> None:
        self._pending.flush()
        try:
            async with asyncio.timeout_at(deadline):
                while len(self._pending):
                    await asyncio.sleep(POLL)
        except TimeoutError:
            self._log.error(
                "the grace period is over: the next start will write the rest",
                pending=len(self._pending),
                reason=self._writer.failing,
            )

    def _begin_reconcile(self) -> Reconcile:
        reader = Reader(
            self._api,
            self._store,
            self._layout,
            self._grounds.ledger,
            self._roster,
            self._settings.label_selector,
            self._grounds.claim.etag_is_md5,
            self._random,
        )
        return Reconcile(reader, self._flow, identify=self._identify, stays=self._holds.stays)

    def _is_settled(self, keys: list[str]) -> bool:
        """Whether all that was found wrong with these keys is in the bucket."""
        return not any(key in self._pending or self._absence.asks_about(key) for key in keys)

    async def _refetch(self, change: Change) -> Change | None:
        intake = self._roster.intake_of(change.resource)
        assert isinstance(change.state, Refetch)
        if intake is None:
            return None
        state = change.state
        item = await client.find_one(self._api, intake.resource, state.namespace, state.name)
        return intake.fetched(item) if item else None

    async def _identify(self, key: str) -> tuple[str, str]:
        place = parse(key)
        if place is None:  # an aggregated API may have namespaces that are no DNS labels
            raise BucketError(f"{key} does not tell which object it holds")
        if place.name is not None:
            return place.namespace, place.name
        body, _ = await self._store.get(self._layout.prefix + key)
        try:
            return place.namespace, name_of(body)
        except ValueError as error:
            raise BucketError(f"{key} is {error}") from error

    def _delete(self, key: str, resource: APIResource, how: Deleted) -> None:
        self._pending.offer(Change(key, resource, how), self._time())

    def _found(self, key: str, resource: APIResource, item: Item) -> None:
        intake = self._roster.intake_of(resource)
        if intake is None or self._settings.label_selector:
            # It left the selection, by itself or by a change of settings: that cannot be told.
            self._absence.left_out(key)
        else:
            intake.listed_late(item)

    def _show_gauges(self) -> None:
        metrics, pending = self._metrics, self._pending
        metrics.pending_objects.set_function(lambda: len(pending))
        metrics.pending_bytes.set_function(lambda: pending.bytes)
        metrics.oldest_pending.set_function(lambda: pending.oldest(self._time()))
        metrics.deletes_held.set_function(lambda: len(self._holds))
        metrics.journal_pending.set_function(lambda: len(self._journal))
        metrics.objects.labels("cluster").set_function(lambda: self._headway.progress().objects)
        metrics.objects.labels("bucket").set_function(lambda: len(self._grounds.ledger))
        metrics.secrets_redacted.set_function(self._secrets_redacted)

    def _secrets_redacted(self) -> int:
        if self._settings.secrets == "plain":
            return 0
        return sum(i.objects for i in self._roster.intakes if i.resource.label == "secrets")


def _trash(store: Store, layout: Layout, claim: Claim, settings: Settings) -> Trash | None:
    wanted = settings.trash_days > 0 and not claim.versioned
    return Trash(store, layout) if wanted else None


def _selection(settings: Settings) -> Selection:
    return Selection(
        settings.include_namespaces,
        settings.exclude_namespaces,
        settings.include_cluster_scoped,
        settings.exclude_owned,
        settings.secrets == "exclude",
    )
