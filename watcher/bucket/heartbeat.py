"""A sign of life in the bucket: `_meta/heartbeat/YYYY-MM-DD.json` (FORMAT.md section 5).

Exists so that who has only the bucket knows whether the backup is alive and well, and so that two
living writers of one prefix (a cloned cluster has the same UID) notice each other. Promises: each
beat is written only over our own last one; what moved it under us is looked at: a writer with a
higher epoch is obeyed, one with a lower epoch will find ours and obey. A key a day: one for ever
would collect a hundred thousand versions a year.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from watcher.bucket.layout import Layout
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.metadata import Writer
from watcher.bucket.store import CREATE, OVERWRITE, PutMode, Store, Update
from watcher.errors import AbsentError, BucketError, PreconditionError, RefusedError

FOLDER = "heartbeat/"
INTERVAL = 300.0  # seconds between two beats
FRESH = timedelta(minutes=15)  # for so long after a beat its writer counts as alive
KEPT = timedelta(days=7)


class DamagedError(BucketError):
    """A file in the place of a heartbeat that is none."""


@dataclass(frozen=True, slots=True)
class Ailing:
    """A promise that does not hold. kind: "" where it concerns none."""

    promise: str
    kind: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Times are UTC; None: never, or not known. writer: `instance/epoch`."""

    at: datetime
    writer: Writer
    failing: tuple[Ailing, ...] = ()
    last_healthy: datetime | None = None
    objects: int = 0
    last_change: datetime | None = None
    last_reconcile: datetime | None = None
    watcher_version: str = ""
    kubernetes_version: str = ""
    released: bool = False  # its writer ended in order

    @property
    def healthy(self) -> bool:
        return not self.failing

    def is_alive(self, now: datetime) -> bool:
        """Whether its writer may still be writing. A beat from far ahead tells of a wrong clock."""
        return not self.released and abs(now - self.at) < FRESH

    def encode(self) -> bytes:
        fields = {
            "format": FORMAT,
            "at": _text(self.at),
            "writer": str(self.writer),
            "epoch": self.writer.epoch,
            "healthy": self.healthy,
            "failing": [
                {"promise": it.promise, "kind": it.kind, "since": _text(it.since)}
                for it in self.failing
            ],
            "last_healthy": _text(self.last_healthy),
            "objects": self.objects,
            "last_change": _text(self.last_change),
            "last_reconcile": _text(self.last_reconcile),
            "versions": {"watcher": self.watcher_version, "kubernetes": self.kubernetes_version},
            "released": self.released,
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def decode(cls, body: bytes, key: str) -> "Heartbeat":
        """Raises RefusedError for a newer format, DamagedError where it is none."""
        try:
            found: dict[str, Any] = dict(orjson.loads(body))
            check_format(key, int(found["format"]))
            at = _time(found["at"])
            if at is None:
                raise ValueError("it says of no time")
            return cls(
                at,
                Writer(str(found["writer"]).rpartition("/")[0], int(found["epoch"])),
                tuple(
                    Ailing(str(it["promise"]), str(it["kind"]), _time(it["since"]) or at)
                    for it in found["failing"]
                ),
                _time(found["last_healthy"]),
                int(found["objects"]),
                _time(found["last_change"]),
                _time(found["last_reconcile"]),
                str(found["versions"]["watcher"]),
                str(found["versions"]["kubernetes"]),
                bool(found["released"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedError(f"{key} is no heartbeat") from error


async def newest(
    store: Store, layout: Layout, *, tell: Callable[[str], object] = lambda why: None
) -> Heartbeat | None:
    """The last beat of whoever wrote last; None: nobody ever did. What is no heartbeat is passed
    over. tell: is told of each of those. Raises RefusedError for a newer format, and BucketError.
    """
    folder = layout.prefix + layout.meta(FOLDER)
    keys = [listed.key async for page in store.list(folder) for listed in page]
    for key in reversed(keys):
        try:
            body, _ = await store.get(key)
            return Heartbeat.decode(body, key)
        except AbsentError:
            continue
        except DamagedError as error:
            tell(str(error))
    return None


class Pulse:
    """The beats of one writer."""

    def __init__(self, store: Store, layout: Layout, writer: Writer, *, conditional: bool) -> None:
        self._store = store
        self._layout = layout
        self._writer = writer
        self._conditional = conditional
        self._key = ""
        self._etag = ""  # of our last beat under that key; "": none yet

    async def beat(self, heartbeat: Heartbeat) -> Writer | None:
        """Write one; who else has written over our last one, None if nobody.

        Raises RefusedError where a writer of a higher epoch lives, and BucketError. It is written
        over one of a lower epoch, whose writer finds out at its own next beat.
        """
        day = f"{heartbeat.at.astimezone(UTC):%Y-%m-%d}.json"
        key = self._layout.prefix + self._layout.meta(FOLDER + day)
        if key != self._key:
            self._key, self._etag = key, ""
        rival = None if self._conditional else self._rival(*await self._look(key))
        try:
            self._etag = await self._put(key, heartbeat, self._etag)
        except PreconditionError:
            etag, found = await self._look(key)
            rival = self._rival(etag, found)
            self._etag = await self._put(key, heartbeat, etag)
        return rival

    def _rival(self, etag: str, found: Writer | None) -> Writer | None:
        """Who put what is there in the place of our last beat."""
        moved = bool(self._etag) and etag != self._etag
        return found if moved and found != self._writer else None

    async def _look(self, key: str) -> tuple[str, Writer | None]:
        """The ETag of what is there, which we may overwrite, and whose it is; "" if nothing is."""
        try:
            body, head = await self._store.get(key)
        except AbsentError:
            return "", None
        with suppress(DamagedError):
            found = Heartbeat.decode(body, key).writer
            if found.outranks(self._writer):
                raise second_writer(self._layout.prefix, str(found))
            return head.etag, found
        return head.etag, None

    async def _put(self, key: str, heartbeat: Heartbeat, over: str) -> str:
        mode: PutMode = Update(over) if over else CREATE
        written = await self._store.put(
            key,
            heartbeat.encode(),
            content_type="application/json",
            mode=mode if self._conditional else OVERWRITE,
        )
        return written.etag


def second_writer(prefix: str, writer: str) -> RefusedError:
    """What a writer says that finds one which began after it, as it stops."""
    return RefusedError(
        f"another writer, {writer}, writes to {prefix}: this one stopped",
        hint="two processes of one cluster, or a cloned cluster with the same name?",
    )


def _text(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time
