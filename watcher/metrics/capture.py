"""The metrics of a process that captures a cluster: is the promise kept, and what does it cost?

A standby exports no metric of the promise: its zeros would look like a backup that never was.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from watcher.metrics.process import Defining, ProcessMetrics

# Fine around the defaults of debounce (2 s) and max-delay (15 s), where the promise is judged.
_LAG = (0.5, 1, 2, 2.25, 2.5, 3, 4, 5, 7.5, 10, 15, 16, 17.5, 20, 30, 60, 120, 300, 900, 3600)

_RETRIES = (
    "throttled",
    "unreachable",
    "rejected",
    "fenced",
    "conflict",
    "stranger",
    "second-writer",
)
_DRIFT = ("missing", "changed", "orphaned")


class _Promises(Collector):
    """The metrics of a registry of their own, unless hidden."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.hidden = False

    def collect(self) -> Iterable[Metric]:
        return () if self.hidden else self.registry.collect()


class Metrics(ProcessMetrics):
    """The metrics of `watcher run`; each attribute's comment gives its labels."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        define = Defining(self._registry)
        self.leader = define.gauge("leader", "1 while this process writes to the bucket.")

        # What only the process that writes can tell: is the promise kept?
        self._promises = _Promises()
        promise = Defining(self._promises.registry)
        self.ready = promise.gauge(
            "ready", "1 while the backup can be relied on: what /readyz says."
        )
        self.capture_lag = promise.histogram(
            "capture_lag_seconds",
            "From a watch event's arrival until its state was stored; first lists don't count.",
            _LAG,
        )
        self.oldest_pending = promise.gauge(
            "oldest_pending_seconds", "Age of the oldest change that is not in the bucket; 0: none."
        )
        self.pending_objects = promise.gauge("pending_objects", "Objects that wait to be written.")
        self.pending_bytes = promise.gauge("pending_bytes", "Memory that their bodies take.")
        self.last_put = promise.gauge(
            "last_put_timestamp_seconds", "When an object was last written; Unix time, 0: never."
        )
        # side: cluster, bucket
        self.objects = promise.gauge(
            "objects", "Objects selected in the cluster, in the bucket.", "side"
        )
        self.secrets_redacted = promise.gauge(
            "secrets_redacted", "Secrets stored without their values."
        )
        self.deletes_held = promise.gauge(
            "deletes_held", "Objects kept in the bucket out of doubt."
        )
        self.journal_pending = promise.gauge(
            "journal_pending_lines", "Stored changes that the journal in the bucket lacks yet."
        )
        self.heartbeat_last_success = promise.gauge(
            "heartbeat_last_success_timestamp_seconds",
            "When the heartbeat was last written; Unix time, 0: never since the start.",
        )

        # The nightly proof.
        self.reconcile_last_success = promise.gauge(
            "reconcile_last_success_timestamp_seconds",
            "When the last reconcile that came to its end did so; Unix time, 0: never.",
        )
        self.reconcile_last_failure = promise.gauge(
            "reconcile_last_failure_timestamp_seconds",
            "When a reconcile last failed; Unix time, 0: never since the start.",
        )
        self.reconcile_next = promise.gauge(
            "reconcile_next_timestamp_seconds",
            "When the next reconcile begins; Unix time, 0: none is planned.",
        )
        self.reconcile_duration = promise.gauge(
            "reconcile_duration_seconds", "What the last reconcile took; 0: none since the start."
        )
        # type: missing, changed, orphaned
        self.reconcile_drift = promise.gauge(
            "reconcile_drift_objects",
            "Differences of cluster and bucket that the last reconcile found (and repaired).",
            "type",
        )
        self.verify_failures = promise.counter(
            "verify_failures_total", "Files read back whose bytes are not those written."
        )

        # resource; action: create, update, delete, left-out, repair
        self.changes = define.counter("changes_total", "Changes stored.", "resource", "action")
        # reason: unchanged, superseded, …
        self.changes_dropped = define.counter(
            "changes_dropped_total", "Changes not worth a PUT.", "reason"
        )
        # reason: LeftOut.reason
        self.objects_skipped = define.counter(
            "objects_skipped_total", "States of objects that are not captured, by why.", "reason"
        )

        # reason: one of _RETRIES
        self.bucket_retries = define.counter(
            "bucket_retries_total", "Requests that did not do what they should, by why.", "reason"
        )

        # resource
        self.watch_last_activity = define.gauge(
            "watch_last_activity_timestamp_seconds",
            "When the API server last said anything about this resource; Unix time.",
            "resource",
        )
        # resource; reason: gone, cut, silent, status-403, …
        self.watch_restarts = define.counter(
            "watch_restarts_total", "Watches begun anew.", "resource", "reason"
        )
        # state: listing, watching, waiting, forbidden
        self.informers = define.gauge(
            "informers", "Resources followed, by what is done now.", "state"
        )
        # resource; there only while it fails: see `failing`
        self.kinds_failing = define.gauge(
            "kinds_failing", "1 while this resource cannot be listed or watched.", "resource"
        )
        self.discovery_failures = define.counter(
            "discovery_failures_total", "Discovery answers that were missing or stale."
        )

        self.objects_skipped.labels("error")
        for reason in _RETRIES:
            self.bucket_retries.labels(reason)
        for difference in _DRIFT:
            self.reconcile_drift.labels(difference)
        self._registry.register(self._promises)

    @property
    def standby(self) -> bool:
        """Whether this process only waits to take over: then the promise is another's to tell."""
        return self._promises.hidden

    @standby.setter
    def standby(self, waits: bool) -> None:
        self._promises.hidden = waits

    def tell_ready(self, ready: Callable[[], bool]) -> None:
        self.ready.set_function(lambda: float(ready()))

    def failing(self, resource: str, fails: bool) -> None:
        """A kind cannot be listed or watched, or (again) it can: then nothing is left of it."""
        if fails:
            self.kinds_failing.labels(resource).set(1)
        else:
            self.kinds_failing.remove_by_labels({"resource": resource})

    def lag(self, share: float) -> float | None:
        """Seconds within which this share of the changes since the start was stored, to the next
        bound of the histogram, infinity beyond the last; None: there were none."""
        [family] = self.capture_lag.collect()
        buckets = [each for each in family.samples if each.name.endswith("_bucket")]
        total = buckets[-1].value
        bounds = (float(each.labels["le"]) for each in buckets if each.value >= share * total)
        return next(bounds) if total else None

    def forget_resource(self, resource: str) -> None:
        """A kind is gone: neither late nor failing any more. Counters stay, as counters must."""
        self.watch_last_activity.remove_by_labels({"resource": resource})
        self.failing(resource, False)
