"""Is everything as it should be? Cluster and bucket asked anew and held against each other.

Exists because capture believes what it was told: a watch that never told, a file that somebody
changed, a listing that lied show only when both sides are asked again. Promises:

- Nothing is called drift on a first look. A difference counts only if it is still there when that
  object and that key are read again alone, with nothing on its way between them and no event of the
  object meanwhile (an aggregated API must say twice, a minute apart, that an object is gone).
- What is held, left out by settings, being deleted, or of a kind that cannot be listed is no drift.
- `examine` changes nothing. `repair` hands what was found to the live writer, and deletions to the
  questions and the breaker of absence.py.
- Requests to the bucket: a LIST a thousand keys, a GET for each file of the slice that is read
  back, a HEAD for each difference.
- No body is kept, so a difference costs some 600 bytes, however big the object is. What is written
  for it is the object's state when its turn comes: a request each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from typing import TypeVar

from watcher.bucket import metadata
from watcher.bucket.hashroot import hash_root
from watcher.bucket.layout import kind_of
from watcher.bucket.ledger import UNKNOWN, Entry, Stored, etag_of
from watcher.bucket.slices import Slice
from watcher.capture.change import Change, Refetch
from watcher.capture.drift.comparison import Column, Drift
from watcher.capture.drift.sides import Count, Reader, Sides
from watcher.capture.intake import Flow, Intake
from watcher.cluster import client, discovery
from watcher.errors import AbsentError
from watcher.objects.content import Content
from watcher.objects.ref import APIResource
from watcher.objects.yaml import emit

_AT_ONCE = 8  # keys read again, or read back
_WARM_UP = 60.0  # seconds between two answers of an aggregated API

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Found:
    """One difference that was still there on the second look.

    resource: None where its kind is not served any more. etag: of the file, "" if there is none.
    object: what to ask the cluster for, None if it is gone.
    """

    drift: Drift
    key: str
    resource: APIResource | None
    etag: str
    object: Refetch | None = None


@dataclass(slots=True)
class Examination:
    """What one look at everything showed."""

    counts: dict[str, Count]  # by kind segment
    foreign: int  # keys that are none of ours
    size: int  # bytes of the files that are
    pages: int  # of the listing
    looked_again: int = 0
    read_back: int = 0  # files
    damaged: list[str] = field(default_factory=list)  # keys of files whose bytes are not theirs
    found: list[Found] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)  # keys that changed meanwhile, or are held
    root_of_cluster: str = ""
    root_of_bucket: str = ""  # both "" where ETags are no MD5s
    proven: int = 0  # files in the root

    @property
    def unread(self) -> dict[str, str]:
        """Kinds that could not be listed, and why."""
        return {segment: count.unread for segment, count in self.counts.items() if count.unread}


class Reconcile:
    """One examination, and the repair of what it found."""

    def __init__(
        self,
        reader: Reader,
        flow: Flow,
        *,
        identify: Callable[[str], Awaitable[tuple[str, str]]],
        stays: Callable[[str], bool],
    ) -> None:
        """identify: a key's namespace and name. stays: whether a key is held or kept, and so in the
        bucket without an object."""
        self._reader = reader
        self._flow = flow
        self._identify = identify
        self._stays = stays
        self._touched: set[str] = set()  # keys that capture has had in hand since we began

    async def examine(self, read_back: Slice) -> Examination:
        """Look at everything: minutes, in a large cluster. Raises ClusterError and BucketError."""
        with self._flow.pending.noting(self._touched):
            sides = await self._reader.read()
            self._touched |= sides.ending
            self._welcome_back(sides)
            seen = Examination(sides.counts, sides.foreign, sides.size, sides.pages)
            suspected = {key: drift for drift, key in self._differences(sides)}
            await self._read_back(sides, read_back, seen)
            suspected |= dict.fromkeys(seen.damaged, Drift.CHANGED)
            await self._confirm(suspected, sides, seen)
            self._prove(sides, seen)
        return seen

    def repair(self, found: Iterable[Found]) -> None:
        """Hand differences on to those who write. Call at once after `examine`."""
        flow, now = self._flow, asyncio.get_running_loop().time()
        for one in found:
            if one.key in flow.pending:
                continue  # the object has changed since: what is on its way is newer
            stored = Stored(one.etag, UNKNOWN) if one.etag else None
            flow.ledger.put(one.key, Entry(stored))
            if one.object and one.resource:
                change = Change(one.key, one.resource, one.object, repair=True)
                flow.pending.offer(change, now, at_once=True)
            elif one.resource:
                flow.absence.suspect(one.resource, [one.key])

    # First look

    def _welcome_back(self, sides: Sides) -> None:
        """What is held because its object seemed to be gone, and is there, is held no more."""
        for key in sides.comparison.keys():  # noqa: SIM118
            if sides.comparison.cluster.get(key) is not None and self._flow.absence.holds(key):
                self._flow.absence.seen(key)

    def _differences(self, sides: Sides) -> Iterator[tuple[Drift, str]]:
        unread = {segment for segment in sides.counts if self._is_unread(segment, sides)}
        for drift, key in sides.comparison.differences(unread):
            if not self._is_moving(key):
                yield drift, key

    def _is_unread(self, segment: str, sides: Sides) -> bool:
        """Whether it is not known which objects of a kind there are."""
        count = sides.counts[segment]
        if count.resource is None:  # nobody wants it, or it is not served any more
            return self._reader.kinds.serves(segment)
        return bool(count.unread)

    def _is_moving(self, key: str) -> bool:
        return key in self._touched or key in self._flow.pending or self._stays(key)

    async def _read_back(self, sides: Sides, read_back: Slice, seen: Examination) -> None:
        """Read some of the files that seem right: are their bytes what their ETags say?"""
        cluster, bucket = sides.comparison.cluster, sides.comparison.bucket

        async def is_damaged(key: str) -> str | None:
            seen.read_back += 1
            for _ in range(2):  # a byte may also get lost on its way here
                try:
                    body, _ = await self._reader.store.get(self._reader.layout.prefix + key)
                except AbsentError:
                    return None
                if md5(body, usedforsecurity=False).digest() == cluster.get(key):
                    return None
            return key

        if self._reader.md5:
            wanted = (
                key
                for key in sides.comparison.keys()  # noqa: SIM118
                if key in read_back and cluster.get(key) == bucket.get(key) is not None
            )
            seen.damaged = await _each(is_damaged, wanted)

    # Second look

    async def _confirm(self, suspected: dict[str, Drift], sides: Sides, seen: Examination) -> None:
        if not suspected:
            return
        patient = await discovery.aggregated_groups(self._reader.api)
        intakes = {intake.segment: intake for intake in self._reader.kinds.intakes}

        async def look_again(key: str) -> Found | None:
            seen.looked_again += 1
            etag = await self._etag(key)
            intake = intakes.get(kind_of(key))
            if intake is None:
                return Found(Drift.ORPHANED, key, None, etag) if etag else None
            return await self._compare(key, etag, intake, sides, patient, seen.damaged)

        seen.found = await _each(look_again, suspected)

    async def _compare(
        self,
        key: str,
        etag: str,
        intake: Intake,
        sides: Sides,
        patient: Collection[str],
        damaged: Collection[str],
    ) -> Found | None:
        namespace, name = sides.names.get(key) or await self._identify(key)
        with self._flow.asking(key) as question:
            item = await client.find_one(self._reader.api, intake.resource, namespace, name)
            if item is None and intake.resource.group in patient:
                await asyncio.sleep(_WARM_UP)
                item = await client.find_one(self._reader.api, intake.resource, namespace, name)
        if question.overtaken or self._is_moving(key):
            return None
        orphan = Found(Drift.ORPHANED, key, intake.resource, etag) if etag else None
        if item is None:
            return orphan
        seen = intake.look(item)
        if seen.state is None:
            return None
        if not isinstance(seen.state, Content):
            return None if seen.state.by_settings else orphan
        there = Refetch(seen.namespace, seen.name, seen.state.fingerprint)
        if not etag:
            return Found(Drift.MISSING, key, intake.resource, "", there)
        if key in damaged or not await self._is_file_of(seen.state, key, etag):
            return Found(Drift.CHANGED, key, intake.resource, etag, there)
        return None

    async def _etag(self, key: str) -> str:
        try:
            return (await self._reader.store.head(self._reader.layout.prefix + key)).etag
        except AbsentError:
            return ""

    async def _is_file_of(self, content: Content, key: str, etag: str) -> bool:
        if self._reader.md5:
            return etag == etag_of(emit(content))
        stored = self._flow.ledger.get(key).stored
        if stored is None or stored.etag != etag or stored.fingerprint == UNKNOWN:
            head = await self._reader.store.head(self._reader.layout.prefix + key)
            stored = metadata.stored(head)
        return stored.fingerprint == content.fingerprint

    # The proof

    def _prove(self, sides: Sides, seen: Examination) -> None:
        cluster, bucket = sides.comparison.cluster, sides.comparison.bucket
        keys = []
        for key in sides.comparison.keys():  # noqa: SIM118
            if self._is_moving(key) or self._is_unread(kind_of(key), sides):
                seen.moving.append(key)
            else:
                keys.append(key)
        if not self._reader.md5:
            return
        seen.root_of_cluster = _root(keys, cluster)
        seen.root_of_bucket = _root(keys, bucket)
        seen.proven = sum(bucket.get(key) is not None for key in keys)


def _root(keys: Iterable[str], side: Column) -> str:
    return hash_root((key, digest.hex()) for key in keys if (digest := side.get(key)))


async def _each(ask: Callable[[_T], Awaitable[_R | None]], of: Iterable[_T]) -> list[_R]:
    """What `ask` found, some at a time."""
    queue = iter(of)
    found: list[_R | None] = []

    async def ask_in_turn() -> None:
        found.extend([await ask(one) for one in queue])

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(ask_in_turn())
    except ExceptionGroup as failed:  # they all ask the same two servers: one error tells
        raise failed.exceptions[0] from None
    return [one for one in found if one is not None]
