"""A bucket that keeps no versions has a trash: each deleted file, once, until it is put back."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.memory_store import Fault, MemoryStore
from watcher.bucket import trash
from watcher.bucket.layout import Layout
from watcher.bucket.trash import Trash
from watcher.errors import BucketUnreachableError

LAYOUT = Layout("example.com", "east")
PREFIX = "example.com/east/"
KEY = "shop/configmap/a.yaml"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
IN_TRASH = f"{PREFIX}_meta/trash/20260701T120000Z/{KEY}"


async def filled() -> MemoryStore:
    store = MemoryStore()
    await store.put(PREFIX + KEY, b"a: 1\n", metadata={"watcher-uid": "u1"})
    return store


async def test_a_file_is_copied_whole_and_with_its_metadata() -> None:
    store = await filled()
    await Trash(store, LAYOUT).take(KEY, "etag", NOW)
    body, head = await store.get(IN_TRASH)
    assert body == b"a: 1\n"
    assert head.metadata == {"watcher-uid": "u1"}


async def test_a_file_that_is_not_there_is_fine() -> None:
    store = MemoryStore()
    await Trash(store, LAYOUT).take(KEY, "etag", NOW)
    assert store.objects() == {}


async def test_a_deletion_that_is_tried_again_does_not_fill_the_trash() -> None:
    store = await filled()
    bin = Trash(store, LAYOUT)
    store.fail_next(Fault.UNREACHABLE)
    with pytest.raises(BucketUnreachableError):
        await bin.take(KEY, "etag", NOW)
    for seconds in range(5):
        await bin.take(KEY, "etag", NOW + timedelta(seconds=seconds))
    assert [key for key in store.objects() if "trash" in key] == [IN_TRASH]


async def test_another_file_of_the_same_name_is_copied_too() -> None:
    store = await filled()
    bin = Trash(store, LAYOUT)
    await bin.take(KEY, "etag", NOW)
    bin.gone(KEY)
    await bin.take(KEY, "etag", NOW + timedelta(seconds=1))
    await bin.take(KEY, "other", NOW + timedelta(seconds=2))
    assert len(await trash.thrown(store, LAYOUT)) == 3


async def test_the_trash_is_listed_by_key_the_newest_first_and_strangers_are_left_aside() -> None:
    store = await filled()
    later = NOW + timedelta(days=1)
    await Trash(store, LAYOUT).take(KEY, "1", NOW)
    await Trash(store, LAYOUT).take(KEY, "2", later)
    store.written_by_a_stranger(f"{PREFIX}_meta/trash/notes.txt", b"")
    store.written_by_a_stranger(f"{PREFIX}_meta/trash/20269901T120000Z/a/b/c.yaml", b"")
    found = await trash.thrown(store, LAYOUT)
    assert [(each.key, each.at) for each in found] == [(KEY, later), (KEY, NOW)]


async def test_a_file_is_put_back_with_its_metadata_unless_there_is_one() -> None:
    store = await filled()
    await Trash(store, LAYOUT).take(KEY, "etag", NOW)
    [file] = await trash.thrown(store, LAYOUT)
    assert not await trash.put_back(store, LAYOUT, file)
    await store.delete(PREFIX + KEY)
    assert await trash.put_back(store, LAYOUT, file)
    body, head = await store.get(PREFIX + KEY)
    assert (body, head.metadata) == (b"a: 1\n", {"watcher-uid": "u1"})
