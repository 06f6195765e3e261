"""A store that writes only while it may.

Exists so that "am I still the one who writes?" is asked at one place, directly before each request
that changes something, whoever sends it: files, trash, journal, checkpoint, heartbeat, records.
Promises: where the answer is no, nothing is sent and it says why (FencedError); reading is free.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime

from watcher.bucket.store import OVERWRITE, Head, Listed, PutMode, Store, Version
from watcher.errors import BucketError


class FencedError(BucketError):
    """This process may not write now; nothing was sent."""


class Fenced(Store):
    """barred: why nothing may be written at this moment; None: it may."""

    def __init__(self, store: Store, barred: Callable[[], str | None]) -> None:
        self._store = store
        self._barred = barred

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def has_metadata(self) -> bool:
        return self._store.has_metadata

    async def check(self, prefix: str = "") -> None:
        await self._store.check(prefix)

    async def now(self, prefix: str = "") -> datetime:
        return await self._store.now(prefix)

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/yaml",
        mode: PutMode = OVERWRITE,
    ) -> Version:
        self._ask()
        return await self._store.put(
            key, body, metadata=metadata, content_type=content_type, mode=mode
        )

    async def get(self, key: str) -> tuple[bytes, Head]:
        return await self._store.get(key)

    async def head(self, key: str) -> Head:
        return await self._store.head(key)

    async def delete(self, key: str) -> str:
        self._ask()
        return await self._store.delete(key)

    async def copy(self, source: str, target: str) -> None:
        self._ask()
        await self._store.copy(source, target)

    def list(self, prefix: str, *, start_after: str = "") -> AsyncGenerator[list[Listed], None]:
        return self._store.list(prefix, start_after=start_after)

    async def folders(self, prefix: str) -> tuple[str, ...]:
        return await self._store.folders(prefix)

    async def use_keys(self, access_key: str, secret_key: str) -> None:
        await self._store.use_keys(access_key, secret_key)

    async def close(self) -> None:
        await self._store.close()

    def _ask(self) -> None:
        if why := self._barred():
            raise FencedError(why)
