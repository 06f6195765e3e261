"""A `watcher` process under measurement: one that ends by itself, or one that is looked at.

Exists because what is measured is the program as its users start it, from outside: the kernel says
its CPU and memory, its own /metrics what it did. Promises: nothing is left running; a process that
fails ends the benchmark with the end of its log.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from bench.measure import histogram
from bench.measure.buckets import Target
from bench.measure.figures import Figures, Points
from tests.e2e.minio import Bucket
from tests.e2e.watcher_process import Watcher, running

LONGEST = 3600.0  # seconds
_EVERY = 1.0  # seconds between two looks
_KEPT = (  # of a look
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "watcher_capture_lag_seconds_bucket",
    "watcher_event_loop_lag_seconds_bucket",
    "watcher_pending_objects",
    "watcher_oldest_pending_seconds",
    "watcher_bucket_requests_total",
    "watcher_changes_dropped_total",
    "watcher_objects{",
)


@dataclass(frozen=True, slots=True)
class Once:
    """What a `watcher run --once` took. peak_rss: bytes."""

    seconds: float
    cpu: float
    peak_rss: int
    written: int
    unchanged: int


def once(folder: Path, kubeconfig: Path, target: Target, *, through: Bucket | None = None) -> Once:
    """Run it. through: the target's bucket at another address. Raises RuntimeError."""
    began = time.monotonic()
    bucket = through or target.bucket
    with running(folder, kubeconfig, bucket, "run", "--once", settings=target.settings) as watcher:
        code = watcher.wait(LONGEST)
        seconds = time.monotonic() - began
        told = re.search(r"^(\d+) written, (\d+) unchanged", watcher.log, re.MULTILINE)
    if code or not told:
        raise RuntimeError(f"watcher ended with {code}:\n{watcher.log[-2000:]}")
    usage = watcher.usage()
    return Once(seconds, usage.cpu, usage.peak_rss, int(told[1]), int(told[2]))


@dataclass(frozen=True, slots=True)
class Look:
    """What /metrics said at a moment (monotonic seconds)."""

    at: float
    metrics: Mapping[str, float]

    def sum(self, name: str, *labels: str) -> float:
        return sum(
            value
            for sample, value in self.metrics.items()
            if sample.partition("{")[0] == name and all(label in sample for label in labels)
        )

    @property
    def cpu(self) -> float:
        return self.metrics["process_cpu_seconds_total"]

    @property
    def rss(self) -> float:
        return self.metrics["process_resident_memory_bytes"]

    @property
    def lag(self) -> dict[float, float]:
        return histogram.read(self.metrics, "watcher_capture_lag_seconds")

    @property
    def loop_lag(self) -> dict[float, float]:
        return histogram.read(self.metrics, "watcher_event_loop_lag_seconds")

    def requests(self, operation: str) -> float:
        return self.sum("watcher_bucket_requests_total", f'operation="{operation}"')


@dataclass(slots=True)
class Live:
    """A `watcher run` whose first sync is done. began: when it was started."""

    watcher: Watcher
    target: Target
    began: float
    looks: list[Look] = field(default_factory=list)

    def look(self) -> Look:
        """Now; kept among all looks."""
        told = self.watcher.metrics()
        kept = {name: value for name, value in told.items() if name.startswith(_KEPT)}
        look = Look(time.monotonic(), kept)
        self.looks.append(look)
        return look

    def since(self, begin: Look) -> list[Look]:
        return sorted((it for it in self.looks if it.at >= begin.at), key=lambda it: it.at)

    def settle(self, timeout: float) -> Look:
        """Wait until all is in the bucket. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            look = self.look()
            if not look.sum("watcher_pending_objects"):
                return look
            if time.monotonic() > deadline:
                raise TimeoutError(f"changes still pending after {timeout} s")
            time.sleep(0.2)


@contextmanager
def live(folder: Path, kubeconfig: Path, target: Target, **settings: str) -> Iterator[Live]:
    """Looked at every second while the context is open."""
    began = time.monotonic()
    given = {**target.settings, **settings}
    with running(folder, kubeconfig, target.bucket, settings=given) as watcher:
        watcher.wait_ready(LONGEST)
        subject = Live(watcher, target, began)
        subject.look()
        over = Event()

        def look_on() -> None:
            while not over.wait(_EVERY):
                subject.look()

        thread = Thread(target=look_on, name="looks")
        thread.start()
        try:
            yield subject
        finally:
            over.set()
            thread.join()


def lag_figures(name: str, begin: Look, end: Look) -> Figures:
    """Of the changes whose writing ended between two looks; {} if there were none."""
    lag = histogram.between(begin.lag, end.lag)
    told = {
        "lag_p50_s": histogram.quantile(lag, 0.5),
        "lag_p99_s": histogram.quantile(lag, 0.99),
        "lag_max_s": histogram.highest(lag),
        "changes": histogram.count(lag) or None,
        "loop_lag_p99_ms": _ms(
            histogram.quantile(histogram.between(begin.loop_lag, end.loop_lag), 0.99)
        ),
    }
    return {f"{name}.{what}": value for what, value in told.items() if value is not None}


def lag_series(looks: Sequence[Look], share: float, window: int = 5) -> Points:
    """The quantile of each `window` looks."""
    found = []
    for begin, end in zip(looks, looks[window:], strict=False):
        value = histogram.quantile(histogram.between(begin.lag, end.lag), share)
        if value is not None:
            found.append((end.at - looks[0].at, value))
    return found


def memory_series(looks: Sequence[Look]) -> Points:
    """In MB."""
    return [(look.at - looks[0].at, look.rss / 1e6) for look in looks]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
