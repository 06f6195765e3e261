"""The real edge towards Kubernetes: where the API server is, who we are, and the HTTP to it.

Exists because kubernetes_asyncio reads every kind of kubeconfig (exec plugins, client
certificates, proxies) but its requests have no deadline, no refresh after a 401 and a pool that
hangs on the 101st watch: so it gives the configuration, and one aiohttp session without a limit
carries the bytes. Promises: credentials are the current ones (a service account's token file
rotates and is read again each minute; a 401 makes everything be read again, exec plugins too);
every failure of the layers below is a ClusterUnreachableError or a UsageError of one line.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, incluster_config, kube_config

from watcher.cluster.api import Response
from watcher.errors import ClusterUnreachableError, UsageError

_TOKEN_AGE = 60.0  # seconds until a token file is read again: kubelet rotates at 80 % of an hour
_REFRESH_PAUSE = 5.0  # seconds between two refreshes after 401: exec plugins are programs
_READ_BUFFER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one API server and who to be there."""

    host: str  # "https://10.0.0.1:6443"
    tls: ssl.SSLContext | None  # None: plain HTTP
    authorization: str  # whole header value, "" for none (client certificates are in `tls`)
    token_file: Path | None = None  # overrides `authorization`, read again and again
    proxy: str | None = None
    server_name: str | None = None


async def load_access(kubeconfig: str, context: str) -> Access:
    """Find the cluster as kubectl does: the named kubeconfig (several, `:`-separated), else
    ~/.kube/config, else the service account of the pod. Raises UsageError."""
    default = os.path.expanduser("~/.kube/config")
    if kubeconfig:
        return await _from_kubeconfig(kubeconfig, context)
    if context or os.path.isfile(default):
        return await _from_kubeconfig(default, context)
    if incluster_config.SERVICE_HOST_ENV_NAME in os.environ:
        return _from_service_account()
    raise UsageError(
        "kubeconfig: no cluster to watch: neither a kubeconfig nor a pod's service account",
        hint="expected --kubeconfig FILE, KUBECONFIG or ~/.kube/config",
    )


async def _from_kubeconfig(paths: str, context: str) -> Access:
    if not any(os.path.isfile(os.path.expanduser(path)) for path in paths.split(":")):
        raise UsageError(f"kubeconfig: there is no file {paths}")
    configuration = type.__call__(Configuration)
    try:
        merged = kube_config.KubeConfigMerger(paths).config
        loader = kube_config.KubeConfigLoader(
            config_dict=merged, active_context=context or None, config_base_path=None
        )
        await loader.load_and_set(configuration)
        token_file = _token_file(merged, loader)
    except Exception as error:  # whatever its YAML, JSON and file readers and plugins raise
        reason = " ".join(str(error).split()) or type(error).__name__
        where = f" (context {context})" if context else ""
        raise UsageError(f"kubeconfig: {paths}{where} cannot be used: {reason}") from None
    return _access(configuration, token_file)


def _token_file(merged: Any, loader: Any) -> Path | None:
    """kubernetes_asyncio reads a user's `tokenFile` once and encodes it: read it ourselves."""
    user = loader.current_context["context"].get("user")
    node: Any = merged["users"].get_with_name(user, safe=True) if user else None
    named = node["user"].safe_get("tokenFile") if node and node.safe_get("user") else None
    if not named:
        return None
    path = Path(named)
    return path if path.is_absolute() else Path(node.path or ".").parent / path


def _from_service_account() -> Access:
    configuration = type.__call__(Configuration)
    try:
        incluster_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise UsageError(f"the pod's service account cannot be used: {error}") from None
    return _access(configuration, Path(incluster_config.SERVICE_TOKEN_FILENAME))


def _access(configuration: Configuration, token_file: Path | None) -> Access:
    host = str(configuration.host).rstrip("/")
    tls = None
    if host.startswith("https"):
        try:
            tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
            if configuration.cert_file:
                tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"kubeconfig: a certificate cannot be used: {error}") from None
        if not configuration.verify_ssl:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    return Access(
        host=host,
        tls=tls,
        authorization=configuration.api_key.get("BearerToken", ""),
        token_file=token_file,
        proxy=configuration.proxy,
        server_name=configuration.tls_server_name,
    )


class _Answer:
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ClusterUnreachableError(f"the API server's answer broke off: {error}") from None


class Connection:
    """An API (api.py) over HTTP. Use `async with connect(...)`."""

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

    @asynccontextmanager
    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Response]:
        access = self._access
        assert access is not None, "open() comes first"
        authorization = self._authorization(access)
        sent = {"Accept": "application/json", **(headers or {})}
        if authorization:
            sent["Authorization"] = authorization
        try:
            answer = await self._session.get(
                access.host + path,
                params=query,
                headers=sent,
                ssl=access.tls if access.tls is not None else True,
                proxy=access.proxy,
                server_hostname=access.server_name,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ClusterUnreachableError(
                f"cannot reach the API server at {access.host}: {reason}"
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
            except OSError as error:
                raise ClusterUnreachableError(
                    f"the token file {access.token_file} cannot be read: {error.strerror}"
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
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, read_bufsize=_READ_BUFFER
    ) as session:
        connection = Connection(session, kubeconfig, context)
        await connection.open()
        yield connection
