"""How all informers fare: for metrics, for the log, for /readyz.

Exists so that informers only do their work and one place decides what is said about it. Promises:
an API server that is away is said once, not once a kind (it is away when most kinds are cut off);
a kind that fails by itself (403, 503, always cut off) is said once and when it is over.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from watcher.cluster.phases import Listing, Pause, Phase, Step
from watcher.errors import ClusterError, StatusError
from watcher.logs import Log, Outage
from watcher.metrics import Metrics
from watcher.objects.ref import APIResource

_IN_ORDER = (404, 410)  # a kind was removed; history was compacted: that is how it should be
_BLIPS = 2  # failures in a row of which nothing is said yet: connections break now and then
_STATES = ("listing", "watching", "waiting", "forbidden")


@dataclass(slots=True)
class _Kind:
    state: str
    outage: Outage
    failures: int = 0  # since the API server last said anything about it
    reason: str | None = None  # of the latest one
    cut_off: bool = False  # that one was no answer at all


class Watchfulness:
    """An `informer.Observer`."""

    def __init__(self, metrics: Metrics, log: Log, clock: Callable[[], datetime]) -> None:
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._time = asyncio.get_running_loop().time
        self._server = Outage(log, "the connection to the API server", self._time)
        self._kinds: dict[str, _Kind] = {}
        for state in _STATES:
            metrics.informers.labels(state).set_function(partial(self.count, state))

    def count(self, state: str) -> int:
        """How many kinds are in this state."""
        return Counter(kind.state for kind in self._kinds.values())[state]

    @property
    def unreachable(self) -> str | None:
        """Why the API server cannot be reached at present; None: it can."""
        return self._server.reason

    def state(self, resource: APIResource) -> str:
        """What its informer does now."""
        kind = self._kinds.get(resource.label)
        return kind.state if kind else "waiting"

    def failure(self, resource: APIResource) -> str | None:
        """Why this kind cannot be read, if it was tried more than once and never answered since."""
        kind = self._kinds.get(resource.label)
        if kind is None or not (kind.failures > _BLIPS or kind.state == "forbidden"):
            return None
        return kind.reason

    def forget(self, resource: APIResource) -> None:
        """It is not followed any more."""
        if self._kinds.pop(resource.label, None):
            self._metrics.forget_resource(resource.label)

    def entered(self, resource: APIResource, phase: Phase) -> None:
        self._kind(resource).state = "listing" if isinstance(phase, Listing) else "watching"

    def active(self, resource: APIResource) -> None:
        kind = self._kind(resource)
        kind.failures, kind.cut_off = 0, False
        if kind.outage.reason:
            kind.outage.ended()
            self._metrics.failing(resource.label, False)
        self._server.ended()
        self._metrics.watch_last_activity.labels(resource.label).set(self._clock().timestamp())

    def paused(
        self, resource: APIResource, taken: Step, seconds: float, error: ClusterError | None
    ) -> None:
        self._metrics.watch_restarts.labels(resource.label, taken.restart).inc()
        self._log.debug("begins again", resource=resource.label, why=taken.restart, after=seconds)
        kind = self._kind(resource)
        if taken.pause is not Pause.NONE:
            kind.state = "forbidden" if taken.pause is Pause.PARK else "waiting"
        if error is None:
            return
        kind.failures, kind.reason = kind.failures + 1, str(error)
        kind.cut_off = not isinstance(error, StatusError)
        if isinstance(error, StatusError):
            starting = error.status == 403 and taken.pause is Pause.BACKOFF  # not believed yet
            if error.status not in _IN_ORDER and not starting:
                self._fails(resource, error)
        elif 2 * sum(each.cut_off for each in self._kinds.values()) > len(self._kinds):
            self._server.began(str(error))
        elif kind.failures > _BLIPS:
            self._fails(resource, error)

    def _fails(self, resource: APIResource, error: ClusterError) -> None:
        self._kind(resource).outage.began(str(error))
        self._metrics.failing(resource.label, True)

    def _kind(self, resource: APIResource) -> _Kind:
        kind = self._kinds.get(resource.label)
        if kind is None:
            outage = Outage(self._log, f"following {resource.label}", self._time)
            kind = self._kinds[resource.label] = _Kind("waiting", outage)
        return kind
