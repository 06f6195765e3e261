"""From standby to writer: what the one before left behind, found out and put right.

Exists because whoever wrote before may have died in the middle of it, with requests on their way
and lines in no journal. Promises: the prefix is claimed (a higher epoch) and listed once, no kind
is listed again because of a takeover (but one with hundreds of differences); a key that is
otherwise than its record said is asked for in the cluster before anything is written to it, so
that nothing newer is overwritten by what we happened to see last; what lands late is found by a
second listing, once no request of the one before can be under way any more.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from watcher.bucket import heartbeat, held, owner
from watcher.bucket.compare import Differing, differing
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.held import Loaded
from watcher.bucket.layout import kind_of
from watcher.bucket.ledger import UNKNOWN, Entry, Stored, etag_of
from watcher.bucket.owner import Claim
from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.context import Context
from watcher.capture.debounce import MAX_REFETCHES
from watcher.capture.deletes.decisions import still_there
from watcher.capture.inflow import Inflow
from watcher.capture.recovery import lines_of
from watcher.capture.standby import Seen
from watcher.capture.start import Grounds, patiently
from watcher.errors import BucketError
from watcher.objects.content import Content
from watcher.objects.ref import APIResource
from watcher.objects.yaml import emit

_REQUEST = 60.0  # seconds after which whoever sent a request has given it up
_SLICE = 50  # files made for comparison between two turns of the event loop: some 5 ms

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cold:
    """The one before had not compared everything with the cluster yet, or its record of what is
    held is damaged: what is to be held shows only when all is read anew."""


async def take_over(context: Context, inflow: Inflow, seen: Seen, *, say: Say) -> Grounds | Cold:
    """Claim the prefix, and make ledger and pending changes what they have to be for a writer.
    Raises RefusedError."""
    store, layout, clock = context.store, context.layout, context.clock

    async def claim() -> tuple[Claim, Heartbeat | None, Loaded]:
        last = await heartbeat.newest(store, layout)
        claimed = await owner.claim(store, layout, cluster_uid=seen.cluster_uid, at=clock())
        return claimed, last, await held.load(store, layout)

    claimed, last, deletes = await patiently(context, "claiming the prefix", claim, say=say)
    if claimed.hold_orphans or deletes.damaged:
        return Cold()
    await patiently(context, "reading the journal", seen.tail.catch_up, say=say)
    found = await patiently(
        context, "listing the bucket", lambda: differing(store, layout, inflow.ledger), say=say
    )
    _learn(inflow, found)
    unjournalled = await patiently(
        context,
        "looking at what is in no journal",
        lambda: lines_of(
            store, layout, inflow.ledger, {key: it.known for key, it in found.items()}, clock()
        ),
        say=say,
    )
    only_held = inflow.absence.adopt(still_there(deletes.book, inflow.ledger))
    asked = await _open_questions(inflow, found, etag_is_md5=claimed.etag_is_md5)
    # Of these the other one told something else than we saw: perhaps our watch is behind.
    asked |= {key for key in seen.tail.heard if inflow.pending.waiting(key)}
    await _ask_anew(context, inflow, asked, only_held)
    context.log.info(
        "the prefix is ours",
        bucket=store.name,
        prefix=layout.prefix,
        epoch=claimed.epoch,
        files=len(inflow.ledger),
        unjournalled=len(found),
        asked=len(asked) + len(only_held),
    )
    return Grounds(
        seen.cluster_uid,
        seen.kubernetes_version,
        claimed,
        last,
        inflow.ledger,
        unjournalled,
        deletes,
    )


async def look_again(context: Context, inflow: Inflow, lease_duration: float) -> None:
    """Find what the one before had sent and nobody saw land, and put it right."""
    await asyncio.sleep(lease_duration + _REQUEST)
    written: set[str] = set()

    async def look() -> dict[str, Differing]:
        written.clear()
        with inflow.pending.noting(written):
            return await differing(context.store, context.layout, inflow.ledger)

    found = await patiently(context, "listing the bucket again", look, say=lambda what: None)
    late = {key: it for key, it in found.items() if key not in written}
    late = {key: it for key, it in late.items() if not inflow.ledger.get(key).in_doubt}
    if late:
        context.log.warning("requests of the writer before landed late", files=len(late))
    _learn(inflow, late)
    await _ask_anew(context, inflow, list(late), ())


def _learn(inflow: Inflow, found: Mapping[str, Differing]) -> None:
    for key, it in found.items():
        inflow.ledger.put(key, Entry(Stored(it.found, UNKNOWN)) if it.found else Entry())


async def _open_questions(
    inflow: Inflow, found: Mapping[str, Differing], *, etag_is_md5: bool
) -> set[str]:
    """The keys of which it is not clear what they hold. Mostly it is: what we saw happen, too."""
    unclear = set()
    for number, (key, it) in enumerate(found.items(), 1):
        match (change := inflow.pending.waiting(key)) and change.state:
            case Content() as content if etag_is_md5 and it.found == etag_of(emit(content)):
                inflow.ledger.put(key, Entry(Stored(it.found, content.fingerprint)))
                inflow.pending.take_back(key)
            case Deleted() if not it.found:
                inflow.pending.take_back(key)
            case _:
                unclear.add(key)
        if number % _SLICE == 0:
            await asyncio.sleep(0)
    return unclear


async def _ask_anew(
    context: Context, inflow: Inflow, differing: Collection[str], held: Collection[str]
) -> None:
    """What these keys hold is what the cluster says now, not what we saw last. held: keys that
    stay whatever it says, but may have come back."""
    by_kind: dict[APIResource, list[str]] = defaultdict(list)
    for key in differing:
        change = inflow.pending.take_back(key)
        kind = inflow.kinds().resource_of(kind_of(key))
        if resource := change.resource if change else kind:  # None: see Roster, which ends kinds
            by_kind[resource].append(key)
    for resource, keys in by_kind.items():
        if context.settings.label_selector or len(keys) > MAX_REFETCHES:
            inflow.pending.overflowed.add(resource)  # only a list tells what is selected
            continue
        stays = [key for key in keys if inflow.absence.stays(key)]
        inflow.absence.suspect(resource, set(keys).difference(stays))
        await _refetch(inflow, resource, stays)
    for key in held:
        if resource := inflow.kinds().resource_of(kind_of(key)):
            await _refetch(inflow, resource, [key])


async def _refetch(inflow: Inflow, resource: APIResource, keys: Collection[str]) -> None:
    now = asyncio.get_running_loop().time()
    for key in keys:
        try:
            place = await inflow.identify(key)
        except BucketError:  # it stays held, and the next reconcile asks for it
            continue
        inflow.pending.offer(Change(key, resource, Refetch(*place)), now, at_once=True)
