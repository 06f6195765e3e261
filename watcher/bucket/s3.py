"""S3 as the bucket: AWS, MinIO, Ceph RGW and what else speaks its protocol.

Exists because PUTs are what this program does, and GETs what a mirror does: `put_object` costs
680 us of CPU where 175 will do (2 KB and all metadata, to a server that does nothing), `get_object`
860 where 200 will do. So these two are ours: built here, signed by botocore's S3SigV4Auth, sent
over one aiohttp session. All the rest (listing, HEAD, DELETE) is aiobotocore's. How both reach the
server is connecting.py's matter.

Promises: store.py's; every refusal (answers.py) and every failure of the libraries (failures.py)
becomes an error with one line that names the setting to look at. Nothing is retried here, with two
exceptions: a request refused because its credentials expired is sent once more with new ones, as
nothing was written; and aiohttp repeats one that met a kept connection while the server closed it
(a conditional PUT may so meet itself: after a PreconditionError callers look who wrote).
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import botocore.exceptions as boto
from yarl import URL

from watcher.bucket.answers import Answer, Ask, DeniedError, ExpiredError, error_for
from watcher.bucket.connecting import TIMEOUTS, Connection, Place, connect
from watcher.bucket.failures import FAILURES, answer_of, failure, innermost
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
_SPARE_CONNECTIONS = 4  # beyond `concurrency`, so that checks don't queue behind writes

_T = TypeVar("_T")


class _Refused(Exception):
    """An answer to a request of our own that is no success."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class _Encryption:
    """What a write says about encryption at rest: nothing, or its kind and the key."""

    def __init__(self, kind: str, key_id: str) -> None:
        self.arguments = {"ServerSideEncryption": kind} if kind else {}
        self.headers = {"x-amz-server-side-encryption": kind} if kind else {}
        if key_id:
            self.arguments["SSEKMSKeyId"] = key_id
            self.headers["x-amz-server-side-encryption-aws-kms-key-id"] = key_id


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
        self._encryption = _Encryption(sse, sse_kms_key_id)
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
        await self._call("LIST", prefix, "list_objects_v2", Prefix=prefix, MaxKeys=1)

    async def now(self, prefix: str = "") -> datetime:
        found = await self._call("LIST", prefix, "list_objects_v2", Prefix=prefix, MaxKeys=1)
        try:
            return parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
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
            **self._encryption.headers,
            **{_META + name: value for name, value in (metadata or {}).items()},
        }
        match mode:
            case Create():
                headers["If-None-Match"] = "*"
            case Update(etag):
                headers["If-Match"] = etag
        ask = Ask("PUT", key, self.name, conditional=mode != OVERWRITE)

        async def send(at: Connection) -> Version:
            _, told = await self._ours(at, "PUT", key, headers, body)
            return Version(told["ETag"], _version_id(told.get("x-amz-version-id")))

        return await self._request(ask, send)

    async def get(self, key: str) -> tuple[bytes, Head]:
        async def fetch(at: Connection) -> tuple[bytes, Head]:
            body, told = await self._ours(at, "GET", key)
            version = _version_id(told.get("x-amz-version-id"))
            return body, Head(told["ETag"], _metadata(told), version)

        return await self._read(key, self._request(Ask("GET", key, self.name), fetch))

    async def head(self, key: str) -> Head:
        return _head(await self._read(key, self._call("HEAD", key, "head_object", Key=key)))

    async def delete(self, key: str) -> str:
        answer = await self._call("DELETE", key, "delete_object", Key=key)
        return _version_id(answer.get("VersionId"))

    async def copy(self, source: str, target: str) -> None:
        place = {"Bucket": self._bucket, "Key": source}
        arguments = {"CopySource": place, "Key": target, **self._encryption.arguments}
        await self._read(source, self._call("COPY", source, "copy_object", **arguments))

    async def list(
        self, prefix: str, *, start_after: str = ""
    ) -> AsyncGenerator[list[Listed], None]:
        start = {"StartAfter": start_after} if start_after else {}
        async for answer in self._pages(prefix, **start):
            if found := answer.get("Contents"):
                yield [_listed(it) for it in found]

    async def folders(self, prefix: str) -> tuple[str, ...]:
        found = []
        async for answer in self._pages(prefix, Delimiter="/"):
            found += [it["Prefix"] for it in answer.get("CommonPrefixes", ())]
        return tuple(sorted(folder.removeprefix(prefix).rstrip("/") for folder in found))

    async def _pages(self, prefix: str, **options: str) -> AsyncGenerator[Any, None]:
        more = True
        while more:
            answer = await self._call("LIST", prefix, "list_objects_v2", Prefix=prefix, **options)
            yield answer
            more = answer["IsTruncated"]
            options.pop("StartAfter", None)
            options["ContinuationToken"] = answer.get("NextContinuationToken", "")

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

    # One request

    async def _read(self, key: str, request: Awaitable[_T]) -> _T:
        """Its answer. Raises AbsentError too where the policy lets nobody see that a key is not
        there but in a listing."""
        try:
            return await request
        except DeniedError as denied:
            try:
                found = await self._call("LIST", key, "list_objects_v2", Prefix=key, MaxKeys=1)
            except BucketError:
                raise denied from None
            if any(it["Key"] == key for it in found.get("Contents", ())):
                raise
            raise AbsentError(str(denied)) from denied

    async def _call(self, operation: str, key: str, method: str, **arguments: Any) -> Any:
        def call(at: Connection) -> Any:
            return getattr(at.client, method)(Bucket=self._bucket, **arguments)

        return await self._request(Ask(operation, key, self.name), call)

    async def _request(self, ask: Ask, send: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Send, in a connection whose credentials are good. Raises BucketError only."""
        connection = await self._connect(ask)
        used = connection.credentials.current
        try:
            return await self._once(ask, send, connection)
        except ExpiredError:
            connection = await self._connect(ask, expired=used)
            return await self._once(ask, send, connection)

    async def _once(
        self, ask: Ask, send: Callable[[Connection], Awaitable[_T]], connection: Connection
    ) -> _T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        code = "error"
        try:
            result = await send(connection)
            code = "200"
            return result
        except _Refused as refused:
            code = str(refused.answer.status)
            raise error_for(refused.answer, ask) from None
        except boto.ClientError as error:
            answer = answer_of(error)
            code = str(answer.status)
            raise error_for(answer, ask) from error
        except FAILURES as error:
            code = "timeout" if isinstance(innermost(error), TimeoutError) else "error"
            raise failure(error, ask) from error
        finally:
            self._observe(ask.operation, code, loop.time() - began)

    async def _ours(
        self,
        at: Connection,
        method: str,
        key: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
    ) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of the answer, an ETag among them. Raises _Refused."""
        url = at.url + quote(key, safe="/~")
        keys = await at.credentials.get_frozen_credentials()
        async with at.http.request(
            method,
            URL(url, encoded=True),
            data=body if len(body) <= _LARGE else BytesIO(body),
            headers=sign(keys, self._place.region, method, url, headers, body),
            allow_redirects=False,
            proxy=at.proxy,
            timeout=TIMEOUTS[method],
        ) as response:
            answer = await response.read()
            if response.status != 200:
                raise _Refused(Answer.read(response.status, response.headers, answer))
            if "ETag" not in response.headers:
                raise _Refused(Answer(response.status, message="an answer without an ETag"))
            return answer, response.headers

    async def _connect(self, ask: Ask, *, expired: Any = None) -> Connection:
        """The connection, its credentials good and not those that expired."""
        try:
            if self._connection is None:
                async with self._opening:
                    self._connection = self._connection or await connect(
                        self._place, connections=self._connections
                    )
            connection = self._connection
            if expired is not None:
                await connection.credentials.renew(expired)
            # A refusal here is one of STS; while a request is signed, it would pass for S3's.
            await connection.credentials.get_frozen_credentials()
        except (*FAILURES, ValueError) as error:
            raise failure(error, ask) from error
        return connection


def _listed(found: Any) -> Listed:
    modified = datetime.fromisoformat(found["LastModified"])
    return Listed(found["Key"], found["ETag"], found["Size"], modified)


def _head(answer: Any) -> Head:
    return Head(answer["ETag"], answer["Metadata"], _version_id(answer.get("VersionId")))


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    told = ((name.lower(), value) for name, value in headers.items())
    return {name[len(_META) :]: value for name, value in told if name.startswith(_META)}


def _version_id(told: str | None) -> str:
    """ "null" is the one version of a bucket that does not keep old ones (any more)."""
    return told if told and told != "null" else ""


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
