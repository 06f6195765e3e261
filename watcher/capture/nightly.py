"""Runs the reconcile: each night at its time, when somebody asks through the bucket, or by hand.

Exists so that whatever starts one, it is done the same way: examine, repair, wait until that is in
the bucket, write the report, set the metrics. Promises: one at a time; a fault of the API server or
the bucket ends this one, is said in the log and a metric, and it is tried again; interrupted, it
leaves nothing behind that matters.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.bucket import reports, requests
from watcher.bucket.layout import Layout
from watcher.bucket.reports import ReadBack, Report, Root, Tally, Trigger
from watcher.bucket.requests import Request
from watcher.bucket.slices import of_night
from watcher.bucket.store import Store
from watcher.capture.drift.comparison import Drift
from watcher.capture.drift.reconcile import Examination, Found, Reconcile
from watcher.capture.health import Findings
from watcher.capture.outflow import Outflow
from watcher.capture.overview import proof
from watcher.errors import BucketError, ClusterError
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.schedule import Schedule

_LOOK = 30.0  # seconds between two looks for requests, and at the clock, which may jump
_AGAIN = 600.0  # seconds until a reconcile that failed is tried again
_FIRST = 600.0  # seconds after the start, if the last one is overdue
_LATE = timedelta(hours=2)  # after its time, until a reconcile that is not done is overdue
_REPAIRED = 600.0  # seconds that repairs may take before the report says that they did not


@dataclass(slots=True)
class Nightly:
    """`run()` never returns by itself; cancel it.

    findings: told how each went.
    """

    store: Store
    layout: Layout
    outflow: Outflow
    schedule: Schedule
    offset: timedelta
    findings: Findings
    metrics: Metrics
    log: Log
    clock: Callable[[], datetime]
    _last: Report | None = field(default=None, init=False)  # the newest
    _next: datetime | None = field(default=None, init=False)
    _answered: set[str] = field(default_factory=set)

    async def run(self) -> None:
        await self._remember()
        now = self.clock()
        last = self._last
        overdue = last is None or self.schedule.after(last.started_at, self.offset) < now
        first = now + timedelta(seconds=_FIRST)
        self._plan(min(first, self._regular()) if overdue else self._regular())
        while True:
            await asyncio.sleep(_LOOK)
            await self._answer_requests()
            if self.clock() < now and self._next:  # it was put back: the next night is nearer
                self._plan(min(self._next, self._regular()))
            now = self.clock()
            if self._next and self.clock() >= self._next:
                try:
                    await self.reconcile("schedule")
                except (ClusterError, BucketError):
                    self._plan(min(self._regular(), self.clock() + timedelta(seconds=_AGAIN)))
                else:
                    self._plan(self._regular())

    async def reconcile(self, trigger: Trigger, *, dry_run: bool = False) -> Report:
        """One, from its beginning to its report. Raises ClusterError and BucketError."""
        began, started_at = asyncio.get_running_loop().time(), self.clock()
        self.log.info("reconcile begins", trigger=trigger)
        read_back = of_night(started_at)
        work = self.outflow.begin_reconcile()
        try:
            seen = await work.examine(read_back)
            repaired = 0 if dry_run else await self._repair(work, seen.found)
            report = _report(
                seen,
                started_at=started_at,
                finished_at=self.clock(),
                trigger=trigger,
                writer=str(self.outflow.instance),
                dry_run=dry_run,
                repaired=repaired,
                held=len(self.outflow.holds),
                slice_=str(read_back),
                seconds=asyncio.get_running_loop().time() - began,
            )
            if not dry_run:
                name = await reports.save(self.store, self.layout, report)
                self.log.debug("the report is written", report=name)
        except (ClusterError, BucketError) as error:
            self.metrics.reconcile_last_failure.set(self.clock().timestamp())
            self.findings.reconcile_failure = str(error)
            self.log.warning("reconcile failed", reason=str(error))
            raise
        self._tell(report, seen)
        if not dry_run:
            self._last = report
            await self.outflow.tidy()
        return report

    async def _remember(self) -> None:
        try:
            self._last = await reports.newest(self.store, self.layout)
        except BucketError as error:
            self.log.warning("the last report cannot be read", reason=str(error))
        if self._last:
            self._show(self._last)

    def _regular(self) -> datetime:
        return self.schedule.after(self.clock(), self.offset)

    def _plan(self, at: datetime) -> None:
        self._next = self.findings.next_reconcile = at
        self.findings.reconcile_due = at + _LATE
        self.metrics.reconcile_next.set(at.timestamp())
        self.log.info("next reconcile", at=at.isoformat(timespec="seconds"))

    async def _answer_requests(self) -> None:
        try:
            for request in await requests.open_requests(self.store, self.layout, self._answered):
                await self._answer(request)
        except BucketError as error:
            self.log.debug("requests cannot be read or answered", reason=str(error))

    async def _answer(self, request: Request) -> None:
        await requests.answer(self.store, self.layout, request, "running")
        try:
            report = await self.reconcile("request")
        except (ClusterError, BucketError) as error:
            await requests.answer(self.store, self.layout, request, "failed", error=str(error))
        else:
            self._plan(self._regular())
            name = reports.name_of(report)
            await requests.answer(self.store, self.layout, request, "done", report=name)

    async def _repair(self, work: Reconcile, found: list[Found]) -> int:
        """How many were made good."""
        work.repair(found)
        waiting = [one.key for one in found if one.resource]
        try:
            async with asyncio.timeout(_REPAIRED):
                while not self.outflow.is_settled(waiting):
                    await asyncio.sleep(0.25)
        except TimeoutError:
            self.log.warning("not all that reconcile found is repaired yet")
        return sum(self.outflow.is_settled([key]) for key in waiting)

    def _tell(self, report: Report, seen: Examination) -> None:
        self._show(report)
        self.metrics.verify_failures.inc(len(seen.damaged))
        self.metrics.reconcile_duration.set(report.seconds)
        how = self.log.warning if report.drift or report.unread else self.log.info
        how(
            "reconcile ends",
            missing=len(report.missing),
            changed=len(report.changed),
            orphaned=len(report.orphaned),
            repaired=report.repaired,
            unread=",".join(report.unread) or None,
            seconds=round(report.seconds, 1),
        )

    def _show(self, report: Report) -> None:
        self.findings.reconcile = proof(report, reports.name_of(report))
        self.findings.reconcile_failure = ""
        self.metrics.reconcile_last_success.set(report.finished_at.timestamp())
        for drift, keys in (
            (Drift.MISSING, report.missing),
            (Drift.CHANGED, report.changed),
            (Drift.ORPHANED, report.orphaned),
        ):
            self.metrics.reconcile_drift.labels(drift.value).set(len(keys))


def _report(
    seen: Examination,
    *,
    started_at: datetime,
    finished_at: datetime,
    trigger: Trigger,
    writer: str,
    dry_run: bool,
    repaired: int,
    held: int,
    slice_: str,
    seconds: float,
) -> Report:
    def keys(drift: Drift) -> tuple[str, ...]:
        return tuple(sorted(one.key for one in seen.found if one.drift is drift))

    asked = Counter(LIST=seen.pages, GET=seen.read_back, HEAD=seen.looked_again)
    root = Root(seen.root_of_cluster, seen.root_of_bucket, seen.proven)
    return Report(
        started_at=started_at,
        finished_at=finished_at,
        trigger=trigger,
        writer=writer,
        dry_run=dry_run,
        resources={
            count.resource.label if count.resource else segment: Tally(
                count.cluster, count.bucket, dict(count.left_out), count.unread
            )
            for segment, count in seen.counts.items()
        },
        missing=keys(Drift.MISSING),
        changed=keys(Drift.CHANGED),
        orphaned=keys(Drift.ORPHANED),
        repaired=repaired,
        held=held,
        foreign=seen.foreign,
        size=seen.size,
        read_back=ReadBack(slice_, seen.read_back, tuple(sorted(seen.damaged))),
        hash_root=root if seen.root_of_bucket else None,
        moving=tuple(seen.moving),
        seconds=round(seconds, 3),
        requests=dict(+asked),
    )
