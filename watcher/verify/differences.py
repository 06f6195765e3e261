"""Where bucket and record differ, and whether that means anything while somebody writes.

Exists because a listing, the checkpoint and the journal are never of the same moment. The rule: a
difference is a finding only if no living writer can explain it. A line of the journal reaches the
bucket within a minute of the request that it tells of. So each difference is looked at again, with
the record read anew and the key asked alone:

- explained: the record knows by now the version (or the deletion) that was seen, or the key is by
  now as the record says.
- finding at once: the version seen is still there, it says that it was stored longer than two
  minutes ago or not by watcher, and the record does not know it.
- else it stays open until the journal is read more than a minute after the look (if a writer may
  be alive; else there is nothing to wait for). Still as it was seen: a finding. Changed again
  meanwhile: nothing can be said of it.
- A writer that was killed took the lines of its last minute with it, which its next start makes
  good: what says that it was stored after the last line of all, and whose writer did not end in
  order, is told apart from findings. (Deletions say nothing: they cannot be told apart.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from watcher.bucket.journal import INTERVAL
from watcher.bucket.ledger import Ledger
from watcher.verify.findings import Changed, Finding, Missing, Unknown

SETTLED_AFTER = INTERVAL + 15.0  # seconds after which the journal tells of a request
_YOUNG = timedelta(minutes=2)
_UNTOLD = timedelta(seconds=INTERVAL)  # that a request may take, and clocks may differ by


@dataclass(frozen=True, slots=True)
class Difference:
    """ETags; "" where there is no such key."""

    key: str
    seen: str
    recorded: str

    def finding(self) -> Finding:
        if not self.seen:
            return Missing(self.key)
        return Changed(self.key) if self.recorded else Unknown(self.key)


@dataclass(slots=True)
class Memory:
    """What the record knows by now, of the keys in question only.

    told: key -> ETags ("": a deletion) that the journal told of lately. last_line: time of its last
    line, or where it was read from.
    """

    last_line: datetime
    recorded: dict[str, str] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """At the key alone. stored_at: by its own word; None: not stored by watcher, or no word."""

    etag: str  # "": no such key
    stored_at: datetime | None
    speaks: bool  # whether this bucket keeps such words


class Verdict(Enum):
    EXPLAINED = auto()
    FINDING = auto()
    OPEN = auto()
    MOVING = auto()  # changed again
    UNTOLD = auto()  # the journal's last lines were lost with their writer


def compare(listing: Mapping[str, str], record: Ledger) -> Iterator[Difference]:
    """listing: key -> ETag."""
    for key, etag in listing.items():
        stored = record.get(key).stored
        if stored is None or stored.etag != etag:
            yield Difference(key, etag, stored.etag if stored else "")
    for kind in record.kinds():
        for key in record.keys_of(kind):
            stored = record.get(key).stored
            if key not in listing and stored is not None:
                yield Difference(key, "", stored.etag)


def judge(
    it: Difference, memory: Memory, look: Look, now: datetime, *, final: bool, orderly: bool
) -> Verdict:
    """final: no line that explains it can be under way. orderly: the last writer ended in order."""
    recorded = memory.recorded.get(it.key, "")
    if it.seen in memory.told.get(it.key, ()) or recorded in (it.seen, look.etag):
        return Verdict.EXPLAINED
    if look.etag != it.seen:
        return Verdict.MOVING if final else Verdict.OPEN
    if it.seen and look.speaks and (look.stored_at is None or now - look.stored_at >= _YOUNG):
        final = True
    if not final:
        return Verdict.OPEN
    lost = look.stored_at is not None and look.stored_at > memory.last_line - _UNTOLD
    return Verdict.UNTOLD if lost and not orderly else Verdict.FINDING
