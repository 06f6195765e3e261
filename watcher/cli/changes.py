"""What changes in the settings while a service runs.

Exists because the kubelet puts a changed Secret into the folder that is mounted, and because what
was taken away (a key that is revoked) must not be used for long. Promises: what can be followed
while work goes on is; for anything else the service is asked to end, and why is said, so that it
begins anew; settings that are wrong change nothing, and are said once. A look may fall into the
middle of a change: only what two looks agree on counts.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from watcher.bucket.store import Store
from watcher.cli.options import load_settings
from watcher.errors import BucketError, UsageError
from watcher.logs import Log, Threshold
from watcher.settings import SETTINGS, Settings

IN_PLACE = frozenset({"log-level", "minio-access-key", "minio-secret-key"})
_LOOK = 15.0  # seconds; the kubelet itself takes about a minute


def changed(old: Settings, new: Settings, names: Collection[str]) -> list[str]:
    """Which of these settings have another value, in the table's order."""
    fields = ((it.name, it.field) for it in SETTINGS if it.name in names)
    return [name for name, field in fields if getattr(old, field) != getattr(new, field)]


@dataclass(frozen=True, slots=True)
class Changes:
    """settings: in use. flags, optional: what they were loaded with. threshold: of the log. stop:
    set where the service is to end."""

    settings: Settings
    flags: Mapping[str, Any]
    threshold: Threshold
    stop: asyncio.Event
    log: Log
    optional: Collection[str] = ()

    @asynccontextmanager
    async def heeded(self, store: Store) -> AsyncIterator[None]:
        """Meanwhile. store: the one whose keys may change."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(store), name="settings")
            yield
            watching.cancel()

    async def _watch(self, store: Store) -> None:
        used, wrong = self.settings, ""
        names = {name.replace("_", "-") for name in self.flags}
        while True:
            await asyncio.sleep(_LOOK)
            try:
                new = self._load()
                found = changed(used, new, names)
                settled = not found or not changed(new, self._load(), names)
            except UsageError as error:
                if str(error) != wrong:
                    wrong = str(error)
                    self.log.warning(
                        "changed settings are wrong: the old ones stay in use", reason=wrong
                    )
                continue
            wrong = ""
            if not found or not settled:
                continue
            if set(found) - IN_PLACE:
                self.log.warning(
                    "settings have changed: ending, to begin anew with them", settings=found
                )
                self.stop.set()
                return
            await self._adopt(new, store)
            self.log.info("settings have changed, and are followed", settings=found)
            used = new

    def _load(self) -> Settings:
        return load_settings(self.flags, optional=self.optional)

    async def _adopt(self, new: Settings, store: Store) -> None:
        self.threshold.level = new.log_level
        try:
            await store.use_keys(new.minio_access_key.reveal(), new.minio_secret_key.reveal())
        except BucketError as error:  # of AWS's chain; the next request tries it again
            self.log.warning("the bucket's new keys cannot be had", reason=str(error))
