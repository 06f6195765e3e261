"""A look at a whole bucket: who is found, what it costs, and whose fault hides whom."""

import asyncio

import pytest

from tests.memory_store import Fault, MemoryStore
from tests.unit.fleet.samples import HOUR, SEVEN, Bucket
from watcher.bucket.layout import Layout
from watcher.errors import BucketUnreachableError
from watcher.fleet.clusters import Fleet, look_at_all

EAST, WEST = "example.com/east", "example.com/west"


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(MemoryStore())


async def looked(bucket: Bucket, *patterns: str, at_once: int = 16) -> Fleet:
    return await look_at_all(bucket.store, bucket.clock, at_once=at_once, patterns=patterns)


def names(fleet: Fleet) -> list[str]:
    return [it.name for it in fleet.clusters]


async def test_among_a_thousand_clusters_exactly_the_seven_bad_ones_are_found_and_why(
    bucket: Bucket,
) -> None:
    layouts = [bucket.add(f"d{n % 10}.example.com/cluster-{n:04}") for n in range(1000)]
    for number, make_ill in enumerate(SEVEN.values()):
        make_ill(bucket, layouts[137 * number + 5])
    bucket.store.requests.clear()

    fleet = await looked(bucket)
    assert len(fleet.clusters) == 1000
    expected = {layouts[137 * number + 5].name: kind for number, kind in enumerate(SEVEN)}
    assert {it.name: [t.kind for t in it.troubles] for it in fleet.wrong} == {
        name: [kind] for name, kind in expected.items()
    }
    assert fleet.clusters[:7] == fleet.wrong
    # The bucket, its ten domains, and seven of each cluster.
    assert bucket.store.requests.total() == 1 + 10 + 7 * 1000


async def test_patterns_choose_clusters_by_domain_and_name(bucket: Bucket) -> None:
    for cluster in (EAST, WEST, "other.example.org/east"):
        bucket.add(cluster)
    assert names(await looked(bucket)) == [EAST, WEST, "other.example.org/east"]
    assert names(await looked(bucket, "*/east")) == [EAST, "other.example.org/east"]
    assert names(await looked(bucket, EAST, "other.*")) == [EAST, "other.example.org/east"]
    bucket.store.requests.clear()
    assert names(await looked(bucket, "none")) == []
    assert not [it for it in bucket.store.requests if it[0] == "GET"]


async def test_an_empty_bucket_is_an_empty_fleet(bucket: Bucket) -> None:
    assert (await looked(bucket)).clusters == ()


async def test_a_folder_whose_files_have_all_been_deleted_is_no_cluster(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MinIO goes on listing it while the bucket keeps old versions."""
    bucket.add(EAST)
    await bucket.store.put(f"{WEST}/shop/configmap/left.yaml", b"left: 1\n")
    listed = bucket.store.folders

    async def with_one_that_was(prefix: str) -> tuple[str, ...]:
        return (*await listed(prefix), *(["gone"] if prefix == "example.com/" else []))

    monkeypatch.setattr(bucket.store, "folders", with_one_that_was)
    fleet = await looked(bucket)
    assert names(fleet) == [WEST, EAST]
    assert [it.kind for it in fleet.clusters[0].troubles] == ["silent", "unowned"]


async def test_a_fault_of_one_cluster_is_a_finding_of_that_one(bucket: Bucket) -> None:
    for cluster in (EAST, WEST):
        bucket.add(cluster)
    bucket.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if key.startswith(EAST) else Fault.NONE
    )
    fleet = await looked(bucket)
    (east,) = fleet.wrong
    assert (east.name, [str(it) for it in east.troubles]) == (EAST, ["no answer"])
    assert (east.heartbeat, east.report, east.held) == (None, None, None)


async def test_a_bucket_that_shows_nothing_of_any_cluster_is_an_error(bucket: Bucket) -> None:
    for cluster in (EAST, WEST):
        bucket.add(cluster)
    bucket.store.choose_fault = lambda operation, key: (
        Fault.UNREACHABLE if operation == "GET" else Fault.NONE
    )
    with pytest.raises(BucketUnreachableError):
        await looked(bucket)


@pytest.mark.looptime
async def test_so_many_clusters_are_looked_at_together_and_no_more(bucket: Bucket) -> None:
    for number in range(12):
        bucket.add(f"example.com/c{number}")
    bucket.store.latency = 1.0
    began = asyncio.get_running_loop().time()
    await looked(bucket, at_once=4)
    # Two listings find them; then three times four clusters, seven requests one after the other.
    assert asyncio.get_running_loop().time() - began == 2 + 3 * 7


async def test_what_is_held_is_counted_and_none_is_none(bucket: Bucket) -> None:
    east = bucket.add(EAST)
    assert [it.held for it in (await looked(bucket)).clusters] == [0]
    bucket.hold(east, "a", "b")
    assert [it.held for it in (await looked(bucket)).clusters] == [2]


async def test_a_retired_cluster_is_told_as_such(bucket: Bucket) -> None:
    gone = bucket.add(EAST)
    bucket.beat(gone, 30 * HOUR)
    bucket.retire(gone)
    bucket.add(WEST)
    west, east = (await looked(bucket)).clusters
    assert (east.seen.layout, east.retired, east.ok) == (Layout("example.com", "east"), True, True)
    assert (west.retired, west.ok) == (False, True)
