"""What operators ask for, and how it is answered."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.memory_store import MemoryStore
from watcher.bucket import requests
from watcher.bucket.layout import Layout
from watcher.bucket.requests import Request
from watcher.errors import BucketError, RefusedError

LAYOUT = Layout("example.com", "east")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
FOLDER = "example.com/east/_meta/requests/"


async def test_a_request_is_found_answered_and_then_left_alone() -> None:
    store, answered = MemoryStore(), set[str]()
    asked = await requests.ask(store, LAYOUT, by="laptop", at=NOW)
    assert await requests.open_requests(store, LAYOUT, answered) == [asked]
    await requests.answer(store, LAYOUT, asked, "running")
    (running,) = await requests.open_requests(store, LAYOUT, answered)
    assert running.state == "running"
    await requests.answer(store, LAYOUT, asked, "done", report="reports/reconcile-1.json")
    assert await requests.open_requests(store, LAYOUT, answered) == []
    told = await requests.read(store, LAYOUT, asked.key)
    assert (told.state, told.report, told.by) == ("done", "reports/reconcile-1.json", "laptop")


async def test_what_was_answered_is_not_read_again() -> None:
    store, answered = MemoryStore(), set[str]()
    asked = await requests.ask(store, LAYOUT, by="laptop", at=NOW)
    await requests.answer(store, LAYOUT, asked, "failed", error="the bucket is away")
    for _ in range(3):
        assert await requests.open_requests(store, LAYOUT, answered) == []
    assert sum(n for (what, _), n in store.requests.items() if what == "GET") == 1


async def test_several_are_answered_in_the_order_in_which_they_were_asked() -> None:
    store = MemoryStore()
    late = await requests.ask(store, LAYOUT, by="b", at=NOW + timedelta(microseconds=1))
    early = await requests.ask(store, LAYOUT, by="a", at=NOW)
    assert await requests.open_requests(store, LAYOUT, set()) == [early, late]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"format": 1, "do": "format the disk"}'])
async def test_garbage_is_passed_over_and_hides_nothing(body: bytes) -> None:
    store = MemoryStore()
    store.written_by_a_stranger(f"{FOLDER}0.json", body)
    asked = await requests.ask(store, LAYOUT, by="laptop", at=NOW)
    assert await requests.open_requests(store, LAYOUT, set()) == [asked]
    with pytest.raises(BucketError):
        Request.decode(body, "0.json")


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(RefusedError):
        Request.decode(b'{"format": 2}', "0.json")
