"""The do-nothing S3 server, as real clients see it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import aiohttp
import obstore
import pytest
from obstore.store import S3Store

from bench.sink import Kept, Sink
from watcher.bucket.ledger import etag_of
from watcher.bucket.s3 import S3
from watcher.bucket.store import CREATE, Update
from watcher.errors import AbsentError, PreconditionError

FILE = b"x: 1\n"
META = "a/b/_meta/owner.json"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    kept = Kept()
    opened: list[asyncio.BaseTransport] = []

    class Noted(Sink):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            opened.append(transport)
            super().connection_made(transport)

    server = await asyncio.get_running_loop().create_server(lambda: Noted(kept), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for transport in opened:
        transport.close()
    await asyncio.sleep(0)  # lets them close


@pytest.fixture
async def store(url: str) -> AsyncIterator[S3]:
    s3 = S3(
        "bucket",
        endpoint=url,
        access_key="key",
        secret_key="secret",
        region="us-east-1",
        concurrency=4,
        observe=lambda *request: None,
    )
    yield s3
    await s3.close()


async def test_an_object_is_answered_with_the_md5_of_its_body_and_forgotten(store: S3) -> None:
    version = await store.put("a/b/c/pod/d.yaml", FILE, metadata={"n": "v"}, mode=CREATE)
    assert version.etag == etag_of(FILE)
    with pytest.raises(AbsentError):
        await store.head("a/b/c/pod/d.yaml")
    assert [page async for page in store.list("a/b/")] == []


async def test_a_file_of_meta_is_kept_with_its_metadata(store: S3) -> None:
    await store.put(META, b"{}", metadata={"writer": "me"}, mode=CREATE)
    body, head = await store.get(META)
    assert (body, head.metadata) == (b"{}", {"writer": "me"})
    assert (await store.head(META)).etag == head.etag
    [[listed]] = [page async for page in store.list("a/b/_meta/")]
    assert (listed.key, listed.etag, listed.size) == (META, head.etag, 2)
    await store.delete(META)
    with pytest.raises(AbsentError):
        await store.get(META)


async def test_a_file_of_meta_is_held_to_its_conditions(store: S3) -> None:
    first = await store.put(META, b"1", mode=CREATE)
    for impossible in (CREATE, Update('"0"')):
        with pytest.raises(PreconditionError):
            await store.put(META, b"2", mode=impossible)
    await store.put(META, b"2", mode=Update(first.etag))
    assert (await store.get(META))[0] == b"2"


async def test_another_client_puts_too(url: str) -> None:
    store = S3Store(
        "bucket",
        endpoint=url,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        client_options={"allow_http": True},
    )
    told = await obstore.put_async(store, "a.yaml", FILE)
    assert told["e_tag"] == etag_of(FILE)


async def test_what_was_asked_is_counted(store: S3, url: str) -> None:
    await store.put("a.yaml", b"12345")
    assert [page async for page in store.list("a/b/")] == []
    async with aiohttp.ClientSession() as session, session.get(f"{url}/-") as answer:
        told = json.loads(await answer.read())
    assert told == {"PUT": 1, "LIST": 1, "bytes": 5}


TWO = (
    b"PUT /b/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    b"PUT /b/2 HTTP/1.1\r\nHost: x\r\ncontent-length: 0\r\n\r\n"
)


@pytest.mark.parametrize("cut", [lambda n=n: n for n in (1, 20, 47, 60, 63, len(TWO))])
async def test_requests_are_told_apart_wherever_the_bytes_are_cut(
    url: str, cut: Callable[[], int]
) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    for part in (TWO[: cut()], TWO[cut() :]):
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)
    writer.write_eof()
    answers = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answers.count(b"HTTP/1.1 200") == 2
    for body in (b"abc", b""):
        assert hashlib.md5(body).hexdigest().encode() in answers


async def test_a_client_that_waits_for_100_is_told_to_go_on(url: str) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(b"PUT /b/1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")
    await reader.readline()
    writer.write(b"x")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
