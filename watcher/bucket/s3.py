"""S3 as the bucket: AWS, MinIO, Ceph RGW and what else speaks its protocol.

Exists because PUTs are what this program does, and `put_object` costs 680 us of CPU where 175 will
do (2 KB and all metadata, to a server that does nothing). So PUT is ours: built here, signed by
botocore's S3SigV4Auth, sent over one aiohttp session. All the rest (credentials, listing, GET,
HEAD, DELETE) is aiobotocore's.

Promises: store.py's; every refusal (answers.py) and every failure of the libraries (failures.py)
becomes an error with one line that names the setting to look at. Nothing is retried here, with two
exceptions: a request refused because its credentials expired is sent once more with new ones, as
nothing was written; and aiohttp repeats one that met a kept connection while the server closed it
(a conditional PUT may so meet itself: after a PreconditionError callers look who wrote).
"""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import botocore.exceptions as boto
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import get_session
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from watcher.bucket.answers import Answer, Ask, ExpiredError, error_for
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
from watcher.errors import RejectedError

_CONNECT_TIMEOUT = 10.0  # seconds
_ANSWER_TIMEOUT = 60.0  # seconds: the whole of a PUT, the silence within another request
_LARGE = 2**20  # bytes, beyond which aiohttp wants a file: it then writes in turns with others
_SPARE_CONNECTIONS = 4  # beyond `concurrency`, so that checks don't queue behind writes

_T = TypeVar("_T")


