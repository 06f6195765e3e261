"""What is wrong with a cluster, by what it says of itself. Pure.

Exists so that table, page, metrics and alerts speak of the same things. Promises: what is worst
comes first; a cause is not told again as its consequences; a retired cluster that nobody writes any
more has nothing wrong with it; when "late" begins is decided in verify/freshness.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from watcher.bucket.heartbeat import FRESH, Heartbeat
from watcher.bucket.held import Book
from watcher.bucket.owner import Owner
from watcher.bucket.reports import Report
from watcher.bucket.retired import Retired
from watcher.fleet.look import Seen
from watcher.status import Promise
from watcher.verify import findings, freshness
from watcher.verify.findings import Finding


class Severity(IntEnum):
    """As of alerts. CRITICAL: if the cluster were lost now, data would be lost with it."""

    CRITICAL = 0
    WARNING = 1

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Trouble:
    """since: None where nothing tells."""

    severity: Severity
    finding: Finding
    since: datetime | None = None

    def __str__(self) -> str:
        return str(self.finding)

    @property
    def untold_since(self) -> datetime | None:
        """`since`, unless the words say it."""
        return None if isinstance(self.finding, findings.Ailing) else self.since

    @property
    def kind(self) -> str:
        """In one word: `silent`, `overdue`."""
        return type(self.finding).__name__.lower()


@dataclass(frozen=True, slots=True)
class Newer(Finding):
    why: str

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Drifted(Finding):
    """All of it was repaired: what was left would be `Drift`."""

    found: int

    def __str__(self) -> str:
        return f"differences that the last reconcile found and repaired: {self.found}"


@dataclass(frozen=True, slots=True)
class Differing(Finding):
    files: int

    def __str__(self) -> str:
        return f"files that the last reconcile read back are not what was written: {self.files}"


@dataclass(frozen=True, slots=True)
class Held(Finding):
    files: int

    def __str__(self) -> str:
        return f"deletes that wait for a decision: {self.files}; see watcher deletes list"


@dataclass(frozen=True, slots=True)
class Revived(Finding):
    def __str__(self) -> str:
        return "it is marked as retired, yet somebody writes: see watcher clusters unretire"


_CRITICAL = (findings.Silent, findings.Stopped, Differing)
_CRITICAL_PROMISES = {Promise.CAPTURED, Promise.VERIFIED, Promise.ONE_WRITER}

# What the writer says, too, of something that is told more exactly.
_SAME: dict[str, tuple[type[Finding], ...]] = {
    Promise.NOTHING_HELD: (Held,),
    Promise.VERIFIED: (Differing,),
    Promise.RECONCILED: (
        findings.Overdue,
        findings.Incomplete,
        findings.Drift,
        findings.Unequal,
        Drifted,
    ),
}


def judge(seen: Seen, now: datetime) -> tuple[Trouble, ...]:
    """What is worst first; () where nothing is wrong."""
    if is_retired(seen, now):
        return ()
    found = list(_findings(seen, now))
    told = [Trouble(_severity(it), it, _since(it, seen)) for it in found if not _follows(it, found)]
    return tuple(sorted(told, key=lambda it: it.severity))


def is_retired(seen: Seen, now: datetime) -> bool:
    """Whether nobody is expected to write; not where somebody does all the same."""
    return isinstance(seen.retired, Retired) and not _writes(seen, seen.retired, now)


def _writes(seen: Seen, retired: Retired, now: datetime) -> bool:
    last = seen.heartbeat
    return isinstance(last, Heartbeat) and (last.is_alive(now) or last.at - retired.at > FRESH)


def claimed_at(seen: Seen) -> datetime | None:
    return seen.owner.claimed if isinstance(seen.owner, Owner) else None


def _findings(seen: Seen, now: datetime) -> Iterator[Finding]:
    if isinstance(seen.retired, Retired):
        yield Revived()
    for unread in seen.unread:
        yield Newer(unread.why) if unread.newer else findings.Broken(unread.why)
    for why in seen.damaged:
        yield findings.Broken(why)
    yield from _owned(seen)
    # Without a claim nothing counts as overdue: that it is missing has been said.
    since = claimed_at(seen) or now
    last = seen.heartbeat
    if last is None or isinstance(last, Heartbeat):
        told = freshness.signs_of_life(last, now, claimed_at=since, retired=False)
        yield from (it for it in told if isinstance(it, Finding))
    if seen.report is None or isinstance(seen.report, Report):
        yield from _reconciled(seen, seen.report, since, now)
    if isinstance(seen.held, Book) and seen.held.held:
        yield Held(len(seen.held.held))


def _owned(seen: Seen) -> Iterator[Finding]:
    if seen.owner is None:
        yield findings.Unowned()
    elif isinstance(seen.owner, Owner):
        owner, layout = seen.owner, seen.layout
        if (owner.domain, owner.name) != (layout.domain, layout.cluster):
            yield findings.Misowned(f"{owner.domain}/{owner.name}")


def _reconciled(
    seen: Seen, report: Report | None, since: datetime, now: datetime
) -> Iterator[Finding]:
    last = seen.heartbeat if isinstance(seen.heartbeat, Heartbeat) else None
    limit = freshness.MAX_REPORT_AGE
    for it in freshness.reconciled(
        report, last, now, claimed_at=since, max_age=limit, retired=False
    ):
        if isinstance(it, findings.Drift):
            yield findings.Drift(it.left, 0)  # what is held is told by itself
        elif isinstance(it, Finding):
            yield it
    if report is None:
        return
    if not report.dry_run and 0 < report.drift <= report.repaired:
        yield Drifted(report.drift)
    if report.read_back and report.read_back.differing:
        yield Differing(len(report.read_back.differing))


def _follows(finding: Finding, found: list[Finding]) -> bool:
    """Whether it is but a consequence of another, or the same in other words."""
    silent = any(isinstance(it, findings.Silent) for it in found)
    if isinstance(finding, findings.Ailing):
        same = _SAME.get(finding.promise, ())
        return silent or any(isinstance(it, same) for it in found)
    return silent and isinstance(finding, findings.Overdue)


def _severity(finding: Finding) -> Severity:
    critical = isinstance(finding, _CRITICAL) or (
        isinstance(finding, findings.Ailing) and finding.promise in _CRITICAL_PROMISES
    )
    return Severity.CRITICAL if critical else Severity.WARNING


def _since(finding: Finding, seen: Seen) -> datetime | None:
    match finding:
        case findings.Ailing():
            return finding.since
        case findings.Silent() | findings.Stopped() if isinstance(seen.heartbeat, Heartbeat):
            return seen.heartbeat.at
        case findings.Silent():
            return claimed_at(seen)
        case findings.Overdue() if seen.report is None:
            return claimed_at(seen)
        case (
            findings.Overdue()
            | findings.Incomplete()
            | findings.Drift()
            | findings.Unequal()
            | Drifted()
            | Differing()
        ) if isinstance(seen.report, Report):
            return seen.report.finished_at
        case Held() if isinstance(seen.held, Book):
            return min(hold.since for hold in seen.held.held.values())
    return None
