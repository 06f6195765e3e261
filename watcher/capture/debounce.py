"""Changes that wait to be written: the newest state of each key, until it has been quiet.

Exists because objects change in bursts and a bucket request is dear: a key is due once it was
quiet for `debounce`, or has waited for `max_delay`. Promises: newest wins; a key is handed out to
one writer at a time, and a newer state waits until that one is done; bodies take at most `budget`
bytes, then only the fact that something changed is kept (`Refetch`), and of a kind with too many
of those only that it must be listed again (`overflowed`): memory is bounded while a bucket is away.
"""

import asyncio
import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from watcher.bucket.layout import kind_of
from watcher.capture.change import Change, Deleted, Refetch
from watcher.objects.content import Content
from watcher.objects.ref import APIResource

_TICK = 0.001  # seconds; timers may ring early by the clock's resolution
_LISTS_SHARE = 1 / 16  # of the budget: some thousand objects, enough to keep all writers busy
_FLUSH_AGAIN = 1.0  # seconds until the next try while there is no time left
MAX_REFETCHES = 500  # of one kind; beyond, one list costs less


@dataclass(slots=True)
class _Waiting:
    change: Change
    since: float  # loop time of the first change that is not stored yet
    due: float
    queued_at: float = math.nan  # the `due` under which the heap knows it; NaN: it does not


