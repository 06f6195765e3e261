"""Which promise holds, which is at risk, for which kind, since when.

Exists so that heartbeat, status page and log judge the same way, by one list of reasons. Promises:
`risks` is pure; a fault that a retry cures within its patience is no news, one that lasts is dated
back to when it was first seen; a promise that nobody has looked at yet is called unknown, never
kept. Who calls `Health.look` more often dates more exactly.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.status import Failing, Promise, Reconcile, Standing

_BLIP = 30.0  # seconds in which retries cure most: a store that restarts, a group that answers 503


@dataclass(frozen=True, slots=True)
class Risk:
    """A reason, seen just now, why a promise may not be kept."""

    promise: Promise
    reason: str
    kind: str = ""  # APIResource.label; "": not a matter of one kind
    patience: float = 0.0  # seconds that it must last to count


@dataclass(slots=True)
class Findings:
    """What slower looks than ours found last. Each of them writes its own fields here."""

    reconcile: Reconcile | None = None  # the last one that came to its end
    reconcile_failure: str = ""  # why the one after it did not; "": there was none
    next_reconcile: datetime | None = None  # None: none is scheduled
    reconcile_due: datetime | None = None  # when the next one should be done, with time to spare
    other_writer: str | None = None  # who else writes to our prefix; "": nobody; None: not looked


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the parts of capture say of themselves now. "": nothing to complain of."""

    looked: bool = True  # whether discovery has said which kinds there are
    first_sync: str = ""  # how far it is, while it is not done
    late: str = ""  # why the oldest change waits for longer than it may
    bucket: str = ""  # why the bucket takes no writes
    cluster: str = ""  # why the API server cannot be reached
    discovery: str = ""  # why not all kinds are known
    unwatched: Mapping[str, str] = field(default_factory=dict)  # kind -> why it cannot be read
    odd: Mapping[str, int] = field(default_factory=dict)  # kind -> objects that cannot be stored
    unwritable: int = 0  # changes that cannot be written, whatever the bucket does
    held: int = 0
    findings: Findings = field(default_factory=Findings)


def risks(signs: Signs, now: datetime) -> list[Risk]:
    """Every reason to worry, each told once and to the promise that it concerns."""
    return [*_flow_risks(signs), *_finding_risks(signs.findings, now), *_held_risks(signs.held)]


def unknowns(signs: Signs) -> dict[Promise, str]:
    """The promises of which nobody can say yet whether they hold, and why."""
    found = {}
    findings = signs.findings
    if not signs.looked:
        found[Promise.KINDS_KNOWN] = "the cluster has not said yet which kinds there are"
    if signs.first_sync:
        found[Promise.WATCHED] = "not every kind is listed yet"
        found[Promise.NOTHING_HELD] = "not every kind is listed yet"
    if findings.reconcile is None:
        found[Promise.RECONCILED] = "no reconcile has run yet"
        found[Promise.VERIFIED] = "no reconcile has read files back yet"
    elif not findings.reconcile.read_back:
        found[Promise.VERIFIED] = "the last reconcile read no files back"
    if findings.other_writer is None:
        found[Promise.ONE_WRITER] = "nobody has looked for another writer yet"
    return found


def _flow_risks(signs: Signs) -> Iterator[Risk]:
    if signs.first_sync:
        yield Risk(Promise.CAPTURED, signs.first_sync)
    elif signs.late:
        yield Risk(Promise.CAPTURED, signs.late)
    elif signs.bucket:
        yield Risk(Promise.CAPTURED, f"the bucket takes no writes: {signs.bucket}", patience=_BLIP)
    elif signs.unwritable:
        why = f"{signs.unwritable} changes cannot be written: the log says why"
        yield Risk(Promise.CAPTURED, why)
    for kind, count in signs.odd.items():
        yield Risk(Promise.CAPTURED, f"{count} objects cannot be stored: the log says why", kind)
    if signs.cluster:
        yield Risk(Promise.REACHABLE, signs.cluster, patience=_BLIP)
        why = "none can be watched while the API server is away"
        yield Risk(Promise.WATCHED, why, patience=_BLIP)
    if signs.discovery:
        yield Risk(Promise.KINDS_KNOWN, signs.discovery, patience=_BLIP)
    for kind, why in signs.unwatched.items():
        yield Risk(Promise.WATCHED, why, kind, patience=_BLIP)


