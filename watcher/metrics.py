"""Every metric of the program, defined once (DESIGN.md section 11).

Exists so that names, labels and buckets are decided at one place and no other module knows
Prometheus. Promises: a registry of its own for each `Metrics` and no module-level state, so tests
and simulations hold as many as they like; base units; never a namespace's or an object's name in
a label. `resource` is `APIResource.label`: `deployments.apps`, `pods`.

Call sites use the metrics as they are: `metrics.changes.labels("pods", "create").inc()`. `labels`
takes a lock and a dictionary look-up (under 1 us): loops keep what it returns. What can be asked
when somebody scrapes is given once: `metrics.pending_objects.set_function(lambda: len(pending))`.
"""

import asyncio
import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

# Fine around the defaults of debounce (2 s) and max-delay (15 s), where the promise is judged.
_LAG = (0.5, 1, 2, 2.25, 2.5, 3, 4, 5, 7.5, 10, 15, 16, 17.5, 20, 30, 60, 120, 300, 900, 3600)
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOOP = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The program's metrics; each attribute's comment gives its labels."""

    def __init__(self, version: str) -> None:
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

        # The promise: a change is in the bucket within max-delay and one PUT.
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

        # side: cluster, bucket
        self.objects = gauge("objects", "Objects selected in the cluster, in the bucket.", "side")
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
        self.secrets_redacted = gauge("secrets_redacted", "Secrets stored without their values.")
        self.deletes_held = gauge("deletes_held", "Objects kept in the bucket out of doubt.")

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
        # reason: throttled, unreachable, conflict, …
        self.bucket_retries = counter("bucket_retries_total", "Requests to be repeated.", "reason")
        self.last_put = gauge(
            "last_put_timestamp_seconds", "When an object was last written; Unix time, 0: never."
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
        # state: listing, watching, waiting, …
        self.informers = gauge("informers", "Resources followed, by what is done now.", "state")
        self.discovery_failures = counter(
            "discovery_failures_total", "Discovery answers that were missing or stale."
        )

        self.event_loop_lag = histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", _LOOP
        )
        gauge("build_info", "1; the labels say what runs.", "version", "python").labels(
            version, platform.python_version()
        ).set(1)

    def observe_request(self, operation: str, code: str, seconds: float) -> None:
        """One request to the bucket has ended: the callback that the stores take."""
        self.bucket_requests.labels(operation, code).inc()
        self.bucket_request_duration.labels(operation).observe(seconds)

    def forget_resource(self, resource: str) -> None:
        """A kind is gone: its watch is not late any more. Counters stay, as counters must."""
        self.watch_last_activity.remove_by_labels({"resource": resource})

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
