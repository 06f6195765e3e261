"""A watcher at work between a cluster and a bucket, and ConfigMaps that change while things break.

Exists so that a test of a fault says only what breaks and what `watcher` has to say about it.
Promises: a deletion in the bucket is never missed, even if it was made good later (the bucket is
versioned, so a DELETE leaves its mark); the maps of two scenes never meet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from tests.e2e.api import API, Object
from tests.e2e.changes import config_map, send
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket
from tests.e2e.oracle import wait_until_equal
from tests.e2e.process import Process, until
from tests.e2e.watcher_process import PREFIX, Watcher

QUICK = {"debounce": "100ms", "max_delay": "1s"}  # settings: faults, not delays, are the matter


class Maps:
    """ConfigMaps in a namespace of their own."""

    def __init__(self, api: API) -> None:
        self._api = api
        self.namespace = f"test-{uuid4().hex[:8]}"
        self.path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        api.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def put(self, name: str, value: str) -> None:
        """Create or change."""
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        body["data"] = {"value": value}
        path = f"{self.path}/{name}?fieldManager=test&force=true"
        self._api.call("PATCH", path, body, content_type="application/apply-patch+yaml")

    def put_many(self, count: int) -> list[Object]:
        """Create further ones: m-0, m-1, …"""
        items = [config_map(self.namespace, f"m-{number}", a="1") for number in range(count)]
        send(self._api, [("POST", self.path, item) for item in items])
        return items

    def remove(self, name: str) -> None:
        self._api.delete(f"{self.path}/{name}")

    def clear(self) -> None:
        self._api.delete(self.path)

    def key(self, name: str) -> str:
        """Where the map is stored."""
        return f"{PREFIX}{self.namespace}/configmap/{name}.yaml"


class Scene:
    """A ready watcher, with everything in its bucket."""

    def __init__(self, watcher: Watcher, api: API, maps: Maps, bucket: Bucket) -> None:
        """`bucket` is a versioned one, and reached as nothing breaks it."""
        self.watcher = watcher
        self.maps = maps
        self.bucket = bucket
        self._api = api
        watcher.wait_ready()

    @property
    def process(self) -> Process:
        (process,) = self.watcher.processes
        return process

    @property
    def deleted(self) -> set[str]:
        """Keys of files that were ever deleted."""
        return self.bucket.deleted(PREFIX)

    def stored(self, name: str) -> bool:
        return self.maps.key(name) in self.bucket.etags(PREFIX)

    def wait_for_metric(self, name: str, timeout: float = 60, **labels: str) -> None:
        """Until the metric is above 0."""
        until(
            lambda: self.watcher.metric(name, **labels) > 0,
            f"{name}{labels or ''} above 0",
            timeout=timeout,
            needs=self.process,
        )

    def wait_until_survived(self, *removed: str, timeout: float = 90) -> None:
        """Until bucket and cluster are equal; by the same process, that deleted no other maps.

        Backoffs reach 30 s, so for that long after a fault's end nothing need happen, and the
        first request after it may still meet a server that is only starting.
        """
        wait_until_equal(self._api, self.bucket, timeout=timeout)
        assert self.process.running
        assert self.deleted == {self.maps.key(name) for name in removed}
        until(lambda: self.watcher.status("/readyz") == 200, "readiness", timeout=timeout)


@contextmanager
def maps_of(plane: ControlPlane) -> Iterator[Maps]:
    """Maps that are removed afterwards. (Their namespace stays where no controller ends it.)"""
    maps = Maps(plane.api())
    try:
        yield maps
    finally:
        maps.clear()
