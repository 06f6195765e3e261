"""What was written when: the append-only record in `_meta/journal/` (FORMAT.md section 5).

Exists because a bucket shows only how things are: who changed what, and what the bucket looked like
at the time of a report, is told here. Promises: lines of a key stand in the order in which its
requests were answered; a line is kept in memory until the file that holds it is stored; a file is
written once, its name never used twice. Files are ordered by (epoch, seq), not by the clock,
which may jump.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from watcher.bucket.layout import Layout
from watcher.bucket.meta import FORMAT, check_format, together
from watcher.bucket.store import Listed, Store
from watcher.errors import AbsentError, BucketError
from watcher.logs import Log, Outage

FOLDER = "journal/"
FULL = 1000  # lines after which a file is written at once
INTERVAL = 60.0  # seconds after which it is written anyway
_MOST = 50_000  # lines kept while they cannot be written: some 20 MB
_RECENT = 50  # lines for who looks what happens
_READ_AHEAD = 8  # files
_SKEW = timedelta(days=1)  # that the clocks of two writers may differ by

_NAME = re.compile(r"(?P<written>\d{4}/\d\d/\d\d/\d{6})-(?P<epoch>\d+)-(?P<seq>\d+)\.ndjson")


class Position(NamedTuple):
    """A file's place among all."""

    epoch: int
    seq: int


class Line(NamedTuple):
    """One change that was stored; "" where nothing is known."""

    at: str  # RFC 3339, UTC
    key: str  # relative to the cluster's prefix
    action: str  # create, update, delete, left-out, repair
    etag: str = ""  # of what is there now, as the store sent it
    version_id: str = ""  # of that, or of the delete marker
    fingerprint: str = ""  # hex
    uid: str = ""
    resource_version: str = ""
    manager: str = ""
    operation: str = ""
    changed_at: str = ""
    previous_etag: str = ""  # of what was there before: a listing can be rolled back in time
    recovered: bool = False  # found at a start: whoever stored it died before this line was written

    def encode(self) -> bytes:
        fields = {"format": FORMAT, **self._asdict()}
        if not self.recovered:
            del fields["recovered"]
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def decode(cls, text: bytes, key: str) -> "Line":
        """key: of its file. Fields that we don't know are left aside; a line without a format has
        the first one. Raises ValueError, and RefusedError for a newer format."""
        found = orjson.loads(text)
        if not isinstance(found, dict):
            raise ValueError("not a line of the journal")
        if not isinstance(version := found.get("format", 1), int):
            raise ValueError("its format is no number")
        check_format(key, version)
        if not {"at", "key", "action"} <= found.keys():
            raise ValueError("not a line of the journal")
        line = cls(**{name: found[name] for name in cls._fields if name in found})
        if not all(isinstance(value, str) for value in line[:-1]):
            raise ValueError("a field is no text")
        bytes.fromhex(line.fingerprint)
        if datetime.fromisoformat(line.at).tzinfo is None:
            raise ValueError("its time has no time zone")
        return line


class Journal:
    """The lines of one process. `run()` writes them until cancelled; `flush` at once.

    incomplete: lines were lost, because for too long they could not be written. A checkpoint would
    hide that for ever; without one the next start finds what they told of.
    """

    def __init__(
        self, store: Store, layout: Layout, epoch: int, *, clock: Callable[[], datetime], log: Log
    ) -> None:
        self._store = store
        self._folder = layout.prefix + layout.meta(FOLDER)
        self._epoch = epoch
        self._clock = clock
        self._log = log
        self._outage = Outage(log, "writing the journal", asyncio.get_running_loop().time)
        self._lines: list[bytes] = []
        self._lost = 0
        self.recent: deque[Line] = deque(maxlen=_RECENT)  # the last ones, stored or not
        self.incomplete = False
        self._seq = 0
        self._begun: tuple[str, int] | None = None  # name and lines of a file without an answer
        self._writing = asyncio.Lock()
        self._full = asyncio.Event()

    def __len__(self) -> int:
        """Lines that are not in the bucket yet."""
        return len(self._lines)

    @property
    def position(self) -> Position:
        """Of the last file that was written."""
        return Position(self._epoch, self._seq)

    def note(self, line: Line) -> None:
        self.recent.append(line)
        if len(self._lines) < _MOST:
            self._lines.append(line.encode())
            if len(self._lines) >= FULL:
                self._full.set()
        else:
            self._lost += 1
            self.incomplete = True

    async def flush(self) -> None:
        """Until all that was noted before is in the bucket. Raises BucketError."""
        async with self._writing:
            left = len(self._lines)
            while left > 0:
                # The same file again if its answer was lost: it may still land, at any time.
                key, count = self._begun = self._begun or (self._next_name(), min(FULL, left))
                body = b"".join(self._lines[:count])
                await self._store.put(key, body, content_type="application/x-ndjson")
                self._begun = None
                self._seq += 1
                left -= count
                del self._lines[:count]
                if len(self._lines) < FULL:
                    self._full.clear()
            if self._lost:
                self._log.error("lines of the journal were lost", lines=self._lost)
                self._lost = 0

    async def run(self) -> None:
        while True:
            await (asyncio.sleep(INTERVAL) if self._outage.reason else self._until_due())
            try:
                await self.flush()
            except BucketError as error:
                self._outage.began(str(error))
            else:
                self._outage.ended()

    async def _until_due(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL):
                await self._full.wait()

    def _next_name(self) -> str:
        now = self._clock().astimezone(UTC)
        return f"{self._folder}{now:%Y/%m/%d/%H%M%S}-{self._epoch}-{self._seq + 1}.ndjson"


