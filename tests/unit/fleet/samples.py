"""Clusters as they tell of themselves: one that is well, and one for each way not to be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.memory_store import MemoryStore
from watcher.bucket import heartbeat, held, reports, retired
from watcher.bucket.heartbeat import Ailing, Heartbeat
from watcher.bucket.held import Book, Hold
from watcher.bucket.layout import Layout
from watcher.bucket.metadata import Writer
from watcher.bucket.owner import Owner
from watcher.bucket.reports import ReadBack, Report, Root, Tally
from watcher.bucket.retired import Retired
from watcher.fleet.look import Seen
from watcher.status import Promise

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CLAIMED = NOW - 90 * DAY
EAST = Layout("example.com", "east")
ROOT = Root("a" * 64, "a" * 64, 11404)


def beat(ago: timedelta = MINUTE, *, now: datetime = NOW, **given: Any) -> Heartbeat:
    plain = Heartbeat(
        now - ago,
        Writer("watcher-0", 7),
        last_healthy=now - ago,
        objects=11404,
        last_change=now - ago - MINUTE,
        last_reconcile=now - 10 * HOUR,
        watcher_version="0.1.0",
        kubernetes_version="v1.36.3",
    )
    return replace(plain, **given)


def report(ago: timedelta = 10 * HOUR, *, now: datetime = NOW, **given: Any) -> Report:
    plain = Report(
        started_at=now - ago - MINUTE,
        finished_at=now - ago,
        trigger="schedule",
        writer="watcher-0/7",
        resources={"pods": Tally(9000, 9000), "secrets": Tally(2404, 2404)},
        size=28_000_000,
        read_back=ReadBack("7/30", 381),
        hash_root=ROOT,
    )
    return replace(plain, **given)


def owned(layout: Layout = EAST, claimed: datetime = CLAIMED) -> Owner:
    return Owner("uid", layout.domain, layout.cluster, claimed.isoformat(), 7, "", '"e"', True)


def holding(*keys: str, since: datetime = NOW - HOUR) -> Book:
    return Book({key: Hold(held.MANY, since) for key in keys})


def ill(promise: str = Promise.WATCHED, kind: str = "pods", ago: timedelta = HOUR) -> Heartbeat:
    """A living writer that says so of this promise, and has not been well since."""
    return beat(failing=(Ailing(promise, kind, NOW - ago),), last_healthy=NOW - ago)


def seen(layout: Layout = EAST, **given: Any) -> Seen:
    """A cluster that is well, apart from what is given."""
    well = Seen(layout=layout, owner=owned(layout), heartbeat=beat(), report=report())
    return replace(well, **given)


class Bucket:
    """Clusters in a bucket in memory. `add` writes those that are well; then make them ill."""

    def __init__(self, store: MemoryStore, now: datetime = NOW) -> None:
        self.store = store
        self.now = now

    def add(self, cluster: str) -> Layout:
        """`domain/name`."""
        layout = Layout(*cluster.split("/"))
        claimed = (self.now - 90 * DAY).isoformat()
        fields = f'"domain": "{layout.domain}", "name": "{layout.cluster}", "epoch": 7'
        owner = f'{{"format": 1, "cluster_uid": "uid", {fields}, "claimed_at": "{claimed}"}}'
        self.write(layout, "owner.json", owner.encode())
        self.beat(layout)
        self.report(layout)
        return layout

    def write(self, layout: Layout, name: str, body: bytes) -> None:
        self.store.written_by_a_stranger(layout.prefix + layout.meta(name), body)

    def remove(self, layout: Layout, folder: str) -> None:
        """All below `_meta/` that begins so."""
        for key in self.store.objects():
            if key.startswith(layout.prefix + layout.meta(folder)):
                self.store.removed_by_a_stranger(key)

    def beat(self, layout: Layout, ago: timedelta = MINUTE, **given: Any) -> None:
        """As the only sign of life."""
        self.remove(layout, heartbeat.FOLDER)
        last = beat(ago, now=self.now, **given)
        self.write(layout, f"{heartbeat.FOLDER}{last.at:%Y-%m-%d}.json", last.encode())

    def report(self, layout: Layout, ago: timedelta = 10 * HOUR, **given: Any) -> None:
        """As the only one."""
        self.remove(layout, reports.FOLDER)
        last = report(ago, now=self.now, **given)
        self.write(layout, reports.name_of(last), last.encode())

    def hold(self, layout: Layout, *keys: str) -> None:
        book = holding(*keys, since=self.now - HOUR)
        self.write(layout, held.HELD, held.write_book(book, self.now))

    def retire(self, layout: Layout, ago: timedelta = DAY) -> None:
        self.write(layout, retired.FILE, Retired(self.now - ago, "moved to west").encode())

    def clock(self) -> datetime:
        return self.now


SEVEN: dict[str, Callable[[Bucket, Layout], None]] = {
    "silent": lambda bucket, it: bucket.beat(it, 3 * HOUR),
    "ailing": lambda bucket, it: bucket.beat(
        it,
        failing=(Ailing(Promise.CAPTURED, "", bucket.now - HOUR),),
        last_healthy=bucket.now - HOUR,
    ),
    "overdue": lambda bucket, it: bucket.report(it, 30 * HOUR),
    "drifted": lambda bucket, it: bucket.report(it, missing=("a", "b"), repaired=2),
    "held": lambda bucket, it: bucket.hold(it, "shop/configmap/a.yaml"),
    "differing": lambda bucket, it: bucket.report(it, read_back=ReadBack("7/30", 381, ("a",))),
    "newer": lambda bucket, it: bucket.write(it, "owner.json", b'{"format": 2}'),
}
"""What was done to each of seven clusters, by what shall be found."""
