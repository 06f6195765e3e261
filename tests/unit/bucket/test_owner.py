"""A prefix has one owner, and every start of it its own epoch."""

import asyncio
from datetime import UTC, datetime

import orjson
import pytest

from tests.memory_store import Fault, MemoryStore
from watcher.bucket.layout import Layout
from watcher.bucket.owner import Claim, claim, read, release_orphans, take_over
from watcher.errors import BucketUnreachableError, PreconditionError, RefusedError

LAYOUT = Layout("example.com", "east")
KEY = "example.com/east/_meta/owner.json"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def start(store: MemoryStore, *, uid: str = "uid-1", layout: Layout = LAYOUT) -> Claim:
    return await claim(store, layout, cluster_uid=uid, at=NOW)


def owner(store: MemoryStore) -> dict[str, object]:
    return dict(orjson.loads(store.objects()[KEY]))


async def test_the_first_start_creates_the_claim() -> None:
    store = MemoryStore()
    assert await start(store) == Claim(epoch=1, conditional=True, etag_is_md5=True, versioned=False)
    assert owner(store) == {
        "format": 1,
        "cluster_uid": "uid-1",
        "domain": "example.com",
        "name": "east",
        "claimed_at": "2026-07-01T12:00:00+00:00",
        "epoch": 1,
    }


async def test_each_start_raises_the_epoch_and_keeps_the_rest() -> None:
    store = MemoryStore()
    await start(store)
    first = owner(store)
    later = await claim(store, LAYOUT, cluster_uid="uid-1", at=datetime(2027, 1, 1, tzinfo=UTC))
    assert later.epoch == 2
    assert owner(store) == {**first, "epoch": 2}


async def test_fields_of_a_claim_that_we_do_not_know_survive() -> None:
    store = MemoryStore()
    await start(store)
    store.written_by_a_stranger(KEY, orjson.dumps({**owner(store), "note": "by hand"}))
    await start(store)
    assert owner(store)["note"] == "by hand"


async def test_starts_that_race_get_different_epochs() -> None:
    store = MemoryStore(latency=0.001)
    claims = await asyncio.gather(*(start(store) for _ in range(4)))
    assert sorted(it.epoch for it in claims) == [1, 2, 3, 4]
    assert owner(store)["epoch"] == 4


async def test_a_prefix_of_another_cluster_is_refused_and_left_alone() -> None:
    store = MemoryStore()
    await start(store)
    before = store.objects()
    with pytest.raises(RefusedError, match=r"uid-1.*uid-2") as refused:
        await start(store, uid="uid-2")
    assert refused.value.exit_code == 3
    assert store.objects() == before


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("domain", "other.com", "cluster-domain 'other.com'"),
        ("name", "west", "cluster-name 'west'"),
        ("format", 2, "format 2"),
        ("epoch", None, "unreadable"),
        ("format", None, "unreadable"),
    ],
)
async def test_a_claim_that_does_not_fit_is_refused_and_left_alone(
    field: str, value: object, said: str
) -> None:
    store = MemoryStore()
    await start(store)
    store.written_by_a_stranger(KEY, orjson.dumps({**owner(store), field: value}))
    before = store.objects()
    with pytest.raises(RefusedError, match=said):
        await start(store)
    assert store.objects() == before


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"null"])
async def test_a_claim_that_is_no_claim_is_refused_and_left_alone(body: bytes) -> None:
    store = MemoryStore()
    store.written_by_a_stranger(KEY, body)
    with pytest.raises(RefusedError, match="unreadable"):
        await start(store)
    assert store.objects() == {KEY: body}


async def test_a_store_that_ignores_conditions_is_found_out_without_damage() -> None:
    store = MemoryStore()
    store.ignore_conditions()
    assert await start(store) == Claim(
        epoch=1, conditional=False, etag_is_md5=True, versioned=False
    )
    assert await start(store) == Claim(
        epoch=2, conditional=False, etag_is_md5=True, versioned=False
    )
    assert owner(store)["epoch"] == 2


async def test_a_store_whose_etags_are_no_md5_is_found_out() -> None:
    store = MemoryStore()
    store.etags_are_not_md5()
    assert not (await start(store)).etag_is_md5


