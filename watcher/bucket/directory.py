"""A directory as the bucket: for trying out and for air-gapped use (DESIGN.md section 9).

Exists so that `file:///backups` keeps the contract of store.py. Promises: a file appears whole or
not at all, after kill -9 too (written aside, then renamed); with `fsync`, after a power cut too.
Conditions hold among the writers of this process only. Blocking calls run in threads.

What is being written lies beside its goal as `~tmp-…`, which no key may contain; leftovers of a
killed process are invisible, and removed by a listing that meets them an hour later.
"""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from watcher.bucket.ledger import etag_of
from watcher.bucket.store import (
    OVERWRITE,
    Create,
    Head,
    Listed,
    Observe,
    PutMode,
    Store,
    Update,
    Version,
)
from watcher.errors import (
    AbsentError,
    BucketError,
    BucketUnreachableError,
    PreconditionError,
    RejectedError,
)

PAGE = 1000  # keys
_TEMPORARY = "~tmp-"
_ABANDONED = timedelta(hours=1)
_SEGMENT = 255  # bytes in a file name; Linux file systems allow no more
_LOCKS = 64

_T = TypeVar("_T")


class Directory(Store):
    """root: an existing directory. clock: now, in UTC. fsync: survive a power cut, at a price."""

    def __init__(
        self, root: Path, *, fsync: bool, clock: Callable[[], datetime], observe: Observe
    ) -> None:
        self._root = root
        self._fsync = fsync
        self._clock = clock
        self._observe = observe
        # Held by threads, not tasks: a cancelled put goes on in its thread and must not be
        # overtaken. A key always meets the same lock.
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    @property
    def name(self) -> str:
        return self._root.as_uri()

    @property
    def has_metadata(self) -> bool:
        return False

    async def check(self, prefix: str = "") -> None:
        await self._run("HEAD", self._probe)

    async def now(self, prefix: str = "") -> datetime:
        return self._clock().astimezone(UTC)

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/yaml",
        mode: PutMode = OVERWRITE,
    ) -> Version:
        return await self._run("PUT", lambda: self._write(key, body, mode))

    async def get(self, key: str) -> tuple[bytes, Head]:
        body = await self._run("GET", lambda: self._path(key).read_bytes())
        return body, Head(etag_of(body), {})

    async def head(self, key: str) -> Head:
        body = await self._run("HEAD", lambda: self._path(key).read_bytes())
        return Head(etag_of(body), {})

    async def delete(self, key: str) -> str:
        await self._run("DELETE", lambda: self._remove(key))
        return ""

    async def copy(self, source: str, target: str) -> None:
        body = await self._run("COPY", lambda: self._path(source).read_bytes())
        await self.put(target, body)

    async def list(
        self, prefix: str, *, start_after: str = ""
    ) -> AsyncGenerator[list[Listed], None]:
        keys = self._walk("", self._root, prefix, start_after)
        while page := await self._run("LIST", lambda: list(islice(keys, PAGE))):
            yield page

    async def folders(self, prefix: str) -> tuple[str, ...]:
        return await self._run("LIST", lambda: self._folders(prefix))

    async def use_keys(self, access_key: str, secret_key: str) -> None:
        """Nobody asks for any."""

    async def close(self) -> None:
        pass

    async def _run(self, operation: str, call: Callable[[], _T]) -> _T:
        """The call in a thread; its errors in our words, its outcome observed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        code = "error"
        try:
            result = await asyncio.to_thread(call)
            code = "200"
            return result
        except OSError as error:
            refused = self._error(error, operation)
            code = _CODES[type(refused)]
            raise refused from error
        except BucketError as error:
            code = _CODES[type(error)]
            raise
        finally:
            self._observe(operation, code, loop.time() - began)

    def _error(self, error: OSError, operation: str) -> BucketError:
        """The one place that knows what an errno means."""
        reason = (error.strerror or str(error)).lower()
        if (
            operation in {"GET", "HEAD", "COPY"}
            and isinstance(error, _NO_FILE)
            and self._root.is_dir()
        ):
            return AbsentError(f"no such key in {self.name}")
        if error.errno in _PERSISTENT:
            return RejectedError(
                f"{operation} in {self.name}: {reason}",
                hint=f"setting minio-bucket: {self._root} must be an existing, writable directory",
            )
        return BucketUnreachableError(f"{operation} in {self.name}: {reason}")

    def _path(self, key: str) -> Path:
        for segment in key.split("/"):
            if (
                segment in {"", ".", ".."}
                or "\0" in segment
                or segment.startswith(_TEMPORARY)
                or len(segment.encode()) > _SEGMENT
            ):
                raise RejectedError(f"a directory can't hold the key {key!r}")
        return self._root / key

    def _probe(self) -> None:
        probe = self._root / f"{_TEMPORARY}{uuid4().hex}"
        probe.touch(exist_ok=False)
        probe.unlink()

    def _write(self, key: str, body: bytes, mode: PutMode) -> Version:
        path = self._path(key)
        with self._locks[hash(key) % _LOCKS]:
            self._expect(path, mode)
            temporary = self._write_aside(path, body)
            try:
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            if self._fsync:
                _sync_folder(path.parent)
        return Version(etag_of(body))

    def _expect(self, path: Path, mode: PutMode) -> None:
        match mode:
            case Create():
                met = not path.exists()
            case Update(etag):
                try:
                    met = etag_of(path.read_bytes()) == etag
                except FileNotFoundError:
                    met = False
            case _:
                met = True
        if not met:
            raise PreconditionError(f"{path.name} is not as expected in {self.name}")

    def _write_aside(self, path: Path, body: bytes) -> Path:
        """A whole file in the goal's folder, under a name that is no key."""
        temporary = path.with_name(f"{_TEMPORARY}{uuid4().hex}")
        while True:
            try:
                self._make_folder(path.parent)
                file = temporary.open("xb")
                break
            except FileNotFoundError:
                if not self._root.is_dir():
                    raise
                # Else a delete beside us removed a folder because it was empty: once more.
        try:
            with file:
                file.write(body)
                if self._fsync:
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _make_folder(self, folder: Path) -> None:
        """Like mkdir -p, except that the root itself is never made: it may be an absent mount."""
        if folder.is_dir() or folder == self._root:
            return
        self._make_folder(folder.parent)
        try:
            folder.mkdir()
        except FileExistsError:
            if folder.exists() and not folder.is_dir():
                raise  # else made, or made and removed, beside us: opening the file will tell
        if self._fsync:
            _sync_folder(folder.parent)

    def _remove(self, key: str) -> None:
        path = self._path(key)
        with self._locks[hash(key) % _LOCKS]:
            if not self._root.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            with suppress(*_NO_FILE):
                path.unlink()
                if self._fsync:
                    _sync_folder(path.parent)
        with suppress(OSError):  # not empty, or gone already
            for folder in path.parents:
                if folder == self._root:
                    break
                folder.rmdir()

    def _walk(self, above: str, folder: Path, prefix: str, after: str) -> Iterator[Listed]:
        """Keys in the order of their UTF-8 bytes: a folder sorts as its name and a slash, as
        `a-b/x` comes before `a/x`."""
        try:
            with os.scandir(folder) as found:
                names = [f"{e.name}/" if e.is_dir() else e.name for e in found if _is_utf8(e.name)]
        except FileNotFoundError:
            if folder == self._root:
                raise
            return  # emptied and removed meanwhile
        for name in sorted(names, key=str.encode):
            key = above + name
            path = folder / name
            if name.startswith(_TEMPORARY):
                self._remove_abandoned(path)
            elif name.endswith("/"):
                if _may_hold(key, prefix, after):
                    yield from self._walk(key, path, prefix, after)
            elif key.startswith(prefix) and key.encode() > after.encode():
                with suppress(FileNotFoundError), path.open("rb") as file:
                    modified = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                    body = file.read()
                    yield Listed(key, etag_of(body), len(body), modified)

    def _folders(self, prefix: str) -> tuple[str, ...]:
        folder = self._root / prefix
        if not self._root.is_dir() or folder.is_dir():  # the first is an error, and says so
            with os.scandir(folder) as found:
                return tuple(sorted(e.name for e in found if e.is_dir() and _is_utf8(e.name)))
        return ()

    def _remove_abandoned(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            written = datetime.fromtimestamp(path.stat().st_mtime, self._clock().tzinfo)
            if self._clock() - written > _ABANDONED:
                path.unlink()


def _may_hold(folder: str, prefix: str, after: str) -> bool:
    """Whether keys below `folder` (with its slash) can have the prefix and come after `after`."""
    in_prefix = folder.startswith(prefix) or prefix.startswith(folder)
    return in_prefix and (after.startswith(folder) or folder.encode() > after.encode())


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_PERSISTENT = {  # errnos that stay until somebody changes the directory or the setting
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,  # a file where the key needs a folder
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
_CODES: dict[type[BucketError], str] = {  # what S3 would have answered
    AbsentError: "404",
    PreconditionError: "412",
    RejectedError: "403",
    BucketUnreachableError: "error",
}
