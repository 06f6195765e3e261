"""A bucket in memory whose faults are named methods: for unit tests and for simulation.

Exists so that what a network and a store can do to us is said in a test's own words and replays
exactly. It keeps the contract of `watcher.bucket.store` (tests/store_contract.py); it waits only
through the event loop, so virtual time works.

The faults, each survivable by whoever writes to a bucket:
- unreachable: nothing happens, no usable answer
- answer lost: the request takes place, its answer never comes
- late: as unreachable for the caller, but the request lands `late` seconds afterwards
- silent: neither request nor answer; ends only by the caller's patience
- throttled, or rejected for good: nothing happens, and says so
- conflict: nothing happens to a conditional PUT, though its condition holds (AWS's 409)
- stale: a page of a listing shows what the bucket held when it was last told to `remember`
"""

import asyncio
import bisect
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from functools import partial
from itertools import count
from typing import TypeVar

from watcher.bucket.ledger import etag_of
from watcher.bucket.store import OVERWRITE, Create, Head, Listed, PutMode, Store, Update, Version
from watcher.errors import (
    AbsentError,
    BucketUnreachableError,
    PreconditionError,
    RejectedError,
    ThrottledError,
)

_T = TypeVar("_T")


class Fault(Enum):
    NONE = auto()
    UNREACHABLE = auto()
    ANSWER_LOST = auto()
    LATE = auto()
    SILENT = auto()
    THROTTLED = auto()
    REJECTED = auto()
    CONFLICT = auto()
    STALE = auto()


@dataclass(frozen=True, slots=True)
class _Object:
    body: bytes
    etag: str
    metadata: Mapping[str, str]
    version: str
    modified: datetime