class File(NamedTuple):
    key: str
    position: Position
    written: str  # YYYY/MM/DD/HHMMSS


async def files(
    store: Store, layout: Layout, *, since: datetime | None = None, skew: timedelta = _SKEW
) -> list[File]:
    """Those that may hold lines from `since` on, in order. skew: that the clock of who wrote them
    may differ by. Raises BucketError."""
    folder = layout.prefix + layout.meta(FOLDER)
    after = key_before(layout, since - skew) if since else ""
    found = [
        file
        async for page in store.list(folder, start_after=after)
        for listed in page
        if (file := _file(folder, listed.key))
    ]
    return sorted(found, key=lambda file: file.position)


async def page(store: Store, layout: Layout, *, after: str) -> tuple[list[str], str]:
    """Keys of files beyond a key, by the time at which they were written, as many as one request
    shows; and the key beyond which there may be more, "": there are none.

    For who reads many journals at once: no listing stays open, whose answer takes ten times as
    much memory as the keys. Raises BucketError.
    """
    folder = layout.prefix + layout.meta(FOLDER)
    async with aclosing(store.list(folder, start_after=after)) as listing:
        listed: list[Listed] = await anext(listing, [])
    found = [file for it in listed if (file := _file(folder, it.key))]
    found.sort(key=lambda file: (file.written, file.position))
    return [file.key for file in found], listed[-1].key if listed else ""


def key_before(layout: Layout, at: datetime) -> str:
    """It sorts before the keys of all files that were written at this time or later."""
    return f"{layout.prefix}{layout.meta(FOLDER)}{at.astimezone(UTC):%Y/%m/%d/%H%M%S}"


def _file(folder: str, key: str) -> File | None:
    match = _NAME.fullmatch(key.removeprefix(folder))
    if match is None:
        return None
    return File(key, Position(int(match["epoch"]), int(match["seq"])), match["written"])


async def read(
    store: Store, layout: Layout, *, since: datetime | None = None, after: Position | None = None
) -> AsyncGenerator[Line, None]:
    """Lines in order: of all files beyond `after` (`since` only says which need not be listed), or
    those stored at `since` or later. What is damaged is passed over. Raises RefusedError for a
    newer format, and BucketError."""
    wanted = [
        file
        for file in await files(store, layout, since=since)
        if after is None or file.position > after
    ]
    begin = since if after is None else None
    async for line in lines_in(store, wanted):
        if begin is None or datetime.fromisoformat(line.at) >= begin:
            yield line


async def lines_in(store: Store, some: list[File]) -> AsyncGenerator[Line, None]:
    """All lines of these files, in order; what is damaged is passed over. Raises RefusedError for a
    newer format, and BucketError."""
    for start in range(0, len(some), _READ_AHEAD):
        ahead = some[start : start + _READ_AHEAD]
        bodies = await together(fetch(store, file.key) for file in ahead)
        for file, body in zip(ahead, bodies, strict=True):
            for line in decode(body, file.key):
                if line is not None:
                    yield line
            await asyncio.sleep(0)


async def fetch(store: Store, key: str) -> bytes:
    """What a file holds; nothing once it is gone. Raises BucketError."""
    try:
        body, _ = await store.get(key)
    except AbsentError:  # too old, and just removed
        return b""
    return body


def decode(body: bytes, key: str) -> Iterator[Line | None]:
    """The lines of one file; None: one that is damaged. Raises RefusedError for a newer format."""
    for text in body.splitlines():
        try:
            line = Line.decode(text, key)
        except ValueError:
            line = None
        yield line


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
