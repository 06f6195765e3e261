"""The ledger between two runs: `_meta/index.ndjson.gz` (FORMAT.md section 5), and its return.

Exists so that a start costs no request per object. Promises: an entry of the checkpoint counts
only if the listing shows the same ETag, so an old or a foreign checkpoint can only cost time; an
unusable one is reported, not fatal; a newer format is refused. Nothing here holds the event loop
for longer than some hundred keys take.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO

import orjson

from watcher.bucket.layout import Layout, parse
from watcher.bucket.ledger import FINGERPRINT_SIZE, UNKNOWN, Entry, Ledger, Stored
from watcher.bucket.meta import FORMAT, check_format, exists
from watcher.bucket.store import Listed, Store
from watcher.errors import AbsentError

FILE = "index.ndjson.gz"

_SLICE = 500  # keys between two turns of the event loop: some 2 ms
_CHUNK = 64 * 1024  # bytes of decompressed text, for the same reason
_GZIP = 16 + zlib.MAX_WBITS
_META = "_meta/"
_AFTER_META = "_meta0"  # "0" follows "/": greater than every key in `_meta/`


class CheckpointError(Exception):
    """The checkpoint is of no use, which costs time but no data; the text says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a start finds in the bucket.

    foreign: keys under the prefix that are not ours, and so not in the ledger. unusable: why the
    checkpoint was of no use, "" if it was. remembered: keys whose fingerprint it told.
    """

    ledger: Ledger
    foreign: int
    unusable: str
    remembered: int


async def load_ledger(store: Store, layout: Layout) -> Loaded:
    """List the cluster's prefix, without `_meta/`, and add what the checkpoint still knows.

    Keys that are not in the checkpoint are there with fingerprint UNKNOWN.
    Raises RefusedError for a checkpoint of a newer format, and BucketError.
    """
    ledger = Ledger()
    foreign = 0
    async for page in _objects(store, layout.prefix):
        for listed in page:
            key = listed.key.removeprefix(layout.prefix)
            if parse(key) is None:
                foreign += 1
            else:
                ledger.put(key, Entry(Stored(listed.etag, UNKNOWN)))
    remembered, unusable = 0, ""
    try:
        async for key, stored in read(await _fetch(store, layout)):
            if ledger.get(key).stored == replace(stored, fingerprint=UNKNOWN):
                ledger.put(key, Entry(stored))
                remembered += 1
    except CheckpointError as error:
        unusable = str(error)
    return Loaded(ledger, foreign, unusable, remembered)


async def save(store: Store, layout: Layout, ledger: Ledger, *, epoch: int, at: datetime) -> None:
    """Write the checkpoint. Raises BucketError."""
    key = layout.prefix + layout.meta(FILE)
    body = await write(ledger, epoch=epoch, at=at)
    await store.put(key, body, content_type="application/gzip")


async def write(ledger: Ledger, *, epoch: int, at: datetime) -> bytes:
    """The file. Keys in doubt or with an unknown fingerprint are left out; the ledger may change
    meanwhile."""
    gzip = zlib.compressobj(wbits=_GZIP)
    header = {"format": FORMAT, "epoch": epoch, "at": at.isoformat(timespec="seconds")}
    parts = [gzip.compress(orjson.dumps(header) + b"\n")]
    for kind in sorted(ledger.kinds()):
        keys = sorted(ledger.keys_of(kind))
        for start in range(0, len(keys), _SLICE):
            lines = b"".join(_line(key, ledger.get(key)) for key in keys[start : start + _SLICE])
            parts.append(gzip.compress(lines))
            await asyncio.sleep(0)
    parts.append(gzip.flush())
    return b"".join(parts)


async def read(data: bytes) -> AsyncGenerator[tuple[str, Stored], None]:
    """Keys and what was stored there. Raises CheckpointError, at once unless the file was
    written wrongly, and RefusedError for a newer format."""
    lines = BytesIO(await _decompressed(data))
    _check_header(lines.readline())
    for number, line in enumerate(lines, 1):
        yield _parse(line)
        if number % _SLICE == 0:
            await asyncio.sleep(0)


def _parse(line: bytes) -> tuple[str, Stored]:
    try:
        key, etag, digest = orjson.loads(line)
        fingerprint = bytes.fromhex(digest)
    except (ValueError, TypeError) as error:
        raise CheckpointError("a line is not [key, etag, fingerprint]") from error
    if len(fingerprint) != FINGERPRINT_SIZE:
        raise CheckpointError("a fingerprint has the wrong length")
    return str(key), Stored(str(etag), fingerprint)


def _line(key: str, entry: Entry) -> bytes:
    if entry.in_doubt or entry.stored is None or entry.stored.fingerprint == UNKNOWN:
        return b""
    return orjson.dumps([key, entry.stored.etag, entry.stored.fingerprint.hex()]) + b"\n"


def _check_header(line: bytes) -> None:
    try:
        version = int(orjson.loads(line)["format"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError("its first line is no header") from error
    check_format(f"_meta/{FILE}", version)


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


async def _fetch(store: Store, layout: Layout) -> bytes:
    key = layout.prefix + layout.meta(FILE)
    if not await exists(store, key):
        raise CheckpointError("there is none")
    try:
        body, _ = await store.get(key)
    except AbsentError as error:
        raise CheckpointError("it was just removed") from error
    return body


async def _objects(store: Store, prefix: str) -> AsyncIterator[list[Listed]]:
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
