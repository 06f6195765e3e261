"""All clusters of a bucket at one look: what each says, what is wrong with it, the worst first.

Exists so that a command and a service see the same. Promises: so many clusters are looked at
together and no more; a fault of one is a finding of that one and keeps nobody from seeing the
others; only a bucket that shows nothing of any cluster is an error; a folder that was emptied is no
cluster.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from watcher.bucket import fleet
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.held import Book
from watcher.bucket.layout import Layout
from watcher.bucket.reports import Report
from watcher.bucket.store import Store
from watcher.errors import BucketError
from watcher.fleet.judgement import Severity, Trouble, is_retired, judge
from watcher.fleet.look import Seen, look, unreadable


@dataclass(frozen=True, slots=True)
class Cluster:
    seen: Seen
    troubles: tuple[Trouble, ...]  # the worst first
    retired: bool

    @property
    def name(self) -> str:
        """`domain/name`"""
        return self.seen.layout.name

    @property
    def ok(self) -> bool:
        return not self.troubles

    @property
    def heartbeat(self) -> Heartbeat | None:
        """None also where it cannot be read: then a trouble says so. So it is with the others."""
        return self.seen.heartbeat if isinstance(self.seen.heartbeat, Heartbeat) else None

    @property
    def report(self) -> Report | None:
        return self.seen.report if isinstance(self.seen.report, Report) else None

    @property
    def held(self) -> int | None:
        """None: not known."""
        if self.seen.held is None:
            return 0
        return len(self.seen.held.held) if isinstance(self.seen.held, Book) else None


@dataclass(frozen=True, slots=True)
class Fleet:
    """at: when the look was over."""

    bucket: str
    at: datetime
    clusters: tuple[Cluster, ...] = ()  # the worst first, the retired last

    @property
    def wrong(self) -> tuple[Cluster, ...]:
        return tuple(it for it in self.clusters if not it.ok)


async def look_at_all(
    store: Store,
    clock: Callable[[], datetime],
    *,
    at_once: int,
    patterns: Sequence[str] = (),
) -> Fleet:
    """at_once: clusters that are being looked at. patterns: of `domain/name`, `*` matches any text;
    (): all of them. Raises BucketError where nothing can be seen."""
    layouts = await fleet.matching(store, patterns)
    turns = asyncio.Semaphore(at_once)
    faults: list[BucketError] = []

    async def see(layout: Layout) -> Seen | None:
        async with turns:
            try:
                seen = await look(store, layout)
                there = seen.says_anything or await fleet.not_emptied(store, [layout])
                return seen if there else None
            except BucketError as error:
                faults.append(error)
                return unreadable(layout, str(error))

    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(see(layout)) for layout in layouts]
    if layouts and len(faults) == len(layouts):
        raise faults[0]
    now = clock()
    found = (it.result() for it in looks)
    return Fleet(store.name, now, in_order(judged(seen, now) for seen in found if seen))


def judged(seen: Seen, now: datetime) -> Cluster:
    return Cluster(seen, judge(seen, now), is_retired(seen, now))


def in_order(clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
    """The worst first, then by name; the retired last."""

    def rank(it: Cluster) -> tuple[bool, bool, Severity, int, str]:
        worst = it.troubles[0].severity if it.troubles else Severity.WARNING
        return it.retired, it.ok, worst, -len(it.troubles), it.name

    return tuple(sorted(clusters, key=rank))