class _Refused(Exception):
    """A PUT's answer that is no success."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class _Credentials(AioCredentials):  # type: ignore[misc]
    """What requests are signed with, from the same source anew once it has expired there.

    botocore renews what says when it expires. But a file that somebody else rewrites does not say.
    Plays both of botocore's parts: the provider, and the credentials that a client keeps.
    """

    def __init__(self, keys: tuple[str, str]) -> None:
        super().__init__("", "")  # nobody reads these: signers ask for frozen ones
        self._keys = keys
        self._renewing = asyncio.Lock()
        self.current: Any = None

    async def renew(self, expired: Any) -> None:
        """Load again, unless somebody has since `expired` was `current`."""
        async with self._renewing:
            if self.current is expired:
                self.current = await self._load()

    async def load_credentials(self) -> "_Credentials":
        await self.renew(None)
        return self

    async def get_frozen_credentials(self) -> Any:
        try:
            return await self.current.get_frozen_credentials()
        except RuntimeError as error:  # botocore's word for new ones that have expired as well
            raise boto.CredentialRetrievalError(provider="AWS", error_msg=str(error)) from error

    async def _load(self) -> Any:
        session = get_session()
        if any(self._keys):
            session.set_credentials(*self._keys)
        if (found := await session.get_credentials()) is None:
            raise boto.NoCredentialsError
        return found


@dataclass(frozen=True, slots=True)
class _Connection:
    client: Any  # aiobotocore's
    credentials: _Credentials
    http: aiohttp.ClientSession
    url: str  # of the bucket, with its last slash
    proxy: str | None
    opened: AsyncExitStack


class S3(Store):
    """One bucket. Connects at the first request; `close` when done.

    endpoint: "http://minio:9000", or "" for AWS. access_key, secret_key: both "" for AWS's chain
    (environment, profile, IRSA, instance role). ca_file: instead of the system's authorities.
    concurrency: requests that are under way at a time.
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
        concurrency: int,
        observe: Observe,
    ) -> None:
        self._bucket = bucket
        self._endpoint = endpoint.rstrip("/")
        self._keys = (access_key, secret_key)
        self._region = region
        self._ca_file = ca_file
        self._connections = concurrency + _SPARE_CONNECTIONS
        self._observe = observe
        self._opening = asyncio.Lock()
        self._connection: _Connection | None = None

    @property
    def name(self) -> str:
        place = f"at {self._endpoint}" if self._endpoint else f"in {self._region}"
        return f"s3://{self._bucket} {place}"

    @property
    def has_metadata(self) -> bool:
        return True

    async def check(self, prefix: str = "") -> None:
        await self._call("LIST", prefix, "list_objects_v2", Prefix=prefix, MaxKeys=1)

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
            **{f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()},
        }
        match mode:
            case Create():
                headers["If-None-Match"] = "*"
            case Update(etag):
                headers["If-Match"] = etag
        ask = Ask("PUT", key, self.name, conditional=mode != OVERWRITE)
        return await self._request(ask, lambda at: self._put(at, key, body, headers))

    async def get(self, key: str) -> tuple[bytes, Head]:
        async def fetch(at: _Connection) -> tuple[bytes, Head]:
            answer = await at.client.get_object(Bucket=self._bucket, Key=key)
            async with answer["Body"] as stream:
                return await stream.read(), _head(answer)

        return await self._request(Ask("GET", key, self.name), fetch)

    async def head(self, key: str) -> Head:
        answer = await self._call("HEAD", key, "head_object", Key=key)
        return _head(answer)

    async def delete(self, key: str) -> str:
        answer = await self._call("DELETE", key, "delete_object", Key=key)
        return _version_id(answer.get("VersionId"))

    async def copy(self, source: str, target: str) -> None:
        place = {"Bucket": self._bucket, "Key": source}
        await self._call("COPY", source, "copy_object", CopySource=place, Key=target)

    async def list(
        self, prefix: str, *, start_after: str = ""
    ) -> AsyncGenerator[list[Listed], None]:
        start = {"StartAfter": start_after} if start_after else {}
        async for answer in self._pages(prefix, **start):
            if found := answer.get("Contents"):
                yield [Listed(it["Key"], it["ETag"], it["Size"]) for it in found]

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

    async def close(self) -> None:
        if connection := self._connection:
            self._connection = None
            await connection.opened.aclose()

    # One request

    async def _call(self, operation: str, key: str, method: str, **arguments: Any) -> Any:
        def call(at: _Connection) -> Any:
            return getattr(at.client, method)(Bucket=self._bucket, **arguments)

        return await self._request(Ask(operation, key, self.name), call)

    async def _request(self, ask: Ask, send: Callable[[_Connection], Awaitable[_T]]) -> _T:
        """Send, in a connection whose credentials are good. Raises BucketError only."""
        connection = await self._connect(ask)
        used = connection.credentials.current
        try:
            return await self._once(ask, send, connection)
        except ExpiredError:
            connection = await self._connect(ask, expired=used)
            return await self._once(ask, send, connection)

    async def _once(
        self, ask: Ask, send: Callable[[_Connection], Awaitable[_T]], connection: _Connection
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

    async def _put(
        self, at: _Connection, key: str, body: bytes, headers: Mapping[str, str]
    ) -> Version:
        url = at.url + quote(key, safe="/~")
        keys = await at.credentials.get_frozen_credentials()
        async with at.http.put(
            URL(url, encoded=True),
            data=body if len(body) <= _LARGE else BytesIO(body),
            headers=sign(keys, self._region, url, headers, body),
            allow_redirects=False,
            proxy=at.proxy,
        ) as response:
            if response.status != 200:
                answer = Answer.read(response.status, response.headers, await response.read())
                raise _Refused(answer)
            if (etag := response.headers.get("ETag")) is None:
                raise _Refused(Answer(response.status, message="an answer without an ETag"))
            return Version(etag, _version_id(response.headers.get("x-amz-version-id")))

    # Connecting

    async def _connect(self, ask: Ask, *, expired: Any = None) -> _Connection:
        """The connection, its credentials good and not those that expired."""
        try:
            async with self._opening:
                if self._connection is None:
                    self._connection = await self._open()
            connection = self._connection
            if expired is not None:
                await connection.credentials.renew(expired)
            # A refusal here is one of STS; while a request is signed, it would pass for S3's.
            await connection.credentials.get_frozen_credentials()
        except (*FAILURES, ValueError) as error:
            raise failure(error, ask) from error
        return connection

    async def _open(self) -> _Connection:
        session = get_session()
        # Nobody reads LastModified, and parsing it is half the cost of a listing.
        parsers = session.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=lambda text: text)
        credentials = _Credentials(self._keys)
        session.register_component("credential_provider", credentials)
        ca_file = self._ca_file or session.get_config_variable("ca_bundle") or get_cert_path(True)
        try:
            tls = await asyncio.to_thread(_tls, str(ca_file))
        except OSError as error:
            raise RejectedError(
                f"{ca_file} holds no usable certificates: {error.strerror or error}",
                hint="setting minio-ca-file",
            ) from error
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(
                session.create_client(
                    "s3",
                    region_name=self._region,
                    endpoint_url=self._endpoint or None,
                    verify=str(ca_file),
                    config=AioConfig(
                        connect_timeout=_CONNECT_TIMEOUT,
                        read_timeout=_ANSWER_TIMEOUT,
                        max_pool_connections=self._connections,
                        retries={"total_max_attempts": 1},
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                        ignore_configured_endpoint_urls=True,
                        s3={"addressing_style": "path" if self._endpoint else "auto"},
                    ),
                )
            )
            http = await opened.enter_async_context(self._http(tls))
            url = self._url(client.meta.endpoint_url)
            proxy = get_environ_proxies(url).get(urlsplit(url).scheme)
            return _Connection(client, credentials, http, url, proxy, opened.pop_all())

    def _url(self, service: str) -> str:
        """Virtual-hosted on AWS, unless dots in the name would break its wildcard certificate."""
        if self._endpoint or "." in self._bucket:
            return f"{service}/{self._bucket}/"
        scheme, _, host = service.partition("://")
        return f"{scheme}://{self._bucket}.{host}/"

    def _http(self, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT, sock_connect=_CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _head(answer: Any) -> Head:
    return Head(answer["ETag"], answer["Metadata"], _version_id(answer.get("VersionId")))


def _version_id(told: str | None) -> str:
    """ "null" is the one version of a bucket that does not keep old ones (any more)."""
    return told if told and told != "null" else ""


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
