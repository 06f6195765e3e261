"""How S3 is reached: where, as whom, over which TLS and through which proxy.

Exists because there are two who ask, each in a way of its own: the store by an HTTP session
(s3.py says why), who sets a bucket up by aiobotocore's client. Both have to trust the same
authority, show the same certificate and take the same proxy. Promises: no TLS before 1.2; a file
that cannot be used is an error that names its setting; credentials that end are loaded anew; the
client, 15 MB and 0.2 s, is made only for who needs it.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import botocore.exceptions as boto
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession, get_session
from botocore.httpsession import get_cert_path

from watcher.errors import RejectedError
from watcher.proxies import proxy_for

_CONNECT_TIMEOUT = 10.0  # seconds
_ANSWER_TIMEOUT = 60.0  # seconds: the whole of a PUT, the silence within another request
_ASKING = aiohttp.ClientTimeout(sock_read=_ANSWER_TIMEOUT, sock_connect=_CONNECT_TIMEOUT)
_SENDING = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT, sock_connect=_CONNECT_TIMEOUT)
TIMEOUTS = {"GET": _ASKING, "HEAD": _ASKING, "DELETE": _ASKING, "PUT": _SENDING}


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and who asks for it.

    endpoint: "http://minio:9000", or "" for AWS. keys: access key, secret key and session token,
    all "" for AWS's chain (environment, profile, IRSA, instance role). ca_file: instead of the
    system's authorities. client_cert_file: shown to a server that asks for one; its key is in
    client_key_file, else beside it.
    """

    bucket: str
    endpoint: str
    region: str
    keys: tuple[str, str, str] = field(repr=False)
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None

    @property
    def name(self) -> str:
        """For messages."""
        place = f"at {self.endpoint}" if self.endpoint else f"in {self.region}"
        return f"s3://{self.bucket} {place}"

    @property
    def client_cert(self) -> str | tuple[str, str] | None:
        """As botocore wants it."""
        if self.client_cert_file is None or self.client_key_file is None:
            return str(self.client_cert_file) if self.client_cert_file else None
        return str(self.client_cert_file), str(self.client_key_file)

    def url(self, service: str) -> str:
        """Of the bucket, with its last slash. Virtual-hosted on AWS, unless dots in the name would
        break its wildcard certificate."""
        if self.endpoint or "." in self.bucket:
            return f"{service}/{self.bucket}/"
        scheme, _, host = service.partition("://")
        return f"{scheme}://{self.bucket}.{host}/"


class Credentials(AioCredentials):  # type: ignore[misc]
    """What requests are signed with, from the same source anew once it has expired there.

    botocore renews what says when it expires. But a file that somebody else rewrites does not say.
    Plays both of botocore's parts: the provider, and the credentials that a client keeps.
    """

    def __init__(self, keys: tuple[str, str, str]) -> None:
        super().__init__("", "")  # nobody reads these: signers ask for frozen ones
        self._keys = keys
        self._renewing = asyncio.Lock()
        self.current: Any = None

    async def renew(self, expired: Any) -> None:
        """Load again, unless somebody has since `expired` was `current`."""
        async with self._renewing:
            if self.current is expired:
                self.current = await self._load()

    async def replace(self, keys: tuple[str, str, str]) -> None:
        """Load from another source from now on. Raises what failures.py has homes for."""
        self._keys = keys
        await self.renew(self.current)

    async def load_credentials(self) -> "Credentials":
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
            access_key, secret_key, token = self._keys
            session.set_credentials(access_key, secret_key, token or None)
        if (found := await session.get_credentials()) is None:
            raise boto.NoCredentialsError
        return found


@dataclass(frozen=True, slots=True)
class Connection:
    credentials: Credentials
    http: aiohttp.ClientSession
    url: str  # of the bucket, with its last slash
    proxy: str | None
    opened: AsyncExitStack


async def connect(place: Place, *, connections: int) -> Connection:
    """The store's way to ask; nothing is asked yet. connections: at a time.

    Raises RejectedError, ValueError, and what failures.py has homes for.
    """
    session, credentials = _session(place)
    tls = await asyncio.to_thread(_tls, _ca_file(place, session), place)
    await credentials.load_credentials()
    url = await _url(place, session)
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(_http(tls, connections))
        return Connection(credentials, http, url, proxy_for(url, os.environ), opened.pop_all())


@asynccontextmanager
async def client(place: Place) -> AsyncIterator[Any]:
    """aiobotocore's. Raises as `connect` does."""
    session, _ = _session(place)
    await asyncio.to_thread(_tls, _ca_file(place, session), place)  # its words say what is wrong
    url = await _url(place, session)
    proxy = proxy_for(url, os.environ)
    async with _client(place, session, {urlsplit(url).scheme: proxy} if proxy else {}) as made:
        yield made


def _session(place: Place) -> tuple[AioSession, Credentials]:
    session, credentials = get_session(), Credentials(place.keys)
    session.register_component("credential_provider", credentials)
    return session, credentials


def _ca_file(place: Place, session: AioSession) -> str:
    return str(place.ca_file or session.get_config_variable("ca_bundle") or get_cert_path(True))


async def _url(place: Place, session: AioSession) -> str:
    """Of the bucket. The address of AWS only a client knows."""
    if not place.endpoint:
        async with _client(place, session, {}) as made:
            return place.url(made.meta.endpoint_url)
    if not urlsplit(place.endpoint).hostname:
        raise ValueError(f"{place.endpoint} is no URL of a server")
    return place.url(place.endpoint)


def _client(place: Place, session: AioSession, proxies: dict[str, str]) -> Any:
    return session.create_client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint or None,
        verify=_ca_file(place, session),
        config=_config(place, proxies),
    )


def _config(place: Place, proxies: dict[str, str]) -> AioConfig:
    return AioConfig(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_ANSWER_TIMEOUT,
        proxies=proxies,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        s3={"addressing_style": "path" if place.endpoint else "auto"},
        client_cert=place.client_cert,
    )


def _http(tls: ssl.SSLContext, connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=tls),
        headers={"Accept-Encoding": "identity"},  # a gateway may not make other bytes of a file
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def _tls(ca_file: str, place: Place) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise RejectedError(
            f"{ca_file} holds no usable certificates: {error.strerror or error}",
            hint="setting minio-ca-file",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if (certificate := place.client_cert_file) is not None:
        try:
            # Without a password OpenSSL would ask the terminal for one.
            context.load_cert_chain(certificate, place.client_key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            raise RejectedError(
                f"{certificate} cannot be used: {getattr(error, 'strerror', None) or error}",
                hint="settings minio-client-cert-file and minio-client-key-file",
            ) from error
    return context
