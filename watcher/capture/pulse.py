"""The heartbeat of a running capture: when to beat, and what if the bucket does not take it.

Exists so that who has only the bucket learns within minutes that the backup is ill, or that nobody
is there any more. Promises: a beat at the start, every five minutes, and soon after a promise
begins or ceases to hold; the last one of an orderly end says that the writer has gone; a bucket
that is away is said once and tried again; a writer that began after us ends us (RefusedError).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from watcher.bucket.heartbeat import INTERVAL, Heartbeat, Pulse
from watcher.capture.health import Findings
from watcher.errors import BucketError
from watcher.logs import Log, Outage
from watcher.metrics import Metrics

_LOOK = 5.0  # seconds between two looks at our health
_PAUSE = 10.0  # seconds at least between two beats, and after one that failed
_JITTER = 0.1  # of the interval: no two writers that watch each other may beat in step
_PATIENCE = 30.0  # seconds for one beat


@dataclass(slots=True)
class Beating:
    """observe: how we are now. findings: told that no later writer lives: a beat was taken."""

    pulse: Pulse
    observe: Callable[[], Heartbeat]
    findings: Findings
    metrics: Metrics
    log: Log
    random: Random
    _told: frozenset[tuple[str, str]] = field(default=frozenset(), init=False)
    _due: float = field(default=0.0, init=False)  # loop time
    _soonest: float = field(default=0.0, init=False)  # loop time

    async def run(self) -> None:
        """Until cancelled. Raises RefusedError where a writer of a higher epoch lives."""
        time = asyncio.get_running_loop().time
        outage = Outage(self.log, "writing the heartbeat", time)
        self._due = self._soonest = time()
        while True:
            seen = self.observe()
            now = time()
            if now >= self._due or (now >= self._soonest and _failing(seen) != self._told):
                self._soonest = now + _PAUSE
                try:
                    await self._beat(seen)
                except BucketError as error:
                    outage.began(str(error))
                    self._due = self._soonest
                else:
                    outage.ended()
                    self._told = _failing(seen)
                    self._due = now + INTERVAL * self.random.uniform(1 - _JITTER, 1)
            await asyncio.sleep(_LOOK)

    async def release(self, seconds: float) -> None:
        """Say that nobody writes from here on, within so many seconds. Raises RefusedError."""
        try:
            async with asyncio.timeout(seconds):
                await self._beat(replace(self.observe(), released=True))
        except (BucketError, TimeoutError) as error:
            reason = str(error) or f"no answer within {seconds:.0f} s"
            self.log.warning("the last heartbeat could not be written", reason=reason)

    async def _beat(self, heartbeat: Heartbeat) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                rival = await self.pulse.beat(heartbeat)
        except TimeoutError:
            raise BucketError(f"no answer within {_PATIENCE:.0f} s") from None
        self.findings.other_writer = str(rival or "")
        if rival:
            self.metrics.bucket_retries.labels("second-writer").inc()
            self.log.error("another writer writes here, too: it will stop", writer=str(rival))
        self.metrics.heartbeat_last_success.set(heartbeat.at.timestamp())


def _failing(heartbeat: Heartbeat) -> frozenset[tuple[str, str]]:
    return frozenset((each.promise, each.kind) for each in heartbeat.failing)
