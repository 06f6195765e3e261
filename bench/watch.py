"""One open watch: which lines are ready to be sent, and how it will end.

Exists so that a watch needs no queue: it is a place in its table's history. Promises: a change
that moves an object into or out of the selection is ADDED or DELETED, as the real one says it; a
resourceVersion of the future gives silence until the cluster has come that far. Pure: the caller
waits, and `wake` tells it when to look again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from bench.kinds import Kind
from bench.selectors import Selection
from bench.table import Change, Table, TooOld, stamped


class Ending(Enum):
    CLEAN = "the server closes the stream"
    BROKEN = "the connection breaks"


class Watch:
    """`after`: the resourceVersion to go on from. `initial`: what is there already, as ADDED."""

    def __init__(
        self,
        kind: Kind,
        version: str,
        table: Table,
        selection: Selection,
        after: int,
        *,
        initial: bool,
    ) -> None:
        self.kind = kind
        self.after = after
        self.ending: Ending | None = None
        self.silent = False  # stays open, says nothing any more
        self.cut = False  # breaks in the middle of the next line
        self.wake: Callable[[], None] = lambda: None
        self._version = version
        self._table = table
        self._selection = selection
        self._initial = initial

    @contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """`wake` is called whenever lines may be ready or the ending has changed."""
        self.wake = wake
        self._table.listeners[wake] = None
        try:
            yield
        finally:
            del self._table.listeners[wake]

    def take(self) -> bytes:
        """Lines that are ready to be sent, b"" if none."""
        if self.silent:
            return b""
        lines: list[bytes] = []
        if self._initial:
            self._initial = False
            page = self._table.page(self.after, "", 0, self._selection)
            lines += (self._line(b"ADDED", body) for body in page.items)
        try:
            changes = self._table.changes(self.after)
        except TooOld:  # a reader too slow for the watch cache
            self.ending = Ending.CLEAN
            return b""
        for change in changes:
            self.after = change.version
            lines += self._event(change)
        if self.cut and lines:
            self.ending = Ending.BROKEN
            return lines[0][: len(lines[0]) // 2]
        return b"".join(lines)

    def end(self, ending: Ending) -> None:
        self.ending = ending
        self.wake()

    def bookmark(self, now: int) -> bytes:
        """The line that says how far this watch has come; b"" if `now` is before its start."""
        if self.silent or now < self.after:
            return b""
        self.after = now
        return self._line(b"BOOKMARK", b'{"metadata":{"resourceVersion":"%d"}}' % now)

    def _event(self, change: Change) -> Iterator[bytes]:
        before = None if change.before is None else bytes(change.before)
        after = None if change.after is None else bytes(change.after)
        was = before is not None and self._selection.holds(change.key, before)
        is_now = after is not None and self._selection.holds(change.key, after)
        if is_now:
            assert after is not None
            yield self._line(b"MODIFIED" if was else b"ADDED", after)
        elif was:
            assert before is not None
            yield self._line(b"DELETED", stamped(before, change.version))

    def _line(self, event: bytes, body: bytes) -> bytes:
        named = self.kind.named(body, self._version)
        return b'{"type":"%b","object":%b}\n' % (event, named)
