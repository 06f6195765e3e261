"""Changes to a real cluster: thousands as fast as it takes them, or without an end.

Exists because one request after the other is too slow for a burst, and because a kill has to meet
changes under way. Promises: `send` returns when the server took every change; `Restless` leaves
no thread behind, and can tell of a file whether it is, whole, one of the states that there were.
"""

import asyncio
import random
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self
from uuid import uuid4

import aiohttp

from tests.e2e.api import API, APIError, Object
from tests.e2e.parsers import yaml_1_1
from tests.e2e.watcher_process import PREFIX

Request = tuple[str, str, Object | None]  # method, path, body

_AT_ONCE = 24


def config_map(space: str, name: str, **data: str) -> Object:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def collection(item: Object) -> str:
    """Where objects of its kind and namespace are listed: /apis/apps/v1/namespaces/a/deployments"""
    version, kind = item["apiVersion"], item["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = item["metadata"].get("namespace")
    return f"{root}/{f'namespaces/{space}/' if space else ''}{_plural(kind.lower())}"


def _plural(kind: str) -> str:
    if kind.endswith(("ss", "x")):
        return f"{kind}es"
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return kind if kind.endswith("s") else f"{kind}s"


def path(item: Object) -> str:
    """Of an object whose kind is served."""
    return f"{collection(item)}/{item['metadata']['name']}"


def send(api: API, requests: Iterable[Request]) -> None:
    """All of them, many at once, begun in their order. PATCH means a JSON merge patch.

    Raises an ExceptionGroup of APIErrors: the first refusals.
    """
    asyncio.run(_send(api, list(requests)))


async def _send(api: API, requests: list[Request]) -> None:
    waiting = iter(requests)
    refused: list[APIError] = []

    async def work(session: aiohttp.ClientSession) -> None:
        for method, where, body in waiting:
            headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
            async with session.request(
                method, api.url + where, json=body, headers=headers
            ) as answer:
                text = await answer.text()  # also lets the connection be used again
                if answer.status >= 400:
                    refused.append(APIError(answer.status, text))

    async with (
        aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {api.token}"},
            connector=aiohttp.TCPConnector(limit=0, ssl=api.tls),
        ) as session,
        asyncio.TaskGroup() as workers,
    ):
        for _ in range(_AT_ONCE):
            workers.create_task(work(session))
    if refused:
        raise ExceptionGroup(f"{len(refused)} requests refused", refused[:10])


class Restless:
    """ConfigMaps of a namespace that are created, changed and deleted all the time, in a thread.

    A context: within it things change, afterwards they are calm. May be entered again.
    """

    def __init__(self, api: API, space: str, *, objects: int = 40, pause: float = 0.0) -> None:
        """pause: seconds after each change."""
        self._api = api
        self._space = space
        self._pause = pause
        batch = uuid4().hex[:8]
        self._names = [f"restless-{batch}-{number}" for number in range(objects)]
        self._keys = f"{PREFIX}{space}/configmap/restless-{batch}-"
        self._alive: set[str] = set()
        self._version = 0
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._change, name="restless")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    def owns(self, key: str) -> bool:
        return key.startswith(self._keys)

    def is_a_state(self, file: bytes) -> bool:
        """Whether the file is one of the states that there were: whole, and of one version."""
        data = yaml_1_1(file)["data"]
        version = int(data["version"])
        return bool(data == _data(version) and version <= self._version)

    def _change(self) -> None:
        draw = random.Random(self._version)
        try:
            while not self._end.is_set():
                self._change_one(draw.choice(self._names), draw.random() < 0.2)
                self._end.wait(self._pause)
        except Exception as error:
            self._failure = error

    def _change_one(self, name: str, delete: bool) -> None:
        self._version += 1
        item = config_map(self._space, name, **_data(self._version))
        if name not in self._alive:
            self._api.create(collection(item), item)
            self._alive.add(name)
        elif delete:
            self._api.delete(path(item))
            self._alive.discard(name)
        else:
            self._api.merge(path(item), item)


def _data(version: int) -> dict[str, str]:
    return {"version": str(version), "body": f"of version {version}\n" * 500}
