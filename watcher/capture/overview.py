"""What all parts of capture know of themselves, put together for people.

Exists so that the parts need not know what a status page shows, nor `capture.py` how to ask each
of them. Promises: asks for what is at hand, never the cluster or the bucket; health is judged every
few seconds, whether somebody looks at the page or not. What slower looks find (reconcile, another
writer) they write into `findings`.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from watcher.bucket.heartbeat import Ailing, Heartbeat
from watcher.bucket.journal import Journal, Line
from watcher.bucket.ledger import Ledger
from watcher.bucket.metadata import Writer
from watcher.bucket.reports import Report
from watcher.capture.deletes.holds import Holds
from watcher.capture.headway import Headway
from watcher.capture.health import Findings, Health, Signs, risks, unknowns
from watcher.capture.intake import Intake
from watcher.metrics import Metrics
from watcher.status import About, FirstSync, Held, Kind, Numbers, Recent, Reconcile, Status

_EVERY = 5.0  # seconds between two judgements
_HELD_SHOWN = 20


@dataclass(slots=True)
class Overview:
    about: About
    writer: Writer
    last: Heartbeat | None  # of whoever wrote before us
    kubernetes_version: str
    headway: Headway
    ledger: Ledger
    journal: Journal
    holds: Holds
    metrics: Metrics
    clock: Callable[[], datetime]
    findings: Findings = field(default_factory=Findings)
    health: Health = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(self.last.last_healthy if self.last else None)

    async def run(self) -> None:
        """Judge again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY)

    def look(self) -> bool:
        """Judge now; whether health changed, in other words: whether a heartbeat is due."""
        now = self.clock()
        signs = self._signs()
        return self.health.look(risks(signs, now), now, unknowns(signs))

    def status(self) -> Status:
        self.look()
        return Status(
            about=self.about,
            at=self.clock(),
            epoch=self.writer.epoch,
            first_sync=self._first_sync(),
            promises=self.health.standings,
            last_healthy=self.health.last_healthy,
            numbers=self._numbers(),
            kinds=tuple(self._kind(intake) for intake in self.headway.roster.intakes),
            reconcile=self.findings.reconcile,
            next_reconcile=self.findings.next_reconcile,
            held_count=len(self.holds),
            held=tuple(self._held()),
            recent=tuple(_recent(line) for line in reversed(self.journal.recent)),
        )

    def heartbeat(self) -> Heartbeat:
        self.look()
        report, last = self.findings.reconcile, self.last
        return Heartbeat(
            self.clock(),
            self.writer,
            tuple(Ailing(it.promise, it.kind, it.since) for it in self.health.failing),
            self.health.last_healthy,
            objects=len(self.ledger),
            last_change=self.headway.writer.last_change or (last.last_change if last else None),
            last_reconcile=report.finished if report else last.last_reconcile if last else None,
            watcher_version=self.about.version,
            kubernetes_version=self.kubernetes_version,
        )

    def _signs(self) -> Signs:
        headway = self.headway
        roster, writer = headway.roster, headway.writer
        unread = {intake.resource.label: self._unread(intake) for intake in roster.intakes}
        return Signs(
            looked=roster.looked,
            first_sync=headway.unsynced() or "",
            late=headway.late() or "",
            bucket=writer.failing or "",
            cluster=headway.watchfulness.unreachable or "",
            discovery=roster.failing or "",
            unwatched={kind: why for kind, why in unread.items() if why},
            odd={intake.resource.label: intake.odd for intake in roster.intakes if intake.odd},
            unwritable=writer.odd,
            held=len(self.holds),
            findings=self.findings,
        )

    def _first_sync(self) -> FirstSync | None:
        if self.headway.synced:
            return None
        seen = self.headway.progress()
        return FirstSync(seen.kinds, seen.kinds_listed, seen.objects, seen.written, seen.pending)

    def _numbers(self) -> Numbers:
        pending = self.headway.pending
        return Numbers(
            in_cluster=self.headway.progress().objects,
            in_bucket=len(self.ledger),
            pending=len(pending),
            oldest_pending=pending.oldest(asyncio.get_running_loop().time()),
            lag_p50=self.metrics.lag(0.5),
            lag_p99=self.metrics.lag(0.99),
        )

    def _kind(self, intake: Intake) -> Kind:
        label = intake.resource.label
        trouble = self._unread(intake)
        if intake.odd and not trouble:
            trouble = f"{intake.odd} objects cannot be stored: the log says why"
        return Kind(
            label,
            intake.objects,
            self.headway.watchfulness.state(intake.resource),
            self._moment(intake.last_event),
            self.headway.writer.last_stored.get(label),
            trouble,
        )

    def _held(self) -> Iterator[Held]:
        for key, hold in islice(self.holds.book().held.items(), _HELD_SHOWN):
            yield Held(key, hold.why, hold.since)

    def _unread(self, intake: Intake) -> str:
        """Why this kind cannot be read, unless none can: that is said once, for all of them."""
        watchfulness = self.headway.watchfulness
        if watchfulness.unreachable and watchfulness.state(intake.resource) != "forbidden":
            return ""
        return watchfulness.failure(intake.resource) or ""

    def _moment(self, loop_time: float | None) -> datetime | None:
        if loop_time is None:
            return None
        return self.clock() - timedelta(seconds=asyncio.get_running_loop().time() - loop_time)


def proof(report: Report, name: str) -> Reconcile:
    """What a report says, for `Findings.reconcile`. name: its own, below `_meta/`."""
    root, read_back = report.hash_root, report.read_back
    return Reconcile(
        started=report.started_at,
        finished=report.finished_at,
        trigger=report.trigger,
        objects=root.objects if root else sum(each.bucket for each in report.resources.values()),
        missing=len(report.missing),
        changed=len(report.changed),
        orphaned=len(report.orphaned),
        repaired=report.repaired,
        unread=len(report.unread),
        root_cluster=root.cluster if root else "",
        root_bucket=root.bucket if root else "",
        read_back_slice=read_back.slice if read_back else "",
        read_back=read_back.files if read_back else 0,
        differing=tuple(read_back.differing) if read_back else (),
        report=f"_meta/{name}",
    )


def _recent(line: Line) -> Recent:
    return Recent(datetime.fromisoformat(line.at), line.key, line.action, line.manager)
