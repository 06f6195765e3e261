"""The service's looks: what metrics tell after each, and what a fault of the bucket does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO

import pytest

from tests.memory_store import Fault, MemoryStore
from tests.unit.fleet.samples import EAST, HOUR, MINUTE, NOW, Bucket, seen
from watcher.fleet.clusters import judged
from watcher.fleet.look import Unread
from watcher.fleet.lookout import Lookout, figures
from watcher.logs import open_log
from watcher.metrics import ClusterFigures, FleetMetrics

pytestmark = pytest.mark.looptime


class Watched:
    def __init__(self) -> None:
        self.bucket = Bucket(MemoryStore())
        self.metrics = FleetMetrics("test")
        self.said = StringIO()
        log = open_log(self.said, "logfmt", "info", self.bucket.clock)
        self.lookout = Lookout(self.bucket.store, self.metrics, log, self.bucket.clock, 16)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.lookout.run())
        try:
            await asyncio.sleep(1)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def told(self, metric: str) -> dict[str, float]:
        """Labels -> value."""
        lines = self.metrics.render()[0].decode().splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith(f"watcher_{metric}"))
        return {name.removeprefix(f"watcher_{metric}"): float(value) for name, value in found}

    def looks(self) -> int:
        return self.bucket.store.requests["LIST", ""]


async def test_each_look_is_told_by_metrics_and_kept_for_the_page() -> None:
    watched = Watched()
    assert watched.lookout.fleet is None
    east = watched.bucket.add("example.com/east")
    async with watched.running():
        assert watched.told("fleet_clusters") == {"": 1}
        assert watched.told("fleet_last_look_timestamp_seconds") == {"": NOW.timestamp()}
        assert list(watched.told("cluster_findings").values()) == [0]
        watched.bucket.beat(east, HOUR)
        await asyncio.sleep(60)
        assert list(watched.told("cluster_findings").values()) == [1]
        assert watched.lookout.fleet
        assert [it.name for it in watched.lookout.fleet.wrong] == ["example.com/east"]


async def test_a_bucket_that_is_away_ends_nothing_and_is_told_once() -> None:
    watched = Watched()
    watched.bucket.add("example.com/east")
    async with watched.running():
        watched.bucket.store.fail_all(Fault.UNREACHABLE)
        watched.bucket.now += 5 * MINUTE
        await asyncio.sleep(300)
        assert watched.told("fleet_last_look_timestamp_seconds") == {"": NOW.timestamp()}
        assert watched.told("fleet_clusters") == {"": 1}
        assert watched.said.getvalue().count("looking at the clusters fails") == 1
        watched.bucket.store.recover()
        await asyncio.sleep(60)
        now = watched.bucket.now.timestamp()
        assert watched.told("fleet_last_look_timestamp_seconds") == {"": now}
        assert watched.said.getvalue().count("looking at the clusters works again") == 1


async def test_many_clusters_are_looked_at_more_rarely() -> None:
    few, many = Watched(), Watched()
    few.bucket.add("example.com/east")
    for number in range(400):
        many.bucket.add(f"example.com/c{number}")
    async with few.running(), many.running():
        await asyncio.sleep(600)
    assert (few.looks(), many.looks()) == (11, 6)


# One cluster as metrics


def test_a_cluster_that_is_well_has_figures_for_everything() -> None:
    assert figures(judged(seen(), NOW)) == ClusterFigures(
        domain="example.com",
        cluster="east",
        heartbeat=(NOW - MINUTE).timestamp(),
        healthy=True,
        released=False,
        objects=11404,
        last_change=(NOW - 2 * MINUTE).timestamp(),
        claimed=(NOW - 90 * 24 * HOUR).timestamp(),
        reconciled=(NOW - 10 * HOUR).timestamp(),
        drift=0,
        held=0,
        findings=0,
        retired=False,
    )


def test_never_is_0_and_what_cannot_be_read_is_unknown() -> None:
    never = figures(judged(seen(heartbeat=None, report=None), NOW))
    assert (never.heartbeat, never.reconciled) == (0, 0)
    assert (never.healthy, never.objects, never.drift) == (None, None, None)
    nothing = Unread("no answer")
    hidden = figures(
        judged(seen(EAST, owner=nothing, heartbeat=nothing, report=nothing, held=nothing), NOW)
    )
    assert (hidden.heartbeat, hidden.reconciled, hidden.claimed, hidden.held) == (None,) * 4
    assert hidden.findings == 1
