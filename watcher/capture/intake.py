"""From an informer's raw objects to changes worth writing: steps 2 to 4 of DESIGN.md section 5.

Exists because nearly everything that a watch says changes nothing that we store: it must end here,
at the price of cleaning and hashing, with no copy kept. Promises: what equals the bucket is dropped
only against a ledger entry that is not in doubt, with nothing waiting for its key; an object on its
way out keeps its last full state; nothing is deleted because a setting changed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from watcher.bucket.held import HISTORY_LOST, SETTINGS
from watcher.bucket.layout import Layout, kind_segment, parse
from watcher.bucket.ledger import Ledger
from watcher.capture.change import Change, Deleted
from watcher.capture.debounce import Pending
from watcher.capture.deletes.absence import Absence
from watcher.cluster.client import Event, Item
from watcher.logs import Log
from watcher.metrics import Metrics
from watcher.objects.clean import Cleaner, origin
from watcher.objects.content import Content
from watcher.objects.ref import APIResource, ObjectRef, canonical_group
from watcher.objects.selection import LeftOut, Selection, is_terminating


@dataclass(frozen=True, slots=True)
class Flow:
    """What all kinds share on the way from the cluster to the bucket."""

    layout: Layout
    cleaner: Cleaner
    selection: Selection
    ledger: Ledger
    pending: Pending
    absence: Absence
    metrics: Metrics
    log: Log
    questions: list["Question"] = field(default_factory=list)

    def keeps(self, key: str) -> bool:
        """Whether the bucket holds this key, may hold it, or will be asked to."""
        return key in self.pending or not self.ledger.get(key).holds(None)

    @contextmanager
    def asking(self, key: str) -> Iterator["Question"]:
        """While somebody asks the cluster for this object alone."""
        question = Question(key)
        self.questions.append(question)
        try:
            yield question
        finally:
            self.questions.remove(question)

    def heard(self, key: str) -> None:
        """A state or an end of this object arrived."""
        for question in self.questions:
            if question.key == key:
                question.overtaken = True


@dataclass(slots=True, eq=False)
class Question:
    """overtaken: an event came before the answer, so the answer may be the older of the two."""

    key: str
    overtaken: bool = False


class Seen(NamedTuple):
    """An object as it would be stored. state: why it is left out, None while it is being deleted:
    its file then stays as it is."""

    key: str
    namespace: str
    name: str
    state: Content | LeftOut | None


class Intake:
    """One kind's way in: the sink of its informer."""

    def __init__(self, flow: Flow, resource: APIResource, *, named: bool) -> None:
        """named: `include-kinds` names this very kind, so what is left out by default is not."""
        self.resource = resource
        self.synced = False  # a complete list was handed over
        self.objects = 0  # selected ones in the cluster
        self.skipped = 0  # objects of the last list that are not selected
        self.odd = 0  # states since the last list began that could not be made sense of
        self.taken = 0  # states from lists so far
        self.unchanged = 0  # objects of the last list that the bucket holds as they are
        self.last_event: float | None = None  # loop time; None: no change was told yet
        self._listing = 0  # selected ones of the list that is being read
        self._flow = flow
        self._group = canonical_group(resource.group, resource.resource)
        self.segment = kind_segment(self._group, resource.kind)
        self._clean = flow.cleaner.for_resource(resource)
        identity = frozenset({(self._group, resource.kind)} if named else ())
        self._selection = replace(flow.selection, named=identity)
        self._unseen: set[str] = set()  # stored or pending keys that this list has not shown
        dropped = flow.metrics.changes_dropped.labels
        self._unchanged, self._terminating = dropped("unchanged"), dropped("terminating")

    def begin(self) -> None:
        self._listing = self.skipped = self.unchanged = self.odd = 0
        self._unseen = {
            *self._flow.ledger.keys_of(self.segment),
            *self._flow.pending.keys_of(self.segment),
        }

    def listed(self, items: list[Item]) -> None:
        now = asyncio.get_running_loop().time()
        for item in items:
            self.taken += 1
            try:
                key = self.key(item)
                self._unseen.discard(key)
                selected = self._state(key, item, now, listed=True)
            except Exception:
                self._set_aside(item)
                continue
            self._listing += selected
            self.skipped += not selected

    def complete(self, *, trusted: bool) -> None:
        self.synced, self.objects = True, self._listing
        if self._unseen:
            selected = {key for key in self._unseen if not self._deselected(key)}
            self._flow.absence.hold(self._unseen - selected, SETTINGS)
            if trusted:
                self._flow.absence.suspect(self.resource, selected)
            else:
                self._flow.absence.hold(selected, HISTORY_LOST)
        self._unseen = set()

    def changed(self, events: list[Event]) -> None:
        now = self.last_event = asyncio.get_running_loop().time()
        for event in events:
            try:
                self._change(event, now)
            except Exception:
                self._set_aside(event.object)

    async def room(self) -> None:
        await self._flow.pending.room()

    def fetched(self, item: Item) -> Change | None:
        """The change to write for an object that was fetched again; None: it is left out."""
        key = self.key(item)
        if self._selection.left_out(self.resource, item):
            return None
        if is_terminating(item) and self._flow.ledger.get(key).stored:
            return None  # what is stored is its last full state
        came_from = origin(item)
        return Change(key, self.resource, self._clean(item), came_from)

    def look(self, item: Item) -> Seen:
        """What an object would be stored as; nothing comes of it. Consumes the item."""
        key, metadata = self.key(item), item["metadata"]
        state: Content | LeftOut | None = self._selection.left_out(self.resource, item)
        if state is None and not (is_terminating(item) and self._flow.keeps(key)):
            state = self._clean(item)
        return Seen(key, metadata.get("namespace") or "", metadata["name"], state)

    def listed_late(self, item: Item) -> None:
        """An object that a list did not show is there all the same."""
        self.listed([item])

    def key(self, item: Item) -> str:
        """Where the object is stored. Raises ValueError or KeyError where it has no usable name."""
        metadata: dict[str, Any] = item["metadata"]
        namespace, name = metadata.get("namespace") or "", metadata["name"]
        if not (name and isinstance(name, str) and isinstance(namespace, str)):
            raise ValueError("an object without a name")
        ref = ObjectRef(self._group, self.resource.kind, namespace, name)
        return self._flow.layout.key(ref)

    def _deselected(self, key: str) -> bool:
        """Whether settings alone, as far as a key tells, leave this object out."""
        place = parse(key)
        if place is None:
            return False
        metadata = {"namespace": place.namespace, "name": place.name or ""}
        left_out = self._selection.left_out(self.resource, {"metadata": metadata})
        return left_out is not None and left_out.by_settings

    def _change(self, event: Event, now: float) -> None:
        key = self.key(event.object)
        if event.type == "DELETED":
            self.objects -= self._selection.left_out(self.resource, event.object) is None
            self._flow.heard(key)
            self._flow.absence.seen(key)
            self._remove(key, Deleted(), now, event.object)
        else:
            selected = self._state(key, event.object, now, listed=False)
            self.objects += selected and event.type == "ADDED"

    def _set_aside(self, item: Item) -> None:
        """One odd object must not end the backup of all others. Call in an `except`."""
        metadata = item["metadata"]
        self.odd += 1
        self._flow.metrics.objects_skipped.labels("error").inc()
        self._flow.log.exception(
            "an object cannot be made sense of: it is not backed up",
            resource=self.resource.label,
            namespace=metadata.get("namespace"),
            name=metadata.get("name"),
        )

    def _state(self, key: str, item: Item, now: float, *, listed: bool) -> bool:
        """Take one state; whether the object is one that we keep."""
        flow = self._flow
        flow.heard(key)
        if left_out := self._selection.left_out(self.resource, item):
            flow.metrics.objects_skipped.labels(left_out.reason).inc()
            if left_out.by_settings and flow.keeps(key):
                flow.absence.left_out(key)
            else:
                flow.absence.seen(key)
            if not left_out.by_settings:
                self._remove(key, Deleted("left-out"), now, item)
            return False
        flow.absence.seen(key)
        # (What is about to lose its file has no full state to keep: it was gone, or left out.)
        if is_terminating(item) and flow.keeps(key) and not flow.pending.deletes(key):
            self._terminating.inc()
            return True
        came_from = origin(item)
        content = self._clean(item)
        if key not in flow.pending and flow.ledger.get(key).holds(content.fingerprint):
            self._unchanged.inc()
            self.unchanged += listed
            return True
        received = None if listed else now
        change = Change(key, self.resource, content, came_from, received)
        flow.pending.offer(change, now, at_once=listed)
        return True

    def _remove(self, key: str, how: Deleted, now: float, last: Item) -> None:
        if self._flow.keeps(key):
            change = Change(key, self.resource, how, origin(last), received=now)
            self._flow.pending.offer(change, now)
