"""The metrics of the process that mirrors a bucket into git and looks at every cluster in it.

Exists so that one Prometheus tells of clusters whose own one may have died with them. Promises: a
cluster's series are what the last look saw, so one that is gone from the bucket has none; what a
look could not tell has no series either, for a 0 would be a claim; a timestamp of 0 means never.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from watcher.metrics.process import Defining, ProcessMetrics

_REFUSED = ("plain-secret", "rejected", "unreadable")
_ACTIONS = ("create", "update", "delete")
_FAILURES = ("bucket", "remote", "copy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFigures:
    """One cluster at the last look. Times are Unix time, 0: never; None: not known."""

    domain: str
    cluster: str
    heartbeat: float | None
    healthy: bool | None
    released: bool | None
    objects: float | None
    last_change: float | None
    claimed: float | None
    reconciled: float | None
    drift: float | None
    held: float | None
    findings: float
    retired: bool


_Figure = Callable[[ClusterFigures], float | None]

_OF_A_CLUSTER: tuple[tuple[str, str, _Figure], ...] = (
    (
        "heartbeat_timestamp_seconds",
        "When a cluster's writer last gave a sign of life; Unix time, 0: never.",
        lambda it: it.heartbeat,
    ),
    (
        "healthy",
        "1 while a cluster's writer says that no promise is at risk.",
        lambda it: it.healthy,
    ),
    (
        "released",
        "1 while nobody writes because the last writer ended in order.",
        lambda it: it.released,
    ),
    ("objects", "Files in a cluster's backup, by its heartbeat.", lambda it: it.objects),
    (
        "last_change_timestamp_seconds",
        "When a change of a cluster was last stored; Unix time, 0: never.",
        lambda it: it.last_change,
    ),
    (
        "claimed_timestamp_seconds",
        "When a cluster first wrote into its prefix, or took it over; Unix time.",
        lambda it: it.claimed,
    ),
    (
        "reconcile_last_success_timestamp_seconds",
        "When a cluster's last reconcile came to its end; Unix time, 0: never.",
        lambda it: it.reconciled,
    ),
    (
        "reconcile_drift_objects",
        "Differences that a cluster's last reconcile found (and repaired).",
        lambda it: it.drift,
    ),
    ("deletes_held", "Files of a cluster kept out of doubt.", lambda it: it.held),
    ("findings", "What is wrong with a cluster's backup: how many things.", lambda it: it.findings),
    ("retired", "1 where a cluster is no more: its backup may be old.", lambda it: it.retired),
)


class _Clusters(Collector):
    """The gauges of all clusters, made of the last look when somebody asks."""

    def __init__(self) -> None:
        self.seen: Sequence[ClusterFigures] = ()

    def collect(self) -> Iterable[Metric]:
        for name, help, figure in _OF_A_CLUSTER:
            family = GaugeMetricFamily(
                f"watcher_cluster_{name}", help, labels=("domain", "cluster")
            )
            for each in self.seen:
                if (value := figure(each)) is not None:
                    family.add_metric((each.domain, each.cluster), float(value))
            yield family


class FleetMetrics(ProcessMetrics):
    """The metrics of `watcher git-sync`; each attribute's comment gives its labels."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        define = Defining(self._registry)

        self._clusters = _Clusters()
        self.fleet_clusters = define.gauge("fleet_clusters", "Clusters that the last look found.")
        self.fleet_last_look = define.gauge(
            "fleet_last_look_timestamp_seconds",
            "When all clusters of the bucket were last looked at; Unix time, 0: never.",
        )

        self.git_last_success = define.gauge(
            "git_last_success_timestamp_seconds",
            "When a round last left the remote repository equal to the bucket;"
            " Unix time, 0: never since the start.",
        )
        self.git_round_duration = define.gauge(
            "git_round_duration_seconds", "What the last round took; 0: none since the start."
        )
        self.git_unpushed_commits = define.gauge(
            "git_unpushed_commits", "Commits that the remote repository lacks yet."
        )
        # reason: one of _REFUSED
        self.git_refused_files = define.gauge(
            "git_refused_files", "Files of the bucket that are kept out of git, by why.", "reason"
        )
        self.git_behind_clusters = define.gauge(
            "git_behind_clusters", "Clusters that the last round could not read."
        )
        self.git_commits = define.counter("git_commits_total", "Commits made.")
        # action: one of _ACTIONS
        self.git_files = define.counter("git_files_total", "Files changed by commits.", "action")
        # reason: one of _FAILURES
        self.git_failures = define.counter(
            "git_failures_total", "Rounds that did not do what they should, by why.", "reason"
        )

        for reason in _REFUSED:
            self.git_refused_files.labels(reason)
        for action in _ACTIONS:
            self.git_files.labels(action)
        for reason in _FAILURES:
            self.git_failures.labels(reason)
        self._registry.register(self._clusters)

    def show_clusters(self, seen: Sequence[ClusterFigures], at: float) -> None:
        """What a look saw: all that is told of clusters from now on. at: when; Unix time."""
        self._clusters.seen = seen
        self.fleet_clusters.set(len(seen))
        self.fleet_last_look.set(at)
