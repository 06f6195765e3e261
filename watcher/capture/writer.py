"""Writes due changes to the bucket: steps 6 to 8 of DESIGN.md section 5.

Exists because between "this state is due" and "the bucket holds it" lies everything that can go
wrong with a request. Promises: no request for what the bucket holds already; a key is in doubt in
the ledger for as long as a request for it has no answer; a change is tried until it is stored or
superseded, whatever the error; a key that a stranger wrote is reported and then follows the
cluster again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from watcher.bucket import metadata
from watcher.bucket.fence import FencedError
from watcher.bucket.heartbeat import second_writer
from watcher.bucket.journal import Journal, Line, stamp
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import UNKNOWN, Entry, Ledger, Stored, after_conflict, etag_of
from watcher.bucket.metadata import Writer as Instance
from watcher.bucket.owner import Claim
from watcher.bucket.store import OVERWRITE, Head, Store, Version
from watcher.bucket.trash import Trash
from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.debounce import Pending
from watcher.capture.pace import Pace
from watcher.capture.recovery import line_of
from watcher.errors import (
    AbsentError,
    BucketError,
    ClusterError,
    PreconditionError,
    RefusedError,
    RejectedError,
    ThrottledError,
)
from watcher.logs import Log, Outage
from watcher.metrics import Metrics
from watcher.objects.content import Content
from watcher.objects.yaml import emit

_REFETCH_AGAIN = 5.0  # seconds until the cluster is asked again for an object it did not tell
_SECRETS = "secrets"
_RECOGNISED = "recognised"  # nothing had to be written, but the bucket was asked, and answered


@dataclass(frozen=True, slots=True)
class Target:
    """Where changes are written, and as whom."""

    store: Store
    layout: Layout
    ledger: Ledger
    claim: Claim
    instance: Instance
    journal: Journal
    secrets: str  # the mode: redact, plain
    trash: Trash | None = None  # None: the bucket keeps what is deleted, or nobody wants it kept


class Writer:
    """`run()` writes until cancelled; what is pending then stays pending."""

    def __init__(
        self,
        target: Target,
        pending: Pending,
        pace: Pace,
        *,
        refetch: Callable[[Change], Awaitable[Change | None]],
        metrics: Metrics,
        log: Log,
        clock: Callable[[], datetime],
    ) -> None:
        """refetch: the present state of an object whose body was not kept; None: it is not there
        or left out, an event will tell. Raises ClusterError."""
        self._target = target
        self._pending = pending
        self._pace = pace
        self._refetch = refetch
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._time = asyncio.get_running_loop().time
        self._outage = Outage(log, "writing to the bucket", self._time)
        self.written = self.unchanged = self.deleted = 0
        self.last_stored: dict[str, datetime] = {}  # APIResource.label -> its latest change
        self.odd = 0  # changes that could not be written whatever the bucket does

    @property
    def last_change(self) -> datetime | None:
        """When one was last stored, or removed."""
        return max(self.last_stored.values(), default=None)

    @property
    def failing(self) -> str | None:
        """Why nothing can be written at present; None: the last request went well."""
        return self._outage.reason

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._pace.turn()
                try:
                    change = await self._pending.next()
                except asyncio.CancelledError:
                    self._pace.unused()
                    raise
                group.create_task(self._bring(change))

    async def _bring(self, change: Change) -> None:
        """One try to bring a change into the bucket, and the bookkeeping that follows from it."""
        began = self._time()
        try:
            action = await self._write(change)
        except BucketError as error:
            self._note_failure(error, began)
            self._pending.retry(change, self._time() + _patience(change))
        except ClusterError as error:
            self._pace.unused()
            self._log.debug("an object cannot be fetched", key=change.key, reason=str(error))
            self._pending.retry(change, self._time() + _REFETCH_AGAIN)
        except asyncio.CancelledError:
            self._pace.unused()
            self._pending.retry(change, self._time())
            raise
        except RefusedError:  # somebody else writes here: we must not
            self._pace.unused()
            raise
        except Exception:  # one odd object must not end the backup of all others
            self._pace.unused()
            self._pending.done(change)
            self.odd += 1
            self._metrics.objects_skipped.labels("error").inc()
            self._log.exception("an object cannot be written: it is not backed up", key=change.key)
        else:
            self._note_success(change, action)
            self._pending.done(change)

    async def _write(self, change: Change) -> str | None:
        """What was done in the bucket (the journal's word for it); None: nothing had to be."""
        state = change.state
        if isinstance(state, Refetch):
            fetched = await self._refetch(change)
            if fetched is None:
                return None
            change, state = replace(fetched, repair=change.repair), fetched.state
        if isinstance(state, Deleted):
            return await self._remove(change, state)
        assert isinstance(state, Content)
        return await self._store(change, state)

    async def _store(self, change: Change, content: Content) -> str | None:
        ledger, key = self._target.ledger, change.key
        entry = ledger.get(key)
        if entry.holds(content.fingerprint):
            return None
        body = emit(content)
        if not change.repair:
            entry = await self._recognised(key, entry, body, content)
            if entry.holds(content.fingerprint):
                return None if self._target.claim.etag_is_md5 else _RECOGNISED
        for _ in range(2):
            before = entry.stored
            ledger.put(key, entry.sent())
            try:
                version = await self._put(change, content, body, entry)
            except FencedError:
                ledger.put(key, entry)  # nothing was sent
                raise
            except PreconditionError:
                self._metrics.bucket_retries.labels("conflict").inc()
                found = await self._learn(key, body, content)
                entry = ledger.get(key)
                if not entry.holds(content.fingerprint):
                    continue
                version = found  # our own write, of which we never had the answer
            ledger.put(key, Entry(Stored(version.etag, content.fingerprint)))
            action = "repair" if change.repair else "update" if before else "create"
            self._note(change, action, before, version, content.fingerprint)
            return action
        raise PreconditionError(f"{key} keeps changing under us")

    async def _put(self, change: Change, content: Content, body: bytes, entry: Entry) -> Version:
        target = self._target
        secrets = target.secrets if change.resource.label == _SECRETS else ""
        return await target.store.put(
            target.layout.prefix + change.key,
            body,
            metadata=metadata.of_version(
                content, change.origin, target.instance, self._clock(), secrets
            ),
            mode=entry.precondition() if target.claim.conditional else OVERWRITE,
        )

    async def _remove(self, change: Change, how: Deleted) -> str | None:
        ledger, key, trash = self._target.ledger, change.key, self._target.trash
        entry = ledger.get(key)
        if entry.holds(None):
            return None
        before = entry.stored
        if trash:
            await trash.take(key, before.etag if before else "", self._clock())
        ledger.put(key, entry.sent())
        try:
            mark = await self._target.store.delete(self._target.layout.prefix + key)
        except FencedError:
            ledger.put(key, entry)  # nothing was sent
            raise
        if trash:
            trash.gone(key)
        ledger.put(key, Entry())
        self._note(change, how.action, before, Version("", mark), b"")
        return how.action

    def _note(
        self,
        change: Change,
        action: str,
        before: Stored | None,
        version: Version,
        fingerprint: bytes,
    ) -> None:
        """Tell the journal what was done; here, so that a key's lines are in the right order."""
        origin = change.origin._asdict() if change.origin else {}
        self._target.journal.note(
            Line(
                stamp(self._clock()),
                change.key,
                action,
                version.etag,
                version.id,
                fingerprint.hex(),
                **origin,
                previous_etag=before.etag if before else "",
            )
        )

    async def _recognised(self, key: str, entry: Entry, body: bytes, content: Content) -> Entry:
        """What is known after a look at a file of which only the ETag was (no checkpoint told
        more): is it this content's?"""
        if entry.stored is None or entry.in_doubt or entry.stored.fingerprint != UNKNOWN:
            return entry
        if self._target.claim.etag_is_md5:
            known = entry.stored.recognised(body, content.fingerprint)
        elif self._target.store.has_metadata and (head := await self._head(key)):
            known = metadata.stored(head)
        else:
            return entry
        entry = Entry(known)
        self._target.ledger.put(key, entry)
        return entry

    async def _learn(self, key: str, body: bytes, content: Content) -> Version:
        """After a refused condition: what is in the bucket, and did we write it?

        An older state that we wrote without ever having the answer is told to the journal late.
        Raises RefusedError where a writer that began after us did.
        """
        before = self._target.ledger.get(key).stored
        head = await self._head(key)
        found = None
        ours = False
        if head is not None:
            found = metadata.stored(head)
            writer = metadata.written_by(head.metadata)
            if writer is not None and writer.outranks(self._target.instance):
                self._metrics.bucket_retries.labels("second-writer").inc()
                raise second_writer(self._target.layout.prefix, str(writer))
            ours = writer is not None
            if self._target.claim.etag_is_md5 and head.etag == etag_of(body):
                found, ours = Stored(head.etag, content.fingerprint), True
        entry = after_conflict(found, ours=ours)
        if entry is None:
            self._log.warning("somebody else wrote to the bucket: overwritten", key=key)
            self._metrics.bucket_retries.labels("stranger").inc()
            assert found is not None
            entry = Entry(Stored(found.etag, UNKNOWN))
        self._target.ledger.put(key, entry)
        if head is None:
            return Version("")
        known = before.etag if before else ""
        if ours and head.etag != known and not entry.holds(content.fingerprint):
            self._target.journal.note(line_of(key, head, known, self._clock()))
        return Version(head.etag, head.version)

    async def _head(self, key: str) -> Head | None:
        try:
            return await self._target.store.head(self._target.layout.prefix + key)
        except AbsentError:
            return None

    def _note_failure(self, error: BucketError, began: float) -> None:
        if isinstance(error, PreconditionError):  # of this key, counted already; the bucket is well
            self._pace.unused()
            return
        if isinstance(error, ThrottledError):
            self._pace.was_throttled(began, error.retry_after)
        elif isinstance(error, RejectedError):
            self._pace.was_rejected(began)
        else:
            self._pace.failed(began)
        self._metrics.bucket_retries.labels(_reason(error)).inc()
        self._outage.began(str(error))
        if not isinstance(error, ThrottledError):  # it takes some: lists come as fast as it does
            self._pending.stall(True)

    def _note_success(self, change: Change, action: str | None) -> None:
        if action is None:
            self._pace.unused()
        else:
            self._pace.went_well()
            self._outage.ended()
            self._pending.stall(False)
        if action in (None, _RECOGNISED):
            self._metrics.changes_dropped.labels("unchanged").inc()
            self.unchanged += change.received is None  # an object of a list, not its churn
            return
        self._metrics.changes.labels(change.resource.label, action).inc()
        self.last_stored[change.resource.label] = self._clock()
        if action in ("create", "update", "repair"):
            self.written += 1
            self._metrics.last_put.set(self._clock().timestamp())
        else:
            self.deleted += 1
        if change.received is not None:
            self._metrics.capture_lag.observe(self._time() - change.received)


def _patience(change: Change) -> float:
    """Seconds until this key is tried again; what concerns all keys is the pace's matter."""
    change.tries += 1
    return min(30.0, 0.25 * 2.0 ** min(change.tries, 10))


def _reason(error: BucketError) -> str:
    """A metric's word for it: throttled, unreachable, rejected."""
    return type(error).__name__.removeprefix("Bucket").removesuffix("Error").lower()
