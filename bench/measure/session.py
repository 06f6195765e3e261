"""One run of the benchmark: sizes, scenarios, yardsticks, in an order in which all see the same.

Exists so that each scenario need not know what went before. Promises: what only reads comes before
what changes the cluster, deletions last; a scenario that fails is named and the others go on; no
process and no file of ours is left.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import machine, sample, stages
from bench.measure.buckets import DIRECTORY, SINK, Buckets
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
)
from bench.measure.yardsticks import (
    katafygio,
    kubectl,
    obvious_way,
    raw_puts,
    signed_puts,
    status_event,
)
from watcher.cluster import client
from watcher.cluster.connection import connect

ClusterOf = Callable[[Path, int], AbstractContextManager[Cluster]]  # in this folder, of this size

_SAMPLE = 3000  # objects

_READING: Mapping[str, Callable[[Place], None]] = {
    "first-sync": first_sync.measure,
    "restart": restart.measure,
}
_YARDSTICKS = "yardsticks"
_CHANGING: Mapping[str, Callable[[Place], None]] = {
    "churn": churn.measure,
    "changes": changes.measure,
    "burst": burst.measure,
    "reconcile": reconcile.measure,
    "recovery": recovery.measure,
    "soak": soak.measure,
    "many-kinds": many_kinds.measure,
    "delete": delete.measure,
}
SCENARIOS = (*_READING, _YARDSTICKS, *_CHANGING)
USUAL = tuple(name for name in SCENARIOS if name != "soak")  # an hour is not usual
SHORT = ("first-sync", "restart", _YARDSTICKS, "churn", "changes", "burst", "many-kinds")
GROWING = ("first-sync", "restart")  # at further sizes
_READ_ONLY = (*_READING, _YARDSTICKS, "reconcile")  # on a cluster that is somebody's


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
                for name in scenarios if not number else _only(scenarios, GROWING):
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
    scenario = {**_READING, **_CHANGING, _YARDSTICKS: yardsticks}[name]
    try:
        scenario(place)
    except Exception as error:  # whatever it is, the others are to be measured
        why = " ".join(str(error).split())
        results.failed.append(f"{name} at {place.measured.objects:,} objects: {why}")
        say(f"{name} failed: {error}")


def yardsticks(place: Place) -> None:
    """What stands beside the first sync and the restart; raw PUTs do so in that scenario."""
    kubeconfig, buckets = place.cluster.kubeconfig, place.buckets
    taken = asyncio.run(sample.take(kubeconfig, wanted=_SAMPLE))
    place.note(
        **{
            "paged-gets.wall_s": taken.seconds,
            "paged-gets.cpu_ms": 1000 * taken.cpu / taken.objects,
            "paged-gets.objects": taken.objects,
            "paged-gets.read_mb": taken.size / 1e6,
        }
    )
    folder = place.bucket_after_first_sync(DIRECTORY).folder
    assert folder is not None
    files = raw_puts.stored(folder)
    sink = buckets.new(SINK).bucket
    assert sink is not None
    items = taken.items
    place.note(**status_event.measure(place.new_folder(), items), **stages.measure(taken))
    for _ in range(place.plan.rounds):
        place.note_best("signed-puts.cpu_us", signed_puts.measure(sink, files))
        place.note_best("obvious-way.cpu_ms", obvious_way.measure(sink, items))
    place.note(**stages.rest(place.measured.figures))
    if place.plan.katafygio:
        place.note(**katafygio.measure(place.plan.katafygio, place.new_folder(), kubeconfig))
    # Last, for it may fail: it prints nothing at all where one object holds a control character.
    for _ in range(place.plan.rounds):
        told = kubectl.measure(place.new_folder(), kubeconfig, taken.kinds)
        place.note_best("kubectl.cpu_ms", told)


async def _server_version(kubeconfig: Path) -> str:
    async with connect(str(kubeconfig), "") as api:
        return await client.server_version(api)


def _only(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    return [name for name in names if name in wanted]
