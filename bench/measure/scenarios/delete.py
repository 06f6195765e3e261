"""A tenth of the cluster is deleted in one moment: how long until its files are gone.

Promises: deletions that the cluster told, which are never held; done is when the bucket has as many
files less by `watcher`'s own ledger, whose every entry an answer vouched for.
"""

import time

from bench.measure.buckets import MINIO
from bench.measure.place import Place

_LONGEST = 600.0  # seconds
_BUCKET = 'side="bucket"'


def measure(place: Place) -> None:
    count = place.measured.objects // 10
    with place.live(MINIO) as subject:
        begin = subject.look()
        wanted = begin.sum("watcher_objects", _BUCKET) - count
        place.cluster.ask(delete=count)
        deadline = time.monotonic() + _LONGEST
        while (end := subject.look()).sum("watcher_objects", _BUCKET) > wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"files are still there after {_LONGEST} s")
            time.sleep(0.2)
        end = subject.settle(_LONGEST)
    place.note(
        **{
            "delete.wall_s": end.at - begin.at,
            "delete.per_second": count / (end.at - begin.at),
            "delete.cpu_ms": 1000 * (end.cpu - begin.cpu) / count,
            "delete.requests_per_object": sum(
                end.requests(it) - begin.requests(it) for it in ("DELETE", "COPY", "HEAD")
            )
            / count,
        }
    )
