"""What a killed process stored but never journalled, told at the next start.

Exists so that the journal has no holes: a line waits up to a minute to be written, and kill -9
does not wait. What such a version is, its user metadata says.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from watcher.bucket import metadata
from watcher.bucket.journal import Line, stamp
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Ledger
from watcher.bucket.store import Store
from watcher.errors import AbsentError

_AT_ONCE = 16  # requests


async def lines_of(
    store: Store, layout: Layout, ledger: Ledger, unjournalled: Mapping[str, str], at: datetime
) -> list[Line]:
    """A line for each key, marked as recovered. Raises BucketError.

    unjournalled: key -> the ETag that the journal knows, see loading.py.
    """
    turns = asyncio.Semaphore(_AT_ONCE)

    async def line(key: str, previous: str) -> Line:
        stored = ledger.get(key).stored
        written = "update" if previous else "create"
        told = Line(
            stamp(at),
            key,
            written if stored else "delete",
            stored.etag if stored else "",
            previous_etag=previous,
            recovered=True,
        )
        if stored is None or not store.has_metadata:
            return told
        async with turns:
            try:
                head = await store.head(layout.prefix + key)
            except AbsentError:
                return told
        return told._replace(**metadata.as_journalled(head.metadata))

    return await asyncio.gather(*(line(*item) for item in unjournalled.items()))
