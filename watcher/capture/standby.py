"""A replica that waits for the Lease, ready to go on at once where the other one leaves off.

Exists so that the loss of a node is not noticed. Promises: it follows the whole cluster and all
that the writer records, and writes nothing; what waits here is let go once the writer recorded it,
so memory stays bounded; it is ready (for probes: so that rollouts go on) once each kind was listed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from watcher.bucket import owner
from watcher.bucket.ledger import Ledger
from watcher.bucket.tail import Tail
from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.context import Context
from watcher.capture.following import Following
from watcher.capture.headway import all_listed
from watcher.capture.start import patiently
from watcher.cluster import client
from watcher.cluster.lease import Lease
from watcher.errors import BucketError
from watcher.logs import Outage
from watcher.objects.content import Content
from watcher.status import Status

Say = Callable[[str], None]

_EVERY = 60.0  # seconds between two looks at what the writer recorded: as often as it does
_LOOK = 0.25  # seconds between two looks whether all is listed


@dataclass(frozen=True, slots=True)
class Seen:
    """What a standby begins with."""

    cluster_uid: str
    kubernetes_version: str
    ledger: Ledger  # what the record says
    tail: Tail  # of that ledger


async def look(context: Context, *, say: Say) -> Seen:
    """Ask the cluster, and read what is recorded; nothing is claimed. Raises RefusedError where
    the prefix is another cluster's."""
    api, store, layout = context.api, context.store, context.layout
    connecting = "connecting to the cluster"
    uid = await patiently(context, connecting, lambda: client.cluster_uid(api), say=say)
    version = await patiently(context, connecting, lambda: client.server_version(api), say=say)

    async def read() -> Seen:
        await store.check(layout.prefix)
        await owner.check(store, layout, cluster_uid=uid)
        ledger = Ledger()
        tail = Tail(store, layout, ledger, context.clock)
        await tail.catch_up()
        tail.heard.clear()  # nothing waits yet that it could contradict
        return Seen(uid, version, ledger, tail)

    return await patiently(context, "reading what is recorded", read, say=say)


class Standby:
    def __init__(self, context: Context, following: Following, tail: Tail, lease: Lease) -> None:
        self._context = context
        self._following = following
        self._tail = tail
        self._lease = lease
        self._listed = False  # each kind was, once
        following.inflow.pending.unattended = True

    async def wait(self) -> bool:
        """Until it is our turn to write; True."""
        pending = self._following.inflow.pending
        self._context.metrics.standby = True
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._listen()), group.create_task(self._watch_lists())]
            await self._lease.acquire()
            for task in beside:
                task.cancel()
        pending.unattended = False
        self._context.metrics.standby = False
        return True

    def unready(self) -> str | None:
        """Why it could not take over at once; None: it could."""
        if self._listed:
            return None
        intakes = self._following.roster.intakes
        listed = sum(intake.synced for intake in intakes)
        unreachable = self._following.watchfulness.unreachable
        why = f" ({unreachable})" if unreachable else ""
        return f"standing by: {listed} of {len(intakes)} kinds listed{why}"

    def status(self) -> Status:
        """All that a person who looks wants to know."""
        context, following = self._context, self._following
        objects = sum(intake.objects for intake in following.roster.intakes)
        return Status(
            about=context.about,
            at=context.clock(),
            doing=self.unready()
            or f"{objects} objects followed, {len(following.inflow.pending)} changes not yet heard"
            " of from who writes",
            leader=self._lease.holder,
        )

    async def _watch_lists(self) -> None:
        following = self._following
        while not all_listed(following.roster, following.watchfulness):
            await asyncio.sleep(_LOOK)
        self._listed = True
        self._context.log.info("standing by", leader=self._lease.holder)

    async def _listen(self) -> None:
        outage = Outage(
            self._context.log, "reading what is recorded", asyncio.get_running_loop().time
        )
        pending, ledger = self._following.inflow.pending, self._following.inflow.ledger
        while True:
            await asyncio.sleep(_EVERY * self._context.random.uniform(0.9, 1.0))
            try:
                await self._tail.catch_up()
            except BucketError as error:
                outage.began(str(error))
            else:
                outage.ended()
                pending.settle(lambda change: _is_stored(ledger, change))
                self._tail.heard = {key for key in self._tail.heard if key in pending}


def _is_stored(ledger: Ledger, change: Change) -> bool:
    """Whether the bucket, as far as the ledger tells, holds this state."""
    match change.state:
        case Content(fingerprint=fingerprint) | Refetch(fingerprint=fingerprint):
            return ledger.get(change.key).holds(fingerprint)
        case Deleted():
            return ledger.get(change.key).holds(None)
