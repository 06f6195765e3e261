"""The cluster's own bytes: every list that `watcher` reads, page by page, as plainly as can be.

Exists so that yardsticks and stages work on the objects that were measured. Promises: the same
kinds and pages as `watcher` asks for, as many lists at a time, nothing decoded; of each kind so
many objects are kept as its share of the sample is.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from watcher.cluster import client
from watcher.cluster.api import API
from watcher.cluster.connection import connect
from watcher.cluster.discovery import discover
from watcher.cluster.kinds import KindFilter
from watcher.objects.ref import APIResource

_LISTS = 8  # at a time, as watcher


@dataclass(slots=True)
class Sample:
    """pages: of each kind that has objects, whole pages until some `wanted` objects of all kinds
    are kept. seconds, cpu: of reading all lists once."""

    pages: dict[APIResource, list[bytes]] = field(default_factory=dict)
    kinds: list[APIResource] = field(default_factory=list)
    objects: int = 0  # in all lists
    size: int = 0  # bytes of all lists
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def items(self) -> list[tuple[APIResource, bytes]]:
        """Each kept object as JSON, with what kind it is."""
        return [
            (resource, orjson.dumps(item))
            for resource, pages in self.pages.items()
            for page in pages
            for item in orjson.loads(page)["items"] or []
        ]


async def take(kubeconfig: Path, *, wanted: int) -> Sample:
    """Read all lists twice: once against the clock with nothing else done, once for the sample."""
    sample = Sample()
    async with connect(str(kubeconfig), "") as api:
        sample.kinds = await _kinds(api)
        waiting = iter(sample.kinds)

        async def read_on() -> None:
            for resource in waiting:
                async for page in _pages(api, resource):
                    sample.size += len(page)

        began, cpu = time.monotonic(), time.process_time()
        async with asyncio.TaskGroup() as reading:
            for _ in range(_LISTS):
                reading.create_task(read_on())
        sample.seconds, sample.cpu = time.monotonic() - began, time.process_time() - cpu
        counts = await _counts(api, sample.kinds)
        sample.objects = sum(counts.values())
        for resource, number in counts.items():
            share = wanted * number / max(sample.objects, 1)
            kept = 0
            async for page in _pages(api, resource):
                if kept < share:
                    sample.pages.setdefault(resource, []).append(page)
                    kept += client.PAGE_SIZE
    return sample


async def count(kubeconfig: Path) -> int:
    """Objects of all kinds that are read, by what the server says."""
    async with connect(str(kubeconfig), "") as api:
        return sum((await _counts(api, await _kinds(api))).values())


async def _kinds(api: API) -> list[APIResource]:
    return [it for it in (await discover(api)).resources if KindFilter().wants(it)]


async def _counts(api: API, kinds: Sequence[APIResource]) -> dict[APIResource, int]:
    return {it: await _count(api, it) for it in kinds}


async def _count(api: API, resource: APIResource) -> int:
    _, _, body = await client.read(api, resource.path, {"limit": "1"})
    page = orjson.loads(body)
    return len(page["items"] or []) + int(page["metadata"].get("remainingItemCount", 0))


async def _pages(api: API, resource: APIResource) -> AsyncIterator[bytes]:
    token = ""
    while True:
        query = client.paging(token=token, paged=True)
        _, _, body = await client.read(api, resource.path, query)
        yield body
        token = _token(body)
        if not token:
            return


def _token(page: bytes) -> str:
    """Of the next page, found without decoding this one: the list's metadata is at either end."""
    for part in (page[:2000], page[-2000:]):
        begin = part.find(b'"continue":"')
        if begin >= 0:
            return part[begin + 12 :].split(b'"', 1)[0].decode()
    return ""
