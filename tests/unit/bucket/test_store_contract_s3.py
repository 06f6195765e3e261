"""The contract suite over S3 as moto plays it (real servers: tests/e2e)."""

from collections.abc import AsyncIterator
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from tests.store_contract import *  # noqa: F403
from watcher.bucket.s3 import S3
from watcher.bucket.store import Store


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
