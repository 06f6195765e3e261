"""`watcher reconcile`: one by hand, by whoever may do it.

Exists because only one process may write to a prefix. Promises: beside a running service (its
heartbeat is fresh) that service is asked, through a file in the bucket, and its report is followed;
where none runs it is done here, with a claim and a writer of our own; with `dry_run` it is done
here in any case, and nothing is written.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from watcher.bucket import heartbeat, held, owner, reports, requests
from watcher.bucket.loading import load_ledger
from watcher.bucket.owner import Claim
from watcher.bucket.reports import Report
from watcher.capture.context import Context
from watcher.capture.health import Findings
from watcher.capture.inflow import Inflow
from watcher.capture.nightly import Nightly
from watcher.capture.outflow import Outflow
from watcher.capture.served import Served
from watcher.capture.start import Grounds, prepare
from watcher.cluster import client
from watcher.cluster.discovery import discover
from watcher.cluster.kinds import KindFilter
from watcher.errors import BucketError, RefusedError, WatcherError

_LOOK = 2.0  # seconds between two looks for the answer
_UNANSWERED = 180.0  # seconds after which a service that did not take a request over is not there

Say = Callable[[str], None]


async def reconcile(context: Context, *, dry_run: bool, say: Say) -> Report:
    """say: told what is being done. Raises RefusedError, ClusterError and BucketError."""
    if dry_run:
        return await _reconcile_here(context, await _look(context), dry_run=True)
    last = await heartbeat.newest(context.store, context.layout)
    if last and last.is_alive(context.clock()):
        say(f"asking {last.writer.instance}, which writes to this prefix")
        return await _ask(context, say)
    grounds = await prepare(context, once=True, takeover=False, say=say)
    if grounds.claim.hold_orphans:
        raise RefusedError(
            f"{context.layout.prefix} was {grounds.claim.hold_orphans}: what it held before has yet"
            " to be told from what is ours",
            hint="let watcher run, or watcher run --once, do its first full sync",
        )
    say("comparing cluster and bucket")
    return await _reconcile_here(context, grounds, dry_run=False)


async def _look(context: Context) -> Grounds:
    """What `prepare` finds, without a claim. Raises RefusedError, ClusterError, BucketError."""
    store, layout = context.store, context.layout
    uid = await client.cluster_uid(context.api)
    await store.check(layout.prefix)
    await owner.check(store, layout, cluster_uid=uid)
    found = await owner.read(store, layout)
    epoch, is_md5 = (found.epoch, found.etag_is_md5) if found else (0, True)
    claim = Claim(epoch, conditional=False, etag_is_md5=is_md5, versioned=True)
    loaded = await load_ledger(store, layout)
    deletes = await held.load(store, layout)
    return Grounds(uid, "", claim, None, loaded.ledger, [], deletes)


async def _reconcile_here(context: Context, grounds: Grounds, *, dry_run: bool) -> Report:
    compared = False
    inflow = Inflow(
        context, grounds.cluster_uid, grounds.ledger, grounds.deletes, kinds=lambda: served
    )
    outflow = Outflow(context, grounds, inflow, may_judge=lambda: True, synced=lambda: compared)
    settings = context.settings
    kinds = KindFilter(settings.include_kinds, settings.exclude_kinds)
    served = Served.of(await discover(context.api), inflow.flow, kinds)
    nightly = Nightly(
        context.store,
        context.layout,
        outflow,
        settings.reconcile_schedule,
        timedelta(),
        Findings(),
        context.metrics,
        context.log,
        context.clock,
    )
    if dry_run:
        return await nightly.reconcile("command", dry_run=True)
    async with asyncio.TaskGroup() as group:
        outflow.start(group)
        report = await nightly.reconcile("command")
        compared = True
        await outflow.end()
    return report


async def _ask(context: Context, say: Say) -> Report:
    store, layout = context.store, context.layout
    asked = await requests.ask(store, layout, by=context.about.instance, at=context.clock())
    time = asyncio.get_running_loop().time
    began, state = time(), asked.state
    while True:
        await asyncio.sleep(_LOOK)
        answer = await requests.read(store, layout, asked.key)
        if answer.state != state:
            state = answer.state
            say(f"the request is {state}")
        if state == "done":
            return await reports.read(store, layout, answer.report)
        if state == "failed":
            raise WatcherError(f"the service could not reconcile: {answer.error}")
        if state == "asked" and time() - began > _UNANSWERED:
            raise BucketError(
                f"nobody answered {layout.prefix}{asked.key} for {_UNANSWERED:.0f} s",
                hint="does the service still run?",
            )
