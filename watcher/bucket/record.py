"""What the bucket should hold: the checkpoint, and the journal since.

Exists so that a start and an audit compare the bucket with the same memory of it. Only a
comparison with a listing makes it knowledge.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

from watcher.bucket import checkpoint, journal
from watcher.bucket.checkpoint import Checkpoint
from watcher.bucket.journal import Line
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import FINGERPRINT_SIZE, UNKNOWN, Stored
from watcher.bucket.store import Store

_LONGEST_CHECKPOINT = timedelta(hours=1)  # that may lie between its first and its last line


async def read(store: Store, layout: Layout) -> AsyncGenerator[tuple[str, Stored | None], None]:
    """Each key once, and what was last stored there; None: it was deleted.

    Raises CheckpointError where there is nothing to begin from, RefusedError for a newer format,
    and BucketError.
    """
    begin = await checkpoint.load(store, layout)
    since = await _journalled_since(store, layout, begin)
    async for key, stored in begin.entries():
        yield key, since.pop(key) if key in since else stored
    for key, last in since.items():
        yield key, last


async def _journalled_since(
    store: Store, layout: Layout, begin: Checkpoint
) -> dict[str, Stored | None]:
    """The last word of the journal on each key that it names after the checkpoint."""
    found: dict[str, Stored | None] = {}
    if begin.position is None or begin.at is None:
        return found
    lines = journal.read(store, layout, since=begin.at - _LONGEST_CHECKPOINT, after=begin.position)
    async for line in lines:
        found[line.key] = stored_by(line)
    return found


def stored_by(line: Line) -> Stored | None:
    """What its key holds since; None: nothing."""
    digest = bytes.fromhex(line.fingerprint)
    known = len(digest) == FINGERPRINT_SIZE
    return Stored(line.etag, digest if known else UNKNOWN) if line.etag else None
