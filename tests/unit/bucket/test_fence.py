"""A store that writes only while it may: nothing is sent otherwise, whatever is to be sent."""

from collections.abc import Awaitable, Callable

import pytest

from tests.memory_store import MemoryStore
from watcher.bucket.fence import Fenced, FencedError
from watcher.bucket.store import Store

WRITES: dict[str, Callable[[Store], Awaitable[object]]] = {
    "PUT": lambda store: store.put("new", b"1"),
    "DELETE": lambda store: store.delete("old"),
    "COPY": lambda store: store.copy("old", "new"),
}


async def _filled() -> MemoryStore:
    store = MemoryStore()
    await store.put("old", b"1")
    store.requests.clear()
    return store


@pytest.mark.parametrize("operation", WRITES)
async def test_what_changes_something_is_sent_only_while_it_may(operation: str) -> None:
    store = await _filled()
    why: str | None = "the Lease is another's"
    fenced = Fenced(store, lambda: why)
    with pytest.raises(FencedError, match="the Lease is another's"):
        await WRITES[operation](fenced)
    assert not store.requests
    assert store.objects() == {"old": b"1"}
    why = None
    await WRITES[operation](fenced)
    assert sum(store.requests.values()) == 1


async def test_reading_is_free() -> None:
    fenced = Fenced(await _filled(), lambda: "no")
    await fenced.check()
    body, head = await fenced.get("old")
    assert (body, head.etag) == (b"1", (await fenced.head("old")).etag)
    assert [listed.key async for page in fenced.list("") for listed in page] == ["old"]
    assert await fenced.folders("") == ()
    assert (fenced.name, fenced.has_metadata) == ("memory", True)


def test_every_way_to_change_something_is_fenced() -> None:
    """A new one in the protocol has to be thought of."""
    known = {"put", "delete", "copy", "get", "head", "list", "folders", "now", "check"}
    known |= {"use_keys", "close"}
    ways = {name for name in vars(Store) if callable(getattr(Store, name)) and name[0] != "_"}
    assert ways == known
