"""Where a bucket is other than a ledger says: one listing of the prefix.

Exists because what another process wrote last is in no record: it died first, or its request
landed late. Promises: changes nothing; tells of keys by their ETags, old and new.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from watcher.bucket.layout import Layout, parse
from watcher.bucket.ledger import Ledger
from watcher.bucket.loading import objects
from watcher.bucket.store import Store


class Differing(NamedTuple):
    """ETags of a key, "" for none: by the ledger, and in the bucket."""

    known: str
    found: str


async def differing(store: Store, layout: Layout, ledger: Ledger) -> dict[str, Differing]:
    """Key -> how it differs. What is written meanwhile may be among it. Raises BucketError."""
    unseen = {key for kind in ledger.kinds() for key in ledger.keys_of(kind)}
    found: dict[str, Differing] = {}
    async for page in objects(store, layout.prefix):
        for listed in page:
            key = listed.key.removeprefix(layout.prefix)
            unseen.discard(key)
            known = _etag(ledger, key)
            if known != listed.etag and parse(key) is not None:
                found[key] = Differing(known, listed.etag)
        await asyncio.sleep(0)
    return found | _missing(ledger, unseen)


def _missing(ledger: Ledger, keys: Iterable[str]) -> dict[str, Differing]:
    return {key: Differing(etag, "") for key in keys if (etag := _etag(ledger, key))}


def _etag(ledger: Ledger, key: str) -> str:
    stored = ledger.get(key).stored
    return stored.etag if stored else ""
