"""That a cluster is no more, and its backup is meant to get old: `_meta/retired.json`.

Exists so that who looks after all clusters of a bucket is told once, in the bucket itself, which of
them nobody expects to write any more. Promises: the mark changes nothing else, no file of the
backup and nothing that a writer does; it goes only when an operator takes it back.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from watcher.bucket.layout import Layout
from watcher.bucket.meta import FORMAT, check_format
from watcher.bucket.store import CREATE, Store
from watcher.errors import AbsentError, BucketError

FILE = "retired.json"


@dataclass(frozen=True, slots=True)
class Retired:
    """reason: an operator's words, or ""."""

    at: datetime
    reason: str = ""

    def encode(self) -> bytes:
        fields = {
            "format": FORMAT,
            "at": self.at.isoformat(timespec="seconds"),
            "reason": self.reason,
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def decode(cls, body: bytes, key: str) -> "Retired":
        """Raises RefusedError for a newer format, BucketError where it is none."""
        try:
            found: dict[str, Any] = dict(orjson.loads(body))
            check_format(key, int(found["format"]))
            at = datetime.fromisoformat(found["at"])
            if at.tzinfo is None:
                raise ValueError("a time without a zone")
            return cls(at, str(found["reason"]))
        except (ValueError, TypeError, KeyError) as error:
            raise BucketError(f"{key} is no mark of a retired cluster") from error


async def read(store: Store, layout: Layout) -> Retired | None:
    """None: it is not retired. Raises RefusedError for a newer format, and BucketError."""
    key = _key(layout)
    try:
        body, _ = await store.get(key)
    except AbsentError:
        return None
    return Retired.decode(body, key)


async def mark(store: Store, layout: Layout, retired: Retired) -> None:
    """Raises PreconditionError where it is marked already, and other BucketErrors."""
    body = retired.encode()
    await store.put(_key(layout), body, content_type="application/json", mode=CREATE)


async def unmark(store: Store, layout: Layout) -> None:
    """Fine if it was not marked. Raises BucketError."""
    await store.delete(_key(layout))


def _key(layout: Layout) -> str:
    return layout.prefix + layout.meta(FILE)
