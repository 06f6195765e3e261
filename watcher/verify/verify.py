"""`watcher verify`: is what lies in the bucket the backup that it should be?

Exists for auditors and cron jobs, who have the bucket and no cluster. Promises: nothing is written
and only the bucket is asked; it only finds, and streams what it finds (findings.py), also what it
did not look at and why; a process that writes meanwhile is no finding (differences.py). In memory
are a listing and the record of each cluster under way.

In this order: the claim, whether it is retired, heartbeat and report (freshness.py); the listing
against the record (differences.py); the hash root (proof.py); the files (soundness.py); at last the
differences again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice

from watcher.bucket import heartbeat, held, journal, owner, record, reports, retired
from watcher.bucket.checkpoint import CheckpointError
from watcher.bucket.heartbeat import Heartbeat
from watcher.bucket.layout import Layout, parse
from watcher.bucket.ledger import Entry, Ledger
from watcher.bucket.loading import objects
from watcher.bucket.meta import together
from watcher.bucket.owner import Owner
from watcher.bucket.reports import Report
from watcher.bucket.store import Store
from watcher.errors import AbsentError, BucketError
from watcher.verify import freshness, proof, sampling
from watcher.verify.differences import Difference, compare
from watcher.verify.findings import (
    Broken,
    Damaged,
    Event,
    Listed,
    Misowned,
    Note,
    Read,
    Unchecked,
    Unowned,
)
from watcher.verify.recheck import Recheck
from watcher.verify.soundness import fault

_BATCH = 200  # files under way: their bodies are in memory


@dataclass(frozen=True, slots=True)
class Demands:
    """What a backup must stand. retired: patterns of `domain/name` that nobody writes any more,
    besides those that the bucket itself says so of."""

    read: sampling.Subset = sampling.ALL
    max_report_age: timedelta = freshness.MAX_REPORT_AGE
    retired: tuple[str, ...] = ()

    def retires(self, layout: Layout) -> bool:
        return any(fnmatchcase(layout.name, pattern) for pattern in self.retired)


async def verify(
    store: Store,
    layout: Layout,
    demands: Demands,
    *,
    turns: asyncio.Semaphore,
    clusters: asyncio.Semaphore,
    clock: Callable[[], datetime],
) -> AsyncGenerator[Event, None]:
    """One cluster's part of the bucket.

    turns: for each request about a single file. clusters: for each cluster of which a whole listing
    is in memory. Raises RefusedError where a format is newer than this program, and BucketError.
    """
    began = clock()
    audit = _Audit(store, layout, demands, turns, clock)
    async with clusters, aclosing(audit.look()) as events:
        async for event in events:
            yield event
    recheck = Recheck(store, layout, began, audit.last, audit.differences, turns, clock)
    del audit  # and with it the listing: the second look may have to wait
    if recheck.differences:
        async with aclosing(recheck.run()) as events:
            async for event in events:
                yield event


@dataclass(slots=True)
class _Audit:
    """The look at everything. differences: of which only a second look tells what they mean."""

    store: Store
    layout: Layout
    demands: Demands
    turns: asyncio.Semaphore
    clock: Callable[[], datetime]
    owner: Owner | None = None
    retired: bool = False
    last: Heartbeat | None = None
    report: Report | None = None
    record: Ledger = field(default_factory=Ledger)
    listing: dict[str, str] = field(default_factory=dict)  # key -> ETag
    differences: dict[str, Difference] = field(default_factory=dict)

    async def look(self) -> AsyncGenerator[Event, None]:
        for step in (
            self._claim,
            self._mark,
            self._life,
            self._reconcile,
            self._compare,
            self._prove,
            self._excuse,
        ):
            try:
                events = await step()
            except BucketError as error:
                if type(error) is not BucketError:
                    raise  # the bucket does not do what it should: nothing of a file's content
                events = [Broken(str(error))]
            for event in events:
                yield event
        async with aclosing(self._read_all()) as reading:
            async for event in reading:
                yield event

    async def _claim(self) -> list[Event]:
        self.owner = await owner.read(self.store, self.layout)
        if self.owner is None:
            return [Unowned()]
        theirs = Layout(self.owner.domain, self.owner.name)
        return [] if theirs == self.layout else [Misowned(theirs.name)]

    async def _mark(self) -> list[Event]:
        self.retired = self.demands.retires(self.layout)
        found = await retired.read(self.store, self.layout)
        self.retired = self.retired or found is not None
        return [Note(f"retired since {found.at:%F}")] if found else []

    async def _life(self) -> list[Event]:
        self.last = await heartbeat.newest(self.store, self.layout)
        told = freshness.signs_of_life(
            self.last, self.clock(), claimed_at=self._claimed_at, retired=self.retired
        )
        return list(told)

    async def _reconcile(self) -> list[Event]:
        self.report = await reports.newest(self.store, self.layout)
        told = freshness.reconciled(
            self.report,
            self.last,
            self.clock(),
            claimed_at=self._claimed_at,
            max_age=self.demands.max_report_age,
            retired=self.retired,
        )
        return list(told)

    async def _compare(self) -> list[Event]:
        """The record first: what is stored between the two is then a difference, not unseen."""
        unusable = ""
        try:
            async for key, stored in record.read(self.store, self.layout):
                if stored is not None:
                    self.record.put(key, Entry(stored))
        except CheckpointError as error:
            self.record, unusable = Ledger(), f"the checkpoint is of no use: {error}"
        foreign = 0
        async for page in objects(self.store, self.layout.prefix):
            for listed in page:
                key = listed.key.removeprefix(self.layout.prefix)
                if parse(key) is None:
                    foreign += 1
                else:
                    self.listing[key] = listed.etag
        events: list[Event] = [Listed(len(self.listing))]
        if foreign:
            events.append(Note(f"keys that are not of watcher's making: {foreign}"))
        if not unusable:
            self.differences = {it.key: it for it in compare(self.listing, self.record)}
        elif self.clock() - self._claimed_at < self.demands.max_report_age:
            events.append(Unchecked("which files should be there", unusable))  # its first day
        else:
            events.append(Broken(unusable))
        return events

    async def _prove(self) -> list[Event]:
        report = self.report
        if report is None:
            return []
        etag_is_md5 = self.owner is not None and self.owner.etag_is_md5
        if why := proof.impossible(report, self.clock(), etag_is_md5=etag_is_md5):
            return [proof.unproven(why)]
        # What differs from the record is judged by itself; here the record's word counts.
        before = {it.key: it.recorded for it in self.differences.values()}
        seen = set()
        async for line in journal.read(self.store, self.layout, since=report.started_at):
            if line.key not in seen:
                seen.add(line.key)
                before[line.key] = line.previous_etag
        return [proof.prove(report, self.listing, before)]

    async def _excuse(self) -> list[Event]:
        """What is held or kept may be nobody's here; what was here before us, in any form too."""
        found = await held.load(self.store, self.layout)
        if found.damaged:
            return [Broken(found.damaged)]
        stay = {**found.book.held, **found.book.kept}
        for key, hold in stay.items():
            if (difference := self.differences.get(key)) and not difference.recorded:
                del self.differences[key]
            if hold.why == held.ADOPTED:
                self.listing.pop(key, None)
        return [Note(f"files that are held or kept: {len(stay)}")] if stay else []

    async def _read_all(self) -> AsyncGenerator[Event, None]:
        keys = iter([key for key in self.listing if key in self.demands.read])
        while batch := list(islice(keys, _BATCH)):
            reading = map(self._read, batch)
            for fault_found in await together(reading):
                if fault_found is not None:
                    yield fault_found
            yield Read(len(batch))

    async def _read(self, key: str) -> Event | None:
        recorded = self.record.get(key).stored
        async with self.turns:
            try:
                body, head = await self.store.get(self.layout.prefix + key)
            except AbsentError:
                body, head = b"", None
            except BucketError as error:
                await owner.read(self.store, self.layout)
                return Damaged(key, f"cannot be read: {error}")  # for the bucket answers otherwise
        if (etag := head.etag if head else "") != self.listing[key] and len(self.record):
            self.differences[key] = Difference(key, etag, recorded.etag if recorded else "")
        if head is None:
            return None
        etag_is_md5 = self.owner is not None and self.owner.etag_is_md5
        why = fault(key, body, head, recorded, etag_is_md5=etag_is_md5)
        return Damaged(key, why) if why else None

    @property
    def _claimed_at(self) -> datetime:
        """Without a claim nothing counts as overdue: that it is missing has been said."""
        return (self.owner.claimed if self.owner else None) or self.clock()
