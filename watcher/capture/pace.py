"""How many requests to the bucket at once, and when to leave it alone.

Exists because a store that says SlowDown means it, and one that is down is not helped by thousands
of retries; the SDK's own retries stop by a quota, ours must never. Promises: additive increase,
multiplicative decrease, as TCP does it (RFC 5681): a throttled answer halves the number of requests
at once, a failure leaves one, and both wait with backoff; answers to requests that were sent before
the last cut do not cut again.
"""

import asyncio
import math
from random import Random

from watcher.backoff import Backoff

_TICK = 0.001  # seconds; timers may ring early by the clock's resolution


class Pace:
    def __init__(self, most: int, random: Random) -> None:
        """most: requests at once when all is well."""
        self._most = float(most)
        self._limit = float(most)
        self._careful_from = float(most)  # below, growth is by one an answer, above by one a round
        self._backoff = Backoff(random, first=0.5, longest=15.0)
        self._running = 0
        self._resume_at = 0.0
        self._cut_at = float("-inf")
        self._freed = asyncio.Event()

    async def turn(self) -> float:
        """Wait for a turn; the time that the matching `ended` wants. It must follow."""
        clock = asyncio.get_running_loop().time
        while True:
            wait = self._resume_at - clock()
            if wait > _TICK:
                await asyncio.sleep(wait)
            elif self._running >= max(1, int(self._limit)):
                self._freed.clear()
                await self._freed.wait()
            else:
                self._running += 1
                return clock()

    def unused(self) -> None:
        """A turn was taken but nothing was sent."""
        self._running -= 1
        self._freed.set()

    def went_well(self) -> None:
        self.unused()
        self._backoff.reset()
        grown = 1.0 if self._limit < self._careful_from else 1.0 / self._limit
        self._limit = min(self._most, self._limit + grown)

    def was_throttled(self, began: float, retry_after: float | None) -> None:
        self._cut(began, self._limit / 2, retry_after or 0.0)
        self._careful_from = max(2.0, self._limit)

    def failed(self, began: float) -> None:
        self._cut(began, 1.0, 0.0)

    def was_rejected(self, began: float) -> None:
        """The store works and said no, perhaps to this key alone: the others soon have a turn."""
        self._cut(began, 1.0, 0.0, at_most=1.0)

    def _cut(self, began: float, limit: float, at_least: float, at_most: float = math.inf) -> None:
        self.unused()
        if began < self._cut_at:
            return
        now = asyncio.get_running_loop().time()
        self._cut_at = now
        self._limit = max(1.0, limit)
        self._resume_at = now + max(at_least, min(at_most, self._backoff.next()))
