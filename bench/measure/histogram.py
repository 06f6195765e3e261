"""What a Prometheus histogram tells of the time between two looks at it.

Exists because `watcher` says its lag and its event loop's as histograms, and a scenario wants them
of its own minutes. Promises: as Prometheus' `histogram_quantile`, straight lines within a bucket;
what lies beyond the last bound counts as that bound. Pure.
"""

from collections.abc import Mapping
from math import inf

Buckets = Mapping[float, float]  # upper bound -> observations up to that, the last bound infinite


def read(metrics: Mapping[str, float], name: str) -> dict[float, float]:
    """The buckets of a histogram without labels, from samples as Watcher.metrics names them."""
    begin = f'{name}_bucket{{le="'
    return {
        float(sample[len(begin) : -2]): value
        for sample, value in metrics.items()
        if sample.startswith(begin)
    }


def between(begin: Buckets, end: Buckets) -> dict[float, float]:
    """What was observed meanwhile."""
    return {bound: count - begin.get(bound, 0.0) for bound, count in sorted(end.items())}


def count(buckets: Buckets) -> float:
    return buckets.get(inf, 0.0)


def quantile(buckets: Buckets, share: float) -> float | None:
    """None: nothing was observed."""
    total = count(buckets)
    if not total:
        return None
    below, floor = 0.0, 0.0
    for bound, upto in sorted(buckets.items()):
        if upto >= share * total:
            if bound == inf:
                return floor
            return floor + (bound - floor) * (share * total - below) / (upto - below)
        below, floor = upto, bound
    return floor


def highest(buckets: Buckets) -> float | None:
    """The bound below which all of it lies; None: nothing was observed."""
    total = count(buckets)
    if not total:
        return None
    return next(bound for bound, upto in sorted(buckets.items()) if upto == total)
