"""The edge towards Kubernetes: one request, its answer as a stream of bytes.

Exists so that everything above it runs the same on a real API server, on the simulated one over
HTTP and on the in-memory model in virtual time. An implementation knows addresses, TLS and
credentials (client.py) or none of them (the model); it never retries, never sets a deadline and
never interprets what it carries: callers do, with the event loop's clock.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol


class Response(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names compare without case."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, cut anywhere. Raises ClusterUnreachableError if it breaks off.
        To be closed by whoever stops before its end."""


class API(Protocol):
    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Response]:
        """GET a path like `/api/v1/pods`. Any status is an answer; entering the context raises
        ClusterUnreachableError where there is none. Leaving it gives the connection back."""


class WritableAPI(API, Protocol):
    """An API that takes one kind of object, too: the Lease (lease.py). Nobody else writes."""

    def send(
        self, method: Literal["POST", "PUT"], path: str, body: bytes
    ) -> AbstractAsyncContextManager[Response]:
        """Create or replace an object, given as JSON. As `get` in all else: where there is no
        answer, whether it took place is unknown."""
