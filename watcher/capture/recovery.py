"""What a killed process stored but never journalled, told at the next start.

Exists so that the journal has no holes: a line waits up to a minute to be written, and kill -9
does not wait. What such a version is, its user metadata says.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from watcher.bucket import metadata
from watcher.bucket.journal import Line, stamp
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Ledger
from watcher.bucket.meta import together
from watcher.bucket.store import Head, Store
from watcher.errors import AbsentError

_AT_ONCE = 32  # requests


async def lines_of(
    store: Store, layout: Layout, ledger: Ledger, unjournalled: Mapping[str, str], at: datetime
) -> list[Line]:
    """A line for each key, marked as recovered. Raises BucketError.

    unjournalled: key -> the ETag that the journal knows, see loading.py.
    """

    async def line(key: str, previous: str) -> Line:
        stored = ledger.get(key).stored
        if stored is None:
            return Line(stamp(at), key, "delete", previous_etag=previous, recovered=True)
        if store.has_metadata:
            with suppress(AbsentError):
                head = await store.head(layout.prefix + key)
                if head.etag == stored.etag:
                    return line_of(key, head, previous, at)
        return line_of(key, Head(stored.etag, {}), previous, at)

    found: list[Line] = []
    keys = list(unjournalled.items())
    for start in range(0, len(keys), _AT_ONCE):
        found += await together(line(*item) for item in keys[start : start + _AT_ONCE])
    return found


def line_of(key: str, head: Head, previous: str, at: datetime) -> Line:
    """The line that was never written of the version which a HEAD showed."""
    return Line(
        stamp(at),
        key,
        "update" if previous else "create",
        head.etag,
        head.version,
        **metadata.as_journalled(head.metadata),
        previous_etag=previous,
        recovered=True,
    )
