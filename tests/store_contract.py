"""What every store promises (watcher/bucket/store.py), as plain functions over a `store` fixture.

A test module gets them by importing all of them beside its own `store`: an empty bucket.
"""

import asyncio
from datetime import datetime, timedelta
from hashlib import md5

import pytest

from watcher.bucket.store import CREATE, Listed, Store, Update
from watcher.errors import AbsentError, PreconditionError

AWKWARD = [
    "cl1/_cluster/clusterrole/system%3Anode.yaml",
    "cl1/ns/kind/a:b@c.yaml",
    "cl1/ns/kind/a~b.yaml",
    "cl1/ns/kind/a b.yaml",
    "cl1/ns/kind/a+b.yaml",
    "cl1/ns/kind/a%20b.yaml",
    "cl1/ns/kind/a%2Bb.yaml",
    "cl1/ns/kind/café-日本.yaml",
    "cl1/ns/kind/&<>'\"!$()*,;=?#[].yaml",
    f"cl1/ns/kind/{'x' * 255}",
    "cl1/ns/kind/..a",
]


async def everything(store: Store, prefix: str = "", *, start_after: str = "") -> list[Listed]:
    return [it async for page in store.list(prefix, start_after=start_after) for it in page]


async def keys(store: Store, prefix: str = "", *, start_after: str = "") -> list[str]:
    return [it.key for it in await everything(store, prefix, start_after=start_after)]


async def test_a_usable_store_passes_its_check(store: Store) -> None:
    await store.check("cl1/")


async def test_what_was_put_comes_back_under_any_key(store: Store) -> None:
    etags = {key: (await store.put(key, key.encode())).etag for key in AWKWARD}
    for key, etag in etags.items():
        body, head = await store.get(key)
        assert (key, body, head.etag) == (key, key.encode(), etag)
        assert (await store.head(key)).etag == etag
    assert await everything(store) == [
        Listed(key, etags[key], len(key.encode())) for key in sorted(AWKWARD, key=str.encode)
    ]
    for key in AWKWARD:
        await store.delete(key)
    assert await everything(store) == []


async def test_a_listing_tells_when_each_key_was_last_written(store: Store) -> None:
    async def modified() -> dict[str, datetime]:
        return {it.key: it.modified for it in await everything(store)}

    began = await store.now("cl1/") - timedelta(seconds=2)
    await store.put("cl1/ns/kind/a.yaml", b"one")
    await store.put("cl1/ns/kind/b.yaml", b"one")
    before = await modified()
    await store.put("cl1/ns/kind/a.yaml", b"two")
    after = await modified()
    assert after["cl1/ns/kind/a.yaml"] >= before["cl1/ns/kind/a.yaml"] >= began
    assert await store.now("cl1/") >= after["cl1/ns/kind/a.yaml"] - timedelta(seconds=2)
    assert after["cl1/ns/kind/b.yaml"] == before["cl1/ns/kind/b.yaml"]
    assert all(each.utcoffset() == timedelta(0) for each in after.values())


@pytest.mark.parametrize("body", [b"", bytes(range(256)) * 20_000], ids=["empty", "5 MB"])
async def test_bodies_of_any_size_come_back(store: Store, body: bytes) -> None:
    await store.put("cl1/ns/kind/a.yaml", body)
    found, _ = await store.get("cl1/ns/kind/a.yaml")
    assert found == body
    assert [it.size for it in await everything(store)] == [len(body)]


async def test_an_etag_is_the_md5_of_the_body_in_quotes(store: Store) -> None:
    etag, _ = await store.put("cl1/ns/kind/a.yaml", b"one")
    assert etag == f'"{md5(b"one").hexdigest()}"'


async def test_a_later_put_replaces_body_and_metadata(store: Store) -> None:
    await store.put("cl1/ns/kind/a.yaml", b"one", metadata={"watcher-uid": "1"})
    await store.put("cl1/ns/kind/a.yaml", b"two")
    body, head = await store.get("cl1/ns/kind/a.yaml")
    assert (body, dict(head.metadata)) == (b"two", {})


async def test_metadata_comes_back_where_the_store_has_any(store: Store) -> None:
    metadata = {"watcher-format": "1", "watcher-manager": "caf%C3%A9%20%2B", "watcher-uid": ""}
    await store.put("cl1/ns/kind/a.yaml", b"", metadata=metadata)
    expected = metadata if store.has_metadata else {}
    assert (await store.head("cl1/ns/kind/a.yaml")).metadata == expected
    assert (await store.get("cl1/ns/kind/a.yaml"))[1].metadata == expected


async def test_an_absent_key_says_so(store: Store) -> None:
    await store.put("cl1/ns/kind/a.yaml", b"")
    for absent in ("cl1/ns/kind/b.yaml", "cl1/ns", "cl1/other/kind/a.yaml"):
        with pytest.raises(AbsentError):
            await store.get(absent)
        with pytest.raises(AbsentError):
            await store.head(absent)


async def test_deleting_twice_is_fine_and_leaves_the_others(store: Store) -> None:
    await store.put("cl1/ns/kind/a.yaml", b"")
    await store.put("cl1/ns/kind/b.yaml", b"")
    for _ in range(2):
        await store.delete("cl1/ns/kind/a.yaml")
    await store.delete("cl1/never/was/there.yaml")
    assert await keys(store) == ["cl1/ns/kind/b.yaml"]