class MemoryStore(Store):
    """latency: seconds each request takes. late: seconds after which a late one lands. clock: the
    server's.

    Truth for tests: `objects()` is what the bucket holds; `requests` counts (operation, key).
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        late: float = 5.0,
        page: int = 1000,
        versioned: bool = False,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.latency = latency
        self.late = late
        self.page = page
        self._clock = clock or _now
        self.requests: Counter[tuple[str, str]] = Counter()
        self.choose_fault: Callable[[str, str], Fault] = lambda operation, key: Fault.NONE
        self._objects: dict[str, _Object] = {}
        self._past: dict[str, _Object] = {}
        self._versions = count(1) if versioned else None
        self._next: deque[Fault] = deque()
        self._honours_conditions = True
        self._etag: Callable[[bytes], str] = etag_of

    # What a test may know and do behind everybody's back

    def objects(self) -> dict[str, bytes]:
        return {key: found.body for key, found in sorted(self._objects.items())}

    def puts(self) -> int:
        """How many PUTs were asked for."""
        return sum(n for (operation, _), n in self.requests.items() if operation == "PUT")

    def written_by_a_stranger(self, key: str, body: bytes, *, parts: int = 1) -> None:
        """parts: of a multipart upload, whose ETag is no MD5."""
        stored = self._object(body, {})
        if parts > 1:
            stored = replace(stored, etag=f'{stored.etag[:-1]}-{parts}"')
        self._objects[key] = stored

    def damage(self, key: str, body: bytes) -> None:
        """Other bytes under the same ETag: what a disk does."""
        self._objects[key] = replace(self._objects[key], body=body)

    def removed_by_a_stranger(self, key: str) -> None:
        self._objects.pop(key, None)

    # Faults

    def fail_next(self, *faults: Fault) -> None:
        """One for each of the next requests, whatever they are."""
        self._next.extend(faults)

    def fail_all(self, fault: Fault) -> None:
        """Until `recover`."""
        self.choose_fault = lambda operation, key: fault

    def recover(self) -> None:
        self.choose_fault = lambda operation, key: Fault.NONE
        self._next.clear()

    def remember(self) -> None:
        """What stale listings show from now on: what is there now."""
        self._past = dict(self._objects)

    def ignore_conditions(self) -> None:
        self._honours_conditions = False

    def etags_are_not_md5(self) -> None:
        """As under SSE-KMS: the same body written again has another ETag."""
        writes = count(1)
        self._etag = lambda body: f'"{len(body):x}-{next(writes):x}"'

    # The contract

    @property
    def name(self) -> str:
        return "memory"

    @property
    def has_metadata(self) -> bool:
        return True

    async def check(self, prefix: str = "") -> None:
        await self._request("LIST", prefix, lambda: None)

    async def now(self, prefix: str = "") -> datetime:
        return await self._request("LIST", prefix, self._clock)

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/yaml",
        mode: PutMode = OVERWRITE,
    ) -> Version:
        new = self._object(body, dict(metadata or {}))
        return await self._request("PUT", key, lambda: self._write(key, new, mode))

    async def get(self, key: str) -> tuple[bytes, Head]:
        found = await self._request("GET", key, lambda: self._read(key))
        return found.body, Head(found.etag, found.metadata, found.version)

    async def head(self, key: str) -> Head:
        found = await self._request("HEAD", key, lambda: self._read(key))
        return Head(found.etag, found.metadata, found.version)

    async def delete(self, key: str) -> str:
        await self._request("DELETE", key, lambda: self._objects.pop(key, None))
        return self._new_version()

    async def copy(self, source: str, target: str) -> None:
        def act() -> None:
            self._objects[target] = self._read(source)

        await self._request("COPY", source, act)

    def _page(self, prefix: str, after: str) -> tuple[list[Listed], bool]:
        keys = sorted((key for key in self._objects if key.startswith(prefix)), key=str.encode)
        keys = keys[bisect.bisect_right(keys, after.encode(), key=str.encode) :]
        page = [(key, self._objects[key]) for key in keys[: self.page]]
        found = [Listed(key, it.etag, len(it.body), it.modified) for key, it in page]
        return found, len(keys) > self.page

    async def list(
        self, prefix: str, *, start_after: str = ""
    ) -> AsyncGenerator[list[Listed], None]:
        more = True
        while more:
            search = partial(self._page, prefix, start_after)
            page, more = await self._request("LIST", prefix, search)
            if page:
                yield page
                start_after = page[-1].key

    async def folders(self, prefix: str) -> tuple[str, ...]:
        below = (key.removeprefix(prefix) for key in self._objects if key.startswith(prefix))
        found = {name.partition("/")[0] for name in below if "/" in name}
        return await self._request("LIST", prefix, lambda: tuple(sorted(found)))

    async def use_keys(self, access_key: str, secret_key: str) -> None:
        """Nobody asks for any."""

    async def close(self) -> None:
        """What is to land late still does: the network doesn't know that we are gone."""

    def _object(self, body: bytes, metadata: Mapping[str, str]) -> _Object:
        return _Object(body, self._etag(body), metadata, self._new_version(), self._clock())

    def _new_version(self) -> str:
        """Of a versioned bucket; "" of another."""
        return f"v{next(self._versions)}" if self._versions else ""

    def _write(self, key: str, new: _Object, mode: PutMode) -> Version:
        found = self._objects.get(key)
        if self._honours_conditions:
            match mode:
                case Create() if found:
                    raise PreconditionError(f"{key} exists")
                case Update(etag) if found is None or found.etag != etag:
                    raise PreconditionError(f"{key} has changed")
        self._objects[key] = new
        return Version(new.etag, new.version)

    def _read(self, key: str) -> _Object:
        if key not in self._objects:
            raise AbsentError(f"no key {key}")
        return self._objects[key]

    async def _request(self, operation: str, key: str, act: Callable[[], _T]) -> _T:
        self.requests[operation, key] += 1
        fault = self._next.popleft() if self._next else self.choose_fault(operation, key)
        await asyncio.sleep(self.latency)
        match fault:
            case Fault.STALE if operation == "LIST":
                return self._as_it_was(act)
            case Fault.NONE | Fault.STALE:
                return act()
            case Fault.ANSWER_LOST:
                with suppress(PreconditionError, AbsentError):
                    act()
            case Fault.LATE:
                self._land_later(act)
            case Fault.SILENT:
                await asyncio.Event().wait()
            case Fault.THROTTLED:
                raise ThrottledError("slow down")
            case Fault.REJECTED:
                raise RejectedError("access denied")
            case Fault.CONFLICT:
                raise PreconditionError("somebody else writes this key at this moment")
        raise BucketUnreachableError("no answer")

    def _as_it_was(self, look: Callable[[], _T]) -> _T:
        now, self._objects = self._objects, self._past
        try:
            return look()
        finally:
            self._objects = now

    def _land_later(self, act: Callable[[], object]) -> None:
        def land() -> None:
            with suppress(PreconditionError, AbsentError):
                act()

        asyncio.get_running_loop().call_later(self.late, land)


def _now() -> datetime:
    """The loop's time, virtual or not; without a loop the beginning of time."""
    try:
        return datetime.fromtimestamp(asyncio.get_running_loop().time(), UTC)
    except RuntimeError:
        return datetime.fromtimestamp(0, UTC)
