"""The same cluster, the same bucket, nothing changed: what a start asks of the bucket.

Exists because each deployment of a new version is one. Promises: each request is counted at a proxy
in front of the bucket, which costs time of its own: so the wall time is that of a start without it.
"""

from dataclasses import replace
from math import ceil
from urllib.parse import parse_qs, urlsplit

from bench.measure import runs
from bench.measure.buckets import MINIO, SINK, Target
from bench.measure.figures import Figures
from bench.measure.place import Place
from bench.measure.yardsticks import raw_lists
from tests.e2e.proxy import Proxy, Seen
from tests.e2e.watcher_process import PREFIX
from watcher.bucket.checkpoint import FILE as CHECKPOINT

_PAGE = 1000  # keys a LIST


def measure(place: Place) -> None:
    word = place.plan.bucket or MINIO
    if word == SINK:
        return  # it has forgotten all
    target = place.bucket_after_first_sync(word)
    kubeconfig = place.cluster.kubeconfig
    run = runs.once(place.new_folder(), kubeconfig, target)
    objects = max(run.unchanged, 1)
    place.note_best(
        "restart.wall_s",
        {
            "restart.wall_s": run.seconds,
            "restart.cpu_ms": 1000 * run.cpu / objects,
            "restart.peak_mb": run.peak_rss / 1e6,
            "restart.written": run.written,
        },
    )
    _start(place, target)
    if target.bucket is None:
        return
    place.note_best("raw-lists.wall_s", raw_lists.measure(target.bucket))
    proxy = Proxy(target.bucket.endpoint)
    try:
        through = target.bucket.at(proxy.url)
        runs.once(place.new_folder(), kubeconfig, target, through=through)
        place.note(**counted(proxy.requests, objects))
    finally:
        proxy.close()


def _start(place: Place, target: Target) -> None:
    """One that has all but nothing to do: the least that another one can take."""
    settings = {**target.settings, "cluster_name": "idle", "include_kinds": "namespaces"}
    idle = replace(target, settings=settings)
    for _ in range(2):  # the first one still writes
        run = runs.once(place.new_folder(), place.cluster.kubeconfig, idle)
        place.note_best("start.wall_s", {"start.wall_s": run.seconds})


def counted(requests: list[Seen], objects: int) -> Figures:
    """Requests of a start by what they are for. A LIST of objects is one of the whole prefix, or of
    what lies behind `_meta/`."""
    lists = [parse_qs(urlsplit(it.path).query) for it in requests if "list-type=" in it.path]
    of_objects = [
        query
        for query in lists
        if query.get("prefix") == [PREFIX] and query.get("max-keys") != ["1"]
    ]
    files = [it for it in requests if "list-type=" not in it.path]
    plain = [it for it in files if f"{PREFIX}_meta/" not in it.path]
    checkpoint = [it for it in files if it.method == "GET" and CHECKPOINT in it.path]
    return {
        "restart.requests": len(requests),
        "restart.puts_of_objects": sum(it.method == "PUT" for it in plain),
        "restart.gets_of_objects": sum(it.method in ("GET", "HEAD") for it in plain),
        "restart.gets_of_checkpoint": len(checkpoint),
        "restart.lists": len(of_objects),
        "restart.lists_beyond_pages": len(of_objects) - ceil(objects / _PAGE),
    }
