"""The real edge towards Kubernetes: HTTP to the API server, as whoever we are there.

Exists because kubernetes_asyncio's requests have no deadline, no refresh after a 401 and a pool
that hangs on the 101st watch: so one aiohttp session without a limit carries the bytes. Promises:
credentials are the current ones (a service account's token file rotates and is read again each
minute; a 401 makes everything be read again, exec plugins too); every failure of the layers below
is a ClusterUnreachableError or a UsageError of one line.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

import aiohttp

from watcher.cluster.access import Access, load_access
from watcher.cluster.api import Response
from watcher.cluster.framing import BATCH
from watcher.errors import ClusterUnreachableError, UsageError, one_line

_TOKEN_AGE = 60.0  # seconds until a token file is read again: kubelet rotates at 80 % of an hour
_REFRESH_PAUSE = 5.0  # seconds between two refreshes after 401: exec plugins are programs


class _Answer:
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._answer.content.iter_chunked(BATCH):
                yield chunk
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ClusterUnreachableError(
                f"the API server's answer broke off: {one_line(error)}"
            ) from None


class Connection:
    """A WritableAPI (api.py) over HTTP. Use `async with connect(...)`."""

    def __init__(self, session: aiohttp.ClientSession, kubeconfig: str, context: str) -> None:
        self._session = session
        self._source = (kubeconfig, context)
        self._access: Access | None = None
        self._token = ""
        self._token_read_at = float("-inf")
        self._refreshed_at = float("-inf")
        self._refreshing = asyncio.Lock()

    async def open(self) -> None:
        """Read the configuration. Raises UsageError."""
        self._access = await load_access(*self._source)

    @property
    def host(self) -> str:
        return self._access.host if self._access else ""

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Response]:
        return self._request("GET", path, query or {}, headers or {}, None)

    def send(
        self, method: Literal["POST", "PUT"], path: str, body: bytes
    ) -> AbstractAsyncContextManager[Response]:
        return self._request(method, path, {}, {"Content-Type": "application/json"}, body)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> AsyncIterator[Response]:
        access = self._access
        assert access is not None, "open() comes first"
        authorization = self._authorization(access)
        sent = {"Accept": "application/json", **headers}
        if authorization:
            sent["Authorization"] = authorization
        try:
            answer = await self._session.request(
                method,
                access.host + path,
                params=query,
                headers=sent,
                data=body,
                ssl=access.tls if access.tls is not None else True,
                proxy=access.proxy,
                server_hostname=access.server_name,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ClusterUnreachableError(
                f"cannot reach the API server at {access.host}: {one_line(error)}"
            ) from None
        try:
            if answer.status == 401:
                await self._refresh()
            yield _Answer(answer)
        finally:
            # Not `release`, which would wait for the rest of a watch.
            answer.close() if not answer.content.at_eof() else answer.release()

    def _authorization(self, access: Access) -> str:
        if access.token_file is None:
            return access.authorization
        now = asyncio.get_running_loop().time()
        if now - self._token_read_at >= _TOKEN_AGE:
            try:
                token = access.token_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ClusterUnreachableError(
                    f"the token file {access.token_file} cannot be read: {one_line(error)}"
                ) from None
            self._token, self._token_read_at = f"Bearer {token}", now
        return self._token

    async def _refresh(self) -> None:
        """Read all credentials anew, for the next request; the caller retries on its own terms."""
        async with self._refreshing:
            now = asyncio.get_running_loop().time()
            if now - self._refreshed_at < _REFRESH_PAUSE:
                return
            self._refreshed_at = now
            self._token_read_at = float("-inf")
            try:
                self._access = await load_access(*self._source)
            except UsageError as error:  # it was usable once: a rotation in progress
                raise ClusterUnreachableError(str(error)) from None


@asynccontextmanager
async def connect(kubeconfig: str, context: str) -> AsyncIterator[Connection]:
    """A connection to the cluster that kubectl would talk to. Raises UsageError."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        connection = Connection(session, kubeconfig, context)
        await connection.open()
        yield connection
