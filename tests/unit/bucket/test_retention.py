"""Nothing in `_meta/` grows for ever, and nothing goes that somebody still needs."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.memory_store import Fault, MemoryStore
from watcher.bucket import retention
from watcher.bucket.journal import Position
from watcher.bucket.layout import Layout
from watcher.errors import BucketUnreachableError

pytestmark = pytest.mark.looptime

LAYOUT = Layout("example.com", "east")
META = "example.com/east/_meta/"
LAST = Position(9, 9)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def bucket(*names: str, page: int = 1000) -> MemoryStore:
    store = MemoryStore(page=page)
    for name in names:
        store.written_by_a_stranger(META + name, b"{}")
    return store


async def sweep(store: MemoryStore, checkpointed: Position | None = LAST) -> int:
    return await retention.sweep(
        store, LAYOUT, NOW, checkpointed=checkpointed, meta_days=90, trash_days=30
    )


def left(store: MemoryStore) -> set[str]:
    return {key.removeprefix(META) for key in store.objects()}


OLD = (
    "journal/2026/04/02/115959-3-17.ndjson",
    "reports/reconcile-20260402T115959Z.json",
    "requests/20260402T115959Z.json",
    "requests/20260402T115959123456Z.json",
    "heartbeat/2026-06-22.json",
    "heartbeat/2026-06-23.json",
    "trash/20260601T115959Z/shop/deployment/web.yaml",
)
YOUNG = (
    "journal/2026/04/02/120000-3-18.ndjson",
    "journal/2026/07/01/115900-4-1.ndjson",
    "reports/reconcile-20260402T120000Z.json",
    "requests/20260402T120000Z.json",
    "heartbeat/2026-06-24.json",
    "heartbeat/2026-07-01.json",
    "heartbeat/2026-07-03.json",
    "trash/20260601T120000Z/shop/deployment/web.yaml",
)
UNDATED = (
    "owner.json",
    "index.ndjson.gz",
    "deletes/held.json",
    "journal/readme.txt",
    "journal/2020/13/77/999999-1-1.ndjson",
    "journal/2020/01/01/000000-1-1.ndjson.bak",
    "reports/reconcile-2020.json",
    "requests/note.json",
    "heartbeat/backup-2020-01-01.json",
    "trash/20200101T000000Z",
    "trash/somewhere/20200101T000000Z/a.yaml",
)


@pytest.mark.parametrize("page", [1, 3, 1000])
async def test_what_its_name_says_is_too_old_goes_and_nothing_else(page: int) -> None:
    store = bucket(*OLD, *YOUNG, *UNDATED, page=page)
    assert await sweep(store) == len(OLD)
    assert left(store) == {*YOUNG, *UNDATED}
    assert await sweep(store) == 0


async def test_it_reads_names_alone() -> None:
    store = bucket(*OLD, *YOUNG, *UNDATED)
    await sweep(store)
    assert {operation for operation, _ in store.requests} == {"LIST", "DELETE"}


async def test_other_clusters_and_stored_objects_are_never_looked_at() -> None:
    store = bucket()
    others = {
        "example.com/west/_meta/" + OLD[0],
        "example.com/east/journal/configmap/a.yaml",
        "example.com/east1/_meta/" + OLD[3],
    }
    for key in others:
        store.written_by_a_stranger(key, b"")
    assert await sweep(store) == 0
    assert set(store.objects()) == others


async def test_files_of_the_journal_that_the_next_start_reads_stay_however_old() -> None:
    names = [f"journal/2026/01/01/00000{n}-{epoch}-{n}.ndjson" for epoch in (2, 3) for n in (1, 2)]
    store = bucket(*names)
    assert await sweep(store, Position(2, 2)) == 2
    assert left(store) == {name for name in names if "-3-" in name}


async def test_without_a_checkpoint_the_whole_journal_stays() -> None:
    store = bucket(*OLD)
    await sweep(store, None)
    assert left(store) == {OLD[0]}


async def test_a_heartbeat_from_the_future_goes_too_for_it_hides_all_others() -> None:
    store = bucket("heartbeat/2026-07-01.json", "heartbeat/2027-01-01.json")
    assert await sweep(store) == 1
    assert left(store) == {"heartbeat/2026-07-01.json"}


async def test_a_long_journal_is_listed_no_further_than_what_is_old() -> None:
    days = [
        f"journal/2026/0{m}/{d:02}/000000-1-{m * 100 + d}.ndjson"
        for m in (5, 6)
        for d in range(1, 31)
    ]
    store = bucket("journal/2026/01/01/000000-1-1.ndjson", *days, page=10)
    assert await sweep(store) == 1
    assert store.requests["LIST", META + "journal/"] == 1


async def test_it_takes_its_time() -> None:
    store = bucket(*(f"trash/20260101T000000Z/ns/pod/{n}.yaml" for n in range(100)))
    began = asyncio.get_running_loop().time()
    assert await sweep(store) == 100
    assert asyncio.get_running_loop().time() - began >= 9.9


async def test_a_bucket_that_refuses_ends_it_and_the_next_time_goes_on() -> None:
    store = bucket(*OLD)
    store.fail_next(Fault.NONE, Fault.NONE, Fault.UNREACHABLE)
    with pytest.raises(BucketUnreachableError):
        await sweep(store)
    assert await sweep(store) == len(OLD) - 1