def _finding_risks(findings: Findings, now: datetime) -> Iterator[Risk]:
    last = findings.reconcile
    if findings.reconcile_failure:
        yield Risk(Promise.RECONCILED, f"the last one failed: {findings.reconcile_failure}")
    elif findings.reconcile_due and now > findings.reconcile_due:
        yield Risk(Promise.RECONCILED, f"overdue since {findings.reconcile_due:%F %H:%M %Z}")
    elif last and last.drift:
        yield Risk(Promise.RECONCILED, f"the last one found drift: {last.drift} objects")
    elif last and last.unread:
        yield Risk(Promise.RECONCILED, f"nothing was proven of {last.unread} kinds: not readable")
    elif last and last.root_cluster != last.root_bucket:
        yield Risk(Promise.RECONCILED, "cluster and bucket do not have the same hash root")
    if last and last.differing:
        count = len(last.differing)
        yield Risk(Promise.VERIFIED, f"{count} of {last.read_back} files are not what was written")
    if findings.other_writer:
        yield Risk(Promise.ONE_WRITER, f"{findings.other_writer} writes to this prefix, too")


def _held_risks(held: int) -> Iterator[Risk]:
    if held:
        files = "1 file is" if held == 1 else f"{held} files are"
        yield Risk(Promise.NOTHING_HELD, f"{files} kept until an operator decides")


@dataclass(slots=True)
class _Seen:
    since: datetime
    risk: Risk


class Health:
    """Remembers since when. Times are given, never read."""

    def __init__(self, last_healthy: datetime | None = None) -> None:
        """last_healthy: what an earlier run knew."""
        self.last_healthy = last_healthy  # when everything was last seen well
        self.failing: tuple[Failing, ...] = ()
        self.standings: tuple[Standing, ...] = ()
        self._seen: dict[tuple[Promise, str], _Seen] = {}
        self._since: dict[Promise, tuple[str, datetime]] = {}  # in which state, since when
        self._looked = False

    @property
    def healthy(self) -> bool:
        """Whether somebody has looked and no promise is at risk."""
        return self._looked and not self.failing

    def look(
        self, present: Iterable[Risk], now: datetime, unknown: Mapping[Promise, str] | None = None
    ) -> bool:
        """Take what is seen now; whether another promise, or kind, is at risk than before."""
        before = (self._looked, {(each.promise, each.kind) for each in self.failing})
        self._looked = True
        self._seen = {(risk.promise, risk.kind): self._date(risk, now) for risk in present}
        self.failing = tuple(
            Failing(promise, kind, seen.since, seen.risk.reason)
            for (promise, kind), seen in self._seen.items()
            if now - seen.since >= timedelta(seconds=seen.risk.patience)
        )
        if not self.failing:
            self.last_healthy = now
        self.standings = tuple(self._standing(each, now, unknown or {}) for each in Promise)
        return before != (True, {(each.promise, each.kind) for each in self.failing})

    def _date(self, risk: Risk, now: datetime) -> _Seen:
        known = self._seen.get((risk.promise, risk.kind))
        return _Seen(min(known.since, now) if known else now, risk)  # clocks are put back at times

    def _standing(
        self, promise: Promise, now: datetime, unknown: Mapping[Promise, str]
    ) -> Standing:
        failing = tuple(each for each in self.failing if each.promise == promise)
        if failing:
            self._since.pop(promise, None)
            return Standing(promise, min(each.since for each in failing), failing)
        why = unknown.get(promise, "")
        state, since = self._since.get(promise, (None, now))
        since = min(since, now) if state == why else now
        self._since[promise] = (why, since)
        return Standing(promise, since, unknown=why)
