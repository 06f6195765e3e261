"""The informer contract suite over a real API server, reached through a proxy that can cut.

Asked by a user who may list and watch and nothing else. There are no controllers: what the
namespace controller does is done here by hand, with the same requests.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.e2e.control_plane import ControlPlane
from tests.e2e.process import until as wait_until
from tests.e2e.proxy import Proxy
from tests.following import Object, until, until_watching
from tests.informer_contract import *  # noqa: F403
from tests.informer_contract import MAPS, SECRETS, World, add, follow, set_value
from watcher.cluster.api import API
from watcher.cluster.client import collection_path
from watcher.cluster.connection import connect
from watcher.objects.ref import APIResource

EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}


class RealWorld:
    """A World over a control plane. Its admin goes straight to the API server."""

    def __init__(self, plane: ControlPlane, proxy: Proxy, api: API) -> None:
        self.api = api
        self.namespace = f"test-{uuid4().hex[:8]}"
        self.uid = plane.api().get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
        self._plane = plane
        self._proxy = proxy
        self._admin = plane.api()
        self._admin.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def create(self, resource: APIResource, content: Object) -> Object:
        path = collection_path(resource, content["metadata"].get("namespace", ""))
        named = {"apiVersion": resource.api_version, "kind": resource.kind, **content}
        return self._admin.create(path, named)

    def merge(self, resource: APIResource, namespace: str, name: str, change: Object) -> Object:
        return self._admin.merge(_path(resource, namespace, name), change)

    def delete(self, resource: APIResource, namespace: str, name: str) -> None:
        self._admin.delete(_path(resource, namespace, name))

    def delete_namespace(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}"
        self._admin.delete(path)
        for resource in (MAPS, SECRETS):
            self._admin.delete(collection_path(resource, self.namespace))
        namespace = self._admin.get(path)
        namespace["spec"]["finalizers"] = []
        self._admin.call("PUT", f"{path}/finalize", namespace)

    def cut(self) -> None:
        self._proxy.cut("watch=1")

    def forget_history(self) -> None:
        self._plane.compact()

    @contextmanager
    def forbidden(self, resource: APIResource) -> Iterator[None]:
        reader = self._plane.api("reader")
        self._plane.grant("reader")
        wait_until(lambda: not reader.answers(resource.path), "right taken away")
        yield
        self._plane.grant("reader", EVERYTHING)
        wait_until(lambda: reader.answers(resource.path), "right given back")


def _path(resource: APIResource, namespace: str, name: str) -> str:
    return f"{collection_path(resource, namespace)}/{quote(name, safe='')}"


def readable(plane: ControlPlane) -> ControlPlane:
    """The same, once its reader may read."""
    plane.grant("reader", EVERYTHING)
    wait_until(lambda: plane.api("reader").answers(MAPS.path), "granted right")
    return plane


@asynccontextmanager
async def world_over(plane: ControlPlane, proxy: Proxy) -> AsyncIterator[World]:
    kubeconfig = plane.kubeconfig("reader", server=proxy.url)
    async with connect(str(kubeconfig), "") as api:
        yield RealWorld(plane, proxy, api)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path_factory.mktemp("informer-contract") / "plane")
    yield readable(plane)
    plane.close()


@pytest.fixture
async def world(
    plane: ControlPlane, proxy_of: Callable[[ControlPlane], Proxy]
) -> AsyncIterator[World]:
    async with world_over(plane, proxy_of(plane)) as world:
        yield world


async def test_a_compaction_and_a_restart_are_a_new_list_that_converges(
    bare_api: ControlPlane, proxy_of: Callable[[ControlPlane], Proxy]
) -> None:
    """ConfigMaps, as most kinds, are watched from a cache that a compaction leaves as it was."""
    proxy = proxy_of(readable(bare_api))
    async with world_over(bare_api, proxy) as world:
        add(world, "kept", "gone")
        async with follow(world) as seen:
            await until_watching(seen)
            set_value(world, "kept", "seen")
            await until(lambda: seen.events)
            world.cut()
            set_value(world, "kept", "seen in half")
            add(world, "unseen")
            world.delete(MAPS, world.namespace, "gone")
            world.forget_history()
            bare_api.restart_apiserver()
            await until(lambda: len(seen.completed) == 2)
        assert seen.names == {"kept", "unseen"}
        assert seen.completed == [True, True]
        assert "expired" in seen.restarts
