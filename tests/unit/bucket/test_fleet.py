"""The clusters of a bucket are found without a list of them, and without listing their files."""

from datetime import UTC, datetime

from tests.memory_store import MemoryStore
from watcher.bucket.fleet import clusters
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
