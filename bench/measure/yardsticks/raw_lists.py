"""Listing a bucket by another client: what the bucket itself takes for it.

Promises: every key, 1,000 a page, one page after the other; nothing is done with them.
"""

import asyncio
import time

import obstore

from bench.measure.figures import Figures
from bench.measure.yardsticks.raw_puts import open_store
from tests.e2e.minio import Bucket


def measure(bucket: Bucket) -> Figures:
    began = time.monotonic()
    keys = asyncio.run(_list_all(bucket))
    return {"raw-lists.wall_s": time.monotonic() - began, "raw-lists.keys": keys}


async def _list_all(bucket: Bucket) -> int:
    """Keys."""
    pages = obstore.list(open_store(bucket), chunk_size=1000)
    return sum([len(page) async for page in pages])
