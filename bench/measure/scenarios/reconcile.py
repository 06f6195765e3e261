"""A reconcile beside changes that go on: requests, seconds, CPU, memory, lag.

Exists because the nightly proof must not be felt. Promises: asked for as people do (`watcher
reconcile`, while a `watcher run` lives); what it costs is what is more than in the time before it.
"""

import json
import time
from datetime import datetime

from bench.measure import histogram, runs
from bench.measure.buckets import MINIO, SINK
from bench.measure.place import Place
from bench.measure.runs import Look
from tests.e2e.watcher_process import running

_RATE = 10.0  # changes a second


def measure(place: Place) -> None:
    word = place.plan.bucket or MINIO
    if word == SINK:
        return  # it has forgotten all
    kubeconfig = place.cluster.kubeconfig
    with place.live(word) as subject:
        target = subject.target
        begin = subject.look()
        if place.cluster.simulated:
            place.cluster.ask(changes=_RATE)
        time.sleep(min(place.plan.seconds, 20.0))
        monotonic, unix = time.monotonic(), time.time()
        asked = ("reconcile", "--output", "json")
        with running(
            place.new_folder(), kubeconfig, target.bucket, *asked, settings=target.settings
        ) as by_hand:
            code = by_hand.wait(runs.LONGEST)
            told = by_hand.log
        if place.cluster.simulated:
            place.cluster.ask(changes=0)
        subject.look()
        looks = subject.since(begin)
    if code:
        raise RuntimeError(f"watcher reconcile ended with {code}:\n{told[-2000:]}")
    report = json.loads(told[told.index("{") :])
    started, finished = (
        datetime.fromisoformat(report[name]).timestamp() - unix + monotonic
        for name in ("started_at", "finished_at")
    )
    before = [look for look in looks if look.at < started]
    during = [look for look in looks if look.at >= started]
    last = next((look for look in during if look.at >= finished), looks[-1])
    place.note(
        **{
            "reconcile.wall_s": report["seconds"],
            "reconcile.objects": report["hash_root"]["objects"] + len(report["moving"]),
            "reconcile.drift": sum(map(len, report["drift"].values())),
            "reconcile.requests": sum(report["requests"].values()),
            "reconcile.cpu_s": _beyond(before, last),
            "reconcile.memory_growth_mb": (
                max(it.rss for it in during) - max(it.rss for it in before)
            )
            / 1e6,
            **_lag("reconcile.lag_p99_before_s", before[0], before[-1]),
            **_lag("reconcile.lag_p99_during_s", before[-1], looks[-1]),
        }
    )


def _beyond(before: list[Look], last: Look) -> float:
    """Seconds of CPU more than capture alone would have taken."""
    usual = (before[-1].cpu - before[0].cpu) / (before[-1].at - before[0].at)
    return last.cpu - before[-1].cpu - usual * (last.at - before[-1].at)


def _lag(name: str, begin: Look, end: Look) -> dict[str, float]:
    value = histogram.quantile(histogram.between(begin.lag, end.lag), 0.99)
    return {} if value is None else {name: value}
