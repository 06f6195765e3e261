"""Looks at all clusters of the bucket again and again, for metrics and the page.

Exists so that a cluster that fell silent is told by a process that did not fall with it. Promises:
a fault of the bucket ends nothing and is told once, while what was seen last stays (its time tells
how old it is); a thousand clusters are looked at more rarely than ten, so that looking costs a few
requests a second at most.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from watcher.bucket.store import Store
from watcher.errors import BucketError
from watcher.fleet.clusters import Cluster, Fleet, look_at_all
from watcher.fleet.judgement import claimed_at
from watcher.logs import Log, Outage
from watcher.metrics import ClusterFigures, FleetMetrics

_PAUSE = 60.0  # seconds between two looks,
_PAUSE_EACH = 0.3  # and for each cluster, if that is more: 300 at a thousand clusters


@dataclass(slots=True)
class Lookout:
    """`run()` never returns by itself; cancel it. fleet: the last look; None: none yet."""

    store: Store
    metrics: FleetMetrics
    log: Log
    clock: Callable[[], datetime]
    at_once: int
    fleet: Fleet | None = field(default=None, init=False)

    async def run(self) -> None:
        outage = Outage(self.log, "looking at the clusters", asyncio.get_running_loop().time)
        while True:
            try:
                fleet = await look_at_all(self.store, self.clock, at_once=self.at_once)
            except BucketError as error:
                outage.began(str(error))
            else:
                outage.ended()
                self.fleet = fleet
                self.metrics.show_clusters(list(map(figures, fleet.clusters)), _unix(fleet.at))
            seen = self.fleet.clusters if self.fleet else ()
            await asyncio.sleep(max(_PAUSE, _PAUSE_EACH * len(seen)))


def figures(cluster: Cluster) -> ClusterFigures:
    """One cluster as metrics."""
    seen, last, report = cluster.seen, cluster.heartbeat, cluster.report
    claimed = claimed_at(seen)
    return ClusterFigures(
        domain=seen.layout.domain,
        cluster=seen.layout.cluster,
        heartbeat=_unix(last.at) if last else _never(seen.heartbeat),
        healthy=last.healthy if last else None,
        released=last.released if last else None,
        objects=last.objects if last else None,
        last_change=_unix(last.last_change) if last else None,
        claimed=_unix(claimed) if claimed else None,
        reconciled=_unix(report.finished_at) if report else _never(seen.report),
        drift=report.drift if report else None,
        held=cluster.held,
        findings=len(cluster.troubles),
        retired=cluster.retired,
    )


def _unix(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _never(part: object) -> float | None:
    """0 where there is none; None where there is one that nobody can read."""
    return 0.0 if part is None else None
