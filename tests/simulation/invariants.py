"""What must hold (DESIGN.md section 2), asked at each request and once all is calm.

Exists so that every promise is stated once, against the truth and not against what anybody was
told. Promises: only notes what is wrong, in the words of an operator; changes nothing. The rules,
by the name under which a breach is reported:

- deletes on a doubt: a DELETE leaves though the object was not really absent since the state that
  the bucket holds, nor since the process began; or it is absent only because etcd was put back
  under a process that knows more, or that finds it on record as held
- two at once: a request for a key leaves while one of the same process for it has no answer
- writes no change: a PUT brings what the key holds already, and nothing gave a reason to doubt it
- never was: a PUT brings a file that is no state of this object
- goes back: a PUT brings an older state than this process, or with a Lease any, brought before
- two leaders: with a Lease, a process writes after another one has begun to
- frozen: a PUT brings the state of an object on its way out over a stored full one
- ended: a process ended by itself; swallowed: it noted an error of its own
- not equal, not in time, writes at rest: see story.py, which asks once the faults are over
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.simulation.truth import Truth


class Broken(AssertionError):
    """A promise is broken."""


@dataclass(eq=False, slots=True)
class Life:
    """What is known of one process, from its start to its end."""

    number: int
    instance: str
    began: float  # loop time
    restored: int  # how often etcd had been put back by then
    watches: dict[str, int] = field(default_factory=dict)  # kind segment -> last version asked for
    knew: dict[str, int] = field(default_factory=dict)  # the same, when etcd was put back
    cut_off: float = 0.0  # until when it cannot reach the API server, loop time
    deceived: bool = False  # a listing lied, or another cluster answered
    dead: bool = False
    released: float | None = None  # loop time of the request to stop
    in_flight: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    brought: dict[str, int] = field(default_factory=dict)  # key -> resourceVersion of the last PUT

    def __str__(self) -> str:
        return f"{self.instance}.{self.number}"


@dataclass(frozen=True, slots=True)
class Found:
    """What the bucket holds at one key."""

    body: bytes
    metadata: Mapping[str, str]

    @property
    def resource_version(self) -> str:
        return self.metadata.get("watcher-resource-version", "")


@dataclass(slots=True)
class Judge:
    truth: Truth
    elected: bool = False  # whether a Lease decides who writes
    lives: list[Life] = field(default_factory=list)
    writers: list[Life] = field(default_factory=list)  # in the order of their first requests
    late: set[str] = field(default_factory=set)  # keys of requests that landed when given up
    breaches: list[str] = field(default_factory=list)

    def breach(self, what: str) -> None:
        self.breaches.append(what)

    @property
    def alone(self) -> bool:
        """Whether there were never two processes at the same time that might write."""
        return self.elected or len({life.instance for life in self.lives}) < 2

    def asked(
        self,
        life: Life,
        operation: str,
        key: str,
        holds: Found | None,
        held: Callable[[], Mapping[str, str]],
    ) -> None:
        """A request leaves a process; `holds`: what it will meet, if it meets it now. held: keys
        that are on record as held."""
        if operation not in ("PUT", "DELETE"):
            return
        if life not in self.writers:
            self.writers.append(life)
        elif (
            self.elected
            and self.writers[-1] is not life
            and self.truth.restored == life.restored  # else etcd forgot who had the Lease
        ):
            self.breach(f"two leaders: {life} {operation} {key} after {self.writers[-1]}")
        if key in life.in_flight:
            self.breach(f"two at once: {life} {operation} {key}")
        life.in_flight.add(key)
        if operation == "DELETE" and holds:
            self._may_delete(life, key, holds, held)

    def answered(self, life: Life, operation: str, key: str, *, sure: bool) -> None:
        """Its answer is there; not `sure`: what it did is unknown."""
        if operation in ("PUT", "DELETE"):
            life.in_flight.discard(key)
        if not sure:
            life.doubtful.add(key)
        elif operation in ("PUT", "DELETE", "HEAD"):
            life.doubtful.discard(key)

    def landed(
        self,
        life: Life,
        operation: str,
        key: str,
        before: Found | None,
        after: Found | None,
        *,
        late: bool,
    ) -> None:
        """A request took place; `late`: when nobody waited for its answer any more."""
        if operation not in ("PUT", "DELETE"):
            return
        for other in self.lives:
            if late or other is not life:
                other.doubtful.add(key)
        if late:
            self.late.add(key)
        if operation == "PUT" and after and after is not before:
            self._may_put(life, key, before, after, late=late)

    def _may_delete(
        self, life: Life, key: str, holds: Found, held: Callable[[], Mapping[str, str]]
    ) -> None:
        last = self.truth.last(key)
        if last and last.lost:
            # Once etcd has come as far again as it was, nobody can tell any more; nor can who was
            # shown another cluster's versions.
            told = 0 if life.deceived else life.knew.get(key.split("/")[1], 0)
            knew = self.truth.version < told or key in held()
            if knew and not self._was_absent(life, key, holds):
                self.breach(f"deletes on a doubt: {life} DELETE {key}, which etcd lost")
        elif not self._was_absent(life, key, holds):
            self.breach(f"deletes on a doubt: {life} DELETE {key}, which was there all the time")

    def _was_absent(self, life: Life, key: str, holds: Found) -> bool:
        if not self.truth.absent_from(key, life.began):
            return False
        state = self.truth.index(key, holds.body, holds.resource_version)
        return not self.alone or state is None or self.truth.absent_since(key, state)

    def _may_put(
        self, life: Life, key: str, before: Found | None, after: Found, *, late: bool
    ) -> None:
        index = self.truth.index(key, after.body, after.resource_version)
        if index is None:
            self.breach(f"never was: {life} PUT {key}: {after.body!r}")
            return
        if late:  # others may have written since it was sent
            return
        doubted = key in life.doubtful or life.deceived or not self.alone
        if before and before.body == after.body and not doubted:
            self.breach(f"writes no change: {life} PUT {key}")
        states = self.truth.history[key]
        full = any(s.file == after.body and not s.terminating for s in states)
        stored = self.truth.index(key, before.body, before.resource_version) if before else None
        gone = stored is None or self.truth.absent_since(key, stored)
        if not full and not gone and not doubted:
            self.breach(f"frozen: {life} PUT {key}, of an object on its way out")
        version = int(after.resource_version or 0)
        moved = life.deceived or self.truth.restored > life.restored
        if version < self._brought_before(life, key) and not moved:
            self.breach(f"goes back: {life} PUT {key} of {version}, after a newer one")
        life.brought[key] = version

    def _brought_before(self, life: Life, key: str) -> int:
        """The newest version of a key that this process brought, or with a Lease any before it."""
        known = [life]
        if self.elected:
            known = [it for it in self.lives if it.restored == life.restored and not it.deceived]
        return max((it.brought.get(key, 0) for it in known), default=0)
