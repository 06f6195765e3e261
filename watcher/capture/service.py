"""`watcher run`: from settings to a bucket that follows the cluster, and an orderly end.

Exists because start and stop have an order that no part knows alone: whose cluster and whose
prefix first, then what the bucket holds, only then informers; at the end informers first, then
what is pending, then the checkpoint. Promises: a fault of the API server or the bucket never ends
`run`, it is said once and tried again; with `once` a fault that lasts ends it with an error; after
a stop everything that arrived is in the bucket if it can be written within the grace period.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol, TypeVar

from watcher.capture.capture import Capture
from watcher.capture.context import Context, opened
from watcher.capture.headway import Progress, Summary
from watcher.capture.start import prepare
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
) -> Summary:
    """Follow the cluster of the settings until `stop`, or with `once` until the bucket equals it.

    takeover: although another instance seems to be alive. Raises UsageError, RefusedError, and with
    `once` ClusterError and BucketError.
    """
    async with opened(settings, metrics, log) as context:
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
    began = asyncio.get_running_loop().time()
    capture: Capture | None = None
    waiting_for = "starting"

    def say(what: str) -> None:
        nonlocal waiting_for
        waiting_for = what

    def ready() -> str | None:
        return capture.unready() if capture else waiting_for

    def live() -> str | None:
        return capture.unhealthy() if capture else None

    def status() -> Status:
        if capture is None:
            return Status(about=context.about, at=context.clock(), doing=waiting_for)
        return capture.status()

    async with AsyncExitStack() as stack:
        if serve is not None:
            await stack.enter_async_context(serve(live=live, ready=ready, status=status))
        preparing = prepare(context, once=once, takeover=takeover, say=say)
        grounds = await _unless(stop, preparing)
        if grounds is None:
            return Summary(failed=(f"stopped while {waiting_for}",) if once else ())
        capture = Capture(context, grounds)
        return await capture.run(once=once, stop=stop, progress=progress, began=began)


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