@dataclass(slots=True)
class Pending:
    """Times are the event loop's, in seconds; sizes are bytes."""

    debounce: float
    max_delay: float
    budget: int
    stalled: bool = False  # nothing can be written at present: don't wait for room
    unattended: bool = False  # nobody here writes: another process does, see standby.py
    overflowed: set[APIResource] = field(default_factory=set)  # kinds to list again
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _writing: dict[str, _Waiting] = field(default_factory=dict)
    _heap: list[tuple[float, int, str]] = field(default_factory=list)
    _again: deque[str] = field(default_factory=deque)  # due, but tried before: others go first
    _number: "count[int]" = field(default_factory=count)
    _refetches: Counter[APIResource] = field(default_factory=Counter)
    _noting: list[set[str]] = field(default_factory=list)
    _bytes: int = 0
    _flushing: bool = False
    _sooner: asyncio.Event = field(default_factory=asyncio.Event)
    _eased: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        """Keys whose newest state is not in the bucket yet."""
        return len(self._waiting.keys() | self._writing.keys())

    def __contains__(self, key: str) -> bool:
        return key in self._waiting or key in self._writing

    def deletes(self, key: str) -> bool:
        """Whether the newest that waits or is being written for this key is a deletion."""
        newest = self._waiting.get(key) or self._writing.get(key)
        return newest is not None and isinstance(newest.change.state, Deleted)

    @property
    def bytes(self) -> int:
        return self._bytes

    def keys_of(self, kind: str) -> list[str]:
        """Keys of a kind segment (whatever version they came by) that wait or are being written."""
        both = (self._waiting, self._writing)
        return [key for part in both for key in part if kind_of(key) == kind]

    def oldest(self, now: float) -> float:
        """For how long the state that waits longest has not been in the bucket; 0 if none waits."""
        both = (self._waiting, self._writing)
        return now - min((w.since for part in both for w in part.values()), default=now)

    def older_than(self, moment: float) -> int:
        """How many keys have a state of up to this loop time that is not in the bucket."""
        both = (self._waiting, self._writing)
        return sum(w.since <= moment for part in both for w in part.values())

    def offer(self, change: Change, now: float, *, at_once: bool = False) -> None:
        """Take the newest state of a key. at_once: it is no burst's begin (states from lists)."""
        for noted in self._noting:
            noted.add(change.key)
        kept = self._within_budget(change)
        if kept is None:
            return
        waiting = self._waiting.get(change.key)
        if waiting is None:
            waiting = self._waiting[change.key] = _Waiting(kept, now, now)
        else:
            self._account(waiting.change, -1)
            waiting.change = kept = _in_place_of(waiting.change, kept)
        self._account(kept, +1)
        if at_once or self._flushing:
            waiting.due = now
        else:
            waiting.due = min(now + self.debounce, waiting.since + self.max_delay)
        self._queue(change.key, waiting)

    @contextmanager
    def noting(self, keys: set[str]) -> Iterator[None]:
        """While this is open, add to `keys` each key that waits or arrives."""
        keys |= self._waiting.keys() | self._writing.keys()
        self._noting.append(keys)
        try:
            yield
        finally:
            self._noting = [noted for noted in self._noting if noted is not keys]

    async def next(self) -> Change:
        """Wait for a change that is due, and hand it out; `done` or `retry` must follow."""
        while True:
            now = asyncio.get_running_loop().time()
            if change := self._take_due(now + _TICK):
                return change
            self._sooner.clear()
            try:
                async with asyncio.timeout_at(self._heap[0][0] if self._heap else None):
                    await self._sooner.wait()
            except TimeoutError:
                pass

    def done(self, change: Change) -> None:
        """It is in the bucket, or needs not be: a newer state of the key may follow."""
        self._account(self._writing.pop(change.key).change, -1)
        self._eased.set()
        if waiting := self._waiting.get(change.key):
            self._queue(change.key, waiting)

    def retry(self, change: Change, due: float) -> None:
        """It is not in the bucket: try again at `due`, unless a newer state took its place."""
        tried = self._writing.pop(change.key)
        if self._flushing:
            due = min(due, asyncio.get_running_loop().time() + _FLUSH_AGAIN)
        if waiting := self._waiting.get(change.key):
            waiting.since = min(waiting.since, tried.since)
            self._account(tried.change, -1)
        else:
            waiting = self._waiting[change.key] = _Waiting(tried.change, tried.since, due)
        self._queue(change.key, waiting)

    def settle(self, is_stored: Callable[[Change], bool]) -> None:
        """Let go of what the bucket holds by now, though nobody here wrote it."""
        for key in [key for key, it in self._waiting.items() if is_stored(it.change)]:
            self.take_back(key)
        # Without a writer nobody takes from the heap what was let go.
        self._heap = [
            each
            for each in self._heap
            if (waiting := self._waiting.get(each[2])) and waiting.queued_at == each[0]
        ]
        heapq.heapify(self._heap)

    def waiting(self, key: str) -> Change | None:
        """The newest state of a key that waits and is not being written."""
        waiting = self._waiting.get(key)
        return waiting.change if waiting else None

    def take_back(self, key: str) -> Change | None:
        """The newest state of a key that waits and is not being written: it waits no more."""
        waiting = self._waiting.pop(key, None)
        if waiting is None:
            return None
        self._account(waiting.change, -1)
        self._eased.set()
        return waiting.change

    def flush(self) -> None:
        """From now on everything is due at once: we are shutting down, or ran `--once`."""
        self._flushing = True
        now = asyncio.get_running_loop().time()
        for key, waiting in self._waiting.items():
            waiting.due = now
            self._queue(key, waiting)

    async def room(self) -> None:
        """Wait until a list may go on: it fills its share of the budget, and then comes as fast as
        the bucket takes it; unless nothing can be written, for continue tokens live 5 minutes."""
        while self._bytes > self.budget * _LISTS_SHARE and not (self.stalled or self.unattended):
            self._eased.clear()
            await self._eased.wait()

    def stall(self, stalled: bool) -> None:
        """Say whether writing is hopeless at present."""
        self.stalled = stalled
        self._eased.set()

    def _within_budget(self, change: Change) -> Change | None:
        """The change as memory allows it to be kept; None: its kind will be listed again."""
        if not isinstance(change.state, Content) or self._bytes + change.size <= self.budget:
            return change
        waiting = self._waiting.get(change.key)
        deleted = waiting is not None and isinstance(waiting.change.state, Deleted)
        if self._refetches[change.resource] >= MAX_REFETCHES and not deleted:
            self.overflowed.add(change.resource)
            return None
        return change.without_body()

    def _account(self, change: Change, sign: int) -> None:
        self._bytes += sign * change.size
        if isinstance(change.state, Refetch):
            self._refetches[change.resource] += sign

    def _queue(self, key: str, waiting: _Waiting) -> None:
        if waiting.due == waiting.queued_at or key in self._writing:
            return
        if not (waiting.queued_at < waiting.due):  # later ones are found when the heap gets there
            waiting.queued_at = waiting.due
            heapq.heappush(self._heap, (waiting.due, next(self._number), key))
            if self._heap[0][2] == key:
                self._sooner.set()

    def _take_due(self, now: float) -> Change | None:
        while self._heap and self._heap[0][0] <= now:
            queued_at, _, key = heapq.heappop(self._heap)
            waiting = self._waiting.get(key)
            if waiting is None or waiting.queued_at != queued_at:
                continue
            waiting.queued_at = math.nan
            if key in self._writing:
                continue  # `done` queues it again
            if waiting.due > now:
                self._queue(key, waiting)
            elif waiting.change.tries:
                self._again.append(key)
            else:
                return self._hand_out(key)
        while self._again:
            key = self._again.popleft()
            waiting = self._waiting.get(key)
            if waiting and key not in self._writing and waiting.due <= now:
                return self._hand_out(key)
        return None

    def _hand_out(self, key: str) -> Change:
        waiting = self._writing[key] = self._waiting.pop(key)
        return waiting.change


def _in_place_of(older: Change, newer: Change) -> Change:
    """The newer state, late since the older one, and written however right the file seems to be if
    that was found wrong."""
    received = newer.received if older.received is None else older.received
    return replace(newer, received=received, repair=newer.repair or older.repair)
