"""What a scenario works with: the cluster, the buckets, how long it may take, where figures go.

Exists so that a scenario is one function of one value. Promises: a bucket that a first sync has
filled is filled once and then shared by those that start from there.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.measure import histogram, runs
from bench.measure.buckets import Buckets, Target
from bench.measure.clusters import Cluster
from bench.measure.figures import Figures, Measured
from bench.measure.runs import Live, Once


@dataclass(frozen=True, slots=True)
class Plan:
    """seconds: of each scenario that goes on for a while. soak: of that one. bucket: for all
    scenarios that can use any; "": each its own."""

    seconds: float = 45.0
    rounds: int = 3  # of a first sync, a restart, a yardstick: the best counts
    soak: float = 3600.0
    outage: float = 120.0
    burst: int = 5000
    bucket: str = ""
    crds: int = 1000
    katafygio: Path | None = None


@dataclass(slots=True)
class Place:
    folder: Path
    cluster: Cluster
    buckets: Buckets
    plan: Plan
    measured: Measured
    filled: dict[str, Target] = field(default_factory=dict)  # word -> a bucket after a first sync
    _number: "count[int]" = field(default_factory=lambda: count(1))

    def note(self, **figures: float) -> None:
        self.measured.figures.update(figures)

    def note_best(self, by: str, figures: Figures) -> None:
        """Keep these if their `by` is the smallest so far: other work on a machine only adds."""
        if figures[by] <= self.measured.figures.get(by, math.inf):
            self.note(**figures)

    def new_folder(self) -> Path:
        return self.folder / f"run-{next(self._number)}"

    def bucket_after_first_sync(self, word: str) -> Target:
        if word not in self.filled:
            self.fill(self.buckets.new(word))
        return self.filled[word]

    def fill(self, target: Target) -> Once:
        """A first sync into an empty bucket, which is then known to be filled."""
        run = runs.once(self.new_folder(), self.cluster.kubeconfig, target)
        self.filled[target.word] = target
        return run

    @contextmanager
    def live(self, usual: str, **settings: str) -> Iterator[Live]:
        """A `watcher run` into a new bucket, `usual` or the plan's; what its event loop went
        through until it was ready is noted."""
        target = self.buckets.new(self.plan.bucket or usual)
        with runs.live(self.new_folder(), self.cluster.kubeconfig, target, **settings) as subject:
            lag = histogram.quantile(subject.looks[0].loop_lag, 0.99)
            if lag is not None:
                known = self.measured.figures.get("first-sync.loop_lag_p99_ms", 0.0)
                self.note(**{"first-sync.loop_lag_p99_ms": max(known, 1000 * lag)})
            yield subject
