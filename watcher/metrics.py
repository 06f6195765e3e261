"""Every metric of the program, defined once (DESIGN.md section 11).

Exists so that names, labels and buckets are decided at one place and no other module knows
Prometheus. Promises: a registry of its own for each `Metrics` and no module-level state, so tests
and simulations hold as many as they like; base units; never a namespace's or an object's name in
a label. `resource` is `APIResource.label`: `deployments.apps`, `pods`. A standby exports no metric
of the promise: its zeros would look like a backup that never was. What alerts count is there from
the start on: `increase()` does not see a series that begins with 1.

Call sites use the metrics as they are: `metrics.changes.labels("pods", "create").inc()`. `labels`
takes a lock and a dictionary look-up (under 1 us): loops keep what it returns. What can be asked
when somebody scrapes is given once: `metrics.pending_objects.set_function(lambda: len(pending))`.
"""

import asyncio
import platform
from collections.abc import Iterable
from functools import lru_cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

# Fine around the defaults of debounce (2 s) and max-delay (15 s), where the promise is judged.
_LAG = (0.5, 1, 2, 2.25, 2.5, 3, 4, 5, 7.5, 10, 15, 16, 17.5, 20, 30, 60, 120, 300, 900, 3600)
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOOP = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

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


class Metrics:
    """The program's metrics; each attribute's comment gives its labels."""

    def __init__(self, version: str) -> None:
        self.version = version
        # Its switch is the library's only one: else each counter has a second series, its birth.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(name, help, labels, namespace="watcher", registry=registry)

        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(name, help, labels, namespace="watcher", registry=registry)

        def histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(
                name, help, labels, namespace="watcher", registry=registry, buckets=buckets
            )

        self.leader = gauge("leader", "1 while this process writes to the bucket.")

        # What only the process that writes can tell: is the promise kept?
        self._promises = _Promises()
        registry = self._promises.registry
        self.ready = gauge("ready", "1 while the backup can be relied on: what /readyz says.")
        self.capture_lag = histogram(
            "capture_lag_seconds",
            "From a watch event's arrival until its state was stored; first lists don't count.",
            _LAG,
        )
        self.oldest_pending = gauge(
            "oldest_pending_seconds", "Age of the oldest change that is not in the bucket; 0: none."
        )
        self.pending_objects = gauge("pending_objects", "Objects that wait to be written.")
        self.pending_bytes = gauge("pending_bytes", "Memory that their bodies take.")
        self.last_put = gauge(
            "last_put_timestamp_seconds", "When an object was last written; Unix time, 0: never."
        )
        # side: cluster, bucket
        self.objects = gauge("objects", "Objects selected in the cluster, in the bucket.", "side")
        self.secrets_redacted = gauge("secrets_redacted", "Secrets stored without their values.")
        self.deletes_held = gauge("deletes_held", "Objects kept in the bucket out of doubt.")
        self.journal_pending = gauge(
            "journal_pending_lines", "Stored changes that the journal in the bucket lacks yet."
        )
        self.heartbeat_last_success = gauge(
            "heartbeat_last_success_timestamp_seconds",
            "When the heartbeat was last written; Unix time, 0: never since the start.",
        )

        # The nightly proof.
        self.reconcile_last_success = gauge(
            "reconcile_last_success_timestamp_seconds",
            "When the last reconcile that came to its end did so; Unix time, 0: never.",
        )
        self.reconcile_last_failure = gauge(
            "reconcile_last_failure_timestamp_seconds",
            "When a reconcile last failed; Unix time, 0: never since the start.",
        )
        self.reconcile_next = gauge(
            "reconcile_next_timestamp_seconds",
            "When the next reconcile begins; Unix time, 0: none is planned.",
        )
        self.reconcile_duration = gauge(
            "reconcile_duration_seconds", "What the last reconcile took; 0: none since the start."
        )
        # type: missing, changed, orphaned
        self.reconcile_drift = gauge(
            "reconcile_drift_objects",
            "Differences of cluster and bucket that the last reconcile found (and repaired).",
            "type",
        )
        self.verify_failures = counter(
            "verify_failures_total", "Files read back whose bytes are not those written."
        )

        registry = self._registry
        # resource; action: create, update, delete, left-out, repair
        self.changes = counter("changes_total", "Changes stored.", "resource", "action")
        # reason: unchanged, superseded, …
        self.changes_dropped = counter(
            "changes_dropped_total", "Changes not worth a PUT.", "reason"
        )
        # reason: LeftOut.reason
        self.objects_skipped = counter(
            "objects_skipped_total", "States of objects that are not captured, by why.", "reason"
        )

        # operation: PUT, GET, HEAD, LIST, DELETE; code: HTTP status, or what went wrong
        self.bucket_requests = counter(
            "bucket_requests_total", "Requests to the bucket.", "operation", "code"
        )
        # operation
        self.bucket_request_duration = histogram(
            "bucket_request_duration_seconds",
            "Until the bucket answered or failed.",
            _REQUEST,
            "operation",
        )
        # Finding them by their labels is most of what a request costs us here.
        self._requests = lru_cache(maxsize=256)(self.bucket_requests.labels)
        self._durations = lru_cache(maxsize=32)(self.bucket_request_duration.labels)
        # reason: one of _RETRIES
        self.bucket_retries = counter(
            "bucket_retries_total", "Requests that did not do what they should, by why.", "reason"
        )

        # resource
        self.watch_last_activity = gauge(
            "watch_last_activity_timestamp_seconds",
            "When the API server last said anything about this resource; Unix time.",
            "resource",
        )
        # resource; reason: gone, cut, silent, status-403, …
        self.watch_restarts = counter(
            "watch_restarts_total", "Watches begun anew.", "resource", "reason"
        )
        # state: listing, watching, waiting, forbidden
        self.informers = gauge("informers", "Resources followed, by what is done now.", "state")
        # resource; there only while it fails: see `failing`
        self.kinds_failing = gauge(
            "kinds_failing", "1 while this resource cannot be listed or watched.", "resource"
        )
        self.discovery_failures = counter(
            "discovery_failures_total", "Discovery answers that were missing or stale."
        )

        self.event_loop_lag = histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", _LOOP
        )
        gauge("build_info", "1; the labels say what runs.", "version", "python").labels(
            version, platform.python_version()
        ).set(1)

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

    def observe_request(self, operation: str, code: str, seconds: float) -> None:
        """One request to the bucket has ended: the callback that the stores take."""
        self._requests(operation, code).inc()
        self._durations(operation).observe(seconds)

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

    async def observe_event_loop(self, interval: float = 1.0) -> None:
        """Measure event_loop_lag until cancelled, every `interval` seconds."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + interval
            await asyncio.sleep(interval)
            self.event_loop_lag.observe(max(0.0, loop.time() - due))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page of /metrics in the format that the Accept header asks for; its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
