"""The informer contract suite over the cluster model: in memory in virtual time, and over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from bench.cluster import Cluster
from bench.memory_api import MemoryAPI, loop_clock
from bench.server import kubeconfig, serve
from bench.writes import write
from tests.following import Object
from tests.informer_contract import *  # noqa: F403
from tests.informer_contract import World
from watcher.cluster.api import API
from watcher.cluster.connection import connect
from watcher.objects.ref import APIResource


class ModelWorld:
    """A World over the model, whichever front carries it."""

    namespace = "shop"

    def __init__(self, cluster: Cluster, api: API) -> None:
        self.api = api
        self.uid = cluster.uid
        self._cluster = cluster
        namespace = {"metadata": {"name": self.namespace}}
        cluster.create({"apiVersion": "v1", "kind": "Namespace", **namespace})

    def create(self, resource: APIResource, content: Object) -> Object:
        named = {"apiVersion": resource.api_version, "kind": resource.kind, **content}
        return self._cluster.create(named)

    def merge(self, resource: APIResource, namespace: str, name: str, change: Object) -> Object:
        patch = orjson.dumps(change)
        return write(self._cluster, "patch", resource.label, namespace, name, patch)[1]

    def delete(self, resource: APIResource, namespace: str, name: str) -> None:
        self._cluster.delete(resource.label, namespace, name)

    def delete_namespace(self) -> None:
        self._cluster.delete("namespaces", "", self.namespace)

    def cut(self) -> None:
        self._cluster.faults.cut_mid_line()

    def forget_history(self) -> None:
        self._cluster.compact()

    @contextmanager
    def forbidden(self, resource: APIResource) -> Iterator[None]:
        self._cluster.faults.forbid(resource.label)
        yield
        self._cluster.faults.allow(resource.label)


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.looptime), "http"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        cluster = Cluster(loop_clock())
        yield ModelWorld(cluster, MemoryAPI(cluster, latency=0.001, piece=1000))
        return
    cluster = Cluster(lambda: datetime.now(UTC))
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(serve(cluster, token="secret"))
        config = tmp_path / "kubeconfig"
        config.write_bytes(kubeconfig(url, "secret"))
        yield ModelWorld(cluster, await opened.enter_async_context(connect(str(config), "")))
    await asyncio.sleep(0)  # the closed connections' last turn
