"""The contract suite over S3 as moto plays it (real servers: tests/e2e)."""

from collections.abc import AsyncIterator, Iterator
from threading import Lock
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from tests.store_contract import *  # noqa: F403
from watcher.bucket.s3 import S3
from watcher.bucket.store import Store


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _one_at_a_time(server)
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _one_at_a_time(server: Any) -> None:
    """Its threads check a condition and write with nothing held in between: under load two
    conditional PUTs both succeed, which no S3 server does."""
    lock = Lock()
    application = server._server.app

    def locked(environ: Any, start_response: Any) -> list[bytes]:
        with lock:
            return list(application(environ, start_response))

    server._server.app = locked


@pytest.fixture
def bucket(moto: str) -> str:
    name = f"bucket-{uuid4().hex}"
    urlopen(Request(f"{moto}/{name}", method="PUT")).close()
    return name


@pytest.fixture
async def store(moto: str, bucket: str) -> AsyncIterator[Store]:
    s3 = S3(
        bucket,
        endpoint=moto,
        access_key="key",
        secret_key="secret",
        region="us-east-1",
        concurrency=16,
        observe=lambda *request: None,
    )
    yield s3
    await s3.close()
