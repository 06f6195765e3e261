"""Thousands of objects change in one moment: how long until all of it is stored.

Promises: each object changes once, so each is one PUT; time counts from before the burst is asked
for, the debounce included.
"""

import time

from bench.measure.buckets import MINIO
from bench.measure.place import Place
from bench.measure.runs import lag_figures

_LONGEST = 600.0  # seconds
_ARRIVING = 2.0  # seconds at least until nothing pending means that all is stored


def measure(place: Place) -> None:
    count = min(place.plan.burst, place.measured.objects // 2)
    with place.live(MINIO) as subject:
        begin = subject.look()
        place.cluster.ask(burst=count)
        asked = time.monotonic()
        time.sleep(_ARRIVING)
        end = subject.settle(_LONGEST)
        peak = max(look.rss for look in subject.since(begin))
    figures = lag_figures("burst", begin, end)
    place.note(
        **figures,
        **{
            "burst.wall_s": end.at - begin.at,
            "burst.cluster_s": asked - begin.at,
            "burst.lost": count - figures.get("burst.changes", 0.0),
            "burst.cpu_ms": 1000 * (end.cpu - begin.cpu) / count,
            "burst.puts_per_change": (end.requests("PUT") - begin.requests("PUT")) / count,
            "burst.peak_mb": peak / 1e6,
        },
    )
