"""What the rest of the program wants from a bucket, and nothing about how it is done.

Exists so that S3, a directory and a test's memory are interchangeable: the contract suite in
`tests/store_contract.py` runs over all of them. Promises of every store:
a `put` that returned is durable and readable; `list` is in key order (by UTF-8 bytes) and shows
every such put; a put is whole or not there; each method raises only `BucketError`s of errors.py.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Overwrite:
    """Write, whatever is there."""


@dataclass(frozen=True, slots=True)
class Create:
    """Write only where there is no such key; else PreconditionError."""


@dataclass(frozen=True, slots=True)
class Update:
    """Write only over the version with this ETag; else (absent too) PreconditionError."""

    etag: str


NEVER = datetime.min.replace(tzinfo=UTC)

PutMode = Overwrite | Create | Update
OVERWRITE = Overwrite()
CREATE = Create()


class Version(NamedTuple):
    """What a PUT made of a key."""

    etag: str  # as the store sent it, quotes included
    id: str = ""  # of this version, where the bucket keeps old ones; else ""


@dataclass(frozen=True, slots=True)
class Listed:
    key: str
    etag: str  # as the store sent it, quotes included
    size: int  # bytes
    modified: datetime = field(default=NEVER, compare=False)  # by the store's clock


@dataclass(frozen=True, slots=True)
class Head:
    etag: str
    metadata: Mapping[str, str]  # user metadata, names in lower case without the x-amz-meta- prefix
    version: str = ""  # its id, where the bucket keeps old ones


# Told of every request: operation (PUT, GET, HEAD, LIST, DELETE, COPY), code (an HTTP status as
# text, or "timeout" or "error" where there was no answer), seconds.
Observe = Callable[[str, str, float], None]


class Store(Protocol):
    """One bucket. Keys are whole keys, UTF-8, `/`-separated."""

    @property
    def name(self) -> str:
        """For messages: `s3://bucket at http://minio:9000`, `file:///backups`."""

    @property
    def has_metadata(self) -> bool:
        """Whether user metadata given to `put` comes back from `head`."""

    async def check(self, prefix: str = "") -> None:
        """Raise the error that says what is wrong (missing bucket, wrong keys, …), or return.

        prefix: where the caller may list, for policies that allow no more than that.
        """

    async def now(self, prefix: str = "") -> datetime:
        """What the clock says by which `Listed.modified` is told, at most two seconds late.

        Late because HTTP tells whole seconds and some servers (fasthttp, so versitygw) renew
        their Date header once a second only. prefix: as in `check`.
        """

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/yaml",
        mode: PutMode = OVERWRITE,
    ) -> Version:
        """Write one object. Metadata values are ASCII (percent-encoded by callers).

        Stores that ignore conditions write all the same: callers probe that once.
        """

    async def get(self, key: str) -> tuple[bytes, Head]:
        """Body and head. Raises AbsentError."""

    async def head(self, key: str) -> Head:
        """Raises AbsentError."""

    async def delete(self, key: str) -> str:
        """Remove one object; fine if there is none. The id of the mark that a bucket which keeps
        old versions leaves, else ""."""

    async def copy(self, source: str, target: str) -> None:
        """Write what is under one key, metadata too, under another. Raises AbsentError."""

    def list(self, prefix: str, *, start_after: str = "") -> AsyncGenerator[list[Listed], None]:
        """All keys that begin with the prefix and come after `start_after`, a page at a time.

        Who stops early closes it (`contextlib.aclosing`).
        """

    async def folders(self, prefix: str) -> tuple[str, ...]:
        """Names of what a person would call the folders right below a prefix (which ends with "/"
        or is ""), sorted, without looking into them."""

    async def use_keys(self, access_key: str, secret_key: str) -> None:
        """Ask with these from now on; both "": with those of AWS's chain. Raises BucketError.

        Does nothing where nobody asks for keys.
        """

    async def close(self) -> None:
        """Let go of connections."""


async def holds_files(store: Store, prefix: str, *, besides: tuple[str, ...] = ()) -> bool:
    """Whether any key begins with the prefix, and with none of `besides`. Raises BucketError."""
    async with aclosing(store.list(prefix)) as pages:
        async for page in pages:
            if any(not listed.key.startswith(besides) for listed in page):
                return True
    return False
