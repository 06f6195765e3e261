"""Status noise and nothing else: what a change costs that is no change.

Promises: 500 a second of Pods and Deployments that report their state once more; the cost is what
is more than in the quiet seconds before, events are those that `watcher` dropped as unchanged.
"""

import time

from bench.measure.buckets import SINK
from bench.measure.place import Place
from bench.measure.runs import memory_series

_RATE = 500.0  # a second
_QUIET = 5.0  # seconds


def measure(place: Place) -> None:
    with place.live(SINK) as subject:
        quiet = subject.look()
        time.sleep(_QUIET)
        begin, server = subject.look(), place.cluster.cpu
        place.cluster.ask(churn=_RATE)
        time.sleep(place.plan.seconds)
        place.cluster.ask(churn=0)
        end, server = subject.look(), place.cluster.cpu - server
        looks = subject.since(begin)
    dropped = 'reason="unchanged"'
    events = end.sum("watcher_changes_dropped_total", dropped) - begin.sum(
        "watcher_changes_dropped_total", dropped
    )
    idle = (begin.cpu - quiet.cpu) / (begin.at - quiet.at)
    spent = end.cpu - begin.cpu - idle * (end.at - begin.at)
    place.note(
        **{
            "churn.events_per_second": events / (end.at - begin.at),
            "churn.cpu_us": 1e6 * spent / events,
            "churn.cpu_percent": 100 * (end.cpu - begin.cpu) / (end.at - begin.at),
            "churn.idle_cpu_percent": 100 * idle,
            "churn.steady_mb": end.rss / 1e6,
            "churn.memory_growth_mb": (end.rss - begin.rss) / 1e6,
            "churn.cluster_cpu_us": 1e6 * server / events,
            "churn.puts_per_1000_events": 1000
            * (end.requests("PUT") - begin.requests("PUT"))
            / events,
        }
    )
    place.measured.series["memory under churn (MB)"] = memory_series(looks)
