"""The faults of the bucket in memory do what they say."""

import asyncio

import pytest

from tests.memory_store import Fault, MemoryStore
from watcher.bucket.store import CREATE
from watcher.errors import BucketUnreachableError, RejectedError, ThrottledError


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNREACHABLE, BucketUnreachableError),
        (Fault.THROTTLED, ThrottledError),
        (Fault.REJECTED, RejectedError),
    ],
)
async def test_a_request_that_fails_so_has_not_taken_place(
    fault: Fault, error: type[Exception]
) -> None:
    store = MemoryStore()
    store.fail_next(fault)
    with pytest.raises(error):
        await store.put("a", b"")
    assert store.objects() == {}
    await store.put("a", b"")
    assert (store.objects(), store.puts()) == ({"a": b""}, 2)


async def test_a_put_whose_answer_is_lost_has_taken_place() -> None:
    store = MemoryStore()
    store.fail_next(Fault.ANSWER_LOST)
    with pytest.raises(BucketUnreachableError):
        await store.put("a", b"landed", mode=CREATE)
    assert store.objects() == {"a": b"landed"}


@pytest.mark.looptime
async def test_a_late_put_lands_after_its_caller_gave_up() -> None:
    store = MemoryStore(late=30)
    store.fail_next(Fault.LATE)
    with pytest.raises(BucketUnreachableError):
        await store.put("a", b"old")
    await store.put("a", b"new")
    await asyncio.sleep(29)
    assert store.objects() == {"a": b"new"}
    await asyncio.sleep(2)
    assert store.objects() == {"a": b"old"}


@pytest.mark.looptime
async def test_a_silent_store_ends_by_the_callers_patience_only() -> None:
    store = MemoryStore()
    store.fail_next(Fault.SILENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await store.put("a", b"")
    assert store.objects() == {}


async def test_an_outage_lasts_until_it_is_over() -> None:
    store = MemoryStore()
    store.fail_all(Fault.UNREACHABLE)
    for _ in range(3):
        with pytest.raises(BucketUnreachableError):
            await store.check()
    store.recover()
    await store.check()


async def test_a_versioned_bucket_names_its_versions_and_its_marks() -> None:
    store = MemoryStore(versioned=True)
    _, first = await store.put("a", b"")
    _, second = await store.put("a", b"")
    mark = await store.delete("a")
    assert len({first, second, mark}) == 3
    assert (await MemoryStore().put("a", b"")).id == await MemoryStore().delete("a") == ""
