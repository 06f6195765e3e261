"""The ledger of a start: what a listing shows, and what the record still knows of it.

Exists because only a listing tells what the bucket holds, and only the record tells, without a
request per object, what that is. Promises: an entry of the record counts only if the listing shows
the same ETag, so an old or a foreign one can only cost time; what was stored but never journalled
(a process was killed) is named.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from watcher.bucket import record
from watcher.bucket.checkpoint import CheckpointError
from watcher.bucket.layout import Layout, parse
from watcher.bucket.ledger import UNKNOWN, Entry, Ledger, Stored
from watcher.bucket.store import Listed, Store

_META = "_meta/"
_AFTER_META = "_meta0"  # "0" follows "/": greater than every key in `_meta/`


@dataclass(slots=True)
class Loaded:
    """What a start finds in the bucket.

    foreign: keys under the prefix that are not ours, and so not in the ledger. unusable: why the
    checkpoint was of no use, "" if it was. remembered: keys whose content the record knew.
    unjournalled: keys that are not as the record says -> the ETag that they had by it, "" for none.
    """

    ledger: Ledger
    foreign: int = 0
    unusable: str = ""
    remembered: int = 0
    unjournalled: dict[str, str] = field(default_factory=dict)


async def load_ledger(store: Store, layout: Layout) -> Loaded:
    """List the cluster's prefix, without `_meta/`, and add what the record still knows.

    Keys that it does not know are there with fingerprint UNKNOWN. Raises RefusedError for a
    checkpoint of a newer format, and BucketError.
    """
    loaded = Loaded(Ledger())
    async for page in objects(store, layout.prefix):
        for listed in page:
            key = listed.key.removeprefix(layout.prefix)
            if parse(key) is None:
                loaded.foreign += 1
            else:
                loaded.ledger.put(key, Entry(Stored(listed.etag, UNKNOWN)))
    try:
        await _remember(store, layout, loaded)
    except CheckpointError as error:
        loaded.unusable = str(error)
        loaded.unjournalled = {}
    return loaded


async def objects(store: Store, prefix: str) -> AsyncIterator[list[Listed]]:
    """Pages of the prefix without `_meta/`, which may hold a hundred thousand journal files."""
    meta = prefix + _META
    async with aclosing(store.list(prefix)) as pages:
        async for page in pages:
            before = [listed for listed in page if listed.key < meta]
            yield before
            if len(before) < len(page):
                break
    async for page in store.list(prefix, start_after=prefix + _AFTER_META):
        yield page


async def _remember(store: Store, layout: Layout, loaded: Loaded) -> None:
    ledger = loaded.ledger
    unknown = {key for kind in ledger.kinds() for key in ledger.keys_of(kind)}
    async for key, stored in record.read(store, layout):
        unknown.discard(key)
        found = ledger.get(key).stored
        if (found.etag if found else "") != (stored.etag if stored else ""):
            loaded.unjournalled[key] = stored.etag if stored else ""
        elif stored is not None:
            ledger.put(key, Entry(stored))
            loaded.remembered += stored.fingerprint != UNKNOWN
    loaded.unjournalled |= dict.fromkeys(sorted(unknown), "")
