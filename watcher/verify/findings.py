"""What `verify` tells while it looks: what is wrong, what is right, and what it did not look at.

Exists so that who looks only finds: a table, a document for machines and an exit code are made of
these values elsewhere. Promises: each is a plain value; as text it is one line for a person who
does not know the program's insides, and holds nothing of an object's values.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong with the backup of a cluster."""


@dataclass(frozen=True, slots=True)
class Unowned(Finding):
    def __str__(self) -> str:
        return "there is no _meta/owner.json: never claimed by a cluster, or the claim was removed"


@dataclass(frozen=True, slots=True)
class Misowned(Finding):
    owner: str  # domain/name

    def __str__(self) -> str:
        return f"_meta/owner.json is of {self.owner}: was the prefix copied or renamed?"


@dataclass(frozen=True, slots=True)
class Broken(Finding):
    """Something that verify stands on cannot be used; what needs it was left out."""

    why: str

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class _OfKey(Finding):
    key: str  # relative to the cluster's prefix


@dataclass(frozen=True, slots=True)
class Missing(_OfKey):
    def __str__(self) -> str:
        return f"{self.key} is not there, but was written and never deleted"


@dataclass(frozen=True, slots=True)
class Changed(_OfKey):
    def __str__(self) -> str:
        return f"{self.key} is not the version that was written last"


@dataclass(frozen=True, slots=True)
class Unknown(_OfKey):
    def __str__(self) -> str:
        return f"{self.key} is there, but was never written"


@dataclass(frozen=True, slots=True)
class Damaged(_OfKey):
    why: str  # "is not YAML"

    def __str__(self) -> str:
        return f"{self.key} {self.why}"


@dataclass(frozen=True, slots=True)
class Silent(Finding):
    """No sign of life. ago: since the last one; None: there never was one."""

    ago: timedelta | None = None

    def __str__(self) -> str:
        if self.ago is None:
            return "there is no heartbeat: nobody keeps this backup up to date"
        return f"the last heartbeat is {age(self.ago)} old: nobody keeps this backup up to date"


@dataclass(frozen=True, slots=True)
class Stopped(Finding):
    ago: timedelta

    def __str__(self) -> str:
        return f"watcher was stopped {age(self.ago)} ago and not started again"


@dataclass(frozen=True, slots=True)
class Ailing(Finding):
    """The writer itself says that a promise does not hold. of: the kind, or ""."""

    promise: str
    of: str
    since: datetime

    def __str__(self) -> str:
        of = f" ({self.of})" if self.of else ""
        return (
            f"the writer says that it is not well since {self.since:%F %T} UTC: {self.promise}{of}"
        )


@dataclass(frozen=True, slots=True)
class Fast(Finding):
    """A clock is wrong: what is fresh cannot be told."""

    ahead: timedelta

    def __str__(self) -> str:
        return f"the last heartbeat is {age(self.ahead)} in the future: a clock is wrong"


@dataclass(frozen=True, slots=True)
class Overdue(Finding):
    """ago: since the last reconcile ended; None: there never was one."""

    ago: timedelta | None
    limit: timedelta

    def __str__(self) -> str:
        if self.ago is None:
            return f"no reconcile in the {age(self.limit)} that it may take until the first"
        return f"the last reconcile was {age(self.ago)} ago, more than {age(self.limit)}"


@dataclass(frozen=True, slots=True)
class Incomplete(Finding):
    resource: str
    why: str

    def __str__(self) -> str:
        return f"the last reconcile could not compare {self.resource}: {self.why}"


@dataclass(frozen=True, slots=True)
class Drift(Finding):
    left: int
    held: int

    def __str__(self) -> str:
        held = f" (deletes that wait for a decision: {self.held}; see watcher deletes list)"
        return (
            f"differences between cluster and bucket that the last reconcile left: {self.left}"
            f"{held if self.held else ''}"
        )


@dataclass(frozen=True, slots=True)
class Unequal(Finding):
    """The report contradicts itself."""

    def __str__(self) -> str:
        return "the last reconcile found no difference, but its hash roots are not the same"


@dataclass(frozen=True, slots=True)
class Unproven(Finding):
    """The bucket, put back to the time of the report, does not have the report's hash root."""

    reported: int  # keys
    found: int

    def __str__(self) -> str:
        return (
            "what the last reconcile saw cannot be shown again: the hash root differs"
            f" ({self.reported} files then, {self.found} by the journal)"
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Nothing is wrong, but somebody may want to know."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What verify says nothing about, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Listed:
    files: int


@dataclass(frozen=True, slots=True)
class Read:
    """files: read since the last one of these."""

    files: int


@dataclass(frozen=True, slots=True)
class Heard:
    at: datetime
    released: bool


@dataclass(frozen=True, slots=True)
class Reconciled:
    at: datetime


@dataclass(frozen=True, slots=True)
class Proven:
    """The listing, put back to the time of the report, has the report's hash root."""

    objects: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """For what a living writer has yet to write into its journal."""

    seconds: float


Event = Finding | Note | Unchecked | Listed | Read | Heard | Reconciled | Proven | Waiting


def short_age(then: datetime, now: datetime) -> str:
    """As kubectl shows one: `40s`, `3d`."""
    number, unit = age(now - then).split()
    return f"{number}{unit[0]}"


def age(time: timedelta) -> str:
    """In one unit: `40 seconds`, `3 days`."""
    seconds = max(0, round(time.total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
