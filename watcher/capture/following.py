"""What follows the cluster, from the start of a process to its end: informers -> inflow.py.

Exists because it stays the same when a standby becomes the one who writes: that no list has to be
read again is what makes a takeover quick. Promises: it depends on nobody's right to write.
"""

import asyncio

from watcher.bucket.held import Loaded
from watcher.bucket.ledger import Ledger
from watcher.capture.context import Context
from watcher.capture.inflow import Inflow
from watcher.capture.roster import Roster
from watcher.capture.watchfulness import Watchfulness
from watcher.cluster.kinds import KindFilter


class Following:
    def __init__(self, context: Context, cluster_uid: str, ledger: Ledger, deletes: Loaded) -> None:
        settings = context.settings
        self.inflow = Inflow(context, cluster_uid, ledger, deletes, kinds=lambda: self.roster)
        self.watchfulness = Watchfulness(context.metrics, context.log, context.clock)
        self.roster = Roster(
            context.api,
            self.inflow.flow,
            KindFilter(settings.include_kinds, settings.exclude_kinds),
            selector=settings.label_selector,
            same=self.inflow.same,
            watchfulness=self.watchfulness,
            metrics=context.metrics,
            log=context.log,
            random=context.random,
        )

    def begin(self, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Follow, until the task is cancelled."""
        return group.create_task(self.roster.run(), name="roster")
