"""What a reconcile costs beside a capture that goes on: requests, seconds, CPU, memory, lag.

Exists because the nightly proof must not be felt. Promises: a real `watcher run` on a real MinIO,
with changes at a steady rate before and during the reconcile, which is asked for as people do
(`watcher reconcile`); what it costs is what is more than in the same time before it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from tests.e2e.minio import Bucket, Minio
from tests.e2e.watcher_process import Watcher, running

_BEFORE = 60.0  # seconds of the time that it is compared with
_EVERY = 0.5  # seconds between two looks
_LONGEST = 1800.0  # seconds


@dataclass(frozen=True, slots=True)
class Figures:
    objects: int
    seconds: float
    requests: Mapping[str, int]  # to the bucket, of the reconcile alone
    drift: int
    cpu: float  # seconds, beyond what capture alone took
    extra_rss: int  # bytes, of the peak
    lag_before: float  # seconds, 99 of 100 changes
    lag_during: float


@dataclass(frozen=True, slots=True)
class _Look:
    at: float  # Unix time
    cpu: float
    rss: float
    lag: Mapping[float, float]  # upper bound in seconds -> changes up to that


def measure(kubeconfig: Path) -> Figures:
    """Raises RuntimeError if `watcher` fails."""
    with TemporaryDirectory(prefix="watcher-bench-", ignore_cleanup_errors=True) as scratch:
        server = Minio(Path(scratch, "minio"))
        try:
            return _measure(kubeconfig, server.new_bucket(), Path(scratch))
        finally:
            server.kill()


def _measure(kubeconfig: Path, bucket: Bucket, scratch: Path) -> Figures:
    with running(scratch / "run", kubeconfig, bucket) as watcher:
        watcher.wait_ready(_LONGEST)
        with _looking(watcher) as looks:
            time.sleep(_BEFORE)
            asked = ("reconcile", "--output", "json")
            with running(scratch / "by-hand", kubeconfig, bucket, *asked) as by_hand:
                code = by_hand.wait(_LONGEST)
                told = by_hand.log
            time.sleep(2 * _EVERY)
    if code:
        raise RuntimeError(f"watcher reconcile ended with {code}:\n{told[-2000:]}")
    report = json.loads(told[told.index("{") :])
    begin, end = (
        datetime.fromisoformat(report[name]).timestamp() for name in ("started_at", "finished_at")
    )
    before = [look for look in looks if look.at < begin]
    during = [look for look in looks if begin <= look.at <= end + _EVERY] or before[-1:]
    usual = (before[-1].cpu - before[0].cpu) / (before[-1].at - before[0].at)
    spent = during[-1].cpu - before[-1].cpu - usual * (during[-1].at - before[-1].at)
    return Figures(
        objects=report["hash_root"]["objects"] + len(report["moving"]),
        seconds=report["seconds"],
        requests=report["requests"],
        drift=sum(map(len, report["drift"].values())),
        cpu=spent,
        extra_rss=int(max(it.rss for it in during) - max(it.rss for it in before)),
        lag_before=_p99(before[0].lag, before[-1].lag),
        lag_during=_p99(before[-1].lag, looks[-1].lag),
    )


@contextmanager
def _looking(watcher: Watcher) -> Iterator[list[_Look]]:
    looks: list[_Look] = []
    over = Event()

    def look_on() -> None:
        while not over.wait(_EVERY):
            looks.append(_look(watcher.metrics))

    thread = Thread(target=look_on)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def _look(metrics: Callable[[], dict[str, float]]) -> _Look:
    found = metrics()
    bucket = 'watcher_capture_lag_seconds_bucket{le="'
    return _Look(
        time.time(),
        found["process_cpu_seconds_total"],
        found["process_resident_memory_bytes"],
        {float(k[len(bucket) : -2]): v for k, v in found.items() if k.startswith(bucket)},
    )


def _p99(begin: Mapping[float, float], end: Mapping[float, float]) -> float:
    """Upper bound of the bucket in which it lies, of the changes between two looks."""
    counts = {bound: end[bound] - begin.get(bound, 0.0) for bound in sorted(end)}
    total = counts[max(counts)]
    return next((bound for bound, count in counts.items() if count >= 0.99 * total), 0.0)
