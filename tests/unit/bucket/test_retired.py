"""The mark of a cluster that is no more: who may have old backups is said in the bucket itself."""

from datetime import UTC, datetime

import pytest

from tests.memory_store import MemoryStore
from watcher.bucket import retired
from watcher.bucket.layout import Layout
from watcher.bucket.retired import Retired
from watcher.errors import BucketError, PreconditionError, RefusedError

EAST = Layout("example.com", "east")
KEY = "example.com/east/_meta/retired.json"
MARK = Retired(datetime(2026, 7, 1, 12, tzinfo=UTC), "moved to west")


async def test_a_cluster_is_retired_from_its_mark_until_it_is_taken_back() -> None:
    store = MemoryStore()
    assert await retired.read(store, EAST) is None
    await retired.mark(store, EAST, MARK)
    assert await retired.read(store, EAST) == MARK
    await retired.unmark(store, EAST)
    assert await retired.read(store, EAST) is None


async def test_an_older_mark_is_not_overwritten() -> None:
    store = MemoryStore()
    await retired.mark(store, EAST, MARK)
    with pytest.raises(PreconditionError):
        await retired.mark(store, EAST, Retired(MARK.at, "for another reason"))
    assert await retired.read(store, EAST) == MARK


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": 1, "at": "soon", "reason": ""}',
        b'{"format": 1, "at": 5, "reason": ""}',
        b'{"format": 1, "at": "2026-07-01T12:00:00", "reason": ""}',
        b'{"format": 1, "at": "2026-07-01T12:00:00Z"}',
    ],
)
async def test_what_is_no_mark_is_said(body: bytes) -> None:
    store = MemoryStore()
    store.written_by_a_stranger(KEY, body)
    with pytest.raises(BucketError, match=r"retired\.json is no mark of a retired cluster"):
        await retired.read(store, EAST)


async def test_a_newer_format_is_refused() -> None:
    store = MemoryStore()
    store.written_by_a_stranger(KEY, b'{"format": 2}')
    with pytest.raises(RefusedError, match="has format 2"):
        await retired.read(store, EAST)
