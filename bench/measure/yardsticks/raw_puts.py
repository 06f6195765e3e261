"""Raw PUTs by another client: the limit of that bucket on that machine.

Promises: the same keys and bytes as the first sync wrote, to a new bucket of the same server, as
many at a time; nothing is measured but the PUTs.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import obstore
from obstore.store import S3Store

from bench.measure.figures import Figures
from bench.measure.yardsticks.puts import timed
from tests.e2e.minio import Bucket


def stored(folder: Path) -> dict[str, bytes]:
    """Key -> bytes of the objects in a directory that was the bucket."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.yaml")
        if "/_meta/" not in str(path)
    }


def measure(bucket: Bucket, files: Mapping[str, bytes]) -> Figures:
    seconds, cpu = asyncio.run(_put_all(bucket, files))
    return {
        "raw-puts.wall_s": seconds,
        "raw-puts.per_second": len(files) / seconds,
        "raw-puts.cpu_ms": 1000 * cpu / len(files),
    }


def open_store(bucket: Bucket) -> S3Store:
    """The other client."""
    return S3Store(
        bucket.name,
        endpoint=bucket.endpoint,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )


async def _put_all(bucket: Bucket, files: Mapping[str, bytes]) -> tuple[float, float]:
    """Seconds of wall and of CPU."""
    store = open_store(bucket)
    return await timed(files, lambda key, body: obstore.put_async(store, key, body))
