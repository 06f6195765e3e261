"""S3 in the networks of companies: private authorities, client certificates, proxies."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.networks import Authority, connect_proxy, outdated
from tests.unit.bucket.test_s3 import KEY, Server, failing, opened, put, refusal
from watcher.bucket.admin import administering
from watcher.bucket.s3 import S3
from watcher.errors import BucketUnreachableError, RejectedError

HOST = "minio.example.com"  # nobody resolves it but a proxy


async def set_up(s3: S3) -> None:
    """The library's way: that of who sets a bucket up."""
    async with administering(s3._place) as admin:
        await admin.look()


WAYS = pytest.mark.parametrize("ask", [put, set_up], ids=["our way", "the library's"])
Way = Callable[[S3], Awaitable[object]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def served(tls: ssl.SSLContext | None) -> AsyncIterator[Server]:
    server = Server()
    runner = await server.start(tls)
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[Server]:
    async with served(authority.server("127.0.0.1", HOST)) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One without proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


# Authorities


async def test_a_private_authority_is_trusted_by_both_ways_of_asking(
    secure: Server, authority: Authority
) -> None:
    store = opened(secure.url, ca_file=authority.ca)
    await store.delete(KEY)
    await store.put(KEY, b"")
    await store.close()
    assert len(secure.requests) == 2


@WAYS
async def test_an_authority_that_is_not_trusted_names_the_setting(secure: Server, ask: Way) -> None:
    store = opened(secure.url)
    error = await failing(ask(store), store)
    assert type(error) is RejectedError
    assert "minio-ca-file" in str(error)


async def test_https_to_a_server_without_it_names_the_endpoint() -> None:
    async with served(None) as server:
        store = opened(server.url.replace("http", "https"))
        assert "minio-endpoint" in str(await failing(store.put(KEY, b""), store))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_ca_file_without_certificates_names_the_setting(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "own.crt"
    if content is not None:
        file.write_text(content)
    store = opened("https://127.0.0.1:1", ca_file=file)
    error = await failing(store.check(), store)
    assert type(error) is RejectedError
    assert f"{file} holds no usable certificates" in str(error)
    assert "minio-ca-file" in str(error)


@WAYS
async def test_a_server_of_the_time_before_tls_1_2_is_not_talked_to(
    authority: Authority, ask: Way
) -> None:
    async with served(outdated(authority.server())) as server:
        store = opened(server.url, ca_file=authority.ca)
        error = await failing(ask(store), store)
    assert type(error) is BucketUnreachableError
    assert server.requests == []


# Client certificates


@pytest.fixture
async def strict(authority: Authority) -> AsyncIterator[Server]:
    """Talks to nobody without a certificate of the authority."""
    async with served(authority.server(clients=ssl.CERT_REQUIRED)) as server:
        yield server


@pytest.mark.parametrize("together", [False, True])
async def test_a_client_certificate_is_shown_by_both_ways_of_asking(
    strict: Server, authority: Authority, together: bool
) -> None:
    certificate, key = authority.issue("watcher", "127.0.0.1")
    if together:
        certificate.write_text(certificate.read_text() + key.read_text())
    store = opened(
        strict.url,
        ca_file=authority.ca,
        client_cert_file=certificate,
        client_key_file=None if together else key,
    )
    await store.put(KEY, b"")
    await store.delete(KEY)
    await store.close()
    assert len(strict.requests) == 2


@WAYS
async def test_a_server_that_misses_our_certificate_hears_nothing_from_us(
    strict: Server, authority: Authority, ask: Way
) -> None:
    """Of TLS 1.3 a client learns no more than that the connection ends."""
    store = opened(strict.url, ca_file=authority.ca)
    assert type(await failing(ask(store), store)) is BucketUnreachableError
    assert strict.requests == []


@pytest.mark.parametrize("wrong", ["no key", "another's key", "passphrase", "gone"])
async def test_a_client_certificate_that_cannot_be_used_names_the_settings(
    authority: Authority, tmp_path: Path, wrong: str
) -> None:
    certificate, key = authority.issue("watcher", "127.0.0.1")
    match wrong:
        case "no key":
            key.write_text("")
        case "another's key":
            _, key = authority.issue("other", "127.0.0.1")
        case "passphrase":
            key.write_bytes(authority.encrypted(key))
        case "gone":
            key.unlink()
    store = opened(
        "https://127.0.0.1:1",
        ca_file=authority.ca,
        client_cert_file=certificate,
        client_key_file=key,
    )
    error = await failing(store.check(), store)
    assert type(error) is RejectedError
    assert "(settings minio-client-cert-file and minio-client-key-file)" in str(error)


# Proxies


@WAYS
async def test_https_goes_through_the_proxy_of_the_environment(
    secure: Server, authority: Authority, environment: pytest.MonkeyPatch, ask: Way
) -> None:
    if ask is set_up:
        secure.answer = lambda request: refusal(403, "AccessDenied")
    async with connect_proxy(port_of(secure), user="me:hush") as proxy:
        environment.setenv("HTTPS_PROXY", f"http://me:hush@{proxy.address}")
        store = opened(f"https://{HOST}", ca_file=authority.ca)
        if ask is set_up:
            assert "AccessDenied" in str(await failing(ask(store), store))
        else:
            await ask(store)
            await store.close()
    assert proxy.asked == [f"{HOST}:443"]
    assert len(secure.requests) == 1


async def test_a_certificate_is_shown_to_the_server_behind_a_proxy_and_not_to_the_proxy(
    authority: Authority, environment: pytest.MonkeyPatch
) -> None:
    certificate, key = authority.issue("watcher", HOST)
    async with (
        served(authority.server(HOST, clients=ssl.CERT_REQUIRED)) as server,
        connect_proxy(port_of(server)) as proxy,
    ):
        environment.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        store = opened(
            f"https://{HOST}",
            ca_file=authority.ca,
            client_cert_file=certificate,
            client_key_file=key,
        )
        await store.put(KEY, b"")
        await store.delete(KEY)
        await store.close()
    assert len(server.requests) == 2


@WAYS
@pytest.mark.parametrize("no_proxy", ["10.0.0.0/8", "10.1.2.3", "*"])
async def test_what_no_proxy_names_is_asked_directly(
    environment: pytest.MonkeyPatch, ask: Way, no_proxy: str
) -> None:
    """The proxy is not there: whoever asks it fails by saying so."""
    environment.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    store = opened("https://10.1.2.3")
    assert "HTTPS_PROXY" in str(await failing(ask(store), store))
    environment.setenv("NO_PROXY", no_proxy)
    async with connect_proxy(1) as proxy:
        environment.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        store = opened("https://127.0.0.1:1")
        assert "HTTPS_PROXY" not in str(await failing(ask(store), store))
    assert proxy.asked == []


@WAYS
async def test_a_proxy_that_refuses_us_is_told_without_its_password(
    environment: pytest.MonkeyPatch, ask: Way
) -> None:
    async with connect_proxy(1, user="me:hush") as proxy:
        environment.setenv("HTTPS_PROXY", f"http://me:wrong-hush@{proxy.address}")
        store = opened(f"https://{HOST}")
        error = await failing(ask(store), store)
    assert type(error) is BucketUnreachableError
    assert "HTTPS_PROXY" in str(error)
    assert "hush" not in str(error)
