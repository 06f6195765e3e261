"""A cluster of a thousand CRDs: start-up, memory and connections.

Exists because each kind is a watch, and clusters with Crossplane have that many. Promises: a
simulated cluster of its own, with as many objects as the run's, at most 5,000.
"""

import psutil

from bench.measure import clusters, runs
from bench.measure.buckets import SINK
from bench.measure.place import Place

_OBJECTS = 5000


def measure(place: Place) -> None:
    objects = min(_OBJECTS, place.measured.objects)
    target = place.buckets.new(place.plan.bucket or SINK)
    folder = place.new_folder()
    with (
        clusters.simulated(folder, objects, crds=place.plan.crds) as cluster,
        runs.live(folder / "run", cluster.kubeconfig, target) as subject,
    ):
        ready = subject.looks[0]
        [process] = subject.watcher.processes
        port = int(cluster.url.rpartition(":")[2])
        connections = sum(
            bool(it.raddr) and it.raddr.port == port
            for it in psutil.Process(process.pid).net_connections()
        )
        kinds = subject.watcher.metric("watcher_informers")
        place.note(
            **{
                "many-kinds.kinds": kinds,
                "many-kinds.wall_s": ready.at - subject.began,
                "many-kinds.cpu_s": ready.cpu,
                "many-kinds.peak_mb": process.usage().peak_rss / 1e6,
                "many-kinds.connections": connections,
                "many-kinds.connections_per_kind": connections / kinds,
            }
        )
