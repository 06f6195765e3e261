"""What the program says of itself at one moment: values between who knows and who shows.

Exists because three rooms speak of the same promises: capture/ judges them, serve/ shows them,
bucket/ writes them into the heartbeat, and none may import the next. So the words stand below all
of them, beside settings and metrics. Promises: plain, frozen, made for one look and then let go;
nothing in here is a secret or a body of an object; times have a time zone.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Promise(StrEnum):
    """What DESIGN.md section 2 promises, by what can be told while it runs. Values are written to
    the bucket (heartbeats): keep them."""

    CAPTURED = "captured-in-time"
    WATCHED = "every-kind-watched"
    KINDS_KNOWN = "kinds-known"
    REACHABLE = "api-server-reachable"
    RECONCILED = "reconciled"
    NOTHING_HELD = "nothing-held"
    VERIFIED = "files-verified"
    ONE_WRITER = "one-writer"


@dataclass(frozen=True, slots=True)
class Failing:
    """A promise that is at risk."""

    promise: Promise
    kind: str  # APIResource.label; "": not a matter of one kind
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How one promise fares."""

    promise: Promise
    since: datetime  # of what `failing` and `unknown` say
    failing: tuple[Failing, ...] = ()  # empty: it holds, as far as we know
    unknown: str = ""  # why nobody can say yet whether it holds; "": somebody can


@dataclass(frozen=True, slots=True)
class About:
    """What stays the same for as long as the process runs."""

    domain: str
    cluster: str
    bucket: str
    version: str
    instance: str
    started: datetime


@dataclass(frozen=True, slots=True)
class FirstSync:
    """How far the first sync is."""

    kinds: int
    kinds_listed: int
    objects: int
    written: int
    pending: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """Seconds, objects. The lag is that of 50 and of 99 of 100 changes since the start."""

    in_cluster: int
    in_bucket: int
    pending: int
    oldest_pending: float
    lag_p50: float | None = None  # None: nothing was captured yet
    lag_p99: float | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    label: str  # kubectl's words: deployments.apps
    objects: int
    state: str  # of its informer: listing, watching, waiting, forbidden
    last_event: datetime | None = None  # None: none since the start
    last_write: datetime | None = None
    trouble: str = ""  # why not all of its objects are backed up


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """The last one that came to its end, and what it proved."""

    started: datetime
    finished: datetime
    trigger: str  # schedule, request, command
    objects: int
    missing: int = 0
    changed: int = 0
    orphaned: int = 0
    repaired: int = 0
    unread: int = 0  # kinds of which nothing is proven
    root_cluster: str = ""  # hash root, hex; "": the store's ETags tell none
    root_bucket: str = ""
    read_back_slice: str = ""  # "7/30"
    read_back: int = 0  # files whose bytes were compared
    differing: tuple[str, ...] = ()  # keys of those that were not what had been written
    report: str = ""  # key of its report

    @property
    def drift(self) -> int:
        return self.missing + self.changed + self.orphaned


@dataclass(frozen=True, slots=True)
class Held:
    """A file that is kept out of doubt, though its object seems to be gone."""

    key: str
    why: str  # as in `_meta/deletes/held.json`
    since: datetime


@dataclass(frozen=True, slots=True)
class Recent:
    """A change that was stored: a line of the journal."""

    at: datetime
    key: str
    action: str
    who: str  # the field manager that changed the object; "": not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look. What is None or empty is not known (yet), and is left out or said to be so."""

    about: About
    at: datetime
    doing: str = ""  # before anything can be known: what is being waited for
    leader: str | None = None  # who writes, where this one only waits to take over; None: it does
    epoch: int | None = None
    first_sync: FirstSync | None = None  # None: it is done, or has not begun
    promises: tuple[Standing, ...] = ()
    last_healthy: datetime | None = None
    numbers: Numbers | None = None
    kinds: tuple[Kind, ...] = ()
    reconcile: Reconcile | None = None
    next_reconcile: datetime | None = None
    held_count: int = 0
    held: tuple[Held, ...] = ()  # the first of them
    recent: tuple[Recent, ...] | None = None  # newest first; None: no journal is kept