async def test_a_store_that_refuses_every_condition_does_not_keep_us_for_ever() -> None:
    store = MemoryStore()
    await start(store)
    moving = 0

    def move(operation: str, key: str) -> Fault:
        nonlocal moving
        if operation == "PUT":
            moving += 1
            store.written_by_a_stranger(KEY, orjson.dumps({**owner(store), "moved": moving}))
        return Fault.NONE

    store.choose_fault = move
    with pytest.raises(BucketUnreachableError, match="kept changing"):
        await start(store)


async def test_a_claim_whose_answer_was_lost_costs_an_epoch_only() -> None:
    store = MemoryStore()
    store.fail_next(Fault.NONE, Fault.NONE, Fault.ANSWER_LOST)
    with pytest.raises(BucketUnreachableError):
        await start(store)
    assert (await start(store)).epoch == 2


# -- what was there before


async def test_a_prefix_that_others_filled_is_adopted_until_that_is_on_record() -> None:
    store = MemoryStore()
    store.written_by_a_stranger("example.com/east/default/configmap/a.yaml", b"")
    assert (await start(store)).hold_orphans == "adopted"
    claimed = await start(store)  # the first one died before its first sync
    assert claimed.hold_orphans == "adopted"
    await release_orphans(store, LAYOUT, claimed)
    assert "hold_orphans" not in owner(store)
    assert owner(store)["epoch"] == claimed.epoch
    assert (await start(store)).hold_orphans == ""


async def test_only_the_latest_start_says_that_orphans_are_on_record() -> None:
    store = MemoryStore()
    store.written_by_a_stranger("example.com/east/default/configmap/a.yaml", b"")
    first = await start(store)
    await start(store)
    await release_orphans(store, LAYOUT, first)
    assert owner(store)["hold_orphans"] == "adopted"


async def test_whether_a_prefix_holds_anything_costs_one_page() -> None:
    store = MemoryStore(page=10)
    for number in range(100):
        store.written_by_a_stranger(f"example.com/east/default/configmap/{number}.yaml", b"")
    await start(store)
    assert store.requests["LIST", "example.com/east/"] == 1


async def test_files_of_other_clusters_and_our_own_notes_are_not_adopted() -> None:
    store = MemoryStore()
    for key in ("example.com/east/_meta/note", "example.com/east1/ns/pod/a.yaml", "a"):
        store.written_by_a_stranger(key, b"")
    assert (await start(store)).hold_orphans == ""


async def test_releasing_where_nothing_is_held_writes_nothing() -> None:
    store = MemoryStore()
    claimed = await start(store)
    before = store.puts()
    await release_orphans(store, LAYOUT, claimed)
    assert store.puts() == before


# -- a cluster that was built anew


async def test_a_prefix_that_was_taken_over_is_the_new_clusters_and_its_orphans_are_held() -> None:
    store = MemoryStore()
    await start(store)
    store.written_by_a_stranger(KEY, orjson.dumps({**owner(store), "note": "by hand"}))
    old = await read(store, LAYOUT)
    assert old is not None
    later = datetime(2027, 1, 1, tzinfo=UTC)
    await take_over(store, LAYOUT, old, cluster_uid="uid-2", at=later)
    assert owner(store) == {
        "format": 1,
        "cluster_uid": "uid-2",
        "domain": "example.com",
        "name": "east",
        "claimed_at": "2027-01-01T00:00:00+00:00",
        "epoch": 2,
        "hold_orphans": "take-over",
        "note": "by hand",
    }
    with pytest.raises(RefusedError, match=r"uid-2.*uid-1"):
        await start(store)
    claimed = await start(store, uid="uid-2")
    assert (claimed.epoch, claimed.hold_orphans) == (3, "take-over")


async def test_a_claim_that_changed_after_it_was_looked_at_is_not_taken_over() -> None:
    store = MemoryStore()
    await start(store)
    old = await read(store, LAYOUT)
    assert old is not None
    await start(store)
    before = store.objects()
    with pytest.raises(PreconditionError, match="look again"):
        await take_over(store, LAYOUT, old, cluster_uid="uid-2", at=NOW)
    assert store.objects() == before
