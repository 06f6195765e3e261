"""The bucket is away for two minutes while changes go on: what comes after it is back.

Promises: a real MinIO that really ends and starts again; recovered is when nothing waits any more.
"""

import time

from bench.measure.buckets import MINIO
from bench.measure.place import Place
from bench.measure.runs import lag_figures

_RATE = 20.0  # changes a second
_LONGEST = 600.0  # seconds


def measure(place: Place) -> None:
    if place.plan.bucket not in ("", MINIO):
        return  # only that one can be away
    minio = place.buckets.minio
    with place.live(MINIO) as subject:
        begin = subject.look()
        place.cluster.ask(changes=_RATE)
        minio.stop()
        try:
            time.sleep(place.plan.outage)
        finally:
            place.cluster.ask(changes=0)
            minio.start()
        back = subject.look()
        end = subject.settle(_LONGEST)
        peak = max(look.rss for look in subject.since(begin))
    figures = lag_figures("recovery", begin, end)
    waited = back.sum("watcher_pending_objects")
    place.note(
        **figures,
        **{
            "recovery.wall_s": end.at - back.at,
            "recovery.waiting": waited,
            "recovery.memory_growth_mb": (peak - begin.rss) / 1e6,
        },
    )
