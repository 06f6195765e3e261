"""What commands share that look into the bucket, and never at a cluster."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.cli.options import load_settings
from watcher.cli.process import log_of, run_until_done
from watcher.errors import RefusedError, WatcherError
from watcher.settings import Settings

if TYPE_CHECKING:
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store

_T = TypeVar("_T")


def in_store(settings: Settings, work: Callable[["Store"], Awaitable[_T]]) -> _T:
    """The result of `work` on the bucket of the settings. Raises WatcherError."""
    from watcher.bucket.opening import open_store

    async def run() -> _T:
        async with open_store(settings, lambda *_: None, lambda: datetime.now(UTC)) as store:
            return await work(store)

    return run_until_done(run(), log_of(settings, level="warning"))


def in_bucket(flags: dict[str, Any], work: Callable[["Store", "Layout"], Awaitable[_T]]) -> _T:
    """The result of `work` on the cluster's part of the bucket. Raises WatcherError, also where
    nobody ever wrote a backup of the cluster that the settings name."""
    from watcher.bucket.layout import Layout

    settings = load_settings(flags)
    layout = Layout(settings.cluster_domain, settings.cluster_name)

    async def there(store: "Store") -> _T:
        await store.check(layout.prefix)
        await check_there(
            store, layout, hint="settings cluster-domain, cluster-name and minio-bucket"
        )
        return await work(store, layout)

    return in_store(settings, there)


async def check_there(store: "Store", layout: "Layout", *, hint: str) -> None:
    """Raises WatcherError where nobody ever wrote a backup of a cluster."""
    from watcher.bucket import owner

    if await owner.read(store, layout) is None:
        raise WatcherError(f"{store.name} holds no backup under {layout.prefix}", hint=hint)


def still_alive(prefix: str, who: str) -> RefusedError:
    """What is said instead of taking a backup away from who writes it."""
    return RefusedError(
        f"{prefix} is alive: {who}",
        hint="stop that one first; if it is dead, wait until its heartbeat is 15 minutes old",
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table; the first one is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def rfc3339(at: datetime) -> str:
    """A time that is UTC, to the second."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
