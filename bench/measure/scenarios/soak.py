"""An hour of noise and changes: memory must not grow.

Promises: 100 status changes and 5 that count a second, and the first nightly reconcile ten minutes
after the start, so the bucket is one that keeps what it is given; memory at the end against that
after five minutes (or a tenth of the time, where it is shorter), each the middle of some looks.
"""

import time
from statistics import median

from bench.measure.buckets import MINIO
from bench.measure.place import Place
from bench.measure.runs import lag_figures, memory_series

_WARM = 300.0  # seconds
_LOOKS = 15


def measure(place: Place) -> None:
    lasts = place.plan.soak
    with place.live(MINIO) as subject:
        begin = subject.look()
        place.cluster.ask(churn=100, changes=5)
        time.sleep(lasts)
        place.cluster.ask(churn=0, changes=0)
        end = subject.look()
        looks = subject.since(begin)
    warm = [look for look in looks if look.at >= begin.at + min(_WARM, lasts / 10)]
    place.note(
        **lag_figures("soak", begin, end),
        **{
            "soak.wall_s": end.at - begin.at,
            "soak.begin_mb": median(look.rss for look in warm[:_LOOKS]) / 1e6,
            "soak.end_mb": median(look.rss for look in warm[-_LOOKS:]) / 1e6,
            "soak.cpu_percent": 100 * (end.cpu - begin.cpu) / (end.at - begin.at),
        },
    )
    place.measured.series["memory in the soak (MB)"] = memory_series(looks)
