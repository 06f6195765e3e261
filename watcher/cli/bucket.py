"""What commands share that look into one cluster's part of the bucket, and never at a cluster."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.cli.options import load_settings
from watcher.cli.process import log_of, run_until_done
from watcher.errors import WatcherError

if TYPE_CHECKING:
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store

_T = TypeVar("_T")


def in_bucket(flags: dict[str, Any], work: Callable[["Store", "Layout"], Awaitable[_T]]) -> _T:
    """The result of `work` on the bucket of the settings. Raises WatcherError, also where nobody
    ever wrote a backup of the cluster that they name."""
    from watcher.bucket import owner
    from watcher.bucket.layout import Layout
    from watcher.bucket.opening import open_store

    settings = load_settings(flags)
    layout = Layout(settings.cluster_domain, settings.cluster_name)

    async def run() -> _T:
        async with open_store(settings, lambda *_: None, lambda: datetime.now(UTC)) as store:
            await store.check(layout.prefix)
            if await owner.read(store, layout) is None:
                raise WatcherError(
                    f"{store.name} holds no backup under {layout.prefix}",
                    hint="settings cluster-domain, cluster-name and minio-bucket",
                )
            return await work(store, layout)

    return run_until_done(run(), log_of(settings, level="warning"))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table; the first one is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
