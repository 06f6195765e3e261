"""The latest known state of one object, on its way to the bucket."""

from dataclasses import dataclass

import orjson

from watcher.bucket.ledger import UNKNOWN
from watcher.objects.content import Content, Origin
from watcher.objects.ref import APIResource


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object is gone, or no longer wanted. `action` is the journal's word for it."""

    action: str = "delete"  # or "left-out": it still exists, but left the selection by itself


@dataclass(frozen=True, slots=True)
class Refetch:
    """There is a state to write; its body is not kept: ask for the object when its turn comes."""

    namespace: str
    name: str
    fingerprint: bytes = UNKNOWN  # of the newest state that was seen


# Of a body that waits, beside its bytes: what belongs to it, and the gaps that the object tree
# which it came from leaves around it. Measured: 10,000 bodies of 1 KB took 70 MB.
_OVERHEAD = 5_000

State = Content | Deleted | Refetch


@dataclass(slots=True)
class Change:
    key: str  # where the object is stored, relative to the cluster's prefix
    resource: APIResource
    state: State
    origin: Origin | None = None  # of the object, or of its last state if it is gone
    received: float | None = None  # loop time of the event that began it; None: from a list
    repair: bool = False  # the bucket was found to be wrong, not the object to have changed
    tries: int = 0

    @property
    def size(self) -> int:
        """Bytes of memory that are freed when the body is let go."""
        return len(self.state.body) + _OVERHEAD if isinstance(self.state, Content) else 0

    def without_body(self) -> "Change":
        """The same change, of which only the object's name is kept."""
        if not isinstance(self.state, Content):
            return self
        metadata = orjson.loads(self.state.body)["metadata"]
        place = metadata.get("namespace") or "", metadata["name"]
        state = Refetch(*place, self.state.fingerprint)
        return Change(self.key, self.resource, state, None, self.received)
