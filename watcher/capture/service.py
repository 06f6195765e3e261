"""`watcher run`: from settings to a bucket that follows the cluster, and an orderly end.

Exists because start and stop have an order that no part knows alone: whose cluster and whose
prefix first, then what the bucket holds, only then informers; at the end informers first, then
what is pending, then the checkpoint. Promises: a fault of the API server or the bucket never ends
`run`, it is said once and tried again; with `once` a fault that lasts ends it with an error; after
a stop everything that arrived is in the bucket if it can be written within the grace period.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from typing import Protocol, TypeVar

from watcher.bucket.fence import Fenced
from watcher.bucket.held import Loaded
from watcher.bucket.store import Store
from watcher.capture.capture import Capture
from watcher.capture.context import Context, opened
from watcher.capture.following import Following
from watcher.capture.headway import Progress, Summary
from watcher.capture.standby import Seen, Standby, look
from watcher.capture.start import Grounds, prepare
from watcher.capture.takeover import look_again, take_over
from watcher.cluster.access import own_namespace
from watcher.cluster.lease import Lease, Terms
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.settings import Settings
from watcher.status import Status

__all__ = ["Progress", "Summary", "follow", "run"]

T = TypeVar("T")
Check = Callable[[], str | None]  # None: all is well; else the reason why not
Report = Callable[[Progress], None]


class Serve(Protocol):
    """Opens the HTTP pages, see serve/http.py."""

    def __call__(
        self, *, live: Check, ready: Check, status: Callable[[], Status]
    ) -> AbstractAsyncContextManager[object]: ...


async def run(
    settings: Settings,
    *,
    once: bool,
    takeover: bool,
    stop: asyncio.Event,
    metrics: Metrics,
    serve: Serve | None,
    log: Log,
    progress: Report | None,
    beside: Callable[[Store], AbstractAsyncContextManager[object]],
) -> Summary:
    """Follow the cluster of the settings until `stop`, or with `once` until the bucket equals it.

    takeover: although another instance seems to be alive. beside: what is to be done meanwhile.
    Raises UsageError, RefusedError, and with `once` ClusterError and BucketError.
    """
    async with opened(settings, metrics, log) as context, beside(context.store):
        return await follow(
            context, once=once, takeover=takeover, stop=stop, serve=serve, progress=progress
        )


async def follow(
    context: Context,
    *,
    once: bool,
    takeover: bool = False,
    stop: asyncio.Event,
    serve: Serve | None,
    progress: Report | None,
) -> Summary:
    """`run` between two given edges, with given time and randomness."""
    of_one = _Run(context, once=once, stop=stop, progress=progress)
    async with AsyncExitStack() as stack:
        if serve is not None:
            pages = serve(live=of_one.live, ready=of_one.ready, status=of_one.status)
            await stack.enter_async_context(pages)
        if context.settings.leader_elect and not once:
            return await of_one.in_turn()
        return await of_one.alone(takeover=takeover)


class _Run:
    """One run: its steps, and what it says of itself meanwhile."""

    def __init__(
        self,
        context: Context,
        *,
        once: bool,
        stop: asyncio.Event,
        progress: Report | None,
    ) -> None:
        self._context = context
        self._once = once
        self._stop = stop
        self._progress = progress
        self._began = asyncio.get_running_loop().time()
        self._waiting_for = "starting"
        self._lease: Lease | None = None
        self._capture: Capture | None = None
        self._standby: Standby | None = None

    # What it says

    def ready(self) -> str | None:
        shown = self._capture or self._standby
        return shown.unready() if shown else self._waiting_for

    def live(self) -> str | None:
        return self._capture.unhealthy() if self._capture else None

    def status(self) -> Status:
        context = self._context
        if shown := self._capture or self._standby:
            return shown.status()
        return Status(about=context.about, at=context.clock(), doing=self._waiting_for)

    def _say(self, what: str) -> None:
        self._waiting_for = what

    # Its steps

    async def alone(self, *, takeover: bool) -> Summary:
        """Without a Lease, or with one that nobody can have but we."""
        preparing = prepare(self._context, once=self._once, takeover=takeover, say=self._say)
        grounds = await _unless(self._stop, preparing)
        if grounds is None:
            return self._stopped()
        following = Following(self._context, grounds.cluster_uid, grounds.ledger, grounds.deletes)
        async with asyncio.TaskGroup() as group:
            return await self._follow(grounds, following, following.begin(group))

    async def in_turn(self) -> Summary:
        """Where only who has the Lease writes. Raises LeaseLostError, too."""
        self._lease = lease = _lease_of(self._context)
        self._context = replace(self._context, store=Fenced(self._context.store, lease.barred))
        self._context.metrics.leader.set_function(lambda: float(lease.barred() is None))
        self._say(f"asking for the Lease {lease}")
        if await lease.try_acquire():
            return await self._holding(lease, self.alone(takeover=True))
        reading = look(self._context, say=self._say)
        seen = await _unless(self._stop, reading)
        if seen is None:
            return self._stopped()
        following = Following(self._context, seen.cluster_uid, seen.ledger, Loaded())
        async with asyncio.TaskGroup() as group:
            informing = following.begin(group)
            self._standby = Standby(self._context, following, seen.tail, lease)
            if not await _unless(self._stop, self._standby.wait()):
                informing.cancel()
                await lease.release()  # it may have come at the same moment
                return self._stopped()
            self._standby = None
            return await self._holding(lease, self._take_over(seen, following, informing))

    async def _take_over(
        self, seen: Seen, following: Following, informing: asyncio.Task[None]
    ) -> Summary:
        began = take_over(self._context, following.inflow, seen, say=self._say)
        grounds = await _unless(self._stop, began)
        if isinstance(grounds, Grounds):
            return await self._follow(grounds, following, informing)
        informing.cancel()
        return self._stopped() if grounds is None else await self.alone(takeover=True)

    async def _follow(
        self, grounds: Grounds, following: Following, informing: asyncio.Task[None]
    ) -> Summary:
        self._capture = Capture(self._context, grounds, following)
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look_again(following))
            summary = await self._capture.run(
                informing=informing,
                once=self._once,
                stop=self._stop,
                progress=self._progress,
                began=self._began,
            )
            looking.cancel()
        return summary

    async def _look_again(self, following: Following) -> None:
        """With a Lease, somebody may have written until shortly before us."""
        if self._lease:
            duration = self._lease.terms.lease_duration
            await look_again(self._context, following.inflow, duration)

    async def _holding(self, lease: Lease, work: Coroutine[None, None, Summary]) -> Summary:
        """Work that may be done while the Lease is ours; then it is given up."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(lease.keep(), name="lease")
            summary = await work
            keeping.cancel()
        await lease.release()
        return summary

    def _stopped(self) -> Summary:
        failed = (f"stopped while {self._waiting_for}",) if self._once else ()
        return Summary(failed=failed)


def _lease_of(context: Context) -> Lease:
    settings = context.settings
    return Lease(
        context.api,
        settings.lease_namespace or own_namespace(),
        settings.lease_name,
        f"{context.about.instance}_{context.random.getrandbits(64):016x}",
        Terms(settings.lease_duration, settings.renew_deadline, settings.retry_period),
        random=context.random,
        clock=context.clock,
        log=context.log,
    )


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The result of `work`; None if `stop` was set before."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
