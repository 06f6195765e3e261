"""What every process of the program tells: of itself, of its requests to the bucket, what runs.

Exists so that each kind of process adds only what is its own. Promises: one registry a process, so
that several live in one test; the page of /metrics is in the format that was asked for.
"""

import asyncio
import platform
from collections.abc import Callable
from functools import lru_cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOOP = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Defining:
    """Defines metrics of the program in one registry: `watcher_` comes before each name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, help, labels, namespace="watcher", registry=self._registry)

    def gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(name, help, labels, namespace="watcher", registry=self._registry)

    def histogram(
        self, name: str, help: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            name, help, labels, namespace="watcher", registry=self._registry, buckets=buckets
        )


class ProcessMetrics:
    """The metrics that all processes share; each attribute's comment gives its labels."""

    def __init__(self, version: str) -> None:
        self.version = version
        # Its switch is the library's only one: else each counter has a second series, its birth.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        define = Defining(registry)

        # operation: PUT, GET, HEAD, LIST, DELETE; code: HTTP status, or what went wrong
        self.bucket_requests = define.counter(
            "bucket_requests_total", "Requests to the bucket.", "operation", "code"
        )
        # operation
        self.bucket_request_duration = define.histogram(
            "bucket_request_duration_seconds",
            "Until the bucket answered or failed.",
            _REQUEST,
            "operation",
        )
        # Finding them by their labels is most of what a request costs us here.
        self._requests = lru_cache(maxsize=256)(self.bucket_requests.labels)
        self._durations = lru_cache(maxsize=32)(self.bucket_request_duration.labels)

        self.event_loop_lag = define.histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", _LOOP
        )
        define.gauge("build_info", "1; the labels say what runs.", "version", "python").labels(
            version, platform.python_version()
        ).set(1)

    def tell_ready(self, ready: Callable[[], bool]) -> None:
        """How to ask for what /readyz says: for those whose readiness is a metric, too."""

    def observe_request(self, operation: str, code: str, seconds: float) -> None:
        """One request to the bucket has ended: the callback that the stores take."""
        self._requests(operation, code).inc()
        self._durations(operation).observe(seconds)

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
