"""`watcher run`: from settings to a bucket that follows the cluster, and an orderly end.

Exists because start and stop have an order that no part knows alone: whose cluster and whose
prefix first, then what the bucket holds, only then informers; at the end informers first, then
what is pending, then the checkpoint. Promises: a fault of the API server or the bucket never ends
`run`, it is said once and tried again; with `once` a fault that lasts ends it with an error; after
a stop everything that arrived is in the bucket if it can be written within the grace period.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from random import Random
from typing import Protocol, TypeVar

from watcher.bucket.layout import Layout
from watcher.bucket.opening import open_store
from watcher.bucket.store import Store
from watcher.capture.capture import Capture
from watcher.capture.context import Context
from watcher.capture.headway import Progress, Summary
from watcher.capture.start import prepare
from watcher.cluster.api import API
from watcher.cluster.connection import connect
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.secrets import SecretPolicy
from watcher.settings import Settings
from watcher.status import About, Status

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
    cleaner = Cleaner(load_rules(settings.clean_rules), _secret_policy(settings))
    async with (
        connect(settings.kubeconfig, settings.context) as api,
        open_store(settings, metrics.observe_request, _utc_now) as store,
    ):
        return await follow(
            api,
            store,
            settings,
            cleaner=cleaner,
            once=once,
            takeover=takeover,
            stop=stop,
            metrics=metrics,
            serve=serve,
            log=log,
            progress=progress,
            random=Random(),
            clock=_utc_now,
            instance=socket.gethostname(),
        )


async def follow(
    api: API,
    store: Store,
    settings: Settings,
    *,
    cleaner: Cleaner,
    once: bool,
    takeover: bool = False,
    stop: asyncio.Event,
    metrics: Metrics,
    serve: Serve | None,
    log: Log,
    progress: Report | None,
    random: Random,
    clock: Callable[[], datetime],
    instance: str,
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

    about = About(
        domain=settings.cluster_domain,
        cluster=settings.cluster_name,
        bucket=store.name,
        version=metrics.version,
        instance=instance,
        started=clock(),
    )

    def status() -> Status:
        return capture.status() if capture else Status(about=about, at=clock(), doing=waiting_for)

    async with AsyncExitStack() as stack:
        if serve is not None:
            await stack.enter_async_context(serve(live=live, ready=ready, status=status))
        layout = Layout(settings.cluster_domain, settings.cluster_name)
        preparing = prepare(
            api,
            store,
            layout,
            once=once,
            takeover=takeover,
            instance=instance,
            say=say,
            log=log,
            random=random,
            clock=clock,
        )
        grounds = await _unless(stop, preparing)
        if grounds is None:
            return Summary(failed=(f"stopped while {waiting_for}",) if once else ())
        context = Context(api, store, settings, cleaner, about, metrics, log, random, clock)
        capture = Capture(context, grounds)
        return await capture.run(once=once, stop=stop, progress=progress, began=began)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _secret_policy(settings: Settings) -> SecretPolicy:
    key = settings.fingerprint_key.reveal().encode() or None
    return SecretPolicy(settings.secrets, key, settings.cluster_domain, settings.cluster_name)


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
