"""The clusters of a bucket are found without a list of them, and without listing their files."""

from datetime import UTC, datetime

from tests.memory_store import MemoryStore
from watcher.bucket.fleet import clusters, matching
from watcher.bucket.layout import Layout
from watcher.bucket.owner import claim

EAST = Layout("example.com", "east")
WEST = Layout("example.com", "west")
OTHER = Layout("other.example.org", "north.eu")
KEY = "example.com/east/_meta/owner.json"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def filled() -> MemoryStore:
    store = MemoryStore()
    for layout in (EAST, WEST, OTHER):
        await claim(store, layout, cluster_uid=layout.cluster, at=NOW)
        for number in range(100):
            store.written_by_a_stranger(f"{layout.prefix}ns/pod/p{number}.yaml", b"")
    return store


async def test_every_cluster_is_found_by_its_folders() -> None:
    store = await filled()
    store.page = 10
    store.requests.clear()
    assert await clusters(store) == [EAST, WEST, OTHER]
    assert await clusters(store, "example.com") == [EAST, WEST]
    assert await clusters(store, "example.org") == []
    assert sum(store.requests.values()) == 5  # the bucket, then each domain


async def test_a_cluster_that_lost_its_claim_is_found_and_what_can_be_none_is_not() -> None:
    store = await filled()
    store.removed_by_a_stranger(KEY)
    for key in ("README.md", "example.com/README.md", "_trash/x/y", "Logs/a/b", "a b/c/d"):
        store.written_by_a_stranger(key, b"")
    assert await clusters(store) == [EAST, WEST, OTHER]


async def test_patterns_mean_clusters_by_domain_and_name() -> None:
    store = await filled()
    assert await matching(store, ()) == [EAST, WEST, OTHER]
    assert await matching(store, ("example.com/*",)) == [EAST, WEST]
    assert await matching(store, ("*/north.eu", EAST.name)) == [EAST, OTHER]
    assert await matching(store, ("*/south",)) == []


async def test_clusters_given_by_name_are_found_without_a_listing_of_more_than_their_own() -> None:
    store = await filled()
    store.requests.clear()
    asked = (WEST.name, EAST.name, WEST.name, "example.com/south", "_meta/x", "east", "a/b/c")
    assert await matching(store, asked) == [EAST, WEST]
    listed = {f"example.com/{name}/" for name in ("east", "west", "south")}
    assert set(store.requests) == {("LIST", prefix) for prefix in listed}
