"""The edge towards Kubernetes without a network: the cluster model in the same process.

Exists for simulation and fast tests. Promises: the same answers as the HTTP front, byte for byte;
waits only through the event loop, so that hours pass in milliseconds of virtual time; a context
that is left closes its watch.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from multidict import CIMultiDict

from bench.answers import answer
from bench.cluster import Cluster
from bench.faults import ConnectionLost
from watcher.errors import ClusterUnreachableError

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def loop_clock() -> Callable[[], datetime]:
    """A clock that shows EPOCH now and follows the running event loop's time."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    return lambda: EPOCH + timedelta(seconds=loop.time() - start)


@dataclass(frozen=True, slots=True)
class MemoryResponse:
    status: int
    headers: Mapping[str, str]
    _body: AsyncGenerator[bytes, None]
    _piece: int

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._body:
                for start in range(0, len(chunk), self._piece):
                    yield chunk[start : start + self._piece]
        except ConnectionLost:
            raise ClusterUnreachableError("the connection broke off") from None


class MemoryAPI:
    """A `watcher.cluster.api.WritableAPI`. latency: seconds from a question to its answer, half of
    them on the way back: what it tells may have changed since. piece: bytes; chunks are cut to it.
    """

    def __init__(self, cluster: Cluster, *, latency: float = 0.0, piece: int = 65536) -> None:
        self._cluster = cluster
        self._latency = latency
        self._piece = piece

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[MemoryResponse]:
        return self._ask("GET", path, query or {}, headers or {}, b"")

    def send(
        self, method: Literal["POST", "PUT"], path: str, body: bytes
    ) -> AbstractAsyncContextManager[MemoryResponse]:
        return self._ask(method, path, {}, {}, body)

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes,
    ) -> AsyncIterator[MemoryResponse]:
        await asyncio.sleep(self._latency / 2)
        try:
            status, fields, body = await answer(
                self._cluster, method, path, query, CIMultiDict(headers), content
            )
        except ConnectionLost:
            raise ClusterUnreachableError("the API server cannot be reached") from None
        async with aclosing(body):
            await asyncio.sleep(self._latency / 2)
            yield MemoryResponse(status, CIMultiDict(fields), body, self._piece)
