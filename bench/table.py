"""The objects of one kind and what happened to them lately: etcd's and the watch cache's part.

Exists so that pages at an older resourceVersion and watches need no copies: both read the history,
one undoing it, one following it. Promises: bodies are immutable JSON bytes (or make them when
asked: `bytes(body)`), without `kind` and `apiVersion`; a page shows the state at its version
exactly, or TooOld is raised. Pure; versions come from the cluster, one a change.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import NamedTuple, SupportsBytes

import orjson

from bench.selectors import Selection

Body = bytes | SupportsBytes


class TooOld(Exception):
    """The history needed is gone."""


class Change(NamedTuple):
    version: int
    key: str
    before: Body | None  # None: created
    after: Body | None  # None: deleted


class Page(NamedTuple):
    items: list[bytes]
    next: str  # the first key of the next page, "" at the end
    remaining: int  # keys after this page, whether they match or not


class Table:
    """`window`: how many changes are kept at least; twice as many at most."""

    def __init__(self, window: int) -> None:
        self.bodies: dict[str, Body] = {}
        self.keys: list[str] = []  # sorted; read only
        self.forgotten = 0  # version of the newest change that history no longer has
        self.listeners: dict[Callable[[], None], None] = {}  # called after each change
        self._history: list[Change] = []
        self._window = window

    def put(self, key: str, body: Body, version: int) -> None:
        before = self.bodies.get(key)
        if before is None:
            insort(self.keys, key)
        self.bodies[key] = body
        self._record(Change(version, key, before, body))

    def remove(self, key: str, version: int) -> None:
        before = self.bodies.pop(key)
        del self.keys[bisect_left(self.keys, key)]
        self._record(Change(version, key, before, None))

    def changes(self, after: int) -> list[Change]:
        """All changes with a version above `after`, oldest first. Raises TooOld."""
        if after < self.forgotten:
            raise TooOld
        return self._history[bisect_right(self._history, after, key=lambda c: c.version) :]

    def page(self, version: int, start: str, limit: int, selection: Selection) -> Page:
        """Up to `limit` (0: all) objects from key `start` on, as of `version`. Raises TooOld."""
        undone = {change.key: change.before for change in reversed(self.changes(version))}
        keys = self.keys
        gone = [key for key, body in undone.items() if body is not None and key not in self.bodies]
        if gone:
            keys = keys.copy()
            for key in gone:
                insort(keys, key)
        first, last = 0, len(keys)
        if selection.namespace:  # "0" is the character after "/"
            first = bisect_left(keys, f"{selection.namespace}/")
            last = bisect_left(keys, f"{selection.namespace}0")
        items: list[bytes] = []
        for index in range(bisect_left(keys, start, first, last), last):
            key = keys[index]
            found = undone[key] if key in undone else self.bodies[key]
            if found is None or not selection.holds(key, body := bytes(found)):
                continue
            if limit and len(items) == limit:
                return Page(items, key, last - index)
            items.append(body)
        return Page(items, "", 0)

    def forget(self) -> None:
        """Compaction: all history is gone."""
        if self._history:
            self.forgotten = self._history[-1].version
            self._history.clear()

    def replace(self, bodies: dict[str, Body]) -> None:
        """Another past, with no history: what a restored etcd holds."""
        self.bodies = dict(bodies)
        self.keys = sorted(bodies)
        self._history.clear()
        self.forgotten = 0

    def _record(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) >= 2 * self._window:
            self.forgotten = self._history[self._window - 1].version
            del self._history[: self._window]
        for changed in tuple(self.listeners):
            changed()


def stamped(body: Body, version: int) -> bytes:
    """The same object with another resourceVersion."""
    content = orjson.loads(bytes(body))
    content["metadata"]["resourceVersion"] = str(version)
    return orjson.dumps(content)