async def test_a_copy_has_the_body_and_the_metadata(store: Store) -> None:
    for key in AWKWARD:
        await store.put(key, key.encode(), metadata={"watcher-uid": "1"})
        await store.copy(key, f"trash/{key}")
        body, head = await store.get(f"trash/{key}")
        original = await store.head(key)
        assert (body, head.etag, head.metadata) == (key.encode(), original.etag, original.metadata)


async def test_a_copy_of_an_absent_key_says_so(store: Store) -> None:
    with pytest.raises(AbsentError):
        await store.copy("cl1/ns/kind/a.yaml", "trash/a.yaml")


async def test_folders_are_told_without_what_is_in_them(store: Store) -> None:
    for key in ("b/x/1", "b/x/2", "b/y/1", "a~/x", "a-b/x", "file"):
        await store.put(key, b"")
    assert await store.folders("") == ("a-b", "a~", "b")
    assert await store.folders("b/") == ("x", "y")
    assert await store.folders("b/x/") == ()
    assert await store.folders("c/") == ()


async def test_a_listing_is_in_the_order_of_the_keys_bytes(store: Store) -> None:
    unordered = ["a-b/x", "a/x/y", "a.b/x", "a~/x", "aé/x", "aZ/x", "a0", "b\U0001f600", "b\uffee"]
    for key in unordered:
        await store.put(key, b"")
    assert await keys(store) == sorted(unordered, key=str.encode)


async def test_a_prefix_never_shows_its_longer_neighbour(store: Store) -> None:
    for cluster in ("cl", "cl1", "cl10", "cl1-a"):
        await store.put(f"{cluster}/ns/kind/a.yaml", b"")
    assert await keys(store, "cl1/") == ["cl1/ns/kind/a.yaml"]
    assert await keys(store, "cl1/ns/ki") == ["cl1/ns/kind/a.yaml"]
    assert await keys(store, "cl2/") == []


async def test_a_listing_starts_after_a_key_even_an_absent_one(store: Store) -> None:
    for name in ("_cluster/a", "_meta/a", "_meta/b", "ns/a"):
        await store.put(f"cl1/{name}", b"")
    assert await keys(store, "cl1/", start_after="cl1/_meta/a") == ["cl1/_meta/b", "cl1/ns/a"]
    assert await keys(store, "cl1/", start_after="cl1/_meta0") == ["cl1/ns/a"]
    assert await keys(store, "cl1/", start_after="cl1/z") == []


async def test_a_listing_of_more_than_a_page_is_whole(store: Store) -> None:
    expected = [f"cl1/ns/kind/{number:04}.yaml" for number in range(1003)]
    for start in range(0, len(expected), 50):
        await asyncio.gather(*(store.put(key, b"") for key in expected[start : start + 50]))
    pages = [page async for page in store.list("cl1/")]
    assert len(pages) > 1
    assert [it.key for page in pages for it in page] == expected


async def test_create_never_overwrites(store: Store) -> None:
    await store.put("cl1/ns/kind/a.yaml", b"one", mode=CREATE)
    with pytest.raises(PreconditionError):
        await store.put("cl1/ns/kind/a.yaml", b"two", mode=CREATE)
    assert (await store.get("cl1/ns/kind/a.yaml"))[0] == b"one"


async def test_create_works_again_after_a_delete(store: Store) -> None:
    await store.put("cl1/ns/kind/a.yaml", b"one", mode=CREATE)
    await store.delete("cl1/ns/kind/a.yaml")
    await store.put("cl1/ns/kind/a.yaml", b"two", mode=CREATE)
    assert (await store.get("cl1/ns/kind/a.yaml"))[0] == b"two"


async def test_update_writes_only_over_the_version_it_names(store: Store) -> None:
    one, _ = await store.put("cl1/ns/kind/a.yaml", b"one")
    two, _ = await store.put("cl1/ns/kind/a.yaml", b"two", mode=Update(one))
    with pytest.raises(PreconditionError):
        await store.put("cl1/ns/kind/a.yaml", b"three", mode=Update(one))
    assert (await store.get("cl1/ns/kind/a.yaml"))[0] == b"two"
    assert two != one


async def test_head_and_get_tell_the_version_that_a_put_made(store: Store) -> None:
    for body in (b"one", b"two"):
        written = await store.put("cl1/ns/kind/a.yaml", body)
        _, got = await store.get("cl1/ns/kind/a.yaml")
        for head in (got, await store.head("cl1/ns/kind/a.yaml")):
            assert (head.etag, head.version) == written


async def test_update_of_an_absent_key_writes_nothing(store: Store) -> None:
    etag, _ = await store.put("cl1/ns/kind/a.yaml", b"one")
    await store.delete("cl1/ns/kind/a.yaml")
    with pytest.raises(PreconditionError):
        await store.put("cl1/ns/kind/a.yaml", b"two", mode=Update(etag))
    assert await keys(store) == []


async def test_five_workers_count_to_fifty_by_conditional_writes(store: Store) -> None:
    await store.put("cl1/counter", b"0", mode=CREATE)

    async def add_ten() -> None:
        added = 0
        while added < 10:
            body, head = await store.get("cl1/counter")
            try:
                await store.put("cl1/counter", b"%d" % (int(body) + 1), mode=Update(head.etag))
            except PreconditionError:
                continue
            added += 1

    await asyncio.gather(*(add_ten() for _ in range(5)))
    assert (await store.get("cl1/counter"))[0] == b"50"
