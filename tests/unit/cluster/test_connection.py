"""Where the API server is and who we are, as kubectl finds it; and every failure in one line.

Over real sockets: TLS, credentials that rotate and programs that print them can't be played.
"""

import asyncio
import inspect
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import pytest
from aiohttp import web
from kubernetes_asyncio.config import incluster_config
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bench.cluster import Cluster
from bench.server import serve
from tests.networks import Authority, connect_proxy, outdated
from watcher.cluster.access import load_access
from watcher.cluster.api import API
from watcher.cluster.client import read, send
from watcher.cluster.connection import Connection, connect
from watcher.errors import ClusterUnreachableError, StatusError, UsageError

Object = dict[str, Any]
Allowed = Callable[[web.Request], bool]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, outside of any pod."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _programs_have_ended() -> Iterator[None]:
    """asyncio waits for a program in a thread that ends a moment after it."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("waitpid-"):
            thread.join(5)


@asynccontextmanager
async def api_server(
    allowed: Allowed = lambda request: True,
    tls: ssl.SSLContext | None = None,
    content: Object | None = None,
) -> AsyncIterator[str]:
    """Answers everything it allows with this content, or {}, the rest with 401."""

    async def handle(request: web.Request) -> web.Response:
        status = 200 if allowed(request) else 401
        return web.json_response(content or {}, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await asyncio.sleep(0.02)  # TLS says good-bye in a later turn


def bearer(token: Callable[[], str]) -> Allowed:
    return lambda request: request.headers.get("Authorization") == f"Bearer {token()}"


def config(
    server: str, user: Object | None = None, cluster: Object | None = None, *, name: str = "test"
) -> Object:
    """A kubeconfig whose parts are all called `name`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def written(path: Path, content: Object | str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


async def ask(api: API) -> int:
    try:
        return (await read(api, "/version"))[0]
    except StatusError as error:
        return error.status


# -- where the cluster is


async def test_a_kubeconfig_is_taken_by_its_name(home: Path) -> None:
    path = written(home / "there" / "config", config("http://127.0.0.1:1/"))
    assert (await load_access(path, "")).host == "http://127.0.0.1:1"
    assert (await load_access("~/there/config", "")).host == "http://127.0.0.1:1"


async def test_without_a_name_it_is_the_one_in_the_home(home: Path) -> None:
    written(home / ".kube" / "config", config("http://127.0.0.1:1"))
    assert (await load_access("", "")).host == "http://127.0.0.1:1"


_NOBODY = """
import asyncio, os, pwd
from watcher.cluster.access import load_access
from watcher.errors import UsageError

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
try:
    asyncio.run(load_access("", ""))
except UsageError as error:
    print(error)
"""


def test_a_user_whom_nobody_knows_has_no_home_to_look_into() -> None:
    """As OpenShift runs programs. In a process of its own: the library asks when it is imported."""
    printed = subprocess.run(
        [sys.executable, "-c", _NOBODY], env={}, capture_output=True, text=True, check=True
    ).stdout
    assert "neither a kubeconfig nor a pod's service account" in printed


async def test_several_kubeconfigs_are_one_and_missing_ones_are_passed_over(home: Path) -> None:
    one = written(home / "one", config("http://127.0.0.1:1", name="one"))
    two = written(home / "two", config("http://127.0.0.1:2", name="two"))
    paths = f"{one}:{home / 'missing'}:{two}"
    for context in ("one", "two"):
        number = {"one": 1, "two": 2}[context]
        assert (await load_access(paths, context)).host == f"http://127.0.0.1:{number}"


async def test_a_context_chooses_among_clusters(home: Path) -> None:
    both = config("http://127.0.0.1:1", name="one")
    other = config("http://127.0.0.1:2", name="two")
    for part in ("clusters", "users", "contexts"):
        both[part] += other[part]
    path = written(home / "config", both)
    assert (await load_access(path, "")).host == "http://127.0.0.1:1"
    assert (await load_access(path, "two")).host == "http://127.0.0.1:2"


def _without(*parts: str) -> Object:
    whole = config("http://127.0.0.1:1")
    return {key: value for key, value in whole.items() if key not in parts}


@pytest.mark.parametrize(
    ("content", "context", "says"),
    [
        (config("http://127.0.0.1:1"), "other", "other"),
        (_without("current-context"), "", "current-context"),
        (_without("clusters"), "", "test"),
        (_without("contexts"), "", "test"),
        (_without("users"), "", "there is no user"),
        ("a: [", "", "config"),
        ("", "", "config"),
        ("just text", "", "config"),
        ("\x00\x01", "", "config"),
        (config("http://127.0.0.1:1", {"tokenFile": "missing"}), "", "missing"),
        (config("http://127.0.0.1:1", {"exec": {"command": "/no/such"}}), "", "apiVersion"),
        (
            config("http://127.0.0.1:1", {"exec": {"apiVersion": "v1", "command": "/no/such"}}),
            "",
            "/no/such",
        ),
        (config("https://127.0.0.1:1", {}, {"certificate-authority": "gone"}), "", "gone"),
        (config("https://127.0.0.1:1", {}, {"certificate-authority-data": "YQ=="}), "", "cert"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_one_line(
    home: Path, content: Object | str, context: str, says: str
) -> None:
    path = written(home / "config", content)
    with pytest.raises(UsageError) as error:
        await load_access(path, context)
    assert says in str(error.value)
    assert str(error.value).startswith("kubeconfig: ")
    assert "\n" not in str(error.value)


async def test_a_missing_file_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*missing"):
        await load_access(str(home / "missing"), "")


async def test_without_any_cluster_it_says_what_is_expected() -> None:
    with pytest.raises(UsageError, match=r"no cluster to watch.*KUBECONFIG"):
        await load_access("", "")


async def test_what_comes_first_fails_at_once(home: Path) -> None:
    with pytest.raises(UsageError):
        async with connect(str(home / "missing"), ""):
            pytest.fail("connected")


# -- who we are


async def test_a_token_file_that_rotates_is_read_again_within_a_minute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = home / "secrets" / "token"
    path = written(home / "config", config("", {"tokenFile": "secrets/token"}))
    written(token, "one\n")
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    def note(request: web.Request) -> bool:
        asked.append(request.headers["Authorization"])
        return True

    async with api_server(note) as url:
        written(home / "config", config(url, {"tokenFile": "secrets/token"}))
        async with connect(path, "") as api:
            await ask(api)
            written(token, "two\n")
            await ask(api)
            time = loop.time
            monkeypatch.setattr(loop, "time", lambda: time() + 61)
            await ask(api)
    assert asked == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_refused_token_file_is_read_again_at_once(home: Path) -> None:
    token = home / "token"
    written(token, "one")
    async with api_server(bearer(lambda: "two")) as url:
        path = written(home / "config", config(url, {"tokenFile": str(token)}))
        async with connect(path, "") as api:
            written(token, "two")
            assert [await ask(api), await ask(api)] == [200, 200]
            written(token, "three")


async def test_a_token_file_that_vanishes_is_an_outage_and_not_an_end(home: Path) -> None:
    token = home / "token"
    written(token, "one")
    async with api_server() as url:
        path = written(home / "config", config(url, {"tokenFile": str(token)}))
        async with connect(path, "") as api:
            token.unlink()
            with pytest.raises(ClusterUnreachableError, match=r"token file .* cannot be read"):
                await ask(api)
            written(token, "one")
            assert await ask(api) == 200


async def test_an_exec_plugin_is_run_again_after_a_401(home: Path) -> None:
    token = home / "token"
    written(token, "one")
    credential = '{"apiVersion":"v1","kind":"ExecCredential","status":{"token":"%s"}}'
    program = home / "plugin"
    written(program, f"#!/bin/sh\nprintf '{credential}' \"$(cat {token})\"\n")
    program.chmod(0o755)
    user = {"exec": {"apiVersion": "v1", "command": str(program)}}
    async with api_server(bearer(token.read_text)) as url:
        path = written(home / "config", config(url, user))
        async with connect(path, "") as api:
            assert await ask(api) == 200
            written(token, "two")
            assert [await ask(api), await ask(api)] == [401, 200]


async def test_credentials_that_cannot_be_read_again_keep_the_old_ones(home: Path) -> None:
    async with api_server(lambda request: False) as url:
        path = written(home / "config", config(url, {"token": "one"}))
        async with connect(path, "") as api:
            written(home / "config", "a: [")
            with pytest.raises(ClusterUnreachableError, match="kubeconfig"):
                await ask(api)
            assert await ask(api) == 401


# -- TLS


@pytest.fixture
def authority(home: Path) -> Authority:
    return Authority(home)


def _has_client_certificate(request: web.Request) -> bool:
    assert request.transport is not None
    return bool(request.transport.get_extra_info("peercert"))


async def test_a_client_certificate_says_who_we_are(home: Path, authority: Authority) -> None:
    certificate, key = authority.issue("watcher")
    user = {"client-certificate": certificate.name, "client-key": key.name}
    async with api_server(_has_client_certificate, authority.server()) as url:
        cluster = {"certificate-authority": authority.ca.name}
        path = written(home / "config", config(url, user, cluster))
        async with connect(path, "") as api:
            assert await ask(api) == 200
        path = written(home / "config", config(url, {}, cluster))
        async with connect(path, "") as api:
            assert await ask(api) == 401


async def test_a_pod_has_a_service_account_whose_token_rotates(
    home: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = home / "token"
    written(token, "one\n")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority.ca))
    valid = "one"
    async with api_server(bearer(lambda: valid), authority.server()) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        async with connect("", "") as api:
            assert api.host == url
            assert await ask(api) == 200
            valid = "two"
            written(token, "two\n")
            assert [await ask(api), await ask(api)] == [401, 200]


async def test_a_pod_without_its_token_is_told_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(home / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(UsageError, match="service account cannot be used"):
        await load_access("", "")


@pytest.mark.parametrize(("address", "trusted"), [("127.0.0.1", False), ("127.0.0.2", True)])
async def test_a_server_that_is_not_the_one_meant_is_not_talked_to(
    home: Path, tmp_path_factory: pytest.TempPathFactory, address: str, trusted: bool
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    known = stranger if trusted else Authority(home)
    async with api_server(tls=stranger.server(address)) as url:
        path = written(home / "config", config(url, {}, {"certificate-authority": str(known.ca)}))
        async with connect(path, "") as api:
            with pytest.raises(ClusterUnreachableError, match="certificate verify failed") as error:
                await ask(api)
        insecure = {"insecure-skip-tls-verify": True}
        path = written(home / "config", config(url, {}, insecure))
        async with connect(path, "") as api:
            assert await ask(api) == 200
    assert "\n" not in str(error.value)


async def test_nobody_listening_is_told_with_the_address(home: Path) -> None:
    path = written(home / "config", config("http://127.0.0.1:1"))
    async with connect(path, "") as api:
        with pytest.raises(ClusterUnreachableError, match=r"http://127\.0\.0\.1:1: .*onnect"):
            await ask(api)


async def test_an_answer_that_is_all_there_comes_in_pieces_that_do_not_hold_up_the_loop(
    home: Path,
) -> None:
    async with api_server(content={"items": "x" * 1_000_000}) as url:
        path = written(home / "config", config(url))
        async with connect(path, "") as api, api.get("/api/v1/pods") as response:
            pieces = [len(piece) async for piece in response.chunks()]
    assert sum(pieces) > 1_000_000
    assert max(pieces) <= 32 * 1024


# -- company networks

INSIDE = "https://api.example.com:6443"


@pytest.fixture
def no_proxy_yet(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def test_the_api_server_is_reached_through_the_proxy_of_the_environment(
    home: Path, authority: Authority, no_proxy_yet: pytest.MonkeyPatch
) -> None:
    cluster = {"certificate-authority": str(authority.ca)}
    path = written(home / "config", config(INSIDE, {}, cluster))
    async with (
        api_server(tls=authority.server("api.example.com")) as url,
        connect_proxy(port_of(url), user="me:hush") as proxy,
    ):
        no_proxy_yet.setenv("HTTPS_PROXY", f"http://me:hush@{proxy.address}")
        async with connect(path, "") as api:
            assert await ask(api) == 200
    assert proxy.asked == ["api.example.com:6443"]


async def test_a_kubeconfigs_proxy_url_beats_that_of_the_environment(
    home: Path, authority: Authority, no_proxy_yet: pytest.MonkeyPatch
) -> None:
    no_proxy_yet.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with (
        api_server(tls=authority.server("api.example.com")) as url,
        connect_proxy(port_of(url)) as proxy,
    ):
        cluster = {
            "certificate-authority": str(authority.ca),
            "proxy-url": f"http://{proxy.address}",
        }
        path = written(home / "config", config(INSIDE, {}, cluster))
        async with connect(path, "") as api:
            assert await ask(api) == 200
    assert proxy.asked == ["api.example.com:6443"]


@pytest.mark.parametrize("server", ["https://10.96.0.1:443", "https://api.example.com"])
async def test_an_api_server_that_no_proxy_names_is_asked_directly(
    home: Path, server: str, no_proxy_yet: pytest.MonkeyPatch
) -> None:
    no_proxy_yet.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    path = written(home / "config", config(server))
    assert (await load_access(path, "")).proxy == "http://127.0.0.1:1"
    no_proxy_yet.setenv("NO_PROXY", "10.0.0.0/8,.example.com")
    assert (await load_access(path, "")).proxy is None


async def test_a_proxy_that_refuses_us_is_told_without_its_password(
    home: Path, no_proxy_yet: pytest.MonkeyPatch
) -> None:
    path = written(home / "config", config(INSIDE))
    async with connect_proxy(1, user="me:hush") as proxy:
        no_proxy_yet.setenv("HTTPS_PROXY", f"http://me:wrong-hush@{proxy.address}")
        async with connect(path, "") as api:
            with pytest.raises(ClusterUnreachableError, match="407") as error:
                await ask(api)
    assert "hush" not in str(error.value)


async def test_an_api_server_of_the_time_before_tls_1_2_is_not_talked_to(
    home: Path, authority: Authority
) -> None:
    async with api_server(tls=outdated(authority.server())) as url:
        cluster = {"certificate-authority": str(authority.ca)}
        path = written(home / "config", config(url, {}, cluster))
        async with connect(path, "") as api:
            with pytest.raises(ClusterUnreachableError, match="ssl"):
                await ask(api)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


# -- what aiohttp may raise


def _all_that_aiohttp_raises() -> list[type[Exception]]:
    found = {
        cls
        for _, cls in inspect.getmembers(aiohttp.client_exceptions, inspect.isclass)
        if issubclass(cls, Exception) and "WS" not in cls.__name__  # we open no WebSocket
    }
    return sorted(
        found | {TimeoutError, ConnectionResetError, ssl.SSLError}, key=lambda c: c.__name__
    )


def _made(cls: type[Exception]) -> Exception:
    """With the first arguments that it takes and can print."""
    info = aiohttp.RequestInfo(URL("http://x"), "GET", CIMultiDictProxy(CIMultiDict()), URL("x"))
    key = aiohttp.client_reqrep.ConnectionKey("x", 1, False, True, None, None, None)
    arguments: list[tuple[Any, ...]] = [
        ("two\nlines",),
        (info, ()),
        (key, OSError(1, "two\nlines")),
        (key, ssl.SSLCertVerificationError(1, "two\nlines")),
        ("/socket", key, OSError(1, "two\nlines")),
        (b"a", b"b", "x", 1),
        (),
    ]
    for given in arguments:
        try:
            error = cls(*given)
            str(error)
        except (TypeError, AttributeError, ValueError):
            continue
        return error
    raise AssertionError(f"cannot make {cls}")


class _Failing:
    """A session whose requests fail, or whose answers do while they are read."""

    def __init__(self, error: Exception, *, late: bool) -> None:
        self._error = error
        self._late = late
        self.status = 200
        self.headers: dict[str, str] = {}
        self.content = self

    async def request(self, *_: object, **__: object) -> "_Failing":
        if not self._late:
            raise self._error
        return self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield b"{"
        raise self._error

    def at_eof(self) -> bool:
        return True

    def release(self) -> None:
        pass


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("cls", _all_that_aiohttp_raises(), ids=lambda cls: cls.__name__)
async def test_whatever_aiohttp_raises_is_an_unreachable_cluster_in_one_line(
    home: Path, cls: type[Exception], late: bool
) -> None:
    path = written(home / "config", config("http://127.0.0.1:1"))
    session: Any = _Failing(_made(cls), late=late)
    connection = Connection(session, path, "")
    await connection.open()
    with pytest.raises(ClusterUnreachableError) as error:
        await read(connection, "/version")
    assert "\n" not in str(error.value)


def test_reading_a_kubeconfig_does_not_load_a_library_of_61_megabytes(home: Path) -> None:
    program = """
import asyncio, sys
from watcher.cluster.access import load_access
from watcher.errors import UsageError
try:
    asyncio.run(load_access("", ""))
except UsageError:
    pass
print(sum(name.startswith("kubernetes_asyncio.client") for name in sys.modules))
import kubernetes_asyncio.client
print(kubernetes_asyncio.client.V1Pod.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded, whole = done.stdout.split()
    assert int(loaded) < 5
    assert whole == "V1Pod", "whoever wants the whole library can have it"


async def test_a_lease_is_created_and_replaced_and_a_lost_race_is_a_status(home: Path) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    lease: Object = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "watcher"},
        "spec": {"holderIdentity": "a"},
    }
    async with (
        serve(Cluster(lambda: datetime.now(UTC))) as url,
        connect(written(home / "config", config(url)), "") as api,
    ):
        created = await send(api, "POST", path, lease)
        created["spec"]["holderIdentity"] = "b"
        replaced = await send(api, "PUT", f"{path}/watcher", created)
        assert replaced["spec"]["holderIdentity"] == "b"
        assert replaced["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
        with pytest.raises(StatusError) as error:
            await send(api, "PUT", f"{path}/watcher", created)
        assert error.value.status == 409
        with pytest.raises(StatusError) as error:
            await send(api, "POST", path, lease)
        assert error.value.status == 409
