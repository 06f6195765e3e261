"""Changes that count, 100 a second: how late they are in the bucket, and what they cost.

Promises: one object after the other, so that no change waits because its object changed again; lag
is `watcher`'s own histogram (event received -> stored) of these changes alone.
"""

import time

from bench.measure.buckets import MINIO
from bench.measure.place import Place
from bench.measure.runs import lag_figures, lag_series

_RATE = 100.0  # a second
_LONGEST = 120.0  # seconds until the last one is stored


def measure(place: Place) -> None:
    with place.live(MINIO) as subject:
        begin = subject.look()
        place.cluster.ask(turns=_RATE)
        time.sleep(place.plan.seconds)
        place.cluster.ask(turns=0)
        loaded = subject.look()
        end = subject.settle(_LONGEST)
        looks = subject.since(begin)
    figures = lag_figures("changes", begin, end)
    stored = figures["changes.changes"]
    place.note(
        **figures,
        **{
            "changes.per_second": stored / (loaded.at - begin.at),
            "changes.cpu_ms": 1000 * (end.cpu - begin.cpu) / stored,
            "changes.puts_per_change": (end.requests("PUT") - begin.requests("PUT")) / stored,
            "changes.steady_mb": end.rss / 1e6,
        },
    )
    place.measured.series["lag p50 (s)"] = lag_series(looks, 0.5)
    place.measured.series["lag p99 (s)"] = lag_series(looks, 0.99)
