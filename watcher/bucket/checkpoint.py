"""The ledger between two runs: `_meta/index.ndjson.gz` (FORMAT.md section 5).

Exists so that a start costs no request per object. Promises: an unusable checkpoint is reported,
not fatal; a newer format is refused; nothing here holds the event loop for longer than some
hundred keys take. What it says is only what was known once: see record.py and loading.py.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import orjson

from watcher.bucket.journal import Position
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import FINGERPRINT_SIZE, UNKNOWN, Entry, Ledger, Stored
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.store import Store
from watcher.errors import AbsentError

FILE = "index.ndjson.gz"

_SLICE = 500  # keys between two turns of the event loop: some 2 ms
_CHUNK = 64 * 1024  # bytes of decompressed text, for the same reason
_GZIP = 16 + zlib.MAX_WBITS


class CheckpointError(Exception):
    """The checkpoint is of no use, which costs time but no data; the text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that can be read.

    at: when it was written; None: it does not say. position: of the last file of the journal whose
    lines are all in it; None: it knows of no journal.
    """

    at: datetime | None
    position: Position | None
    _lines: BytesIO

    async def entries(self) -> AsyncGenerator[tuple[str, Stored], None]:
        """Keys and what was stored there. Raises CheckpointError for a file written wrongly."""
        for number, line in enumerate(self._lines, 1):
            yield _parse(line)
            if number % _SLICE == 0:
                await asyncio.sleep(0)


async def load(store: Store, layout: Layout) -> Checkpoint:
    """Raises CheckpointError, RefusedError for a newer format, and BucketError."""
    key = layout.prefix + layout.meta(FILE)
    try:
        body, _ = await store.get(key)
    except AbsentError:
        raise CheckpointError("there is none") from None
    lines = BytesIO(await _decompressed(body))
    at, position = _header(lines.readline())
    return Checkpoint(at, position, lines)


async def save(store: Store, layout: Layout, body: bytes) -> None:
    """Raises BucketError."""
    await store.put(layout.prefix + layout.meta(FILE), body, content_type="application/gzip")


async def write(ledger: Ledger, position: Position, *, at: datetime) -> bytes:
    """The file. Of keys in doubt it says what was there before; the ledger may change meanwhile.

    position: of the journal before this is called. The journal must be flushed between this and
    `save`: else a change could be in the checkpoint and never in the journal.
    """
    gzip = zlib.compressobj(wbits=_GZIP)
    header = {
        "format": FORMAT,
        "epoch": position.epoch,
        "at": at.isoformat(timespec="seconds"),
        "journal": position._asdict(),
    }
    parts = [gzip.compress(orjson.dumps(header) + b"\n")]
    for kind in sorted(ledger.kinds()):
        keys = sorted(ledger.keys_of(kind))
        for start in range(0, len(keys), _SLICE):
            lines = b"".join(_line(key, ledger.get(key)) for key in keys[start : start + _SLICE])
            parts.append(gzip.compress(lines))
            await asyncio.sleep(0)
    parts.append(gzip.flush())
    return b"".join(parts)


def _parse(line: bytes) -> tuple[str, Stored]:
    try:
        key, etag, digest = orjson.loads(line)
        fingerprint = bytes.fromhex(digest)
    except (ValueError, TypeError) as error:
        raise CheckpointError("a line is not [key, etag, fingerprint]") from error
    if fingerprint != UNKNOWN and len(fingerprint) != FINGERPRINT_SIZE:
        raise CheckpointError("a fingerprint has the wrong length")
    return str(key), Stored(str(etag), fingerprint)


def _line(key: str, entry: Entry) -> bytes:
    if entry.stored is None:
        return b""
    # With an unknown fingerprint too: at least that the key is there is no news to a start.
    return orjson.dumps([key, entry.stored.etag, entry.stored.fingerprint.hex()]) + b"\n"


def _header(line: bytes) -> tuple[datetime | None, Position | None]:
    try:
        header: dict[str, Any] = orjson.loads(line)
        version = int(header["format"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError("its first line is no header") from error
    check_format(f"_meta/{FILE}", version)
    try:
        at = datetime.fromisoformat(header["at"])
        journal = header["journal"]
        return at, Position(int(journal["epoch"]), int(journal["seq"]))
    except (ValueError, TypeError, KeyError):
        return None, None


async def _decompressed(data: bytes) -> bytes:
    """All of it, or CheckpointError: what was cut or altered fails gzip's check sum."""
    gzip = zlib.decompressobj(wbits=_GZIP)
    parts = []
    try:
        while data and not gzip.eof:
            parts.append(gzip.decompress(data, _CHUNK))
            data = gzip.unconsumed_tail
            await asyncio.sleep(0)
    except zlib.error as error:
        raise CheckpointError(f"it is no gzip file: {error}") from error
    if not gzip.eof:
        raise CheckpointError("it is cut off")
    return b"".join(parts)
