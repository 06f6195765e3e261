"""The cluster's own history: what each object was, and when, whatever anybody was told.

Exists so that invariants compare with what really happened, not with answers. Promises: every
state of every key in order, as the bytes that its file would have; states are told apart by who
made them: a change, or an etcd that was put back (then an object is `lost`, not deleted).
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.cluster import Cluster, Snapshot
from bench.kinds import Kind
from watcher.bucket.layout import Layout
from watcher.cluster.kinds import KindFilter, identity
from watcher.objects.clean import Clean, Cleaner, load_rules
from watcher.objects.ref import ObjectRef
from watcher.objects.secrets import SecretPolicy
from watcher.objects.selection import Selection, is_terminating
from watcher.objects.yaml import emit

Object = dict[str, Any]

CLEANER = Cleaner(load_rules(), SecretPolicy("redact", None, "example.com", "east"))
_WANTED = KindFilter()
_SELECTED = Selection()


@dataclass(frozen=True, slots=True)
class State:
    """One state of one object. file: None where there is, or should be, none."""

    since: float  # loop time
    file: bytes | None
    resource_version: str = ""
    terminating: bool = False
    lost: bool = False  # absent because etcd was put back, not because anybody deleted it


class Truth:
    """`now` is what the bucket should hold; a terminating object may have any of its states."""

    def __init__(self) -> None:
        self.history: dict[str, list[State]] = {}
        self.now: dict[str, State] = {}
        self.restored = 0  # how often etcd was put back
        self.version = 0  # the newest resourceVersion
        self._clean: dict[str, Clean] = {}

    def wants(self, kind: Kind) -> bool:
        """Whether objects of this kind are to be in the bucket."""
        return _WANTED.wants(kind.resource)

    def changed(self, kind: Kind, content: Object) -> None:
        if not self.wants(kind):
            return
        metadata = content["metadata"]
        version, terminating = metadata["resourceVersion"], is_terminating(content)
        key = _key(kind, metadata.get("namespace", ""), metadata["name"])
        file = None
        if _SELECTED.left_out(kind.resource, content) is None:
            clean = self._clean.get(kind.label) or CLEANER.for_resource(kind.resource)
            self._clean[kind.label] = clean
            file = emit(clean(content))
        self._record(key, State(_time(), file, version, terminating))

    def removed(self, kind: Kind, key: str, *, lost: bool = False) -> None:
        if self.wants(kind):
            namespace, _, name = key.rpartition("/")
            self._record(_key(kind, namespace, name), State(_time(), None, lost=lost))

    def last(self, key: str) -> State | None:
        states = self.history.get(key)
        return states[-1] if states else None

    def index(self, key: str, file: bytes, resource_version: str) -> int | None:
        """Which of a key's states this file shows; None: it never had it."""
        states = self.history.get(key, [])
        same = [i for i, state in enumerate(states) if state.file == file]
        exact = [i for i in same if states[i].resource_version == resource_version]
        # An etcd that is put back makes states anew that were there before: the first one counts.
        return exact[0] if exact else same[-1] if same else None

    def absent_since(self, key: str, after: int) -> bool:
        """Whether the object was really not there, or left out, at any time after that state."""
        return any(s.file is None and not s.lost for s in self.history.get(key, [])[after + 1 :])

    def absent_from(self, key: str, moment: float) -> bool:
        """The same, at any time from a moment on."""
        states = self.history.get(key, [])
        if not states or states[0].since >= moment:
            return True
        return any(
            state.file is None
            and not state.lost
            and (following is None or following.since >= moment)
            for state, following in zip(states, [*states[1:], None], strict=True)
        )

    def most_gone(self) -> int:
        """How many keys were not there, or not any more, at any time so far."""
        return sum(any(state.file is None for state in each) for each in self.history.values())

    def _record(self, key: str, state: State) -> None:
        states = self.history.setdefault(key, [])
        if state.file is None and (not states or states[-1].file is None):
            return
        states.append(state)
        if state.file is None:
            self.now.pop(key, None)
        else:
            self.now[key] = state


class RecordedCluster(Cluster):
    """The model, with somebody who writes down all that really happens."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        truth: Truth,
        *,
        seed: int,
        kinds: Iterable[Kind],
    ) -> None:
        self._truth = truth
        super().__init__(clock, seed=seed, kinds=kinds)

    def restore(self, snapshot: Snapshot) -> None:
        before = {
            (label, key): self._kinds[label] for label in self._kinds for key in self._keys(label)
        }
        super().restore(snapshot)
        self._truth.restored += 1
        self._truth.version = self.version
        after = {(label, key) for label in self._kinds for key in self._keys(label)}
        for (label, key), kind in before.items():
            if (label, key) not in after:
                self._truth.removed(kind, key, lost=True)
        for label, kind in self._kinds.items():
            for content in self.objects(label):
                self._truth.changed(kind, content)

    def _keys(self, label: str) -> list[str]:
        return list(self._tables[label].bodies)

    def _put(self, kind: Kind, content: Object) -> Object:
        stored = super()._put(kind, content)
        self._truth.version = self.version
        self._truth.changed(kind, self.get(kind.label, *_place(content)))
        return stored

    def _remove(self, kind: Kind, key: str) -> None:
        super()._remove(kind, key)
        self._truth.version = self.version
        self._truth.removed(kind, key)


def _place(content: Object) -> tuple[str, str]:
    metadata = content["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _key(kind: Kind, namespace: str, name: str) -> str:
    return Layout.key(ObjectRef(*identity(kind.resource), namespace, name))


def _time() -> float:
    return asyncio.get_running_loop().time()
