"""Reads both sides of a comparison: the bucket by its listing, the cluster by its lists.

Exists so that reconcile.py only judges. Promises: nothing is compared with another cluster that
answers at this one's address; a kind that cannot be listed is named as unread and ends nothing;
memory is that of comparison.py; the event loop is never held for longer than a batch of items
takes.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from hashlib import md5
from random import Random

from watcher.bucket.hashroot import md5_of
from watcher.bucket.layout import Layout, parse
from watcher.bucket.ledger import UNKNOWN, Ledger
from watcher.bucket.loading import objects
from watcher.bucket.store import Store
from watcher.capture.drift.comparison import Comparison
from watcher.capture.intake import Intake
from watcher.capture.served import Kinds
from watcher.cluster.api import API
from watcher.cluster.client import Item
from watcher.cluster.relist import relist
from watcher.cluster.same import SameCluster
from watcher.errors import ClusterError
from watcher.objects.content import Content
from watcher.objects.ref import APIResource
from watcher.objects.yaml import emit

_UNHEARD_OF = b"\xff" * 16  # of a file that we did not write: it equals nothing, so it is looked at
_LISTS = 2  # kinds at the same time: capture goes on beside us


@dataclass(slots=True)
class Count:
    """How many objects of one kind each side has."""

    resource: APIResource | None = None  # None: it was not listed
    cluster: int = 0
    bucket: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # by reason
    unread: str = ""  # why it could not be listed

    def begin(self) -> None:
        self.cluster = 0
        self.left_out.clear()


@dataclass(slots=True)
class Sides:
    """Both, once `read` is through."""

    comparison: Comparison
    counts: dict[str, Count] = field(default_factory=dict)  # by kind segment
    foreign: int = 0  # keys that are none of ours
    size: int = 0  # bytes of the files that are
    pages: int = 0  # of the listing
    ending: set[str] = field(default_factory=set)  # being deleted: files show the last full state
    names: dict[str, tuple[str, str]] = field(default_factory=dict)  # of objects with cut keys

    def count(self, segment: str) -> Count:
        return self.counts.setdefault(segment, Count())


@dataclass(frozen=True, slots=True)
class Reader:
    """selector: a label selector. md5: whether ETags are MD5s."""

    api: API
    same: SameCluster
    store: Store
    layout: Layout
    ledger: Ledger
    kinds: Kinds
    selector: str
    md5: bool
    random: Random

    async def read(self) -> Sides:
        """Raises RefusedError where another cluster answers, ClusterError and BucketError."""
        await self.same.confirm()
        keys = sorted(key for kind in self.ledger.kinds() for key in self.ledger.keys_of(kind))
        sides = Sides(Comparison(keys))
        await self._list_bucket(sides)
        await self._list_cluster(sides)
        return sides

    async def _list_bucket(self, sides: Sides) -> None:
        async for page in objects(self.store, self.layout.prefix):
            sides.pages += 1
            for listed in page:
                key = listed.key.removeprefix(self.layout.prefix)
                place = parse(key)
                if place is None:
                    sides.foreign += 1
                else:
                    sides.size += listed.size
                    sides.count(place.kind).bucket += 1
                    sides.comparison.bucket.set(key, self._of_file(key, listed.etag))
            await asyncio.sleep(0)

    async def _list_cluster(self, sides: Sides) -> None:
        queue = iter(self.kinds.intakes)

        async def list_in_turn() -> None:
            for intake in queue:
                await self._list_kind(intake, sides)

        async with asyncio.TaskGroup() as group:
            for _ in range(_LISTS):
                group.create_task(list_in_turn())

    async def _list_kind(self, intake: Intake, sides: Sides) -> None:
        count = sides.count(intake.segment)
        count.resource = intake.resource

        def take(items: list[Item]) -> None:
            for item in items:
                seen = intake.look(item)
                if isinstance(seen.state, Content):
                    count.cluster += 1
                    sides.comparison.cluster.set(seen.key, self.of_object(seen.state))
                elif seen.state is None:
                    count.cluster += 1
                    sides.ending.add(seen.key)
                else:
                    count.left_out[seen.state.reason] += 1
                if "~" in seen.key:
                    sides.names[seen.key] = (seen.namespace, seen.name)

        try:
            await relist(
                self.api,
                intake.resource,
                begin=count.begin,
                take=take,
                random=self.random,
                selector=self.selector,
            )
        except ClusterError as error:
            count.unread = str(error)

    def _of_file(self, key: str, etag: str) -> bytes:
        if self.md5:
            return bytes.fromhex(md5_of(etag)) or _UNHEARD_OF
        stored = self.ledger.get(key).stored
        known = stored.fingerprint if stored and stored.etag == etag else UNKNOWN
        return known or _UNHEARD_OF

    def of_object(self, content: Content) -> bytes:
        """The digest that the file of this content has, see comparison.py."""
        if self.md5:
            return md5(emit(content), usedforsecurity=False).digest()
        return content.fingerprint
