"""One run of the benchmark: sizes, scenarios, yardsticks, in an order in which all see the same.

Exists so that each scenario need not know what went before. Promises: what only reads comes before
what changes the cluster, deletions last; what only reads is measured in rounds, all of it in each,
because a machine is slower for minutes and what is divided by each other should be so together; a
scenario that fails is named and the others go on; no process and no file of ours is left.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import machine, sample
from bench.measure.buckets import Buckets
from bench.measure.clusters import Cluster
from bench.measure.figures import Measured, Results, with_ratios
from bench.measure.place import Place, Plan
from bench.measure.scenarios import (
    burst,
    changes,
    churn,
    delete,
    first_sync,
    many_kinds,
    reconcile,
    recovery,
    restart,
    soak,
    yardsticks,
)
from watcher.cluster import client
from watcher.cluster.connection import connect

ClusterOf = Callable[[Path, int], AbstractContextManager[Cluster]]  # in this folder, of this size

_READING: dict[str, Callable[[Place], None]] = {
    "first-sync": first_sync.measure,
    "restart": restart.measure,
    "yardsticks": yardsticks.measure,
}
_CHANGING: dict[str, Callable[[Place], None]] = {
    "churn": churn.measure,
    "changes": changes.measure,
    "burst": burst.measure,
    "reconcile": reconcile.measure,
    "recovery": recovery.measure,
    "soak": soak.measure,
    "many-kinds": many_kinds.measure,
    "delete": delete.measure,
}
SCENARIOS = (*_READING, *_CHANGING)
USUAL = tuple(name for name in SCENARIOS if name != "soak")  # an hour is not usual
SHORT = ("first-sync", "restart", "yardsticks", "churn", "changes", "burst", "many-kinds")
GROWING = ("first-sync", "restart")  # at further sizes
_READ_ONLY = (*_READING, "reconcile")  # on a cluster that is somebody's


def run(
    sizes: Sequence[int],
    scenarios: Sequence[str],
    plan: Plan,
    *,
    cluster_of: ClusterOf,
    say: Callable[[str], None],
) -> Results:
    """cluster_of: opens the cluster of a size. All scenarios at the first size, at further ones
    those of them that are about growth."""
    results = Results()
    for number, objects in enumerate(sizes):
        with (
            TemporaryDirectory(prefix="watcher-bench-", ignore_cleanup_errors=True) as scratch,
            cluster_of(Path(scratch), objects) as cluster,
        ):
            if not number:
                version = asyncio.run(_server_version(cluster.kubeconfig))
                of = "simulated" if cluster.simulated else "real"
                results.machine = machine.describe(f"{version} ({of})")
            if not cluster.simulated:
                objects = asyncio.run(sample.count(cluster.kubeconfig))
            measured = Measured(objects)
            results.sizes.append(measured)
            folder = Path(scratch, "buckets")
            folder.mkdir()
            buckets = Buckets(folder)
            place = Place(Path(scratch), cluster, buckets, plan, measured)
            try:
                wanted = _only(scenarios, GROWING) if number else scenarios
                for name in plan.rounds * _only(wanted, tuple(_READING)):
                    _one(place, name, results, say)
                for name in _only(wanted, tuple(_CHANGING)):
                    _one(place, name, results, say)
                if buckets.has_minio:
                    results.machine["minio"] = machine.minio()
            finally:
                buckets.close()
            measured.figures = with_ratios(measured.figures)
    return results


def possible(scenarios: Sequence[str], *, real: bool) -> list[str]:
    """In their order, those that can be done: nothing is ever written to a real cluster."""
    return _only(SCENARIOS, _only(scenarios, _READ_ONLY) if real else scenarios)


def _one(place: Place, name: str, results: Results, say: Callable[[str], None]) -> None:
    say(f"{name}, {place.measured.objects:,} objects")
    try:
        {**_READING, **_CHANGING}[name](place)
    except Exception as error:  # whatever it is, the others are to be measured
        why = " ".join(str(error).split())
        results.failed.append(f"{name} at {place.measured.objects:,} objects: {why}")
        say(f"{name} failed: {error}")


async def _server_version(kubeconfig: Path) -> str:
    async with connect(str(kubeconfig), "") as api:
        return await client.server_version(api)


def _only(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    return [name for name in names if name in wanted]
