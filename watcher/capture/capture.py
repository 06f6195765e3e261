"""Capture put together: what following.py brings, outflow.py to the bucket; and who watches it.

Exists so that the one way that data flows is built, watched and ended at one place. Promises:
nothing survives `run`; it ends in the order informers, pending changes, records, heartbeat; the
first full sync counts as done only when all that the first lists brought is in the bucket.
"""

import asyncio
from collections.abc import Callable

from watcher.bucket.heartbeat import Pulse
from watcher.capture.context import Context
from watcher.capture.following import Following
from watcher.capture.headway import Headway, Progress, Summary
from watcher.capture.nightly import Nightly
from watcher.capture.outflow import Outflow
from watcher.capture.overview import Overview
from watcher.capture.pulse import Beating
from watcher.capture.start import Grounds
from watcher.schedule import offset_of
from watcher.status import Status

_RELEASE_TIME = 5.0  # seconds for the last heartbeat


class Capture:
    def __init__(self, context: Context, grounds: Grounds, following: Following) -> None:
        settings, layout = context.settings, context.layout
        self._context = context
        self._time = asyncio.get_running_loop().time
        self._tasks: list[asyncio.Task[None]] = []
        self._outflow = outflow = Outflow(
            context,
            grounds,
            following.inflow,
            may_judge=lambda: self._headway.may_judge(),
            synced=lambda: self._headway.synced,
        )
        self._roster = following.roster
        self._headway = Headway(
            self._roster,
            outflow.pending,
            outflow.absence,
            outflow.writer,
            following.watchfulness,
            settings.max_delay,
        )
        self._overview = Overview(
            context.about,
            outflow.instance,
            grounds.last,
            grounds.kubernetes_version,
            self._headway,
            outflow.ledger,
            outflow.journal,
            outflow.holds,
            context.metrics,
            context.clock,
        )
        self._beating = Beating(
            Pulse(context.store, layout, outflow.instance, conditional=grounds.claim.conditional),
            self._overview.heartbeat,
            self._overview.findings,
            context.metrics,
            context.log,
            context.random,
        )
        self._nightly = Nightly(
            context.store,
            layout,
            outflow,
            settings.reconcile_schedule,
            offset_of(f"{layout.domain}/{layout.cluster}", settings.reconcile_window),
            self._overview.findings,
            context.metrics,
            context.log,
            context.clock,
        )
        self._show_gauges()

    async def run(
        self,
        *,
        informing: asyncio.Task[None],
        once: bool,
        stop: asyncio.Event,
        progress: Callable[[Progress], None] | None,
        began: float,
    ) -> Summary:
        """Capture until `stop`, or with `once` until the bucket equals the cluster.

        informing: the informers' task, which is ended then. began: loop time from which the
        summary counts. With `once` raises ClusterError and BucketError when nothing moves any more;
        RefusedError where a younger writer lives.
        """
        metrics = self._context.metrics
        metrics.leader.set(1)
        async with asyncio.TaskGroup() as group:
            writing = self._outflow.start(group)
            watching = [
                group.create_task(metrics.observe_event_loop(), name="loop lag"),
                group.create_task(self._overview.run(), name="health"),
                group.create_task(self._beating.run(), name="heartbeat"),
            ]
            if progress:
                reporting = self._headway.report(progress)
                watching.append(group.create_task(reporting, name="progress"))
            self._tasks = [*writing, informing, *watching]
            await self._headway.until_synced(stop, patient=not once)
            if not once:
                nightly = group.create_task(self._nightly.run(), name="reconcile")
                self._tasks.append(nightly)
                await self._go_on_until(stop)
                nightly.cancel()
            self._tasks = []
            informing.cancel()
            await self._outflow.end()
            for task in watching:
                task.cancel()
        await self._beating.release(_RELEASE_TIME)
        metrics.leader.set(0)
        if not once:
            self._context.log.info("stopped", pending=len(self._outflow.pending))
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
        log = self._context.log
        if not stop.is_set():
            objects = self._headway.progress().objects
            log.info("the bucket equals the cluster", objects=objects)
            await self._outflow.save()
            await stop.wait()
        log.info("stopping", pending=len(self._outflow.pending))

    def _show_gauges(self) -> None:
        metrics = self._context.metrics
        metrics.objects.labels("cluster").set_function(lambda: self._headway.progress().objects)
        metrics.secrets_redacted.set_function(self._secrets_redacted)

    def _secrets_redacted(self) -> int:
        if self._context.settings.secrets == "plain":
            return 0
        return sum(i.objects for i in self._roster.intakes if i.resource.label == "secrets")
