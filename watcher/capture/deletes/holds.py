"""Keys that stay in the bucket though their objects are, or seem to be, gone; and why.

Exists so that what is held is one plain value, which is asked, shown and saved by others. Promises:
a key is held for one reason since one moment, or kept for good, or neither; no hold is older than
one before it or than what an operator was shown, whatever the clock does: an order can never
decide over what was held after it. Pure but for the clock.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from watcher.bucket.held import SETTINGS, Book, Hold

_TICK = timedelta(microseconds=1)


class Holds:
    def __init__(
        self, clock: Callable[[], datetime], book: Book, shown: datetime | None = None
    ) -> None:
        """book: what was held before. shown: the newest hold that any operator decided over."""
        self._clock = clock
        self._held = dict(book.held)
        self._kept = dict(book.kept)
        self._leaving: set[str] = set()
        times = [hold.since for hold in (*self._held.values(), *self._kept.values())]
        self._newest = max([*times, shown] if shown else times, default=None)
        self.changes = 0  # so far: tells whether there is something to save

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def why(self, key: str) -> str | None:
        """Why it is held; None: it is not."""
        hold = self._held.get(key)
        return hold.why if hold else None

    def stays(self, key: str) -> bool:
        """Whether it is held or kept."""
        return key in self._held or key in self._kept

    def kept(self, key: str) -> bool:
        """Whether an operator wants it kept for good."""
        return key in self._kept

    def book(self, epoch: int = 0) -> Book:
        """All of it, as it is now. epoch: of who is to write it."""
        return Book(dict(self._held), dict(self._kept), epoch)

    def hold(self, keys: Iterable[str], why: str) -> None:
        """These are absent, or left out. Who is held already is so for the first reason, unless
        that was only a matter of settings."""
        since: datetime | None = None
        for key in keys:
            found = self._held.get(key)
            if key in self._kept or (found and (found.why != SETTINGS or why == SETTINGS)):
                continue
            since = since or self._now()
            self._put(key, Hold(why, since))

    def left_out(self, key: str) -> None:
        """Its object is there, but settings leave it out."""
        if self.why(key) != SETTINGS and key not in self._kept:
            self._put(key, Hold(SETTINGS, self._now()))

    def release(self, key: str) -> None:
        """Its object is there, or was seen to end: nothing is in doubt."""
        if self._held.pop(key, None) or self._kept.pop(key, None):
            self._leaving.discard(key)
            self.changes += 1

    def keep(self, key: str) -> None:
        """Its file is to stay, and to be asked about no more."""
        if hold := self._held.pop(key, None):
            self._kept[key] = hold
            self._leaving.discard(key)
            self.changes += 1

    def let_go(self, key: str) -> None:
        """Its file is being deleted. It counts as held until that was done (`done`), so that an
        order is not forgotten half-way."""
        if self.stays(key):
            self._leaving.add(key)

    def adopt(self, book: Book) -> set[str]:
        """Hold and keep what this book does, too; the keys that were not held or kept so far."""
        news = (book.held.keys() | book.kept.keys()) - self._held.keys() - self._kept.keys()
        self._held = {**self._held, **book.held}
        self._kept = {**self._kept, **book.kept}
        for key in self._kept:
            self._held.pop(key, None)
        times = [hold.since for hold in (*self._held.values(), *self._kept.values())]
        self._newest = max([*times, self._newest] if self._newest else times, default=None)
        self.changes += 1
        return news

    def done(self, is_gone: Callable[[str], bool]) -> None:
        """Forget what was let go and has no file any more."""
        for key in [key for key in self._leaving if is_gone(key)]:
            self.release(key)

    def _put(self, key: str, hold: Hold) -> None:
        self._held[key] = hold
        self.changes += 1

    def _now(self) -> datetime:
        now = self._clock()
        self._newest = max(now, self._newest + _TICK) if self._newest else now
        return self._newest
