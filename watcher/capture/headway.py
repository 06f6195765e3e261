"""How far the backup is: for the progress line, /readyz and the last line of `--once`.

Exists so that "done", "ready" and "stuck" are each decided once, from what the parts say of
themselves. Promises: the first sync is done only when all that the first lists brought is in the
bucket; a kind that cannot be read holds up neither, but is named.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from watcher.capture.debounce import Pending
from watcher.capture.deletes.absence import Absence
from watcher.capture.roster import Roster
from watcher.capture.watchfulness import Watchfulness
from watcher.capture.writer import Writer
from watcher.errors import BucketError, ClusterError

_LOOK = 0.05  # seconds between two looks whether the first sync is done
_SHOW = 0.25  # seconds between two lines of progress
_GIVES_UP = 60.0  # seconds without any progress, while something fails
_LATE_KINDS = 300.0  # seconds that kinds which fail are waited for before others are judged
_LATE = 60.0  # seconds past max-delay after which capture does not work


@dataclass(frozen=True, slots=True)
class Progress:
    kinds: int
    kinds_listed: int
    objects: int
    written: int
    pending: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run did. failed: a line for each thing that could not be backed up. held: deletions
    that were too many at once and wait for an operator."""

    written: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()
    held: int = 0
    seconds: float = 0.0


def all_listed(roster: Roster, watchfulness: Watchfulness) -> bool:
    """Whether it is known which kinds there are, and each is listed, or cannot be."""
    return roster.looked and all(
        intake.synced or watchfulness.failure(intake.resource) for intake in roster.intakes
    )


@dataclass(slots=True)
class Headway:
    roster: Roster
    pending: Pending
    absence: Absence
    writer: Writer
    watchfulness: Watchfulness
    max_delay: float  # seconds
    synced: bool = False  # the first sync is in the bucket
    _late_since: float | None = None  # loop time since which only kinds that fail are not listed

    async def until_synced(self, stop: asyncio.Event, *, patient: bool) -> None:
        """Until the first sync is in the bucket, or `stop`.

        Not `patient`: raises ClusterError or BucketError when nothing moves any more.
        """
        clock = asyncio.get_running_loop().time
        known_at: float | None = None  # what is to be written or deleted
        moved, moved_at = (-1, -1), clock()
        while not stop.is_set():
            await asyncio.sleep(_LOOK)
            now = clock()
            if self.all_listed() and self.absence.settled:
                known_at = now if known_at is None else known_at
                steps = self.pending.older_than(known_at)
                if not steps:
                    self.synced = True
                    return
            else:
                known_at = None
                steps = self.writer.written + self.writer.deleted + self.writer.unchanged
            taken = sum(intake.taken for intake in self.roster.intakes)
            if (done := (taken, steps)) != moved:  # however much else happens in the cluster
                moved, moved_at = done, now
            elif not patient and now - moved_at > _GIVES_UP:
                self._raise_why_nothing_moves()

    def all_listed(self) -> bool:
        """Whether each kind is listed, or cannot be."""
        return not self.pending.overflowed and all_listed(self.roster, self.watchfulness)

    def may_judge(self) -> bool:
        """Whether absent objects of all kinds can be judged together: each kind is listed, or is
        forbidden, or has failed for minutes after all others were listed."""
        late = [
            intake
            for intake in self.roster.intakes
            if not intake.synced and self.watchfulness.state(intake.resource) != "forbidden"
        ]
        if not self.all_listed() or not late:
            self._late_since = None
            return self.all_listed()
        now = asyncio.get_running_loop().time()
        self._late_since = now if self._late_since is None else self._late_since
        return now - self._late_since > _LATE_KINDS

    def unready(self) -> str | None:
        """Why the backup cannot be relied on now; None: it can."""
        return self.unsynced() or self.watchfulness.unreachable or self.late()

    def unsynced(self) -> str | None:
        """How far the first sync is; None: it is done."""
        if self.synced:
            return None
        seen = self.progress()
        failing = self.writer.failing or self.watchfulness.unreachable
        return (
            f"first sync: {seen.kinds_listed} of {seen.kinds} kinds listed,"
            f" {seen.pending} objects to write" + (f" ({failing})" if failing else "")
        )

    def late(self) -> str | None:
        """Why the oldest change waits for longer than it may; None: it does not."""
        late = self.pending.oldest(asyncio.get_running_loop().time())
        if late > self.max_delay + _LATE:
            reason = self.writer.failing or "the bucket is too slow"
            return f"the oldest change waits for {late:.0f} s: {reason}"
        return None

    def progress(self) -> Progress:
        intakes = self.roster.intakes
        return Progress(
            kinds=len(intakes),
            kinds_listed=sum(intake.synced for intake in intakes),
            objects=sum(intake.objects for intake in intakes),
            written=self.writer.written,
            pending=len(self.pending),
        )

    async def report(self, show: Callable[[Progress], None]) -> None:
        """Show how far we are, until cancelled."""
        while True:
            show(self.progress())
            await asyncio.sleep(_SHOW)

    def summary(self, seconds: float) -> Summary:
        """What was done up to now, and what was not."""
        intakes = self.roster.intakes
        return Summary(
            written=self.writer.written,
            unchanged=self.writer.unchanged + sum(intake.unchanged for intake in intakes),
            deleted=self.writer.deleted,
            skipped=sum(intake.skipped for intake in intakes),
            failed=tuple(self._failures()),
            held=self.absence.refused,
            seconds=seconds,
        )

    def _raise_why_nothing_moves(self) -> None:
        if reason := self.writer.failing:
            raise BucketError(reason)
        if reason := self.watchfulness.unreachable or self.roster.failing:
            raise ClusterError(reason)

    def _failures(self) -> list[str]:
        lines = [
            f"{intake.resource.label} not backed up:"
            f" {self.watchfulness.failure(intake.resource) or 'not listed yet'}"
            for intake in self.roster.intakes
            if not intake.synced
        ]
        lines += [
            f"{intake.odd} objects of {intake.resource.label} not backed up: the log says why"
            for intake in self.roster.intakes
            if intake.odd
        ]
        if self.writer.odd:
            lines.append(f"{self.writer.odd} changes cannot be written: the log says why")
        if not self.roster.looked:
            lines.append("nothing backed up: the cluster's kinds are not known yet")
        elif self.roster.failing:
            lines.append(f"perhaps not all kinds backed up: {self.roster.failing}")
        if unanswered := self.absence.unanswered:
            lines.append(f"{unanswered} files kept: the cluster did not say if their objects exist")
        if waiting := len(self.pending):
            lines.append(f"{waiting} changes not written: {self.writer.failing or 'no time left'}")
        return lines
