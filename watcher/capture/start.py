"""What must be known before the first object is read: whose cluster, whose prefix, what it holds.

Exists because writing into another cluster's prefix is the one thing that cannot be undone.
Promises: nothing is written before the claim; a fault is said once and tried again until it is
over, or raised at once where the caller wants an answer (`once`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from watcher.backoff import Backoff
from watcher.bucket import checkpoint, heartbeat, held, owner
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.journal import Line, Position
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Ledger
from watcher.bucket.loading import load_ledger
from watcher.bucket.owner import Claim
from watcher.bucket.store import Store
from watcher.capture.context import Context
from watcher.capture.recovery import lines_of
from watcher.cluster import client
from watcher.errors import BucketError, ClusterError, RefusedError
from watcher.logs import Log, Outage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Grounds:
    """What capture stands on."""

    cluster_uid: str
    kubernetes_version: str  # "": the API server does not tell us
    claim: Claim
    last: Heartbeat | None  # of whoever wrote before us; None: nobody, as far as the bucket tells
    ledger: Ledger
    unjournalled: list[Line]  # what the last run stored without telling the journal
    deletes: held.Loaded  # what is held, and what operators decided


async def prepare(
    context: Context, *, once: bool, takeover: bool, say: Callable[[str], None]
) -> Grounds:
    """Ask the cluster, claim the prefix, list it. say: told what is being waited for.

    takeover: whether another instance that seems to be alive is no reason to stay away. Raises
    RefusedError where the prefix is another cluster's or writer's; with `once` ClusterError and
    BucketError too.
    """

    api, store, layout = context.api, context.store, context.layout
    log, clock = context.log, context.clock

    async def persist(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        return await patiently(context, what, attempt, once=once, say=say)

    async def claim() -> tuple[Claim, Heartbeat | None]:
        await store.check(layout.prefix)
        await owner.check(store, layout, cluster_uid=uid)
        last = await heartbeat.newest(store, layout)
        if not takeover:
            _check_alone(last, layout, context.about.instance, clock())
        return await owner.claim(store, layout, cluster_uid=uid, at=clock()), last

    uid = await persist("connecting to the cluster", lambda: client.cluster_uid(api))
    version = await persist("connecting to the cluster", lambda: client.server_version(api))
    claimed, last = await persist("claiming the prefix in the bucket", claim)
    loaded = await persist("listing the bucket", lambda: load_ledger(store, layout))
    deletes = await persist("reading which deletes are held", lambda: held.load(store, layout))
    log.info(
        "the prefix is ours",
        bucket=store.name,
        prefix=layout.prefix,
        epoch=claimed.epoch,
        files=len(loaded.ledger),
        remembered=loaded.remembered,
    )
    if loaded.foreign:
        log.warning("files that are not ours lie under the prefix", count=loaded.foreign)
    if loaded.unusable and len(loaded.ledger):
        log.info(
            "the checkpoint is of no use: files are recognised one by one", why=loaded.unusable
        )
    unjournalled = await persist(
        "looking at what the last run did not journal",
        lambda: lines_of(store, layout, loaded.ledger, loaded.unjournalled, clock()),
    )
    if loaded.unusable:
        await _begin_record(store, layout, loaded.ledger, Position(claimed.epoch, 0), clock(), log)
    return Grounds(uid, version, claimed, last, loaded.ledger, unjournalled, deletes)


async def patiently(
    context: Context,
    what: str,
    attempt: Callable[[], Awaitable[T]],
    *,
    say: Callable[[str], None],
    once: bool = False,
) -> T:
    """The result of `attempt`, tried again until it works; with `once` tried once."""
    outage = Outage(context.log, what, asyncio.get_running_loop().time)
    backoff = Backoff(context.random, first=1.0, longest=30.0)
    while True:
        say(f"{what}: {outage.reason or 'in progress'}")
        try:
            result = await attempt()
        except (ClusterError, BucketError) as error:
            if once:
                raise
            outage.began(str(error))
            say(f"{what}: {error}")
            await asyncio.sleep(backoff.next())
        else:
            outage.ended()
            return result


async def _begin_record(
    store: Store, layout: Layout, ledger: Ledger, position: Position, at: datetime, log: Log
) -> None:
    """So that what we store from here on is missed in the journal if we are killed soon."""
    try:
        await checkpoint.save(store, layout, await checkpoint.write(ledger, position, at=at))
    except BucketError as error:
        log.warning("the checkpoint could not be written", reason=str(error))


def _check_alone(last: Heartbeat | None, layout: Layout, instance: str, now: datetime) -> None:
    if last is None or last.writer.instance == instance or not last.is_alive(now):
        return
    age = round((now - last.at).total_seconds())
    raise RefusedError(
        f"{last.writer.instance} writes to {layout.prefix}: its heartbeat is {age} s old",
        hint="stop it first; if it is dead, wait some minutes or use --takeover",
    )
