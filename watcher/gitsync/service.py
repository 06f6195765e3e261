"""`watcher git-sync`: rounds at their time, and what becomes of one that fails.

Exists so that the mirror keeps up by itself. Promises: a fault of the host or the bucket never ends
it; what fails is said once and tried again, sooner than the next round is due; what a failed round
left behind is pushed by the next one.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from watcher.backoff import Backoff
from watcher.bucket.store import Store
from watcher.errors import BucketError, RefusedError
from watcher.gitsync.folder import locked, temporary
from watcher.gitsync.git import GitError
from watcher.gitsync.mirror import Mirror, Summary
from watcher.gitsync.remote import RemoteError, environment
from watcher.gitsync.repository import Repository
from watcher.gitsync.selection import PLAIN_SECRET, UNREADABLE
from watcher.logs import Log, Outage
from watcher.metrics import FleetMetrics
from watcher.settings import Settings

_LOOK = 15.0  # seconds between two looks at the clock, which may jump
_FIRST, _LONGEST = 30.0, 600.0  # seconds until what failed is tried again
_FULL = timedelta(days=1)  # between two comparisons of everything, if the schedule is continuous
_FAILING = {
    "remote": "pushing to the repository",
    "bucket": "reading the bucket",
    "copy": "working on the local copy",
}
_ACTIONS = {"A": "create", "M": "update", "D": "delete"}
_NAMED = 20  # files of a log line


@contextmanager
def copy_of(settings: Settings) -> Iterator[Repository]:
    """The local copy, in the folder of the settings or a temporary one, which is ours meanwhile.

    Raises UsageError.
    """
    with environment(settings) as variables:
        if settings.git_cache_dir is not None:
            with locked(settings.git_cache_dir):
                yield Repository(settings.git_cache_dir, settings, variables)
        else:
            with temporary() as folder:
                yield Repository(folder, settings, variables)


@dataclass(slots=True)
class Rounds:
    """`run()` never returns by itself; cancel it."""

    store: Store
    repository: Repository
    settings: Settings
    metrics: FleetMetrics
    log: Log
    clock: Callable[[], datetime]
    random: Random
    not_ready: str | None = field(default="the first round is under way", init=False)
    _behind: set[str] = field(default_factory=set, init=False)
    _kept_out: set[str] = field(default_factory=set, init=False)
    _mirror: Mirror | None = field(default=None, init=False)
    _outages: dict[str, Outage] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        time = asyncio.get_running_loop().time
        self._outages = {reason: Outage(self.log, what, time) for reason, what in _FAILING.items()}
        patience = Backoff(self.random, _FIRST, _LONGEST)
        full, compared = True, self.clock()
        while True:
            began = self.clock()
            summary = await self._try(full=full)
            if summary and full:
                compared = began
            if summary is None or summary.unpublished or summary.behind:
                await asyncio.sleep(patience.next())
                # What is behind, or could not be pushed, needs none.
                full = (full and summary is None) or self._full_is_due(compared)
                continue
            patience.reset()
            await self._until_due(began)
            full = self._full_is_due(compared)

    async def _try(self, *, full: bool) -> Summary | None:
        """None: it failed, which has been told."""
        try:
            self._mirror = self._mirror or await self.mirror()
            summary = await self._timed(self._mirror, full=full)
            if not summary.unpublished and await self.repository.has_grown():
                self._forget()
        except RemoteError as error:
            self._fails("remote", str(error))
        except (BucketError, RefusedError) as error:
            self._fails("bucket", str(error))
        except (GitError, OSError) as error:  # a disk that is full or was lost, a kill -9
            self._fails("copy", str(error))
            self._forget()
        else:
            self._outages["bucket"].ended()
            self._outages["copy"].ended()
            if summary.unpublished:
                self._fails("remote", summary.unpublished)
            else:
                self._outages["remote"].ended()
            self.not_ready = None
            return summary
        return None

    def _fails(self, reason: str, why: str) -> None:
        self.metrics.git_failures.labels(reason).inc()
        self._outages[reason].began(why)
        self.not_ready = self.not_ready and why  # it was ready: then it still is

    def _forget(self) -> None:
        self.repository.forget()
        self._mirror = None

    async def once(self) -> Summary:
        """One round. Raises RemoteError, BucketError, RefusedError, GitError and OSError."""
        try:
            return await self._timed(await self.mirror(), full=True)
        except GitError as error:
            if self.settings.git_cache_dir is None:
                raise
            self.log.warning("the local copy is made anew", reason=str(error))
            self.repository.forget()
            return await self._timed(await self.mirror(), full=True)

    async def mirror(self) -> Mirror:
        """With a local copy that is of use. Raises GitError."""
        await self.repository.prepare()
        return Mirror(self.store, self.repository, self.settings, self.clock)

    async def _timed(self, mirror: Mirror, *, full: bool) -> Summary:
        time = asyncio.get_running_loop().time
        began = time()
        summary = await mirror.round(full=full)
        seconds = time() - began
        self.metrics.git_round_duration.set(seconds)
        self.metrics.git_unpushed_commits.set(await self.repository.unpublished())
        self.metrics.git_behind_clusters.set(len(summary.behind))
        self.metrics.git_commits.inc(summary.commits)
        reasons = Counter(summary.left_out.values())
        for reason in (PLAIN_SECRET, UNREADABLE):
            self.metrics.git_refused_files.labels(reason).set(reasons[reason])
        self.metrics.git_refused_files.labels("rejected").set(len(summary.rejected))
        for action, count in summary.made.items():
            self.metrics.git_files.labels(_ACTIONS[action]).inc(count)
        if not summary.unpublished and not summary.behind:
            self.metrics.git_last_success.set(self.clock().timestamp())
        self._tell(summary, seconds)
        return summary

    def _tell(self, summary: Summary, seconds: float) -> None:
        if summary.commits:
            made = {_ACTIONS[action]: count for action, count in summary.made.items()}
            took = f"{seconds:.1f}s"
            self.log.info("committed", clusters=summary.clusters, **made, seconds=took)
        for cluster in sorted(summary.behind.keys() - self._behind):
            why = summary.behind[cluster]
            self.log.warning("a cluster cannot be read", cluster=cluster, reason=why)
        for cluster in sorted(self._behind - summary.behind.keys()):
            self.log.info("a cluster can be read again", cluster=cluster)
        self._behind = set(summary.behind)
        kept_out = summary.left_out | summary.rejected
        new = sorted(kept_out.keys() - self._kept_out)
        for path in new[:_NAMED]:
            self.log.warning("a file is not mirrored", path=path, reason=kept_out[path])
        if len(new) > _NAMED:
            self.log.warning("more files are not mirrored", files=len(new) - _NAMED)
        self._kept_out = set(kept_out)

    async def _until_due(self, began: datetime) -> None:
        """The next round, after one that is done."""
        if self.settings.git_sync_schedule is None:
            await asyncio.sleep(self.settings.git_sync_interval)
            return
        while not self._full_is_due(began):
            await asyncio.sleep(_LOOK)

    def _full_is_due(self, since: datetime) -> bool:
        schedule = self.settings.git_sync_schedule
        due = schedule.after(since) if schedule else since + _FULL
        return not since <= self.clock() < due  # put back, the clock tells nothing any more
