"""All of capture between a model cluster and a bucket in memory, in virtual time."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from bench.cluster import Cluster
from bench.memory_api import MemoryAPI, loop_clock
from tests.memory_store import MemoryStore
from watcher.bucket.layout import Layout
from watcher.capture.context import Context, about_of, cleaner_of
from watcher.capture.service import Summary, follow
from watcher.cluster.kinds import KindFilter, identity
from watcher.errors import RefusedError
from watcher.logs import open_log
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner, load_rules
from watcher.objects.ref import ObjectRef
from watcher.objects.secrets import SecretPolicy
from watcher.objects.selection import Selection
from watcher.objects.yaml import emit
from watcher.settings import Settings, load
from watcher.status import Status

Object = dict[str, Any]

REQUIRED = {"cluster-domain": "example.com", "cluster-name": "east", "minio-bucket": "memory"}
PREFIX = "example.com/east/"
CLEANER = Cleaner(load_rules(), SecretPolicy("redact", None, "example.com", "east"))


CRDS = "customresourcedefinitions.apiextensions.k8s.io"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}
WIDGET = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "metadata": {"name": "w", "namespace": "default"},
}


def config_map(name: str, value: str = "1", namespace: str = "default", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"value": value},
    }


class Rig:
    """A cluster, a bucket, and whoever follows the one into the other."""

    def __init__(self, **settings: str) -> None:
        self.clock = loop_clock()
        self.cluster = Cluster(self.clock)
        self.store = MemoryStore(latency=0.01)
        self.settings = self._settings(**settings)
        self.metrics = Metrics("test")
        self.logged = io.StringIO()
        self.ready: Callable[[], str | None] = lambda: "not started"
        self.instance = "test"
        self.takeover = False
        self.seed = 1
        self.latency = 0.001  # seconds that the API server takes

    def _settings(self, **given: str) -> Settings:
        named = {name.replace("_", "-"): value for name, value in given.items()}
        return load({**REQUIRED, **named}, {})

    def beside(self, instance: str, *, takeover: bool = False) -> "Rig":
        """Somebody else between the same cluster and the same bucket, on another host."""
        other = Rig()
        other.clock, other.cluster, other.store = self.clock, self.cluster, self.store
        other.settings, other.instance, other.takeover = self.settings, instance, takeover
        other.seed = 2  # as it is in life: two that do all at the same moment never meet
        return other

    async def once(self, **settings: str) -> Summary:
        """`watcher run --once`."""
        return await self._follow(asyncio.Event(), True, settings)

    @asynccontextmanager
    async def running(self, **settings: str) -> AsyncIterator[None]:
        """`watcher run`, until SIGTERM at the end of the context; first sync is done."""
        stop = asyncio.Event()
        self.ready = lambda: "not started"
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._follow(stop, False, settings))
            await self.until(lambda: self.ready() is None)
            yield
            stop.set()
            await task

    @asynccontextmanager
    async def killed(self, **settings: str) -> AsyncIterator[None]:
        """`watcher run`, which is killed -9 at the end of the context."""
        task = asyncio.create_task(self._follow(asyncio.Event(), False, settings))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, stop: asyncio.Event, once: bool, settings: dict[str, str]) -> Summary:
        @asynccontextmanager
        async def serve(
            *,
            live: Callable[[], str | None],
            ready: Callable[[], str | None],
            status: Callable[[], Status],
        ) -> AsyncIterator[None]:
            self.ready, self.live, self.status = ready, live, status
            yield

        return await follow(
            self.context(**settings),
            once=once,
            takeover=self.takeover,
            stop=stop,
            serve=serve,
            progress=None,
        )

    def context(self, **settings: str) -> Context:
        """What a process of its own would be given."""
        given = self._settings(**settings) if settings else self.settings
        return Context(
            MemoryAPI(self.cluster, latency=self.latency),
            self.store,
            given,
            cleaner_of(given),
            about_of(given, self.store, self.metrics, self.instance, self.clock()),
            self.metrics,
            open_log(self.logged, "logfmt", given.log_level, self.clock),
            Random(self.seed),
            self.clock,
        )

    async def until(
        self, true: Callable[[], bool], seconds: float = 600.0, *, poll: float = 0.25
    ) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(poll)

    # What the bucket holds, and what it should

    def files(self) -> dict[str, bytes]:
        """Stored objects by relative key."""
        return {
            key.removeprefix(PREFIX): body
            for key, body in self.store.objects().items()
            if not key.startswith(PREFIX + "_meta/")
        }

    def expected(self) -> dict[str, bytes]:
        """What they should be, by the cluster's present state and default settings."""
        found = {}
        for kind in self.cluster.kinds():
            if KindFilter().wants(kind.resource):
                clean = CLEANER.for_resource(kind.resource)
                for item in self.cluster.objects(kind.label):
                    if Selection().left_out(kind.resource, item) is None:
                        metadata = item["metadata"]
                        ref = ObjectRef(
                            *identity(kind.resource),
                            metadata.get("namespace", ""),
                            metadata["name"],
                        )
                        found[Layout.key(ref)] = emit(clean(item))
        return found

    def equal(self) -> bool:
        return self.files() == self.expected()

    def writes(self) -> int:
        """PUTs and DELETEs of objects so far."""
        return sum(
            count
            for (operation, key), count in self.store.requests.items()
            if operation in ("PUT", "DELETE") and "/_meta/" not in key
        )

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series, 0 if it is not there."""
        wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        series = f"watcher_{name}{{{wanted}}}" if wanted else f"watcher_{name}"
        for line in self.metrics.render()[0].decode().splitlines():
            if line.startswith(series + " "):
                return float(line.rpartition(" ")[2])
        return 0.0


@asynccontextmanager
async def following(rig: Rig) -> AsyncIterator[asyncio.Task[Summary]]:
    """`watcher run` whose end, if it ends by itself, a test may look at; else killed -9."""
    task = asyncio.create_task(rig._follow(asyncio.Event(), False, {}))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def refusal(task: asyncio.Task[Summary]) -> RefusedError:
    """Why it ended. All that it says, and all of one kind."""
    error = task.exception()
    while isinstance(error, ExceptionGroup):
        assert len({str(each) for each in error.exceptions}) == 1
        error = error.exceptions[0]
    assert isinstance(error, RefusedError), error
    assert error.exit_code == 3
    return error
