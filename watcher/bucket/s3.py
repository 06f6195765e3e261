"""S3 as the bucket: AWS, MinIO, Ceph RGW and what else speaks its protocol.

Exists because PUTs are what this program does, and GETs and listings what a mirror does:
aiobotocore takes 680 us of CPU for a PUT where 175 will do (2 KB and all metadata, to a server that
does nothing), 860 for a GET where 200 will do, 50 for a listed key where 7 will do, and 15 MB. So
the few requests that are needed are built here, signed by botocore's S3SigV4Auth with the
credentials that aiobotocore finds, and sent over one aiohttp session (connecting.py).

Promises: store.py's; every refusal (answers.py) and every failure of the libraries (failures.py)
becomes an error with one line that names the setting to look at. Nothing is retried here, with two
exceptions: a request refused because its credentials expired is sent once more with new ones, as
nothing was written; and aiohttp repeats one that met a kept connection while the server closed it
(a conditional PUT may so meet itself: after a PreconditionError callers look who wrote).
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yarl import URL

from watcher.bucket import listing
from watcher.bucket.answers import Answer, Ask, DeniedError, ExpiredError, error_for
from watcher.bucket.connecting import TIMEOUTS, Connection, Place, connect
from watcher.bucket.failures import FAILURES, failure
from watcher.bucket.signing import sign
from watcher.bucket.store import (
    OVERWRITE,
    Create,
    Head,
    Listed,
    Observe,
    PutMode,
    Store,
    Update,
    Version,
)
from watcher.errors import AbsentError, BucketError

_LARGE = 2**20  # bytes, beyond which aiohttp wants a file: it then writes in turns with others
_META = "x-amz-meta-"
_NO_HEADERS: Mapping[str, str] = {}
_GOOD = {200, 204}
_TAGGED = {"PUT", "GET", "HEAD"}  # whose answers have an ETag
_SPARE_CONNECTIONS = 4  # beyond `concurrency`, so that checks don't queue behind writes


class S3(Store):
    """One bucket. Connects at the first request; `close` when done.

    sse: the encryption at rest that each PUT and copy asks for, as its header has it; "": none.
    concurrency: requests that are under way at a time. The rest: see connecting.py's `Place`.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str = "",
        access_key: str = "",
        secret_key: str = "",
        region: str,
        ca_file: Path | None = None,
        client_cert_file: Path | None = None,
        client_key_file: Path | None = None,
        sse: str = "",
        sse_kms_key_id: str = "",
        concurrency: int,
        observe: Observe,
    ) -> None:
        self._bucket = bucket
        self._place = Place(
            bucket,
            endpoint.rstrip("/"),
            region,
            keys=(access_key, secret_key, ""),
            ca_file=ca_file,
            client_cert_file=client_cert_file,
            client_key_file=client_key_file,
        )
        self._encryption = _encryption(sse, sse_kms_key_id)
        self._connections = concurrency + _SPARE_CONNECTIONS
        self._observe = observe
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        return self._place.name

    @property
    def has_metadata(self) -> bool:
        return True

    async def check(self, prefix: str = "") -> None:
        await self._page(prefix, max_keys="1")

    async def now(self, prefix: str = "") -> datetime:
        _, told = await self._page(prefix, max_keys="1")
        try:
            return parsedate_to_datetime(told["Date"])
        except (KeyError, ValueError) as error:
            raise BucketError(f"{self.name} does not tell the time (header Date)") from error

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/yaml",
        mode: PutMode = OVERWRITE,
    ) -> Version:
        headers = {
            "Content-Type": content_type,
            "Content-MD5": base64.b64encode(_md5(body)).decode(),
            **self._encryption,
            **{_META + name: value for name, value in (metadata or {}).items()},
        }
        match mode:
            case Create():
                headers["If-None-Match"] = "*"
            case Update(etag):
                headers["If-Match"] = etag
        ask = Ask("PUT", key, self.name, conditional=mode != OVERWRITE)
        _, told = await self._request(ask, "PUT", _path(key), headers, body)
        return Version(told["ETag"], _version_id(told))

    async def get(self, key: str) -> tuple[bytes, Head]:
        body, told = await self._read(Ask("GET", key, self.name), "GET", _path(key))
        return body, _head(told)

    async def head(self, key: str) -> Head:
        _, told = await self._read(Ask("HEAD", key, self.name), "HEAD", _path(key))
        return _head(told)

    async def delete(self, key: str) -> str:
        _, told = await self._request(Ask("DELETE", key, self.name), "DELETE", _path(key))
        return _version_id(told)

    async def copy(self, source: str, target: str) -> None:
        ask = Ask("COPY", source, self.name)
        headers = {"x-amz-copy-source": f"{self._bucket}/{_path(source)}", **self._encryption}
        body, told = await self._read(ask, "PUT", _path(target), headers)
        if b"<Error>" in body:  # found after the headers were sent
            raise error_for(Answer.read(500, told, body), ask)

    async def list(
        self, prefix: str, *, start_after: str = ""
    ) -> AsyncGenerator[list[Listed], None]:
        async for page in self._pages(prefix, start_after=start_after):
            if page.objects:
                yield page.objects

    async def folders(self, prefix: str) -> tuple[str, ...]:
        found = []
        async for page in self._pages(prefix, delimiter="/"):
            found += page.folders
        return tuple(sorted(folder.removeprefix(prefix).rstrip("/") for folder in found))

    async def use_keys(self, access_key: str, secret_key: str) -> None:
        async with self._opening:
            self._place = replace(self._place, keys=(access_key, secret_key, ""))
            if self._connection is None:
                return
            try:
                await self._connection.credentials.replace(self._place.keys)
            except (*FAILURES, ValueError) as error:
                raise failure(error, Ask("GET", "credentials", self.name)) from error

    async def close(self) -> None:
        if connection := self._connection:
            self._connection = None
            await connection.opened.aclose()

    # Requests

    async def _pages(self, prefix: str, **how: str) -> AsyncGenerator[listing.Page, None]:
        page, _ = await self._page(prefix, **how)
        yield page
        how.pop("start_after", None)
        while page.token:
            page, _ = await self._page(prefix, **how, continuation_token=page.token)
            yield page

    async def _page(self, prefix: str, **how: str) -> tuple[listing.Page, Mapping[str, str]]:
        ask = Ask("LIST", prefix, self.name)
        body, told = await self._request(ask, "GET", f"?{listing.query(prefix, **how)}")
        try:
            return listing.read(body), told
        except ValueError as error:
            raise error_for(Answer(200, message=f"no listing: {error}"), ask) from error

    async def _read(
        self, ask: Ask, method: str, path: str, headers: Mapping[str, str] = _NO_HEADERS
    ) -> tuple[bytes, Mapping[str, str]]:
        """Raises AbsentError too where the policy lets nobody see that a key is not there but in a
        listing."""
        try:
            return await self._request(ask, method, path, headers)
        except DeniedError as denied:
            try:
                page, _ = await self._page(ask.key, max_keys="1")
            except BucketError:
                raise denied from None
            if any(it.key == ask.key for it in page.objects):
                raise
            raise AbsentError(str(denied)) from denied

    async def _request(
        self,
        ask: Ask,
        method: str,
        path: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
    ) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of the answer, with credentials that are good. path: below the bucket,
        encoded. Raises BucketError only."""
        at, keys = await self._connect(ask)
        used = at.credentials.current
        try:
            return await self._once(ask, at, keys, method, path, headers, body)
        except ExpiredError:
            at, keys = await self._connect(ask, expired=used)
            return await self._once(ask, at, keys, method, path, headers, body)

    async def _once(
        self,
        ask: Ask,
        at: Connection,
        keys: Any,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[bytes, Mapping[str, str]]:
        clock = asyncio.get_running_loop().time
        began = clock()
        code = "error"
        url = at.url + path
        try:
            async with at.http.request(
                method,
                URL(url, encoded=True),
                data=body if len(body) <= _LARGE else BytesIO(body),
                headers=sign(keys, self._place.region, method, url, headers, body),
                allow_redirects=False,
                proxy=at.proxy,
                timeout=TIMEOUTS[method],
            ) as response:
                code = str(response.status)
                content, told = await response.read(), response.headers
        except FAILURES as error:
            code = "timeout" if isinstance(error, TimeoutError) else "error"
            raise failure(error, ask) from error
        finally:
            self._observe(ask.operation, code, clock() - began)
        if response.status not in _GOOD:
            raise error_for(Answer.read(response.status, told, content), ask)
        if ask.operation in _TAGGED and "ETag" not in told:
            raise error_for(Answer(response.status, message="an answer without an ETag"), ask)
        return content, told

    async def _connect(self, ask: Ask, *, expired: Any = None) -> tuple[Connection, Any]:
        """The connection, and what to sign with: good credentials, not those that expired."""
        try:
            if self._connection is None:
                async with self._opening:
                    self._connection = self._connection or await connect(
                        self._place, connections=self._connections
                    )
            connection = self._connection
            if expired is not None:
                await connection.credentials.renew(expired)
            return connection, await connection.credentials.get_frozen_credentials()
        except (*FAILURES, ValueError) as error:
            raise failure(error, ask) from error


def _encryption(kind: str, key_id: str) -> dict[str, str]:
    """What a write says about encryption at rest: nothing, or its kind and the key."""
    headers = {"x-amz-server-side-encryption": kind} if kind else {}
    if key_id:
        headers["x-amz-server-side-encryption-aws-kms-key-id"] = key_id
    return headers


def _path(key: str) -> str:
    return quote(key, safe="/~")


def _head(told: Mapping[str, str]) -> Head:
    named = ((name.lower(), value) for name, value in told.items())
    metadata = {name[len(_META) :]: value for name, value in named if name.startswith(_META)}
    return Head(told["ETag"], metadata, _version_id(told))


def _version_id(told: Mapping[str, str]) -> str:
    """ "null" is the one version of a bucket that does not keep old ones (any more)."""
    version = told.get("x-amz-version-id", "")
    return version if version != "null" else ""


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
