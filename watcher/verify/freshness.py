"""Whether somebody keeps the backup up to date, by what he says himself: heartbeat and report.

Exists so that when "late" begins is decided at one place. Pure. The rules:

- A heartbeat older than 15 minutes whose writer did not say goodbye is a finding.
- A writer that ended in order (`released`) may be away for a day: after that nobody means it so,
  unless the cluster is retired.
- A writer that is not well is a finding once its last healthy moment is 15 minutes ago; if there
  was none yet, once the prefix has been claimed for half an hour: a first sync takes its time.
- A reconcile must have ended within `max_report_age`; before the first one that long after the
  claim, and not after the writer's end: who is stopped is told that, not also what follows from it.
- A reconcile proves nothing of a kind that it could not read, and must leave no difference.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from watcher.bucket.heartbeat import FRESH, Heartbeat
from watcher.bucket.reports import Report
from watcher.verify.findings import (
    Ailing,
    Drift,
    Event,
    Fast,
    Heard,
    Incomplete,
    Note,
    Overdue,
    Reconciled,
    Silent,
    Stopped,
    Unequal,
    age,
)

MAX_REPORT_AGE = timedelta(hours=26)  # a night, its window and two hours
_MAY_BE_STOPPED = timedelta(days=1)
_FIRST_SYNC = timedelta(minutes=30)


def signs_of_life(
    last: Heartbeat | None, now: datetime, *, claimed_at: datetime, retired: bool
) -> Iterator[Event]:
    """retired: nobody is expected to write any more."""
    if last is None:
        if not retired:
            yield Silent()
        return
    yield Heard(last.at, last.released)
    ago = now - last.at
    if ago < -FRESH:
        yield Fast(-ago)
    if retired:
        return
    if last.released:
        yield Stopped(ago) if ago >= _MAY_BE_STOPPED else Note(f"stopped {age(ago)} ago, in order")
        return
    if ago >= FRESH:
        yield Silent(ago)
    well = last.last_healthy
    late = now - well >= FRESH if well else now - claimed_at >= _FIRST_SYNC
    for ailing in last.failing:
        found = Ailing(ailing.promise, ailing.kind, ailing.since)
        yield found if late else Note(str(found))


def reconciled(
    report: Report | None,
    last: Heartbeat | None,
    now: datetime,
    *,
    claimed_at: datetime,
    max_age: timedelta,
    retired: bool,
) -> Iterator[Event]:
    end = last.at if last is not None and last.released else now
    if report is None:
        if not retired and end - claimed_at > max_age:
            yield Overdue(None, max_age)
        else:
            yield Note("there was no reconcile yet")
        return
    yield Reconciled(report.finished_at)
    if not retired and end - report.finished_at > max_age:
        yield Overdue(now - report.finished_at, max_age)
    for resource, why in report.unread.items():
        yield Incomplete(resource, why)
    left = report.drift if report.dry_run else report.drift - report.repaired
    if left > 0:
        yield Drift(left, report.held)
    elif report.held:
        yield Note(f"deletes that wait for a decision: {report.held}; see watcher deletes list")
    root = report.hash_root
    if root is not None and not root.same and not report.drift and not report.unread:
        yield Unequal()
