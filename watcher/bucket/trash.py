"""What was deleted from a bucket that keeps no old versions: `_meta/trash/` (FORMAT.md section 5).

Exists so that a deletion can be undone there too. Promises: a file is copied, whole and with its
metadata, before it is deleted, and once however often the deletion has to be tried. What is too
old is thrown away by retention.py.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from watcher.bucket.layout import Layout
from watcher.bucket.store import CREATE, Store
from watcher.errors import AbsentError, PreconditionError

FOLDER = "trash/"

_TIME = "%Y%m%dT%H%M%SZ"
_KEY = re.compile(r"(?:.*/)?_meta/trash/(?P<time>[0-9]{8}T[0-9]{6}Z)/(?P<key>.+)")


class Thrown(NamedTuple):
    """One deleted file."""

    key: str  # where it lay, relative to the cluster's prefix
    at: datetime
    trash: str  # where it lies now, the whole key


@dataclass(slots=True)
class Trash:
    """Where the files of one cluster go."""

    store: Store
    layout: Layout
    _taken: dict[str, str] = field(default_factory=dict)  # key -> ETag of what was copied

    async def take(self, key: str, etag: str, at: datetime) -> None:
        """Copy a file that is about to be deleted; fine if there is none. etag: what is known of
        it. Raises BucketError."""
        if self._taken.get(key) == etag:
            return  # an earlier try came as far as this
        target = f"{self.layout.meta(FOLDER)}{at.astimezone(UTC).strftime(_TIME)}/{key}"
        try:
            await self.store.copy(self.layout.prefix + key, self.layout.prefix + target)
        except AbsentError:
            return
        self._taken[key] = etag

    def gone(self, key: str) -> None:
        """It was deleted: the next file of this name is another one."""
        self._taken.pop(key, None)


async def thrown(store: Store, layout: Layout) -> list[Thrown]:
    """All that is in the trash, by key, the newest first. Raises BucketError."""
    found = [
        each
        async for page in store.list(layout.prefix + layout.meta(FOLDER))
        for each in filter(None, (_parse(listed.key) for listed in page))
    ]
    found.sort(key=lambda each: each.at, reverse=True)
    return sorted(found, key=lambda each: each.key)


async def put_back(store: Store, layout: Layout, file: Thrown) -> bool:
    """Write a file where it lay; False: there is one by now. Raises BucketError."""
    key = layout.prefix + file.key
    try:
        await store.head(key)
    except AbsentError:
        body, head = await store.get(file.trash)
        with suppress(PreconditionError):
            await store.put(key, body, metadata=head.metadata, mode=CREATE)
            return True
    return False


def _parse(key: str) -> Thrown | None:
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        at = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Thrown(match["key"], at, key)
